//! Whose an object is: the marks of an Application, and what live marks say.

use sha2::{Digest as _, Sha256};

use crate::object::{Object, ObjectId, keys};

/// One Application of one installation, as the owner of objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The installation: the agent's namespace, which no two installations in a cluster share.
    pub install: String,
    /// The Application's namespace.
    pub namespace: String,
    /// The Application's name.
    pub name: String,
}

/// What an object's marks say about its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Marked by this Application, for this very object.
    Ours,
    /// Marked by somebody else, who is named.
    Other(String),
    /// Not marked, or with marks that were copied from another object.
    Nobody,
}

impl Owner {
    /// The label value and the name of the inventory: 16 hex digits of a sha256, because a label
    /// value has 63 characters and an Application's name may have 253.
    pub fn key(&self) -> String {
        let digest = Sha256::digest(format!("{}/{}/{}", self.install, self.namespace, self.name));
        hex::encode(&digest[..8])
    }

    /// The Application as people name it: `namespace/name`.
    pub fn application(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The tracking-id for an object: installation, Application and the object's own id.
    pub fn tracking_id(&self, id: &ObjectId) -> String {
        format!(
            "{}/{}/{}:{}",
            self.install,
            self.namespace,
            self.name,
            id.tracking()
        )
    }

    /// The Application that the marks of a live object name, if they are this object's own.
    pub fn named_by(live: &Object) -> Option<Self> {
        let (owner, tracked) = live.annotation(keys::TRACKING_ID)?.split_once(':')?;
        let mut parts = owner.splitn(3, '/').map(str::to_owned);
        let named = Self {
            install: parts.next()?,
            namespace: parts.next()?,
            name: parts.next()?,
        };
        (tracked == live.id().tracking()).then_some(named)
    }

    /// What the live object's marks say. A tracking-id that names another id than the object's own
    /// is a copy (controllers copy annotations to what they create) and means nothing.
    pub fn claim(&self, live: &Object) -> Claim {
        let id = live.id();
        if let Some(tracking) = live.annotation(keys::TRACKING_ID)
            && let Some((owner, tracked)) = tracking.split_once(':')
            && tracked == id.tracking()
        {
            return if tracking == self.tracking_id(&id) {
                Claim::Ours
            } else {
                Claim::Other(format!("the towline Application `{owner}`"))
            };
        }
        foreign_tool(live).map_or(Claim::Nobody, Claim::Other)
    }
}

/// The other tool that says it manages this object, by its own marks.
fn foreign_tool(live: &Object) -> Option<String> {
    if let Some(tracking) = live.annotation(keys::ARGO_TRACKING_ID) {
        // `app:group/Kind:namespace/name`; a copy on another object means nothing to Argo CD too.
        let own = format!(":{}", live.id().tracking());
        if tracking.ends_with(&own) {
            let app = tracking.trim_end_matches(&own);
            return Some(format!("the Argo CD Application `{app}`"));
        }
    }
    for (label, tool) in [
        ("kustomize.toolkit.fluxcd.io/name", "the Flux Kustomization"),
        ("helm.toolkit.fluxcd.io/name", "the Flux HelmRelease"),
    ] {
        if let Some(name) = live.label(label) {
            return Some(format!("{tool} `{name}`"));
        }
    }
    live.annotation("meta.helm.sh/release-name")
        .map(|name| format!("the Helm release `{name}`"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owner() -> Owner {
        Owner {
            install: "towline-system".into(),
            namespace: "team-a".into(),
            name: "shop".into(),
        }
    }

    fn live(annotations: serde_json::Value) -> Object {
        Object(json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "web", "namespace": "shop", "annotations": annotations}}))
    }

    #[test]
    fn applications_of_one_name_in_two_namespaces_have_different_keys() {
        let other = Owner {
            namespace: "team-b".into(),
            ..owner()
        };
        assert_ne!(owner().key(), other.key());
        assert_eq!(owner().key().len(), 16);
    }

    #[test]
    fn a_copied_tracking_id_means_nothing() {
        let own = owner().tracking_id(&ObjectId::new("", "Service", "shop", "web"));
        let marked = live(json!({keys::TRACKING_ID: own}));
        assert_eq!(owner().claim(&marked), Claim::Ours);
        assert_eq!(Owner::named_by(&marked), Some(owner()));
        let copy = owner().tracking_id(&ObjectId::new("", "Endpoints", "shop", "web"));
        let copied = live(json!({keys::TRACKING_ID: copy}));
        assert_eq!(owner().claim(&copied), Claim::Nobody);
        assert_eq!(Owner::named_by(&copied), None);
        let other = Owner {
            name: "bank".into(),
            ..owner()
        };
        let theirs = other.tracking_id(&ObjectId::new("", "Service", "shop", "web"));
        assert_eq!(
            owner().claim(&live(json!({keys::TRACKING_ID: theirs}))),
            Claim::Other("the towline Application `towline-system/team-a/bank`".into())
        );
    }

    #[test]
    fn other_tools_are_named() {
        let argo = live(json!({keys::ARGO_TRACKING_ID: "shop:/Service:shop/web"}));
        assert_eq!(
            owner().claim(&argo),
            Claim::Other("the Argo CD Application `shop`".into())
        );
        let helm = live(json!({"meta.helm.sh/release-name": "web"}));
        assert_eq!(
            owner().claim(&helm),
            Claim::Other("the Helm release `web`".into())
        );
    }
}
