//! What is told of drift: what differs and is left so, what was undone, and who fights.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::application::Application;
use super::request::Request;
use crate::api::{DriftEntry, Policy};
use crate::cluster::{Identity, Target};
use crate::diff::{Drift, drift};
use crate::live::Sighting;
use crate::object::ObjectId;
use crate::plan::fight::Blow;
use crate::plan::{Action, Plan, Step};

/// How many drifted objects are read to say what differs in them.
const OBJECT_LIMIT: usize = 10;
/// How many of their fields the status has.
const FIELD_LIMIT: usize = 20;

impl Application {
    /// Reads the first objects that drifted where drift is not undone by itself, once for each
    /// change of them.
    pub(super) async fn read_drift(&mut self, policy: &Policy, who: &Identity) {
        let drifted: BTreeSet<ObjectId> = if policy.automated && policy.self_heal {
            BTreeSet::new()
        } else {
            self.drifted.iter().take(OBJECT_LIMIT).cloned().collect()
        };
        self.drift.retain(|id, _| drifted.contains(id));
        for id in drifted {
            let version = self
                .live
                .get(&id)
                .and_then(Sighting::present)
                .map_or(0, |seen| seen.version);
            if self
                .drift
                .get(&id)
                .is_some_and(|(known, _)| *known == version)
            {
                continue;
            }
            let Some(object) = self.enforced.get(&id).cloned() else {
                continue;
            };
            let Some(resource) = object.resource() else {
                continue;
            };
            let target = Target::new(resource, id.namespace.as_str(), id.name.as_str());
            let fields = match self.shared.cluster.get(who, &target).await {
                Ok(Some(live)) => {
                    let yields = !self.unscaled.contains(&id);
                    let ignored = object.ignore.in_live(&live, yields);
                    drift(&object.object(), &live, &ignored)
                }
                Ok(None) => Vec::new(),
                Err(error) => {
                    tracing::warn!(application = self.owner.name, %error, "what drifted is not told");
                    continue;
                }
            };
            self.drift.insert(id, (version, fields));
        }
    }

    /// Leaves out the heals of objects that somebody else fights for, until their time; not those
    /// that a person `asked` for.
    pub(super) fn step_back(&mut self, plan: &mut Plan, asked: bool) {
        let heals = plan.steps.iter().filter(|step| step.action == Action::Heal);
        let heals = heals.map(|step| step.id.clone()).collect();
        let now = self.born.elapsed();
        self.fights.observe(&heals, now);
        if !asked {
            let waits =
                |step: &Step| step.action == Action::Heal && self.fights.waits(&step.id, now);
            plan.steps.retain(|step| !waits(step));
        }
        self.timers.fight = self.fights.next().map(|at| self.born + at);
    }

    /// The drift that was read, for the status.
    pub(super) fn told_drift(&self) -> Vec<DriftEntry> {
        let all = self.drift.iter().flat_map(|(id, (version, fields))| {
            let is_gone = *version == 0 && fields.is_empty();
            let gone = is_gone.then(|| DriftEntry {
                object: id.to_string(),
                ..DriftEntry::default()
            });
            let fields = fields.iter().map(|field| DriftEntry {
                object: id.to_string(),
                field: field.path.clone(),
                git: field.git.clone(),
                live: field.live.clone(),
                manager: field.manager.clone(),
                at: field.at.clone(),
            });
            gone.into_iter().chain(fields)
        });
        all.take(FIELD_LIMIT).collect()
    }

    /// The fights, in one sentence that stays the same while they last.
    pub(super) fn fight(&self) -> Option<String> {
        let mut fights = self.fights.fights();
        let (id, blow) = fights.next()?;
        let more = match fights.count() {
            0 => String::new(),
            more => format!(" (and {more} more objects)"),
        };
        Some(format!(
            "{id}: field manager `{}` sets {} again each time it is put back{more}, so it is put back \
             more and more rarely; stop one of the two: leave the field to it with \
             spec.ignoreDifferences, or make it leave the field alone",
            blow.manager, blow.path
        ))
    }

    /// Writes the event of what was undone, if it is time for it.
    pub(super) async fn tell_heals(&mut self, request: &Request) {
        let now = jiff::Timestamp::now().as_second();
        if let Some(event) = self.heals.take(now) {
            tracing::info!(
                application = request.name,
                namespace = request.namespace,
                reason = event.reason,
                "{}",
                event.message
            );
            let cluster = &*self.shared.cluster;
            self.shared.events.write(cluster, request, &event).await;
        }
        let wait = self.heals.due(now).map(Duration::from_secs);
        self.timers.heals = wait.map(|wait| Instant::now() + wait);
    }
}

/// Who had written what was undone.
pub(super) fn blows(undone: &[Drift]) -> BTreeSet<Blow> {
    undone
        .iter()
        .filter_map(|field| {
            Some(Blow {
                manager: field.manager.clone()?,
                path: field.path.clone(),
            })
        })
        .collect()
}
