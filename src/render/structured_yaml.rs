//! Printing a tree the way go-yaml v3 does: block and flow style, and the quotes of scalars, stay as
//! they were written; indentation and spaces do not. Lines are never folded.

use crate::yaml::{Mapping, Node, Scalar, Sequence, Style};

/// Appends a document.
pub(super) fn write_document(node: &Node, out: &mut String) {
    match node {
        Node::Mapping(mapping) if !is_flow(node) => fields(mapping, 0, out),
        Node::Sequence(list) if !is_flow(node) => elements(list, 0, out),
        other => {
            flow(other, out);
            out.push('\n');
        }
    }
}

/// Whether a collection is printed on one line: also an empty one.
fn is_flow(node: &Node) -> bool {
    match node {
        Node::Mapping(mapping) => mapping.flow || mapping.is_empty(),
        Node::Sequence(list) => list.flow || list.items.is_empty(),
        Node::Scalar(_) => false,
    }
}

/// The entries of a mapping whose keys are at column `indent`. The first line is indented already.
fn fields(mapping: &Mapping, indent: usize, out: &mut String) {
    for (i, (key, value)) in mapping.entries.iter().enumerate() {
        if i > 0 {
            pad(indent, out);
        }
        scalar(key, Place::Key, out);
        out.push(':');
        match value {
            Node::Mapping(inner) if !is_flow(value) => {
                out.push('\n');
                pad(indent + 2, out);
                fields(inner, indent + 2, out);
            }
            Node::Sequence(inner) if !is_flow(value) => {
                out.push('\n');
                pad(indent, out);
                elements(inner, indent, out);
            }
            other => rest_of_line(other, indent + 2, out),
        }
    }
}

/// The elements of a list whose dashes are at column `indent`. The first line is indented already.
fn elements(list: &Sequence, indent: usize, out: &mut String) {
    for (i, item) in list.items.iter().enumerate() {
        if i > 0 {
            pad(indent, out);
        }
        out.push('-');
        match item {
            Node::Mapping(inner) if !is_flow(item) => {
                out.push(' ');
                fields(inner, indent + 2, out);
            }
            Node::Sequence(inner) if !is_flow(item) => {
                out.push(' ');
                elements(inner, indent + 2, out);
            }
            other => rest_of_line(other, indent + 2, out),
        }
    }
}

/// A scalar or a flow collection behind `:` or `-`, with the end of the line.
fn rest_of_line(node: &Node, indent: usize, out: &mut String) {
    match node {
        Node::Scalar(text) if text.text.is_empty() && text.is_null() => {}
        Node::Scalar(text) => {
            out.push(' ');
            scalar(text, Place::Block(indent), out);
        }
        collection => {
            out.push(' ');
            flow(collection, out);
        }
    }
    if !out.ends_with('\n') {
        out.push('\n');
    }
}

fn flow(node: &Node, out: &mut String) {
    match node {
        Node::Scalar(text) => scalar(text, Place::Flow, out),
        Node::Sequence(list) => {
            out.push('[');
            for (i, item) in list.items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                flow(item, out);
            }
            out.push(']');
        }
        Node::Mapping(mapping) => {
            out.push('{');
            for (i, (key, value)) in mapping.entries.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                scalar(key, Place::Flow, out);
                out.push_str(": ");
                flow(value, out);
            }
            out.push('}');
        }
    }
}

/// Where a scalar stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Key,
    /// As a value; the lines of a block start at this column.
    Block(usize),
    Flow,
}

fn scalar(scalar: &Scalar, place: Place, out: &mut String) {
    if let Some(tag) = scalar.explicit_tag() {
        out.push_str(tag);
        out.push(' ');
    }
    let text: &str = &scalar.text;
    match (scalar.style, place) {
        (Style::Literal | Style::Folded, Place::Block(indent)) => {
            block(text, scalar.style, indent, out);
        }
        // The text may have been replaced by one of several lines.
        (Style::Plain, Place::Block(indent)) if text.contains('\n') => {
            block(text, Style::Literal, indent, out);
        }
        (Style::Plain, _) if is_plain(text, place) => out.push_str(text),
        (Style::Plain | Style::SingleQuoted, _) if !text.contains(['\n', '\t']) => {
            out.push('\'');
            out.push_str(&text.replace('\'', "''"));
            out.push('\'');
        }
        _ => out.push_str(&serde_json::Value::String(text.to_owned()).to_string()),
    }
}

/// Whether text can stand without quotes.
fn is_plain(text: &str, place: Place) -> bool {
    let flow = place == Place::Flow;
    if text.is_empty() {
        return matches!(place, Place::Block(_));
    }
    let blank = |c: Option<char>| c.is_none_or(|c| matches!(c, ' ' | '\t' | '\n'));
    let mut previous = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let before_blank = blank(chars.peek().copied());
        let bad = match c {
            '#' => blank(previous),
            ':' => flow || before_blank,
            '?' | '-' if previous.is_none() => before_blank || (flow && c == '?'),
            ',' | '[' | ']' | '{' | '}' | '?' if flow => true,
            ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@'
            | '`' => previous.is_none(),
            ' ' => previous.is_none() || chars.peek().is_none(),
            c => c.is_control(),
        };
        if bad {
            return false;
        }
        previous = Some(c);
    }
    !text.starts_with("---") && !text.starts_with("...")
}

/// A literal or folded block, from its indicator.
fn block(text: &str, style: Style, indent: usize, out: &mut String) {
    out.push(if style == Style::Literal { '|' } else { '>' });
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    let content = text.trim_end_matches('\n');
    match text.len() - content.len() {
        0 => out.push('-'),
        1 if !content.is_empty() => {}
        _ => out.push('+'),
    }
    out.push('\n');
    for (i, line) in content.split('\n').enumerate() {
        // In a folded block, a line break is written as two.
        if style == Style::Folded && i > 0 && !line.is_empty() {
            out.push('\n');
        }
        if !line.is_empty() {
            pad(indent, out);
            out.push_str(line);
        }
        out.push('\n');
    }
    out.extend(std::iter::repeat_n(
        '\n',
        (text.len() - content.len()).saturating_sub(1),
    ));
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}
