//! CRDs that the revision itself declares: their kinds will be served once they are applied.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::object::Scope;
use crate::render::RenderedObject;

/// Group and kind to scope, of every CRD in the set.
pub(super) fn declared(rendered: &[RenderedObject]) -> BTreeMap<(String, String), Scope> {
    rendered
        .iter()
        .filter(|one| {
            one.value.get("kind").and_then(Value::as_str) == Some("CustomResourceDefinition")
        })
        .filter_map(|one| {
            let text = |pointer| one.value.pointer(pointer).and_then(Value::as_str);
            let scope = match text("/spec/scope")? {
                "Namespaced" => Scope::Namespaced,
                _ => Scope::Cluster,
            };
            Some((
                (
                    text("/spec/group")?.to_owned(),
                    text("/spec/names/kind")?.to_owned(),
                ),
                scope,
            ))
        })
        .collect()
}
