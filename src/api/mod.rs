//! The API: the `Application` resource, its schema and its status.
//!
//! The spec's field names are those of Argo CD, so that a manifest moves over by changing its
//! `apiVersion`. What towline does not support is declared all the same, each with a validation
//! rule that names it and says what to do: a field is honoured or rejected, never ignored.

mod audit;
mod crd;
mod ignore_differences;
mod policy;
mod rollback;
mod spec;
mod status;
mod sync_options;
mod unsupported;

pub use audit::{Audit, AuditStatus, LetThrough, PendingNote};
pub use crd::crd;
pub use ignore_differences::{IgnoreDifference, IgnoreRule};
pub use policy::{Backoff, Policy, PolicyError, RestartPolicy, RollbackPolicy};
pub use rollback::{
    Quarantined, RestartLimit, RevisionId, Rollback, RollbackStatus, Trial, WriteBack, WrittenBack,
};
pub use spec::{
    Adopt, Application, ApplicationSpec, Automated, AutomatedPrune, BackoffSpec, Dependency,
    Destination, Directory, ImmutableFields, Info, Retry, Source, SyncPolicy,
};
pub use status::{
    ApplicationStatus, DriftEntry, Handled, HealthStatus, HistoryEntry, SyncStatus, condition,
    outcome,
};
pub use sync_options::{ObjectOptions, Removal, SyncOptions};

/// The API group of towline's resources.
pub const GROUP: &str = "towline.dev";
/// Their version.
pub const VERSION: &str = "v1alpha1";
