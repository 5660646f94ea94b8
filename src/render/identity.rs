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

/// An [`Identity`] in the form in which two of them are compared, for indexes: its parts, which hold
/// no NUL, as one text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key(Box<str>);

impl Identity {
    /// The present identity of an object of this kind.
    pub fn new(gvk: Gvk, namespace: &str, name: &str) -> Self {
        let cluster_scoped = scope::is_cluster_scoped(&gvk);
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
        if self.cluster_scoped {
            NOT_A_NAMESPACE
        } else if self.namespace.is_empty() {
            "default"
        } else {
            &self.namespace
        }
    }

    /// The form for indexes and comparison.
    pub fn key(&self) -> Key {
        let Gvk {
            group,
            version,
            kind,
        } = &self.gvk;
        let parts = [group, version, kind, self.effective_namespace(), &self.name];
        Key(parts.join("\0").into())
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
    let part = |wanted: &str, have: &str| wanted.is_empty() || wanted == have;
    part(&selector.group, &gvk.group)
        && part(&selector.version, &gvk.version)
        && part(&selector.kind, &gvk.kind)
}
