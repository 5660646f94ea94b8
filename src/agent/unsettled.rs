//! The health of objects that hangs on more than themselves: time that passes, a StorageClass or a
//! CRD, their pods. Put together before every decision, so that a watch event of the object alone
//! never hides what its pods said.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::application::Application;
use crate::cluster::Identity;
use crate::health::{Question, Rollout, Status};
use crate::live::{Observed, Sighting};
use crate::object::ObjectId;

impl Application {
    /// Asks what some objects' health hangs on and is not known yet, and puts their health together.
    pub(super) async fn settle(&mut self) {
        let questions: BTreeSet<Question> = self
            .live
            .values()
            .filter_map(|sighting| sighting.present()?.unsettled.as_ref()?.question())
            .cloned()
            .collect();
        if let (false, Some(discovery)) = (questions.is_empty(), self.discovery.clone()) {
            let cluster = &*self.shared.cluster;
            let elsewhere = &self.shared.elsewhere;
            elsewhere.ask(cluster, &discovery, questions).await;
        }
        self.weigh();
    }

    /// Puts the health of every unsettled object together. Returns true when one changed.
    pub(super) fn weigh(&mut self) -> bool {
        let now = jiff::Timestamp::now();
        let (mut changed, mut next) = (false, None);
        let mut live = std::mem::take(&mut self.live);
        for (id, sighting) in &mut live {
            let Sighting::Present(seen) = sighting else {
                continue;
            };
            if seen.unsettled.is_none() {
                continue;
            }
            let before = seen.health.clone();
            let turn = self.weigh_one(id, seen, now);
            changed |= seen.health != before;
            next = [next, turn].into_iter().flatten().min();
        }
        self.live = live;
        self.timers.turn = next.map(|at| instant(at.saturating_mul(1000), now));
        changed
    }

    /// Puts the health of one object together. Returns when it changes by time alone.
    pub(super) fn weigh_one(
        &self,
        id: &ObjectId,
        seen: &mut Observed,
        now: jiff::Timestamp,
    ) -> Option<u64> {
        let unsettled = seen.unsettled.as_ref()?;
        let now = now.as_second().unsigned_abs();
        let answer = |question: &Question| self.shared.elsewhere.answer(question);
        let (health, next) = unsettled.health(now, answer, self.pods.of(id));
        seen.health = health;
        next
    }

    /// Watches the pods of workloads that are on their way for a while, and of those whose restarts
    /// count; of no others.
    pub(super) fn watch_pods(&mut self, who: &Identity) {
        let live = &self.live;
        let seen = |id: &ObjectId| live.get(id).and_then(Sighting::present);
        let rollouts: BTreeMap<ObjectId, Rollout> = self
            .enforced
            .keys()
            .filter_map(|id| {
                let seen = seen(id)?;
                let degraded = seen.health.status == Status::Degraded;
                let rollout = Rollout::of(seen.unsettled.as_ref()?, degraded)?;
                Some((id.clone(), rollout))
            })
            .collect();
        let now = jiff::Timestamp::now();
        let milliseconds = now.as_millisecond().unsigned_abs();
        let is_there = |id: &ObjectId| seen(id).is_some();
        let mut look = self.patience.look(&rollouts, is_there, milliseconds);
        self.timers.pods = look.next.map(|at| instant(at, now));
        let on_trial = self.watched_on_trial();
        let watched = on_trial.keys().filter(|id| is_there(id));
        let watched: Vec<ObjectId> = watched.cloned().collect();
        look.once.retain(|id| !on_trial.contains_key(id));
        look.watch.extend(watched);
        let selector = |id: &ObjectId| match on_trial.get(id) {
            Some(selector) => Some(selector.as_str()),
            None => Some(seen(id)?.unsettled.as_ref()?.workload()?.selector()),
        };
        let shared = (&self.shared.pods, &self.shared.cluster);
        self.pods.set(&look, shared, who, &self.mailbox, selector);
    }
}

/// The moment of a time in milliseconds since 1970, a little later rather than earlier.
fn instant(at: u64, now: jiff::Timestamp) -> Instant {
    let wait = at.saturating_sub(now.as_millisecond().unsigned_abs());
    Instant::now() + Duration::from_millis(wait.saturating_add(1))
}
