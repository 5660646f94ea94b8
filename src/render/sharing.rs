//! Values that change together. A label or annotation that a transformer adds to several fields of
//! an object is one value to kustomize: who changes it in one field later, with a patch, another
//! label or a replacement, changes it in all of them.
//!
//! Fields that had the key before keep a value of their own. What is printed and read again (a JSON
//! patch, annotations with bookkeeping) shares nothing any more.

use std::cell::Cell;
use std::collections::HashMap;

use crate::yaml::{Mapping, Node, Scalar};

/// The numbers of the values that are shared.
#[derive(Debug, Default)]
pub(super) struct Shares(Cell<u16>);

impl Shares {
    /// A new number. After the last one they start again: an object has few of them.
    pub fn next(&self) -> u16 {
        self.0.set(self.0.get().checked_add(1).unwrap_or(1));
        self.0.get()
    }
}

/// Lets the fields of an object follow values that were changed in one field, in this order.
pub(super) fn follow(object: &mut Mapping, changed: &[Scalar]) {
    if changed.is_empty() {
        return;
    }
    let changed = changed.iter().map(|scalar| (scalar.shared, scalar));
    let changed: HashMap<u16, &Scalar> = changed.collect();
    visit_mapping(object, &changed);
}

fn visit(node: &mut Node, changed: &HashMap<u16, &Scalar>) {
    match node {
        Node::Scalar(scalar) if scalar.shared == 0 => {}
        Node::Scalar(scalar) => {
            if let Some(from) = changed.get(&scalar.shared) {
                scalar.text.clone_from(&from.text);
                scalar.set_tag(from.tag());
                scalar.style = from.style;
            }
        }
        Node::Sequence(list) => list.items.iter_mut().for_each(|item| visit(item, changed)),
        Node::Mapping(mapping) => visit_mapping(mapping, changed),
    }
}

fn visit_mapping(mapping: &mut Mapping, changed: &HashMap<u16, &Scalar>) {
    for (_, value) in &mut mapping.entries {
        visit(value, changed);
    }
}

/// Makes every value of a tree one of its own.
pub(super) fn unshare(node: &mut Node) {
    match node {
        Node::Scalar(scalar) => scalar.shared = 0,
        Node::Sequence(list) => list.items.iter_mut().for_each(unshare),
        Node::Mapping(mapping) => {
            let values = mapping.entries.iter_mut();
            values.for_each(|(_, value)| unshare(value));
        }
    }
}
