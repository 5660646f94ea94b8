//! Metadata that only the cluster sets is left out.
//!
//! It comes into Git with `kubectl get -o yaml`. `managedFields`, `uid` and `resourceVersion` make a
//! server-side apply fail; the others would be owned to no purpose. `ownerReferences` name an owner by
//! a UID that no Git can know: the garbage collector would delete the object for want of its owner,
//! again and again.

use serde_json::Value;

use super::{Rule, about};
use crate::error::Diagnostic;

pub(super) const RULE: Rule = Rule {
    applies: |_| true,
    rewrite,
};

const FIELDS: &[&str] = &[
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

fn rewrite(object: &mut Value, notes: &mut Vec<Diagnostic>) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    let mut dropped = Vec::new();
    for field in FIELDS {
        // `creationTimestamp: null` is what Go programs print: nobody wrote it.
        if metadata
            .remove(*field)
            .is_some_and(|value| !value.is_null())
        {
            dropped.push(format!("`metadata.{field}`"));
        }
    }
    for field in ["annotations", "labels"] {
        if metadata.get(field).is_some_and(Value::is_null) {
            metadata.remove(field);
        }
    }
    if !dropped.is_empty() {
        let message = format!("{} left out: only the cluster sets it", dropped.join(", "));
        notes.push(about(object, message).hint("remove it from the file"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::normalized;

    #[test]
    fn what_the_server_sets_is_dropped_and_named() {
        let (after, notes) = normalized(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
            "name": "c", "namespace": "n", "uid": "1", "resourceVersion": "2", "creationTimestamp": null,
            "labels": null, "annotations": {"a": "b"}, "finalizers": ["x"]}}),
        );
        assert_eq!(
            after["metadata"],
            json!({"name": "c", "namespace": "n", "annotations": {"a": "b"}, "finalizers": ["x"]})
        );
        assert_eq!(
            notes,
            [
                "ConfigMap/n/c: `metadata.resourceVersion`, `metadata.uid` left out: only the cluster \
              sets it (hint: remove it from the file)"
            ]
        );
    }

    #[test]
    fn null_is_dropped_without_a_word() {
        let (after, notes) =
            normalized(json!({"kind": "X", "metadata": {"creationTimestamp": null}}));
        assert_eq!((after["metadata"].clone(), notes), (json!({}), vec![]));
    }
}
