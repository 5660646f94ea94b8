//! Which line of which file set each field of an object: for questions about a render, never for the
//! render itself. Nothing of it is done, and nothing kept, unless it is asked for.
//!
//! After each step of a build the fields are compared with what they were before: what changed was
//! set by that step, the last one wins. A step knows the line of the kustomization, or the patch, that
//! asks for it. A line of another file counts only where the value stands in it; otherwise the file
//! is told without a line.

mod places;

use std::collections::BTreeMap;

pub(super) use places::{of_build, of_file, of_generator, of_step};

use super::error::Error;
use super::resource::Resource;
use super::resources::Resources;
use super::{Options, RenderedObject, Source, build, directory, has_kustomization, value_of};
use crate::tree::Tree;
use crate::yaml::{Mapping, Node, read_documents};

/// The way to a field: names of fields, and for elements of lists what [`element`] says.
pub type FieldPath = Vec<String>;

/// An object, and where each of its fields was set.
pub type Traced = (RenderedObject, BTreeMap<FieldPath, Source>);

/// An element of a list as a step of a [`FieldPath`]: by its `name` where it has one.
pub fn element(name: Option<&str>, index: usize) -> String {
    name.map_or_else(|| format!("[{index}]"), |name| format!("[name={name}]"))
}

/// Renders the directory `dir` of `tree` as [`super::render`] does, and says of every field of the
/// objects of one kind where it was set.
///
/// # Errors
/// As [`super::render`].
pub fn trace(tree: &Tree, dir: &str, options: &Options, kind: &str) -> Result<Vec<Traced>, Error> {
    if !has_kustomization(tree, dir)? {
        let rendered = directory::render_directory(tree, dir, &options.directory)?;
        let objects = rendered.objects.into_iter();
        let objects = objects.filter(|object| object.value["kind"] == kind);
        return Ok(objects.map(|object| of_manifest(tree, object)).collect());
    }
    let built = build::build_tracing(tree, dir, options, kind)?;
    let by = of_build(&built.file);
    let mut traced = Vec::new();
    for mut resource in built.resources {
        built.finish.apply(&mut resource)?;
        catch_up_one(&mut resource, kind);
        observe_one(&mut resource, &by);
        let fields = resource.trail.fields.take();
        let Some(fields) = fields.filter(|_| resource.kind() == kind) else {
            continue;
        };
        let fields = fields.0.into_iter().map(|(path, set)| (path, set.by));
        traced.push((value_of(*resource)?, fields.collect()));
    }
    Ok(traced)
}

/// An object of a plain directory: all of it is in one document.
fn of_manifest(tree: &Tree, object: RenderedObject) -> Traced {
    let source = &object.source;
    let documents = tree.read(&source.path).ok();
    let documents = documents.and_then(|bytes| read_documents(&bytes).ok());
    let mut fields = BTreeMap::new();
    for document in documents.unwrap_or_default() {
        let items = document.get("items").map(Node::items);
        for node in [&document].into_iter().chain(items.into_iter().flatten()) {
            if let Node::Mapping(mapping) = node
                && Some(mapping.line) == source.line
            {
                let found = leaves(mapping).into_iter().map(|leaf| {
                    let line = (leaf.line > 0).then_some(leaf.line);
                    let path = source.path.clone();
                    (leaf.path, Source { path, line })
                });
                fields.extend(found);
            }
        }
    }
    (object, fields)
}

/// Who set each field of an object that is being built.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Fields(BTreeMap<FieldPath, Set>);

/// A field as it was set last.
#[derive(Debug, Clone, PartialEq)]
struct Set {
    text: String,
    by: Source,
}

/// A field with a value and nothing below it.
pub(super) struct Leaf {
    path: FieldPath,
    text: String,
    /// The line in the file that it was read from; 0 where it was not read.
    line: u32,
}

impl Leaf {
    /// The last field name on the way.
    fn key(&self) -> &str {
        let names = self.path.iter().rev().map(String::as_str);
        let mut names = names.filter(|step| !step.starts_with('['));
        names.next().unwrap_or_default()
    }
}

fn leaves(object: &Mapping) -> Vec<Leaf> {
    let mut out = Vec::new();
    for (key, value) in &object.entries {
        walk(
            value,
            key.line,
            &mut vec![key.text.as_str().to_owned()],
            &mut out,
        );
    }
    out
}

fn walk(node: &Node, line: u32, at: &mut FieldPath, out: &mut Vec<Leaf>) {
    match node {
        Node::Mapping(mapping) if !mapping.entries.is_empty() => {
            for (key, value) in &mapping.entries {
                at.push(key.text.as_str().to_owned());
                walk(value, key.line, at, out);
                at.pop();
            }
        }
        Node::Sequence(list) if !list.items.is_empty() => {
            for (index, item) in list.items.iter().enumerate() {
                let name = item.get("name").and_then(Node::as_str);
                at.push(element(name, index));
                walk(item, item.line(), at, out);
                at.pop();
            }
        }
        other => out.push(Leaf {
            path: at.clone(),
            text: other.as_str().unwrap_or_default().to_owned(),
            // The key stands on the line that people mean; a value in a block begins below it.
            line: if line > 0 { line } else { other.line() },
        }),
    }
}

/// Begins to keep who sets the fields of an object. What it has counts as set by the next step.
pub(super) fn begin(resource: &mut Resource) {
    resource.trail.fields = Some(Box::default());
}

/// Begins for the objects of a kind that came by another way: made by a plugin, or made to be of that
/// kind. All they have counts as set where they were declared.
pub(super) fn catch_up(resources: &mut Resources, kind: &str) {
    for resource in resources.iter_mut_keeping_ids() {
        catch_up_one(resource, kind);
    }
}

fn catch_up_one(resource: &mut Resource, kind: &str) {
    if resource.trail.fields.is_none() && resource.kind() == kind {
        begin(resource);
        let source = resource.source.clone();
        observe_one(resource, &|_, _| source.clone());
    }
}

/// Notes what a step changed: `by` says who set a field, given its value and the one before.
pub(super) fn observe(resources: &mut Resources, by: &dyn Fn(&Leaf, Option<&str>) -> Source) {
    for resource in resources.iter_mut_keeping_ids() {
        observe_one(resource, by);
    }
}

pub(super) fn observe_one(resource: &mut Resource, by: &dyn Fn(&Leaf, Option<&str>) -> Source) {
    let Some(fields) = &mut resource.trail.fields else {
        return;
    };
    let mut next = BTreeMap::new();
    for leaf in leaves(&resource.object) {
        let before = fields.0.remove(&leaf.path);
        let set = match before {
            Some(set) if set.text == leaf.text => set,
            before => Set {
                by: by(&leaf, before.as_ref().map(|set| set.text.as_str())),
                text: leaf.text.clone(),
            },
        };
        next.insert(leaf.path, set);
    }
    fields.0 = next;
}

#[cfg(test)]
mod tests;
