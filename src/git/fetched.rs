//! What a poll and a fetch found.

use std::collections::BTreeMap;

use super::error::Error;
use super::revision::Revision;
use super::target::TargetRevision;

/// What targets stand for, and what was fetched of it.
#[derive(Debug)]
pub struct Synced {
    /// For each target, the revision it stands for, whose files can be read now; or why not.
    pub revisions: BTreeMap<TargetRevision, Result<Revision, Error>>,
    /// What was fetched.
    pub fetched: Fetched,
}

/// What a fetch brought.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// How each revision follows what was fetched under its name before.
    pub advances: Vec<Advance>,
    /// Bytes received, all in all.
    pub bytes: u64,
    /// Whether a pack was transferred at all.
    pub transferred: bool,
}

/// How a revision follows the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// The revision that is current now.
    pub revision: Revision,
    /// The commit that was current under this name before, if there was one.
    pub from: Option<String>,
    /// How the two are related.
    pub kind: AdvanceKind,
}

/// How two commits under one name are related.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdvanceKind {
    /// There was none before.
    First,
    /// They are the same.
    Unchanged,
    /// The old one is an ancestor of the new one.
    Forward,
    /// The old one is not an ancestor of the new one: somebody force-pushed, moved the tag, or
    /// went back to an older commit. Also when they are so far apart that what lies between is
    /// not worth fetching.
    Rewritten,
    /// Not enough history was fetched to tell.
    Unknown,
}

impl Fetched {
    /// The reason word for a [`AdvanceKind::Rewritten`] advance. It informs; nothing fails by it.
    pub const HISTORY_REWRITTEN: &'static str = "HistoryRewritten";

    /// The advances that rewrote history.
    pub fn rewritten(&self) -> impl Iterator<Item = &Advance> {
        self.advances
            .iter()
            .filter(|advance| advance.kind == AdvanceKind::Rewritten)
    }
}
