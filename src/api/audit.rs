//! `spec.audit`: the full record of what was deployed, where a re-installation does not lose it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the full record is kept besides `.status.history`, which has the last revisions only.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Audit {
    /// Adds a line to the Git note of a commit (`refs/notes/towline`) when it was applied, became
    /// healthy or was taken back, and pushes that with the credentials that the repository is read
    /// with. Read by `git log --notes=towline` and `towline history NAME --notes`. Who can read the
    /// repository can read it. A line names the cluster by the agent's `--install-id`: where several
    /// clusters read one repository, give each its own. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<bool>,
}

/// What of the record is not in the repository yet. Only there with `spec.audit`.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AuditStatus {
    /// The repository that it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub repository: String,
    /// Lines that are not known to be there, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<PendingNote>,
    /// How many older ones were given up since lines were written last, because too many waited or
    /// the repository is another one; the log of the agent has them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: i64,
    /// What a person let through, until the revision is recorded that it is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub let_through: Vec<LetThrough>,
}

impl AuditStatus {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.dropped == 0 && self.let_through.is_empty()
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// What a person let through that would have waited.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LetThrough {
    /// sha256 of the rendered objects of the revision.
    pub digest: String,
    /// `approved` or `retried`.
    pub what: String,
    /// The hash or commit that was named, and who named it, if known.
    pub how: String,
}

/// A line for the note of a commit.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PendingNote {
    /// The commit, 40 hex digits.
    pub revision: String,
    /// The line.
    pub line: String,
}
