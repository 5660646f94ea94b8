//! Prints values exactly as `kustomize build` does: the block style of go-yaml v2.

mod keys;
mod text;

use std::borrow::Cow;

use serde_json::Value;

use super::{View, number};

/// An entry of a mapping.
type Entry<'a> = (Cow<'a, str>, View<'a>);

/// Spaces of one level.
const INDENT: usize = 2;

/// How many bytes a key may have that is printed without `?` in front.
const SIMPLE_KEY: usize = 128;

/// Appends one document, byte for byte as `kustomize build` prints it.
pub fn emit(value: &Value, out: &mut String) {
    emit_view(&value.into(), out);
}

/// The same, of a view.
pub fn emit_view(view: &View<'_>, out: &mut String) {
    match view {
        View::Map(map) if !map.is_empty() => mapping(map, 0, false, out),
        View::List(items) if !items.is_empty() => sequence(items, 0, false, out),
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
fn mapping(map: &[Entry<'_>], indent: usize, inline: bool, out: &mut String) {
    let mut inline = inline;
    keys::in_order(map, |(key, value)| {
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
fn child(value: &View<'_>, indent: usize, out: &mut String) {
    match value {
        View::Map(map) if !map.is_empty() => {
            out.push('\n');
            mapping(map, indent + INDENT, false, out);
        }
        View::List(items) if !items.is_empty() => {
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
fn sequence(items: &[View<'_>], indent: usize, inline: bool, out: &mut String) {
    for (i, value) in items.iter().enumerate() {
        if i > 0 || !inline {
            pad(indent, out);
        }
        out.push_str("- ");
        item(value, indent, out);
    }
}

/// A value on the same line as the `- ` or `: ` at column `indent` in front of it.
fn item(value: &View<'_>, indent: usize, out: &mut String) {
    match value {
        View::Map(map) if !map.is_empty() => mapping(map, indent + INDENT, true, out),
        View::List(items) if !items.is_empty() => sequence(items, indent + INDENT, true, out),
        other => scalar(other, indent + INDENT, out),
    }
}

/// Anything of one piece, with the end of its line. Further lines start at column `indent`.
fn scalar(value: &View<'_>, indent: usize, out: &mut String) {
    match value {
        View::Null => out.push_str("null"),
        View::Bool(true) => out.push_str("true"),
        View::Bool(false) => out.push_str("false"),
        View::Number(number) => number::print(number, out),
        View::Text(string) => text::value(string, indent, out),
        View::List(_) => out.push_str("[]"),
        View::Map(_) => out.push_str("{}"),
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
