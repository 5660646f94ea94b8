//! What the API server serves: kinds, their resource names and their scope.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::object::{Gvk, Scope};

/// A kind as the API server serves it at one version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// Group, version and kind.
    pub gvk: Gvk,
    /// The plural name in URLs, such as `deployments`.
    pub plural: Arc<str>,
    /// Namespaced or not.
    pub scope: Scope,
    /// Whether `status` is a subresource: then applying it has no effect.
    pub has_status: bool,
}

impl Resource {
    /// A resource that is known without discovery.
    pub fn known(api_version: &str, kind: &str, plural: &str, scope: Scope) -> Self {
        Self {
            gvk: Gvk::from_api_version(api_version, kind),
            plural: plural.into(),
            scope,
            has_status: false,
        }
    }

    /// The URL path of the collection in `namespace` (empty: of the whole cluster).
    pub fn path(&self, namespace: &str) -> String {
        let root = if self.gvk.group.is_empty() {
            format!("/api/{}", self.gvk.version)
        } else {
            format!("/apis/{}/{}", self.gvk.group, self.gvk.version)
        };
        if namespace.is_empty() || self.scope == Scope::Cluster {
            format!("{root}/{}", self.plural)
        } else {
            format!("{root}/namespaces/{namespace}/{}", self.plural)
        }
    }
}

/// The answer to "is this kind served?".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup<'a> {
    /// Served, as this.
    Served(&'a Resource),
    /// The server answered for the group, and the kind is not in it at that version.
    NotServed,
    /// The server could not say: the group's discovery failed. Never taken for absence.
    Unknown,
}

/// What the API server serves at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Discovery {
    resources: BTreeMap<Gvk, Resource>,
    /// `group/version` pairs whose own server did not answer.
    stale: BTreeSet<(String, String)>,
}

impl Discovery {
    /// Reads aggregated discovery documents (`APIGroupDiscoveryList`, v2) of `/api` and `/apis`.
    pub fn from_aggregated<'a>(documents: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut discovery = Self::default();
        for group in documents
            .into_iter()
            .flat_map(|document| items(document, "items"))
        {
            let name = text(group, "/metadata/name");
            for version in items(group, "versions") {
                discovery.add_version(name, version);
            }
        }
        discovery
    }

    /// From resources that are known: for tests and for the fake.
    pub fn from_resources(resources: impl IntoIterator<Item = Resource>) -> Self {
        Self {
            resources: resources.into_iter().map(|r| (r.gvk.clone(), r)).collect(),
            stale: BTreeSet::new(),
        }
    }

    fn add_version(&mut self, group: &str, version: &Value) {
        let version_name = text(version, "/version");
        if text(version, "/freshness") == "Stale" {
            self.stale.insert((group.into(), version_name.into()));
        }
        for entry in items(version, "resources") {
            let kind = text(entry, "/responseKind/kind");
            let subresources = items(entry, "subresources");
            let resource = Resource {
                gvk: Gvk::new(group, version_name, kind),
                plural: text(entry, "/resource").into(),
                scope: match text(entry, "/scope") {
                    "Namespaced" => Scope::Namespaced,
                    _ => Scope::Cluster,
                },
                has_status: subresources
                    .iter()
                    .any(|sub| text(sub, "/subresource") == "status"),
            };
            // Two resources can answer with one kind (such as `Scale` or `TokenReview`-like verbs
            // on foreign kinds); the one that can be applied has the verb `patch`.
            let can_patch = items(entry, "verbs").iter().any(|v| v == "patch");
            if can_patch || !self.resources.contains_key(&resource.gvk) {
                self.resources.insert(resource.gvk.clone(), resource);
            }
        }
    }

    /// All kinds that are served, at every version.
    pub fn iter(&self) -> impl Iterator<Item = &Resource> {
        self.resources.values()
    }

    /// Whether and how a kind is served.
    pub fn lookup(&self, gvk: &Gvk) -> Lookup<'_> {
        if let Some(resource) = self.resources.get(gvk) {
            return Lookup::Served(resource);
        }
        if self
            .stale
            .contains(&(gvk.group.clone(), gvk.version.clone()))
        {
            return Lookup::Unknown;
        }
        Lookup::NotServed
    }

    /// A kind of that group at whichever version is served; the recorded one is preferred.
    pub fn lookup_kind(&self, preferred: &Gvk) -> Lookup<'_> {
        match self.lookup(preferred) {
            Lookup::NotServed => {}
            found => return found,
        }
        if self
            .stale
            .iter()
            .any(|(group, _)| *group == preferred.group)
        {
            return Lookup::Unknown;
        }
        self.resources
            .values()
            .find(|r| r.gvk.group == preferred.group && r.gvk.kind == preferred.kind)
            .map_or(Lookup::NotServed, Lookup::Served)
    }
}

/// The list at `key`, or an empty one.
fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The text at a JSON pointer, or the empty string.
fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        json!({"items": [
            {"metadata": {"name": "apps"}, "versions": [{"version": "v1", "freshness": "Current", "resources": [
                {"resource": "deployments", "responseKind": {"kind": "Deployment"}, "scope": "Namespaced",
                 "verbs": ["get", "patch"], "subresources": [{"subresource": "status"}]}]}]},
            {"metadata": {"name": "metrics.k8s.io"}, "versions": [{"version": "v1beta1", "freshness": "Stale"}]},
        ]})
    }

    #[test]
    fn tells_not_served_from_not_known() {
        let document = document();
        let discovery = Discovery::from_aggregated([&document]);
        let Lookup::Served(resource) =
            discovery.lookup(&Gvk::from_api_version("apps/v1", "Deployment"))
        else {
            panic!("Deployment is served");
        };
        assert_eq!(
            resource.path("shop"),
            "/apis/apps/v1/namespaces/shop/deployments"
        );
        assert!(resource.has_status);
        let absent = Gvk::from_api_version("apps/v1", "Gizmo");
        assert_eq!(discovery.lookup(&absent), Lookup::NotServed);
        let broken = Gvk::from_api_version("metrics.k8s.io/v1beta1", "PodMetrics");
        assert_eq!(discovery.lookup(&broken), Lookup::Unknown);
    }

    #[test]
    fn an_older_version_is_found_at_the_served_one() {
        let document = document();
        let discovery = Discovery::from_aggregated([&document]);
        let old = Gvk::from_api_version("apps/v1beta2", "Deployment");
        assert!(matches!(discovery.lookup_kind(&old), Lookup::Served(r) if r.gvk.version == "v1"));
        let stale = Gvk::from_api_version("metrics.k8s.io/v1alpha1", "PodMetrics");
        assert_eq!(discovery.lookup_kind(&stale), Lookup::Unknown);
    }
}
