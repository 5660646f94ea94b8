//! Hooks as the agent sees them: what ran is taken in and written down before anything follows
//! from it, so that no hook runs twice that was seen to succeed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::application::Application;
use crate::api::Policy;
use crate::apply::Effect;
use crate::cluster::{Identity, Resource};
use crate::desired::{Desired, DesiredObject};
use crate::error::Class;
use crate::health::{self, Health};
use crate::inventory::{Entry, Outcome, Phase, State};
use crate::live::{Ignore, Sighting, observe, shown};
use crate::object::{Manifest, ObjectId, Scope, keys};
use crate::plan::{Action, Plan, Step, hooks};
use crate::status::{Problem, short};

/// How long something may be Degraded before the sync has failed, without `spec.rollback.grace`.
const GRACE: Duration = Duration::from_secs(10);
/// The longest message of a failed hook, in characters.
const MESSAGE_LIMIT: usize = 512;

impl Application {
    /// True while a sync that was asked for is not done. One that came with a refresh is about what
    /// that finds.
    pub(super) fn is_asked(&self) -> bool {
        let asked = self.requests.borrow().sync.clone();
        asked.is_some() && asked != self.handled.sync && self.refreshing.is_none()
    }

    /// Identity of the sync that is asked for: a token may be of any length.
    pub(super) fn token(&self) -> Option<String> {
        let token = self.requests.borrow().sync.clone()?;
        self.is_asked()
            .then(|| hex::encode(&Sha256::digest(token)[..4]))
    }

    /// Takes in what the hooks did since the last look.
    pub(super) async fn see_hooks(&mut self, who: &Identity, now: i64) {
        let desired = self.goal.as_ref().map(|goal| Arc::clone(&goal.desired));
        let (desired, Some(inventory)) = (desired.unwrap_or_default(), &self.inventory) else {
            return;
        };
        for (id, mut entry) in hooks::seen(&desired, inventory, &self.live, &self.last, now) {
            if let Some(message) = failure(&mut entry, now) {
                if let Some(said) = self.said_by_pods(who, &id, now).await {
                    *message = shown::line(&format!("{message}; {said}"), MESSAGE_LIMIT);
                }
                tracing::info!(application = self.owner.name, hook = %id, "failed: {message}");
            }
            if let Some(inventory) = &mut self.inventory {
                inventory.write_down(&id, entry);
            }
        }
    }

    /// What the worst pod of a Job says. A courtesy: that pods cannot be read is no failure.
    async fn said_by_pods(&self, who: &Identity, id: &ObjectId, now: i64) -> Option<String> {
        if !id.is_job() {
            return None;
        }
        let pods = Resource::known("v1", "Pod", "pods", Scope::Namespaced);
        let selector = format!("job-name={}", id.name);
        let cluster = &self.shared.cluster;
        let found = cluster.list(who, &pods, Some(&id.namespace), Some(&selector));
        let told: Vec<(String, Health)> = found
            .await
            .ok()?
            .iter()
            .map(|pod| {
                let (health, _) = health::outlook(pod, now.unsigned_abs());
                (pod.name().to_owned(), health)
            })
            .collect();
        let worst = health::worst(told.iter().map(|(_, health)| health))?;
        let (pod, health) = told.iter().find(|(_, health)| health == worst)?;
        (health.status == health::Status::Degraded)
            .then(|| format!("pod `{pod}`: {}", health.message))
    }

    /// Notes that a sync was asked for, in the records of the hooks that it concerns.
    pub(super) fn ask_hooks(&mut self, desired: &Desired) {
        let (Some(token), Some(inventory)) = (self.token(), &mut self.inventory) else {
            return;
        };
        for (id, entry) in hooks::asked(desired, inventory, &token) {
            inventory.write_down(&id, entry);
        }
    }

    /// Writes the hooks down that are about to be created.
    pub(super) fn begin_hooks(&mut self, plan: &Plan, desired: &Desired, now: i64, since: i64) {
        let commit = self.goal.as_ref().map(|goal| goal.commit.clone());
        let token = self.token().unwrap_or_default();
        let start = hooks::Start {
            digest: &desired.digest,
            commit: short(commit.as_deref().unwrap_or_default()),
            token: &token,
            now,
            since,
        };
        for step in &plan.steps {
            let Some(hook) = desired.hooks.get(&step.id) else {
                continue;
            };
            // What was an ordinary object until now is not healed any more.
            self.enforced.remove(&step.id);
            if let Action::RunHook(phase) = step.action {
                let inventory = self.inventory.get_or_insert_default();
                let entry = hooks::begun(hook, inventory.get(&step.id), phase, start);
                inventory.write_down(&step.id, entry);
            }
        }
    }

    /// What a plan may write: the objects, and the hooks with the mark of their run.
    pub(super) fn writable<'a>(
        &self,
        desired: &'a Desired,
    ) -> Cow<'a, BTreeMap<ObjectId, Arc<DesiredObject>>> {
        if desired.hooks.is_empty() {
            return Cow::Borrowed(&desired.objects);
        }
        let mut all = desired.objects.clone();
        for (id, hook) in &desired.hooks {
            let entry = self.inventory.as_ref().and_then(|i| i.get(id));
            let mark = entry.and_then(|entry| entry.hook.as_ref()?.mark());
            let mut object = DesiredObject::clone(&hook.object);
            let mut body = object.object();
            body.set_annotation(keys::HOOK_RUN, mark.unwrap_or_default());
            object.manifest = Manifest::of(&body);
            all.insert(id.clone(), Arc::new(object));
        }
        Cow::Owned(all)
    }

    /// Takes in what became of a hook's object.
    pub(super) fn take_hook(&mut self, step: &Step, effect: Effect, desired: &Desired, now: i64) {
        let inventory = self.inventory.get_or_insert_default();
        let id = &step.id;
        self.shared.metrics.write(step.action);
        match effect {
            Effect::Applied { object, .. } => {
                let seen = observe(&object, &self.owner, &Ignore::default(), now);
                inventory.update(id, |entry| {
                    entry.state = State::Owned {
                        uid: seen.uid.clone(),
                    };
                    entry.expires = seen.expires;
                });
                self.summary.count(step.action);
                self.live
                    .insert(id.clone(), Sighting::Present(Box::new(seen)));
            }
            Effect::Gone | Effect::Forgotten => {
                // The record of a hook that is still declared says that it ran.
                if !desired.hooks.contains_key(id) {
                    inventory.remove(id);
                }
                self.live.remove(id);
            }
            // A hook is never created anew: the next run deletes the last one's object first.
            Effect::Removed { .. } => {}
            Effect::Terminating => {
                if let Some(Sighting::Present(seen)) = self.live.get_mut(id) {
                    seen.terminating = true;
                }
            }
        }
    }

    /// A hook that failed, as a problem. One that is tried again is looked at when that is due.
    pub(super) fn tell_failure(&mut self, plan: &Plan, now: i64) {
        let Some(failure) = &plan.report.failure else {
            return;
        };
        let class = match failure.retry {
            Some(at) => Class::Wait(Duration::from_secs(at.saturating_sub(now).unsigned_abs())),
            None => Class::Stalled,
        };
        self.problems.push(Problem {
            reason: "HookFailed".into(),
            message: failure.to_string(),
            class,
        });
    }

    /// Whether the sync of a revision failed, because something of it is Degraded and was not Healthy
    /// before; or when that will be so. Some things are Degraded for seconds, until what they need is
    /// there too. A revision that was Healthy once is synced, whatever becomes of it later.
    pub(super) fn is_degraded(
        &mut self,
        desired: &Desired,
        policy: &Policy,
        now: i64,
    ) -> (bool, Option<i64>) {
        if !self.has_hooks_of(Phase::SyncFail) {
            self.sick_before = None;
            self.degraded = None;
            return (false, None);
        }
        let is_sick = |(id, object): &(&ObjectId, &Arc<DesiredObject>)| {
            let health = self.health_of(id);
            let is_sick = health.is_some_and(|health| health.may_cause_rollback());
            is_sick && !object.ignored && self.is_written(object)
        };
        // What was Degraded already, with this very content, is no failure of this revision.
        let known = self.sick_before.as_ref();
        let before = match known.filter(|(digest, _)| *digest == desired.digest) {
            Some((_, before)) => before.clone(),
            // After a start what the revision changed may be written already.
            None => {
                let good = self.good.as_ref().map(|good| &good.desired.objects);
                let commit = self.goal.as_ref().map_or("", |goal| &goal.commit);
                let is_new = |(id, object): &(&ObjectId, &Arc<DesiredObject>)| match good {
                    Some(good) => {
                        let before = good.get(*id);
                        before.is_none_or(|before| before.hash != object.hash)
                    }
                    // Its own mark says for which commit it was changed last. A heal leaves that as
                    // it is.
                    None => self.mark(id) == commit,
                };
                let old = desired
                    .objects
                    .iter()
                    .filter(is_sick)
                    .filter(|o| !is_new(o));
                old.map(|(id, _)| id.clone()).collect()
            }
        };
        let is_failing =
            !self.was_healthy(&desired.digest) && { desired.objects.iter().filter(is_sick) }
                .any(|(id, _)| !before.contains(id));
        // Once it is well it may fail anew.
        let still = |id: &ObjectId| self.health_of(id).is_some_and(|h| h.may_cause_rollback());
        let before = before.into_iter().filter(still).collect();
        self.sick_before = Some((desired.digest.clone(), before));
        let known = self.degraded.take().filter(|_| is_failing);
        let since = known.filter(|(digest, _)| *digest == desired.digest);
        if !is_failing {
            return (false, None);
        }
        let since = since.map_or(now, |(_, since)| since);
        self.degraded = Some((desired.digest.clone(), since));
        // Not later than a rollback begins, whose goal has no hooks.
        let grace = policy.rollback.map_or(GRACE, |rules| rules.grace);
        let due = since.saturating_add(i64::try_from(grace.as_secs()).unwrap_or(i64::MAX));
        (due <= now, (due > now).then_some(due))
    }

    /// Whether the revision that is applied is this one, and was Healthy once.
    fn was_healthy(&self, digest: &str) -> bool {
        match self.history.first().filter(|entry| entry.digest == digest) {
            Some(entry) => entry.healthy_at.is_some(),
            // Where no history is kept, it ends when it is applied.
            None => self.applied_digest.as_deref() == Some(digest),
        }
    }

    /// Whether the newest revision has hooks of this phase.
    pub(super) fn has_hooks_of(&self, phase: Phase) -> bool {
        let hooks = self
            .goal
            .iter()
            .flat_map(|goal| goal.desired.hooks.values());
        hooks.into_iter().any(|hook| hook.phases.contains(&phase))
    }

    /// The hooks that run, with their health.
    pub(super) fn running_hooks(&self) -> impl Iterator<Item = (String, Health)> {
        let entries = self.inventory.iter().flat_map(|inventory| inventory.iter());
        entries
            .filter(|(_, entry)| entry.hook.as_ref().is_some_and(|run| run.running.is_some()))
            .filter_map(|(id, _)| {
                let seen = self.live.get(id)?.present()?;
                Some((id.to_string(), seen.health.clone()))
            })
    }
}

/// What cannot be done because the kind of an object is not served: the most first. Displays as what
/// the object is, if it is a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lack {
    /// A hook of this phase; nothing that comes after it is done.
    Hook(Phase),
    /// An ordinary object.
    Object,
}

impl Lack {
    /// Of an object of the revision.
    pub(super) fn of(desired: &Desired, id: &ObjectId) -> Self {
        let hook = desired.hooks.get(id);
        let first = hook.and_then(|hook| hook.phases.first());
        first.map_or(Self::Object, |phase| Self::Hook(*phase))
    }

    /// What becomes of the other objects.
    pub(super) fn effect(self) -> &'static str {
        match self {
            Self::Hook(Phase::PreSync) => "nothing of this revision is applied",
            Self::Hook(Phase::Sync) => "later waves are not applied and nothing is pruned",
            _ => "the other objects are applied and nothing is pruned",
        }
    }

    /// What a person does about it.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Self::Hook(Phase::PreSync) => {
                "install the CRD that defines this kind before: what runs before everything else cannot wait for a CRD of the same revision, a Sync hook can"
            }
            _ => crate::cluster::remedy("KindNotServed").unwrap_or_default(),
        }
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hook(phase) => write!(f, "{phase} hook "),
            Self::Object => Ok(()),
        }
    }
}

/// The message of a failure that was seen just now.
fn failure(entry: &mut Entry, now: i64) -> Option<&mut String> {
    let run = entry.hook.as_mut()?;
    run.ended.values_mut().find_map(|outcome| match outcome {
        Outcome::Failed { at, message } if *at == now => Some(message),
        _ => None,
    })
}
