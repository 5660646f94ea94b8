//! What an Application tells: its status, its events, its history; and what it stores of itself.

use std::time::Duration;

use tokio::time::Instant;

use super::application::{Application, STATUS_SPACING};
use super::metrics::Lead;
use super::publish::publish;
use super::request::Request;
use super::schedule::STORE_AFTER;
use crate::api::{ApplicationStatus, HistoryEntry, Policy, RevisionId, outcome};
use crate::cluster::{Identity, Resource};
use crate::inventory::Inventory;
use crate::live::shown;
use crate::rollback::Cause;
use crate::status::{Summary, View, derive, events};

/// The longest reason of a rollback in the history, in characters.
const CAUSE_LIMIT: usize = 512;

impl Application {
    /// Puts the revision that was just applied into the history.
    pub(super) fn remember(&mut self, changed: usize) {
        let Some(goal) = &self.goal else { return };
        let id = goal.id();
        self.court.lead = self.lead(&id).map(|lead| (id.digest.clone(), lead));
        if let Some((_, lead)) = self.court.lead {
            self.shared.metrics.live(lead, seconds_now());
        }
        let from = self.reverted.take();
        let mut entry = self.entry(&id);
        entry.changed = i64::try_from(changed).unwrap_or(i64::MAX);
        entry.outcome = outcome::APPLIED.into();
        // What was applied, or tried, since it was applied the last time.
        let before = self.history.iter().position(|old| old.digest == id.digest);
        let undone = self.history.iter().take(before.unwrap_or(0));
        entry.reverts = undone.map(|old| old.revision.clone()).collect();
        if before.is_some() && entry.reverts.is_empty() {
            entry.reverts.extend(from);
        }
        self.note_applied(&entry);
        self.put(entry);
    }

    /// Notes how a revision ended that was taken back.
    pub(super) fn remember_rolled_back(&mut self, id: &RevisionId, cause: &Cause) {
        let newest = self.history.first().is_some_and(|e| e.digest == id.digest);
        let mut entry = match newest {
            true => self.history.remove(0),
            false => self.entry(id),
        };
        entry.outcome = outcome::ROLLED_BACK.into();
        entry.message = Some(shown::line(&cause.to_string(), CAUSE_LIMIT));
        self.note_taken_back(&entry, cause);
        self.put(entry);
    }

    /// When the commit of a revision was made and found. One that was there before the Application
    /// was, or that was applied or tried before, is not new: it took no time to get here.
    fn lead(&self, id: &RevisionId) -> Option<Lead> {
        let is_known = self.history.iter().any(|old| old.revision == id.revision);
        let resolved = self.source_state().resolved;
        let resolved = resolved.filter(|one| one.revision.commit == id.revision)?;
        #[expect(
            clippy::cast_precision_loss,
            reason = "dates are far below 2^52 seconds"
        )]
        let made = resolved.details.time as f64;
        (!is_known && !self.history.is_empty()).then(|| Lead {
            made,
            seen: seconds(resolved.seen),
        })
    }

    /// A revision as the history has it.
    fn entry(&self, id: &RevisionId) -> HistoryEntry {
        let resolved = self.source_state().resolved;
        let details = resolved
            .filter(|resolved| resolved.revision.commit == id.revision)
            .map(|resolved| resolved.details.clone());
        let (author, subject) = details.map(|d| (d.author, d.subject)).unwrap_or_default();
        let started = self.court.started.as_ref();
        let started = started.filter(|(digest, _)| *digest == id.digest);
        HistoryEntry {
            revision: id.revision.clone(),
            deployed_at: format!("{:.0}", jiff::Timestamp::now()),
            author,
            subject,
            digest: id.digest.clone(),
            started_at: started.map(|(_, at)| format!("{at:.0}")),
            ..HistoryEntry::default()
        }
    }

    fn put(&mut self, entry: HistoryEntry) {
        self.history.insert(0, entry);
        let limit = self
            .request()
            .spec
            .ok()
            .and_then(|spec| Policy::from_spec(&spec).ok())
            .map_or(10, |policy| policy.history_limit);
        self.history.truncate(limit);
    }

    /// Stores what changed in the inventory.
    pub(super) async fn save(&mut self) {
        let Some(inventory) = &mut self.inventory else {
            return;
        };
        if let Err(error) = self.store.save(&*self.shared.cluster, inventory).await {
            tracing::warn!(application = self.owner.name, %error, "inventory was not stored; it is tried again");
            self.timers.store = Some(Instant::now() + STORE_AFTER);
        }
    }

    /// Writes the status if it changed, and the events of what happened.
    pub(super) async fn publish(&mut self, request: &Request, urgent: bool) {
        if self.requests.borrow().gone {
            // What has its name now is another one.
            return;
        }
        let worst = self.worst();
        let resources: Vec<Resource> = self.recorded.values().cloned().collect();
        let who = request
            .identity(&self.shared.options.namespace)
            .unwrap_or(Identity::Agent);
        let blind = self.shared.watches.blind(&who, &resources);
        let automated = |spec: &crate::api::ApplicationSpec| {
            Policy::from_spec(spec).is_ok_and(|policy| policy.automated)
        };
        let now = jiff::Timestamp::now();
        let suspended = request.suspended(now.as_second());
        let not_noted = self.told_notes();
        // That the inventory cannot be read does not mean that there is nothing in it.
        let counted = usize::try_from(self.published.sync.objects).unwrap_or(0);
        let view = View {
            generation: request.generation,
            target: self
                .target
                .as_ref()
                .map(|(commit, name)| (commit.as_str(), name.as_str())),
            applied: self.applied.as_deref(),
            enforces: !self.enforced.is_empty(),
            not_stored: self.last_good.problem.as_ref(),
            not_written_back: self.write_back.problem.as_ref(),
            audit: &self.notes.status,
            not_noted: not_noted.as_ref(),
            report: self.report.as_ref(),
            problems: &self.problems,
            worst: worst.as_ref().map(|(id, health)| (id.clone(), health)),
            objects: self.inventory.as_ref().map_or(counted, Inventory::len),
            manual: !request.spec.as_ref().is_ok_and(automated),
            suspended: suspended.as_deref(),
            blind: blind.as_deref(),
            handled: self.handled.clone(),
            history: self.history.clone(),
            rollback: &self.rollback,
            note: self.court.note.as_ref(),
            drift: self.told_drift(),
            fight: self.fight(),
            yielding: self.yielding(),
        };
        let status = derive(&view, &self.published, now);
        if status == self.published && self.published_at.is_some() {
            self.timers.publish = None;
            return;
        }
        if !urgent && !self.takes_its_turn(&status) {
            return;
        }
        let cluster = &*self.shared.cluster;
        if let Err(error) = publish(cluster, request, &self.published, &status).await {
            tracing::warn!(application = request.name, %error, "status was not written; it is tried again");
            self.timers.publish = Some(Instant::now() + 2 * STATUS_SPACING);
            return;
        }
        self.timers.publish = None;
        for event in events(&self.published, &status, &self.summary) {
            tracing::info!(
                application = request.name,
                namespace = request.namespace,
                reason = event.reason,
                "{}",
                event.message
            );
            self.shared.events.write(cluster, request, &event).await;
        }
        let state = |s: &ApplicationStatus| (s.sync.status.clone(), s.health.status.clone());
        let (old, new) = (state(&self.published), state(&status));
        let before = self
            .published_at
            .is_some()
            .then_some((old.0.as_str(), old.1.as_str()));
        self.shared
            .metrics
            .application(before, Some((&new.0, &new.1)));
        self.summary = Summary::default();
        self.published = status;
        self.published_at = Some(Instant::now());
    }

    /// Whether a status may be written now that nothing was written for; its turn comes if not. What
    /// people and other Applications go by is written at most once a second, and a word that only a
    /// commit has moved when there is time.
    fn takes_its_turn(&mut self, status: &ApplicationStatus) -> bool {
        let now = Instant::now();
        let too_soon = |at: Instant| now.duration_since(at) < STATUS_SPACING;
        if self.published_at.is_some_and(too_soon) {
            self.timers.publish_by(now + STATUS_SPACING);
            return false;
        }
        let is_needed = || self.standings.borrow().is_needed(&self.key());
        if !only_moves(&self.published, status) || is_needed() {
            return true;
        }
        if self.timers.publish.is_some() {
            return false;
        }
        let wait = self.shared.pace.turn(now);
        if wait > Duration::ZERO {
            self.timers.publish_by(now + wait);
        }
        wait.is_zero()
    }
}

/// Whether nothing is new but the commit that was looked at.
fn only_moves(before: &ApplicationStatus, after: &ApplicationStatus) -> bool {
    let rest = |status: &ApplicationStatus| {
        let mut rest = status.clone();
        rest.sync.revision.clear();
        rest.sync.short_revision.clear();
        rest.sync.target_revision.clear();
        for condition in &mut rest.conditions {
            condition.message.clear();
        }
        rest
    };
    before != after && rest(before) == rest(after)
}

/// The time, in seconds since the epoch.
pub(super) fn seconds_now() -> f64 {
    seconds(jiff::Timestamp::now())
}

fn seconds(time: jiff::Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

    use super::*;

    #[test]
    fn a_commit_that_changes_nothing_is_no_news() {
        let condition = |status: &str, message: &str| Condition {
            type_: "Ready".into(),
            status: status.into(),
            reason: "Synced".into(),
            message: message.into(),
            last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
            observed_generation: None,
        };
        let mut before = ApplicationStatus::default();
        before.sync.revision = "a".into();
        before.conditions = vec![condition("True", "applied a")];
        let mut after = before.clone();
        assert!(!only_moves(&before, &after), "nothing is to be written");
        after.sync.revision = "b".into();
        after.sync.target_revision = "b".into();
        after.conditions = vec![condition("True", "applied b")];
        assert!(only_moves(&before, &after));
        let mut sick = after.clone();
        sick.conditions = vec![condition("False", "applied b")];
        assert!(!only_moves(&before, &sick));
        let mut newer = after.clone();
        newer.observed_generation = Some(2);
        assert!(!only_moves(&before, &newer));
    }
}
