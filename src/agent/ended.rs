//! Jobs and Pods that ran to their end. They may be gone a moment later, by a TTL: what they came to
//! is written down, so that they neither run again nor count for what they are not.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::application::Application;
use crate::cluster::{Identity, Resource};
use crate::desired::{Desired, DesiredObject};
use crate::health::{Health, Status};
use crate::inventory::Entry;
use crate::live::{Observed, Sighting};
use crate::object::ObjectId;
use crate::plan::{Action, Plan, Step};

/// What is said of a Job whose own words are gone.
const FAILED: &str = "the Job failed";
/// What is said of a Job that may have ended either way.
const UNSEEN: &str = "its end was not seen: it is gone, perhaps by its ttlSecondsAfterFinished";
/// Clocks of the agent and the API server may differ by this much, in seconds, where a Job must not
/// run twice for it.
const SLACK: i64 = 60;
/// The same where the time of the end is known: a person may delete it a moment later, to try again.
const SKEW: i64 = 2;
/// How long a watch may take to open, before that is created which it is for.
const OPENING: Duration = Duration::from_secs(10);

impl Application {
    /// Writes down what ended, and what must have ended. `now` is in seconds since the epoch.
    pub(super) fn note_ended(&mut self, now: i64) {
        let Some(inventory) = &mut self.inventory else {
            return;
        };
        let mut ended: Vec<(ObjectId, Entry)> = Vec::new();
        let may_end = |(id, _): &(&ObjectId, &Entry)| id.runs_to_its_end();
        for (id, entry) in inventory.iter().filter(may_end) {
            let seen = Seen {
                sighting: self.live.get(id),
                last: self.last.get(id),
                interrupted: self.interrupted.contains(id),
            };
            if let Some(next) = noted(id, entry, seen, now) {
                ended.push((id.clone(), next));
            }
        }
        for (id, next) in ended {
            // What a TTL takes away nobody can look up any more: stored before anything follows.
            let expires = inventory.get(&id).and_then(|entry| entry.expires);
            if expires.is_some() || next.expires.is_some() {
                inventory.write_down(&id, next);
            } else {
                inventory.update(&id, |entry| *entry = next);
            }
        }
    }

    /// What the watches told once is kept until what follows from it is stored: where that fails, the
    /// inventory is read anew, and knows nothing of it.
    pub(super) fn forget_ends(&mut self) {
        let inventory = self.inventory.as_ref();
        if inventory.is_some_and(|inventory| inventory.changed_shards().is_empty()) {
            self.last.clear();
            self.interrupted.clear();
        }
    }

    /// Watches the kinds of what a plan creates that ends by itself: it may be gone before a watch
    /// that is opened afterwards lists. Returns where those are.
    pub(super) fn watch_ends(
        &self,
        plan: &Plan,
        desired: &Desired,
        who: &Identity,
    ) -> BTreeSet<(Resource, String)> {
        let object = |id: &ObjectId| -> Option<&Arc<DesiredObject>> {
            let hook = desired.hooks.get(id).map(|hook| &hook.object);
            let declared = desired.objects.get(id).or(hook);
            declared.or_else(|| self.enforced.get(id))
        };
        let ends =
            |step: &&Step| matches!(step.action, Action::RunHook(_)) || step.id.runs_to_its_end();
        let steps = plan.steps.iter().filter(ends);
        let created: Vec<_> = steps.filter_map(|step| object(&step.id)).collect();
        if created.is_empty() {
            return BTreeSet::new();
        }
        self.watch(created.iter().copied(), who);
        let place = |object: &Arc<DesiredObject>| {
            let resource = object.resource()?.clone();
            Some((resource, object.id.namespace.clone()))
        };
        created.into_iter().filter_map(place).collect()
    }

    /// Waits until these are watched, once for each kind: for what the API server answers to a list,
    /// as for every other answer. Where it may not be watched, or does not answer in time, what is
    /// created may end unseen; that is no reason not to create it.
    pub(super) async fn watched(&self, ends: BTreeSet<(Resource, String)>, who: &Identity) {
        let watches = &self.shared.watches;
        let opened = ends
            .iter()
            .map(|(resource, namespace)| watches.opened(who, resource, namespace, OPENING));
        join_all(opened).await;
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

/// What is known of an object that may have ended.
#[derive(Clone, Copy)]
struct Seen<'a> {
    sighting: Option<&'a Sighting>,
    /// How it was when it went, if it had finished.
    last: Option<&'a Observed>,
    /// It was seen to go before its end.
    interrupted: bool,
}

/// The record of an object that runs to an end, if that is another one by what was seen.
fn noted(id: &ObjectId, entry: &Entry, seen: Seen<'_>, now: i64) -> Option<Entry> {
    if entry.done || entry.hook.is_some() {
        return None;
    }
    let mut next = entry.clone();
    let is_it = |seen: &&Observed| entry.uid() == Some(seen.uid.as_str());
    let last = seen.last.filter(is_it);
    let there = seen.sighting.and_then(Sighting::present).filter(is_it);
    if let Some(known) = last.or(there) {
        next.expires = match (known.terminating, known.finished) {
            // No TTL deletes one that runs.
            (true, false) => None,
            // How it ended may be the doing of who deletes it.
            (true, true) => entry.expires.and(known.expires),
            (false, true) => known.expires,
            // It was created by a request whose answer never came, or by an older towline.
            (false, false) => entry.expires.or(known.expires),
        };
    }
    let holds = there.filter(|seen| seen.holds == Some(entry.hash));
    match last.or(holds).filter(|seen| seen.finished) {
        // What is on its way out does not say any more how it ended.
        Some(seen) if is_failed_job(id, seen) && seen.terminating => {
            next.failure.get_or_insert_with(|| FAILED.into());
        }
        Some(seen) if is_failed_job(id, seen) => next.failure = Some(seen.health.message.clone()),
        Some(_) => {
            next.done = true;
            next.failure = None;
        }
        None => {}
    }
    if seen.interrupted {
        next.expires = None;
    }
    let is_gone = last.is_some() || matches!(seen.sighting, Some(Sighting::Absent));
    // One that is not owned was never created, or that is not known yet.
    if is_gone && !next.done && entry.uid().is_some() {
        let slack = if next.failure.is_some() { SKEW } else { SLACK };
        if next
            .expires
            .is_some_and(|at| at <= now.saturating_add(slack))
        {
            next.done = true;
            next.failure.get_or_insert_with(|| UNSEEN.into());
        } else {
            // Somebody deleted it, and no time that passes makes that a TTL.
            next.expires = None;
        }
    }
    (next != *entry).then_some(next)
}

/// The health of a Job that failed and is gone.
pub(crate) fn failed(message: &str) -> Health {
    if message == UNSEEN {
        let advice = "so it counts as failed and does not run again by itself; a longer TTL leaves time to look";
        let message = format!("{message}, {advice}");
        return Health::new(Status::Degraded, "JobEndUnseen", message);
    }
    Health::new(
        Status::Degraded,
        "JobFailed",
        format!("it failed, and was deleted by its ttlSecondsAfterFinished: {message}"),
    )
}

/// A Job that failed runs again when a person deletes it, as one does to try again; a TTL is no
/// person.
fn is_failed_job(id: &ObjectId, seen: &Observed) -> bool {
    id.is_job() && !seen.succeeded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{Owner, State};
    use crate::live::{Ignore, observe};
    use crate::object::{Gvk, Object};
    use serde_json::json;

    /// Midnight, at which the Job of these tests is created.
    const BORN: i64 = 1_767_225_600;

    fn id() -> ObjectId {
        ObjectId::new("batch", "Job", "shop", "migrate")
    }

    /// The Job with this TTL, as it is or went; it ended so many seconds after its creation.
    fn job(ttl: i64, end: Option<(&str, i64)>) -> Observed {
        let mut job = json!({"apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": "migrate", "namespace": "shop", "uid": "u",
                "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"ttlSecondsAfterFinished": ttl}});
        if let Some((kind, after)) = end {
            let at = jiff::Timestamp::from_second(BORN + after).expect("a time");
            job["status"] = json!({"conditions": [{"type": kind, "status": "True",
                "message": "told", "lastTransitionTime": at.to_string()}]});
        }
        let owner = Owner {
            install: "i".into(),
            namespace: "n".into(),
            name: "a".into(),
        };
        let mut seen = observe(&Object(job), &owner, &Ignore::default(), BORN);
        seen.holds = Some(7);
        seen
    }

    fn entry(expires: Option<i64>) -> Entry {
        let mut entry = Entry::intended(&Gvk::from_api_version("batch/v1", "Job"), 7, BORN);
        entry.state = State::Owned { uid: "u".into() };
        entry.expires = expires.map(|after| BORN + after);
        entry
    }

    /// What is recorded so many seconds after the creation.
    fn note(
        entry: &Entry,
        sighting: &Sighting,
        last: Option<&Observed>,
        interrupted: bool,
        after: i64,
    ) -> Entry {
        let seen = Seen {
            sighting: Some(sighting),
            last,
            interrupted,
        };
        noted(&id(), entry, seen, BORN + after).unwrap_or_else(|| entry.clone())
    }

    fn there(seen: &Observed) -> Sighting {
        Sighting::Present(Box::new(seen.clone()))
    }

    #[test]
    fn one_that_failed_lasts_by_its_ttl_and_runs_again_where_a_person_deletes_it_before() {
        // It ran for longer than its TTL.
        let failed = job(300, Some(("Failed", 360)));
        let known = note(&entry(Some(300)), &there(&failed), None, false, 361);
        assert_eq!((known.done, known.expires), (false, Some(BORN + 660)));
        assert!(known.failure.is_some());
        for last in [None, Some(&failed)] {
            let deleted = note(&known, &Sighting::Absent, last, false, 370);
            assert_eq!(
                (deleted.done, deleted.expires),
                (false, None),
                "{deleted:?}"
            );
            // Nor does it last once the time has passed in which nothing put it back.
            let later = note(&deleted, &Sighting::Absent, None, false, 900);
            assert!(!later.done);
            let expired = note(&known, &Sighting::Absent, last, false, 660);
            assert!(expired.lasting_failure().is_some(), "{expired:?}");
        }
    }

    #[test]
    fn one_that_succeeded_has_no_failure_of_its_predecessor() {
        let mut again = entry(Some(0));
        again.failure = Some("old".into());
        let done = note(
            &again,
            &Sighting::Absent,
            Some(&job(0, Some(("Complete", 9)))),
            false,
            9,
        );
        assert_eq!((done.done, done.failure), (true, None));
    }

    #[test]
    fn an_end_that_nobody_saw_is_no_success_and_one_that_was_interrupted_is_no_end() {
        let unseen = note(&entry(Some(30)), &Sighting::Absent, None, false, 40);
        assert_eq!(unseen.lasting_failure(), Some(UNSEEN));
        assert!(failed(UNSEEN).message.starts_with(UNSEEN));
        let interrupted = note(&entry(Some(30)), &Sighting::Absent, None, true, 40);
        assert_eq!((interrupted.done, interrupted.expires), (false, None));
        let before = note(&entry(Some(300)), &Sighting::Absent, None, false, 40);
        assert_eq!((before.done, before.expires), (false, None));
        // A deletion that waits for the pods says so before.
        let mut going = job(30, None);
        going.terminating = true;
        let going = note(&entry(Some(30)), &there(&going), None, false, 40);
        assert_eq!(going.expires, None);
    }

    #[test]
    fn a_ttl_that_was_never_recorded_is_read_from_the_object() {
        let known = note(&entry(None), &there(&job(30, None)), None, false, 5);
        assert_eq!(known.expires, Some(BORN + 30));
    }
}
