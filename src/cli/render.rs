//! `towline render`: what `kustomize build` prints, from the renderer that the agent uses.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use super::screen::Screen;
use crate::agent::render_threads;
use crate::error::Diagnostic;
use crate::render::{self, DirectoryOptions, Error, Options, RenderedObject};
use crate::tree::{ReadError, Tree};

/// Print the objects of a directory, as `kustomize build` does
///
/// A directory without kustomization.yaml is read as plain manifests. Helm charts, plugins, functions
/// and remote bases are refused by name.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 rendered (warnings are on stderr), 1 not rendered, \
                        64 the command line cannot be understood."
)]
pub(super) struct RenderArgs {
    /// The directory
    #[arg(default_value = ".")]
    dir: PathBuf,
    #[command(flatten)]
    how: How,
}

/// How a directory is rendered: the flags of `kustomize build`, and `spec.source.directory`.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct How {
    /// The order of the objects, where the kustomization says none (sortOptions)
    #[arg(long, value_enum, default_value = "legacy")]
    reorder: Reorder,
    /// Which files a kustomization may read
    #[arg(
        long,
        value_enum,
        value_name = "RESTRICTION",
        default_value = "LoadRestrictionsRootOnly"
    )]
    load_restrictor: LoadRestrictor,
    /// Label every object with app.kubernetes.io/managed-by
    #[arg(long)]
    enable_managedby_label: bool,
    /// Plain manifests: the directories below too
    #[arg(long)]
    recurse: bool,
    /// Plain manifests: only files that match, such as `*.yaml`; may be given several times
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,
    /// Plain manifests: no files that match; may be given several times
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Reorder {
    /// Namespaces and other prerequisites first, webhooks last
    #[default]
    Legacy,
    /// As accumulated
    None,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum LoadRestrictor {
    /// Those in or below its own directory
    #[default]
    #[value(name = "LoadRestrictionsRootOnly")]
    RootOnly,
    /// Any
    #[value(name = "LoadRestrictionsNone")]
    None,
}

impl How {
    pub(super) fn options(&self) -> Options {
        Options {
            load_restrictor: match self.load_restrictor {
                LoadRestrictor::RootOnly => render::LoadRestrictor::RootOnly,
                LoadRestrictor::None => render::LoadRestrictor::None,
            },
            reorder: match self.reorder {
                Reorder::Legacy => render::Reorder::Legacy,
                Reorder::None => render::Reorder::None,
            },
            managed_by_label: self.enable_managedby_label,
            directory: DirectoryOptions {
                recurse: self.recurse,
                include: self.include.clone(),
                exclude: self.exclude.clone(),
            },
            threads: render_threads(),
        }
    }
}

/// What came out of a directory.
#[derive(Debug)]
pub(super) struct Rendered {
    /// The objects; their places are those of the error messages.
    pub(super) objects: Vec<RenderedObject>,
    /// Their YAML, byte for byte as `kustomize build` prints it.
    pub(super) text: String,
    pub(super) warnings: Vec<Diagnostic>,
}

/// # Errors
/// Every mistake in the directory.
pub(super) fn run(args: &RenderArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let place = Place::of(&args.dir)?;
    let rendered = render::render_text(&place.tree, &place.dir, &args.how.options())
        .map_err(|error| anyhow::anyhow!(told(&error, &place.here)))?;
    for warning in &rendered.warnings {
        let path = seen_from(&place.here, &warning.path);
        let warning = Diagnostic {
            path,
            ..warning.clone()
        };
        screen.note(&format!("warning: {warning}"))?;
    }
    for piece in &rendered.pieces {
        screen.print(piece)?;
    }
    Ok(0)
}

/// A directory of the file system, as a tree. Its base may be anywhere, so the tree begins at `/`.
struct Place {
    tree: Tree,
    /// The directory, below `/`.
    dir: String,
    /// The working directory, below `/`.
    here: String,
}

impl Place {
    fn of(dir: &Path) -> anyhow::Result<Self> {
        let shown = dir.display();
        let absolute = dir
            .canonicalize()
            .with_context(|| format!("failed to read `{shown}`"))?;
        if !absolute.is_dir() {
            bail!("`{shown}` is not a directory");
        }
        let path = absolute
            .to_str()
            .with_context(|| format!("`{shown}` is not UTF-8"))?;
        let here = std::env::current_dir()
            .and_then(|dir| dir.canonicalize())
            .unwrap_or_default();
        Ok(Self {
            tree: Tree::from_disk("/")?,
            dir: path.trim_matches('/').to_owned(),
            here: here
                .to_str()
                .unwrap_or_default()
                .trim_matches('/')
                .to_owned(),
        })
    }
}

/// Renders a directory of the file system; places are told as seen from the working directory.
///
/// # Errors
/// Every mistake, one a line.
pub(super) fn render_dir(dir: &Path, options: &Options) -> anyhow::Result<Rendered> {
    let Place { tree, dir, here } = Place::of(dir)?;
    let mut rendered = render_tree_from(&tree, &dir, options, &here)?;
    for object in &mut rendered.objects {
        object.source.path = seen_from(&here, &object.source.path);
    }
    Ok(rendered)
}

/// Renders a directory of a tree.
///
/// # Errors
/// Every mistake, one a line.
pub(super) fn render_tree(tree: &Tree, dir: &str, options: &Options) -> anyhow::Result<Rendered> {
    render_tree_from(tree, dir, options, "")
}

fn render_tree_from(
    tree: &Tree,
    dir: &str,
    options: &Options,
    here: &str,
) -> anyhow::Result<Rendered> {
    let mut rendered =
        render::render(tree, dir, options).map_err(|error| anyhow::anyhow!(told(&error, here)))?;
    for warning in &mut rendered.warnings {
        warning.path = seen_from(here, &warning.path);
    }
    let mut text = String::new();
    render::write_yaml(&rendered.objects, &mut text);
    Ok(Rendered {
        objects: rendered.objects,
        text,
        warnings: rendered.warnings,
    })
}

/// All mistakes, one a line, with their places as seen from `here`.
fn told(error: &Error, here: &str) -> String {
    if let Error::Unreadable { path, source } = error {
        let why = match source {
            ReadError::Store(why) => why.clone(),
            other => other.to_string(),
        };
        return format!("{}: {why}", seen_from(here, path));
    }
    let lines: Vec<String> = error
        .diagnostics()
        .iter()
        .map(|diagnostic| {
            let mut diagnostic = diagnostic.clone();
            diagnostic.path = seen_from(here, &diagnostic.path);
            diagnostic.to_string()
        })
        .collect();
    lines.join("\nerror: ")
}

/// A path below `/`, as a person in the directory `here` (below `/` too) writes it: relative where
/// it is below, else absolute. A tree without root in the file system has an empty `here`.
fn seen_from(here: &str, path: &str) -> String {
    if here.is_empty() || path.is_empty() {
        return path.to_owned();
    }
    match path
        .strip_prefix(here)
        .and_then(|rest| rest.strip_prefix('/'))
    {
        Some(below) => below.to_owned(),
        None => format!("/{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::screen::printed;
    use super::*;

    fn write(dir: &Path, file: &str, text: &str) {
        let path = dir.join(file);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("writable");
        std::fs::write(path, text).expect("writable");
    }

    #[test]
    fn an_overlay_reaches_its_base() {
        let dir = tempfile::tempdir().expect("a directory");
        write(
            dir.path(),
            "base/kustomization.yaml",
            "resources: [a.yaml]\n",
        );
        write(
            dir.path(),
            "base/a.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
        );
        write(
            dir.path(),
            "prod/kustomization.yaml",
            "resources: [../base]\nnamePrefix: x-\n",
        );
        let args = RenderArgs {
            dir: dir.path().join("prod"),
            how: How::default(),
        };
        let (result, out, err) = printed(|screen| run(&args, screen));
        assert_eq!((result.expect("renders"), err.as_str()), (0, ""));
        assert_eq!(
            out,
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x-a\n"
        );
    }

    #[test]
    fn mistakes_name_the_file_as_one_would_open_it() {
        let dir = tempfile::tempdir().expect("a directory");
        write(
            dir.path(),
            "kustomization.yaml",
            "resources:\n- absent.yaml\n",
        );
        let error = render_dir(dir.path(), &Options::default()).expect_err("a file is missing");
        let place = dir.path().canonicalize().expect("it is there");
        let place = format!("{}/kustomization.yaml:", place.display());
        assert!(error.to_string().starts_with(&place), "{error}");
        let error =
            render_dir(&dir.path().join("nowhere"), &Options::default()).expect_err("absent");
        assert!(error.to_string().starts_with("failed to read `"), "{error}");
    }

    #[test]
    fn places_are_seen_from_where_one_is() {
        assert_eq!(seen_from("home/me", "home/me/a/b.yaml"), "a/b.yaml");
        assert_eq!(
            seen_from("home/me", "home/meadow/b.yaml"),
            "/home/meadow/b.yaml"
        );
        assert_eq!(seen_from("", "a/b.yaml"), "a/b.yaml");
        assert_eq!(seen_from("home/me", ""), "");
    }
}
