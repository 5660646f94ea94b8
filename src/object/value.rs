//! A Kubernetes object as JSON, with the few fields that every stage reads.

use serde_json::{Map, Value};

use super::{Gvk, ObjectId};

/// A Kubernetes object as JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct Object(pub Value);

impl Object {
    /// `apiVersion` and `kind`; empty strings where they are missing.
    pub fn gvk(&self) -> Gvk {
        Gvk::from_api_version(self.text("/apiVersion"), self.text("/kind"))
    }

    /// `kind`, or the empty string.
    pub fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// Identity without the version.
    pub fn id(&self) -> ObjectId {
        let gvk = self.gvk();
        ObjectId::new(&gvk.group, &gvk.kind, self.namespace(), self.name())
    }

    /// `metadata.name`, or the empty string.
    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// `metadata.namespace`, or the empty string.
    pub fn namespace(&self) -> &str {
        self.text("/metadata/namespace")
    }

    /// `metadata.uid`, or the empty string for an object that never was in a cluster.
    pub fn uid(&self) -> &str {
        self.text("/metadata/uid")
    }

    /// `metadata.resourceVersion`, or the empty string.
    pub fn resource_version(&self) -> &str {
        self.text("/metadata/resourceVersion")
    }

    /// True when `metadata.deletionTimestamp` is set: the object is on its way out.
    pub fn is_terminating(&self) -> bool {
        self.0
            .pointer("/metadata/deletionTimestamp")
            .is_some_and(|v| !v.is_null())
    }

    /// The value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.0
            .get("metadata")?
            .get("annotations")?
            .get(key)?
            .as_str()
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.0.get("metadata")?.get("labels")?.get(key)?.as_str()
    }

    /// Sets an annotation in `metadata`, never in a template.
    pub fn set_annotation(&mut self, key: &str, value: impl Into<String>) {
        self.metadata_map("annotations")
            .insert(key.into(), Value::String(value.into()));
    }

    /// Sets a label in `metadata`, never in a template or selector.
    pub fn set_label(&mut self, key: &str, value: impl Into<String>) {
        self.metadata_map("labels")
            .insert(key.into(), Value::String(value.into()));
    }

    /// Text at a JSON pointer, or the empty string.
    fn text(&self, pointer: &str) -> &str {
        self.0
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// `metadata.FIELD` as a map; made where it is missing or not a map.
    fn metadata_map(&mut self, field: &str) -> &mut Map<String, Value> {
        child_map(child_map(as_map(&mut self.0), "metadata"), field)
    }
}

/// The map inside `value`, which becomes an empty one if it was something else.
fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("made an object just above")
}

/// The map at `key`, made where it is missing or not a map.
fn child_map<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    as_map(map.entry(key).or_insert(Value::Null))
}
