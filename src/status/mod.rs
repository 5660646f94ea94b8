//! What is told about an Application: derived from the values that a pass returned, never set along
//! the way. Pure: equal inputs give equal statuses, so that nothing is written when nothing happens.

mod event;
mod heals;
mod record;
mod summary;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

pub use event::{Event, EventType, REASONS, events};
pub use heals::Heals;
pub use record::Record;
pub use summary::Summary;

use crate::api::{
    ApplicationStatus, AuditStatus, DriftEntry, Handled, HealthStatus, HistoryEntry,
    RollbackStatus, SyncStatus, condition,
};
use crate::diff::Drift;
use crate::error::{Class, Fault};
use crate::health::Health;
use crate::object::keys;
use crate::plan::Report;

/// The longest message that is written anywhere, in bytes.
const MESSAGE_LIMIT: usize = 1024;

/// How many drifted fields a message names.
const DRIFT_TOLD: usize = 3;

/// An error as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// One CamelCase word.
    pub reason: String,
    /// What was being done, which object, where, why, and what to do.
    pub message: String,
    /// What the loop does about it.
    pub class: Class,
}

impl Problem {
    /// From an error, with its causes in one line.
    pub fn of(error: &(impl Fault + ?Sized)) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            source = cause.source();
        }
        Self {
            reason: error.reason().into(),
            message,
            class: error.class(),
        }
    }
}

/// Everything a status is derived from.
pub struct View<'a> {
    /// The generation of the spec.
    pub generation: i64,
    /// The newest commit seen in Git, and the branch or tag it was found under.
    pub target: Option<(&'a str, &'a str)>,
    /// The commit that is applied.
    pub applied: Option<&'a str>,
    /// What was accepted is being enforced.
    pub enforces: bool,
    /// Why that would be lost in a restart, or was.
    pub not_stored: Option<&'a Problem>,
    /// Why a rollback is not written back to Git, though it should be.
    pub not_written_back: Option<&'a Problem>,
    /// What is not in the notes of the repository yet, and why not, once that is to be told.
    pub audit: &'a AuditStatus,
    /// See there.
    pub not_noted: Option<&'a Problem>,
    /// What waits, and for what; `None` before the first diff.
    pub report: Option<&'a Report>,
    /// Errors of the last pass, the most important first.
    pub problems: &'a [Problem],
    /// The worst object, and its health.
    pub worst: Option<(String, &'a Health)>,
    /// How many objects the inventory holds.
    pub objects: usize,
    /// Without `automated`: differences wait for a person.
    pub manual: bool,
    /// The reason in `towline.dev/suspend`.
    pub suspended: Option<&'a str>,
    /// Why changes in the cluster are not seen, if they are not.
    pub blind: Option<&'a str>,
    /// Requests that were handled.
    pub handled: Handled,
    /// Revisions that were applied, newest first.
    pub history: Vec<HistoryEntry>,
    /// What is remembered of revisions that had to prove themselves.
    pub rollback: &'a RollbackStatus,
    /// Why the newest revision is not taken, or stays although it fails.
    pub note: Option<&'a Problem>,
    /// What was changed in the cluster and is not undone by itself.
    pub drift: Vec<DriftEntry>,
    /// Who sets a field again each time it is put back, and which.
    pub fight: Option<String>,
    /// Workloads whose replicas are left to an autoscaler although Git says how many.
    pub yielding: Vec<String>,
}

/// One condition before it has a time.
struct Draft {
    kind: &'static str,
    status: &'static str,
    reason: String,
    message: String,
}

/// The status. A condition keeps its transition time from `previous` while its status stays.
pub fn derive(
    view: &View<'_>,
    previous: &ApplicationStatus,
    now: jiff::Timestamp,
) -> ApplicationStatus {
    let sync = sync(view, previous);
    let health = health(view);
    let synced = synced(view, &sync);
    let ready = ready(view, &synced, &health);
    let healthy = Draft {
        kind: condition::HEALTHY,
        status: match health.status.as_str() {
            "Healthy" | "Suspended" => "True",
            "Unknown" => "Unknown",
            _ => "False",
        },
        reason: health.status.clone(),
        message: health.message.clone().unwrap_or_default(),
    };
    let drift = Draft {
        kind: condition::DRIFT_DETECTION,
        status: if view.blind.is_some() {
            "False"
        } else {
            "True"
        },
        reason: if view.blind.is_some() {
            "WatchFailed"
        } else {
            "Watching"
        }
        .into(),
        message: view.blind.unwrap_or_default().into(),
    };
    // Only there while it is so: it says something of a restart that may never come.
    let not_stored = view.not_stored.map(|problem| Draft {
        kind: condition::LAST_GOOD_NOT_STORED,
        status: "True",
        reason: problem.reason.clone(),
        message: bounded(&problem.message),
    });
    let not_written_back = view.not_written_back.map(|problem| Draft {
        kind: condition::NOT_WRITTEN_BACK,
        status: "True",
        reason: problem.reason.clone(),
        message: bounded(&problem.message),
    });
    let not_noted = view.not_noted.map(|problem| Draft {
        kind: condition::NOTES_NOT_WRITTEN,
        status: "True",
        reason: problem.reason.clone(),
        message: bounded(&problem.message),
    });
    let conditions = [ready, synced, healthy, drift]
        .into_iter()
        .chain(not_stored)
        .chain(not_written_back)
        .chain(not_noted)
        .map(|draft| dated(draft, view.generation, previous, now))
        .collect();
    ApplicationStatus {
        observed_generation: Some(view.generation),
        conditions,
        sync,
        health,
        handled: view.handled.clone(),
        history: view.history.clone(),
        rollback: view.rollback.clone(),
        drift: view.drift.clone(),
        audit: view.audit.clone(),
    }
}

/// The annotations that show a status at a glance.
pub fn annotations(status: &ApplicationStatus) -> Vec<(&'static str, String)> {
    let message = status
        .conditions
        .iter()
        .find(|c| c.type_ == condition::READY)
        .map(|c| c.message.clone())
        .unwrap_or_default();
    vec![
        (keys::SYNC_STATUS, status.sync.status.clone()),
        (keys::HEALTH, status.health.status.clone()),
        (keys::REVISION, status.sync.revision.clone()),
        (keys::TARGET_REVISION, status.sync.target_revision.clone()),
        (keys::MESSAGE, message),
    ]
}

fn sync(view: &View<'_>, previous: &ApplicationStatus) -> SyncStatus {
    let applied = view.applied.unwrap_or_default();
    let status = match view.report {
        None => "Unknown",
        Some(_) if !view.problems.is_empty() && view.target.is_none() => "Unknown",
        Some(report) if report.out_of_sync > 0 => "OutOfSync",
        Some(_) if !view.problems.is_empty() => "OutOfSync",
        Some(_) if view.rollback.rolled_back.is_some() => "RolledBack",
        Some(_) => "Synced",
    };
    SyncStatus {
        status: status.into(),
        revision: applied.into(),
        short_revision: short(applied).into(),
        // Before Git was read after a start, what was seen before it is the newest that is known.
        target_revision: match view.target {
            Some((commit, _)) => commit.into(),
            None if previous.observed_generation == Some(view.generation) => {
                previous.sync.target_revision.clone()
            }
            None => String::new(),
        },
        objects: i64::try_from(view.objects).unwrap_or(i64::MAX),
        held: view
            .report
            .and_then(|r| r.held.as_ref())
            .map(|held| bounded(&held.to_string())),
    }
}

fn health(view: &View<'_>) -> HealthStatus {
    match &view.worst {
        None if view.report.is_some() => HealthStatus {
            status: "Healthy".into(),
            message: None,
        },
        None => HealthStatus {
            status: "Unknown".into(),
            message: None,
        },
        Some((id, health)) => HealthStatus {
            status: health.status.as_str().into(),
            message: (!health.message.is_empty()
                && health.status != crate::health::Status::Healthy)
                .then(|| bounded(&format!("{id}: {}", health.message))),
        },
    }
}

/// Whether the cluster has what the newest revision declares, and if not, the root cause.
fn synced(view: &View<'_>, sync: &SyncStatus) -> Draft {
    let draft = |status, reason: &str, message: String| Draft {
        kind: condition::SYNCED,
        status,
        reason: reason.into(),
        message: bounded(&message),
    };
    if let Some(note) = view.note {
        let also = view.problems.first();
        let also = also.map(|problem| format!(" ({}: {})", problem.reason, problem.message));
        let message = format!("{}{}", note.message, also.unwrap_or_default());
        return draft("False", &note.reason, message);
    }
    if let Some(problem) = view.problems.first() {
        let more = match view.problems.len() {
            1 => String::new(),
            n => format!(" (and {} more)", n - 1),
        };
        let kept = match view.applied {
            Some(applied)
                if view.enforces && Some(applied) != view.target.map(|(commit, _)| commit) =>
            {
                format!("; {} stays enforced", short(applied))
            }
            _ => String::new(),
        };
        return draft(
            "False",
            &problem.reason,
            format!("{}{more}{kept}", problem.message),
        );
    }
    let Some(report) = view.report else {
        return draft("Unknown", "Starting", "not looked at yet".into());
    };
    if let Some(held) = &report.held {
        return draft("False", held.reason(), format!("held: {held}"));
    }
    if let Some(fight) = &view.fight {
        return draft("False", "Fighting", fight.clone());
    }
    if report.out_of_sync == 0 {
        let (commit, name) = view.target.unwrap_or_default();
        let message = format!(
            "{name}@{} is applied: {} objects{}",
            short(commit),
            view.objects,
            yielding(&view.yielding)
        );
        return draft("True", "Synced", message);
    }
    if let Some(reason) = view.suspended {
        return draft(
            "False",
            "UpdatesSuspended",
            format!("updates are suspended: {reason}"),
        );
    }
    if let Some(blocked) = &report.dependency {
        return draft("False", blocked.reason, blocked.line.clone());
    }
    if let Some(hook) = &report.hook {
        let (commit, name) = view.target.unwrap_or_default();
        let message = format!("{name}@{} {hook}", short(commit));
        return draft("False", "WaitingForHook", message);
    }
    if let Some(wave) = &report.wave {
        return draft("False", "WaitingForWave", wave.clone());
    }
    if let Some(removal) = &report.removal {
        return draft("False", "WaitingForDeletion", removal.clone());
    }
    if let Some((id, why)) = report.objects.iter().next() {
        let more = match report.objects.len() {
            1 => String::new(),
            n => format!(" (and {} more)", n - 1),
        };
        return draft("False", "WaitingForObjects", format!("{id}: {why}{more}"));
    }
    let drift = match drift_told(&view.drift) {
        told if told.is_empty() => told,
        told => format!("; drift: {told}"),
    };
    let message = match view.manual {
        true => format!(
            "{} objects differ; annotate {}=<token> to apply them{drift}",
            report.out_of_sync,
            keys::SYNC
        ),
        false => format!(
            "{} objects differ ({}){drift}",
            report.out_of_sync, sync.status
        ),
    };
    draft("False", "OutOfSync", message)
}

/// What is left to autoscalers, as the end of a sentence.
fn yielding(objects: &[String]) -> String {
    let Some(first) = objects.first() else {
        return String::new();
    };
    let more = match objects.len() {
        1 => String::new(),
        n => format!(" and {} more", n - 1),
    };
    format!("; replicas of {first}{more} are left to an autoscaler")
}

/// The first drifted fields in one line: `Deployment/shop/web: spec.replicas: 5 instead of 2, by
/// kubectl at 2026-01-02T03:04:05Z`.
fn drift_told(drift: &[DriftEntry]) -> String {
    let told: Vec<String> = drift
        .iter()
        .take(DRIFT_TOLD)
        .map(|entry| {
            if entry.field.is_empty() {
                return format!("{} was deleted", entry.object);
            }
            let field = Drift {
                path: entry.field.clone(),
                git: entry.git.clone(),
                live: entry.live.clone(),
                manager: entry.manager.clone(),
                at: entry.at.clone(),
            };
            format!("{}: {field}", entry.object)
        })
        .collect();
    match drift.len().saturating_sub(DRIFT_TOLD) {
        0 => told.join("; "),
        more => format!("{} and {more} more", told.join("; ")),
    }
}

/// The whole story: the first of the sync's and the health's troubles.
fn ready(view: &View<'_>, synced: &Draft, health: &HealthStatus) -> Draft {
    let (status, reason, message) = if synced.status != "True" {
        (synced.status, synced.reason.clone(), synced.message.clone())
    } else if matches!(health.status.as_str(), "Healthy" | "Suspended") {
        let note = view
            .suspended
            .map(|why| format!("; updates are suspended: {why}"));
        let blind = view.blind.map(|why| format!("; drift is not seen: {why}"));
        let tail = note.into_iter().chain(blind).collect::<String>();
        (
            "True",
            "Ready".to_owned(),
            format!("{}{tail}", synced.message),
        )
    } else {
        let why = health
            .message
            .clone()
            .unwrap_or_else(|| health.status.clone());
        (
            "False",
            health.status.clone(),
            format!("{}; {why}", synced.message),
        )
    };
    Draft {
        kind: condition::READY,
        status,
        reason,
        message: bounded(&message),
    }
}

fn dated(
    draft: Draft,
    generation: i64,
    previous: &ApplicationStatus,
    now: jiff::Timestamp,
) -> Condition {
    let since = previous
        .conditions
        .iter()
        .find(|old| old.type_ == draft.kind && old.status == draft.status)
        .map(|old| old.last_transition_time.clone());
    Condition {
        type_: draft.kind.into(),
        status: draft.status.into(),
        reason: draft.reason,
        message: draft.message,
        observed_generation: Some(generation),
        // Whole seconds, as the API server keeps them: a status that was read back is equal.
        last_transition_time: since
            .unwrap_or_else(|| Time(jiff::Timestamp::from_second(now.as_second()).unwrap_or(now))),
    }
}

/// The first 8 hex digits of a commit.
pub fn short(commit: &str) -> &str {
    commit.get(..8).unwrap_or(commit)
}

/// One line without control characters, at most 1 KiB, cut between characters.
fn bounded(text: &str) -> String {
    let mut line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if line.len() > MESSAGE_LIMIT {
        let mut end = MESSAGE_LIMIT - 4;
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        line.truncate(end);
        line.push_str(" …");
    }
    line
}

#[cfg(test)]
mod tests;
