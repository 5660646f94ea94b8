//! What kustomize takes for the identity of an object during a build: group, version, kind,
//! namespace and name. Unlike [`crate::object::ObjectId`] the version counts, and no namespace is
//! the namespace `default`.

use std::fmt;

use super::scope::{self, NOT_A_NAMESPACE};
use crate::object::Gvk;

/// One present or past identity of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// Group, version and kind.
    pub gvk: Gvk,
    /// Namespace as written, empty where none is.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Whether the kind is known to live outside namespaces. Past identities never say so: their
    /// namespace is the one that counted then ([`Identity::effective_namespace`]).
    pub cluster_scoped: bool,
}

/// Group, version and kind of an object, as they stand in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct KindRef<'a> {
    // The first to be compared: it tells most apart.
    pub kind: &'a str,
    pub group: &'a str,
    pub version: &'a str,
}

impl<'a> KindRef<'a> {
    /// From `apiVersion` and `kind`.
    pub fn new(api_version: &'a str, kind: &'a str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self {
            group,
            version,
            kind,
        }
    }

    /// Whether it is one that a selector names; an empty part of the selector means any.
    pub fn is_selected(self, selector: &Gvk) -> bool {
        let part = |wanted: &str, have: &str| wanted.is_empty() || wanted == have;
        part(&selector.kind, self.kind)
            && part(&selector.group, self.group)
            && part(&selector.version, self.version)
    }

    /// With texts of its own.
    pub fn to_gvk(self) -> Gvk {
        Gvk::new(self.group, self.version, self.kind)
    }
}

impl<'a> From<&'a Gvk> for KindRef<'a> {
    fn from(gvk: &'a Gvk) -> Self {
        Self {
            group: &gvk.group,
            version: &gvk.version,
            kind: &gvk.kind,
        }
    }
}

/// An identity in the form in which two of them are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key<'a> {
    pub kind: KindRef<'a>,
    /// The namespace that counts.
    pub namespace: &'a str,
    pub name: &'a str,
}

impl Identity {
    /// The present identity of an object of this kind.
    pub fn new(gvk: Gvk, namespace: &str, name: &str) -> Self {
        let cluster_scoped = scope::is_cluster_scoped((&gvk).into());
        Self {
            gvk,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            cluster_scoped,
        }
    }

    /// An identity that was stored: its scope is no longer asked for.
    pub fn past(gvk: Gvk, namespace: &str, name: &str) -> Self {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Self {
            gvk,
            namespace,
            name,
            cluster_scoped: false,
        }
    }

    /// The namespace that counts: `default` where none is written, and one word for all kinds that
    /// have none.
    pub fn effective_namespace(&self) -> &str {
        effective_namespace(self.cluster_scoped, &self.namespace)
    }

    /// The form for indexes and comparison.
    pub fn key(&self) -> Key<'_> {
        Key {
            kind: (&self.gvk).into(),
            namespace: self.effective_namespace(),
            name: &self.name,
        }
    }
}

/// The namespace that counts for an object of that scope with that namespace written.
pub(super) fn effective_namespace(cluster_scoped: bool, written: &str) -> &str {
    match written {
        _ if cluster_scoped => NOT_A_NAMESPACE,
        "" => "default",
        written => written,
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() || self.namespace == NOT_A_NAMESPACE {
            write!(f, "{}/{}", self.gvk.kind, self.name)
        } else {
            write!(f, "{}/{}/{}", self.gvk.kind, self.namespace, self.name)
        }
    }
}

/// Whether a kind is one that a selector names; an empty part of the selector means any.
pub(super) fn is_selected(gvk: &Gvk, selector: &Gvk) -> bool {
    KindRef::from(gvk).is_selected(selector)
}
