//! What can go wrong in a render: the repository's mistakes, each with its place, and the one thing
//! that is not a mistake, a store that cannot be read.

use crate::error::{Class, Diagnostic, Diagnostics, Fault};
use crate::tree::ReadError;

/// The word that names a mistake in conditions, events and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Anything that `kustomize build` refuses too and that has no word of its own.
    RenderFailed,
    /// A field that a kustomization does not have.
    UnknownField,
    /// A path that leaves the directory it must stay in.
    PathEscape,
    /// A file or directory that is not there.
    PathNotFound,
    /// A resource or base behind a URL.
    RemoteBaseForbidden,
    /// A plugin, function or chart: code that a render would have to run.
    PluginsForbidden,
    /// A kustomization that includes itself.
    Cycle,
    /// Kustomizations nested deeper than [`super::limits::MAX_DEPTH`].
    TooDeep,
    /// A file that is not YAML.
    YamlInvalid,
    /// One of [`super::limits`].
    LimitExceeded,
    /// One of them that is for the render as a whole, and not for any object of it: the same word.
    BudgetExceeded,
    /// More than one kustomization file in a directory.
    Ambiguous,
}

impl Reason {
    /// The word itself.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RenderFailed => "RenderFailed",
            Self::UnknownField => "UnknownField",
            Self::PathEscape => "PathEscape",
            Self::PathNotFound => "PathNotFound",
            Self::RemoteBaseForbidden => "RemoteBaseForbidden",
            Self::PluginsForbidden => "PluginsForbidden",
            Self::Cycle => "Cycle",
            Self::TooDeep => "TooDeep",
            Self::YamlInvalid => "YamlInvalid",
            Self::LimitExceeded | Self::BudgetExceeded => "LimitExceeded",
            Self::Ambiguous => "AmbiguousKustomization",
        }
    }
}

/// Why there is nothing rendered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Mistakes in the repository: a person must change it.
    #[error("{diagnostics}")]
    Mistake {
        /// The first mistake's word.
        reason: Reason,
        /// Every mistake found, with its place.
        diagnostics: Diagnostics,
    },
    /// The files could not be read, which says nothing about what they hold.
    #[error("reading `{path}`")]
    Unreadable {
        /// The path, relative to the root of the repository.
        path: String,
        /// What the store said.
        #[source]
        source: ReadError,
    },
}

/// What most functions of this folder return.
pub(super) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A mistake whose place is added on the way up.
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self::Mistake {
            reason,
            diagnostics: Diagnostic::new("", message).into(),
        }
    }

    /// A mistake that `kustomize build` refuses too, without a word of its own.
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::new(Reason::RenderFailed, message)
    }

    /// The same, with what to do about it.
    #[must_use]
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        self.each(|diagnostic| {
            diagnostic.hint.get_or_insert_with(|| hint.clone());
        })
    }

    /// The same, in `path`; a file that is known already stays.
    #[must_use]
    pub(super) fn within(self, path: &str) -> Self {
        self.each(|diagnostic| {
            if diagnostic.path.is_empty() {
                diagnostic.path = path.to_owned();
            }
        })
    }

    /// The same, at `line` of a file that is added later; a line that is known already stays.
    #[must_use]
    pub(super) fn on_line(self, line: u32) -> Self {
        self.each(|diagnostic| {
            if line > 0 && diagnostic.path.is_empty() && diagnostic.line.is_none() {
                diagnostic.line = Some(line);
            }
        })
    }

    /// The same, about an object.
    #[must_use]
    pub(super) fn about(self, object: impl std::fmt::Display) -> Self {
        let object = object.to_string();
        self.each(|diagnostic| {
            diagnostic.object.get_or_insert_with(|| object.clone());
        })
    }

    /// Whether all objects together are too much for one render, so that none of them is at fault.
    pub(super) fn is_of_all(&self) -> bool {
        matches!(
            self,
            Self::Mistake {
                reason: Reason::BudgetExceeded,
                ..
            }
        )
    }

    /// The mistakes, or none where the store failed.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Mistake { diagnostics, .. } => &diagnostics.0,
            Self::Unreadable { .. } => &[],
        }
    }

    fn each(mut self, change: impl Fn(&mut Diagnostic)) -> Self {
        if let Self::Mistake { diagnostics, .. } = &mut self {
            diagnostics.0.iter_mut().for_each(change);
        }
        self
    }
}

impl Fault for Error {
    fn class(&self) -> Class {
        match self {
            Self::Mistake { .. } => Class::Stalled,
            Self::Unreadable { .. } => Class::Retry,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Mistake { reason, .. } => reason.as_str(),
            Self::Unreadable { .. } => "TreeUnreadable",
        }
    }
}
