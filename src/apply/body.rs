//! What is sent: the desired object with its revision mark, and without what is yielded.

use serde_json::Value;

use crate::desired::DesiredObject;
use crate::object::{Object, keys};

/// The body of an apply. With `yielded_uid`, `spec.replicas` belongs to an autoscaler and is left
/// out; the UID goes in then, because an apply with a UID never creates: an object that was
/// deleted in between would come back with one replica.
pub(super) fn body(object: &DesiredObject, revision: &str, yielded_uid: Option<&str>) -> Object {
    let mut body = object.object.clone();
    body.set_annotation(keys::REVISION, revision);
    if let Some(uid) = yielded_uid
        && let Some(spec) = body.0.get_mut("spec").and_then(Value::as_object_mut)
        && spec.remove("replicas").is_some()
    {
        body.0["metadata"]["uid"] = uid.into();
    }
    body
}
