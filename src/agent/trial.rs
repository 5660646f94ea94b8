//! What a pass found of the revision that has to prove itself: what is sick of what it changed, what
//! it waits for, and whether that is its own doing.

use super::application::Application;
use super::rollback::is_well;
use crate::api::{RevisionId, outcome};
use crate::desired::{Desired, DesiredObject};
use crate::error::Class;
use crate::live::Sighting;
use crate::object::ObjectId;
use crate::rollback::Facts;
use crate::status::Problem;

impl Application {
    /// Everything that [`crate::rollback::Watchman`] judges by.
    pub(super) fn facts(
        &self,
        id: RevisionId,
        desired: &Desired,
        applied: bool,
        healthy: bool,
        now: i64,
    ) -> Facts {
        let good = self.good.as_ref().map(|good| &good.desired.objects);
        let is_changed = |id: &ObjectId, object: &DesiredObject| {
            let before = good.and_then(|good| good.get(id));
            before.is_none_or(|before| before.hash != object.hash)
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
            .filter(|(_, object)| self.is_written(object))
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
            .any(|(_, object)| !object.ignored && !self.is_written(object));
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
            revision: id.revision,
            digest: id.digest,
            began: applied
                || self.changed > 0
                || changed().any(|(_, object)| self.is_written(object))
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

    /// Whether the object is enforced with this content.
    pub(super) fn is_written(&self, object: &DesiredObject) -> bool {
        let enforced = self.enforced.get(&object.id);
        enforced.is_some_and(|enforced| enforced.hash == object.hash)
    }

    /// That Git cannot be read says nothing of what was read before.
    fn is_of_source(&self, problem: &Problem) -> bool {
        self.source_failure.as_ref() == Some(problem)
    }

    fn was_healthy_once(&self, digest: &str) -> bool {
        let mut history = self.history.iter().skip(1);
        history.any(|entry| entry.digest == digest && entry.outcome == outcome::HEALTHY)
    }
}
