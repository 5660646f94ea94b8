//! What a render may still cost. Files are counted where they are read ([`super::load`]); this
//! counts what transformers make of them: a small patch on many objects is large, and a field that
//! is copied into itself doubles each time.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::error::{Error, Reason, Result};
use super::limits::{MAX_GROWTH, MAX_OBJECT_BYTES, MAX_WORK};
use super::resource::Resource;
use crate::yaml::{Mapping, Node, View};

/// About what a key or value takes in memory, without its text.
pub(super) const NODE_BYTES: usize = 64;

/// How many bytes of JSON are read in the time that a key or value takes.
const BYTES_PER_STEP: usize = 8;

/// About what a transformer with its field specs looks at in one object.
const STEPS_PER_LOOK: usize = 20;

/// What the transformers of one render have cost, all threads together.
#[derive(Debug, Default)]
pub(super) struct Meter {
    growth: AtomicUsize,
    work: AtomicUsize,
}

impl Meter {
    /// Counts bytes that are added to objects.
    ///
    /// # Errors
    /// Past the limit.
    pub fn grow(&self, bytes: usize) -> Result<()> {
        let what = "bytes added to objects by transformers";
        let spent = add(&self.growth, bytes, MAX_GROWTH);
        check(spent, MAX_GROWTH, what)
    }

    /// Counts looks at objects, each with what a transformer usually looks at there.
    ///
    /// # Errors
    /// Past the limit.
    pub fn look(&self, times: usize) -> Result<()> {
        self.work(times.saturating_mul(STEPS_PER_LOOK))
    }

    /// Counts keys and values that are looked at.
    ///
    /// # Errors
    /// Past the limit.
    pub fn work(&self, steps: usize) -> Result<()> {
        let spent = add(&self.work, steps, MAX_WORK);
        check(spent, MAX_WORK, "steps of transformers")
    }
}

/// Adds `more`, and says how much that is now. What is past the limit already grows no further than
/// the numbers go.
fn add(spent: &AtomicUsize, more: usize, limit: usize) -> usize {
    let more = more.min(limit + 1);
    spent.fetch_add(more, Ordering::Relaxed) + more
}

/// Counts `more`.
///
/// # Errors
/// Past the limit, which the error names.
pub(super) fn spend(spent: &Cell<usize>, more: usize, limit: usize, what: &str) -> Result<()> {
    spent.set(spent.get().saturating_add(more));
    check(spent.get(), limit, what)
}

fn check(spent: usize, limit: usize, what: &str) -> Result<()> {
    if spent <= limit {
        return Ok(());
    }
    Err(Error::new(
        Reason::BudgetExceeded,
        format!("more than the limit of {limit} {what} in one render"),
    )
    .hint("split the application"))
}

/// What a tree consists of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// Keys and values.
    pub nodes: usize,
    /// Bytes of their texts.
    pub text: usize,
    /// Levels below the first.
    pub depth: usize,
}

impl Size {
    /// Of a tree.
    pub fn of(node: &Node) -> Self {
        let mut size = Self::default();
        size.add(node, 0);
        size
    }

    /// Of an object.
    pub fn of_object(object: &Mapping) -> Self {
        let mut size = Self::default();
        size.add_mapping(object, 0);
        size
    }

    /// Of objects, together.
    pub fn of_all(resources: &[Resource]) -> Self {
        let mut size = Self::default();
        for resource in resources {
            size.add_mapping(&resource.object, 0);
        }
        size
    }

    /// Of a JSON value.
    pub fn of_value(value: &Value) -> Self {
        Self::of_view(&value.into())
    }

    /// Of what a tree means.
    pub fn of_view(view: &View<'_>) -> Self {
        let mut size = Self::default();
        size.add_view(view, 0);
        size
    }

    /// About what it takes in memory.
    pub fn bytes(&self) -> usize {
        self.nodes * NODE_BYTES + self.text
    }

    fn leaf(&mut self, text: usize, depth: usize) {
        self.nodes += 1;
        self.text += text;
        self.depth = self.depth.max(depth);
    }

    fn add(&mut self, node: &Node, depth: usize) {
        match node {
            Node::Scalar(scalar) => self.leaf(scalar.text.len(), depth),
            Node::Sequence(list) => {
                self.leaf(0, depth);
                list.items.iter().for_each(|item| self.add(item, depth + 1));
            }
            Node::Mapping(mapping) => self.add_mapping(mapping, depth),
        }
    }

    fn add_mapping(&mut self, mapping: &Mapping, depth: usize) {
        self.leaf(0, depth);
        for (key, value) in &mapping.entries {
            self.leaf(key.text.len(), depth + 1);
            self.add(value, depth + 1);
            // a comment that is a schema is read each time
            if let Some(json) = key.comment() {
                self.nodes += json.len() / BYTES_PER_STEP;
            }
        }
    }

    fn add_view(&mut self, view: &View<'_>, depth: usize) {
        match view {
            View::Null | View::Bool(_) | View::Number(_) => self.leaf(1, depth),
            View::Text(text) => self.leaf(text.len(), depth),
            View::List(items) => {
                self.leaf(0, depth);
                items.iter().for_each(|item| self.add_view(item, depth + 1));
            }
            View::Map(entries) => {
                self.leaf(0, depth);
                for (key, value) in entries {
                    self.leaf(key.len(), depth + 1);
                    self.add_view(value, depth + 1);
                }
            }
        }
    }
}

/// Refuses an object that is too large for every API server: texts and the commas, colons and
/// brackets between them are no more than its JSON has.
///
/// # Errors
/// Past the limit, which the error names.
pub(super) fn check_object(object: &View<'_>) -> Result<()> {
    let size = Size::of_view(object);
    if size.text + size.nodes <= MAX_OBJECT_BYTES {
        return Ok(());
    }
    Err(Error::new(
        Reason::LimitExceeded,
        format!("the object is larger than the limit of {MAX_OBJECT_BYTES} bytes"),
    )
    .hint("no API server takes it: split it"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tree_and_its_value_have_the_same_size() {
        let value = json!({"a": ["x", "yz", {"b": "c"}], "d": {}});
        let size = Size::of_value(&value);
        assert_eq!((size.nodes, size.text, size.depth), (10, 7, 3));
        assert_eq!(Size::of(&Node::from_value(&value)), size);
        assert_eq!(Size::of_view(&View::from(&value)), size);
    }

    #[test]
    fn the_limit_is_the_last_that_passes() {
        let meter = Meter::default();
        assert!(meter.grow(MAX_GROWTH).is_ok());
        let error = meter.grow(1).expect_err("one too many").to_string();
        assert!(error.contains(&MAX_GROWTH.to_string()), "{error}");
        assert!(meter.work(usize::MAX).is_err());
    }
}
