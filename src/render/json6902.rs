//! JSON 6902 patches: reading them, and applying them to an object that goes through JSON for it.

use serde_json::Value;

use super::Transformer;
use super::context::Context;
use super::error::{Error, Reason, Result};
use super::fields::from_json;
use super::go_json::as_floats;
use super::json_patch::{Operation, apply, decode};
use super::kustomization::{PatchEntry, yaml_error};
use super::load::Loader;
use super::meter::Size;
use super::patches::Target;
use super::resource::{Resource, metadata_map, set_metadata_map};
use super::resources::Resources;
use crate::yaml::limits::DEPTH;
use crate::yaml::{Duplicates, Mapping, Node, Resolver, read_first_document, resolve};

/// Reads a patch: JSON where it starts with a bracket, else the first YAML document.
///
/// # Errors
/// On text that is no list of operations.
pub(super) fn read(text: &[u8], path: &str) -> Result<Vec<Operation>> {
    let mut value = if text.first() == Some(&b'[') {
        serde_json::from_slice(text).map_err(|e| {
            let line = u32::try_from(e.line()).unwrap_or(0);
            Error::new(
                Reason::YamlInvalid,
                "the patch starts like JSON and is no JSON",
            )
            .on_line(line)
            .within(path)
        })?
    } else {
        match read_first_document(text).map_err(|e| yaml_error(&e, path))? {
            None => Value::Null,
            Some(node) => resolve(&node, Resolver::Kubectl, Duplicates::LastWins)
                .map_err(|e| yaml_error(&e, path))?,
        }
    };
    as_floats(&mut value);
    decode(&value).map_err(|message| Error::failed(message).within(path))
}

/// Applies a patch to one object. Its numbers become 64-bit floats on the way, as in kustomize.
///
/// # Errors
/// On an operation that does not apply.
pub(super) fn patch(
    resource: &mut Resource,
    operations: &[Operation],
    context: &Context,
) -> Result<()> {
    let id = resource.id();
    let mut object = std::mem::take(&mut resource.object);
    context
        .meter
        .work(operations.len() + Size::of_object(&object).nodes)?;
    if resource.trail.annotated {
        ensure_annotations(&mut object);
    }
    let line = object.line;
    let mut value = resolve(
        &Node::Mapping(object),
        Resolver::Kustomize,
        Duplicates::Error,
    )
    .map_err(|e| Error::new(Reason::YamlInvalid, e.message).about(&id))?;
    as_floats(&mut value);
    for operation in operations {
        let added = operation.adds(&mut value);
        context.meter.grow(added.bytes())?;
        if added.depth > DEPTH {
            return Err(Error::new(
                Reason::LimitExceeded,
                format!("the JSON patch nests deeper than the limit of {DEPTH} levels"),
            )
            .about(&id));
        }
        apply(&mut value, operation).map_err(|message| {
            Error::failed(format!("the JSON patch does not fit: {message}")).about(&id)
        })?;
    }
    let Node::Mapping(mut object) = from_json(&value) else {
        return Err(Error::failed("the JSON patch leaves no object").about(&id));
    };
    let annotations = metadata_map(&object, "annotations");
    set_metadata_map(&mut object, "annotations", annotations);
    object.line = line;
    resource.object = object;
    resource.check_named().map_err(|e| e.about(&id))
}

/// kustomize's bookkeeping is in the annotations by now, so that a patch finds them, and a field spec
/// that makes none.
pub(super) fn ensure_annotations(object: &mut Mapping) {
    let metadata = object.get_or_insert_with("metadata", || Mapping::new().into());
    if let Some(metadata) = metadata.as_mapping_mut() {
        let annotations = metadata.get_or_insert_with("annotations", || Mapping::new().into());
        if annotations.is_null() {
            *annotations = Mapping::new().into();
        }
    }
}

/// One entry of `patchesJson6902`.
#[derive(Debug)]
pub(super) struct JsonPatch {
    target: Target,
    operations: Vec<Operation>,
}

impl JsonPatch {
    /// Reads the patch.
    ///
    /// # Errors
    /// On a patch without target name or operations.
    pub fn new(entry: &PatchEntry, loader: &Loader<'_>) -> Result<Self> {
        let target = entry
            .target
            .as_ref()
            .filter(|target| !target.name.is_empty());
        let Some(target) = target else {
            return Err(Error::failed("the patch has no `target.name`"));
        };
        let (text, path) = match (entry.patch.is_empty(), entry.path.is_empty()) {
            (true, true) => return Err(Error::failed("the patch has neither `path` nor `patch`")),
            (false, false) => return Err(Error::failed("the patch has both `path` and `patch`")),
            (false, true) => (entry.patch.as_bytes().to_vec(), String::new()),
            (true, false) => (
                loader.read(&entry.path)?.to_vec(),
                loader.resolve_name(&entry.path),
            ),
        };
        let operations = read(&text, &path)?;
        if operations.is_empty() {
            return Err(Error::failed("there is nothing in the patch").within(&path));
        }
        for operation in &operations {
            loader.count(operation.size())?;
        }
        Ok(Self {
            target: Target::new(target)?,
            operations,
        })
    }
}

impl Transformer for JsonPatch {
    fn apply(&self, resources: &mut Resources, context: &Context) -> Result<()> {
        for index in self.target.select(resources, context)? {
            resources.edit(index, |resource| patch(resource, &self.operations, context))?;
        }
        Ok(())
    }

    fn counts_its_looks(&self) -> bool {
        true
    }
}
