//! Where the kinds that run pods keep the pod specification.

use serde_json::Value;

use crate::object::Gvk;

/// Lists of containers in a pod specification.
pub(super) const CONTAINERS: &[&str] = &["initContainers", "containers", "ephemeralContainers"];

/// The JSON pointer of the pod specification; `None` for kinds that have none.
pub(super) fn pointer(gvk: &Gvk) -> Option<&'static str> {
    match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("", "Pod") => Some("/spec"),
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
        | ("batch", "Job")
        | ("", "ReplicationController") => Some("/spec/template/spec"),
        ("batch", "CronJob") => Some("/spec/jobTemplate/spec/template/spec"),
        ("", "PodTemplate") => Some("/template/spec"),
        _ => None,
    }
}

/// The elements of a list, or none where it is not a list.
pub(super) fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The same, to be changed.
pub(super) fn list_mut(value: Option<&mut Value>) -> &mut [Value] {
    value
        .and_then(Value::as_array_mut)
        .map_or(&mut [], Vec::as_mut_slice)
}
