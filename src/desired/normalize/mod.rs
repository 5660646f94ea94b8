//! Rewrites a desired object into the form in which the API server takes it from a server-side
//! apply without surprise: one file per rule, one row of `RULES` each.
//!
//! Each rule answers to something that otherwise fights for ever (a controller writes back what an
//! apply removes) or hides drift (ownership of a field that the live object never has).

mod aggregated_cluster_role;
mod ca_bundle;
mod duplicates;
mod empty_lists;
mod empty_status;
mod pod_spec;
mod port_protocol;
mod server_metadata;
mod service_account;
mod string_data;
mod template_metadata;

use serde_json::Value;

use crate::error::Diagnostic;
use crate::object::Gvk;

pub use empty_status::strip_status;
pub use service_account::keep_platform_secrets;

/// One rule: which objects it is about, and what it does to them.
struct Rule {
    /// Whether the rule is about objects of this kind.
    applies: fn(&Gvk) -> bool,
    /// Rewrites the object; says so where a person would want to know.
    rewrite: fn(&mut Value, &mut Vec<Diagnostic>),
}

/// All rules, in the order in which they are used.
const RULES: &[Rule] = &[
    server_metadata::RULE,
    template_metadata::RULE,
    empty_status::RULE,
    string_data::RULE,
    aggregated_cluster_role::RULE,
    ca_bundle::RULE,
    port_protocol::RULE,
    empty_lists::RULE,
];

/// Normalises `value` and adds to `notes` what was taken out that a person wrote. Notes stop
/// nothing. What must stop the object is found by [`mistakes`].
///
/// Doing it twice is the same as doing it once.
pub fn normalize(value: &mut Value, notes: &mut Vec<Diagnostic>) {
    let gvk = gvk(value);
    for rule in RULES.iter().filter(|rule| (rule.applies)(&gvk)) {
        (rule.rewrite)(value, notes);
    }
}

/// Adds to `out` what server-side apply is going to refuse, though client-side apply takes it:
/// elements of a keyed list that have the same key, and `stringData` that is not text. The server's
/// own answer to the first is an HTTP 500. An object that is `replaced` may have such elements.
pub fn mistakes(value: &Value, replaced: bool, out: &mut Vec<Diagnostic>) {
    let gvk = gvk(value);
    if !replaced {
        duplicates::find(value, &gvk, out);
    }
    string_data::find(value, &gvk, out);
}

fn gvk(value: &Value) -> Gvk {
    let text = |name| value.get(name).and_then(Value::as_str).unwrap_or_default();
    Gvk::from_api_version(text("apiVersion"), text("kind"))
}

/// The object as messages name it: `Kind/namespace/name`.
fn subject(value: &Value) -> String {
    let text = |pointer| {
        value
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    [
        text("/kind"),
        text("/metadata/namespace"),
        text("/metadata/name"),
    ]
    .into_iter()
    .filter(|part| !part.is_empty())
    .collect::<Vec<_>>()
    .join("/")
}

/// A diagnostic about the object; its place is known to the caller.
fn about(value: &Value, message: String) -> Diagnostic {
    Diagnostic::new("", message).about(subject(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::live::arbitrary::Random;

    /// The object after all rules, and the notes; checks that a second time changes nothing.
    pub(super) fn normalized(mut value: Value) -> (Value, Vec<String>) {
        let mut notes = Vec::new();
        normalize(&mut value, &mut notes);
        let mut again = value.clone();
        let mut none = Vec::new();
        normalize(&mut again, &mut none);
        assert_eq!(again, value, "not idempotent");
        assert!(none.is_empty(), "notes a second time: {none:?}");
        (value, notes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn an_object_without_anything_to_do_stays_as_it_is() {
        let crd = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "a.b"}, "spec": {"preserveUnknownFields": false, "conversion": {"strategy": "None"}}});
        // `preserveUnknownFields: false` has to be sent: a CRD that came from v1beta1 has `true`.
        assert_eq!(normalized(crd.clone()), (crd, vec![]));
    }

    #[test]
    fn junk_stays_as_it_is() {
        for junk in [
            json!(null),
            json!([1]),
            json!({"apiVersion": 1, "kind": "Secret", "metadata": "x", "stringData": []}),
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": [], "stringData": 3}),
            json!({"apiVersion": "v1", "kind": "Service", "spec": {"ports": [1, null, {"port": []}]}}),
            json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": {"a": 1}, "volumes": [[], 1]}}),
        ] {
            normalized(junk.clone());
            mistakes(&junk, false, &mut Vec::new());
        }
    }

    #[test]
    fn no_object_makes_a_rule_panic() {
        const WORDS: &[&str] = &[
            "metadata",
            "spec",
            "status",
            "data",
            "stringData",
            "ports",
            "containers",
            "env",
            "name",
            "template",
            "webhooks",
            "clientConfig",
            "caBundle",
            "conversion",
            "webhook",
            "rules",
            "aggregationRule",
            "imagePullSecrets",
            "secrets",
            "volumeClaimTemplates",
            "matchLabels",
            "jobTemplate",
            "protocol",
            "containerPort",
            "port",
            "labels",
            "creationTimestamp",
        ];
        const KINDS: &[(&str, &str)] = &[
            ("v1", "Secret"),
            ("v1", "Service"),
            ("v1", "ServiceAccount"),
            ("v1", "Pod"),
            ("apps/v1", "StatefulSet"),
            ("batch/v1", "CronJob"),
            ("rbac.authorization.k8s.io/v1", "ClusterRole"),
            ("networking.k8s.io/v1", "NetworkPolicy"),
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
            (
                "admissionregistration.k8s.io/v1",
                "MutatingWebhookConfiguration",
            ),
        ];
        let mut random = Random(3);
        for round in 0..3000 {
            let (api_version, kind) = KINDS[round % KINDS.len()];
            let mut object = random.value(WORDS, 6);
            if object.is_object() {
                object["apiVersion"] = json!(api_version);
                object["kind"] = json!(kind);
            }
            let live = random.value(WORDS, 3);
            keep_platform_secrets(&mut object, &live);
            mistakes(&normalized(object).0, false, &mut Vec::new());
        }
    }
}
