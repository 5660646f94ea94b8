//! towline's own installation: what no Application may overwrite or delete by accident.
//!
//! A `namespace:` or `namePrefix:` in a kustomization reaches further than its author thinks: a
//! Namespace that is declared becomes the agent's, a Deployment gets its name.

use super::{Desired, DesiredObject};
use crate::error::{Diagnostic, Diagnostics};
use crate::object::{ObjectId, keys};

/// Where towline itself is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The agent's namespace.
    pub namespace: String,
    /// The agent's Deployment, where its name is known.
    pub deployment: Option<String>,
    /// The agent's Lease.
    pub lease: String,
}

/// ClusterRoles and their bindings of `manifests/`.
const CLUSTER_ROLES: &[&str] = &[
    "towline-agent",
    "towline-cluster-admin",
    "towline-edit",
    "towline-impersonator",
    "towline-view",
    "towline-workloads",
];
/// What `manifests/` calls the ServiceAccount, the Role and its binding, and the Service.
const NAME: &str = "towline";
/// How the names of the Secrets begin that hold towline's own state.
const STATE: &[&str] = &["towline-inventory-", "towline-last-good-"];
/// Their type.
const STATE_TYPE: &str = "towline.dev/state";

impl Installation {
    /// Whether the object of this id is part of the installation.
    pub fn owns(&self, id: &ObjectId) -> bool {
        let (group, kind, name) = (id.group.as_str(), id.kind.as_str(), id.name.as_str());
        if id.namespace.is_empty() {
            return match (group, kind) {
                ("", "Namespace") => name == self.namespace,
                ("apiextensions.k8s.io", "CustomResourceDefinition") => {
                    name == "applications.towline.dev"
                }
                ("rbac.authorization.k8s.io", "ClusterRole" | "ClusterRoleBinding") => {
                    CLUSTER_ROLES.contains(&name)
                }
                _ => false,
            };
        }
        if id.namespace != self.namespace {
            return false;
        }
        match (group, kind) {
            ("apps", "Deployment") => self.deployment.as_deref() == Some(name),
            ("coordination.k8s.io", "Lease") => name == self.lease,
            ("", "ServiceAccount" | "Service")
            | ("rbac.authorization.k8s.io", "Role" | "RoleBinding") => name == NAME,
            ("", "Secret") => STATE.iter().any(|prefix| name.starts_with(prefix)),
            _ => false,
        }
    }

    /// Whether a manifest says that its object holds towline's own state.
    fn is_state(&self, object: &DesiredObject) -> bool {
        object.gvk.kind == "Secret"
            && object.id.namespace == self.namespace
            && object.object().0.get("type").and_then(|text| text.as_str()) == Some(STATE_TYPE)
    }

    /// Checks that nothing of the installation is declared.
    ///
    /// # Errors
    /// Every object that is, with its place.
    pub fn check(&self, desired: &Desired) -> Result<(), Diagnostics> {
        let mut mistakes = Diagnostics::default();
        for object in desired.objects.values() {
            if !self.owns(&object.id) && !self.is_state(object) {
                continue;
            }
            let (path, line) = match object.place.rsplit_once(':') {
                Some((path, line)) => (path, line.parse().ok()),
                None => (object.place.as_str(), None),
            };
            let hint = format!(
                "look for a namespace, namePrefix or name that makes it towline's; an Application that is to manage towline itself has the annotation {}: enabled",
                keys::SELF_MANAGEMENT
            );
            mistakes.push(
                Diagnostic::new(path, "it is part of towline's own installation")
                    .at(line)
                    .about(&object.id)
                    .hint(hint),
            );
        }
        mistakes.into_result(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_towline_consists_of_and_nothing_beside_it() {
        let own = Installation {
            namespace: "towline-system".into(),
            deployment: Some("towline".into()),
            lease: "towline-shard-0".into(),
        };
        let rbac = "rbac.authorization.k8s.io";
        let crds = "apiextensions.k8s.io";
        for (group, kind, namespace, name, expected) in [
            ("", "Namespace", "", "towline-system", true),
            ("", "Namespace", "", "shop", false),
            (
                crds,
                "CustomResourceDefinition",
                "",
                "applications.towline.dev",
                true,
            ),
            (
                crds,
                "CustomResourceDefinition",
                "",
                "applications.argoproj.io",
                false,
            ),
            ("apps", "Deployment", "towline-system", "towline", true),
            ("apps", "Deployment", "shop", "towline", false),
            ("apps", "Deployment", "towline-system", "exporter", false),
            (rbac, "ClusterRole", "", "towline-agent", true),
            (
                rbac,
                "ClusterRoleBinding",
                "",
                "towline-workloads-extra",
                false,
            ),
            (rbac, "RoleBinding", "towline-system", "towline", true),
            ("", "ServiceAccount", "towline-system", "towline", true),
            (
                "",
                "Secret",
                "towline-system",
                "towline-inventory-0011223344556677-0",
                true,
            ),
            ("", "Secret", "towline-system", "shop-repository", false),
            (
                "towline.dev",
                "Application",
                "towline-system",
                "shop",
                false,
            ),
        ] {
            let id = ObjectId::new(group, kind, namespace, name);
            assert_eq!(own.owns(&id), expected, "{id}");
        }
    }
}
