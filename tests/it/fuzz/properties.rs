//! What must hold of every input.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use serde_json::Value;
use towline::render::{self, DirectoryOptions, Error, Options, Rendered, write_yaml};
use towline::tree::Tree;
use towline::yaml::{
    Duplicates, Resolver, read_documents, read_first_document, resolve, to_string,
};

use super::Input;

/// No input has more than some 100 KiB: this is generous even beside other tests.
const SOON: Duration = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 2 });

/// The longest text of one mistake that anyone reads.
const LONG: usize = 4_000;

/// Runs `act`: it must neither panic nor take long.
fn guarded<T>(what: &str, act: impl FnOnce() -> T) -> Result<T, String> {
    let start = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(act)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        format!("{what} panics: {}", text.unwrap_or_default())
    })?;
    match start.elapsed() {
        took if took < SOON => Ok(result),
        took => Err(format!("{what} takes {took:?}")),
    }
}

/// Both readers and both resolvers.
pub(super) fn yaml(input: &Input) -> Result<(), String> {
    let Some(text) = input.get("m.yaml") else {
        return Ok(());
    };
    let first = guarded("reading the first document", || read_first_document(text))?;
    let documents = guarded("reading", || read_documents(text))?;
    let nodes = documents.iter().flatten().chain(first.iter().flatten());
    for node in nodes {
        for resolver in [Resolver::Kustomize, Resolver::Kubectl] {
            let value = guarded("resolving", || resolve(node, resolver, Duplicates::Error))?;
            let Ok(value) = value else { continue };
            if resolver == Resolver::Kustomize {
                reads_back(&value)?;
            }
        }
    }
    for error in [documents.err(), first.err()].into_iter().flatten() {
        let lines = u32::try_from(text.iter().filter(|b| **b == b'\n').count()).unwrap_or(u32::MAX);
        if error.line.is_some_and(|line| line == 0 || line > lines + 2) {
            return Err(format!("the line of `{error}` is not in the file"));
        }
    }
    Ok(())
}

/// What is printed is read as the same.
fn reads_back(value: &Value) -> Result<(), String> {
    let printed = guarded("printing", || to_string(value))?;
    let read = guarded("reading what was printed", || {
        read_first_document(printed.as_bytes())
    })?;
    let again = match read {
        Ok(Some(node)) => resolve(&node, Resolver::Kustomize, Duplicates::Error),
        Ok(None) => Ok(Value::Null),
        Err(error) => Err(error),
    };
    match again {
        Ok(again) if again == *value => Ok(()),
        other => Err(format!(
            "printed as {printed:?}, which is {other:?} and not {value}"
        )),
    }
}

/// Rendering a tree: as a kustomization or as a directory with all that is below.
fn render_once(input: &Input) -> Result<Result<Rendered, Error>, String> {
    let options = Options {
        directory: DirectoryOptions {
            recurse: true,
            ..DirectoryOptions::default()
        },
        ..Options::default()
    };
    guarded("rendering", || {
        render::render(&Tree::from_memory(input), "", &options)
    })
}

/// The same each time; errors with a place; objects that can be read again.
fn render_twice(input: &Input) -> Result<Result<Rendered, Error>, String> {
    let (one, two) = (render_once(input)?, render_once(input)?);
    let text = |result: &Result<Rendered, Error>| match result {
        Ok(rendered) => {
            let mut out = format!("{:?}\n", rendered.warnings);
            write_yaml(&rendered.objects, &mut out);
            out
        }
        Err(error) => error.to_string(),
    };
    if text(&one) == text(&two) {
        Ok(one)
    } else {
        Err(format!(
            "two renders differ:\n{}\n{}",
            text(&one),
            text(&two)
        ))
    }
}

pub(super) fn render(input: &Input) -> Result<(), String> {
    let rendered = match render_twice(input)? {
        Ok(rendered) => rendered,
        Err(error) => return has_a_place(&error, input),
    };
    for object in &rendered.objects {
        if !input.contains_key(&object.source.path) {
            return Err(format!(
                "an object comes from `{}`, which is no file",
                object.source.path
            ));
        }
        if !object.value.is_object() {
            return Err("an object is none".into());
        }
        reads_back(&object.value)?;
    }
    Ok(())
}

/// Every mistake is in a file of the tree, and its text is short and on one line.
fn has_a_place(error: &Error, input: &Input) -> Result<(), String> {
    if error.diagnostics().is_empty() {
        return Err(format!("an error without a mistake: {error}"));
    }
    for diagnostic in error.diagnostics() {
        let text = diagnostic.to_string();
        let is_dir = |path: &str| {
            input
                .keys()
                .any(|file| file.starts_with(&format!("{path}/")))
        };
        let known = input.contains_key(&diagnostic.path) || is_dir(&diagnostic.path);
        // two kustomization files in one directory: it is the directory that is named
        let names_dir = diagnostic.path.is_empty() && text.starts_with('`');
        if !known && !names_dir {
            return Err(format!("no file of the tree is named: {text}"));
        }
        if text.len() > LONG || text.chars().any(char::is_control) {
            return Err(format!("not fit to be shown: {text:?}"));
        }
    }
    Ok(())
}
