//! Which kinds live outside namespaces, as far as kustomize knows: by exact `apiVersion` and kind,
//! from the OpenAPI document of Kubernetes 1.21 that it carries. Every other kind counts as
//! namespaced, also a newer built-in one and every custom resource.

use super::identity::KindRef;

/// The namespace that identities of cluster-scoped objects carry in kustomize's bookkeeping.
pub const NOT_A_NAMESPACE: &str = "_non_namespaceable_";

/// Group, versions and kinds that are known not to be namespaced.
const CLUSTER_SCOPED: &[(&str, &[&str], &[&str])] = &[
    (
        "",
        &["v1"],
        &["ComponentStatus", "Namespace", "Node", "PersistentVolume"],
    ),
    (
        "admissionregistration.k8s.io",
        &["v1", "v1beta1"],
        &[
            "MutatingWebhookConfiguration",
            "ValidatingWebhookConfiguration",
        ],
    ),
    (
        "apiextensions.k8s.io",
        &["v1", "v1beta1"],
        &["CustomResourceDefinition"],
    ),
    (
        "apiregistration.k8s.io",
        &["v1", "v1beta1"],
        &["APIService"],
    ),
    (
        "certificates.k8s.io",
        &["v1", "v1beta1"],
        &["CertificateSigningRequest"],
    ),
    (
        "flowcontrol.apiserver.k8s.io",
        &["v1beta1"],
        &["FlowSchema", "PriorityLevelConfiguration"],
    ),
    ("networking.k8s.io", &["v1", "v1beta1"], &["IngressClass"]),
    ("node.k8s.io", &["v1", "v1beta1"], &["RuntimeClass"]),
    ("policy", &["v1beta1"], &["PodSecurityPolicy"]),
    (
        "rbac.authorization.k8s.io",
        &["v1", "v1beta1"],
        &["ClusterRole", "ClusterRoleBinding"],
    ),
    ("scheduling.k8s.io", &["v1", "v1beta1"], &["PriorityClass"]),
    (
        "storage.k8s.io",
        &["v1", "v1beta1"],
        &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment"],
    ),
];

/// Whether objects of this kind certainly live outside namespaces.
pub(super) fn is_cluster_scoped(kind: KindRef<'_>) -> bool {
    // The kind first: hardly any two have the same length, and this is asked very often.
    CLUSTER_SCOPED.iter().any(|(group, versions, kinds)| {
        kinds.contains(&kind.kind) && *group == kind.group && versions.contains(&kind.version)
    })
}
