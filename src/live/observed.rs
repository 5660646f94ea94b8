//! What is remembered of a live object.

use std::collections::BTreeMap;

use super::owners::has_set_aside;
use super::{Fingerprint, Ignore, fingerprint, replicas, replicas_yielded};
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
    /// The same of its replicas, which an autoscaler may take.
    pub replicas: Option<Fingerprint>,
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
    /// Of a Job with a TTL: from when on that may delete it, in seconds since the epoch; counted from
    /// its creation until it has finished.
    pub expires: Option<i64>,
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
    /// Fields of it were given away because they are ignored, or were once.
    pub set_aside: bool,
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

impl Observed {
    /// True when nothing that towline owns is known to have changed since `old`. Replicas that an
    /// autoscaler took are no change.
    pub fn is_untouched(&self, old: &Self) -> bool {
        self.fingerprint.is_some()
            && self.fingerprint == old.fingerprint
            && (self.replicas == old.replicas || self.yielded_to.is_some())
    }
}

/// Reduces a live object, in which `ignore` says what is left to others. `now` is in seconds since
/// the epoch.
pub fn observe(object: &Object, owner: &Owner, ignore: &Ignore, now: i64) -> Observed {
    let end = end(object);
    let operation = super::own_operation(object);
    let owned = super::owned_by(object, crate::cluster::MANAGER, operation);
    let ignored = ignore.in_live(object, false);
    let (health, unsettled) = outlook(object, now.unsigned_abs());
    Observed {
        uid: object.uid().to_owned(),
        version: object.resource_version().parse().unwrap_or(0),
        fingerprint: fingerprint(object, operation, &ignored).ok(),
        replicas: replicas(object, operation, &ignored),
        health,
        unsettled,
        terminating: object.is_terminating(),
        finished: end.is_some(),
        succeeded: end == Some(true),
        expires: expires(object),
        claim: owner.claim(object),
        created: seconds(object.0.pointer("/metadata/creationTimestamp")),
        applied_by_us: owned.is_ok(),
        replaced: operation == super::Operation::Update,
        revision: object
            .annotation(keys::REVISION)
            .unwrap_or_default()
            .to_owned(),
        hook_run: object
            .annotation(keys::HOOK_RUN)
            .unwrap_or_default()
            .to_owned(),
        yielded_to: replicas_yielded(object),
        set_aside: has_set_aside(object),
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

/// The condition that says that a Job has finished.
fn last_condition(object: &Object) -> Option<&serde_json::Value> {
    let conditions = object.0.pointer("/status/conditions")?.as_array()?;
    let is_last = |condition: &&serde_json::Value| {
        let kind = condition["type"].as_str().unwrap_or_default();
        condition["status"] == "True" && matches!(kind, "Complete" | "Failed")
    };
    conditions.iter().find(is_last)
}

/// From when on the TTL of a Job may delete it.
fn expires(object: &Object) -> Option<i64> {
    if object.kind() != "Job" {
        return None;
    }
    let ttl = object
        .0
        .pointer("/spec/ttlSecondsAfterFinished")?
        .as_i64()?;
    // As its controller counts.
    let end = last_condition(object).and_then(|last| last.get("lastTransitionTime"));
    let from = end.or_else(|| object.0.pointer("/metadata/creationTimestamp"));
    Some(seconds(from).saturating_add(ttl))
}

/// Whether a Job or Pod that ran to its end succeeded; `None` while it did not, and for other kinds.
fn end(object: &Object) -> Option<bool> {
    match object.kind() {
        "Job" => Some(last_condition(object)?["type"] == "Complete"),
        "Pod" => match object.0.pointer("/status/phase")?.as_str()? {
            "Succeeded" => Some(true),
            "Failed" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn seen(replicas: u32, others: &[(&str, &str, Value)]) -> Observed {
        let mut entries = vec![(
            "towline",
            "",
            if others.is_empty() {
                json!({"f:spec": {"f:paused": {}, "f:replicas": {}}})
            } else {
                json!({"f:spec": {"f:paused": {}}})
            },
        )];
        entries.extend(others.iter().cloned());
        let entries: Vec<Value> = entries
            .into_iter()
            .map(|(manager, subresource, fields)| {
                let operation = if manager == "towline" {
                    "Apply"
                } else {
                    "Update"
                };
                json!({"manager": manager, "operation": operation, "subresource": subresource,
                    "apiVersion": "apps/v1", "fieldsV1": fields})
            })
            .collect();
        let object = Object(json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "managedFields": entries},
            "spec": {"paused": false, "replicas": replicas}}));
        let owner = Owner {
            install: "i".into(),
            namespace: "n".into(),
            name: "a".into(),
        };
        observe(&object, &owner, &Ignore::default(), 0)
    }

    #[test]
    fn replicas_that_an_autoscaler_took_are_no_change_and_those_of_a_person_are() {
        let by = |manager| [(manager, "scale", json!({"f:spec": {"f:replicas": {}}}))];
        let ours = seen(2, &[]);
        let scaled = seen(5, &by("kube-controller-manager"));
        assert!(scaled.is_untouched(&ours));
        assert!(seen(7, &by("kube-controller-manager")).is_untouched(&scaled));
        assert!(!seen(5, &by("kubectl")).is_untouched(&ours));
        assert!(!seen(3, &[]).is_untouched(&ours));
        assert!(seen(2, &[]).is_untouched(&ours));
    }
}
