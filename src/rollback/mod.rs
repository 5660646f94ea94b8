//! When a revision is taken back, and to which one; when it is trusted. Pure: what is remembered is
//! [`RollbackStatus`], which is part of the Application's status, and time is an argument.
//!
//! A revision is on trial from its first write until it has been Healthy for its monitoring time.
//! Then it is good: what is gone back to. One that fails in between goes into quarantine by the
//! digest of its objects, so that neither a poll nor a restart nor another commit with the same
//! objects brings it back.

mod breaker;
mod unrest;

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub use breaker::Breaker;
use unrest::Unrest;
pub use unrest::Workload;

use crate::api::{
    HistoryEntry, Quarantined, RevisionId, RollbackPolicy, RollbackStatus, Trial, outcome,
};
use crate::object::ObjectId;

/// Within this time before its first write the revision before must have been healthy, in seconds:
/// what was sick anyway is not the doing of the new one.
const HEALTHY_WITHIN: i64 = 3600;
/// How many revisions stay in quarantine.
const QUARANTINE_LIMIT: usize = 10;

/// What a pass found of the revision that the cluster is brought to.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Its commit.
    pub revision: String,
    /// The digest of its objects.
    pub digest: String,
    /// Something of it is written.
    pub began: bool,
    /// All of it is written.
    pub applied: bool,
    /// Every object is healthy.
    pub healthy: bool,
    /// What is waited for is nobody's failure: a person, another Application, a hook that runs, an
    /// API server that does not answer.
    pub waits: bool,
    /// Objects that this revision changed and that are Degraded, with what they say.
    pub sick: BTreeMap<ObjectId, (String, String)>,
    /// Workloads that this revision changed.
    pub workloads: BTreeMap<ObjectId, Workload>,
    /// What ended the sync for good: reason and message.
    pub failed: Option<(String, String)>,
    /// Why it is not healthy yet, where that has to do with what it changed.
    pub unready: Option<String>,
    /// It was healthy once before.
    pub is_revert: bool,
    /// When the Application was Healthy last, in seconds since the epoch.
    pub last_healthy: Option<i64>,
    /// The time, in seconds since the epoch.
    pub now: i64,
}

/// What is done about the revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet; to be asked again at this time, in seconds since the epoch.
    Wait(Option<i64>),
    /// It is good.
    Trust,
    /// It goes.
    Back(Cause),
    /// It fails, and stays all the same.
    Stay {
        /// What fails.
        cause: Cause,
        /// Why it stays.
        why: &'static str,
    },
}

/// Why a revision does not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// One CamelCase word.
    pub reason: String,
    /// The object, and what it says.
    pub message: String,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}

/// What is remembered between two looks at a revision, and not after a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watchman {
    /// Since when objects are Degraded, in seconds since the epoch.
    sick_since: BTreeMap<ObjectId, i64>,
    /// Of the revision on trial.
    unrest: Unrest,
    waited: bool,
}

impl Watchman {
    /// Judges the revision in `facts`.
    pub fn judge(
        &mut self,
        state: &mut RollbackStatus,
        facts: &Facts,
        policy: RollbackPolicy,
    ) -> Verdict {
        self.sick_since.retain(|id, _| facts.sick.contains_key(id));
        for id in facts.sick.keys() {
            self.sick_since.entry(id.clone()).or_insert(facts.now);
        }
        if let Some(good) = state.good.as_mut()
            && good.digest == facts.digest
        {
            // The newest commit of this revision is the one that people know.
            if facts.applied {
                good.revision.clone_from(&facts.revision);
            }
            state.trial = None;
            return Verdict::Wait(None);
        }
        let is_on_trial = state
            .trial
            .as_ref()
            .is_some_and(|t| t.digest == facts.digest);
        if !is_on_trial {
            self.unrest = Unrest::default();
        }
        let Some(trial) = begin(state, facts) else {
            return Verdict::Wait(None);
        };
        self.unrest.see(&facts.workloads, facts.now);
        let now = time(facts.now);
        if facts.healthy && facts.applied {
            self.waited = false;
            // Where nothing better is known, what is Healthy all the same is trusted in the end.
            if let Some(cause) = self.unrest.restarts(policy, facts.now)
                && may_go_back(state).is_ok()
            {
                return Verdict::Back(cause);
            }
            let Some(trial) = state.trial.as_mut() else {
                return Verdict::Wait(None);
            };
            let since = seconds(trial.healthy_since.get_or_insert(now.clone()));
            let monitor = if trial.revert {
                0
            } else {
                whole(policy.monitor)
            };
            let until = since.saturating_add(monitor);
            return if facts.now >= until {
                Verdict::Trust
            } else {
                Verdict::Wait(Some(until))
            };
        }
        let was_healthy = trial.healthy_since.take().is_some();
        let waited = std::mem::replace(&mut self.waited, facts.waits);
        if was_healthy || (waited && !facts.waits) {
            trial.since = now;
        }
        let deadline = seconds(&trial.since).saturating_add(whole(policy.timeout));
        match self.cause(facts, policy, deadline) {
            Ok(cause) => hindrance(state, cause),
            Err(next) => Verdict::Wait(next),
        }
    }

    /// Why the revision does not work; or when to look again.
    fn cause(
        &self,
        facts: &Facts,
        policy: RollbackPolicy,
        deadline: i64,
    ) -> Result<Cause, Option<i64>> {
        if let Some((reason, message)) = &facts.failed {
            return Ok(Cause {
                reason: reason.clone(),
                message: message.clone(),
            });
        }
        let first = self.sick_since.iter().min_by_key(|(_, since)| **since);
        let due = first.map(|(id, since)| (id, since.saturating_add(whole(policy.grace))));
        if let Some((id, due)) = due
            && due <= facts.now
            && let Some((reason, message)) = facts.sick.get(id)
        {
            return Ok(Cause {
                reason: reason.clone(),
                message: format!("{id}: {message}"),
            });
        }
        let unrest = self.unrest.restarts(policy, facts.now);
        if let Some(cause) = unrest.or_else(|| self.unrest.falls(policy)) {
            return Ok(cause);
        }
        if facts.waits {
            return Err(due.map(|(_, due)| due));
        }
        match &facts.unready {
            Some(unready) if facts.now >= deadline => Ok(Cause {
                reason: "NotHealthyInTime".into(),
                message: format!("not healthy after {:?}: {unready}", policy.timeout),
            }),
            Some(_) => Err(due.map(|(_, due)| due).into_iter().chain([deadline]).min()),
            None => Err(due.map(|(_, due)| due)),
        }
    }
}

/// The trial of the revision in `facts`, which begins with its first write.
fn begin<'a>(state: &'a mut RollbackStatus, facts: &Facts) -> Option<&'a mut Trial> {
    if state
        .trial
        .as_ref()
        .is_none_or(|t| t.digest != facts.digest)
    {
        if !facts.began {
            return None;
        }
        let recently = |at: i64| facts.now.saturating_sub(at) <= HEALTHY_WITHIN;
        // One that is replaced before it was trusted came after the same good one.
        let inherits = state
            .trial
            .as_ref()
            .is_some_and(|trial| trial.after_healthy);
        state.trial = Some(Trial {
            revision: facts.revision.clone(),
            digest: facts.digest.clone(),
            since: time(facts.now),
            healthy_since: None,
            after_healthy: inherits || facts.last_healthy.is_some_and(recently),
            revert: facts.is_revert,
        });
    }
    state.trial.as_mut()
}

/// Goes back, unless that would lead nowhere better.
fn hindrance(state: &RollbackStatus, cause: Cause) -> Verdict {
    match may_go_back(state) {
        Ok(()) => Verdict::Back(cause),
        Err(why) => Verdict::Stay { cause, why },
    }
}

/// Whether going back would lead to something better.
fn may_go_back(state: &RollbackStatus) -> Result<(), &'static str> {
    match (&state.good, &state.trial) {
        (None, _) => Err("no earlier revision was healthy"),
        (Some(_), Some(trial)) if !trial.after_healthy => {
            Err("the revision before was not healthy either in the hour before")
        }
        _ => Ok(()),
    }
}

/// The revision on trial has proved itself. Returns whether something changed.
pub fn trust(state: &mut RollbackStatus) -> bool {
    let Some(trial) = state.trial.take() else {
        return false;
    };
    state.good = Some(RevisionId {
        revision: trial.revision,
        digest: trial.digest,
    });
    true
}

/// Puts a revision into quarantine, and notes that it was gone back from.
pub fn take_back(state: &mut RollbackStatus, revision: &RevisionId, cause: &Cause, now: i64) {
    state.trial = None;
    state.rolled_back = Some(revision.clone());
    state.quarantine.retain(|old| old.digest != revision.digest);
    state.quarantine.insert(
        0,
        Quarantined {
            revision: revision.revision.clone(),
            digest: revision.digest.clone(),
            reason: cause.reason.clone(),
            message: cause.message.clone(),
            at: time(now),
        },
    );
    state.quarantine.truncate(QUARANTINE_LIMIT);
}

/// A revision came that is not in quarantine: what was gone back from is history. A revert also
/// lifts its quarantine, because whoever brings it back after that means it. Returns the commit that
/// was gone back from.
pub fn move_on(state: &mut RollbackStatus, digest: &str) -> Option<String> {
    let from = state.rolled_back.take()?;
    if is(state.good.as_ref(), digest) {
        state.quarantine.retain(|one| one.digest != from.digest);
    }
    Some(from.revision)
}

/// Without rules for the health of a revision only what the API server refuses is gone back from, if
/// anything: whoever took the rules away lets through what was in quarantine for them. Once for each
/// time that they go; an entry that is made after that stays.
pub fn let_through(state: &mut RollbackStatus, restores: bool) {
    state.trial = None;
    if !restores || !state.unproven {
        state.rolled_back = None;
    }
    if restores && !state.unproven {
        state.quarantine.clear();
    }
    if !restores && state.unproven {
        // Rules that come later are not to take it for what was healthy.
        state.good = None;
    }
    // Set here, and not only when something is applied: what is refused first is to stay away.
    state.unproven = restores;
}

/// Drops from the quarantine what was applied since, while nothing kept it away: to go back from it
/// now would take back what somebody has had for long.
pub fn forget_applied(state: &mut RollbackStatus, history: &[HistoryEntry]) {
    let is_applied = |one: &Quarantined| {
        let newest = history.iter().find(|entry| entry.digest == one.digest);
        newest.is_some_and(|entry| entry.outcome != outcome::ROLLED_BACK)
    };
    for dropped in state.quarantine.extract_if(.., |one| is_applied(one)) {
        if is(state.rolled_back.as_ref(), &dropped.digest) {
            state.rolled_back = None;
        }
    }
}

/// Lets a revision be tried again: the one whose commit begins with `wanted`, or else the newest.
/// Returns whether there was one.
pub fn retry(state: &mut RollbackStatus, wanted: &str) -> bool {
    let is_meant = |one: &Quarantined| wanted.len() >= 7 && one.revision.starts_with(wanted);
    let found = state.quarantine.iter().position(is_meant);
    let Some(index) = found.or((!state.quarantine.is_empty()).then_some(0)) else {
        return false;
    };
    let lifted = state.quarantine.remove(index);
    if is(state.rolled_back.as_ref(), &lifted.digest) {
        state.rolled_back = None;
    }
    true
}

fn is(revision: Option<&RevisionId>, digest: &str) -> bool {
    revision.is_some_and(|revision| revision.digest == digest)
}

fn time(seconds: i64) -> Time {
    Time(Timestamp::from_second(seconds).unwrap_or_default())
}

fn seconds(time: &Time) -> i64 {
    time.0.as_second()
}

fn whole(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
