//! Identity of an object in a cluster.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Group, kind, namespace and name. The version is no part of it: the API server serves one object
/// at several versions, so `apps/v1` and `apps/v1beta1` of the same name are the same object.
///
/// Ordered by kind, then group, then namespace, then name, so that lists of ids read well.
///
/// A copy costs nothing: what is known of an object is kept in many places under its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Parts", into = "Parts")]
pub struct ObjectId(Arc<Parts>);

/// What an [`ObjectId`] says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Parts {
    /// Kind, such as `Deployment`.
    pub kind: String,
    /// API group; empty for the core group.
    pub group: String,
    /// Namespace; empty for an object of cluster scope.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl From<Parts> for ObjectId {
    fn from(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl From<ObjectId> for Parts {
    fn from(id: ObjectId) -> Self {
        Arc::unwrap_or_clone(id.0)
    }
}

impl Deref for ObjectId {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl PartialOrd for ObjectId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ObjectId {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        self.0.cmp(&other.0)
    }
}

impl ObjectId {
    /// An id from its four parts, in the order in which it is printed.
    pub fn new(
        group: impl Into<String>,
        kind: impl Into<String>,
        namespace: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        Parts {
            kind: kind.into(),
            group: group.into(),
            namespace: namespace.into(),
            name: name.into(),
        }
        .into()
    }

    /// The id as it is written into `towline.dev/tracking-id`: `group/Kind:namespace/name`, both
    /// slashes always there.
    pub fn tracking(&self) -> String {
        format!(
            "{}/{}:{}/{}",
            self.group, self.kind, self.namespace, self.name
        )
    }
}

impl fmt::Display for ObjectId {
    /// `Kind/namespace/name`, or `Kind/name` without a namespace: the form in which Flux names the
    /// subject of a message. The group is left out, as kubectl does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{}/{}", self.kind, self.name)
        } else {
            write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_kind_namespace_name() {
        let id = ObjectId::new("apps", "Deployment", "shop", "web");
        assert_eq!(id.to_string(), "Deployment/shop/web");
        assert_eq!(id.tracking(), "apps/Deployment:shop/web");
        assert_eq!(
            ObjectId::new("", "Namespace", "", "shop").to_string(),
            "Namespace/shop"
        );
    }
}
