//! What is remembered of a live object.

use std::collections::BTreeMap;

use super::{Fields, Fingerprint, Operation, fingerprint, replicas_yielded};
use crate::health::{Health, Unsettled, outlook};
use crate::inventory::{Claim, Owner};
use crate::object::{Object, ObjectId, keys};

/// A live object, reduced to what decisions need.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion` as a number: the API server promises since 1.35 that versions of
    /// one resource can be compared. 0 where it is not a number.
    pub version: u64,
    /// What towline owns in it, or `None` where the managed fields cannot say.
    pub fingerprint: Option<Fingerprint>,
    /// Its health, as far as it is known.
    pub health: Health,
    /// What else its health hangs on; `None` in steady state.
    pub unsettled: Option<Box<Unsettled>>,
    /// On its way out.
    pub terminating: bool,
    /// A Job or Pod that ran to its end.
    pub finished: bool,
    /// One that did what it is for.
    pub succeeded: bool,
    /// Whose it says it is.
    pub claim: Claim,
    /// Creation, in seconds since the epoch; 0 where it is missing.
    pub created: i64,
    /// True when towline has an entry in its managed fields.
    pub applied_by_us: bool,
    /// True when that is one of replace mode.
    pub replaced: bool,
    /// The mark of the commit that last changed it.
    pub revision: String,
    /// On a hook: the mark of the run that it was created for.
    pub hook_run: String,
    /// The autoscaler that owns `spec.replicas`.
    pub yielded_to: Option<String>,
    /// The content hash that it is known to hold, or `None` when that has to be found out by
    /// applying.
    pub holds: Option<u64>,
}

/// What is known of one object.
#[derive(Debug, Clone, PartialEq)]
pub enum Sighting {
    /// It is there.
    Present(Box<Observed>),
    /// The server says that it is not.
    Absent,
    /// It could not be read: neither there nor absent. The text says why.
    Unknown(String),
}

impl Sighting {
    /// The object, where it is there.
    pub fn present(&self) -> Option<&Observed> {
        match self {
            Self::Present(observed) => Some(observed),
            _ => None,
        }
    }
}

/// What is known of every object that matters.
pub type Live = BTreeMap<ObjectId, Sighting>;

/// Reduces a live object. `now` is in seconds since the epoch.
pub fn observe(object: &Object, owner: &Owner, now: i64) -> Observed {
    let end = end(object);
    let operation = super::own_operation(object);
    let owned = super::owned_by(object, crate::cluster::MANAGER, operation);
    let (health, unsettled) = outlook(object, now.unsigned_abs());
    Observed {
        uid: object.uid().to_owned(),
        version: object.resource_version().parse().unwrap_or(0),
        fingerprint: fingerprint(object, operation, &Fields::default()).ok(),
        health,
        unsettled,
        terminating: object.is_terminating(),
        finished: end.is_some(),
        succeeded: end == Some(true),
        claim: owner.claim(object),
        created: seconds(object.0.pointer("/metadata/creationTimestamp")),
        applied_by_us: owned.is_ok(),
        replaced: operation == Operation::Update,
        revision: object
            .annotation(keys::REVISION)
            .unwrap_or_default()
            .to_owned(),
        hook_run: object
            .annotation(keys::HOOK_RUN)
            .unwrap_or_default()
            .to_owned(),
        yielded_to: replicas_yielded(object),
        holds: None,
    }
}

/// An RFC 3339 time as seconds since the epoch, or 0.
fn seconds(value: Option<&serde_json::Value>) -> i64 {
    value
        .and_then(|v| v.as_str())
        .and_then(|text| text.parse::<jiff::Timestamp>().ok())
        .map_or(0, jiff::Timestamp::as_second)
}

/// Whether a Job or Pod that ran to its end succeeded; `None` while it did not, and for other kinds.
fn end(object: &Object) -> Option<bool> {
    match object.kind() {
        "Job" => {
            let conditions = object.0.pointer("/status/conditions")?.as_array()?;
            conditions
                .iter()
                .filter(|condition| condition["status"] == "True")
                .find_map(|condition| match condition["type"].as_str()? {
                    "Complete" => Some(true),
                    "Failed" => Some(false),
                    _ => None,
                })
        }
        "Pod" => match object.0.pointer("/status/phase")?.as_str()? {
            "Succeeded" => Some(true),
            "Failed" => Some(false),
            _ => None,
        },
        _ => None,
    }
}
