//! Reading the OpenAPI definition of a type: what of it counts for a merge.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::schema::{Shape, ShapeId};

/// Reads definitions, whose inner ones become shapes of their own.
pub(super) struct Definitions<'a> {
    types: &'a BTreeMap<String, ShapeId>,
    start: usize,
    /// The inner shapes. The number of the first is the one that reading started with.
    pub(super) shapes: Vec<Shape>,
}

impl<'a> Definitions<'a> {
    /// With the types that may be referred to, and the number of the first shape that is added.
    pub(super) fn new(types: &'a BTreeMap<String, ShapeId>, start: usize) -> Self {
        let shapes = Vec::new();
        Self {
            types,
            start,
            shapes,
        }
    }

    /// The shape of one definition.
    pub(super) fn shape_of(&mut self, definition: &Value, depth: usize) -> Shape {
        // YAML that is nested deeper is refused when it is read.
        if depth > crate::yaml::limits::DEPTH {
            return Shape::default();
        }
        let mut shape = Shape::default();
        let fields = definition.get("properties").and_then(Value::as_object);
        for (field, inner) in fields.into_iter().flatten() {
            if let Some(id) = self.follow(inner, depth) {
                shape.fields.insert(field.clone(), id);
            }
        }
        let others = definition.get("additionalProperties");
        if let Some(inner) = others.filter(|v| v.is_object()) {
            shape.others = self.follow(inner, depth);
        }
        let is_list = match definition.get("type") {
            Some(Value::Array(types)) => types.len() == 1 && types[0] == "array",
            Some(one) => one == "array",
            None => false,
        };
        if is_list && let Some(items) = definition.get("items").filter(|v| v.is_object()) {
            shape.elements = self.follow(items, depth);
        }
        shape.merged_by = merge_keys(definition);
        shape
    }

    fn follow(&mut self, inner: &Value, depth: usize) -> Option<ShapeId> {
        if let Some(reference) = inner.get("$ref") {
            return named(reference.as_str()?, self.types);
        }
        let shape = self.shape_of(inner, depth + 1);
        self.shapes.push(shape);
        Some(ShapeId(self.start + self.shapes.len() - 1))
    }
}

/// The type that a reference names. The built-in ones go by the last two parts of their names.
pub(super) fn named(reference: &str, types: &BTreeMap<String, ShapeId>) -> Option<ShapeId> {
    let name = reference.rsplit('/').next()?;
    if let Some(known) = types.get(name) {
        return Some(*known);
    }
    let parts = name.strip_prefix("io.k8s.")?;
    let (version, kind) = parts.rsplit_once('.')?;
    let version = version.rsplit('.').next()?;
    types.get(&format!("{version}.{kind}")).copied()
}

/// The keys of a list whose patch strategy is `merge`: those of the list type, which may be
/// several, before the one patch merge key.
fn merge_keys(definition: &Value) -> Option<Vec<String>> {
    let strategy = definition.get("x-kubernetes-patch-strategy")?.as_str()?;
    if !strategy.split(',').any(|word| word == "merge") {
        return None;
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(Value::Array(keys)) = definition.get("x-kubernetes-list-map-keys") {
        return Some(keys.iter().filter_map(text).collect());
    }
    let key = definition
        .get("x-kubernetes-patch-merge-key")
        .and_then(text);
    Some(key.into_iter().collect())
}

/// The definition in a comment. Any mapping that is not empty is one, also one of unknown words: it
/// takes the place of what is known of the field. One of the wrong form is a comment like others.
pub(super) fn of_comment(json: &str) -> Option<Value> {
    let definition: Value = serde_json::from_str(json).ok()?;
    let fields = definition.as_object().filter(|fields| !fields.is_empty())?;
    let fits = FORMS
        .iter()
        .all(|(key, fits)| fields.get(*key).is_none_or(|v| v.is_null() || fits(v)));
    fits.then_some(definition)
}

/// Whether a value has the form that it must have.
type Form = fn(&Value) -> bool;

/// The fields of a definition that count here, with the forms that they may have.
const FORMS: [(&str, Form); 6] = [
    ("$ref", Value::is_string),
    ("description", Value::is_string),
    ("type", |v| v.is_string() || is_texts(v)),
    ("items", |v| v.is_object() || v.is_array()),
    ("properties", |v| v.as_object().is_some_and(is_definitions)),
    ("additionalProperties", |v| v.is_object() || v.is_boolean()),
];

fn is_texts(value: &Value) -> bool {
    let texts = value.as_array();
    texts.is_some_and(|texts| texts.iter().all(Value::is_string))
}

fn is_definitions(map: &Map<String, Value>) -> bool {
    map.values().all(Value::is_object)
}
