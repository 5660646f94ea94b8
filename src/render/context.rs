//! What all layers of a build share while they transform: the schema that says how lists merge.

use std::cell::{OnceCell, RefCell};

use super::build::Layer;
use super::error::{Error, Reason, Result};
use super::kustomization::yaml_error;
use super::limits::MAX_MERGED_ELEMENTS;
use super::merge::{self, Schema};
use super::meter::{Meter, Size};
use super::sharing::Shares;
use crate::error::Diagnostic;
use crate::yaml::{Duplicates, Mapping, Node, Resolver, read_first_document, resolve};

/// The shared state of one build.
#[derive(Debug, Default)]
pub(super) struct Context {
    /// The schema of the first kustomization that asks for one.
    chosen: RefCell<Option<Choice>>,
    /// Made when a patch needs it.
    builtin: OnceCell<Schema>,
    /// What the running transformer has to say; its place is added by who runs it.
    warnings: RefCell<Vec<Diagnostic>>,
    /// What the transformers have cost.
    pub meter: Meter,
    /// The numbers of values that several fields share.
    pub shares: Shares,
}

/// What `openapi` asks for.
#[derive(Debug)]
enum Choice {
    Builtin,
    Own(Schema),
}

impl Context {
    /// Takes the schema that a kustomization asks for with `openapi`. The first one counts for the
    /// whole build, and the outermost kustomization is opened first.
    ///
    /// # Errors
    /// On a schema that cannot be read, and on a version that is not built in.
    pub fn open_schema(&self, layer: &Layer<'_>) -> Result<()> {
        let at = |e| layer.place(e, "openapi", None);
        let wanted = &layer.file.openapi;
        let path = wanted.get("path");
        let bytes = path
            .map(|path| layer.loader.read(path))
            .transpose()
            .map_err(at)?;
        if self.chosen.borrow().is_some() {
            return Ok(());
        }
        let choice = match (path.zip(bytes), wanted.get("version").map(String::as_str)) {
            (Some(_), Some(_)) => {
                return Err(at(Error::failed(
                    "`openapi` has both a `version` and a `path`",
                )));
            }
            (Some((path, bytes)), None) => {
                Choice::Own(read(&bytes, &layer.loader.resolve_name(path))?)
            }
            (None, Some("v1.21.2")) => Choice::Builtin,
            (None, Some(version)) if !version.is_empty() => {
                return Err(at(Error::failed(format!(
                    "the schema `{version}` is not built in"
                ))
                .hint("v1.21.2 is the only one, and the default")));
            }
            (None, _) => return Ok(()),
        };
        *self.chosen.borrow_mut() = Some(choice);
        Ok(())
    }

    /// Says something that is no error.
    pub fn warn(&self, message: impl Into<String>, hint: &str) {
        self.warnings
            .borrow_mut()
            .push(Diagnostic::new("", message).hint(hint));
    }

    /// What was said since the last time.
    pub fn take_warnings(&self) -> Vec<Diagnostic> {
        self.warnings.take()
    }

    /// Merges a patch into an object; nothing is left where the patch deletes it.
    ///
    /// # Errors
    /// Where the patch has another type than the field it means, or an unknown directive.
    pub fn merge(&self, patch: &Mapping, object: Mapping) -> Result<Option<Mapping>> {
        let chosen = self.chosen.borrow();
        let schema = match &*chosen {
            Some(Choice::Own(schema)) => schema,
            Some(Choice::Builtin) | None => self.builtin.get_or_init(Schema::builtin),
        };
        let line = object.line;
        let added = Size::of_object(patch);
        self.meter.grow(added.bytes())?;
        self.meter
            .work(added.nodes + Size::of_object(&object).nodes)?;
        let patch = Node::Mapping(patch.clone());
        let merged = merge::merge(&patch, Node::Mapping(object), schema).map_err(|e| {
            let error = match e.problem {
                merge::Problem::TooMany { .. } => Error::new(
                    Reason::LimitExceeded,
                    format!("{e}: the limit is {MAX_MERGED_ELEMENTS}"),
                ),
                _ => Error::failed(e.to_string()),
            };
            error.on_line(e.line.unwrap_or(0))
        })?;
        match merged {
            Some(Node::Mapping(mapping)) if !mapping.is_empty() => {
                Ok(Some(Mapping { line, ..mapping }))
            }
            Some(Node::Mapping(_)) | None => Ok(None),
            Some(_) => Err(Error::failed("the patch leaves no object")),
        }
    }
}

/// A schema file: JSON or YAML.
fn read(bytes: &[u8], path: &str) -> Result<Schema> {
    let root = read_first_document(bytes).map_err(|e| yaml_error(&e, path))?;
    let root = root.unwrap_or_else(Node::null);
    let document = resolve(&root, Resolver::Kubectl, Duplicates::LastWins)
        .map_err(|e| yaml_error(&e, path))?;
    if !document.is_object() {
        return Err(Error::failed("the schema is no mapping").within(path));
    }
    Ok(Schema::from_openapi(&document))
}
