//! What is remembered of a hook: in which run of which revision it began, and how it ended.
//!
//! A hook that succeeded may be deleted at once, by its own policy or by a TTL. So the record stays
//! where the object does not: without it an agent that starts anew would run the hook again.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// When in a sync a hook runs, in Argo CD's words and in the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Before anything of the revision is applied.
    PreSync,
    /// With the objects of its wave.
    Sync,
    /// When everything is applied and healthy.
    PostSync,
    /// When the sync failed.
    SyncFail,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::PreSync, Self::Sync, Self::PostSync, Self::SyncFail];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreSync => "PreSync",
            Self::Sync => "Sync",
            Self::PostSync => "PostSync",
            Self::SyncFail => "SyncFail",
        }
    }

    /// The phase of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == word)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How a hook ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It did what it is for.
    Succeeded,
    /// It did not.
    Failed {
        /// When that was seen, in seconds since the epoch: the next try is counted from here.
        at: i64,
        /// In its own words.
        message: String,
    },
}

/// A hook that was begun and whose end has not been seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    /// In which phase.
    pub phase: Phase,
    /// Until when a newer revision waits for it, in seconds since the epoch.
    pub deadline: i64,
}

/// One hook in the newest run that it takes part in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookRun {
    /// The first 16 hex digits of the revision's digest: the identity of the run.
    pub digest: String,
    /// The first hex digits of its commit, for people.
    pub commit: String,
    /// Of the request that made the revision run once more; empty without one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub token: String,
    /// How each phase ended.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ended: BTreeMap<Phase, Outcome>,
    /// What has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<Running>,
    /// How often the last phase was tried.
    pub attempts: u32,
}

impl HookRun {
    /// A run in which nothing was begun.
    pub fn new(digest: &str, commit: &str, token: &str) -> Self {
        Self {
            digest: digest.into(),
            commit: commit.into(),
            token: token.into(),
            ended: BTreeMap::new(),
            running: None,
            attempts: 0,
        }
    }

    /// Notes that `phase` begins: the first try, or the next one after a failure. One that was
    /// written down and never created is the same try.
    pub fn begin(&mut self, phase: Phase, deadline: i64) {
        let never_created = self.running.as_ref().is_some_and(|r| r.phase == phase);
        self.attempts = match self.ended.remove(&phase) {
            Some(Outcome::Failed { .. }) => self.attempts + 1,
            _ if never_created => self.attempts,
            _ => 1,
        };
        self.running = Some(Running { phase, deadline });
    }

    /// Notes how what was running ended.
    pub fn end(&mut self, outcome: Outcome) {
        if let Some(running) = self.running.take() {
            self.ended.insert(running.phase, outcome);
        }
    }

    /// The mark of the running phase, written on the hook's object: a record that was lost is made
    /// anew from it.
    pub fn mark(&self) -> Option<String> {
        let phase = self.running.as_ref()?.phase;
        Some(format!(
            "{}/{}/{}/{phase}/{}",
            self.digest, self.commit, self.token, self.attempts
        ))
    }

    /// The record of an object with this mark, as if its end had not been seen.
    pub fn from_mark(mark: &str, deadline: i64) -> Option<Self> {
        let mut parts = mark.split('/');
        let mut next = || parts.next();
        let (digest, commit, token) = (next()?, next()?, next()?);
        let (phase, attempts) = (Phase::parse(next()?)?, next()?.parse().ok()?);
        let mut run = Self::new(digest, commit, token);
        run.attempts = attempts;
        run.running = Some(Running { phase, deadline });
        Some(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_made_anew_from_the_mark_of_its_object() {
        let mut run = HookRun::new("0123456789abcdef", "0a1b2c3d", "");
        assert_eq!(run.mark(), None, "nothing runs");
        run.begin(Phase::PostSync, 60);
        let mark = run.mark().expect("it runs");
        assert_eq!(mark, "0123456789abcdef/0a1b2c3d//PostSync/1");
        assert_eq!(HookRun::from_mark(&mark, 60), Some(run));
        for junk in ["", "a/b", "a/b/c/Never/1", "a/b/c/Sync/x", "////"] {
            assert_eq!(HookRun::from_mark(junk, 60), None, "{junk}");
        }
    }

    #[test]
    fn tries_are_counted_by_failures_and_not_by_crashes() {
        let mut run = HookRun::new("d", "c", "");
        run.begin(Phase::PreSync, 60);
        run.begin(Phase::PreSync, 70);
        assert_eq!(run.attempts, 1, "it was written down and never created");
        let message = String::new();
        run.end(Outcome::Failed { at: 5, message });
        run.begin(Phase::PreSync, 80);
        run.begin(Phase::PreSync, 90);
        assert_eq!(run.attempts, 2);
        run.end(Outcome::Succeeded);
        run.begin(Phase::PostSync, 90);
        assert_eq!(run.attempts, 1, "another phase");
    }
}
