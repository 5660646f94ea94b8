//! `creationTimestamp: null` in templates is left out.
//!
//! Go programs print it wherever there is metadata. An apply would own it, for nothing.

use serde_json::Value;

use super::{Rule, pod_spec};
use crate::error::Diagnostic;

pub(super) const RULE: Rule = Rule {
    applies: |gvk| pod_spec::pointer(gvk).is_some(),
    rewrite,
};

/// Where templates keep their metadata.
const TEMPLATES: &[&str] = &[
    "/template/metadata",
    "/spec/template/metadata",
    "/spec/jobTemplate/metadata",
    "/spec/jobTemplate/spec/template/metadata",
];

fn rewrite(object: &mut Value, _: &mut Vec<Diagnostic>) {
    for pointer in TEMPLATES {
        drop_null(object.pointer_mut(pointer));
    }
    for claim in pod_spec::list_mut(object.pointer_mut("/spec/volumeClaimTemplates")) {
        drop_null(claim.get_mut("metadata"));
    }
}

fn drop_null(metadata: Option<&mut Value>) {
    let Some(metadata) = metadata.and_then(Value::as_object_mut) else {
        return;
    };
    if metadata
        .get("creationTimestamp")
        .is_some_and(Value::is_null)
    {
        metadata.remove("creationTimestamp");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::normalized;

    #[test]
    fn templates_lose_the_null() {
        let printed = json!({"creationTimestamp": null, "labels": {"a": "b"}});
        let (after, _) = normalized(
            json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "spec": {
            "template": {"metadata": &printed}, "volumeClaimTemplates": [{"metadata": printed}]}}),
        );
        let kept = json!({"labels": {"a": "b"}});
        assert_eq!(after["spec"]["template"]["metadata"], kept);
        assert_eq!(after["spec"]["volumeClaimTemplates"][0]["metadata"], kept);
    }
}
