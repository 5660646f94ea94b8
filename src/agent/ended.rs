//! Jobs and Pods that ran to their end. They may be gone a moment later, by a TTL: what they came to
//! is written down, so that they neither run again nor count for what they are not.

use std::borrow::Cow;
use std::sync::Arc;

use super::application::Application;
use crate::desired::{Desired, DesiredObject};
use crate::health::{Health, Status};
use crate::inventory::Entry;
use crate::live::{Observed, Sighting};
use crate::object::{Object, ObjectId};
use crate::plan::Plan;

/// What is said of a Job whose own words are gone.
const FAILED: &str = "the Job failed";
/// Clocks of the agent and the API server may differ by this much, in seconds.
const SLACK: i64 = 60;

impl Application {
    /// Writes down what ended, and what must have ended. `now` is in seconds since the epoch.
    pub(super) fn note_ended(&mut self, now: i64) {
        let Some(inventory) = &mut self.inventory else {
            return;
        };
        let live = &self.live;
        self.interrupted.retain(|id| {
            let is_there = live.get(id).is_some_and(|seen| seen.present().is_some());
            !is_there && inventory.get(id).is_some()
        });
        let mut ended: Vec<(ObjectId, bool, Option<String>)> = Vec::new();
        for (id, entry) in inventory.iter() {
            if entry.done || entry.hook.is_some() || !may_end(id) {
                continue;
            }
            let seen = live.get(id).and_then(Sighting::present);
            let seen = seen.filter(|seen| seen.holds == Some(entry.hash));
            let last = self.last.get(id);
            let last = last.filter(|last| entry.uid() == Some(last.uid.as_str()));
            let seen = last.or(seen).filter(|seen| seen.finished);
            let (mut done, mut failure) = (false, entry.failure.clone());
            match seen {
                // What is on its way out does not say any more how it ended.
                Some(seen) if is_failed_job(id, seen) && seen.terminating => {
                    failure.get_or_insert_with(|| FAILED.into());
                }
                Some(seen) if is_failed_job(id, seen) => {
                    failure = Some(seen.health.message.clone())
                }
                Some(_) => done = true,
                None => {}
            }
            let is_gone = matches!(live.get(id), Some(Sighting::Absent)) || last.is_some();
            if is_gone && is_expired(entry, now) && !self.interrupted.contains(id) {
                if !done && failure.is_none() {
                    tracing::info!(
                        application = self.owner.name,
                        object = %id,
                        "gone by its TTL, and its end was not seen: it counts as done"
                    );
                }
                done = true;
            }
            if (done, &failure) != (entry.done, &entry.failure) {
                ended.push((id.clone(), done, failure));
            }
        }
        for (id, done, failure) in ended {
            let Some(entry) = inventory.get(&id) else {
                continue;
            };
            let mut next = entry.clone();
            (next.done, next.failure) = (done, failure);
            // What a TTL takes away nobody can look up any more: stored before anything follows.
            if entry.expires.is_some() {
                inventory.write_down(&id, next);
            } else {
                inventory.update(&id, |entry| *entry = next);
            }
        }
    }

    /// Watches the kinds of what a plan creates that ends by itself: it may be gone before a watch
    /// that is opened afterwards lists.
    pub(super) fn watch_ends(
        &self,
        plan: &Plan,
        desired: &Desired,
        who: &crate::cluster::Identity,
    ) {
        let object = |id: &ObjectId| -> Option<&Arc<DesiredObject>> {
            let hook = desired.hooks.get(id).map(|hook| &hook.object);
            desired.objects.get(id).or(hook)
        };
        let created = plan.steps.iter().filter(|step| may_end(&step.id));
        let mut created = created.filter_map(|step| object(&step.id)).peekable();
        if created.peek().is_some() {
            self.watch(created, who);
        }
    }

    /// How an object is, also one that is gone: of a Job that failed, what it said.
    pub(super) fn health_of(&self, id: &ObjectId) -> Option<Cow<'_, Health>> {
        match self.live.get(id)? {
            Sighting::Present(seen) => Some(Cow::Borrowed(&seen.health)),
            Sighting::Absent => {
                let entry = self.inventory.as_ref()?.get(id)?;
                entry.lasting_failure().map(failed).map(Cow::Owned)
            }
            Sighting::Unknown(_) => None,
        }
    }
}

/// The health of a Job that failed and is gone.
pub(crate) fn failed(message: &str) -> Health {
    Health::new(
        Status::Degraded,
        "JobFailed",
        format!("it failed, and was deleted by its ttlSecondsAfterFinished: {message}"),
    )
}

/// From when on the TTL of a live Job may have deleted it, in seconds since the epoch.
pub(super) fn expires(object: &Object, seen: &Observed) -> Option<i64> {
    if !is_job(&object.id()) {
        return None;
    }
    let ttl = object
        .0
        .pointer("/spec/ttlSecondsAfterFinished")?
        .as_i64()?;
    Some(seen.created.saturating_add(ttl))
}

fn is_expired(entry: &Entry, now: i64) -> bool {
    // One that is not owned was never created, or that is not known yet.
    let expires = entry.expires.filter(|_| entry.uid().is_some());
    expires.is_some_and(|at| at <= now.saturating_add(SLACK))
}

/// A Job that failed runs again when a person deletes it, as one does to try again; a TTL is no
/// person.
fn is_failed_job(id: &ObjectId, seen: &Observed) -> bool {
    is_job(id) && !seen.succeeded
}

/// Whether objects of the kind run to an end.
fn may_end(id: &ObjectId) -> bool {
    is_job(id) || (id.group.is_empty() && id.kind == "Pod")
}

pub(super) fn is_job(id: &ObjectId) -> bool {
    id.group == "batch" && id.kind == "Job"
}
