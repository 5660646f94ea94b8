//! What a pass did, in numbers.

use std::collections::BTreeMap;
use std::fmt;

use crate::inventory::Phase;
use crate::plan::Action;

/// How many objects each action changed in one pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    counts: BTreeMap<Action, usize>,
}

impl Summary {
    /// Counts one object.
    pub fn count(&mut self, action: Action) {
        *self.counts.entry(action).or_default() += 1;
    }

    /// Adds what another pass did.
    pub fn absorb(&mut self, other: Self) {
        for (action, count) in other.counts {
            *self.counts.entry(action).or_default() += count;
        }
    }

    /// How many objects an action changed.
    pub fn of(&self, action: Action) -> usize {
        self.counts.get(&action).copied().unwrap_or_default()
    }

    /// How many objects the roll-forward changed: everything but healing.
    pub fn rolled_forward(&self) -> usize {
        self.counts
            .iter()
            .filter(|(a, _)| **a != Action::Heal)
            .map(|(_, n)| n)
            .sum()
    }
}

impl fmt::Display for Summary {
    /// `2 created, 1 updated, 1 pruned`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (action, count) in &self.counts {
            let word = match action {
                Action::Heal => "healed",
                Action::Create => "created",
                Action::Adopt => "adopted",
                Action::Update => "updated",
                Action::Recreate => "created anew",
                Action::Prune => "pruned",
                Action::Abandon => "abandoned",
                Action::RunHook(Phase::PreSync) => "PreSync hooks run",
                Action::RunHook(Phase::Sync) => "Sync hooks run",
                Action::RunHook(Phase::PostSync) => "PostSync hooks run",
                Action::RunHook(Phase::SyncFail) => "SyncFail hooks run",
                Action::DeleteHook => "hooks deleted",
            };
            if !std::mem::take(&mut first) {
                f.write_str(", ")?;
            }
            write!(f, "{count} {word}")?;
        }
        if first {
            f.write_str("nothing changed")
        } else {
            Ok(())
        }
    }
}
