//! Replacements inside of JSON or YAML text that a scalar holds: a path that goes on below a scalar
//! goes into its text.

use super::error::{Error, Result};
use super::field_path::{Create, visit};
use super::fields::{is_string, needs_quotes};
use super::go_json;
use super::replacements::set_keeping_type;
use crate::yaml::{
    Duplicates, Mapping, Node, Resolver, Scalar, Style, read_first_document, resolve,
};

/// Sets the value inside of a text. False where the path does not go into one, or where nothing was
/// found in it: the ordinary way is tried then.
///
/// # Errors
/// Only those of `grow`, which is asked before anything is set; the text may stop being printable.
pub(super) fn set(
    root: &mut Node,
    value: &Node,
    path: &[String],
    create: Option<Create>,
    grow: &dyn Fn(&Node) -> Result<()>,
) -> Result<bool> {
    let Some((scalar, rest)) = text_on_the_way(root, path) else {
        return Ok(false);
    };
    let original = scalar.text.clone();
    let Ok(Some(mut tree)) = read_first_document(original.as_bytes()) else {
        return Ok(false);
    };
    let mut edits = Vec::new();
    let mut refused = None;
    let count = visit(&mut tree, rest, create, &mut |node| {
        if let Err(error) = grow(node) {
            refused = Some(error);
            return Err(Error::failed("past a limit"));
        }
        if let (Node::Scalar(field), Node::Scalar(value)) = (&*node, value) {
            edits.push(Edit {
                old: field.clone(),
                new: value.text.clone(),
            });
        }
        match (&mut *node, value) {
            (Node::Scalar(field), Node::Scalar(value)) => {
                set_keeping_type(field, value.text.clone());
            }
            (Node::Scalar(field), _) => set_keeping_type(field, String::new()),
            (_, value) => *node = value.clone(),
        }
        Ok(())
    });
    if let Some(error) = refused {
        return Err(error);
    }
    if !matches!(count, Ok(1..)) {
        return Ok(false);
    }
    let complete = matches!(count, Ok(count) if count == edits.len());
    let spliced = if complete {
        splice(&original, &edits)
    } else {
        None
    };
    let Some(text) = spliced.or_else(|| printed(&tree, &original)) else {
        return Ok(false);
    };
    scalar.text = text;
    Ok(true)
}

/// One scalar of a text, and the text that it gets.
struct Edit {
    old: Scalar,
    new: String,
}

/// YAML with comments or flow style, in which single scalars were changed in place: printing the
/// tree would lose both. None where the text is neither, or a scalar cannot be found in it.
fn splice(original: &str, edits: &[Edit]) -> Option<String> {
    let is_json = original.trim_start().starts_with(['{', '[']);
    if is_json || !original.contains(['#', '{', '[']) {
        return None;
    }
    let mut lines: Vec<String> = original.lines().map(str::to_owned).collect();
    for Edit { old, new } in edits {
        let line = lines.get_mut(usize::try_from(old.line).ok()?.checked_sub(1)?)?;
        let (from, to) = match old.style {
            Style::Plain => {
                let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
                let fits = !new.is_empty() && new.chars().all(is_plain) && !new.starts_with('-');
                let quoted = is_string(old) && needs_quotes(new);
                let to = if quoted {
                    format!("\"{new}\"")
                } else {
                    new.clone()
                };
                fits.then_some((old.text.clone(), to))?
            }
            Style::DoubleQuoted => {
                let json = |text: &str| serde_json::Value::String(text.to_owned()).to_string();
                (json(&old.text), json(new))
            }
            Style::SingleQuoted => {
                let single = |text: &str| format!("'{}'", text.replace('\'', "''"));
                (single(&old.text), single(new))
            }
            Style::Literal | Style::Folded => return None,
        };
        let ends = |c: Option<char>| c.is_none_or(|c| " ,:[]{}".contains(c));
        let place = line
            .rmatch_indices(&from)
            .map(|(place, _)| place)
            .find(|place| {
                let (before, after) = (&line[..*place], &line[place + from.len()..]);
                !before.contains(" #")
                    && ends(before.chars().next_back())
                    && ends(after.chars().next())
            })?;
        line.replace_range(place..place + from.len(), &to);
    }
    Some(lines.join("\n").trim().to_owned())
}

/// The first scalar on the way of a path that does not end there, and the rest of the path.
fn text_on_the_way<'a, 'p>(
    root: &'a mut Node,
    path: &'p [String],
) -> Option<(&'a mut Scalar, &'p [String])> {
    let mut at = root;
    for (i, part) in path.iter().enumerate() {
        at = match at {
            Node::Mapping(mapping) => mapping.get_mut(part)?,
            Node::Sequence(list) => element(&mut list.items, part)?,
            Node::Scalar(_) => return None,
        };
        if matches!(at, Node::Scalar(_)) {
            let rest = &path[i + 1..];
            return match at {
                Node::Scalar(scalar) if !rest.is_empty() => Some((scalar, rest)),
                _ => None,
            };
        }
    }
    None
}

fn element<'a>(items: &'a mut [Node], part: &str) -> Option<&'a mut Node> {
    if let Ok(index) = part.parse::<usize>() {
        return items.get_mut(index);
    }
    let (field, value) = part.strip_prefix('[')?.strip_suffix(']')?.split_once('=')?;
    let is_it = |node: &&mut Node| {
        let text = if field.is_empty() {
            node.as_scalar()
        } else {
            node.get(field)?.as_scalar()
        };
        text.map(|s| s.text == value)
    };
    items.iter_mut().find(|node| is_it(node).unwrap_or(false))
}

/// The tree in the form of the original text: JSON stays JSON, indented if it was.
fn printed(tree: &Node, original: &str) -> Option<String> {
    if original.trim_start().starts_with(['{', '[']) {
        let value = resolve(tree, Resolver::Kustomize, Duplicates::Error).ok()?;
        let is_indented = original.contains('\n') && original.contains("  ");
        let print = if is_indented {
            go_json::indented
        } else {
            go_json::compact
        };
        return Some(print(&value));
    }
    let mut out = String::new();
    block(tree, 0, &mut out);
    Some(out.trim().to_owned())
}

/// YAML in block style, scalars as they were written, without comments.
fn block(node: &Node, indent: usize, out: &mut String) {
    match node {
        Node::Mapping(mapping) if !mapping.is_empty() => {
            out.push('\n');
            fields(mapping, indent, out);
        }
        Node::Sequence(list) if !list.items.is_empty() => {
            out.push('\n');
            for item in &list.items {
                out.extend(std::iter::repeat_n(' ', indent));
                out.push('-');
                let mut inner = String::new();
                match item {
                    Node::Mapping(mapping) if !mapping.is_empty() => {
                        fields(mapping, indent + 2, &mut inner);
                        out.push(' ');
                        out.push_str(inner.trim_start());
                    }
                    other => block(other, indent + 2, out),
                }
            }
        }
        Node::Mapping(_) => out.push_str(" {}\n"),
        Node::Sequence(_) => out.push_str(" []\n"),
        Node::Scalar(scalar) => {
            out.push(' ');
            out.push_str(&scalar_text(scalar, indent));
            out.push('\n');
        }
    }
}

fn fields(mapping: &Mapping, indent: usize, out: &mut String) {
    for (key, value) in &mapping.entries {
        out.extend(std::iter::repeat_n(' ', indent));
        out.push_str(&scalar_text(key, indent));
        out.push(':');
        let deeper = if matches!(value, Node::Sequence(_)) {
            indent
        } else {
            indent + 2
        };
        block(value, deeper, out);
    }
}

fn scalar_text(scalar: &Scalar, indent: usize) -> String {
    match scalar.style {
        Style::Plain => scalar.text.clone(),
        Style::SingleQuoted => format!("'{}'", scalar.text.replace('\'', "''")),
        Style::DoubleQuoted => serde_json::Value::String(scalar.text.clone()).to_string(),
        Style::Literal | Style::Folded => {
            let pad = " ".repeat(indent);
            let chomp = if scalar.text.ends_with('\n') { "" } else { "-" };
            let lines: Vec<_> = scalar
                .text
                .lines()
                .map(|line| format!("{pad}{line}"))
                .collect();
            format!("|{chomp}\n{}", lines.join("\n"))
        }
    }
}
