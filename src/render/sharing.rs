//! Values that change together. A label or annotation that a transformer adds to several fields of
//! an object is one value to kustomize: who changes it in one field later, with a patch, another
//! label or a replacement, changes it in all of them.
//!
//! Fields that had the key before keep a value of their own. What is printed and read again (a JSON
//! patch, annotations with bookkeeping) shares nothing any more.

use std::cell::Cell;

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

/// Calls `set` for every scalar that has this number.
fn visit(node: &mut Node, number: u16, set: &dyn Fn(&mut Scalar)) {
    match node {
        Node::Scalar(scalar) if scalar.shared == number => set(scalar),
        Node::Scalar(_) => {}
        Node::Sequence(list) => {
            let items = list.items.iter_mut();
            items.for_each(|item| visit(item, number, set));
        }
        Node::Mapping(mapping) => visit_mapping(mapping, number, set),
    }
}

fn visit_mapping(mapping: &mut Mapping, number: u16, set: &dyn Fn(&mut Scalar)) {
    for (_, value) in &mut mapping.entries {
        visit(value, number, set);
    }
}

fn assign(to: &mut Scalar, from: &Scalar) {
    to.text.clone_from(&from.text);
    to.tag.clone_from(&from.tag);
    to.style = from.style;
}

/// Lets every field of an object follow a value that was changed in one of them.
pub(super) fn follow(object: &mut Node, changed: &Scalar) {
    visit(object, changed.shared, &|scalar| assign(scalar, changed));
}

/// The same.
pub(super) fn follow_in(object: &mut Mapping, changed: &Scalar) {
    visit_mapping(object, changed.shared, &|scalar| assign(scalar, changed));
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
