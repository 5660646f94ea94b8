//! Identity of an object in a cluster.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Group, kind, namespace and name. The version is no part of it: the API server serves one object
/// at several versions, so `apps/v1` and `apps/v1beta1` of the same name are the same object.
///
/// Ordered by kind, then group, then namespace, then name, so that lists of ids read well.
///
/// A copy costs nothing: what is known of an object is kept in many places under its id.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "Parts", into = "Parts")]
pub struct ObjectId(Arc<Identity>);

struct Identity {
    parts: Parts,
    /// All parts in the order of comparison, with zero bytes between them: an id is compared with
    /// others hundreds of thousands of times in a pass over ten thousand objects. The API server takes
    /// no part with a zero byte in it, and one that has is never equal to one that has none.
    key: Box<str>,
}

/// What an [`ObjectId`] says.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
        let Parts {
            kind,
            group,
            namespace,
            name,
        } = &parts;
        let key = [kind.as_str(), group, namespace, name].join("\0").into();
        Self(Arc::new(Identity { parts, key }))
    }
}

impl From<ObjectId> for Parts {
    fn from(id: ObjectId) -> Self {
        match Arc::try_unwrap(id.0) {
            Ok(identity) => identity.parts,
            Err(shared) => shared.parts.clone(),
        }
    }
}

impl Deref for ObjectId {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0.parts
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.parts.fmt(f)
    }
}

impl PartialEq for ObjectId {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.key == other.0.key
    }
}

impl Eq for ObjectId {}

impl Hash for ObjectId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key.hash(state);
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
        self.0.key.cmp(&other.0.key)
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

    /// Whether it is a Job, which a TTL may delete once it has finished.
    pub fn is_job(&self) -> bool {
        self.group == "batch" && self.kind == "Job"
    }

    /// Whether it is of a kind that runs to an end and says so: a Job or a Pod.
    pub fn runs_to_its_end(&self) -> bool {
        self.is_job() || (self.group.is_empty() && self.kind == "Pod")
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
