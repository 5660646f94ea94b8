//! Group, version and kind of an object, and whether it lives in a namespace.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Group, version and kind. The core group is the empty string.
///
/// A copy costs nothing, and is no second one in memory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gvk(Arc<GvkParts>);

/// What a [`Gvk`] says.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GvkParts {
    /// API group; empty for the core group.
    pub group: String,
    /// API version, such as `v1` or `v2beta1`.
    pub version: String,
    /// Kind, such as `Deployment`.
    pub kind: String,
}

impl Deref for Gvk {
    type Target = GvkParts;

    fn deref(&self) -> &GvkParts {
        &self.0
    }
}

impl Gvk {
    /// From its three parts, in the order in which they are printed.
    pub fn new(
        group: impl Into<String>,
        version: impl Into<String>,
        kind: impl Into<String>,
    ) -> Self {
        Self(Arc::new(GvkParts {
            group: group.into(),
            version: version.into(),
            kind: kind.into(),
        }))
    }

    /// From `apiVersion` (`v1`, `apps/v1`) and `kind`.
    pub fn from_api_version(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self::new(group, version, kind)
    }

    /// `apiVersion` as it stands in a manifest: `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

impl fmt::Display for Gvk {
    /// `apps/v1 Deployment`, `v1 Service`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.group.is_empty() {
            write!(f, "{}/", self.group)?;
        }
        write!(f, "{} {}", self.version, self.kind)
    }
}

/// API groups of Kubernetes itself; every other one is defined by a CRD or served by somebody else.
const BUILT_IN: &[&str] = &[
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// True for an API group of Kubernetes itself: what is in another one is a custom resource.
pub fn is_built_in(group: &str) -> bool {
    BUILT_IN.contains(&group)
}

/// Whether objects of a kind live in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// One per namespace and name.
    Namespaced,
    /// One per name in the whole cluster.
    Cluster,
}
