//! Prints values exactly as `kustomize build` does: the block style of go-yaml v2.

mod keys;
mod text;

use serde_json::{Map, Value};

use super::number;

/// Spaces of one level.
const INDENT: usize = 2;

/// How many bytes a key may have that is printed without `?` in front.
const SIMPLE_KEY: usize = 128;

/// Appends one document, byte for byte as `kustomize build` prints it.
pub fn emit(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => mapping(map, 0, false, out),
        Value::Array(items) if !items.is_empty() => sequence(items, 0, false, out),
        // No object is a scalar: the column it would be continued at does not matter.
        other => scalar(other, INDENT, out),
    }
}

/// What stands between two documents.
pub const SEPARATOR: &str = "---\n";

/// Appends documents, joined with [`SEPARATOR`].
pub fn emit_documents<'a>(values: impl IntoIterator<Item = &'a Value>, out: &mut String) {
    for (i, value) in values.into_iter().enumerate() {
        if i > 0 {
            out.push_str(SEPARATOR);
        }
        emit(value, out);
    }
}

/// One document as text.
pub fn to_string(value: &Value) -> String {
    let mut out = String::new();
    emit(value, &mut out);
    out
}

/// A mapping whose keys start at column `indent`; the first key is on the current line if
/// `inline`.
fn mapping(map: &Map<String, Value>, indent: usize, inline: bool, out: &mut String) {
    let mut inline = inline;
    keys::in_order(map, |key, value| {
        if !std::mem::take(&mut inline) {
            pad(indent, out);
        }
        if key.len() <= SIMPLE_KEY && !text::has_break(key) {
            text::key(key, out);
            out.push(':');
            child(value, indent, out);
        } else {
            out.push_str("? ");
            text::value(key, indent + INDENT, out);
            end_line(out);
            pad(indent, out);
            out.push_str(": ");
            item(value, indent, out);
        }
    });
}

/// The value of a simple key in a mapping at column `indent`, from right after the colon.
fn child(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            mapping(map, indent + INDENT, false, out);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            sequence(items, indent, false, out);
        }
        other => {
            out.push(' ');
            scalar(other, indent + INDENT, out);
        }
    }
}

/// A list whose dashes are at column `indent`; the first is on the current line if `inline`.
fn sequence(items: &[Value], indent: usize, inline: bool, out: &mut String) {
    for (i, value) in items.iter().enumerate() {
        if i > 0 || !inline {
            pad(indent, out);
        }
        out.push_str("- ");
        item(value, indent, out);
    }
}

/// A value on the same line as the `- ` or `: ` at column `indent` in front of it.
fn item(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => mapping(map, indent + INDENT, true, out),
        Value::Array(items) if !items.is_empty() => sequence(items, indent + INDENT, true, out),
        other => scalar(other, indent + INDENT, out),
    }
}

/// Anything of one piece, with the end of its line. Further lines start at column `indent`.
fn scalar(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => number::print(number, out),
        Value::String(string) => text::value(string, indent, out),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
    }
    end_line(out);
}

/// Ends the line, unless a literal block already did.
fn end_line(out: &mut String) {
    if !out.ends_with(text::LINE_ENDS) {
        out.push('\n');
    }
}

fn pad(columns: usize, out: &mut String) {
    const SPACES: &str = "                                                                ";
    match SPACES.get(..columns) {
        Some(spaces) => out.push_str(spaces),
        None => out.extend(std::iter::repeat_n(' ', columns)),
    }
}
