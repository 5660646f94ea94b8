//! The walk over an object and its patch: mappings and scalars.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::super::fields::needs_quotes;
use super::super::sharing;
use super::directive::{self, Directive};
use super::error::{Error, Problem};
use super::list;
use super::schema::{Schema, ShapeId};
use crate::yaml::{Entries, Mapping, Node, Scalar, Style, Text};

/// What the patch has for a value of the object.
#[derive(Debug)]
pub(super) enum Patch {
    /// Nothing.
    Missing,
    /// A value of its own.
    Value(Node),
    /// The object's value came from the patch, and kustomize goes on to merge it with itself: that
    /// is how directives and nulls leave what a patch adds.
    Same,
}

/// What becomes of a value of the object.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It stays, changed in place.
    Kept,
    /// This one takes its place; the old value is as it was.
    Replaced(Node),
    /// It goes.
    Cleared,
}

/// The scalars that were replaced and that other fields share, with their places.
type Changes = Vec<(Vec<String>, Scalar)>;

/// Where the walk is, for errors, and what it knows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) schema: &'a Schema,
    pub(super) shape: Option<ShapeId>,
    changes: &'a RefCell<Changes>,
    parent: Option<(&'a Place<'a>, &'a str)>,
}

impl<'a> Place<'a> {
    /// The place of a field or an element below this one.
    pub(super) fn below(&'a self, name: &'a str, shape: Option<ShapeId>) -> Self {
        Place {
            schema: self.schema,
            shape,
            changes: self.changes,
            parent: Some((self, name)),
        }
    }

    /// The path, as `spec.template`.
    pub(super) fn path(&self) -> String {
        self.names().join(".")
    }

    fn names(&self) -> Vec<&'a str> {
        let mut names = Vec::new();
        let mut place = self;
        while let Some((parent, name)) = place.parent {
            names.push(name);
            place = parent;
        }
        names.reverse();
        names
    }

    /// A field below this one, with what the comment beside it says of its value.
    fn with_field<T>(
        &self,
        name: &str,
        comment: Option<&str>,
        go: impl FnOnce(Place<'_>) -> T,
    ) -> T {
        match comment.and_then(|json| self.schema.with_comment(json)) {
            Some((schema, shape)) => go(Place {
                schema: &schema,
                shape: Some(shape),
                changes: self.changes,
                parent: Some((self, name)),
            }),
            None => go(self.below(name, self.schema.field(self.shape, name))),
        }
    }
}

/// Merges two objects.
pub(super) fn objects(schema: &Schema, target: Node, patch: Node) -> Result<Option<Node>, Error> {
    let changes = RefCell::default();
    let place = Place {
        schema,
        shape: None,
        changes: &changes,
        parent: None,
    };
    let mut slot = Some(target);
    let mut merged = match walk(place, &mut slot, Patch::Value(patch))? {
        Outcome::Kept => slot,
        Outcome::Replaced(node) => Some(node),
        Outcome::Cleared => None,
    };
    // kustomize goes through the fields by name, and the last change is what all show
    let mut changes = changes.into_inner();
    changes.sort_by(|(a, _), (b, _)| a.cmp(b));
    if let Some(Node::Mapping(object)) = &mut merged {
        let changed: Vec<Scalar> = changes.into_iter().map(|(_, scalar)| scalar).collect();
        sharing::follow(object, &changed);
    }
    Ok(merged)
}

fn not_null(node: Option<&Node>) -> Option<&Node> {
    node.filter(|node| !node.is_null())
}

/// Merges the patch's value for one place of the object.
pub(super) fn walk(
    mut place: Place<'_>,
    target: &mut Option<Node>,
    patch: Patch,
) -> Result<Outcome, Error> {
    let value = if let Patch::Value(node) = &patch {
        Some(node)
    } else {
        None
    };
    let (old, new) = (not_null(target.as_ref()), not_null(value));
    if place.shape.is_none() {
        // An object inside an object, as in a template, has the merge keys of its kind.
        place.shape = [old, new].into_iter().flatten().find_map(|node| {
            let (api_version, kind) = (node.text_at(&["apiVersion"])?, node.text_at(&["kind"])?);
            place.schema.of_kind(api_version, kind)
        });
    }
    if let (Some(old), Some(new)) = (old, new) {
        let (target, patch) = (describe(old), describe(new));
        if target != patch {
            let path = place.path();
            return Err(Error::new(
                new.line(),
                Problem::KindMismatch {
                    path,
                    patch,
                    target,
                },
            ));
        }
    }
    match old.or(new) {
        Some(Node::Mapping(_)) | None => mappings(place, target, patch),
        Some(Node::Scalar(_)) => {
            if let (Some(Node::Scalar(scalar)), Patch::Missing | Patch::Same) = (target, &patch) {
                quote(scalar);
            }
            Ok(replace(patch))
        }
        Some(Node::Sequence(_)) if place.schema.merged_by(place.shape).is_some() => {
            list::merge(place, target, patch)
        }
        Some(Node::Sequence(_)) => Ok(replace(patch)),
    }
}

/// The name of a node's kind in messages.
pub(super) fn describe(node: &Node) -> &'static str {
    match node {
        Node::Scalar(_) => "scalar",
        Node::Sequence(_) => "list",
        Node::Mapping(_) => "mapping",
    }
}

fn replace(patch: Patch) -> Outcome {
    match patch {
        Patch::Missing | Patch::Same => Outcome::Kept,
        Patch::Value(node) => Outcome::Replaced(node),
    }
}

/// A string that only its tag makes one gets quotes when a patch passes by, and what replaces it then
/// has them too.
fn quote(scalar: &mut Scalar) {
    let is_tagged = scalar.style == Style::Plain && scalar.tag() == Some("!!str");
    if is_tagged && needs_quotes(&scalar.text) {
        scalar.style = Style::DoubleQuoted;
        scalar.set_tag(None);
    }
}

fn mappings(place: Place<'_>, target: &mut Option<Node>, patch: Patch) -> Result<Outcome, Error> {
    let Some(Node::Mapping(mapping)) = target else {
        return add(place, target.as_ref(), patch);
    };
    let mut value = match patch {
        Patch::Missing => None,
        Patch::Value(Node::Mapping(mapping)) => Some(mapping),
        Patch::Value(_) => return Ok(Outcome::Cleared),
        Patch::Same => {
            return Ok(match directive::take_from_mapping(mapping)? {
                Directive::Delete => Outcome::Cleared,
                _ => {
                    fields(place, mapping, None, true)?;
                    Outcome::Kept
                }
            });
        }
    };
    let directive = value
        .as_mut()
        .map_or(Ok(Directive::Merge), directive::take_from_mapping)?;
    match (directive, value) {
        (Directive::Delete, _) => Ok(Outcome::Cleared),
        (Directive::Replace, Some(mut value)) => {
            fields(place, &mut value, None, true)?;
            Ok(Outcome::Replaced(value.into()))
        }
        (_, value) => {
            fields(place, mapping, value, false)?;
            Ok(Outcome::Kept)
        }
    }
}

/// Nothing but null in the object.
fn add(place: Place<'_>, target: Option<&Node>, patch: Patch) -> Result<Outcome, Error> {
    match patch {
        Patch::Value(Node::Mapping(mut mapping)) => {
            // An unknown word is no error here, and stays.
            if let Ok(Directive::Delete) = directive::take_from_mapping(&mut mapping) {
                return Ok(Outcome::Cleared);
            }
            fields(place, &mut mapping, None, true)?;
            Ok(Outcome::Replaced(mapping.into()))
        }
        // `key: null` is kept, a key with nothing behind it is not.
        Patch::Missing => Ok(match target.and_then(Node::as_scalar) {
            Some(scalar) if !scalar.text.is_empty() => Outcome::Kept,
            _ => Outcome::Cleared,
        }),
        Patch::Value(_) | Patch::Same => Ok(Outcome::Cleared),
    }
}

/// Merges field by field; with `same`, every field with itself.
fn fields(
    place: Place<'_>,
    target: &mut Mapping,
    patch: Option<Mapping>,
    same: bool,
) -> Result<(), Error> {
    // Of a key that is there twice the first counts.
    let entries = patch.unwrap_or_default().entries.into_iter().rev();
    let mut patch: BTreeMap<Text, (Scalar, Node)> = entries
        .map(|(key, value)| (key.text.clone(), (key, value)))
        .collect();
    let mut merged = Entries::with_capacity(target.len() + patch.len());
    for (mut key, value) in std::mem::take(&mut target.entries) {
        let (new_key, inner) = match patch.remove(&key.text) {
            Some((new_key, value)) => (Some(new_key), Patch::Value(value)),
            None if same => (None, Patch::Same),
            None => (None, Patch::Missing),
        };
        let new_key = new_key.filter(|key| key.comment().is_some());
        let comment = key.comment().or(new_key.as_ref().and_then(Scalar::comment));
        if let Some(value) = field(place, &key.text, comment, Some(value), inner)? {
            if let Some(new_key) = new_key {
                key.set_tag(new_key.tag());
            }
            merged.push((key, value));
        }
    }
    for (name, (key, value)) in patch {
        if let Some(value) = field(place, &name, key.comment(), None, Patch::Value(value))? {
            merged.push((new_key(key), value));
        }
    }
    target.entries = merged;
    Ok(())
}

/// What a field is after the merge; none where it goes.
fn field(
    place: Place<'_>,
    name: &str,
    comment: Option<&str>,
    value: Option<Node>,
    patch: Patch,
) -> Result<Option<Node>, Error> {
    let mut slot = value;
    let outcome = place.with_field(name, comment, |place| walk(place, &mut slot, patch))?;
    Ok(match (outcome, slot) {
        (Outcome::Cleared, _) => None,
        (Outcome::Kept, slot) => slot,
        (Outcome::Replaced(node), _) if node.is_null() => None,
        (Outcome::Replaced(Node::Scalar(new)), Some(Node::Scalar(old))) => {
            let new = with_style_of(&old, new);
            if new.shared != 0 {
                let names = place.names().into_iter().chain([name]);
                let names = names.map(str::to_owned).collect();
                place.changes.borrow_mut().push((names, new.clone()));
            }
            Some(new.into())
        }
        (Outcome::Replaced(node), _) => Some(node),
    })
}

/// A key that the patch adds keeps its style, not its tag.
fn new_key(mut key: Scalar) -> Scalar {
    if key.comment().is_none() {
        key.set_tag(None);
    }
    key
}

/// A scalar in the style of the one it replaces: `5` over `"4"` is the string `"5"`, while a quoted
/// `"5"` over `4` stays a string too.
fn with_style_of(old: &Scalar, mut new: Scalar) -> Scalar {
    match (new.tag(), old.style == Style::Plain) {
        (None, true) if new.style != Style::Plain => new.set_tag(Some("!!str")),
        // In quotes these say no more than the text does.
        (Some("!!int" | "!!float" | "!!bool" | "!!null" | "!!timestamp"), false) => {
            new.set_tag(None);
        }
        _ => {}
    }
    new.style = old.style;
    new.shared = old.shared;
    new
}
