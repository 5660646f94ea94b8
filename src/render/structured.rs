//! Replacements inside of JSON or YAML text that a scalar holds: a path that goes on below a scalar
//! goes into its text.

use super::error::{Error, Result};
use super::field_path::{Create, visit};
use super::fields::tag;
use super::go_json;
use super::structured_yaml::print_document;
use crate::yaml::{
    CommentLines, Duplicates, Node, Resolver, Scalar, Style, read_first_document, resolve,
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
    let original = scalar.text.as_str().to_owned();
    let Ok(Some(mut tree)) = read_first_document(original.as_bytes()) else {
        return Ok(false);
    };
    let mut refused = None;
    let count = visit(&mut tree, rest, create, &mut |node| {
        if let Err(error) = grow(node) {
            refused = Some(error);
            return Err(Error::failed("past a limit"));
        }
        match (&mut *node, value) {
            (Node::Scalar(field), Node::Scalar(value)) => set_text(field, &value.text),
            (Node::Scalar(field), _) => set_text(field, ""),
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
    let Some(text) = printed(&tree, &original) else {
        return Ok(false);
    };
    scalar.set_text(&text);
    Ok(true)
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
    let comments = CommentLines::of(original);
    Some(print_document(tree, comments.as_ref()).trim().to_owned())
}

/// Sets the text of a field, which keeps its type: in quotes where that is a string, with its tag
/// where it is anything else.
fn set_text(field: &mut Scalar, text: &str) {
    let old = tag(field);
    let is_tagged = field.tag().is_some();
    field.set_text(text);
    if is_tagged || tag(field) == old {
        return;
    }
    if old == "!!str" {
        field.style = Style::DoubleQuoted;
    } else {
        field.set_tag(Some(old));
    }
}
