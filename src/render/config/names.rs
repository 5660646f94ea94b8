//! kustomize's built-in name references: which fields hold the name of which kind.
//!
//! `ingressClassName` has no entry on purpose: the group of kustomize's own entry is misspelt and
//! never matches.

use super::defaults::{selector, spec};
use super::{FieldSpec, NameReference};

/// Kinds that mount ConfigMaps and Secrets, and where their pod spec is.
const PODS: &[(&str, &str)] = &[
    ("/v1/Pod", "spec"),
    ("//PodTemplate", "template/spec"),
    ("//Deployment", "spec/template/spec"),
    ("//ReplicaSet", "spec/template/spec"),
    ("//DaemonSet", "spec/template/spec"),
    ("//StatefulSet", "spec/template/spec"),
    ("//Job", "spec/template/spec"),
    ("//CronJob", "spec/jobTemplate/spec/template/spec"),
];

/// Kinds whose pods name a ServiceAccount, a claim or a PriorityClass.
const WORKLOADS: &[(&str, &str)] = &[
    ("//Pod", "spec"),
    ("//StatefulSet", "spec/template/spec"),
    ("//Deployment", "spec/template/spec"),
    ("//ReplicationController", "spec/template/spec"),
    ("//CronJob", "spec/jobTemplate/spec/template/spec"),
    ("//Job", "spec/template/spec"),
    ("//DaemonSet", "spec/template/spec"),
];

/// One kind whose name other objects hold.
struct Target {
    kind: &'static str,
    /// Kinds with pods, and the fields of the pod spec.
    pods: &'static [(&'static str, &'static str)],
    pod_fields: &'static [&'static str],
    /// Other fields.
    fields: &'static [(&'static str, &'static str)],
}

const SCALED: &[(&str, &str)] = &[("//HorizontalPodAutoscaler", "spec/scaleTargetRef/name")];

const TARGETS: &[Target] = &[
    Target {
        kind: "//Deployment",
        pods: &[],
        pod_fields: &[],
        fields: SCALED,
    },
    Target {
        kind: "//ReplicationController",
        pods: &[],
        pod_fields: &[],
        fields: SCALED,
    },
    Target {
        kind: "//ReplicaSet",
        pods: &[],
        pod_fields: &[],
        fields: SCALED,
    },
    Target {
        kind: "//StatefulSet",
        pods: &[],
        pod_fields: &[],
        fields: SCALED,
    },
    Target {
        kind: "/v1/ConfigMap",
        pods: PODS,
        pod_fields: &[
            "volumes/configMap/name",
            "containers/env/valueFrom/configMapKeyRef/name",
            "initContainers/env/valueFrom/configMapKeyRef/name",
            "containers/envFrom/configMapRef/name",
            "initContainers/envFrom/configMapRef/name",
            "volumes/projected/sources/configMap/name",
        ],
        fields: &[
            ("//Node", "spec/configSource/configMap"),
            ("//Role", "rules/resourceNames"),
            ("//ClusterRole", "rules/resourceNames"),
            (
                "//Ingress",
                r"metadata/annotations/nginx.ingress.kubernetes.io\/fastcgi-params-configmap",
            ),
        ],
    },
    Target {
        kind: "/v1/Secret",
        pods: PODS,
        pod_fields: &[
            "volumes/secret/secretName",
            "containers/env/valueFrom/secretKeyRef/name",
            "initContainers/env/valueFrom/secretKeyRef/name",
            "containers/envFrom/secretRef/name",
            "initContainers/envFrom/secretRef/name",
            "imagePullSecrets/name",
            "volumes/projected/sources/secret/name",
        ],
        fields: &[
            ("//Ingress", "spec/tls/secretName"),
            (
                "//Ingress",
                r"metadata/annotations/ingress.kubernetes.io\/auth-secret",
            ),
            (
                "//Ingress",
                r"metadata/annotations/nginx.ingress.kubernetes.io\/auth-secret",
            ),
            (
                "//Ingress",
                r"metadata/annotations/nginx.ingress.kubernetes.io\/auth-tls-secret",
            ),
            ("//ServiceAccount", "imagePullSecrets/name"),
            ("//StorageClass", "parameters/secretName"),
            ("//StorageClass", "parameters/adminSecretName"),
            ("//StorageClass", "parameters/userSecretName"),
            ("//StorageClass", "parameters/secretRef"),
            ("//Role", "rules/resourceNames"),
            ("//ClusterRole", "rules/resourceNames"),
            (
                "serving.knative.dev/v1/Service",
                "spec/template/spec/containers/env/valueFrom/secretKeyRef/name",
            ),
            ("//PersistentVolume", "spec/azureFile/secretName"),
        ],
    },
    Target {
        kind: "/v1/Service",
        pods: &[],
        pod_fields: &[],
        fields: &[
            ("apps//StatefulSet", "spec/serviceName"),
            ("//Ingress", "spec/rules/http/paths/backend/serviceName"),
            ("//Ingress", "spec/backend/serviceName"),
            ("//Ingress", "spec/rules/http/paths/backend/service/name"),
            ("//Ingress", "spec/defaultBackend/service/name"),
            ("apiregistration.k8s.io//APIService", "spec/service/name"),
            (
                "admissionregistration.k8s.io//ValidatingWebhookConfiguration",
                "webhooks/clientConfig/service",
            ),
            (
                "admissionregistration.k8s.io//MutatingWebhookConfiguration",
                "webhooks/clientConfig/service",
            ),
        ],
    },
    Target {
        kind: "rbac.authorization.k8s.io//Role",
        pods: &[],
        pod_fields: &[],
        fields: &[("rbac.authorization.k8s.io//RoleBinding", "roleRef/name")],
    },
    Target {
        kind: "rbac.authorization.k8s.io//ClusterRole",
        pods: &[],
        pod_fields: &[],
        fields: &[
            ("rbac.authorization.k8s.io//RoleBinding", "roleRef/name"),
            (
                "rbac.authorization.k8s.io//ClusterRoleBinding",
                "roleRef/name",
            ),
        ],
    },
    Target {
        kind: "/v1/ServiceAccount",
        pods: WORKLOADS,
        pod_fields: &["serviceAccountName"],
        fields: &[
            ("rbac.authorization.k8s.io//RoleBinding", "subjects"),
            ("rbac.authorization.k8s.io//ClusterRoleBinding", "subjects"),
        ],
    },
    Target {
        kind: "/v1/PersistentVolumeClaim",
        pods: WORKLOADS,
        pod_fields: &["volumes/persistentVolumeClaim/claimName"],
        fields: &[],
    },
    Target {
        kind: "/v1/PersistentVolume",
        pods: &[],
        pod_fields: &[],
        fields: &[
            ("//PersistentVolumeClaim", "spec/volumeName"),
            ("//ClusterRole", "rules/resourceNames"),
        ],
    },
    Target {
        kind: "storage.k8s.io/v1/StorageClass",
        pods: &[],
        pod_fields: &[],
        fields: &[
            ("//PersistentVolume", "spec/storageClassName"),
            ("//PersistentVolumeClaim", "spec/storageClassName"),
            (
                "//StatefulSet",
                "spec/volumeClaimTemplates/spec/storageClassName",
            ),
        ],
    },
    Target {
        kind: "scheduling.k8s.io/v1/PriorityClass",
        pods: WORKLOADS,
        pod_fields: &["priorityClassName"],
        fields: &[],
    },
    Target {
        kind: "admissionregistration.k8s.io//ValidatingAdmissionPolicy",
        pods: &[],
        pod_fields: &[],
        fields: &[(
            "admissionregistration.k8s.io//ValidatingAdmissionPolicyBinding",
            "spec/policyName",
        )],
    },
];

/// The table as field specs.
pub(super) fn references() -> Vec<NameReference> {
    TARGETS
        .iter()
        .map(|target| {
            let pods = target.pods.iter().flat_map(|(kind, pod)| {
                target
                    .pod_fields
                    .iter()
                    .map(move |f| spec(kind, &format!("{pod}/{f}"), false))
            });
            let others = target
                .fields
                .iter()
                .map(|(kind, path)| spec(kind, path, false));
            let referrers: Vec<FieldSpec> = pods.chain(others).collect();
            NameReference {
                target: selector(target.kind),
                referrers,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_stands_once_and_has_referrers() {
        let references = references();
        for (i, reference) in references.iter().enumerate() {
            assert!(!reference.referrers.is_empty(), "{}", reference.target);
            assert!(references[..i].iter().all(|r| r.target != reference.target));
        }
    }
}
