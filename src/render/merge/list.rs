//! Lists that are merged by key, or as sets.
//!
//! This follows kustomize step by step, because its results for elements without their keys, for
//! duplicates and for lists with two keys follow from the steps and from nothing else. Elements are
//! numbered, because kustomize's lists share them: an element that is merged in one list is merged
//! in all.

use std::collections::BTreeSet;

use super::super::limits::MAX_MERGED_ELEMENTS;
use super::directive::{self, Directive};
use super::error::{Error, Problem};
use super::walk::{Outcome, Patch, Place, describe, walk};
use crate::yaml::{Items, Mapping, Node, Scalar, Sequence};

/// The number of an element.
type Id = usize;
/// The values of an element for the merge keys; empty text where a key is missing.
type Values = Vec<String>;

/// The elements of all the lists that take part.
#[derive(Debug, Default)]
pub(super) struct Elements(Vec<Option<Node>>);

/// Merges two lists of which at least one is there and is a list.
pub(super) fn merge(
    place: Place<'_>,
    target: &mut Option<Node>,
    patch: Patch,
) -> Result<Outcome, Error> {
    let line = target.as_ref().map_or(0, Node::line);
    let Some(Node::Sequence(Sequence { items, .. })) = target else {
        let Patch::Value(Node::Sequence(list)) = patch else {
            return Ok(Outcome::Cleared);
        };
        let (flow, line) = (list.flow, list.line);
        let items = combine(place, list.items, None, true)?;
        return Ok(Outcome::Replaced(Sequence { items, flow, line }.into()));
    };
    let mut patch = match patch {
        Patch::Missing => None,
        Patch::Value(Node::Sequence(list)) => Some(list),
        Patch::Value(_) => return Ok(Outcome::Cleared),
        Patch::Same => {
            if directive::take_from_list(items)? == Directive::Delete {
                return Ok(Outcome::Cleared);
            }
            *items = combine(place, std::mem::take(items), None, true)?;
            return Ok(Outcome::Kept);
        }
    };
    let directive = match &mut patch {
        Some(list) => directive::take_from_list(&mut list.items)?,
        None => Directive::Merge,
    };
    match (directive, patch) {
        (Directive::Delete, _) => Ok(Outcome::Cleared),
        (Directive::Replace, Some(list)) => {
            let items = combine(place, list.items, None, true)?;
            let replaced = Sequence {
                items,
                line,
                flow: false,
            };
            Ok(Outcome::Replaced(replaced.into()))
        }
        (_, patch) => {
            let patch = patch.map(|list| list.items);
            *items = combine(place, std::mem::take(items), patch, false)?;
            Ok(Outcome::Kept)
        }
    }
}

/// The merged elements; with `same`, the list is merged with itself.
fn combine(
    place: Place<'_>,
    target: Items,
    patch: Option<Items>,
    same: bool,
) -> Result<Items, Error> {
    let count = target.len() + patch.as_ref().map_or(0, Items::len);
    if count > MAX_MERGED_ELEMENTS {
        let path = place.path();
        return Err(Error::new(0, Problem::TooMany { path, count }));
    }
    let mut elements = Elements::default();
    let mut target = elements.add_all(target);
    let patch = patch.map(|items| elements.add_all(items));
    let keys = place.schema.merged_by(place.shape).unwrap_or_default();
    let as_set = [String::new()];
    let keys = if keys.is_empty() { &as_set } else { keys };
    let all = match &patch {
        Some(patch) => elements.all_values(&[patch, &target], keys),
        None => elements.all_values(&[&target], keys),
    };
    let all = if keys.len() > 1 { complete(all) } else { all };
    let element_place = place.below("[]", place.schema.elements(place.shape));

    let mut merged = Vec::new();
    let mut valid_keys = Vec::new();
    for values in &all {
        let valid_values;
        (valid_keys, valid_values) = given_keys(&all, values, keys);
        let (find_keys, find_values) = given_keys(
            std::slice::from_ref(&valid_values),
            &valid_values,
            &valid_keys,
        );
        let old = elements.find(&target, &find_keys, &find_values);
        let inner = match patch
            .as_ref()
            .map(|ids| elements.find(ids, &find_keys, &find_values))
        {
            _ if same => Patch::Same,
            Some(Some(id)) => elements.for_merge(id).map_or(Patch::Missing, Patch::Value),
            Some(None) | None => Patch::Missing,
        };
        let mut slot = old.and_then(|id| elements.0[id].take());
        let outcome = match slot {
            None if matches!(inner, Patch::Missing | Patch::Same) => Outcome::Cleared,
            _ => walk(element_place, &mut slot, inner)?,
        };
        if let Some(id) = old {
            elements.0[id] = slot;
        }
        let id = match outcome {
            Outcome::Kept => old,
            Outcome::Cleared => None,
            Outcome::Replaced(node) => Some(elements.add(node)),
        };
        let Some(id) = id.filter(|id| !elements.is_empty(*id)) else {
            let removed = elements.set(&mut target, None, &valid_keys, &valid_values);
            removed.map_err(|e| e.in_list(&place))?;
            continue;
        };
        elements.set_missing_keys(id, &valid_keys, &valid_values);
        let added = elements.set(&mut merged, Some(id), &valid_keys, &valid_values);
        added.map_err(|e| e.in_list(&place))?;
    }
    if !all.is_empty() {
        let appended = elements.append_all(&mut merged, &target, &valid_keys);
        appended.map_err(|e| e.in_list(&place))?;
        target = merged;
    }
    Ok(elements.take_all(&target))
}

/// The keys that some element has, with this element's values for them. Where no element has any,
/// all keys.
fn given_keys(all: &[Values], values: &[String], keys: &[String]) -> (Vec<String>, Values) {
    let mut given = BTreeSet::new();
    for element in all {
        given.extend(
            keys.iter()
                .zip(element)
                .filter(|(_, v)| !v.is_empty())
                .map(|(k, _)| k),
        );
    }
    if given.is_empty() {
        return (keys.to_vec(), values.to_vec());
    }
    let pairs = keys.iter().zip(values);
    pairs
        .filter(|(key, _)| given.contains(key))
        .map(|(k, v)| (k.clone(), v.clone()))
        .unzip()
}

/// Gives elements that agree in one key the values that the other one has.
fn complete(mut all: Vec<Values>) -> Vec<Values> {
    for i in 0..all.len() {
        let one = all[i].clone();
        for j in 0..all.len() {
            if let Some(both) = agree(&one, &all[j]) {
                all[i].clone_from(&both);
                all[j] = both;
            }
        }
    }
    all
}

/// Two sets of values that share one and differ only where one of them has none.
fn agree(one: &[String], other: &[String]) -> Option<Values> {
    let both = one
        .iter()
        .zip(other)
        .map(|(a, b)| match (a.as_str(), b.as_str()) {
            (a, b) if a == b => Some(a.to_owned()),
            ("", only) | (only, "") => Some(only.to_owned()),
            _ => None,
        });
    let both = both.collect::<Option<Values>>()?;
    one.iter().zip(other).any(|(a, b)| a == b).then_some(both)
}

/// The text that a node has as a key: none for anything but a scalar.
fn text(node: &Node) -> &str {
    node.as_scalar().map_or("", |scalar| &scalar.text)
}

fn is_empty(node: &Node) -> bool {
    node.is_null() || node.as_mapping().is_some_and(Mapping::is_empty)
}

impl Elements {
    fn add(&mut self, node: Node) -> Id {
        self.0.push(Some(node));
        self.0.len() - 1
    }

    pub(super) fn add_all(&mut self, nodes: Items) -> Vec<Id> {
        nodes.into_iter().map(|node| self.add(node)).collect()
    }

    /// The elements of a list; one that is there twice is copied.
    pub(super) fn take_all(&mut self, ids: &[Id]) -> Items {
        let mut last = vec![0; self.0.len()];
        for (at, id) in ids.iter().enumerate() {
            last[*id] = at;
        }
        let take = |(at, id): (usize, &Id)| {
            if last[*id] == at {
                self.0[*id].take()
            } else {
                self.0[*id].clone()
            }
        };
        ids.iter().enumerate().filter_map(take).collect()
    }

    /// A patch's element, which loses its directive the first time that it is merged: in lists with
    /// two keys an element can come up again.
    fn for_merge(&mut self, id: Id) -> Option<Node> {
        let node = self.0[id].clone();
        if let Some(Node::Mapping(mapping)) = &mut self.0[id] {
            // An unknown word stays and is judged by the merge itself.
            let _: Result<Directive, Error> = directive::take_from_mapping(mapping);
        }
        node
    }

    fn node(&self, id: Id) -> Option<&Node> {
        self.0[id].as_ref()
    }

    fn is_empty(&self, id: Id) -> bool {
        self.node(id).is_none_or(is_empty)
    }

    /// The values of the elements of several lists, each once, in order.
    fn all_values(&self, lists: &[&Vec<Id>], keys: &[String]) -> Vec<Values> {
        let mut seen = BTreeSet::new();
        let mut all = Vec::new();
        for node in lists
            .iter()
            .flat_map(|ids| ids.iter())
            .filter_map(|id| self.node(*id))
        {
            let value = |key: &String| match key.as_str() {
                "" => text(node).to_owned(),
                key => {
                    let value = node.get(key).filter(|v| !v.is_null());
                    value.map_or("", text).to_owned()
                }
            };
            let values: Values = keys.iter().map(value).collect();
            if seen.insert(values.clone()) {
                all.push(values);
            }
        }
        all
    }

    /// The first element with these values.
    fn find(&self, ids: &[Id], keys: &[String], values: &[String]) -> Option<Id> {
        ids.iter().copied().find(|id| {
            let Some(node) = self.node(*id) else {
                return false;
            };
            if keys.first().is_none_or(String::is_empty) {
                return text(node) == values.first().map_or("", String::as_str);
            }
            let mut pairs = keys.iter().zip(values);
            node.as_mapping().is_some()
                && pairs.all(|(key, value)| node.get(key).is_some_and(|v| text(v) == value))
        })
    }

    /// Puts an element in the place of every one with these values, or at the end; without an
    /// element, those go. Empty elements go in any case. Empty values match every element that has
    /// the key.
    ///
    /// With fewer values than keys, the last value decides for the rest; with none, everything
    /// else goes: nothing in kustomize wants that, but that is what happens.
    pub(super) fn set(
        &self,
        ids: &mut Vec<Id>,
        element: Option<Id>,
        keys: &[String],
        values: &[String],
    ) -> Result<(), Error> {
        let first = |texts: &[String]| texts.first().is_some_and(|t| !t.is_empty());
        let by_key = first(keys) && first(values);
        let mut kept = Vec::with_capacity(ids.len() + 1);
        let mut found = false;
        for id in ids.iter().copied() {
            let Some(node) = self.node(id).filter(|node| !is_empty(node)) else {
                continue;
            };
            if by_key && node.as_mapping().is_none() {
                kept.push(id);
                continue;
            }
            if matches(node, keys, values)? {
                found = true;
                kept.extend(element);
            } else if !values.is_empty() {
                kept.push(id);
            }
        }
        if !found {
            kept.extend(element.filter(|id| self.node(*id).is_some_and(|node| !node.is_null())));
        }
        *ids = kept;
        Ok(())
    }

    /// Adds the keys by which an element was found, where it does not have them.
    fn set_missing_keys(&mut self, id: Id, keys: &[String], values: &[String]) {
        let Some(mapping) = self.0[id].as_mut().and_then(Node::as_mapping_mut) else {
            return;
        };
        for (key, value) in keys.iter().zip(values) {
            if !value.is_empty() && !mapping.contains(key) {
                mapping
                    .entries
                    .push((Scalar::plain(key.as_str()), Node::plain(value.as_str())));
            }
        }
    }

    /// Puts every element of `from` into `ids`: in place of the one with the same values, or at the
    /// end.
    fn append_all(&self, ids: &mut Vec<Id>, from: &[Id], keys: &[String]) -> Result<(), Error> {
        for id in from.iter().copied() {
            let Some(node) = self.node(id) else { continue };
            if keys.first().is_none_or(String::is_empty) {
                self.set(ids, Some(id), keys, &[text(node).to_owned()])?;
                continue;
            }
            let mut values = Vec::new();
            for key in keys {
                let value = match node {
                    Node::Mapping(mapping) => mapping.get(key),
                    _ if node.is_null() => None,
                    _ => return Err(unfit(node, key)),
                };
                match value {
                    Some(value) => values.push(text(value).to_owned()),
                    None => ids.push(id),
                }
            }
            if keys.len() > 1 {
                self.set(ids, None, keys, &values)?;
            }
            self.set(ids, Some(id), keys, &values)?;
        }
        Ok(())
    }
}

/// An element that has no value for a key, or is none itself where the key is empty. Whether it is
/// the patch's or the object's is not known here, and so is its line.
fn unfit(node: &Node, key: &str) -> Error {
    let (path, key, found) = (String::new(), key.to_owned(), describe(node));
    let problem = match key.as_str() {
        "" => Problem::SetElement { path, found },
        _ => Problem::KeyedElement { path, key, found },
    };
    Error::new(0, problem)
}

/// Whether an element has these values.
fn matches(node: &Node, keys: &[String], values: &[String]) -> Result<bool, Error> {
    let mut matched = false;
    for (at, key) in keys.iter().enumerate() {
        if let Some(value) = values.get(at) {
            matched = match node {
                Node::Scalar(scalar) if key.is_empty() => scalar.text == *value,
                Node::Mapping(mapping) if !key.is_empty() => mapping
                    .get(key)
                    .is_some_and(|v| value.is_empty() || text(v) == value),
                _ => return Err(unfit(node, key)),
            };
        }
        if !matched {
            return Ok(false);
        }
    }
    Ok(matched)
}
