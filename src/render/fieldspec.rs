//! Field specs: which field of which kind a transformer touches, as kustomize's built-in tables and
//! `configurations:` files write it.

use std::rc::Rc;

use super::error::{Error, Reason, Result};
use super::identity::{KindRef, is_selected};
use super::limits::MAX_FIELD_SPECS;
use super::order::Ranks;
use crate::object::Gvk;

/// One field of the kinds that it selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FieldSpec {
    /// The kinds meant; an empty part means any.
    pub gvk: Gvk,
    /// Names separated by `/` (`\/` is a slash in a name). Lists are walked through on their own;
    /// `name[]` demands one.
    pub path: String,
    /// The names of the path.
    pub segments: Vec<String>,
    /// Whether a missing field is created.
    pub create: bool,
}

impl FieldSpec {
    /// For the kinds that `gvk` selects.
    pub fn new(gvk: Gvk, path: String, create: bool) -> Self {
        Self {
            gvk,
            segments: split_path(&path, '/'),
            path,
            create,
        }
    }

    /// For every kind.
    pub fn any(path: &str, create: bool) -> Self {
        Self::new(any_kind(), path.to_owned(), create)
    }

    fn is_same_field(&self, other: &Self) -> bool {
        is_selected(&self.gvk, &other.gvk) && self.path == other.path
    }
}

/// The specs that are for one kind, kept for each kind that was asked for: a build has many objects
/// of few kinds.
#[derive(Debug)]
pub(super) struct ByKind<'a> {
    specs: &'a [FieldSpec],
    known: Vec<(Gvk, Rc<[&'a FieldSpec]>)>,
}

impl<'a> ByKind<'a> {
    /// Of all `specs`.
    pub fn new(specs: &'a [FieldSpec]) -> Self {
        let known = Vec::new();
        Self { specs, known }
    }

    /// The specs for one kind, in their order.
    pub fn of(&mut self, kind: KindRef<'_>) -> Rc<[&'a FieldSpec]> {
        if let Some((_, found)) = self.known.iter().find(|(known, _)| kind == known.into()) {
            return found.clone();
        }
        let selected = self.specs.iter().filter(|spec| kind.is_selected(&spec.gvk));
        let found: Rc<[_]> = selected.collect();
        self.known.push((kind.to_gvk(), found.clone()));
        found
    }
}

/// The selector that takes any kind.
pub(super) fn any_kind() -> Gvk {
    Gvk::new("", "", "")
}

/// Whether one more may be added to a list of `len`.
///
/// # Errors
/// Where it is as long as it may be.
pub(super) fn check_room(len: usize) -> Result<()> {
    if len < MAX_FIELD_SPECS {
        return Ok(());
    }
    Err(Error::new(
        Reason::LimitExceeded,
        format!("there are more than {MAX_FIELD_SPECS} field specs for one transformer"),
    ))
}

/// Adds `spec` unless the list has it already.
///
/// # Errors
/// Where the two say different things about creating the field.
pub(super) fn merge_one(specs: &mut Vec<FieldSpec>, spec: &FieldSpec) -> Result<()> {
    match specs.iter().find(|have| have.is_same_field(spec)) {
        Some(have) if have.create != spec.create => Err(Error::failed(format!(
            "conflicting field specs for `{}`: one says `create: true`, one does not",
            spec.path
        ))),
        Some(_) => Ok(()),
        None => {
            check_room(specs.len())?;
            specs.push(spec.clone());
            Ok(())
        }
    }
}

/// Adds every one of `incoming` that is new.
///
/// # Errors
/// As [`merge_one`].
pub(super) fn merge_all(specs: &mut Vec<FieldSpec>, incoming: &[FieldSpec]) -> Result<()> {
    incoming.iter().try_for_each(|spec| merge_one(specs, spec))
}

/// Sorts by kind as kustomize does: specs for particular kinds in the legacy order.
pub(super) fn sort(specs: &mut [FieldSpec]) {
    let ranks = Ranks::default();
    specs.sort_by(|a, b| ranks.compare_plain(&a.gvk, &b.gvk));
}

/// Splits a path at `delimiter`; a backslash in front of it takes its meaning away. One delimiter in
/// front of everything is allowed.
pub(super) fn split_path(path: &str, delimiter: char) -> Vec<String> {
    let mut parts = path.split(delimiter).peekable();
    let mut first = parts.next().unwrap_or_default();
    if first.is_empty()
        && let Some(second) = parts.next()
    {
        first = second;
    }
    let mut names = vec![first.to_owned()];
    for part in parts {
        let last = names.last_mut().expect("it starts with one name");
        if last.ends_with('\\') {
            last.pop();
            last.push(delimiter);
            last.push_str(part);
        } else {
            names.push(part.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backslash_keeps_the_delimiter_in_the_name() {
        let path = r"metadata/annotations/ingress.kubernetes.io\/auth-secret";
        assert_eq!(
            split_path(path, '/'),
            [
                "metadata",
                "annotations",
                "ingress.kubernetes.io/auth-secret"
            ]
        );
        assert_eq!(split_path("/a/b", '/'), ["a", "b"]);
        assert_eq!(split_path("", '/'), [""]);
    }
}
