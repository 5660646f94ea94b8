//! Taking revisions back, as the agent does it: what a pass found is judged by [`crate::rollback`],
//! and going back is one more goal for the pipeline that every update takes.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::application::Application;
use super::goal::Goal;
use crate::api::{ApplicationStatus, Policy, RevisionId, outcome};
use crate::cluster::Identity;
use crate::desired::{Desired, DesiredObject};
use crate::diff::{Change, diff};
use crate::error::Class;
use crate::health::{Health, Status};
use crate::live::Sighting;
use crate::object::{ObjectId, keys};
use crate::plan::{Gate, plan};
use crate::rollback::{self, Cause, Facts, Verdict, Watchman};
use crate::status::{Problem, short};

/// How often it is tried whether going back has become possible.
const HINDERED_RECHECK: Duration = Duration::from_secs(60);

/// The revision that is gone back to.
pub(super) struct Good {
    /// Commit and digest.
    pub(super) id: RevisionId,
    /// Its objects, without hooks: what they did is done.
    pub(super) desired: Arc<Desired>,
}

/// What is known of the revision on trial, and not after a restart.
#[derive(Default)]
pub(super) struct Court {
    watchman: Watchman,
    /// The last pass ended with everything healthy.
    was_healthy: bool,
    /// When that was, in seconds since the epoch.
    last_healthy: Option<i64>,
    /// When the first write of which digest was.
    pub(super) started: Option<(String, jiff::Timestamp)>,
    hindered: Option<Hindrance>,
    /// Why the revision stays although it fails, or is not taken although it is the newest.
    pub(super) note: Option<Problem>,
}

/// Why a revision could not be gone back from.
struct Hindrance {
    digest: String,
    /// What a person had approved then.
    approval: Option<String>,
    found: Instant,
    why: String,
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
            self.rollback.rolled_back = None;
            self.rollback.trial = None;
        }
        let newest = self.newest.as_ref();
        let is_out = newest.map_or(self.is_rolled_back(), |newest| {
            let known = self.rollback.quarantined(&newest.desired.digest);
            policy.rollback.is_some() && known.is_some()
        });
        if !is_out {
            let newest = newest?;
            let from = rollback::move_on(&mut self.rollback, &newest.desired.digest);
            self.reverted = from.or(self.reverted.take());
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
    fn told(&self, good: Option<&str>) -> Problem {
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
                "{to} from {}{same}: {why}; commit a fix or revert it, or annotate {}={} to try it again",
                short(revision),
                keys::RETRY,
                short(revision),
            ),
            class: Class::Stalled,
        }
    }

    /// Lets a quarantined revision be tried again where a person asks for it.
    pub(super) fn take_retry(&mut self) {
        let asked = self.requests.borrow().retry.clone();
        if let Some(wanted) = asked.filter(|asked| self.handled.retry.as_ref() != Some(asked)) {
            // What follows `@` only makes it another request.
            let revision = wanted.split('@').next().unwrap_or_default();
            rollback::retry(&mut self.rollback, revision);
            self.handled.retry = Some(wanted);
        }
    }

    /// Judges what the cluster was brought to. Returns true when there is more to do at once: going
    /// back begins.
    pub(super) async fn judge(&mut self, policy: &Policy, who: &Identity, now: i64) -> bool {
        let Some(goal) = &self.goal else { return false };
        let desired = Arc::clone(&goal.desired);
        let applied = self.applied_digest.as_ref() == Some(&desired.digest);
        let has_begun = self.changed > 0 || self.summary.rolled_forward() > 0;
        let is_known = |(digest, _): &(String, _)| *digest == desired.digest;
        if has_begun && !self.court.started.as_ref().is_some_and(is_known) {
            self.court.started = Some((desired.digest.clone(), jiff::Timestamp::now()));
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
        let facts = self.facts(&desired, applied, healthy, now);
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

    fn look_again(&mut self, next: Option<i64>, now: i64) {
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
            }
        }
    }

    /// From now on this is what is gone back to.
    fn trust(&mut self, desired: &Arc<Desired>) {
        if !rollback::trust(&mut self.rollback) {
            return;
        }
        if let Some(id) = self.rollback.good.clone() {
            self.good = Some(Good {
                id,
                desired: Arc::new(Desired {
                    objects: desired.objects.clone(),
                    digest: desired.digest.clone(),
                    ..Desired::default()
                }),
            });
        }
        self.timers.publish.get_or_insert_with(Instant::now);
    }

    fn stays(&mut self, cause: &Cause, why: &str) {
        self.court.note = Some(Problem {
            reason: "NotRolledBack".into(),
            message: format!("{}: {}; it stays: {why}", cause.reason, cause.message),
            class: Class::Stalled,
        });
    }

    fn facts(&self, desired: &Desired, applied: bool, healthy: bool, now: i64) -> Facts {
        let good = self.good.as_ref().map(|good| &good.desired.objects);
        let is_changed = |id: &ObjectId, object: &DesiredObject| {
            let before = good.and_then(|good| good.get(id));
            before.is_none_or(|before| before.hash != object.hash)
        };
        let is_written = |id: &ObjectId, object: &DesiredObject| {
            let enforced = self.enforced.get(id);
            enforced.is_some_and(|enforced| enforced.hash == object.hash)
        };
        let changed = || {
            let objects = desired.objects.iter().filter(|(_, o)| !o.ignored);
            objects.filter(|(id, object)| is_changed(id, object))
        };
        let health = |id: &ObjectId| {
            let seen = self.live.get(id).and_then(Sighting::present)?;
            Some(&seen.health)
        };
        let sick = changed()
            .filter(|(id, object)| is_written(id, object))
            .filter_map(|(id, _)| Some((id, health(id).filter(|h| h.may_cause_rollback())?)))
            .map(|(id, health)| (id.clone(), (health.reason.into(), health.message.clone())))
            .collect();
        let unhealthy = || {
            let mut all = changed().filter_map(|(id, _)| Some((id, health(id)?)));
            let (id, health) = all.find(|(_, health)| !is_well(health))?;
            Some(format!("{id}: {}", health.message))
        };
        let report = self.report.as_ref();
        let own = || self.problems.iter().filter(|p| !self.is_of_source(p));
        let pending = desired
            .objects
            .iter()
            .any(|(id, object)| !object.ignored && !is_written(id, object));
        let refused = || {
            let first = own().next()?;
            pending.then(|| first.message.clone())
        };
        let stuck = || {
            let report = report?;
            let mut barred = report.objects.iter();
            let barred = barred.find(|(id, _)| desired.objects.contains_key(*id));
            let barred = barred.map(|(id, why)| format!("{id}: {why}"));
            barred.or_else(|| report.removal.clone())
        };
        let hook = report.and_then(|report| report.failure.as_ref());
        let hook = hook.filter(|failure| failure.retry.is_none());
        let gave_up = || {
            let first = own().next().filter(|_| self.gave_up && pending)?;
            Some((first.reason.clone(), first.message.clone()))
        };
        let suspended = self.requests.borrow().is_suspended(now);
        let waits = report.is_some_and(|report| {
            let hook = report.hook.is_some() && report.failure.is_none();
            report.held.is_some() || report.dependency.is_some() || hook
        });
        Facts {
            revision: self
                .goal
                .as_ref()
                .map(|g| g.commit.clone())
                .unwrap_or_default(),
            digest: desired.digest.clone(),
            began: applied
                || self.changed > 0
                || changed().any(|(id, object)| is_written(id, object))
                || hook.is_some(),
            applied,
            healthy,
            waits: waits || suspended || own().any(|p| p.class == Class::Retry),
            sick,
            failed: hook
                .map(|failure| ("HookFailed".into(), failure.to_string()))
                .or_else(gave_up),
            unready: if applied {
                unhealthy()
            } else {
                unhealthy().or_else(refused).or_else(stuck)
            },
            is_revert: self.was_healthy_once(&desired.digest),
            last_healthy: self.court.last_healthy,
            now,
        }
    }

    /// That Git cannot be read says nothing of what was read before.
    fn is_of_source(&self, problem: &Problem) -> bool {
        self.source_failure.as_ref() == Some(problem)
    }

    fn was_healthy_once(&self, digest: &str) -> bool {
        let mut history = self.history.iter().skip(1);
        history.any(|entry| entry.digest == digest && entry.outcome == outcome::HEALTHY)
    }

    /// Puts the revision into quarantine, if the one before can be gone back to. Returns whether it
    /// was.
    async fn go_back(&mut self, cause: &Cause, policy: &Policy, who: &Identity, now: i64) -> bool {
        let Some(goal) = &self.goal else { return false };
        let bad = RevisionId {
            revision: goal.commit.clone(),
            digest: goal.desired.digest.clone(),
        };
        let desired = Arc::clone(&goal.desired);
        if let Some(why) = self.hindrance(&bad, &desired, policy, who, now).await {
            self.timers.trial = Some(Instant::now() + HINDERED_RECHECK);
            self.hold("RollbackBlocked", cause, &why);
            return false;
        }
        let breaker = self.shared.breaker.lock();
        let admitted = breaker.unwrap_or_else(PoisonError::into_inner).admit(now);
        if let Err(until) = admitted {
            self.look_again(Some(until), now);
            let why = "three revisions were rolled back in the last ten minutes, which looks like an \
                       outage of something else";
            self.hold("RollbackHeld", cause, why);
            return false;
        }
        tracing::warn!(
            application = self.owner.name,
            revision = bad.revision,
            reason = cause.reason,
            "rolls back: {}",
            cause.message
        );
        self.shared.metrics.deployment(outcome::ROLLED_BACK);
        rollback::take_back(&mut self.rollback, &bad, cause, now);
        self.remember_rolled_back(&bad, cause);
        let good = self.good.as_ref().map(|good| good.id.revision.clone());
        self.court.note = Some(self.told(good.as_deref()));
        // Before the first write: whoever goes on after a crash knows it.
        let request = self.request();
        self.publish(&request, true).await;
        true
    }

    fn hold(&mut self, reason: &str, cause: &Cause, why: &str) {
        self.court.note = Some(Problem {
            reason: reason.into(),
            message: format!(
                "{}: {}; not rolled back: {why}",
                cause.reason, cause.message
            ),
            class: Class::Stalled,
        });
    }

    /// Why it cannot be gone back from `bad`, found out before anything is written; `None` when it
    /// can.
    async fn hindrance(
        &mut self,
        bad: &RevisionId,
        desired: &Desired,
        policy: &Policy,
        who: &Identity,
        now: i64,
    ) -> Option<String> {
        let Some(good) = &self.good else {
            return Some("the objects of the revision before are not known any more".into());
        };
        let approval = self.requests.borrow().approve.clone();
        if let Some(known) = &self.court.hindered
            && known.digest == bad.digest
            && known.approval == approval
            && known.found.elapsed() < HINDERED_RECHECK
        {
            return Some(known.why.clone());
        }
        let good = Arc::clone(&good.desired);
        let why = match self.irrevocable(desired, &good) {
            Some(why) => Some(why),
            None => self.refusal_to_go_back(&good, policy, who, now).await,
        };
        self.court.hindered = why.clone().map(|why| Hindrance {
            digest: bad.digest.clone(),
            approval,
            found: Instant::now(),
            why,
        });
        why
    }

    /// What was written of a revision and is marked as not revertible.
    fn irrevocable(&self, desired: &Desired, good: &Desired) -> Option<String> {
        let is_marked =
            |object: &DesiredObject| object.object().annotation(keys::ROLLBACK) == Some("disabled");
        let is_written =
            |id: &ObjectId| self.inventory.as_ref().is_some_and(|i| i.get(id).is_some());
        let objects = desired.objects.iter().filter(|(id, object)| {
            let before = good.objects.get(*id);
            before.is_none_or(|before| before.hash != object.hash)
        });
        let hooks = desired.hooks.iter().map(|(id, hook)| (id, &hook.object));
        let mut all = objects.chain(hooks);
        let (id, object) = all.find(|(id, object)| is_written(id) && is_marked(object))?;
        Some(format!(
            "{}: {id} is marked as not revertible ({}: disabled)",
            object.place,
            keys::ROLLBACK
        ))
    }

    /// What the prune guard or the API server would refuse.
    async fn refusal_to_go_back(
        &self,
        good: &Arc<Desired>,
        policy: &Policy,
        who: &Identity,
        now: i64,
    ) -> Option<String> {
        let inventory = self.inventory.as_ref()?;
        let accepted: BTreeMap<ObjectId, u64> = self
            .enforced
            .iter()
            .map(|(id, object)| (id.clone(), object.hash))
            .collect();
        let approval = self.requests.borrow().approve.clone();
        let gate = Gate {
            update: true,
            heal: false,
            asked: false,
            prune: policy.prune,
            approved: approval.as_deref(),
            now,
            failed: false,
            immutable: &self.immutable,
        };
        let mut differences = diff(good, &self.live, inventory, &accepted, policy);
        super::sync::spare(&mut differences, &self.shared.options.installation());
        let back = plan(&differences, good, &self.live, inventory, policy, gate);
        if let Some(held) = &back.report.held {
            return Some(held.to_string());
        }
        let written = differences
            .iter()
            .filter(|(_, change)| matches!(change, Change::Create | Change::Update))
            .filter_map(|(id, _)| good.objects.get(id));
        self.refusals(written, who).await.into_iter().next()
    }
}

/// Whether an object gives no reason to worry.
fn is_well(health: &Health) -> bool {
    matches!(health.status, Status::Healthy | Status::Suspended)
}
