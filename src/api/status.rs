//! What the agent writes into an Application.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::audit::AuditStatus;
use super::rollback::RollbackStatus;

/// Names of the condition types.
pub mod condition {
    /// Synced and Healthy: the whole story in one condition. Its message is the MESSAGE column.
    pub const READY: &str = "Ready";
    /// The cluster has what the newest revision declares.
    pub const SYNCED: &str = "Synced";
    /// Every object is healthy.
    pub const HEALTHY: &str = "Healthy";
    /// Changes in the cluster are seen as they happen.
    pub const DRIFT_DETECTION: &str = "DriftDetection";
    /// Only there while it is so: what is enforced would not be known after a restart.
    pub const LAST_GOOD_NOT_STORED: &str = "LastGoodNotStored";
    /// Only there while it is so: a revision was rolled back, and Git does not say so yet.
    pub const NOT_WRITTEN_BACK: &str = "NotWrittenBack";
    /// Only there while it is so: entries of the full record are not in the repository yet.
    pub const NOTES_NOT_WRITTEN: &str = "NotesNotWritten";
    /// Each type with what it says, for the reference.
    pub const TABLE: &[(&str, &str)] = &[
        (
            READY,
            "synced and healthy: the whole story in one condition; its message is the MESSAGE column",
        ),
        (SYNCED, "the cluster has what the newest revision declares"),
        (HEALTHY, "every object is healthy"),
        (
            DRIFT_DETECTION,
            "changes in the cluster are seen as they happen; `False` when a watch is forbidden or broken",
        ),
        (
            LAST_GOOD_NOT_STORED,
            "only there while it is so: an agent that is restarted while Git cannot be read would not heal everything; the message says why",
        ),
        (
            NOT_WRITTEN_BACK,
            "only there while it is so: a revision was rolled back, and `spec.rollback.writeBack` could not be done; the message says why, and nothing else waits for it",
        ),
        (
            NOTES_NOT_WRITTEN,
            "only there while it is so: with `spec.audit.notes`, lines of the full record are not in the repository yet; the message says why, `.status.audit.pending` has them, and nothing else waits for it",
        ),
    ];
}

/// What the agent found and did. Derived from the last pass; nothing in it changes while nothing
/// happens.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Synced, Healthy, DriftDetection; LastGoodNotStored, NotWrittenBack and NotesNotWritten while
    /// that is so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Git against the cluster.
    #[serde(default)]
    pub sync: SyncStatus,
    /// The worst object's health.
    #[serde(default)]
    pub health: HealthStatus,
    /// Requests that were handled.
    #[serde(default)]
    pub handled: Handled,
    /// The revisions that were applied, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryEntry>,
    /// What is remembered of revisions that had to prove themselves, with `spec.rollback` or
    /// `spec.preflight`.
    #[serde(default, skip_serializing_if = "RollbackStatus::is_empty")]
    pub rollback: RollbackStatus,
    /// What was changed in the cluster and stays so, because drift is not undone by itself: the
    /// first fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<DriftEntry>,
    /// What of the full record is not in the repository yet, with `spec.audit`.
    #[serde(default, skip_serializing_if = "AuditStatus::is_empty")]
    pub audit: AuditStatus,
}

/// Git against the cluster.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SyncStatus {
    /// `Synced`, `OutOfSync`, `RolledBack` (synced to the revision before, because the newest one did
    /// not work) or `Unknown`.
    #[serde(default)]
    pub status: String,
    /// The commit that is applied, 40 hex digits.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub revision: String,
    /// The first 8 of them, for the column.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub short_revision: String,
    /// The newest commit seen in Git.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target_revision: String,
    /// How many objects the inventory holds.
    #[serde(default)]
    pub objects: i64,
    /// What a held plan waits for, with the annotation that lets it go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
}

/// The worst object's health.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HealthStatus {
    /// `Healthy`, `Progressing`, `Degraded`, `Suspended`, `Missing` or `Unknown`.
    #[serde(default)]
    pub status: String,
    /// Which object, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The tokens of the requests that were handled.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Handled {
    /// The value of `towline.dev/refresh` that was handled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<String>,
    /// The value of `towline.dev/sync` that was handled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<String>,
    /// The value of `towline.dev/retry` that was handled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<String>,
}

/// One field that somebody changed in the cluster. Values of Secrets are masked.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DriftEntry {
    /// The object, as `Kind/namespace/name`.
    pub object: String,
    /// The field; empty where the object itself was deleted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// What Git has, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<String>,
    /// What the cluster has, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<String>,
    /// The field manager that changed it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
    /// When it did, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// One revision that was applied.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// The commit, 40 hex digits.
    pub revision: String,
    /// When its apply ended, RFC 3339.
    pub deployed_at: String,
    /// Who wrote the commit.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// The first line of its message.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// How many objects it changed.
    #[serde(default)]
    pub changed: i64,
    /// sha256 of its rendered objects.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// `Applied`, `Healthy` or `RolledBack`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub outcome: String,
    /// Why, where it did not end well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When its first write was, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When all of it was healthy for the first time, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy_at: Option<String>,
    /// The commits that it takes back, newest first: it renders to what was applied before them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reverts: Vec<String>,
}

/// Values of [`HistoryEntry::outcome`].
pub mod outcome {
    /// All of it was written.
    pub const APPLIED: &str = "Applied";
    /// And became healthy.
    pub const HEALTHY: &str = "Healthy";
    /// It did not work, and the revision before came back.
    pub const ROLLED_BACK: &str = "RolledBack";
}
