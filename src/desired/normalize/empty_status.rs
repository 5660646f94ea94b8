//! `status` is not desired.
//!
//! Generators print `status: {}`, and it comes with `kubectl get -o yaml`. The kinds of Kubernetes
//! all keep it behind a subresource. A custom kind may not, and then a status in Git may be meant:
//! it is kept unless it is empty, until discovery has told ([`strip_status`]).

use serde_json::Value;

use super::{Rule, gvk};
use crate::error::Diagnostic;

pub(super) const RULE: Rule = Rule {
    applies: |_| true,
    rewrite,
};

fn rewrite(object: &mut Value, _: &mut Vec<Diagnostic>) {
    let gvk = gvk(object);
    let built_in = !gvk.group.contains('.') || gvk.group.ends_with(".k8s.io");
    let empty = match object.get("status") {
        None => return,
        Some(Value::Null) => true,
        Some(Value::Object(status)) => status.is_empty(),
        Some(_) => false,
    };
    if built_in || empty {
        strip_status(object);
    }
}

/// Drops `status`. For kinds of which discovery says that they have the status subresource: the
/// server ignores it there, so it is never drift.
pub fn strip_status(object: &mut Value) {
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::normalized;

    fn after(api_version: &str, status: &serde_json::Value) -> bool {
        let object = json!({"apiVersion": api_version, "kind": "X", "status": status});
        normalized(object).0.get("status").is_some()
    }

    #[test]
    fn status_of_built_in_kinds_and_empty_status_are_dropped() {
        assert!(!after("apps/v1", &json!({"replicas": 1})));
        assert!(!after("networking.k8s.io/v1", &json!({"a": 1})));
        assert!(!after("example.com/v1", &json!({})));
        assert!(!after("example.com/v1", &json!(null)));
        assert!(after("example.com/v1", &json!({"a": 1})));
    }
}
