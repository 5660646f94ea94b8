//! Why a patch does not fit.

use super::walk::Place;
use crate::error::{Class, Fault};

/// A patch that cannot be merged into an object, with the line of the patch where it is to blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct Error {
    /// The line, from 1, where it is known.
    pub line: Option<u32>,
    /// What does not fit.
    pub problem: Problem,
}

/// What does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Two kinds of value for one field.
    #[error("cannot merge a {patch} into the {target} at `{path}`")]
    KindMismatch {
        /// The field, as `spec.template`.
        path: String,
        /// What the patch has.
        patch: &'static str,
        /// What the object has.
        target: &'static str,
    },
    /// A word that `$patch` does not know.
    #[error("unknown `$patch: {0}`: it must be `delete`, `replace` or `merge`")]
    UnknownDirective(String),
    /// An element of a keyed list that has no keys, in the patch or in the object.
    #[error("the list at `{path}` is merged by `{key}`, but an element is a {found}")]
    KeyedElement {
        /// The field, as `spec.template.spec.containers`.
        path: String,
        /// The merge key.
        key: String,
        /// What the element is.
        found: &'static str,
    },
    /// An element that is no scalar in a list that is merged as a set.
    #[error("the list at `{path}` is merged as a set, but an element is a {found}")]
    SetElement {
        /// The field, as `metadata.finalizers`.
        path: String,
        /// What the element is.
        found: &'static str,
    },
    /// A list that would take for ever.
    #[error("the list at `{path}` has {count} elements, too many to merge by key")]
    TooMany {
        /// The field, as `spec.template.spec.containers`.
        path: String,
        /// How many there are.
        count: usize,
    },
}

impl Error {
    /// `problem`, at `line` (from 1; 0 where it is not known).
    pub(super) fn new(line: u32, problem: Problem) -> Self {
        Self {
            line: (line > 0).then_some(line),
            problem,
        }
    }

    /// The same, of an element of the list at `place`.
    pub(super) fn in_list(mut self, place: &Place<'_>) -> Self {
        if let Problem::KeyedElement { path, .. } | Problem::SetElement { path, .. } =
            &mut self.problem
        {
            *path = place.path();
        }
        self
    }
}

impl Fault for Error {
    /// The patch or the object has to change in Git.
    fn class(&self) -> Class {
        Class::Stalled
    }

    fn reason(&self) -> &'static str {
        "PatchFailed"
    }
}
