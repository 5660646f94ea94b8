//! What a revert changes, for somebody who has to say yes or no.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::diff::print_diff;
use super::super::screen::{Screen, Tone};
use crate::diff::unified;
use crate::live::shown;
use crate::render::{Rendered, RenderedObject};
use crate::revert::Prepared;
use crate::status::short;
use crate::yaml;

/// Prints commits, files and objects.
pub(super) fn show(
    screen: &mut Screen<'_>,
    remote: &str,
    branch: &str,
    good: &str,
    prepared: &Prepared,
) -> std::io::Result<()> {
    screen.line(&format!(
        "on {branch} of {remote}, back to {}:",
        short(good)
    ))?;
    for commit in &prepared.reverted {
        screen.line(&format!(
            "  takes back {} {} ({})",
            short(&commit.commit),
            commit.subject,
            commit.author
        ))?;
    }
    for (path, file) in &prepared.edits {
        let path = shown::escaped(path);
        let line = match file {
            Some(_) => screen.paint(Tone::Good, &format!("  restores {path}")),
            None => screen.paint(Tone::Bad, &format!("  removes {path}")),
        };
        screen.line(&line)?;
    }
    let (before, after) = (objects(&prepared.before), objects(&prepared.rendered));
    let ids = before.keys().chain(after.keys());
    let ids: std::collections::BTreeSet<&String> = ids.collect();
    for id in ids {
        let (old, new) = (before.get(id).copied(), after.get(id).copied());
        let text = unified(id, old, new, &yaml::to_string);
        // The places that it names are those of a cluster; here both are in Git.
        let body: Vec<&str> = text.lines().skip(2).collect();
        if !body.is_empty() {
            let id = shown::line(id, 256);
            let head = format!("--- now/{id}\n+++ then/{id}");
            print_diff(screen, &format!("{head}\n{}", body.join("\n")))?;
        }
    }
    Ok(())
}

/// Objects by kind, namespace and name.
fn objects(rendered: &Rendered) -> BTreeMap<String, &Value> {
    let key = |object: &RenderedObject| {
        let text = |pointer: &str| {
            let value = object.value.pointer(pointer).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        let names = [
            text("/kind"),
            text("/metadata/namespace"),
            text("/metadata/name"),
        ];
        let names: Vec<String> = names.into_iter().filter(|name| !name.is_empty()).collect();
        names.join("/")
    };
    let all = rendered.objects.iter();
    all.map(|object| (key(object), &object.value)).collect()
}
