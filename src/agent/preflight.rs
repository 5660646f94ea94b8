//! Asking the API server about a whole revision before the first write of it: with `spec.preflight`,
//! and before a revision is gone back to.

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};
use tokio::time::Instant;

use super::application::Application;
use super::rollback::Good;
use crate::api::Policy;
use crate::apply::dry_run;
use crate::cluster::{Error, Identity, Target};
use crate::desired::{Desired, DesiredObject, Recreation};
use crate::error::{Class, Fault as _};
use crate::live::Sighting;
use crate::object::ObjectId;
use crate::plan::{Action, Plan};
use crate::rollback::Cause;
use crate::status::Problem;

/// Dry runs in flight at once.
const CONCURRENCY: usize = 32;

impl Application {
    /// Whether the API server would take a revision as a whole, as far as a plan wants to write it;
    /// says why not. Asked once for each revision that passes.
    pub(super) async fn passes_preflight(
        &mut self,
        plan: &Plan,
        desired: &Desired,
        policy: &Policy,
        who: &Identity,
    ) -> bool {
        let writes = plan.steps.iter().any(|step| step.action != Action::Heal);
        let known = self.preflighted.as_ref() == Some(&desired.digest);
        if !policy.preflight || !writes || known || self.is_rolled_back() {
            return true;
        }
        let hooks = desired.hooks.values().map(|hook| &hook.object);
        let objects: Vec<&Arc<DesiredObject>> = desired
            .objects
            .values()
            .filter(|object| !object.ignored && !self.is_written(object))
            .chain(hooks)
            .collect();
        let count = objects.len();
        let refusals = self.refusals(objects.into_iter(), who).await;
        let Some((id, first)) = refusals.first() else {
            self.preflighted = Some(desired.digest.clone());
            return true;
        };
        // By an agent that ended before it could put it back.
        let has_begun = self.good.is_some() && self.has_begun(desired);
        if has_begun {
            self.court.refused = Some((id.clone(), first.clone()));
        }
        let what = match has_begun {
            true => "a part of this revision was written, and the rest is refused",
            false => "nothing of this revision was written",
        };
        let more = match refusals.len() {
            1 => String::new(),
            n => format!(" (and {} more of {count} objects)", n - 1),
        };
        self.problems.push(Problem {
            reason: "PreflightFailed".into(),
            message: format!("{what}: {}{more}", first.message),
            class: Class::Stalled,
        });
        false
    }

    /// Why the API server would not take these objects: the answers to dry runs, in their order.
    pub(super) async fn refusals<'a>(
        &self,
        objects: impl Iterator<Item = &'a Arc<DesiredObject>>,
        who: &Identity,
    ) -> Vec<(ObjectId, Problem)> {
        let asked: Vec<BoxFuture<'_, Option<(ObjectId, Problem)>>> = objects
            .map(|object| self.dry_run(object, who).boxed())
            .collect();
        let answers: Vec<Option<_>> = stream::iter(asked).buffered(CONCURRENCY).collect().await;
        answers.into_iter().flatten().collect()
    }

    /// What the API server says against a dry run that sends all of an object, in the way in which it
    /// is written; nothing where its kind is not served.
    pub(super) async fn refusal_of_all(
        &self,
        object: &DesiredObject,
        who: &Identity,
    ) -> Option<Error> {
        let (namespace, name) = (object.id.namespace.as_str(), object.id.name.as_str());
        let target = Target::new(object.resource()?, namespace, name);
        let cluster = &*self.shared.cluster;
        // What is replaced is read first, as its write does too.
        let live = match object.replaces {
            true => cluster.get(who, &target).await,
            false => Ok(None),
        };
        match live {
            Ok(live) => dry_run(cluster, who, &target, object, live.as_ref())
                .await
                .err(),
            Err(error) => Some(error),
        }
    }

    /// Why the API server would not take an object.
    async fn dry_run(&self, object: &DesiredObject, who: &Identity) -> Option<(ObjectId, Problem)> {
        let error = self.refusal_of_all(object, who).await?;
        if let Some(why) = untold(&error) {
            tracing::info!(
                application = self.owner.name,
                object = %object.id,
                "cannot be dry-run: {why}"
            );
            return None;
        }
        let recreates = error.reason() == "ImmutableField"
            && (object.recreation != Recreation::Never || self.is_finished(&object.id));
        let is_final = error.class() == Class::Stalled && !recreates;
        is_final.then(|| (object.id.clone(), self.refused(&error, Some(&object.id))))
    }

    /// With `spec.preflight` and no rules for going back, what was applied last as a whole is what is
    /// gone back to when the next revision is refused half way.
    pub(super) fn keep_accepted(&mut self, policy: &Policy) {
        let Some(goal) = self.goal.as_ref().filter(|_| policy.restores()) else {
            return;
        };
        let id = goal.id();
        if self.applied_digest.as_ref() != Some(&id.digest) {
            return;
        }
        self.rollback.unproven = true;
        // What is left to others is no part of the digest.
        let same = |good: &Good| {
            let (old, new) = (&good.desired.objects, &goal.desired.objects);
            old.len() == new.len()
                && old
                    .values()
                    .zip(new.values())
                    .all(|(a, b)| Arc::ptr_eq(a, b))
        };
        if self.rollback.good.as_ref() == Some(&id) && self.good.as_ref().is_some_and(same) {
            return;
        }
        self.good = Some(Good::of(id.clone(), &goal.desired));
        self.rollback.good = Some(id);
    }

    /// Why what was written of a revision is to be put back: the API server refused the rest of it,
    /// although the dry run of each object had passed, and refused it again when it was tried again. A
    /// webhook or a rule of RBAC that was not there for a moment is no reason.
    pub(super) fn refusal(&mut self, policy: &Policy, desired: &Desired) -> Option<Cause> {
        let Some((id, problem)) = self.court.refused.clone() else {
            self.court.refusing = None;
            return None;
        };
        let good = self.good.as_ref().filter(|_| policy.restores())?;
        if good.id.digest == desired.digest || !may_help(&problem) || !self.has_begun(desired) {
            return None;
        }
        let now = Instant::now();
        let before = self.court.refusing.take();
        let before = before.filter(|(digest, _)| *digest == desired.digest);
        let since = before.map_or(now, |(_, since)| since);
        self.court.refusing = Some((desired.digest.clone(), since));
        let retried = |wait| now.duration_since(since) >= wait;
        // Where nothing is tried again any more, this is the last word.
        let is_last = policy.backoff.wait(self.retries, Class::Stalled).is_none();
        let first = policy.backoff.wait(0, Class::Stalled);
        (is_last || first.is_none_or(retried)).then(|| Cause {
            message: format!(
                "{id}: refused after other objects of the revision were written: {}",
                problem.message
            ),
            reason: problem.reason,
        })
    }

    /// Whether something is written of what a revision changes.
    fn has_begun(&self, desired: &Desired) -> bool {
        // What is recorded and there, and is not known to be what was accepted, was written by an
        // agent that ended before it could say so.
        let is_unknown = |id: &ObjectId| {
            let is_recorded = self.inventory.as_ref().is_some_and(|i| i.get(id).is_some());
            let is_there = self.live.get(id).and_then(Sighting::present).is_some();
            is_recorded && is_there && !self.enforced.contains_key(id)
        };
        let mut changed = self.changed_by(desired);
        changed.any(|(id, object)| self.is_written(object) || is_unknown(id))
    }

    /// A Job of the last revision that is done with makes room for the next one of its name.
    fn is_finished(&self, id: &ObjectId) -> bool {
        let seen = self.live.get(id).and_then(Sighting::present);
        let is_hook = self.inventory.as_ref().and_then(|i| i.get(id));
        is_hook.is_some_and(|entry| entry.hook.is_some()) && seen.is_some_and(|seen| seen.finished)
    }
}

/// Whether to put back what was written is any use: not in a namespace that goes; and what is not there
/// yet, such as a kind that one of several API servers does not serve yet, may still come.
fn may_help(problem: &Problem) -> bool {
    let reason = problem.reason.as_str();
    !matches!(
        reason,
        "NamespaceTerminating" | "NamespaceNotFound" | "KindNotServed"
    )
}

/// Why a dry run says nothing: its namespace comes with the same revision, or a webhook does not take
/// part.
fn untold(error: &Error) -> Option<&'static str> {
    if error.is_not_found() {
        return Some("its namespace is not there yet");
    }
    error
        .is_without_dry_run()
        .then_some("an admission webhook does not support dry runs")
}
