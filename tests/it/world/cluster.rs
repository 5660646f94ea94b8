//! The API server as the administrator of the test sees it.

use std::sync::OnceLock;

use serde_json::{Value, json};
use towline_testcluster::ControlPlane;

use super::{World, wait};

/// Kinds that tests name: group and version, and plural.
const KINDS: &[(&str, &str, &str)] = &[
    ("Namespace", "/api/v1", "namespaces"),
    ("ConfigMap", "/api/v1", "configmaps"),
    ("Secret", "/api/v1", "secrets"),
    ("Pod", "/api/v1", "pods"),
    ("Service", "/api/v1", "services"),
    ("ServiceAccount", "/api/v1", "serviceaccounts"),
    ("Event", "/api/v1", "events"),
    ("Pod", "/api/v1", "pods"),
    ("StorageClass", "/apis/storage.k8s.io/v1", "storageclasses"),
    ("Deployment", "/apis/apps/v1", "deployments"),
    ("ReplicaSet", "/apis/apps/v1", "replicasets"),
    ("StatefulSet", "/apis/apps/v1", "statefulsets"),
    ("Job", "/apis/batch/v1", "jobs"),
    (
        "HorizontalPodAutoscaler",
        "/apis/autoscaling/v2",
        "horizontalpodautoscalers",
    ),
    (
        "MutatingAdmissionPolicy",
        "/apis/admissionregistration.k8s.io/v1",
        "mutatingadmissionpolicies",
    ),
    (
        "MutatingAdmissionPolicyBinding",
        "/apis/admissionregistration.k8s.io/v1",
        "mutatingadmissionpolicybindings",
    ),
    ("Lease", "/apis/coordination.k8s.io/v1", "leases"),
    ("ResourceQuota", "/api/v1", "resourcequotas"),
    ("PersistentVolumeClaim", "/api/v1", "persistentvolumeclaims"),
    ("Application", "/apis/towline.dev/v1alpha1", "applications"),
    (
        "ClusterRole",
        "/apis/rbac.authorization.k8s.io/v1",
        "clusterroles",
    ),
    (
        "ClusterRoleBinding",
        "/apis/rbac.authorization.k8s.io/v1",
        "clusterrolebindings",
    ),
    ("Role", "/apis/rbac.authorization.k8s.io/v1", "roles"),
    (
        "RoleBinding",
        "/apis/rbac.authorization.k8s.io/v1",
        "rolebindings",
    ),
    (
        "CustomResourceDefinition",
        "/apis/apiextensions.k8s.io/v1",
        "customresourcedefinitions",
    ),
];

/// The path of a collection.
pub fn collection(kind: &str, namespace: &str) -> String {
    let row = KINDS.iter().find(|row| row.0 == kind);
    let (_, api, plural) = row.unwrap_or_else(|| panic!("add {kind} to the table of kinds"));
    if namespace.is_empty() {
        format!("{api}/{plural}")
    } else {
        format!("{api}/namespaces/{namespace}/{plural}")
    }
}

impl World<'_> {
    /// One object, if it is there.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let path = format!("{}/{name}", collection(kind, namespace));
        match self.plane.request("GET", &path, &Value::Null).unwrap() {
            (200, object) => Some(object),
            (404, _) => None,
            (status, answer) => panic!("GET {path}: {status} {answer}"),
        }
    }

    /// One object of the users' namespace, if it is there.
    pub fn live(&self, kind: &str, name: &str) -> Option<Value> {
        self.get(kind, &self.work, name)
    }

    /// The value of a ConfigMap of [`super::manifests::config_map`]; empty when it is not there.
    pub fn value(&self, name: &str) -> String {
        let live = self.live("ConfigMap", name).unwrap_or_default();
        live["data"]["value"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// All objects of a kind in a namespace.
    pub fn list(&self, kind: &str, namespace: &str) -> Vec<Value> {
        let path = collection(kind, namespace);
        let (status, list) = self.plane.request("GET", &path, &Value::Null).unwrap();
        assert_eq!(status, 200, "GET {path}: {list}");
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// Creates an object, with strict validation.
    pub fn create(&self, object: &Value) {
        let (status, answer) = self.try_create(object, "");
        assert!(status < 300, "creating {object}: {status} {answer}");
    }

    /// Tries to create an object; returns what the API server answers.
    pub fn try_create(&self, object: &Value, parameters: &str) -> (u16, Value) {
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or("")
        };
        let path = collection(text("/kind"), text("/metadata/namespace"));
        let path = format!("{path}?fieldValidation=Strict{parameters}");
        self.plane.request("POST", &path, object).unwrap()
    }

    /// Creates an object or changes it to this.
    pub fn apply(&self, object: &Value) {
        apply(self.plane, object);
    }

    /// Changes an object by a merge patch, as nobody in particular.
    pub fn patch(&self, kind: &str, namespace: &str, name: &str, patch: &Value) {
        let path = format!("{}/{name}", collection(kind, namespace));
        let (status, answer) = self.plane.request("PATCH", &path, patch).unwrap();
        assert!(status < 300, "PATCH {path}: {status} {answer}");
    }

    /// Applies fields of an object of the users' namespace as this field manager, by force.
    pub fn apply_as(
        &self,
        manager: &str,
        api_version: &str,
        kind: &str,
        name: &str,
        fields: &Value,
    ) {
        let mut object = fields.clone();
        object["apiVersion"] = api_version.into();
        object["kind"] = kind.into();
        object["metadata"]["name"] = name.into();
        let path = format!(
            "{}/{name}?fieldManager={manager}&force=true",
            collection(kind, &self.work)
        );
        let (status, answer) = self.plane.request("PATCH", &path, &object).unwrap();
        assert!(status < 300, "PATCH {path}: {status} {answer}");
    }

    /// Deletes an object, without waiting.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) {
        let path = format!("{}/{name}", collection(kind, namespace));
        let (status, answer) = self.plane.request("DELETE", &path, &Value::Null).unwrap();
        assert!(status < 300, "DELETE {path}: {status} {answer}");
    }

    /// Runs kubectl in the users' namespace.
    pub fn kubectl(&self, args: &[&str]) -> String {
        let args = [&["--namespace", &self.work], args].concat();
        self.plane.kubectl(&args).unwrap()
    }

    /// `kubectl edit` of an object of the users' namespace, where the editor is `sed`.
    pub fn edit(&self, object: &str, script: &str) {
        let output = self
            .plane
            .kubectl_command()
            .unwrap()
            .args(["--namespace", &self.work, "edit", object])
            .env("KUBE_EDITOR", format!("sed -i '{script}'"))
            .output()
            .unwrap();
        assert!(output.status.success(), "kubectl edit: {output:?}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            said.contains("edited"),
            "kubectl edit changed nothing: {said}"
        );
    }

    /// Events about an Application: reason and message.
    pub fn events(&self, name: &str) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.list("Event", &self.ns)
            .iter()
            .filter(|event| event["involvedObject"]["name"] == name)
            .map(|event| (text(&event["reason"]), text(&event["message"])))
            .collect()
    }

    /// Waits until there is an Event of this reason about an Application: it is written after the
    /// status that it is about. Returns its message.
    pub fn wait_event(&self, name: &str, reason: &str) -> String {
        wait(&format!("the Event {reason} of {name}"), || {
            let events = self.events(name);
            let found = events.iter().find(|(one, _)| one == reason);
            found
                .map(|(_, message)| message.clone())
                .ok_or_else(|| format!("{events:?}"))
        })
    }

    /// Gives the agent rights for widgets of a group and for their CRD: what a user adds who has both
    /// in the repository.
    pub fn allow_widgets(&self, group: &str) {
        let verbs = json!([
            "get", "list", "watch", "create", "patch", "update", "delete"
        ]);
        let rules = json!([
            {"apiGroups": [group], "resources": ["widgets"], "verbs": verbs},
            {"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"],
                "verbs": verbs},
        ]);
        self.allow("widgets", &self.ns, "towline", &rules);
    }

    /// Gives a ServiceAccount rights in the whole cluster: what a user adds for custom resources.
    pub fn allow(&self, what: &str, namespace: &str, account: &str, rules: &Value) {
        let name = format!("{}-{what}", self.ns);
        self.apply(
            &json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": name}, "rules": rules}),
        );
        self.apply(&json!({"apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}]}));
    }
}

/// Creates an object or changes it to this.
fn apply(plane: &ControlPlane, object: &Value) {
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or("")
    };
    let path = collection(text("/kind"), text("/metadata/namespace"));
    let path = format!(
        "{path}/{}?fieldManager=test&force=true",
        text("/metadata/name")
    );
    let (status, answer) = plane.request("PATCH", &path, object).unwrap();
    assert!(status < 300, "applying {object}: {status} {answer}");
}

/// Installs towline's CRD and waits until it is served.
pub fn install_crd(plane: &ControlPlane) {
    apply(plane, &serde_json::to_value(towline::api::crd()).unwrap());
    wait_api(plane);
}

/// Waits until towline's CRD is served: it is called established a moment before.
pub fn wait_api(plane: &ControlPlane) {
    wait("towline's API", || {
        let path = collection("Application", "");
        match plane.request("GET", &path, &Value::Null).unwrap() {
            (200, _) => Ok(()),
            (status, answer) => Err(format!("{status} {answer}")),
        }
    });
}

/// Gives the ServiceAccount `towline` of a namespace what `manifests/rbac.yaml` gives it: the file
/// itself, with the namespace and the names of cluster-wide bindings changed.
pub fn grant(plane: &ControlPlane, namespace: &str) {
    for document in rbac(plane) {
        let text = document.to_string().replace("towline-system", namespace);
        let mut document: Value = serde_json::from_str(&text).unwrap();
        if document["kind"] == "ClusterRoleBinding" {
            let name = format!(
                "{}-{namespace}",
                document["metadata"]["name"].as_str().unwrap()
            );
            document["metadata"]["name"] = name.into();
        }
        apply(plane, &document);
    }
}

/// The objects of `manifests/rbac.yaml`.
fn rbac(plane: &ControlPlane) -> &'static [Value] {
    static RBAC: OnceLock<Vec<Value>> = OnceLock::new();
    RBAC.get_or_init(|| {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/rbac.yaml");
        let args = [
            "create",
            "--dry-run=client",
            "--validate=false",
            "--output=json",
            "-f",
            file,
        ];
        let printed = plane.kubectl(&args).unwrap();
        serde_json::Deserializer::from_str(&printed)
            .into_iter::<Value>()
            .flat_map(|value| {
                let value = value.unwrap();
                value["items"]
                    .as_array()
                    .cloned()
                    .unwrap_or_else(|| vec![value])
            })
            .collect()
    })
}
