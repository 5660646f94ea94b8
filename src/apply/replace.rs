//! Replace mode: the whole object is written as Git has it, the way of what server-side apply
//! refuses, such as two variables of one name.
//!
//! What others put into the object goes with that, as in Argo CD and `kubectl replace`; but not what
//! only a controller can answer for: finalizers, owners, and replicas that an autoscaler sets.

use serde_json::{Value, json};

use super::{Context, Effect, TAKEOVER_TRIES};
use crate::cluster::{Error, MANAGER, Put, Target};
use crate::desired::DesiredObject;
use crate::diff::drift;
use crate::live::{Ignored, replicas_yielded, takeover};
use crate::object::{Object, keys};

/// Writes the object whole. `names` are the managers of which towline takes what they left behind.
pub(super) async fn write(
    context: Context<'_>,
    target: &Target,
    object: &DesiredObject,
    revision: &str,
    names: &[&str],
) -> Result<Effect, Error> {
    let (cluster, who) = (context.cluster, context.who);
    let mut desired = object.object();
    desired.set_annotation(keys::REVISION, revision);
    for attempt in 1.. {
        let Some(live) = cluster.get(who, target).await? else {
            let created = cluster
                .put(who, target, &desired, Put::Create, false)
                .await?;
            return Ok(Effect::Applied {
                object: created,
                changed: true,
                undone: Vec::new(),
            });
        };
        let body = replacement(&desired, &live, names);
        match cluster.put(who, target, &body, Put::Replace, false).await {
            Ok(written) => {
                return Ok(Effect::Applied {
                    changed: written.resource_version() != live.resource_version(),
                    object: written,
                    undone: drift(&object.object(), &live, &Ignored::default()),
                });
            }
            // Somebody wrote it in between: a controller its status, as a rule.
            Err(error) if error.is_conflict() && attempt < TAKEOVER_TRIES => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Effect::Forgotten)
}

/// The body of the write: of this very object at this very version, or it is refused.
pub(super) fn replacement(desired: &Object, live: &Object, names: &[&str]) -> Object {
    let mut body = desired.clone();
    let metadata = &mut body.0["metadata"];
    metadata["resourceVersion"] = live.resource_version().into();
    metadata["uid"] = live.uid().into();
    for field in ["finalizers", "ownerReferences"] {
        let theirs = live.0.pointer(&format!("/metadata/{field}"));
        if let (None, Some(theirs)) = (metadata.get(field), theirs) {
            metadata[field] = theirs.clone();
        }
    }
    metadata["managedFields"] = owned(live, names);
    if replicas_yielded(live).is_some()
        && let Some(replicas) = live.0.pointer("/spec/replicas")
    {
        body.0["spec"]["replicas"] = replicas.clone();
    }
    body
}

/// The managed fields with one entry of towline, that of replace mode: one left behind by an
/// earlier apply would own fields beside it that nobody looks at.
fn owned(live: &Object, names: &[&str]) -> Value {
    let moved =
        takeover(live, names, &Ignored::default()).map(|moved| moved.patch[1]["value"].clone());
    let now = live.0.pointer("/metadata/managedFields").cloned();
    let mut entries = moved.or(now).unwrap_or_else(|| json!([]));
    for entry in entries.as_array_mut().into_iter().flatten() {
        if entry["manager"] == MANAGER && entry["operation"] == "Apply" {
            entry["operation"] = "Update".into();
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_controller_can_answer_for_stays() {
        let live = Object(
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {
            "name": "web", "uid": "u", "resourceVersion": "7", "finalizers": ["example.com/a"],
            "annotations": {"theirs": "x"}, "managedFields": [
                {"manager": "towline", "operation": "Apply", "apiVersion": "apps/v1",
                    "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:paused": {}}}},
                {"manager": "kube-controller-manager", "operation": "Update",
                    "subresource": "scale", "apiVersion": "apps/v1", "fieldsType": "FieldsV1",
                    "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            ]}, "spec": {"replicas": 9}}),
        );
        let desired = Object(json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web"}, "spec": {"replicas": 2}}));
        let body = replacement(&desired, &live, &[]).0;
        assert_eq!(body["spec"]["replicas"], 9);
        assert_eq!(body["metadata"]["finalizers"], json!(["example.com/a"]));
        assert_eq!(body["metadata"]["resourceVersion"], "7");
        assert_eq!(body["metadata"]["annotations"], Value::Null);
        let entries = body["metadata"]["managedFields"]
            .as_array()
            .expect("a list");
        assert_eq!(entries[0]["operation"], "Update");
        assert_eq!(entries.len(), 2);
    }
}
