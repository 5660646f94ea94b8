//! `patches` and `patchesStrategicMerge`.
//!
//! A patch under `patches` is strategic merge or JSON 6902, and its content says which.

use super::Transformer;
use super::context::Context;
use super::error::{Error, Result};
use super::fields::{remove_metadata, set_metadata_text, set_untyped};
use super::json_patch::Operation;
use super::kustomization::PatchEntry;
use super::load::Loader;
use super::resource::{Resource, metadata_map, set_metadata_map};
use super::resources::Resources;
use super::select::{Matcher, Selector};
use super::{json6902, manifest};
use crate::yaml::Node;

/// What patches objects: one entry of `patches`.
#[derive(Debug)]
pub(super) struct Patch {
    content: Content,
    target: Option<Target>,
    changes: Allowed,
}

/// What a patch may change besides fields.
#[derive(Debug, Clone, Copy, Default)]
struct Allowed {
    name: bool,
    kind: bool,
}

#[derive(Debug)]
enum Content {
    Strategic(Vec<Resource>),
    Json(Vec<Operation>),
}

/// A selector with the form in which messages show it.
#[derive(Debug)]
pub(super) struct Target {
    pub matcher: Matcher,
    pub printed: String,
}

impl Target {
    /// # Errors
    /// On a selector that is malformed.
    pub fn new(selector: &Selector) -> Result<Self> {
        Ok(Self {
            matcher: Matcher::new(selector)?,
            printed: selector.to_string(),
        })
    }

    /// The objects that are meant, in order.
    ///
    /// # Errors
    /// Where the render has taken too long by now.
    pub fn select(&self, resources: &mut Resources, context: &Context) -> Result<Vec<usize>> {
        let places = match self.matcher.only_name() {
            Some(name) => resources.with_any_name(name),
            None => (0..resources.len()).collect(),
        };
        let ones = || places.iter().map(|i| resources.get(*i));
        context
            .meter
            .look(ones().map(|one| 1 + one.trail.past.len()).sum())?;
        let steps = ones().map(|one| 2 * self.matcher.steps(one.name(), one.namespace()));
        context.meter.work(steps.sum())?;
        let found: Vec<usize> = places
            .into_iter()
            .filter(|i| self.matches(resources.get(*i)))
            .collect();
        if found.is_empty() {
            context.warn(
                format!("the patch target `{}` matches no object", self.printed),
                "nothing was patched: check the selector",
            );
        }
        Ok(found)
    }

    /// Name and namespace may be the first or the present ones.
    fn matches(&self, resource: &Resource) -> bool {
        if resource.deleted {
            return false;
        }
        let matcher = &self.matcher;
        matcher.matches_kind(resource.kind_ref())
            && (matcher.matches_name(resource.original_name())
                || matcher.matches_name(resource.name()))
            && (matcher.matches_namespace(resource.original_namespace())
                || matcher.matches_namespace(resource.effective_namespace()))
            && matches_maps(matcher, resource)
    }
}

/// Whether the label and annotation selectors match.
pub(super) fn matches_maps(matcher: &Matcher, resource: &Resource) -> bool {
    matcher
        .labels()
        .matches(|key| resource.metadata_entry("labels", key))
        && matcher
            .annotations()
            .matches(|key| resource.metadata_entry("annotations", key))
}

impl Patch {
    /// Reads the patch.
    ///
    /// # Errors
    /// On a patch that is missing, is neither of both forms, or is both.
    pub fn new(entry: &PatchEntry, loader: &Loader<'_>) -> Result<Self> {
        let inline = entry.patch.trim();
        let (text, path) = match (inline.is_empty(), entry.path.is_empty()) {
            (true, true) => return Err(Error::failed("the patch has neither `path` nor `patch`")),
            (false, false) => return Err(Error::failed("the patch has both `path` and `patch`")),
            (false, true) => (inline.as_bytes().to_vec(), None),
            (true, false) => (
                loader.read(&entry.path)?.to_vec(),
                Some(loader.resolve_name(&entry.path)),
            ),
        };
        let content = Content::read(&text, path.as_deref())?;
        content.count(loader)?;
        let target = entry.target.as_ref().map(Target::new).transpose()?;
        match &content {
            Content::Strategic(patches) if patches.len() > 1 && target.is_some() => {
                return Err(
                    Error::failed("a patch with a `target` has more than one document")
                        .hint("make one entry of each, or leave the target out"),
                );
            }
            Content::Json(operations) if !operations.is_empty() && target.is_none() => {
                return Err(Error::failed("a JSON patch has no `target`")
                    .hint("add `target: {kind: …, name: …}`"));
            }
            _ => {}
        }
        let changes = Allowed {
            name: entry.allow_name_change,
            kind: entry.allow_kind_change,
        };
        Ok(Self {
            content,
            target,
            changes,
        })
    }
}

impl Content {
    /// Counts it as a file, for that is what most patches are.
    fn count(&self, loader: &Loader<'_>) -> Result<()> {
        match self {
            Self::Strategic(patches) => loader.count_all(patches),
            Self::Json(operations) => operations
                .iter()
                .try_for_each(|operation| loader.count(operation.size())),
        }
    }

    fn read(text: &[u8], path: Option<&str>) -> Result<Self> {
        let shown = path.unwrap_or_default();
        let strategic = manifest::read(text, shown);
        let json = json6902::read(text, shown);
        match (strategic, json) {
            (Ok(patches), Ok(operations)) if !patches.is_empty() && !operations.is_empty() => Err(
                Error::failed("the patch is both a strategic merge and a JSON patch"),
            ),
            (Ok(patches), _) => Ok(Self::Strategic(patches)),
            (Err(_), Ok(operations)) => Ok(Self::Json(operations)),
            (Err(strategic), Err(json)) => {
                let first = text.iter().find(|b| !b.is_ascii_whitespace());
                let is_list = first.is_some_and(|b| matches!(b, b'-' | b'['));
                Err(if is_list { json } else { strategic })
            }
        }
    }
}

impl Transformer for Patch {
    fn apply(&self, resources: &mut Resources, context: &Context) -> Result<()> {
        match (&self.content, &self.target) {
            (Content::Json(operations), Some(target)) => {
                for index in target.select(resources, context)? {
                    resources.edit(index, |resource| {
                        resource.remember_id();
                        json6902::patch(resource, operations, context)
                    })?;
                }
                Ok(())
            }
            (Content::Json(_), None) => Ok(()),
            (Content::Strategic(patches), Some(target)) => {
                let Some(patch) = patches.first() else {
                    return Ok(());
                };
                let selected = target.select(resources, context)?;
                apply_to(resources, &selected, patch, self.changes, context)
            }
            (Content::Strategic(patches), None) => {
                for patch in patches {
                    let index = find(resources, patch)?;
                    resources.edit(index, |r| merge(r, patch, self.changes, context))?;
                }
                resources.drop_deleted();
                Ok(())
            }
        }
    }

    fn counts_its_looks(&self) -> bool {
        true
    }
}

/// The patches of `patchesStrategicMerge`.
#[derive(Debug)]
pub(super) struct StrategicMerge {
    patches: Vec<Resource>,
}

impl StrategicMerge {
    /// Reads the entries: each is a patch itself or the path of one.
    ///
    /// # Errors
    /// On an entry that is neither, and where all of them are empty.
    pub fn new(entries: &[String], inline: &str, loader: &Loader<'_>) -> Result<Self> {
        let mut patches = Vec::new();
        for entry in entries {
            match manifest::read(entry.as_bytes(), "") {
                Ok(read) => patches.extend(read),
                Err(as_text) => {
                    if entry.contains('\n') {
                        return Err(as_text);
                    }
                    let bytes = loader.read(entry)?;
                    patches.extend(manifest::read(&bytes, &loader.resolve_name(entry))?);
                }
            }
        }
        if !inline.is_empty() {
            patches.extend(manifest::read(inline.as_bytes(), "")?);
        }
        if patches.is_empty() {
            return Err(Error::failed("there is nothing in the patches"));
        }
        loader.count_all(&patches)?;
        Ok(Self { patches })
    }
}

impl Transformer for StrategicMerge {
    fn apply(&self, resources: &mut Resources, context: &Context) -> Result<()> {
        for patch in &self.patches {
            let index = find(resources, patch)?;
            apply_to(resources, &[index], patch, Allowed::default(), context)?;
        }
        resources.drop_deleted();
        Ok(())
    }

    fn counts_its_looks(&self) -> bool {
        true
    }
}

/// The one object that a patch without target means.
fn find(resources: &mut Resources, patch: &Resource) -> Result<usize> {
    let id = patch.id();
    let found = resources.with_any_id(&id);
    let error = match found.as_slice() {
        [index] => return Ok(*index),
        [] => {
            let named = resources.with_any_name(&id.name);
            let hint = match named.first().map(|i| resources.get(*i)) {
                Some(near) => format!(
                    "there is a {} of this name in `{}`: apiVersion, kind and namespace must agree",
                    near.gvk(),
                    near.source.path
                ),
                None => {
                    "check the name; it may be the original one or the one with prefixes".into()
                }
            };
            Error::failed(format!("patch target {id} matches no object")).hint(hint)
        }
        _ => Error::failed(format!("patch target {id} matches several objects")),
    };
    Err(error
        .on_line(patch.source.line.unwrap_or(0))
        .within(&patch.source.path))
}

/// Applies one patch to selected objects. Its labels and annotations become strings on the way, so
/// that null does not delete them.
fn apply_to(
    resources: &mut Resources,
    selected: &[usize],
    patch: &Resource,
    changes: Allowed,
    context: &Context,
) -> Result<()> {
    let mut patch = patch.clone();
    for field in ["labels", "annotations"] {
        let entries = metadata_map(&patch.object, field);
        set_metadata_map(&mut patch.object, field, entries);
    }
    for index in selected {
        let api_version = resources.get(*index).gvk().api_version();
        if api_version.is_empty() {
            patch.object.remove("apiVersion");
        } else {
            set_untyped(&mut patch.object, "apiVersion", &api_version);
        }
        resources.edit(*index, |r| {
            merge(r, &patch, changes, context)?;
            // kustomize sets the object's in the patch, and so even none becomes one
            if api_version.is_empty() && !r.deleted {
                r.object.set("apiVersion", Node::plain(""));
            }
            Ok(())
        })?;
    }
    if changes.name || changes.kind {
        resources.drop_deleted();
        resources.check_unique()?;
    }
    Ok(())
}

/// Merges a patch into one object. Kind, name and namespace stay, unless their change is allowed.
fn merge(
    resource: &mut Resource,
    patch: &Resource,
    changes: Allowed,
    context: &Context,
) -> Result<()> {
    let id = resource.id();
    if changes.name || changes.kind {
        resource.remember_id();
    }
    let object = std::mem::take(&mut resource.object);
    let merged = context.merge(&patch.object, object).map_err(|e| {
        e.about(&id)
            .on_line(patch.source.line.unwrap_or(0))
            .within(&patch.source.path)
    })?;
    let Some(merged) = merged else {
        resource.deleted = true;
        return Ok(());
    };
    resource.object = merged;
    if !changes.kind && resource.kind() != id.gvk.kind {
        set_untyped(&mut resource.object, "kind", &id.gvk.kind);
    }
    if !changes.name && resource.name() != id.name {
        resource.set_name(&id.name);
    }
    if id.namespace.is_empty() {
        remove_metadata(&mut resource.object, "namespace");
    } else if resource.namespace() != id.namespace {
        set_metadata_text(&mut resource.object, "namespace", &id.namespace);
    }
    Ok(())
}
