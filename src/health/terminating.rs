//! An object on its way out, of any kind: since when, what keeps it, and who has to let it go.

use serde_json::Value;

use super::Health;
use super::subject::Subject;

/// Finalizers that Kubernetes and towline serve themselves, with what they wait for.
const KNOWN: &[(&str, &str)] = &[
    (
        "customresourcecleanup.apiextensions.k8s.io",
        "its custom resources go first",
    ),
    ("foregroundDeletion", "its dependants go first"),
    ("kubernetes", "what is in it goes first"),
    ("kubernetes.io/pv-protection", "a claim is bound to it"),
    ("kubernetes.io/pvc-protection", "a pod uses it"),
    (
        "service.kubernetes.io/load-balancer-cleanup",
        "its load balancer goes first",
    ),
    ("towline.dev/prune", "its objects go first"),
];

/// The health of a subject that is being deleted. The time is the one that the object carries, so
/// that the message stays the same while nothing happens.
pub(super) fn assess(subject: &Subject<'_>) -> Health {
    let mut message = "being deleted".to_owned();
    let since = subject.text("/metadata/deletionTimestamp");
    if !since.is_empty() {
        message.push_str(&format!(" since {since}"));
    }
    let finalizers: Vec<String> = names(subject, "/metadata/finalizers")
        .chain(names(subject, "/spec/finalizers").filter(|_| subject.object.kind() == "Namespace"))
        .map(|name| explained(subject, name))
        .collect();
    match finalizers.as_slice() {
        [] => {}
        [one] => message.push_str(&format!(", waiting for finalizer {one}")),
        many => message.push_str(&format!(", waiting for finalizers {}", many.join(", "))),
    }
    // Namespaces and CustomResourceDefinitions say what is left of their content.
    let left = subject
        .conditions()
        .find(|condition| condition.is_true() && tells_what_is_left(condition.kind));
    if let Some(left) = left {
        message.push_str(&format!("; {}", left.says()));
    }
    Health::progressing("Terminating", message)
}

fn tells_what_is_left(kind: &str) -> bool {
    kind == "Terminating"
        || kind.starts_with("NamespaceDeletion")
        || matches!(
            kind,
            "NamespaceContentRemaining" | "NamespaceFinalizersRemaining"
        )
}

fn names<'a>(subject: &Subject<'a>, pointer: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    subject.list(pointer).iter().filter_map(Value::as_str)
}

/// A finalizer, with what it waits for or who put it there.
fn explained(subject: &Subject<'_>, name: &str) -> String {
    if let Some((_, why)) = KNOWN.iter().find(|(known, _)| *known == name) {
        return format!("{name} ({why})");
    }
    match set_by(subject, name) {
        Some(manager) => format!("{name} (set by {manager}: is it running?)"),
        None => format!("{name} (it is not known whose; is its controller running?)"),
    }
}

/// The field manager that owns the finalizer: its controller, as a rule.
fn set_by<'a>(subject: &Subject<'a>, name: &str) -> Option<&'a str> {
    let element = format!("v:{}", Value::from(name));
    let entries = subject.list("/metadata/managedFields").iter();
    entries
        .filter(|entry| {
            let fields = &entry["fieldsV1"]["f:metadata"]["f:finalizers"];
            fields.get(&element).is_some()
        })
        .find_map(|entry| entry["manager"].as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::health::{ObservationRules, assess};
    use crate::object::Object;

    fn message(metadata: Value, rest: Value) -> String {
        let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
        for (key, value) in rest.as_object().into_iter().flatten() {
            object[key] = value.clone();
        }
        object["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z".into();
        assess(&Object(object), 0, &ObservationRules::default()).message
    }

    use super::Value;

    #[test]
    fn a_finalizer_is_named_with_who_has_to_let_it_go() {
        let owned = json!([{"manager": "example-operator", "operation": "Update",
            "fieldsV1": {"f:metadata": {"f:finalizers": {"v:\"example.com/a\"": {}}}}}]);
        assert_eq!(
            message(
                json!({"finalizers": ["example.com/a"], "managedFields": owned}),
                json!({})
            ),
            "being deleted since 2026-01-02T03:04:05Z, waiting for finalizer example.com/a (set by example-operator: is it running?)"
        );
        assert_eq!(
            message(
                json!({"finalizers": ["kubernetes.io/pvc-protection", "example.com/b"]}),
                json!({})
            ),
            "being deleted since 2026-01-02T03:04:05Z, waiting for finalizers kubernetes.io/pvc-protection (a pod uses it), example.com/b (it is not known whose; is its controller running?)"
        );
        assert_eq!(
            message(json!({}), json!({})),
            "being deleted since 2026-01-02T03:04:05Z"
        );
    }

    #[test]
    fn a_namespace_says_what_is_left_in_it() {
        let conditions = json!([{"type": "NamespaceContentRemaining", "status": "True",
            "reason": "SomeResourcesRemain", "message": "widgets.example.com has 1 resource instances"}]);
        let rest = json!({"kind": "Namespace", "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Terminating", "conditions": conditions}});
        assert_eq!(
            message(json!({}), rest),
            "being deleted since 2026-01-02T03:04:05Z, waiting for finalizer kubernetes (what is in it goes first); SomeResourcesRemain: widgets.example.com has 1 resource instances"
        );
    }
}
