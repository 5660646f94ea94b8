//! The fields of an Application, from its OpenAPI schema.

use std::fmt::Write as _;

use serde_json::Value;

use super::super::crd;
use super::cell;

/// Fields whose own fields are Kubernetes' and are described there.
const FOREIGN: &[&str] = &["status.conditions"];
/// How the description of a field begins that exists only to be refused by name.
const REJECTED: &str = "Rejected";

/// One field.
struct Field {
    path: String,
    kind: String,
    required: bool,
    text: String,
}

/// The tables of `spec` and `status`, and what is refused.
pub(super) fn write(out: &mut String) {
    let schema = crd::value();
    let root = schema
        .pointer("/spec/versions/0/schema/openAPIV3Schema")
        .unwrap_or(&Value::Null);
    let (mut fields, mut refusals) = (Vec::new(), Vec::new());
    collect("", root, &mut fields, &mut refusals);
    for (part, title) in [
        ("spec", "Spec: what people write"),
        ("status", "Status: what the agent writes"),
    ] {
        let _ = writeln!(
            out,
            "\n### {title}\n\n| field | type | meaning |\n|---|---|---|"
        );
        for field in fields.iter().filter(|field| is_in(part, &field.path)) {
            let star = if field.required { ", required" } else { "" };
            let _ = writeln!(
                out,
                "| `{}` | {}{star} | {} |",
                field.path, field.kind, field.text
            );
        }
    }
    out.push_str(
        "\n### What is refused\n\nThe API server refuses these with the message. \
         Nothing that towline does not do is ignored.\n\n| rule | message |\n|---|---|\n",
    );
    for (rule, message) in &refusals {
        let _ = writeln!(out, "| `{}` | {} |", cell(rule), cell(message));
    }
}

fn is_in(part: &str, path: &str) -> bool {
    path.strip_prefix(part)
        .is_some_and(|rest| rest.starts_with('.'))
}

/// Adds the fields below a schema in the order of their names, parents first.
fn collect(
    path: &str,
    schema: &Value,
    fields: &mut Vec<Field>,
    refusals: &mut Vec<(String, String)>,
) {
    for rule in schema
        .get("x-kubernetes-validations")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let text = |key: &str| {
            rule.get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let place = if path.is_empty() { "Application" } else { path };
        refusals.push((format!("{place}: {}", text("rule")), text("message")));
    }
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    for (name, child) in properties {
        let below = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let text = child
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if text.starts_with(REJECTED) {
            continue;
        }
        fields.push(Field {
            kind: kind(child),
            required: required.contains(&name.as_str()),
            text: cell(text),
            path: below.clone(),
        });
        if FOREIGN.contains(&below.as_str()) {
            continue;
        }
        collect(&below, child, fields, refusals);
        if let Some(items) = child.get("items") {
            collect(&format!("{below}[]"), items, fields, refusals);
        }
    }
}

fn kind(schema: &Value) -> String {
    let words = schema
        .get("enum")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let words: Vec<String> = words
        .filter_map(|w| Some(format!("`{}`", w.as_str()?)))
        .collect();
    if !words.is_empty() {
        return words.join(", ");
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("array") => {
            let items = schema.get("items").map(kind).unwrap_or_default();
            format!("list of {items}")
        }
        Some(kind) => kind.to_owned(),
        None => "any".to_owned(),
    }
}
