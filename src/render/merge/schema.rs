//! What a strategic merge knows of a kind: which of its lists are merged, and by which keys.
//!
//! Lists of unknown kinds are replaced, as kustomize does; nothing is guessed from the elements.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::definition::{self, Definitions};

/// Written by `scripts/merge-keys.sh`.
const BUILTIN: &str = include_str!("builtin.txt");

/// Merge keys of kinds. Immutable, and cheap enough to make once per render.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schema {
    known: Arc<Known>,
    /// Shapes of the comments on the way to what is being merged.
    comments: Option<Arc<Comment>>,
}

/// The shapes of one comment, and of those around it. Nothing is copied on the way down: a file may
/// have many comments, and long ones.
#[derive(Debug, PartialEq, Eq)]
struct Comment {
    around: Option<Arc<Comment>>,
    /// The number of the first shape: they follow those that are known, and those around.
    start: usize,
    shapes: Vec<Shape>,
}

/// The types of one document.
#[derive(Debug, Default, PartialEq, Eq)]
struct Known {
    shapes: Vec<Shape>,
    /// The shape of an object, by `apiVersion` and `kind`.
    kinds: BTreeMap<(String, String), ShapeId>,
    /// The shapes of types, by their names in the document.
    types: BTreeMap<String, ShapeId>,
}

/// The place of a shape in its [`Schema`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShapeId(pub(super) usize);

/// What is known of one value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) fields: BTreeMap<String, ShapeId>,
    /// Of the values of all other fields.
    pub(super) others: Option<ShapeId>,
    /// Of the elements of a list.
    pub(super) elements: Option<ShapeId>,
    /// The merge keys of a list that is merged; empty for a list that is merged as a set. None for
    /// a list that is replaced.
    pub(super) merged_by: Option<Vec<String>>,
}

impl Known {
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
}

impl From<Known> for Schema {
    fn from(known: Known) -> Self {
        Self {
            known: Arc::new(known),
            comments: None,
        }
    }
}

impl Schema {
    /// The built-in kinds of Kubernetes 1.21, the only version that kustomize 5.8 carries.
    pub fn builtin() -> Self {
        let mut known = Known::default();
        // A type is a shape of its own number; shapes of lists and maps come after all types.
        let types = BUILTIN
            .lines()
            .filter(|line| line.starts_with("type "))
            .count();
        known.shapes.resize(types, Shape::default());
        let mut current = 0;
        for line in BUILTIN.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["type", number, name] => {
                    current = number.parse().unwrap_or(current);
                    known.types.insert((*name).to_owned(), ShapeId(current));
                }
                ["kind", api_version, kind, number] => {
                    if let Ok(number) = number.parse() {
                        let key = ((*api_version).to_owned(), (*kind).to_owned());
                        known.kinds.insert(key, ShapeId(number));
                    }
                }
                ["", field, target] => known.add_builtin(current, field, target, None),
                ["", field, target, keys] => known.add_builtin(current, field, target, Some(keys)),
                _ => {}
            }
        }
        known.into()
    }

    /// The schema that `openapi: {path: …}` names, which replaces the built-in one: an OpenAPI v2
    /// document, of which `definitions` counts.
    pub fn from_openapi(document: &Value) -> Self {
        let mut known = Known::default();
        let no_definitions = serde_json::Map::new();
        let definitions = document
            .get("definitions")
            .and_then(Value::as_object)
            .unwrap_or(&no_definitions);
        let names = definitions.keys().enumerate();
        known.types = names
            .map(|(at, name)| (name.clone(), ShapeId(at)))
            .collect();
        known.shapes.resize(definitions.len(), Shape::default());
        for (name, definition) in definitions {
            let mut reader = Definitions::new(&known.types, known.shapes.len());
            let shape = reader.shape_of(definition, 0);
            known.shapes.append(&mut reader.shapes);
            let number = known.types[name];
            known.shapes[number.0] = shape;
            let kinds = definition.get("x-kubernetes-group-version-kind");
            for kind in kinds.and_then(Value::as_array).into_iter().flatten() {
                let text = |key: &str| kind.get(key).and_then(Value::as_str).unwrap_or_default();
                let api_version = match text("group") {
                    "" => text("version").to_owned(),
                    group => format!("{group}/{}", text("version")),
                };
                let key = (api_version, text("kind").to_owned());
                known.kinds.insert(key, number);
            }
        }
        known.into()
    }

    /// The shape that a comment beside a field gives its value, with the schema that knows it. None
    /// for a comment that says nothing.
    pub(super) fn with_comment(&self, json: &str) -> Option<(Self, ShapeId)> {
        let comment = definition::of_comment(json)?;
        let mut schema = self.clone();
        let reference = comment.get("$ref").and_then(Value::as_str);
        if let Some(known) = reference.and_then(|name| definition::named(name, &self.known.types)) {
            return Some((schema, known));
        }
        let around = schema.comments.take();
        let start = around
            .as_ref()
            .map_or(self.known.shapes.len(), |c| c.start + c.shapes.len());
        let mut reader = Definitions::new(&self.known.types, start);
        let shape = reader.shape_of(&comment, 0);
        let mut shapes = reader.shapes;
        shapes.push(shape);
        let last = ShapeId(start + shapes.len() - 1);
        schema.comments = Some(Arc::new(Comment {
            around,
            start,
            shapes,
        }));
        Some((schema, last))
    }

    fn shape(&self, id: ShapeId) -> Option<&Shape> {
        if let Some(known) = self.known.shapes.get(id.0) {
            return Some(known);
        }
        let mut comment = self.comments.as_deref();
        while let Some(one) = comment {
            if let Some(at) = id.0.checked_sub(one.start) {
                return one.shapes.get(at);
            }
            comment = one.around.as_deref();
        }
        None
    }

    pub(super) fn of_kind(&self, api_version: &str, kind: &str) -> Option<ShapeId> {
        self.known
            .kinds
            .get(&(api_version.to_owned(), kind.to_owned()))
            .copied()
    }

    pub(super) fn field(&self, shape: Option<ShapeId>, name: &str) -> Option<ShapeId> {
        let shape = self.shape(shape?)?;
        shape.fields.get(name).copied().or(shape.others)
    }

    pub(super) fn elements(&self, shape: Option<ShapeId>) -> Option<ShapeId> {
        self.shape(shape?)?.elements
    }

    pub(super) fn merged_by(&self, shape: Option<ShapeId>) -> Option<&[String]> {
        self.shape(shape?)?.merged_by.as_deref()
    }
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
