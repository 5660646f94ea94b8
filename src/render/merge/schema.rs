//! What a strategic merge knows of a kind: which of its lists are merged, and by which keys.
//!
//! Lists of unknown kinds are replaced, as kustomize does; nothing is guessed from the elements.

use std::collections::BTreeMap;

use serde_json::Value;

/// Written by `scripts/merge-keys.sh`.
const BUILTIN: &str = include_str!("builtin.txt");

/// Merge keys of kinds. Immutable, and cheap enough to make once per render.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schema {
    shapes: Vec<Shape>,
    /// The shape of an object, by `apiVersion` and `kind`.
    kinds: BTreeMap<(String, String), ShapeId>,
}

/// The place of a shape in its [`Schema`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShapeId(usize);

/// What is known of one value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shape {
    fields: BTreeMap<String, ShapeId>,
    /// Of the values of all other fields.
    others: Option<ShapeId>,
    /// Of the elements of a list.
    elements: Option<ShapeId>,
    /// The merge keys of a list that is merged; empty for a list that is merged as a set. None for
    /// a list that is replaced.
    merged_by: Option<Vec<String>>,
}

impl Schema {
    /// The built-in kinds of Kubernetes 1.21, the only version that kustomize 5.8 carries.
    pub fn builtin() -> Self {
        let mut schema = Self::default();
        // A type is a shape of its own number; shapes of lists and maps come after all types.
        let types = BUILTIN
            .lines()
            .filter(|line| line.starts_with("type "))
            .count();
        schema.shapes.resize(types, Shape::default());
        let mut current = 0;
        for line in BUILTIN.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["type", number, _] => current = number.parse().unwrap_or(current),
                ["kind", api_version, kind, number] => {
                    if let Ok(number) = number.parse() {
                        let key = ((*api_version).to_owned(), (*kind).to_owned());
                        schema.kinds.insert(key, ShapeId(number));
                    }
                }
                ["", field, target] => schema.add_builtin(current, field, target, None),
                ["", field, target, keys] => schema.add_builtin(current, field, target, Some(keys)),
                _ => {}
            }
        }
        schema
    }

    fn add_builtin(&mut self, owner: usize, field: &str, target: &str, keys: Option<&str>) {
        let number = target.trim_start_matches(['[', ']', '{', '}']);
        let inner = number.parse().ok().map(ShapeId);
        let keys = keys.map(|keys| {
            let names = keys.trim_start_matches('=').split(',');
            names
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect()
        });
        let shape = match (target.get(..2), inner) {
            (Some("[]"), elements) => self.add(Shape {
                elements,
                merged_by: keys,
                ..Shape::default()
            }),
            (Some("{}"), others) => self.add(Shape {
                others,
                ..Shape::default()
            }),
            (_, Some(inner)) => inner,
            (_, None) => return,
        };
        self.shapes[owner].fields.insert(field.to_owned(), shape);
    }

    fn add(&mut self, shape: Shape) -> ShapeId {
        self.shapes.push(shape);
        ShapeId(self.shapes.len() - 1)
    }

    /// The schema that `openapi: {path: …}` names, which replaces the built-in one: an OpenAPI v2
    /// document, of which `definitions` counts.
    pub fn from_openapi(document: &Value) -> Self {
        let mut schema = Self::default();
        let no_definitions = serde_json::Map::new();
        let definitions = document
            .get("definitions")
            .and_then(Value::as_object)
            .unwrap_or(&no_definitions);
        let numbers: BTreeMap<&str, ShapeId> = definitions
            .keys()
            .enumerate()
            .map(|(at, name)| (name.as_str(), ShapeId(at)))
            .collect();
        schema.shapes.resize(definitions.len(), Shape::default());
        for (name, definition) in definitions {
            let shape = schema.shape_of(definition, &numbers, 0);
            schema.shapes[numbers[name.as_str()].0] = shape;
            let kinds = definition.get("x-kubernetes-group-version-kind");
            for kind in kinds.and_then(Value::as_array).into_iter().flatten() {
                let text = |key: &str| kind.get(key).and_then(Value::as_str).unwrap_or_default();
                let api_version = match text("group") {
                    "" => text("version").to_owned(),
                    group => format!("{group}/{}", text("version")),
                };
                let key = (api_version, text("kind").to_owned());
                schema.kinds.insert(key, numbers[name.as_str()]);
            }
        }
        schema
    }

    fn shape_of(
        &mut self,
        definition: &Value,
        numbers: &BTreeMap<&str, ShapeId>,
        depth: usize,
    ) -> Shape {
        // YAML that is nested deeper is refused when it is read.
        if depth > crate::yaml::limits::DEPTH {
            return Shape::default();
        }
        let follow = |schema: &mut Self, inner: &Value| -> Option<ShapeId> {
            if let Some(reference) = inner.get("$ref") {
                let name = reference.as_str()?.rsplit('/').next()?;
                return numbers.get(name).copied();
            }
            let shape = schema.shape_of(inner, numbers, depth + 1);
            Some(schema.add(shape))
        };
        let mut shape = Shape::default();
        for (field, inner) in definition
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            if let Some(id) = follow(self, inner) {
                shape.fields.insert(field.clone(), id);
            }
        }
        if let Some(inner) = definition
            .get("additionalProperties")
            .filter(|v| v.is_object())
        {
            shape.others = follow(self, inner);
        }
        let is_list = match definition.get("type") {
            Some(Value::Array(types)) => types.len() == 1 && types[0] == "array",
            Some(one) => one == "array",
            None => false,
        };
        if is_list && let Some(items) = definition.get("items").filter(|v| v.is_object()) {
            shape.elements = follow(self, items);
        }
        shape.merged_by = merge_keys(definition);
        shape
    }

    pub(super) fn of_kind(&self, api_version: &str, kind: &str) -> Option<ShapeId> {
        self.kinds
            .get(&(api_version.to_owned(), kind.to_owned()))
            .copied()
    }

    pub(super) fn field(&self, shape: Option<ShapeId>, name: &str) -> Option<ShapeId> {
        let shape = &self.shapes[shape?.0];
        shape.fields.get(name).copied().or(shape.others)
    }

    pub(super) fn elements(&self, shape: Option<ShapeId>) -> Option<ShapeId> {
        self.shapes[shape?.0].elements
    }

    pub(super) fn merged_by(&self, shape: Option<ShapeId>) -> Option<&[String]> {
        self.shapes[shape?.0].merged_by.as_deref()
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keys<'a>(
        schema: &'a Schema,
        api_version: &str,
        kind: &str,
        path: &str,
    ) -> Option<&'a [String]> {
        let mut shape = schema.of_kind(api_version, kind);
        for step in path.split('.') {
            shape = match step {
                "[]" => schema.elements(shape),
                field => schema.field(shape, field),
            };
        }
        schema.merged_by(shape)
    }

    #[test]
    fn builtin_keys() {
        let schema = Schema::builtin();
        for (api_version, kind, path, want) in [
            (
                "apps/v1",
                "Deployment",
                "spec.template.spec.containers",
                "name",
            ),
            (
                "apps/v1",
                "Deployment",
                "spec.template.spec.containers.[].ports",
                "containerPort,protocol",
            ),
            (
                "batch/v1",
                "CronJob",
                "spec.jobTemplate.spec.template.spec.volumes",
                "name",
            ),
            (
                "apps/v1",
                "StatefulSet",
                "spec.template.spec.initContainers.[].volumeMounts",
                "mountPath",
            ),
            ("v1", "Service", "spec.ports", "port,protocol"),
            ("v1", "Pod", "spec.hostAliases", "ip"),
            ("v1", "ConfigMap", "metadata.finalizers", ""),
            ("v1", "ConfigMap", "metadata.ownerReferences", "uid"),
        ] {
            let found = keys(&schema, api_version, kind, path).map(|k| k.join(","));
            assert_eq!(found.as_deref(), Some(want), "{kind} {path}");
        }
        for (kind, path) in [
            ("Deployment", "spec.template.spec.tolerations"),
            ("Nope", "spec.x"),
        ] {
            assert_eq!(keys(&schema, "apps/v1", kind, path), None);
        }
        assert_eq!(
            keys(
                &schema,
                "example.com/v1",
                "Deployment",
                "metadata.finalizers"
            ),
            None
        );
    }

    #[test]
    fn a_schema_of_its_own() {
        let schema = Schema::from_openapi(&json!({"definitions": {
            "a.Thing": {
                "x-kubernetes-group-version-kind": [{"group": "e.com", "version": "v1", "kind": "Thing"}],
                "properties": {"spec": {"properties": {"parts": {
                    "type": "array",
                    "items": {"$ref": "#/definitions/a.Part"},
                    "x-kubernetes-patch-strategy": "merge,retainKeys",
                    "x-kubernetes-patch-merge-key": "id",
                }}}},
            },
            "a.Part": {"additionalProperties": {"$ref": "#/definitions/a.Thing"}},
        }}));
        let want = ["id".to_owned()];
        assert_eq!(
            keys(&schema, "e.com/v1", "Thing", "spec.parts"),
            Some(&want[..])
        );
        assert_eq!(
            keys(&schema, "e.com/v1", "Thing", "spec.parts.[].x.spec.parts"),
            Some(&want[..])
        );
    }
}
