//! Files under `configurations:` and `crds:`, which add field specs.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::build::Layer;
use super::config::{FieldConfig, NameReference};
use super::decode::{Decoder, Strictness};
use super::error::{Error, Reason, Result};
use super::fieldspec::{FieldSpec, merge_one};
use super::kustomization::{field_spec, gvk, misfits, yaml_error};
use super::limits::{MAX_NESTED_LISTS, MAX_TYPE_FIELDS};
use crate::object::Gvk;
use crate::yaml::{Duplicates, Node, Resolver, read_first_document, resolve, resolve_view};

/// The built-in configuration with what a kustomization adds, and what its `crds` add.
///
/// # Errors
/// On a file that cannot be read, has unknown fields, or contradicts another one.
pub(super) fn read(layer: &Layer<'_>, builtin: &Arc<FieldConfig>) -> Result<Vec<Arc<FieldConfig>>> {
    let file = &layer.file;
    if file.configurations.is_empty() && file.crds.is_empty() {
        return Ok(vec![builtin.clone()]);
    }
    let mut configured = FieldConfig::default();
    for (i, path) in file.configurations.iter().enumerate() {
        let at = |e| layer.place(e, "configurations", Some(i));
        let config = configuration(layer, path).map_err(at)?;
        configured.merge(config).map_err(at)?;
    }
    let mut merged = (**builtin).clone();
    merged
        .merge(configured)
        .map_err(|e| layer.place(e, "configurations", None))?;
    let mut types = FieldConfig::default();
    for (i, path) in file.crds.iter().enumerate() {
        let at = |e| layer.place(e, "crds", Some(i));
        types
            .merge(types_of(layer, path).map_err(at)?)
            .map_err(at)?;
    }
    Ok(vec![Arc::new(merged), Arc::new(types)])
}

/// The document of a file, and the file's name in the repository.
fn document(layer: &Layer<'_>, path: &str) -> Result<(Node, String)> {
    let name = layer.loader.resolve_name(path);
    let bytes = layer.loader.read(path)?;
    let root = read_first_document(&bytes).map_err(|e| yaml_error(&e, &name))?;
    Ok((root.unwrap_or_else(Node::null), name))
}

fn configuration(layer: &Layer<'_>, path: &str) -> Result<FieldConfig> {
    let (root, name) = document(layer, path)?;
    let view = resolve_view(&root, Resolver::Kubectl, Duplicates::Error)
        .map_err(|e| yaml_error(&e, &name))?;
    let decoder = Decoder::new(Strictness::CONFIGURATION);
    let record = decoder.document(&view, "transformer configuration");
    let mut config = FieldConfig::default();
    for (key, specs) in config.lists() {
        *specs = record.records(key, "field spec", field_spec);
    }
    config.name_references = record.records("nameReference", "name reference", |r| NameReference {
        target: gvk(r),
        referrers: r.records("fieldSpecs", "field spec", field_spec),
    });
    record.finish();
    let mistakes = decoder.mistakes();
    if !mistakes.is_empty() {
        return Err(misfits(mistakes, &root, &name));
    }
    config.sort();
    Ok(config)
}

/// A dump of Go's OpenAPI definitions: type names to schemas with references of kustomize's own.
fn types_of(layer: &Layer<'_>, path: &str) -> Result<FieldConfig> {
    let (root, file) = document(layer, path)?;
    let value =
        resolve(&root, Resolver::Kubectl, Duplicates::Error).map_err(|e| yaml_error(&e, &file))?;
    let mut config = FieldConfig::default();
    let mut left = MAX_TYPE_FIELDS;
    let Some(types) = value.as_object() else {
        return Err(Error::failed(format!("`{path}` holds no type definitions")));
    };
    for (name, definition) in types {
        let properties = properties(definition);
        let is_kind = ["kind", "apiVersion", "metadata"]
            .iter()
            .all(|field| properties.is_some_and(|p| p.contains_key(*field)));
        if is_kind {
            let kind = name.rsplit('.').next().unwrap_or(name);
            let gvk = Gvk::new("", "", kind);
            let mut fields = Fields {
                types,
                gvk,
                config: &mut config,
                left: &mut left,
            };
            fields
                .add(name, &mut Vec::new())
                .map_err(|e| e.within(&file))?;
        }
    }
    Ok(config)
}

fn properties(definition: &Value) -> Option<&Map<String, Value>> {
    member(member(definition, "schema")?, "properties")?.as_object()
}

/// A member whatever its case: the dumps write `Schema`.
fn member<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    let map = value.as_object()?;
    map.iter()
        .find(|(k, _)| k.eq_ignore_ascii_case(key))
        .map(|(_, v)| v)
}

/// Adds the field specs of one kind.
struct Fields<'a> {
    types: &'a Map<String, Value>,
    gvk: Gvk,
    config: &'a mut FieldConfig,
    /// How many more fields may be looked at.
    left: &'a mut usize,
}

impl Fields<'_> {
    fn add(&mut self, name: &str, path: &mut Vec<String>) -> Result<()> {
        // a type that contains itself would go on for ever
        if path.len() > MAX_NESTED_LISTS {
            return Ok(());
        }
        let Some(properties) = self.types.get(name).and_then(properties) else {
            return Ok(());
        };
        for (field, property) in properties {
            // types that contain each other twice double with every level
            *self.left = self.left.checked_sub(1).ok_or_else(|| {
                Error::new(
                    Reason::LimitExceeded,
                    format!("the types have more than {MAX_TYPE_FIELDS} fields"),
                )
            })?;
            path.push(field.clone());
            let text = |key: &str| property.get(key).and_then(Value::as_str);
            if text("x-kubernetes-annotation").is_some() {
                let spec = self.spec(path);
                merge_one(&mut self.config.common_annotations, &spec)?;
            }
            if text("x-kubernetes-label-selector").is_some() {
                let spec = self.spec(path);
                merge_one(&mut self.config.common_labels, &spec)?;
            }
            if text("x-kubernetes-identity").is_some() {
                let spec = self.spec(path);
                merge_one(&mut self.config.name_prefix, &spec)?;
            }
            let version = text("x-kubernetes-object-ref-api-version");
            let kind = text("x-kubernetes-object-ref-kind");
            if let (Some(version), Some(kind)) = (version, kind) {
                let key = text("x-kubernetes-object-ref-name-key").unwrap_or("name");
                path.push(key.to_owned());
                let target = Gvk::new("", version, kind);
                let referrers = vec![self.spec(path)];
                path.pop();
                self.config
                    .merge_reference(&NameReference { target, referrers })?;
            }
            if let Some(other) = text("$ref") {
                self.add(other, path)?;
            }
            path.pop();
        }
        Ok(())
    }

    fn spec(&self, path: &[String]) -> FieldSpec {
        FieldSpec::new(self.gvk.clone(), path.join("/"), false)
    }
}
