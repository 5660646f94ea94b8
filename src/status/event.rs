//! Kubernetes Events: one for each transition of an Application, never one for each object.

use super::{Summary, drift_told, short};
use crate::api::{ApplicationStatus, DriftEntry, condition};

/// Normal or Warning, as Kubernetes has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// Something went as it should.
    Normal,
    /// A person may want to look.
    Warning,
}

/// One Event about an Application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Normal or Warning.
    pub kind: EventType,
    /// One CamelCase word: the same as the condition's.
    pub reason: String,
    /// One line.
    pub message: String,
}

/// The reasons of events that are not condition reasons too, with what they say.
pub const REASONS: &[(&str, &str)] = &[
    (
        "Applied",
        "a revision was applied; says how many objects it changed",
    ),
    (
        "Drifted",
        "somebody changed what Git declares, and drift is not undone by itself; names field, values and manager",
    ),
    (
        "Healed",
        "drift was undone; names objects and fields, at most once a minute",
    ),
    ("Recovered", "the Application is Ready again"),
    (
        "WrittenBack",
        "a commit that takes a rolled back revision back was pushed; names it and its branch",
    ),
];

/// The events of a pass: what it did, and what changed in the status.
pub fn events(
    previous: &ApplicationStatus,
    next: &ApplicationStatus,
    summary: &Summary,
) -> Vec<Event> {
    let mut events = Vec::new();
    let written = match &next.rollback.rolled_back {
        Some(_) => &next.sync.revision,
        None => &next.sync.target_revision,
    };
    if summary.rolled_forward() > 0 {
        events.push(Event {
            kind: EventType::Normal,
            reason: "Applied".into(),
            message: format!("{}: {summary}", short(written)),
        });
    }
    let is_new = |entry: &&DriftEntry| !previous.drift.contains(entry);
    let drift: Vec<DriftEntry> = next.drift.iter().filter(is_new).cloned().collect();
    if !drift.is_empty() {
        events.push(Event {
            kind: EventType::Warning,
            reason: "Drifted".into(),
            message: drift_told(&drift),
        });
    }
    let find = |status: &ApplicationStatus, kind: &str| {
        let mut conditions = status.conditions.iter();
        conditions.find(|c| c.type_ == kind).cloned()
    };
    let ready = |status: &ApplicationStatus| find(status, condition::READY);
    if let Some(written) = &next.rollback.written_back
        && previous.rollback.written_back.as_ref() != Some(written)
    {
        events.push(Event {
            kind: EventType::Normal,
            reason: "WrittenBack".into(),
            message: format!(
                "{} on branch {} takes {} back",
                short(&written.commit),
                written.branch,
                short(&written.reverts)
            ),
        });
    }
    for kind in [condition::NOT_WRITTEN_BACK, condition::NOTES_NOT_WRITTEN] {
        let Some(failed) = find(next, kind) else {
            continue;
        };
        let before = find(previous, kind);
        if before.is_none_or(|before| before.reason != failed.reason) {
            events.push(Event {
                kind: EventType::Warning,
                reason: failed.reason,
                message: failed.message,
            });
        }
    }
    if let (before, Some(after)) = (ready(previous), ready(next)) {
        let changed = before
            .as_ref()
            .is_none_or(|b| b.reason != after.reason || b.status != after.status);
        let is_step = matches!(
            after.reason.as_str(),
            "Progressing"
                | "WaitingForWave"
                | "WaitingForHook"
                | "WaitingForDependency"
                | "WaitingForDeletion"
                | "Starting"
                | "OutOfSync"
                | "Missing"
        );
        if changed && after.status == "True" && before.is_some_and(|b| b.status == "False") {
            events.push(Event {
                kind: EventType::Normal,
                reason: "Recovered".into(),
                message: after.message,
            });
        } else if changed && after.status == "False" && !is_step {
            events.push(Event {
                kind: EventType::Warning,
                reason: after.reason,
                message: after.message,
            });
        }
    }
    events
}
