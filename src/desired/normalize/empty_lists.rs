//! Empty lists of a NetworkPolicy and of webhook configurations are left out.
//!
//! They mean the same as none. But for these kinds the server compares the new object with the
//! stored one so strictly that each apply of `egress: []` writes a new generation, though nothing
//! changed (seen on Kubernetes 1.36; other kinds are compared by meaning).

use serde_json::Value;

use super::Rule;
use crate::error::Diagnostic;
use crate::object::Gvk;

pub(super) const RULE: Rule = Rule { applies, rewrite };

fn applies(gvk: &Gvk) -> bool {
    matches!(
        (gvk.group.as_str(), gvk.kind.as_str()),
        ("networking.k8s.io", "NetworkPolicy")
            | (
                "admissionregistration.k8s.io",
                "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration"
            )
    )
}

fn rewrite(object: &mut Value, _: &mut Vec<Diagnostic>) {
    for field in ["spec", "webhooks"] {
        if let Some(value) = object.get_mut(field) {
            drop_empty(value);
        }
    }
}

/// Drops fields that are an empty list, and empty label maps of selectors. Other empty maps mean
/// something: `podSelector: {}` is all pods, `ingress: [{}]` everything.
fn drop_empty(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(drop_empty);
            map.retain(|key, value| match value {
                Value::Array(list) => !list.is_empty(),
                Value::Object(labels) => key != "matchLabels" || !labels.is_empty(),
                _ => true,
            });
        }
        Value::Array(list) => list.iter_mut().for_each(drop_empty),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::normalized;

    #[test]
    fn empty_lists_go_and_selectors_of_everything_stay() {
        let (policy, _) = normalized(
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "spec": {"podSelector": {"matchLabels": {}, "matchExpressions": []}, "egress": [],
                "ingress": [{"from": [], "ports": []}, {"from": [{"namespaceSelector": {}}]}],
                "policyTypes": ["Ingress", "Egress"]}}),
        );
        assert_eq!(
            policy["spec"],
            json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"],
                "ingress": [{}, {"from": [{"namespaceSelector": {}}]}]})
        );
        let (webhook, _) = normalized(json!({"apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "webhooks": [{"name": "a", "matchConditions": [], "objectSelector": {"matchLabels": {}}}]}));
        assert_eq!(
            webhook["webhooks"],
            json!([{"name": "a", "objectSelector": {}}])
        );
    }

    #[test]
    fn other_kinds_keep_theirs() {
        let role =
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": []});
        assert_eq!(normalized(role.clone()).0, role);
    }
}
