//! A plain directory of manifests, as Argo CD reads one: `*.yaml`, `*.yml` and `*.json`, without
//! subdirectories unless asked for, in the order of their paths, by kubectl's reading of YAML.
//!
//! A mapping with a key twice is an error; kubectl lets the last one win and hides the mistake.

use std::cell::Cell;

use super::error::{Error, Reason, Result};
use super::fields::{is_empty, metadata_text, text, type_name};
use super::glob::Globs;
use super::kustomization::yaml_error;
use super::limits::{MAX_DEPTH, MAX_ENTRIES, MAX_FILES, MAX_NODES, MAX_OBJECTS, MAX_TOTAL_BYTES};
use super::load::{printed, read_error};
use super::meter::{Size, check_object, spend};
use super::{Rendered, RenderedObject, Source};
use crate::tree::{EntryKind, Tree};
use crate::yaml::{Duplicates, Node, Resolver, read_documents, resolve_view};

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
    let mut walk = Walk {
        tree,
        root: &root,
        recurse: options.recurse,
        filter,
        entries: Cell::default(),
        files: Vec::new(),
    };
    walk.list("")?;
    let mut files = walk.files;
    files.sort();
    let mut reader = Reader::default();
    for file in files {
        let path = tree.join(&root, &file).map_err(|e| read_error(e, &file))?;
        let content = tree.read(&path).map_err(|e| read_error(e, &path))?;
        reader.read(&content, &path).map_err(|e| e.within(&path))?;
    }
    Ok(Rendered {
        objects: reader.objects,
        warnings: Vec::new(),
    })
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

/// The search for manifests.
struct Walk<'a> {
    tree: &'a Tree,
    root: &'a str,
    recurse: bool,
    filter: Filter,
    /// How many entries were listed.
    entries: Cell<usize>,
    /// Paths relative to the root.
    files: Vec<String>,
}

impl Walk<'_> {
    /// Adds the manifests of a directory.
    fn list(&mut self, below: &str) -> Result<()> {
        let (tree, root) = (self.tree, self.root);
        let dir = tree.join(root, below).map_err(|e| read_error(e, below))?;
        if below.matches('/').count() > MAX_DEPTH {
            let message = format!("directories are nested deeper than {MAX_DEPTH}");
            return Err(Error::new(Reason::TooDeep, message).within(&dir));
        }
        let names = tree.list(&dir).map_err(|e| read_error(e, &dir))?;
        let what = "entries of directories";
        spend(&self.entries, names.len(), MAX_ENTRIES, what).map_err(|e| e.within(&dir))?;
        for (name, kind) in names {
            let path = if below.is_empty() {
                name
            } else {
                format!("{below}/{name}")
            };
            match kind {
                EntryKind::Directory if self.recurse => self.list(&path)?,
                EntryKind::File | EntryKind::Symlink if self.filter.takes(&path) => {
                    let full = tree.join(root, &path).map_err(|e| read_error(e, &path))?;
                    if tree.kind(&full).map_err(|e| read_error(e, &full))? == Some(EntryKind::File)
                    {
                        self.files.push(path);
                    }
                }
                _ => {}
            }
            if self.files.len() > MAX_FILES {
                let message = format!("more than the limit of {MAX_FILES} files in one render");
                return Err(Error::new(Reason::LimitExceeded, message)
                    .hint("split the application")
                    .within(&dir));
            }
        }
        Ok(())
    }
}

/// The objects that were read, and what that has cost.
#[derive(Default)]
struct Reader {
    objects: Vec<RenderedObject>,
    bytes: Cell<usize>,
    nodes: Cell<usize>,
}

impl Reader {
    fn read(&mut self, content: &[u8], path: &str) -> Result<()> {
        spend(&self.bytes, content.len(), MAX_TOTAL_BYTES, "bytes read")?;
        for document in read_documents(content).map_err(|e| yaml_error(&e, path))? {
            let what = "keys and values of files";
            spend(&self.nodes, Size::of(&document).nodes, MAX_NODES, what)?;
            if !is_empty(&document) {
                self.add(document, path)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, node: Node, path: &str) -> Result<()> {
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
                .try_for_each(|item| self.add(item, path));
        }
        if kind.is_empty() || object.get("apiVersion").is_none_or(|v| text(v).is_empty()) {
            return mistake("the object has no apiVersion and kind".into());
        }
        if metadata_text(&object, "name").is_empty()
            && metadata_text(&object, "generateName").is_empty()
        {
            return mistake(format!("the {kind} has no name"));
        }
        if self.objects.len() >= MAX_OBJECTS {
            let message = format!("more than the limit of {MAX_OBJECTS} objects in one render");
            return Err(Error::new(Reason::LimitExceeded, message)
                .hint("split the application")
                .on_line(line)
                .within(path));
        }
        let value = {
            let object = Node::Mapping(object);
            let view = resolve_view(&object, Resolver::Kubectl, Duplicates::Error);
            let view = view.map_err(|e| yaml_error(&e, path))?;
            check_object(&view).map_err(|e| e.on_line(line).within(path))?;
            view.into_value()
        };
        let source = Source {
            path: path.to_owned(),
            line: (line > 0).then_some(line),
        };
        self.objects.push(RenderedObject {
            value,
            source,
            generated: None,
        });
        Ok(())
    }
}
