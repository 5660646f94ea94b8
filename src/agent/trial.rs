//! What a pass found of the revision that has to prove itself: what is sick of what it changed, what
//! it waits for, and whether that is its own doing.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::application::Application;
use super::rollback::is_well;
use crate::api::{RevisionId, outcome};
use crate::desired::{Desired, DesiredObject};
use crate::error::Class;
use crate::health::{self, selector_of};
use crate::live::Sighting;
use crate::object::ObjectId;
use crate::rollback::{Facts, Workload};
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
        let changed = || self.changed_by(desired);
        let health = |id: &ObjectId| self.health_of(id);
        let sick = changed()
            .filter(|(_, object)| self.is_written(object))
            .filter_map(|(id, _)| Some((id, health(id).filter(|h| h.may_cause_rollback())?)))
            .map(|(id, health)| (id.clone(), (health.reason.into(), health.message.clone())))
            .collect();
        let workloads = changed()
            .filter(|(id, object)| is_workload(id) && self.is_written(object))
            .filter_map(|(id, _)| Some((id.clone(), self.workload(id)?)))
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
            workloads,
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

    /// The objects of a revision that are other than in the good one.
    pub(super) fn changed_by<'a>(
        &'a self,
        desired: &'a Desired,
    ) -> impl Iterator<Item = (&'a ObjectId, &'a Arc<DesiredObject>)> {
        let good = self.good.as_ref().map(|good| &good.desired.objects);
        let objects = desired.objects.iter().filter(|(_, o)| !o.ignored);
        objects.filter(move |(id, object)| {
            let before = good.and_then(|good| good.get(id));
            before.is_none_or(|before| before.hash != object.hash)
        })
    }

    fn workload(&self, id: &ObjectId) -> Option<Workload> {
        let seen = self.live.get(id).and_then(Sighting::present)?;
        let on_its_way = seen.unsettled.as_ref().and_then(|u| u.workload());
        Some(Workload {
            unwell: (!is_well(&seen.health)).then(|| seen.health.message.clone()),
            generation: on_its_way.map(health::Workload::generation),
            restarted: self.pods.of(id).map(|pods| pods.restarted(id)),
        })
    }

    /// Workloads whose pods are watched although they are Healthy, with what selects those: what the
    /// revision on trial changed, where restarts of their containers count and can be undone.
    pub(super) fn watched_on_trial(&self) -> BTreeMap<ObjectId, String> {
        let policy = self
            .prepared
            .as_ref()
            .and_then(|(policy, _)| policy.rollback);
        let counts = policy.is_some_and(|policy| policy.restarts.is_some()) && self.good.is_some();
        let trial = self.rollback.trial.as_ref().filter(|_| counts);
        let goal = self.goal.as_ref();
        let Some(goal) = goal.filter(|g| trial.is_some_and(|t| t.digest == g.desired.digest))
        else {
            return BTreeMap::new();
        };
        let workloads = self.changed_by(&goal.desired);
        let workloads = workloads.filter(|(id, object)| is_workload(id) && self.is_written(object));
        workloads
            .filter_map(|(id, object)| Some((id.clone(), selector_of(&object.object())?)))
            .collect()
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

/// Whether it keeps pods running. A Job counts itself how often it failed.
fn is_workload(id: &ObjectId) -> bool {
    let kind = id.kind.as_str();
    id.group == "apps"
        && matches!(
            kind,
            "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet"
        )
}
