//! The builtin plugin `ValueAddTransformer`: one value into fields of many objects.

use super::Transformer;
use super::context::Context;
use super::decode::{Decoder, Record, Strictness};
use super::error::{Error, Reason, Result};
use super::field_path::{Create, visit};
use super::fields::{replace_untyped, text, type_name};
use super::fieldspec::split_path;
use super::kustomization::{misfits, selector, yaml_error};
use super::limits::MAX_PATH_ELEMENTS;
use super::load::Loader;
use super::namespace::{Namespace, Subjects};
use super::patches::Target as Select;
use super::resources::Resources;
use super::select::Selector;
use crate::yaml::{Duplicates, Node, Resolver, read_first_document, resolve_view};

/// Adds the value.
#[derive(Debug)]
pub(super) struct ValueAdd {
    value: String,
    targets: Vec<Target>,
}

#[derive(Debug)]
struct Target {
    select: Select,
    path: String,
    /// From 1: which part of a path in the field the value becomes; 0 replaces all of it.
    position: usize,
}

impl ValueAdd {
    /// From the configuration of the plugin.
    ///
    /// # Errors
    /// Without a target.
    pub fn new(record: &Record<'_>, loader: &Loader<'_>) -> Result<Self> {
        let mut value = record.text("value").trim().to_owned();
        if value.is_empty() {
            value = loader
                .dir()
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned();
        }
        let mut targets = read(record);
        let path = record.text("targetFilePath");
        if !path.is_empty() {
            let name = loader.resolve_name(&path);
            let root =
                read_first_document(&loader.read(&path)?).map_err(|e| yaml_error(&e, &name))?;
            let root = root.unwrap_or_else(Node::null);
            let document = resolve_view(&root, Resolver::Kubectl, Duplicates::LastWins)
                .map_err(|e| yaml_error(&e, &name))?;
            let decoder = Decoder::new(Strictness::PLUGIN);
            targets.extend(read(&decoder.document(&document, "targets")));
            let mistakes = decoder.mistakes();
            if !mistakes.is_empty() {
                return Err(misfits(mistakes, &root, &name));
            }
        }
        if targets.is_empty() {
            return Err(Error::failed("the plugin has no `targets`"));
        }
        let target = |(selector, path, position): (Selector, String, i64)| {
            let Ok(position) = usize::try_from(position) else {
                return Err(Error::failed("`filePathPosition` is negative"));
            };
            if path.is_empty() {
                return Err(Error::failed("a target has no `fieldPath`"));
            }
            if path.matches('/').count() >= MAX_PATH_ELEMENTS {
                return Err(Error::new(
                    Reason::LimitExceeded,
                    format!("a field path has more than {MAX_PATH_ELEMENTS} elements"),
                ));
            }
            Ok(Target {
                select: Select::new(&selector)?,
                path,
                position,
            })
        };
        Ok(Self {
            value,
            targets: targets.into_iter().map(target).collect::<Result<_>>()?,
        })
    }
}

fn read(record: &Record<'_>) -> Vec<(Selector, String, i64)> {
    record.records("targets", "target", |r| {
        let select = r
            .record("selector", "selector")
            .map(|s| selector(&s))
            .unwrap_or_default();
        (select, r.text("fieldPath"), r.integer("filePathPosition"))
    })
}

impl Transformer for ValueAdd {
    fn apply(&self, resources: &mut Resources, context: &Context) -> Result<()> {
        for target in &self.targets {
            for index in target.select.select(resources, context)? {
                resources.edit(index, |resource| {
                    if target.path == "metadata/namespace" {
                        return Namespace {
                            namespace: self.value.clone(),
                            specs: Vec::new(),
                            subjects: Subjects::Default,
                            unset_only: false,
                        }
                        .set(resource, &[]);
                    }
                    let mut root = Node::Mapping(std::mem::take(&mut resource.object));
                    let path = split_path(&target.path, '/');
                    let result = visit(&mut root, &path, Some(Create::Scalar), &mut |node| {
                        context.meter.grow(self.value.len() + text(node).len())?;
                        self.set(node, target.position)
                    });
                    if let Node::Mapping(object) = root {
                        resource.object = object;
                    }
                    result.map(drop).map_err(|e| e.about(resource.id()))
                })?;
            }
        }
        Ok(())
    }
}

impl ValueAdd {
    fn set(&self, node: &mut Node, position: usize) -> Result<()> {
        let Node::Scalar(_) = node else {
            return Err(Error::failed(format!(
                "expected a scalar, found {}",
                type_name(node)
            )));
        };
        let value = match position.checked_sub(1) {
            None => self.value.clone(),
            Some(index) => insert(text(node), index, &self.value),
        };
        replace_untyped(node, &value);
        Ok(())
    }
}

/// Puts a part into a path; a leading slash stays where it is.
fn insert(path: &str, index: usize, part: &str) -> String {
    let root = if path.starts_with('/') { "/" } else { "" };
    let mut parts: Vec<&str> = path
        .split('/')
        .filter(|p| !p.is_empty() && *p != ".")
        .collect();
    parts.insert(index.min(parts.len()), part);
    format!("{root}{}", parts.join("/"))
}
