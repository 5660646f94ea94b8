//! `$patch`, the only directive that kustomize knows.

use super::error::{Error, Problem};
use super::list::Elements;
use crate::yaml::{Items, Mapping, Node};

/// The key of the directive.
const KEY: &str = "$patch";

/// What the patch asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Directive {
    /// Merge: also where nothing is said.
    Merge,
    /// The patch's value takes the place of the old one.
    Replace,
    /// The old value goes.
    Delete,
}

fn parse(node: &Node) -> Result<Directive, Error> {
    match node.as_scalar().map(|s| s.text.as_str()) {
        Some("merge") => Ok(Directive::Merge),
        Some("replace") => Ok(Directive::Replace),
        Some("delete") => Ok(Directive::Delete),
        other => {
            let word = other.unwrap_or("{}").to_owned();
            Err(Error::new(node.line(), Problem::UnknownDirective(word)))
        }
    }
}

/// The directive of a mapping, taken out of it.
pub(super) fn take_from_mapping(mapping: &mut Mapping) -> Result<Directive, Error> {
    let Some(node) = mapping.get(KEY) else {
        return Ok(Directive::Merge);
    };
    let directive = parse(node)?;
    mapping.remove(KEY);
    Ok(directive)
}

/// The directive of a list, which is an element of its own (`- $patch: replace`), taken out of it.
/// The first element with the key decides; one that has other keys speaks for itself only.
pub(super) fn take_from_list(items: &mut Items) -> Result<Directive, Error> {
    let element = items.iter().find(|item| item.get(KEY).is_some());
    let Some(mapping) = element.and_then(Node::as_mapping).filter(|m| m.len() == 1) else {
        return Ok(Directive::Merge);
    };
    let Some(node) = mapping.get(KEY) else {
        return Ok(Directive::Merge);
    };
    let directive = parse(node)?;
    let word = node.as_scalar().map_or("", |s| &s.text).to_owned();
    let mut elements = Elements::default();
    let mut ids = elements.add_all(std::mem::take(items));
    elements.set(&mut ids, None, &[KEY.to_owned()], &[word])?;
    *items = elements.take_all(&ids);
    Ok(directive)
}
