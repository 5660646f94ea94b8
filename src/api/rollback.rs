//! `spec.rollback`, and what the agent remembers about revisions that did not work.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A revision that does not work takes itself back: the Application returns to the last one that
/// was healthy, as a whole, and that revision is not tried again.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rollback {
    /// How long a revision may take to become Healthy, from its first write on, and how long it may
    /// be anything else afterwards. Default 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// How long a revision has to stay Healthy before it is the one that is gone back to. Until then
    /// it may still turn bad. Default 1m; `0s` trusts it at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitor: Option<String>,
    /// How long an object that the revision changed may be Degraded before that counts. Default 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<String>,
    /// How often containers of a workload that the revision changed may be restarted while it has to
    /// prove itself: one that crashes now and then is Healthy in between. Without it restarts are
    /// not counted, and no pod of a healthy workload is watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts: Option<RestartLimit>,
    /// How often in a row a workload that the revision changed may stop being Healthy before it has
    /// been so for the time of `monitor`: the last of these counts as a failure. What is rolled out
    /// or scaled anew does not count. Default 3; 0 does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub failure_threshold: Option<i64>,
    /// What is written to Git when a revision was rolled back, and the one before is Healthy again:
    /// `Revert` pushes a commit to the tracked branch that takes it back; `Branch` pushes that commit
    /// to a branch of its own, `towline/revert-<commit>`, for a pull request; `None` leaves Git to
    /// people. The commit puts the files back that this Application reads, and is pushed with the
    /// credentials that the repository is read with. Default `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_back: Option<WriteBack>,
}

/// Restarts of containers that are too many.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestartLimit {
    /// More restarts than this, of all pods of one workload together, are too many. Default 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub limit: Option<i64>,
    /// The time in which they are counted, from when the pods are first looked at: those before, and
    /// those before a restart of the agent, are not. Default 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
}

/// What is written to Git when a revision was rolled back.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WriteBack {
    /// Nothing.
    #[default]
    None,
    /// A revert, on the branch that is tracked.
    Revert,
    /// A revert, on a branch of its own.
    Branch,
}

/// What the agent remembers of revisions that had to prove themselves. Only there with
/// `spec.rollback` or `spec.preflight`.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RollbackStatus {
    /// The last revision that was healthy: what is gone back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<RevisionId>,
    /// That one was applied as a whole, and need not have been healthy: with `spec.preflight` and
    /// without `spec.rollback`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unproven: bool,
    /// The revision that has to prove itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
    /// The revision that was gone back from, while no other one came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<RevisionId>,
    /// Revisions that are not tried again, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantine: Vec<Quarantined>,
    /// The last commit that towline wrote to Git, with `spec.rollback.writeBack`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_back: Option<WrittenBack>,
}

impl RollbackStatus {
    /// Whether there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Why the revision with this digest is not tried.
    pub fn quarantined(&self, digest: &str) -> Option<&Quarantined> {
        self.quarantine.iter().find(|one| one.digest == digest)
    }
}

/// A revision: a commit, and what it renders to for this Application. Commits with the same digest
/// are the same revision.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RevisionId {
    /// The commit, 40 hex digits.
    pub revision: String,
    /// sha256 of the rendered objects.
    pub digest: String,
}

/// A commit that towline wrote to Git.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct WrittenBack {
    /// The commit, 40 hex digits.
    pub commit: String,
    /// The branch that it is on.
    pub branch: String,
    /// The commit that it takes back.
    pub reverts: String,
    /// When that was gone back from: when it comes again and fails again, it is taken back again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<Time>,
}

/// A revision that has to prove itself.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    /// The commit, 40 hex digits.
    pub revision: String,
    /// sha256 of its rendered objects.
    pub digest: String,
    /// When its first write was, or when it was Healthy last.
    pub since: Time,
    /// Since when it is Healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy_since: Option<Time>,
    /// The revision before it was Healthy in the hour before: only then is what fails its doing.
    #[serde(default)]
    pub after_healthy: bool,
    /// It was healthy once before, and is trusted as soon as it is so again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revert: bool,
}

/// A revision that did not work.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Quarantined {
    /// The commit, 40 hex digits.
    pub revision: String,
    /// sha256 of its rendered objects: any commit that renders to the same is not tried either.
    pub digest: String,
    /// One CamelCase word.
    pub reason: String,
    /// What failed.
    pub message: String,
    /// When it was gone back from.
    pub at: Time,
}
