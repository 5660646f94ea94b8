//! Rendering: from a [`Tree`] and a directory in it to the objects that `kustomize build` v5.8
//! would print, or to those of a plain directory of manifests.
//!
//! A pure function: no file system, environment, clock, network or global state; warnings are
//! returned. What is refused by name, each with what to do instead: plugins and functions that would
//! run code, Helm charts, and anything outside of the repository.
//!
//! The way through the files: [`build`] accumulates layers (`load` reads, `kustomization` decodes,
//! `manifest` reads objects into `resources`), `generators` add to them, `transform` lists the
//! transformers in kustomize's order, and at the end come hashes, name references (`names`), vars and
//! the order of printing. [`crate::yaml`] prints.
//!
//! | field of a kustomization | file |
//! |---|---|
//! | `resources`, `bases`, `components` | `build.rs`, files by `manifest.rs` |
//! | `configMapGenerator`, `secretGenerator`, `generatorOptions` | `generators/make.rs`, the hash `generators/hash.rs` |
//! | `generators`, `transformers`, `validators` | `plugins.rs` |
//! | `patches`, `patchesStrategicMerge` | `patches.rs`, the merge `merge/mod.rs` |
//! | `patchesJson6902` | `json6902.rs` |
//! | `namespace` | `namespace.rs` |
//! | `namePrefix`, `nameSuffix` | `name_affix.rs`, references `names/mod.rs` |
//! | `labels`, `commonLabels`, `commonAnnotations` | `labels.rs` |
//! | `images`, `imageTags` | `images.rs`, the names `image_name.rs` |
//! | `replicas` | `replicas.rs` |
//! | `replacements` | `replacements.rs`, into text `structured.rs` |
//! | `vars` | `vars.rs` |
//! | `configurations`, `crds` | `config_file.rs`, what is built in `config/mod.rs` |
//! | `openapi` | `context.rs` |
//! | `sortOptions` | `order.rs` |
//! | `buildMetadata` | `provenance.rs` |
//! | `metadata`, `helmCharts`, `helmGlobals`, `helmChartInflationGenerator` | `kustomization/mod.rs` |

mod build;
mod config;
mod config_file;
mod context;
mod decode;
mod directory;
mod each;
mod error;
mod expand;
mod field_path;
mod fields;
mod fieldspec;
mod files;
mod finish;
mod generators;
mod glob;
mod go_json;
mod identity;
mod image_name;
mod images;
mod index;
mod json6902;
mod json_patch;
mod kustomization;
mod label_selector;
mod labels;
pub mod limits;
mod load;
mod manifest;
mod merge;
mod meter;
mod name_affix;
mod names;
mod namespace;
mod order;
mod origin;
mod patches;
mod plugins;
mod provenance;
mod replacements;
mod replicas;
mod resource;
mod resources;
mod scope;
mod select;
mod sharing;
mod structured;
mod structured_scalar;
mod structured_yaml;
mod transform;
mod value_add;
mod vars;
mod walk;

use serde_json::Value;

use crate::error::Diagnostic;
use crate::parallel;
use crate::tree::{EntryKind, Tree};
use crate::yaml::{
    Duplicates, Node, Resolver, SEPARATOR, View, emit_documents, emit_view, resolve_view,
};

use finish::Finish;
use resource::Resource;
use resources::List;

pub use directory::{DirectoryOptions, render_directory};
pub use error::{Error, Reason};
pub use origin::{FieldPath, Traced, element, trace};

/// How long the text of an object usually is, in bytes.
const USUAL_BYTES: usize = 1024;

/// Which files a kustomization may read: kustomize's `--load-restrictor`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LoadRestrictor {
    /// Those in or below its own directory.
    #[default]
    RootOnly,
    /// Any of the repository.
    None,
}

/// The order of the objects: kustomize's `--reorder`. `sortOptions` in the kustomization wins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reorder {
    /// Namespaces, definitions and other prerequisites first, webhooks last.
    #[default]
    Legacy,
    /// As accumulated.
    None,
}

/// How to render.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Which files a kustomization may read.
    pub load_restrictor: LoadRestrictor,
    /// The order of the objects.
    pub reorder: Reorder,
    /// Whether to label every object with `app.kubernetes.io/managed-by`.
    pub managed_by_label: bool,
    /// How to read a directory without kustomization file.
    pub directory: DirectoryOptions,
    /// How many threads may work at it; 0 is as good as 1. What comes out is the same.
    pub threads: usize,
}

/// What came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// The objects, in their order.
    pub objects: Vec<RenderedObject>,
    /// What works and should be changed, such as deprecated fields.
    pub warnings: Vec<Diagnostic>,
}

/// What came out, as text.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderedText {
    /// The text in pieces, one behind the other.
    pub pieces: Vec<Box<str>>,
    /// What works and should be changed, such as deprecated fields.
    pub warnings: Vec<Diagnostic>,
}

/// One object.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderedObject {
    /// The object.
    pub value: Value,
    /// Where it was declared.
    pub source: Source,
    /// The name without hash, where a generator made it.
    pub generated: Option<Generated>,
}

/// Where an object was declared: its file, or the kustomization whose generator made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file, relative to the root of the repository.
    pub path: String,
    /// The line in the file, from 1, where it is known.
    pub line: Option<u32>,
}

/// What is known of a generated object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// Its name with all prefixes and suffixes, but without hash: two objects of one kind,
    /// namespace and base name are generations of one thing, and the newer supersedes the other.
    pub base_name: String,
}

/// What changes accumulated objects.
trait Transformer: std::fmt::Debug {
    /// Changes them.
    ///
    /// # Errors
    /// On an object that does not fit, or one that is missing.
    fn apply(
        &self,
        resources: &mut resources::Resources,
        context: &context::Context,
    ) -> error::Result<()>;

    /// Whether it finds the objects that it means without a look at all others, and counts itself
    /// what it looks at. The others are counted as if they looked at all.
    fn counts_its_looks(&self) -> bool {
        false
    }

    /// What it does to each object, where it looks at no others meanwhile.
    ///
    /// # Errors
    /// Where it cannot do it to any.
    fn each<'a>(
        &'a self,
        _context: &'a context::Context,
    ) -> error::Result<Option<Box<dyn each::Each + 'a>>> {
        Ok(None)
    }
}

/// Renders the directory `dir` of `tree`: as a kustomization where it has such a file, else as a
/// plain directory of manifests.
///
/// # Errors
/// Every mistake that was found, with its place; or that the tree could not be read.
pub fn render(tree: &Tree, dir: &str, options: &Options) -> Result<Rendered, Error> {
    if !has_kustomization(tree, dir)? {
        return render_directory(tree, dir, &options.directory);
    }
    render_kustomization(tree, dir, options)
}

/// Renders the kustomization in `dir`; there must be one.
///
/// # Errors
/// As [`render`].
pub fn render_kustomization(tree: &Tree, dir: &str, options: &Options) -> Result<Rendered, Error> {
    let make = |few: List, finish| few.into_iter().map(|one| print(one, finish)).collect();
    let (objects, warnings) = build_and(make, tree, dir, options)?;
    let objects = objects.into_iter().flat_map(Vec::into_iter).collect();
    Ok(Rendered { objects, warnings })
}

/// Renders and prints the directory `dir` of `tree`: the text of [`write_yaml`], piece by piece. An
/// object is gone when its text is there, so that a large build takes half the memory.
///
/// # Errors
/// As [`render`].
pub fn render_text(tree: &Tree, dir: &str, options: &Options) -> Result<RenderedText, Error> {
    if !has_kustomization(tree, dir)? {
        let Rendered { objects, warnings } = render_directory(tree, dir, &options.directory)?;
        let mut text = String::new();
        write_yaml(&objects, &mut text);
        let pieces = vec![text.into()];
        return Ok(RenderedText { pieces, warnings });
    }
    let (mut pieces, warnings) = build_and(print_text, tree, dir, options)?;
    if let Some(first) = pieces.first_mut() {
        *first = first.strip_prefix(SEPARATOR).unwrap_or_default().into();
    }
    Ok(RenderedText { pieces, warnings })
}

/// Builds a kustomization, and makes something of a few objects at a time, each of which is still to
/// be finished.
fn build_and<T: Send>(
    make: impl Fn(List, Finish) -> Result<T, Error> + Sync,
    tree: &Tree,
    dir: &str,
    options: &Options,
) -> Result<(Vec<T>, Vec<Diagnostic>), Error> {
    let built = build::build(tree, dir, options)?;
    let made = parallel::map_few(built.resources, options.threads, |few| {
        make(few, built.finish)
    });
    Ok((made.into_iter().collect::<Result<_, _>>()?, built.warnings))
}

fn has_kustomization(tree: &Tree, dir: &str) -> Result<bool, Error> {
    for name in kustomization::FILE_NAMES {
        let path = tree.join(dir, name).map_err(|e| load::read_error(e, dir))?;
        let kind = tree.kind(&path).map_err(|e| load::read_error(e, &path))?;
        if kind == Some(EntryKind::File) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The value of an object that is still to be finished.
fn print(mut resource: Box<Resource>, finish: Finish) -> Result<RenderedObject, Error> {
    finish.apply(&mut resource)?;
    value_of(*resource)
}

/// The value of an object that is finished.
fn value_of(resource: Resource) -> Result<RenderedObject, Error> {
    let object = Node::Mapping(resource.object);
    Ok(RenderedObject {
        value: view(&object, &resource.source)?.into_value(),
        source: resource.source,
        generated: resource.generated,
    })
}

/// The text of objects that are still to be finished, each behind a separator.
fn print_text(few: List, finish: Finish) -> Result<Box<str>, Error> {
    let mut text = String::with_capacity(few.len() * USUAL_BYTES);
    for mut resource in few {
        finish.apply(&mut resource)?;
        let object = Node::Mapping(resource.object);
        text.push_str(SEPARATOR);
        emit_view(&view(&object, &resource.source)?, &mut text);
    }
    Ok(text.into_boxed_str())
}

/// What an object means by kustomize's rules.
fn view<'a>(object: &'a Node, source: &Source) -> Result<View<'a>, Error> {
    let place = |error: Error, line: Option<u32>| {
        let id = object.as_mapping().map(resource::id);
        id.into_iter()
            .fold(error, Error::about)
            .on_line(line.or(source.line).unwrap_or(0))
            .within(&source.path)
    };
    let view = resolve_view(object, Resolver::Kustomize, Duplicates::Error);
    // the line is of the file that the node came from, which may be a patch
    let view = view.map_err(|e| place(Error::new(Reason::YamlInvalid, e.message), e.line))?;
    meter::check_object(&view).map_err(|e| place(e, None))?;
    Ok(view)
}

/// Appends the objects as `kustomize build` prints them: documents separated by `---`.
pub fn write_yaml<'a>(objects: impl IntoIterator<Item = &'a RenderedObject>, out: &mut String) {
    emit_documents(objects.into_iter().map(|object| &object.value), out);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    /// The texts in backquotes.
    fn quoted(cell: &str) -> Vec<&str> {
        cell.split('`').skip(1).step_by(2).collect()
    }

    #[test]
    fn every_field_of_a_kustomization_is_in_the_table_of_files() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/render");
        let mut fields = BTreeSet::new();
        for row in include_str!("mod.rs").lines() {
            let Some((names, files)) = row
                .strip_prefix("//! | `")
                .and_then(|row| row.split_once(" | "))
            else {
                continue;
            };
            let names = format!("`{names}");
            fields.extend(quoted(&names).into_iter().map(str::to_owned));
            for file in quoted(files) {
                assert!(here.join(file).is_file(), "there is no {file}");
            }
        }
        let known = super::kustomization::CONTENT_FIELDS;
        let known: BTreeSet<String> = known.iter().map(|field| (*field).to_owned()).collect();
        assert_eq!(fields, known);
    }
}
