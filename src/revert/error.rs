//! Why a revision cannot be taken back in Git.

use super::Conflict;
use crate::error::{Class, Fault};
use crate::git;
use crate::status::short;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The repository cannot be read, or pushed to.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// Somebody changed a file again.
    #[error(
        "reverting {}: {conflict}, and is left alone; revert by hand, or commit a fix",
        short(bad)
    )]
    Conflict {
        /// The file.
        conflict: Conflict,
        /// The commit that was to be reverted.
        bad: String,
    },
    /// One of the commits does not come after the other: the branch is another one, or its history
    /// was rewritten.
    #[error(
        "{} is not in the history of {}: the branch is another one, or was force-pushed; nothing \
         is put back on it, revert by hand, or commit a fix",
        short(older),
        short(newer)
    )]
    Unrelated {
        /// The commit that should be the older one.
        older: String,
        /// The commit that should come after it.
        newer: String,
    },
    /// Too little of the history can be had to tell what would be taken back.
    #[error(
        "the history between {} and {} is not known (it is too long, or the clone is a shallow \
         one), so that nobody can tell what would be taken back; revert by hand, or commit a fix",
        short(older),
        short(head)
    )]
    HistoryUnknown {
        /// The commit that is not found in it.
        older: String,
        /// The newest commit.
        head: String,
    },
    /// It would take back what towline wrote itself.
    #[error(
        "{} is a commit that towline wrote itself, and is not taken back again: another \
         Application or cluster does not work with what came before; commit a fix that works with \
         all of them",
        short(commit)
    )]
    Own {
        /// The commit.
        commit: String,
    },
    /// One of the revisions cannot be rendered.
    #[error("rendering {what} to revert: {why}; revert by hand")]
    Unrenderable {
        /// The commit, or `the revert`.
        what: String,
        /// Why not.
        why: String,
    },
    /// What it renders to is not what was good.
    #[error(
        "the revert would not render to what {} was, because something else changed since; \
         revert by hand, or commit a fix",
        short(good)
    )]
    Different {
        /// The good commit.
        good: String,
    },
    /// The source stands still, so that no commit on a branch changes what is deployed.
    #[error(
        "targetRevision `{revision}` is {what}, which a commit does not move: nothing is written \
         back; let it name another one, or set spec.rollback.writeBack to Branch"
    )]
    Pinned {
        /// As the Application has it.
        revision: String,
        /// What that is.
        what: &'static str,
    },
}

impl Fault for Error {
    fn class(&self) -> Class {
        match self {
            Self::Git(error) => error.class(),
            _ => Class::Stalled,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Git(error) => error.reason(),
            Self::Conflict { .. } => "RevertConflict",
            Self::Unrelated { .. } | Self::HistoryUnknown { .. } => "RevertUnrelated",
            Self::Own { .. } | Self::Unrenderable { .. } | Self::Different { .. } => {
                "RevertImpossible"
            }
            Self::Pinned { .. } => "SourcePinned",
        }
    }
}
