//! What drifted: the fields that somebody changed in the cluster, with who did and when.

use std::fmt;

use serde_json::Value;

use super::difference::{PATH_LIMIT, sides};
use super::mask::{HIDDEN, is_hidden};
use crate::live::{
    Fields, HEAL, IGNORED_MANAGER, Ignored, Mismatch, MismatchKind, Operation, additions,
    contained, entries, owned_by, shown,
};
use crate::object::{Object, keys};

/// How many fields of one object are told.
const FIELD_LIMIT: usize = 20;

/// One field that is not as Git has it. All texts are bounded and without control characters;
/// secret values are masked.
///
/// Displays as `spec.replicas: 5 instead of 2, by kubectl at 2026-01-02T03:04:05Z`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// Where.
    pub path: String,
    /// What Git has, as JSON; `None` where it has nothing.
    pub git: Option<String>,
    /// What the cluster has, as JSON; `None` where it has nothing.
    pub live: Option<String>,
    /// The field manager that wrote it, where the managed fields tell: of what was removed they
    /// do not.
    pub manager: Option<String>,
    /// When it did, as RFC 3339.
    pub at: Option<String>,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} instead of {}",
            self.path,
            self.live.as_deref().unwrap_or("removed"),
            self.git.as_deref().unwrap_or("nothing"),
        )?;
        if let Some(manager) = &self.manager {
            write!(f, ", by {manager}")?;
        }
        if let Some(at) = &self.at {
            write!(f, " at {at}")?;
        }
        Ok(())
    }
}

/// The fields in which `live` is not as `desired` asks for, what kubectl added among them; the
/// first ones, in the order of the desired object. Ignored fields are none.
pub fn drift(desired: &Object, live: &Object, ignored: &Ignored) -> Vec<Drift> {
    let owned = owned_by(live, crate::cluster::MANAGER, Operation::Apply).ok();
    let owned = owned.map(|owned| {
        let added = additions(live, &owned, HEAL);
        ignored.outside(&owned.union(&added))
    });
    let (mut expected, mut there) = (desired.clone(), live.0.clone());
    if let Some(revision) = live.annotation(keys::REVISION) {
        expected.set_annotation(keys::REVISION, revision);
    }
    ignored.strip(&mut expected.0);
    ignored.strip(&mut there);
    let found = contained(&expected.0, &there, owned.as_ref()).err();
    found
        .unwrap_or_default()
        .iter()
        .filter(|mismatch| mismatch.kind != MismatchKind::Unowned)
        .take(FIELD_LIMIT)
        .map(|mismatch| one(mismatch, &expected.0, live))
        .collect()
}

fn one(mismatch: &Mismatch<'_>, desired: &Value, live: &Object) -> Drift {
    let hidden = is_hidden(desired, &mismatch.path) || is_hidden(&live.0, &mismatch.path);
    let (git, there) = sides(mismatch.desired, mismatch.live, hidden);
    let git = git.map(|git| if hidden { HIDDEN.to_owned() } else { git });
    let writer = writer(live, mismatch);
    Drift {
        path: shown::value(&mismatch.path.to_string(), PATH_LIMIT),
        git,
        live: there,
        manager: writer.map(|(manager, _)| shown::value(manager, PATH_LIMIT)),
        at: writer
            .filter(|(_, at)| !at.is_empty())
            .map(|(_, at)| shown::value(at, PATH_LIMIT)),
    }
}

/// The manager that wrote a path or something under it last, and when.
fn writer<'a>(live: &'a Object, mismatch: &Mismatch<'_>) -> Option<(&'a str, &'a str)> {
    let version = live.gvk().api_version();
    let path = &mismatch.path;
    let wrote = |fields: &Fields| fields.covers(path) || fields.touches(path);
    entries(live)
        .filter(|entry| {
            let ours =
                entry.manager == crate::cluster::MANAGER && entry.operation == Operation::Apply;
            !ours && entry.manager != IGNORED_MANAGER && entry.api_version == version
        })
        .filter(|entry| wrote(&entry.fields()))
        .map(|entry| (entry.manager, entry.time))
        .max_by(|a, b| a.1.cmp(b.1))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(manager: &str, operation: &str, time: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": "v1", "time": time,
            "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    fn lines(kind: &str, desired: Value, live: Value, managers: Value) -> Vec<String> {
        let object = |mut fields: Value| {
            fields["apiVersion"] = json!("v1");
            fields["kind"] = json!(kind);
            Object(fields)
        };
        let mut live = object(live);
        live.0["metadata"]["managedFields"] = managers;
        drift(&object(desired), &live, &Ignored::default())
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn who_changed_what_and_when() {
        let desired = json!({"spec": {"replicas": 2, "paused": true, "image": "a"}});
        let live = json!({"spec": {"replicas": 5, "image": "a", "env": "DEBUG"}});
        let managers = json!([
            entry(
                "towline",
                "Apply",
                "2026-01-01T00:00:00Z",
                json!({"f:spec": {"f:image": {}, "f:paused": {}}})
            ),
            entry(
                "kubectl",
                "Update",
                "2026-01-02T00:00:00Z",
                json!({"f:spec": {"f:replicas": {}}})
            ),
            entry(
                "old",
                "Update",
                "2025-01-02T00:00:00Z",
                json!({"f:spec": {"f:replicas": {}}})
            ),
            entry(
                "kubectl-set",
                "Update",
                "2026-01-03T00:00:00Z",
                json!({"f:spec": {"f:env": {}}})
            ),
            entry(
                "istio",
                "Update",
                "2026-01-03T00:00:00Z",
                json!({"f:spec": {"f:more": {}}})
            ),
        ]);
        assert_eq!(
            lines("Deployment", desired, live, managers),
            [
                "spec.paused: removed instead of true",
                "spec.replicas: 5 instead of 2, by kubectl at 2026-01-02T00:00:00Z",
                "spec.env: \"DEBUG\" instead of nothing, by kubectl-set at 2026-01-03T00:00:00Z",
            ]
        );
    }

    #[test]
    fn values_of_a_secret_are_not_told() {
        let desired = json!({"data": {"a": "czNjcmV0", "b": "czNjcmV0"}});
        let live = json!({"data": {"a": "b3RoZXI=", "c": "bW9yZQ=="}});
        let managers = json!([
            entry(
                "towline",
                "Apply",
                "",
                json!({"f:data": {"f:a": {}, "f:b": {}}})
            ),
            entry("kubectl-edit", "Update", "", json!({"f:data": {"f:c": {}}})),
        ]);
        assert_eq!(
            lines("Secret", desired, live, managers),
            [
                "data.a: (changed) instead of ***",
                "data.b: removed instead of ***",
                "data.c: (added) instead of nothing, by kubectl-edit",
            ]
        );
    }

    #[test]
    fn a_long_list_is_cut() {
        let many: serde_json::Map<_, _> = (0..99)
            .map(|n| (format!("k{n:02}"), json!("x".repeat(999))))
            .collect();
        let found = lines(
            "ConfigMap",
            json!({"data": many}),
            json!({"data": {}}),
            json!([]),
        );
        assert_eq!(found.len(), FIELD_LIMIT);
        assert!(found.iter().all(|line| line.chars().count() < 150));
    }
}
