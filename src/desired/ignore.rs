//! What is left to others in an object: by the Application's rules, by the object's own annotation,
//! and its replicas where the same revision declares its autoscaler.

use std::collections::BTreeSet;

use serde_json::Value;

use super::at;
use crate::api::IgnoreRule;
use crate::error::Diagnostics;
use crate::live::Ignore;
use crate::object::{Gvk, Object, ObjectId, Pointer, keys};
use crate::render::RenderedObject;

/// The workloads that autoscalers of a revision scale.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Scaled(BTreeSet<ObjectId>);

impl Scaled {
    /// `namespace` is that of objects that name none.
    pub(super) fn by(rendered: &[RenderedObject], namespace: &str) -> Self {
        let is_autoscaler = |one: &&RenderedObject| {
            let kind = one.value.get("kind").and_then(Value::as_str);
            matches!(kind, Some("HorizontalPodAutoscaler" | "ScaledObject"))
        };
        let ids = rendered.iter().filter(is_autoscaler).filter_map(|one| {
            let object = Object(one.value.clone());
            let own = match object.namespace() {
                "" => namespace,
                own => own,
            };
            scaled_by(&object, own)
        });
        Self(ids.collect())
    }
}

/// The workload that an autoscaler in `namespace` scales: that of a `HorizontalPodAutoscaler` or of
/// KEDA's `ScaledObject`.
pub fn scaled_by(object: &Object, namespace: &str) -> Option<ObjectId> {
    let gvk = object.gvk();
    let is_keda = gvk.group == "keda.sh" && gvk.kind == "ScaledObject";
    if !is_keda && (gvk.group != "autoscaling" || gvk.kind != "HorizontalPodAutoscaler") {
        return None;
    }
    let target = object.0.pointer("/spec/scaleTargetRef")?;
    let text = |field: &str| target.get(field).and_then(Value::as_str);
    let (version, kind) = if is_keda {
        ("apps/v1", "Deployment")
    } else {
        ("", "")
    };
    let gvk = Gvk::from_api_version(
        text("apiVersion").unwrap_or(version),
        text("kind").unwrap_or(kind),
    );
    Some(ObjectId::new(
        &gvk.group,
        &gvk.kind,
        namespace,
        text("name")?,
    ))
}

/// The rules for one object, which has its namespace already. What its annotation says wrong is
/// collected.
pub(super) fn read(
    object: &Object,
    one: &RenderedObject,
    rules: &[IgnoreRule],
    scaled: &Scaled,
    mistakes: &mut Diagnostics,
) -> Ignore {
    let id = object.id();
    let mut pointers = Vec::new();
    let mut managers = Vec::new();
    for rule in rules.iter().filter(|rule| rule.matches(&id)) {
        pointers.extend(rule.pointers.iter().cloned());
        managers.extend(rule.managers.iter().cloned());
    }
    let text = object.annotation(keys::IGNORE_FIELDS).unwrap_or_default();
    let fields = text.split([',', '\n']).map(str::trim);
    for field in fields.filter(|field| !field.is_empty()) {
        match Pointer::parse(field) {
            Ok(pointer) => pointers.push(pointer),
            Err(why) => mistakes.push(
                at(one, format!("`{}: {field}`: {why}", keys::IGNORE_FIELDS))
                    .about(&id)
                    .hint("write JSON pointers, such as \"/spec/replicas, /metadata/labels/a\""),
            ),
        }
    }
    if scaled.0.contains(&id) {
        pointers.extend(Pointer::parse("/spec/replicas"));
    }
    Ignore::new(pointers, managers, &object.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn autoscalers_name_what_they_scale() {
        let autoscaler = |group: &str, kind: &str, target: Value| {
            Object(json!({"apiVersion": format!("{group}/v2"), "kind": kind,
                "spec": {"scaleTargetRef": target}}))
        };
        let web = Some(ObjectId::new("apps", "Deployment", "shop", "web"));
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
        let hpa = autoscaler("autoscaling", "HorizontalPodAutoscaler", target.clone());
        assert_eq!(scaled_by(&hpa, "shop"), web);
        let keda = autoscaler("keda.sh", "ScaledObject", json!({"name": "web"}));
        assert_eq!(scaled_by(&keda, "shop"), web);
        let other = autoscaler("example.com", "ScaledObject", target);
        assert_eq!(scaled_by(&other, "shop"), None);
    }
}
