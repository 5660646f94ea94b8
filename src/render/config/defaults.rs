//! kustomize's built-in field specs for labels, annotations, namespaces, images, replicas and vars.
//!
//! A kind is written `group/version/Kind` with any part left out.

use super::FieldSpec;
use crate::object::Gvk;

/// A field spec from its two texts.
pub(super) fn spec(kind: &str, path: &str, create: bool) -> FieldSpec {
    FieldSpec::new(selector(kind), path.to_owned(), create)
}

/// The selector written as `group/version/Kind`.
pub(super) fn selector(kind: &str) -> Gvk {
    let mut parts = kind.splitn(3, '/').map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    Gvk::new(next(), next(), next())
}

fn specs(table: &[(&str, &str, bool)]) -> Vec<FieldSpec> {
    table
        .iter()
        .map(|(kind, path, create)| spec(kind, path, *create))
        .collect()
}

/// Where a namespace is written besides `metadata/namespace`.
pub(super) fn namespace() -> Vec<FieldSpec> {
    specs(&[
        ("//Namespace", "metadata/name", true),
        (
            "apiregistration.k8s.io//APIService",
            "spec/service/namespace",
            true,
        ),
        (
            "apiextensions.k8s.io//CustomResourceDefinition",
            "spec/conversion/webhook/clientConfig/service/namespace",
            false,
        ),
    ])
}

/// Selectors that get the common labels.
const SELECTORS: &[(&str, &str, bool)] = &[
    ("/v1/Service", "spec/selector", true),
    ("/v1/ReplicationController", "spec/selector", true),
    ("//Deployment", "spec/selector/matchLabels", true),
    ("//ReplicaSet", "spec/selector/matchLabels", true),
    ("//DaemonSet", "spec/selector/matchLabels", true),
    ("apps//StatefulSet", "spec/selector/matchLabels", true),
    ("batch//Job", "spec/selector/matchLabels", false),
    (
        "batch//CronJob",
        "spec/jobTemplate/spec/selector/matchLabels",
        false,
    ),
    (
        "policy//PodDisruptionBudget",
        "spec/selector/matchLabels",
        false,
    ),
    (
        "networking.k8s.io//NetworkPolicy",
        "spec/podSelector/matchLabels",
        false,
    ),
    (
        "networking.k8s.io//NetworkPolicy",
        "spec/ingress/from/podSelector/matchLabels",
        false,
    ),
    (
        "networking.k8s.io//NetworkPolicy",
        "spec/egress/to/podSelector/matchLabels",
        false,
    ),
];

/// Selectors of scheduling rules in the pod template of Deployments and StatefulSets.
const SCHEDULING_SELECTORS: &[&str] = &[
    "affinity/podAffinity/preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm/labelSelector/matchLabels",
    "affinity/podAffinity/requiredDuringSchedulingIgnoredDuringExecution/labelSelector/matchLabels",
    "affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm/labelSelector/matchLabels",
    "affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/labelSelector/matchLabels",
    "topologySpreadConstraints/labelSelector/matchLabels",
];

/// The object's own labels and those of its templates.
const TEMPLATE_LABELS: &[(&str, &str, bool)] = &[
    ("", "metadata/labels", true),
    (
        "/v1/ReplicationController",
        "spec/template/metadata/labels",
        true,
    ),
    ("//Deployment", "spec/template/metadata/labels", true),
    ("//ReplicaSet", "spec/template/metadata/labels", true),
    ("//DaemonSet", "spec/template/metadata/labels", true),
    ("apps//StatefulSet", "spec/template/metadata/labels", true),
    (
        "apps//StatefulSet",
        "spec/volumeClaimTemplates[]/metadata/labels",
        true,
    ),
    ("batch//Job", "spec/template/metadata/labels", true),
    ("batch//CronJob", "spec/jobTemplate/metadata/labels", true),
    (
        "batch//CronJob",
        "spec/jobTemplate/spec/template/metadata/labels",
        true,
    ),
];

/// Labels and selectors of `commonLabels`.
pub(super) fn common_labels() -> Vec<FieldSpec> {
    let mut all = specs(SELECTORS);
    for kind in ["apps//Deployment", "apps//StatefulSet"] {
        for rest in SCHEDULING_SELECTORS {
            all.push(spec(kind, &format!("spec/template/spec/{rest}"), false));
        }
    }
    all.extend(template_labels());
    all
}

/// Labels of `includeTemplates`.
pub(super) fn template_labels() -> Vec<FieldSpec> {
    specs(TEMPLATE_LABELS)
}

/// Annotations of `commonAnnotations`.
pub(super) fn common_annotations() -> Vec<FieldSpec> {
    specs(&[
        ("", "metadata/annotations", true),
        (
            "/v1/ReplicationController",
            "spec/template/metadata/annotations",
            true,
        ),
        ("//Deployment", "spec/template/metadata/annotations", true),
        ("//ReplicaSet", "spec/template/metadata/annotations", true),
        ("//DaemonSet", "spec/template/metadata/annotations", true),
        ("//StatefulSet", "spec/template/metadata/annotations", true),
        ("batch//Job", "spec/template/metadata/annotations", true),
        (
            "batch//CronJob",
            "spec/jobTemplate/metadata/annotations",
            true,
        ),
        (
            "batch//CronJob",
            "spec/jobTemplate/spec/template/metadata/annotations",
            true,
        ),
    ])
}

/// Image fields of pods and of everything with a pod template under `spec`.
pub(super) fn images() -> Vec<FieldSpec> {
    let fields = [
        "containers[]/image",
        "initContainers[]/image",
        "volumes[]/image/reference",
    ];
    ["spec", "spec/template/spec"]
        .iter()
        .flat_map(|pod| fields.map(|field| FieldSpec::any(&format!("{pod}/{field}"), true)))
        .collect()
}

/// Replica counts.
pub(super) fn replicas() -> Vec<FieldSpec> {
    [
        "//Deployment",
        "//ReplicationController",
        "//ReplicaSet",
        "//StatefulSet",
    ]
    .map(|kind| spec(kind, "spec/replicas", true))
    .to_vec()
}

/// Kinds with pods in which vars are replaced, and where their pod spec is.
const VAR_PODS: &[(&str, &str)] = &[
    ("//CronJob", "spec/jobTemplate/spec/template/spec"),
    ("//DaemonSet", "spec/template/spec"),
    ("//Deployment", "spec/template/spec"),
    ("//Job", "spec/template/spec"),
    ("//Pod", "spec"),
    ("//ReplicaSet", "spec/template/spec"),
    ("//StatefulSet", "spec/template/spec"),
];

/// Fields in which vars are replaced.
pub(super) fn var_references() -> Vec<FieldSpec> {
    let mut all = specs(&[
        // sic: kustomize's table leaves `spec` out here
        (
            "//CronJob",
            "spec/jobTemplate/spec/template/volumes/nfs/server",
            false,
        ),
        (
            "//DaemonSet",
            "spec/template/spec/volumes/nfs/server",
            false,
        ),
        (
            "//Deployment",
            "spec/template/spec/volumes/nfs/server",
            false,
        ),
        ("//Deployment", "spec/template/metadata/annotations", false),
        ("//Ingress", "spec/rules/host", false),
        ("//Ingress", "spec/tls/hosts", false),
        ("//Ingress", "spec/tls/secretName", false),
        ("//Job", "spec/template/spec/volumes/nfs/server", false),
        ("//Pod", "spec/volumes/nfs/server", false),
        (
            "//ReplicaSet",
            "spec/template/spec/volumes/nfs/server",
            false,
        ),
        ("//Service", "spec/ports/port", false),
        ("//Service", "spec/ports/targetPort", false),
        (
            "//StatefulSet",
            "spec/volumeClaimTemplates/spec/nfs/server",
            false,
        ),
        ("//PersistentVolume", "spec/nfs/server", false),
        ("", "metadata/labels", false),
        ("", "metadata/annotations", false),
    ]);
    for (kind, pod) in VAR_PODS {
        for list in ["containers", "initContainers"] {
            for field in ["args", "command", "env/value", "volumeMounts/mountPath"] {
                all.push(spec(kind, &format!("{pod}/{list}/{field}"), false));
            }
        }
    }
    all
}
