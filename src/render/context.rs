//! What all layers of a build share while they transform: the schema that says how lists merge.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;

use super::build::Layer;
use super::error::{Error, Result};
use super::merge;
use crate::yaml::{Mapping, Node};

/// The shared state of one build.
#[derive(Debug)]
pub(super) struct Context<'a> {
    schema: RefCell<Option<Arc<merge::Schema>>>,
    builtin: Arc<merge::Schema>,
    lifetime: PhantomData<&'a ()>,
}

impl Context<'_> {
    /// With the built-in schema.
    pub fn new() -> Self {
        Self {
            schema: RefCell::new(None),
            builtin: Arc::new(merge::Schema::builtin()),
            lifetime: PhantomData,
        }
    }

    /// Takes the schema that a kustomization asks for with `openapi`. The first one counts for the
    /// whole build, and the outermost kustomization is opened first.
    ///
    /// # Errors
    /// On a schema that cannot be read, and on a version that is not built in.
    pub fn open_schema(&self, layer: &Layer<'_>) -> Result<()> {
        let wanted = &layer.file.openapi;
        let at = |e| layer.place(e, "openapi", None);
        let path = wanted.get("path");
        let bytes = path
            .map(|path| layer.loader.read(path))
            .transpose()
            .map_err(at)?;
        if self.schema.borrow().is_some() {
            return Ok(());
        }
        let version = wanted.get("version").filter(|version| !version.is_empty());
        let schema = match (bytes, version) {
            (Some(_), _) if wanted.contains_key("version") => {
                return Err(at(Error::failed(
                    "`openapi` has both a `version` and a `path`",
                )));
            }
            (Some(bytes), _) => {
                let name = layer
                    .loader
                    .resolve_name(path.expect("the bytes came from it"));
                merge::Schema::parse(&bytes)
                    .map(Arc::new)
                    .map_err(|e| super::kustomization::yaml_error(&e, &name))?
            }
            (None, Some(version)) if version == "v1.21.2" => self.builtin.clone(),
            (None, Some(version)) => {
                return Err(at(Error::failed(format!(
                    "the schema `{version}` is not built in"
                ))
                .hint("v1.21.2 is the only one, and the default")));
            }
            (None, None) => return Ok(()),
        };
        *self.schema.borrow_mut() = Some(schema);
        Ok(())
    }

    /// Merges a patch into an object; nothing is left where the patch deletes it.
    ///
    /// # Errors
    /// Where the patch has another type than the field it means, or an unknown directive.
    pub fn merge(&self, patch: &Mapping, object: Mapping) -> Result<Option<Mapping>> {
        let schema = self.schema.borrow();
        let schema = schema.as_ref().unwrap_or(&self.builtin);
        let patch = Node::Mapping(patch.clone());
        let merged = merge::merge(&patch, Node::Mapping(object), schema)
            .map_err(|e| Error::failed(e.to_string()))?;
        match merged {
            None => Ok(None),
            Some(Node::Mapping(mapping)) if mapping.is_empty() => Ok(None),
            Some(Node::Mapping(mapping)) => Ok(Some(mapping)),
            Some(_) => Err(Error::failed("the patch leaves no object")),
        }
    }
}
