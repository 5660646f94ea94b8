//! Taking revisions back, as the agent does it: what a pass found is judged by [`crate::rollback`],
//! and going back is one more goal for the pipeline that every update takes.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::application::Application;
use super::goal::Goal;
use super::going_back::Hindrance;
use super::metrics::Lead;
use super::tell::seconds_now;
use crate::api::{ApplicationStatus, Policy, Quarantined, RevisionId, outcome};
use crate::cluster::Identity;
use crate::desired::Desired;
use crate::error::Class;
use crate::health::{Health, Status};
use crate::object::{ObjectId, keys};
use crate::rollback::{self, Cause, Facts, Verdict, Watchman};
use crate::status::{Problem, short};

/// The revision that is gone back to.
pub(super) struct Good {
    /// Commit and digest.
    pub(super) id: RevisionId,
    /// Its objects, without hooks: what they did is done.
    pub(super) desired: Arc<Desired>,
}

impl Good {
    pub(super) fn of(id: RevisionId, desired: &Desired) -> Self {
        let desired = Desired {
            objects: desired.objects.clone(),
            digest: desired.digest.clone(),
            ..Desired::default()
        };
        Self {
            id,
            desired: Arc::new(desired),
        }
    }
}

/// What is known of the revision on trial, and not after a restart.
#[derive(Default)]
pub(super) struct Court {
    watchman: Watchman,
    /// The last pass ended with everything healthy.
    was_healthy: bool,
    /// When that was, in seconds since the epoch.
    pub(super) last_healthy: Option<i64>,
    /// When the first write of which digest was.
    pub(super) started: Option<(String, jiff::Timestamp)>,
    /// The commit of the digest that was applied last, where that is new and not healthy yet.
    pub(super) lead: Option<(String, Lead)>,
    pub(super) hindered: Option<Hindrance>,
    /// What the API server refused to take of the newest revision in this pass, if anything.
    pub(super) refused: Option<(ObjectId, Problem)>,
    /// Of which digest something is refused each time that it is tried, and since when.
    pub(super) refusing: Option<(String, Instant)>,
    /// Why the revision stays although it fails, or is not taken although it is the newest.
    pub(super) note: Option<Problem>,
}

impl Court {
    /// What the status of the agent before this one says.
    pub(super) fn of(published: &ApplicationStatus) -> Self {
        Self {
            was_healthy: published.health.status == "Healthy",
            ..Self::default()
        }
    }
}

impl Application {
    /// Whether the newest revision was gone back from.
    pub(super) fn is_rolled_back(&self) -> bool {
        self.rollback.rolled_back.is_some()
    }

    /// Whether the goal follows from the newest commit: one that cannot be rendered has none.
    pub(super) fn is_current(&self) -> bool {
        self.is_rolled_back()
            || self.target.as_ref().map(|(commit, _)| commit)
                == self.newest.as_ref().map(|newest| &newest.commit)
    }

    /// What the cluster should come to: the newest revision, or the good one where that is in
    /// quarantine.
    pub(super) fn aim(&mut self, policy: &Policy) -> Option<Goal> {
        self.court.note = None;
        if policy.rollback.is_none() {
            rollback::let_through(&mut self.rollback, policy.restores());
        } else if std::mem::take(&mut self.rollback.unproven) {
            // It may never have been healthy: it has to prove itself as any other.
            self.rollback.good = None;
        }
        rollback::forget_applied(&mut self.rollback, &self.history);
        let newest = self.newest.as_ref();
        let is_out = newest.map_or(self.is_rolled_back(), |newest| {
            let known = self.rollback.quarantined(&newest.desired.digest);
            policy.goes_back() && known.is_some()
        });
        if !is_out {
            let newest = newest?;
            let from = rollback::move_on(&mut self.rollback, &newest.desired.digest);
            self.reverted = from.or(self.reverted.take());
            // What nobody saw healthy is what is there while nothing better is, and no more.
            if policy.rollback.is_some() && self.rollback.good.is_none() {
                self.good = None;
            }
            return Some(Goal {
                commit: newest.commit.clone(),
                desired: Arc::clone(&newest.desired),
            });
        }
        if let Some(newest) = newest {
            self.rollback.rolled_back = Some(RevisionId {
                revision: newest.commit.clone(),
                digest: newest.desired.digest.clone(),
            });
        }
        let good = self.good.as_ref();
        self.court.note = Some(self.told(good.map(|good| good.id.revision.as_str())));
        good.map(|good| Goal {
            commit: good.id.revision.clone(),
            desired: Arc::clone(&good.desired),
        })
    }

    /// What is said while the newest revision is in quarantine.
    pub(super) fn told(&self, good: Option<&str>) -> Problem {
        let from = self.rollback.rolled_back.as_ref();
        let from = from.cloned().unwrap_or_default();
        let known = self.rollback.quarantined(&from.digest);
        let (revision, why) = known.map_or((from.revision.as_str(), String::new()), |known| {
            (
                known.revision.as_str(),
                format!("{}: {}", known.reason, known.message),
            )
        });
        let same = match from.revision == revision {
            true => String::new(),
            false => format!(" ({} has the same objects)", short(&from.revision)),
        };
        let to = good.map_or_else(
            || "what was healthy before is not known any more; drift is undone".into(),
            |good| format!("rolled back to {}", short(good)),
        );
        Problem {
            reason: "RolledBack".into(),
            message: format!(
                "{to} from {}{same}: {why}; {}, or annotate {}={} to try it again",
                short(revision),
                self.way_out(revision),
                keys::RETRY,
                short(revision),
            ),
            class: Class::Stalled,
        }
    }

    /// What a person may do about a revision that was rolled back.
    fn way_out(&self, revision: &str) -> String {
        let written = self.rollback.written_back.as_ref();
        let own = crate::revert::branch(revision);
        match written.filter(|written| written.reverts == revision && written.branch == own) {
            Some(written) => format!(
                "branch {} has the revert ({}): merge it, or commit a fix",
                written.branch,
                short(&written.commit)
            ),
            None => "commit a fix or revert it".to_owned(),
        }
    }

    /// Lets a quarantined revision be tried again where a person asks for it.
    pub(super) fn take_retry(&mut self) {
        let asked = self.requests.borrow().retry.clone();
        if let Some(wanted) = asked.filter(|asked| self.handled.retry.as_ref() != Some(asked)) {
            // What follows `@` only makes it another request.
            let revision = wanted.split('@').next().unwrap_or_default();
            let before = self.rollback.quarantine.clone();
            rollback::retry(&mut self.rollback, revision);
            let lifted = |one: &&Quarantined| self.rollback.quarantined(&one.digest).is_none();
            if let Some(lifted) = before.iter().find(lifted) {
                self.note_retry(&lifted.digest, &wanted);
            }
            self.handled.retry = Some(wanted);
        }
    }

    /// Judges what the cluster was brought to. Returns true when there is more to do at once: going
    /// back begins.
    pub(super) async fn judge(&mut self, policy: &Policy, who: &Identity, now: i64) -> bool {
        let Some(goal) = &self.goal else { return false };
        let (id, desired) = (goal.id(), Arc::clone(&goal.desired));
        let applied = self.applied_digest.as_ref() == Some(&desired.digest);
        let has_begun = self.changed > 0 || self.summary.rolled_forward() > 0;
        let is_known = |(digest, _): &(String, _)| *digest == desired.digest;
        if has_begun && !self.court.started.as_ref().is_some_and(is_known) {
            self.court.started = Some((desired.digest.clone(), jiff::Timestamp::now()));
        }
        if let Some(cause) = self.refusal(policy, &desired) {
            return self.go_back(&cause, policy, who, now).await;
        }
        let unhealed = self.history.first().is_some_and(|e| e.healthy_at.is_none());
        if policy.rollback.is_none() && !unhealed {
            return false;
        }
        let worst = self.worst();
        let healthy = worst.as_ref().is_none_or(|(_, health)| is_well(health));
        if applied && healthy {
            self.note_healthy(&desired.digest);
        }
        let Some(rules) = policy.rollback else {
            return false;
        };
        if std::mem::replace(&mut self.court.was_healthy, applied && healthy) {
            self.court.last_healthy = Some(now);
        }
        let facts = match &self.rollback.good {
            // It has nothing to prove, and nobody needs to look at all objects for that.
            Some(good) if good.digest == desired.digest => Facts {
                revision: id.revision,
                digest: id.digest,
                applied,
                now,
                ..Facts::default()
            },
            _ => self.facts(id, &desired, applied, healthy, now),
        };
        let verdict = self.court.watchman.judge(&mut self.rollback, &facts, rules);
        if let (Some(good), Some(id)) = (&mut self.good, &self.rollback.good)
            && good.id.digest == id.digest
        {
            good.id.revision.clone_from(&id.revision);
        }
        self.timers.trial = None;
        match verdict {
            Verdict::Wait(next) => {
                self.look_again(next, now);
                false
            }
            Verdict::Trust => {
                self.trust(&desired);
                false
            }
            Verdict::Stay { cause, why } => {
                self.stays(&cause, why);
                false
            }
            Verdict::Back(cause) => self.go_back(&cause, policy, who, now).await,
        }
    }

    pub(super) fn look_again(&mut self, next: Option<i64>, now: i64) {
        self.timers.trial = next.map(|at| {
            let seconds = at.saturating_sub(now).max(0).unsigned_abs();
            Instant::now() + Duration::from_secs(seconds)
        });
    }

    /// The first time that all of a revision is healthy.
    fn note_healthy(&mut self, digest: &str) {
        if let Some(entry) = self.history.first_mut()
            && entry.digest == digest
            && entry.healthy_at.is_none()
        {
            entry.healthy_at = Some(format!("{:.0}", jiff::Timestamp::now()));
            if entry.outcome == outcome::APPLIED {
                entry.outcome = outcome::HEALTHY.into();
                self.shared.metrics.deployment(outcome::HEALTHY);
                let entry = entry.clone();
                self.note_well(&entry);
            }
            if let Some((_, lead)) = self.court.lead.take_if(|(known, _)| known == digest) {
                self.shared.metrics.healthy(lead, seconds_now());
            }
        }
    }

    /// From now on this is what is gone back to.
    fn trust(&mut self, desired: &Arc<Desired>) {
        if !rollback::trust(&mut self.rollback) {
            return;
        }
        if let Some(id) = self.rollback.good.clone() {
            self.good = Some(Good::of(id, desired));
        }
        self.timers.publish_by(Instant::now());
    }

    fn stays(&mut self, cause: &Cause, why: &str) {
        self.court.note = Some(Problem {
            reason: "NotRolledBack".into(),
            message: format!("{cause}; it stays: {why}"),
            class: Class::Stalled,
        });
    }
}

/// Whether an object gives no reason to worry.
pub(super) fn is_well(health: &Health) -> bool {
    matches!(health.status, Status::Healthy | Status::Suspended)
}
