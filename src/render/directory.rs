//! A plain directory of manifests, as Argo CD reads one: `*.yaml`, `*.yml` and `*.json`, without
//! subdirectories unless asked for, in the order of their paths, by kubectl's reading of YAML.
//!
//! A mapping with a key twice is an error; kubectl lets the last one win and hides the mistake.

use super::error::{Error, Reason, Result};
use super::fields::{is_empty, metadata_text, text, type_name};
use super::glob::Globs;
use super::kustomization::yaml_error;
use super::limits::{MAX_DEPTH, MAX_FILES, MAX_OBJECTS, MAX_TOTAL_BYTES};
use super::load::{printed, read_error};
use super::{Rendered, RenderedObject, Source};
use crate::tree::{EntryKind, Tree};
use crate::yaml::{Duplicates, Mapping, Node, Resolver, read_documents, resolve};

/// Which files of a plain directory count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DirectoryOptions {
    /// Whether subdirectories are read too.
    pub recurse: bool,
    /// Only these, where it is not empty: globs over the path below the directory.
    pub include: Vec<String>,
    /// Not these: globs over the path below the directory.
    pub exclude: Vec<String>,
}

/// Renders a directory of manifests.
///
/// # Errors
/// On a missing directory and on every file that is no YAML or holds something else than objects.
pub fn render_directory(tree: &Tree, dir: &str, options: &DirectoryOptions) -> Result<Rendered> {
    let root = tree.join("", dir).map_err(|e| read_error(e, dir))?;
    match tree.kind(&root).map_err(|e| read_error(e, &root))? {
        Some(EntryKind::Directory) => {}
        Some(_) => {
            let message = format!("`{}` is not a directory", printed(&root));
            return Err(Error::new(Reason::PathNotFound, message));
        }
        None => {
            let message = format!("there is no directory `{}`", printed(&root));
            return Err(Error::new(Reason::PathNotFound, message));
        }
    }
    let filter = Filter {
        include: Globs::new(&options.include),
        exclude: Globs::new(&options.exclude),
    };
    let mut files = Vec::new();
    list(tree, &root, "", options.recurse, &filter, &mut files)?;
    files.sort();
    let mut objects = Vec::new();
    let mut bytes = 0;
    for file in files {
        let path = tree.join(&root, &file).map_err(|e| read_error(e, &file))?;
        let content = tree.read(&path).map_err(|e| read_error(e, &path))?;
        bytes += content.len();
        if bytes > MAX_TOTAL_BYTES {
            return Err(limit(format!(
                "more than {MAX_TOTAL_BYTES} bytes of manifests"
            )));
        }
        read(&content, &path, &mut objects)?;
        if objects.len() > MAX_OBJECTS {
            return Err(limit(format!(
                "more than {MAX_OBJECTS} objects in one render"
            )));
        }
    }
    Ok(Rendered {
        objects,
        warnings: Vec::new(),
    })
}

fn limit(message: String) -> Error {
    Error::new(Reason::LimitExceeded, message).hint("split the application")
}

struct Filter {
    include: Globs,
    exclude: Globs,
}

impl Filter {
    fn takes(&self, path: &str) -> bool {
        let is_manifest = [".yaml", ".yml", ".json"]
            .iter()
            .any(|end| path.ends_with(end));
        is_manifest
            && (self.include.is_empty() || self.include.matches(path))
            && !self.exclude.matches(path)
    }
}

/// The manifests below `dir`, as paths relative to `root`.
fn list(
    tree: &Tree,
    root: &str,
    below: &str,
    recurse: bool,
    filter: &Filter,
    files: &mut Vec<String>,
) -> Result<()> {
    if below.matches('/').count() > MAX_DEPTH {
        let message = format!("directories are nested deeper than {MAX_DEPTH}");
        return Err(Error::new(Reason::TooDeep, message));
    }
    let dir = tree.join(root, below).map_err(|e| read_error(e, below))?;
    for (name, kind) in tree.list(&dir).map_err(|e| read_error(e, &dir))? {
        let path = if below.is_empty() {
            name
        } else {
            format!("{below}/{name}")
        };
        match kind {
            EntryKind::Directory if recurse => {
                list(tree, root, &path, recurse, filter, files)?;
            }
            EntryKind::File | EntryKind::Symlink if filter.takes(&path) => {
                let full = tree.join(root, &path).map_err(|e| read_error(e, &path))?;
                if tree.kind(&full).map_err(|e| read_error(e, &full))? == Some(EntryKind::File) {
                    files.push(path);
                }
            }
            _ => {}
        }
        if files.len() > MAX_FILES {
            return Err(limit(format!("more than {MAX_FILES} files in one render")));
        }
    }
    Ok(())
}

fn read(content: &[u8], path: &str, objects: &mut Vec<RenderedObject>) -> Result<()> {
    for document in read_documents(content).map_err(|e| yaml_error(&e, path))? {
        if !is_empty(&document) {
            add(document, path, objects)?;
        }
    }
    Ok(())
}

fn add(node: Node, path: &str, objects: &mut Vec<RenderedObject>) -> Result<()> {
    let line = node.line();
    let mistake = |message: String| Err(Error::failed(message).on_line(line).within(path));
    let Node::Mapping(mut object) = node else {
        return mistake(format!("expected an object, found {}", type_name(&node)));
    };
    let kind = object.get("kind").map_or("", text).to_owned();
    if kind.ends_with("List")
        && let Some(Node::Sequence(items)) = object.remove("items")
    {
        return items
            .items
            .into_iter()
            .try_for_each(|item| add(item, path, objects));
    }
    if kind.is_empty() || object.get("apiVersion").is_none_or(|v| text(v).is_empty()) {
        return mistake("the object has no apiVersion and kind".into());
    }
    if metadata_text(&object, "name").is_empty()
        && metadata_text(&object, "generateName").is_empty()
    {
        return mistake(format!("the {kind} has no name"));
    }
    let value = value(object, path)?;
    let source = Source {
        path: path.to_owned(),
        line: (line > 0).then_some(line),
    };
    objects.push(RenderedObject {
        value,
        source,
        generated: None,
    });
    Ok(())
}

fn value(object: Mapping, path: &str) -> Result<serde_json::Value> {
    resolve(&Node::Mapping(object), Resolver::Kubectl, Duplicates::Error)
        .map_err(|e| yaml_error(&e, path))
}
