//! The order inside a wave: four barriers, everything inside one of them in parallel.

use crate::object::Gvk;

/// What an object has to wait for inside its wave. Applied in this order, pruned in reverse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Barrier {
    /// Namespaces and CRDs: others cannot exist before them.
    Foundation,
    /// What workloads refer to when they start. A pod that comes before its ServiceAccount,
    /// PriorityClass or Secret goes into a back-off that costs more than waiting.
    Configuration,
    /// Services, workloads and everything that is not listed.
    Workload,
    /// What intercepts requests of others, and would block the pods that answer for it.
    Interception,
}

impl Barrier {
    /// All, in the order of applying.
    pub const ALL: [Self; 4] = [
        Self::Foundation,
        Self::Configuration,
        Self::Workload,
        Self::Interception,
    ];

    /// The barrier of a kind.
    pub fn of(gvk: &Gvk) -> Self {
        match (gvk.group.as_str(), gvk.kind.as_str()) {
            ("", "Namespace") | ("apiextensions.k8s.io", "CustomResourceDefinition") => {
                Self::Foundation
            }
            (
                "",
                "ConfigMap"
                | "Secret"
                | "ServiceAccount"
                | "PersistentVolumeClaim"
                | "PersistentVolume"
                | "LimitRange"
                | "ResourceQuota",
            )
            | ("rbac.authorization.k8s.io", _)
            | ("scheduling.k8s.io", "PriorityClass")
            | ("storage.k8s.io", "StorageClass")
            | ("node.k8s.io", "RuntimeClass")
            | ("networking.k8s.io", "IngressClass" | "NetworkPolicy")
            | ("gateway.networking.k8s.io", "GatewayClass")
            | ("policy", "PodDisruptionBudget") => Self::Configuration,
            ("apiregistration.k8s.io", "APIService")
            | (
                "admissionregistration.k8s.io",
                "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration",
            ) => Self::Interception,
            _ => Self::Workload,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_needs_come_before_it_and_webhooks_after() {
        let of = |api, kind| Barrier::of(&Gvk::from_api_version(api, kind));
        assert!(of("v1", "Namespace") < of("v1", "Secret"));
        assert!(of("v1", "Secret") < of("apps/v1", "Deployment"));
        assert!(of("networking.k8s.io/v1", "NetworkPolicy") < of("v1", "Pod"));
        let webhook = of(
            "admissionregistration.k8s.io/v1",
            "ValidatingWebhookConfiguration",
        );
        assert!(of("v1", "Service") < webhook);
        assert_eq!(of("example.com/v1", "Widget"), Barrier::Workload);
    }
}
