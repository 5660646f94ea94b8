//! A ClusterRole with an `aggregationRule` has no `rules` of its own.
//!
//! The controller fills them. The old upstream example has `rules: []` beside the aggregation, and
//! every apply of that wipes the permissions until the controller writes them back.

use serde_json::Value;

use super::{Rule, about};
use crate::error::Diagnostic;

pub(super) const RULE: Rule = Rule {
    applies: |gvk| gvk.group == "rbac.authorization.k8s.io" && gvk.kind == "ClusterRole",
    rewrite,
};

fn rewrite(role: &mut Value, notes: &mut Vec<Diagnostic>) {
    let aggregated = role
        .get("aggregationRule")
        .is_some_and(|rule| !rule.is_null());
    let Some(map) = role.as_object_mut().filter(|_| aggregated) else {
        return;
    };
    let rules = map.remove("rules");
    if rules
        .as_ref()
        .and_then(Value::as_array)
        .is_some_and(|rules| !rules.is_empty())
    {
        let message = "`rules` beside `aggregationRule` are left out: the server fills them";
        notes.push(
            about(role, message.into())
                .hint("put them into a ClusterRole that the aggregation selects"),
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::normalized;
    use super::*;

    fn role(aggregation: Value, rules: Value) -> Value {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "r"}, "aggregationRule": aggregation, "rules": rules})
    }

    #[test]
    fn rules_beside_an_aggregation_are_dropped() {
        let (after, notes) = normalized(role(json!({"clusterRoleSelectors": []}), json!([])));
        assert!(after.get("rules").is_none() && notes.is_empty());
        let (after, notes) = normalized(role(json!({}), json!([{"verbs": ["get"]}])));
        assert!(after.get("rules").is_none() && notes.len() == 1);
    }

    #[test]
    fn rules_alone_stay() {
        let (after, _) = normalized(role(json!(null), json!([])));
        assert_eq!(after["rules"], json!([]));
    }
}
