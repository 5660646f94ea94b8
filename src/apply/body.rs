//! What is sent: the desired object with its revision mark, and without what is left to others.

use crate::desired::DesiredObject;
use crate::live::Ignored;
use crate::object::{Object, keys};

/// The body of an apply; `live` is the object as it is, where that was read.
///
/// What is ignored in it is left out. The UID goes in then, because an apply with a UID never
/// creates: an object that was deleted in between would come back without these fields. A value
/// that cannot be left out is the cluster's own, which holds for its resourceVersion only.
pub(super) fn body(
    object: &DesiredObject,
    revision: &str,
    live: Option<&Object>,
    ignored: &Ignored,
) -> Object {
    let mut body = object.object();
    body.set_annotation(keys::REVISION, revision);
    let Some(live) = live.filter(|_| !ignored.is_empty()) else {
        return body;
    };
    if ignored.yield_to(&live.0, &mut body.0) {
        body.0["metadata"]["resourceVersion"] = live.resource_version().into();
    }
    body.0["metadata"]["uid"] = live.uid().into();
    body
}
