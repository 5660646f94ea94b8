//! One build: layers are accumulated depth first, each with its own generators and transformers;
//! hashes, name references, vars and order come once, at the very end.

use std::cell::RefCell;
use std::sync::Arc;

use super::config::{FieldConfig, Layered};
use super::context::Context;
use super::error::{Error, Reason, Result};
use super::files::{self, Files};
use super::finish::Finish;
use super::generators::{self, absorb, add_hashes, generate};
use super::kustomization::{FILE_NAMES, Kind, Kustomization};
use super::load::{Budget, Loader, printed};
use super::order::{Order, Ranks};
use super::provenance::{self, Origin};
use super::resource::{Past, Resource};
use super::resources::{List, Resources};
use super::vars::Vars;
use super::{
    Options, Reorder, Source, Transformer, config_file, each, names, origin, plugins, transform,
};
use crate::error::Diagnostic;
use crate::parallel;
use crate::tree::{EntryKind, Tree};
use crate::yaml::{Node, Text};

/// What a layer has accumulated.
#[derive(Debug)]
pub(super) struct Accumulated {
    pub resources: Resources,
    pub config: Layered,
    pub vars: Vars,
}

/// What comes of a build.
#[derive(Debug)]
pub(super) struct Built {
    /// The objects in their order, each of which is still to be finished.
    pub resources: List,
    /// What is left to do.
    pub finish: Finish,
    /// What works and should be changed.
    pub warnings: Vec<Diagnostic>,
    /// The kustomization file that was built.
    pub file: String,
}

/// Everything that the layers of one build share.
#[derive(Debug)]
pub(super) struct Build {
    pub context: Context,
    builtin: Arc<FieldConfig>,
    warnings: RefCell<Vec<Diagnostic>>,
    /// Whether `buildMetadata` of the built kustomization asks for anything.
    tracks_origin: bool,
    /// The kind of which somebody asks where each field was set.
    traces: Option<String>,
    /// How many threads may work at it.
    pub threads: usize,
}

/// One kustomization that is being accumulated.
#[derive(Debug)]
pub(super) struct Layer<'a> {
    pub file: Kustomization,
    pub loader: Loader<'a>,
    /// The way from the directory that is built, for origins.
    pub origin: String,
}

impl Layer<'_> {
    /// The kustomization file as origins name it.
    pub fn origin_file(&self) -> String {
        let name = self.file.path.rsplit('/').next().unwrap_or_default();
        provenance::join(&self.origin, name)
    }

    /// Where a field of the kustomization stands.
    pub fn source(&self, field: &str, index: Option<usize>) -> Source {
        let line = self.file.line(field, index);
        Source {
            path: self.file.path.clone(),
            line: (line > 0).then_some(line),
        }
    }

    /// An error in a field of the kustomization, with its place.
    pub fn place(&self, error: Error, field: &str, index: Option<usize>) -> Error {
        error
            .on_line(self.file.line(field, index))
            .within(&self.file.path)
    }
}

/// Builds the kustomization in `dir`.
///
/// # Errors
/// On whatever `kustomize build` refuses, and on what towline refuses by name.
pub(super) fn build(tree: &Tree, dir: &str, options: &Options) -> Result<Built> {
    run(tree, dir, options, None)
}

/// The same, with what set each field in the trail of each object of a kind.
///
/// # Errors
/// As [`build`].
pub(super) fn build_tracing(
    tree: &Tree,
    dir: &str,
    options: &Options,
    kind: &str,
) -> Result<Built> {
    run(tree, dir, options, Some(kind))
}

fn run(tree: &Tree, dir: &str, options: &Options, traces: Option<&str>) -> Result<Built> {
    let budget = Budget::default();
    let loader = Loader::new(tree, dir, options.load_restrictor, &budget)?;
    let file = find(&loader)?;
    let builtin = Arc::new(FieldConfig::builtin());
    let build = Build {
        context: Context::default(),
        builtin,
        warnings: RefCell::default(),
        tracks_origin: !file.build_metadata.is_empty(),
        traces: traces.map(str::to_owned),
        threads: options.threads,
    };
    let layer = Layer {
        file,
        loader,
        origin: String::new(),
    };
    build.context.open_schema(&layer)?;
    let mut accumulated = build.accumulate(&layer, build.empty())?;

    // What goes wrong here is nobody's in particular, so that of the kustomization that is built.
    conclude(&mut accumulated, &build, &layer, options)
        .map_err(|error| error.within(&layer.file.path))?;
    Ok(Built {
        resources: accumulated.resources.into_list(),
        finish: Finish::new(&layer.file, options),
        warnings: build.warnings.into_inner(),
        file: layer.file.path,
    })
}

/// What is done once, when all layers are accumulated.
fn conclude(
    accumulated: &mut Accumulated,
    build: &Build,
    layer: &Layer<'_>,
    options: &Options,
) -> Result<()> {
    let resources = &mut accumulated.resources;
    add_hashes(resources)?;
    let references = &accumulated.config.get().name_references;
    names::fix_references(resources, references)?;
    accumulated.vars.resolve(
        resources,
        &accumulated.config.get().var_references,
        &build.context.meter,
    )?;
    match order(layer, options)? {
        Order::Legacy(ranks) => resources.sort(&ranks, is_for_the_cluster),
        Order::Fifo => {
            resources.retain(is_for_the_cluster);
            Ok(())
        }
    }
}

/// Whether an object is more than input of other tools.
fn is_for_the_cluster(resource: &Resource) -> bool {
    let local = resource.metadata_entry("annotations", "config.kubernetes.io/local-config");
    local.is_none_or(|value| value == "false")
}

/// The kustomization file of a directory.
///
/// # Errors
/// Where there is none, or more than one.
fn find(loader: &Loader<'_>) -> Result<Kustomization> {
    let mut found = Vec::new();
    for name in FILE_NAMES {
        let there = loader.find(name)?;
        if let Some(there) = there.filter(|there| there.kind == EntryKind::File) {
            found.push((name, there));
        }
    }
    match found.as_slice() {
        [(name, there)] => {
            let path = loader.resolve_name(name);
            let bytes = loader.read_found(name, Some(there))?;
            let file = Kustomization::read(&bytes, &path)?;
            loader.count(file.size()).map_err(|e| e.within(&path))?;
            Ok(file)
        }
        [] => Err(Error::new(
            Reason::PathNotFound,
            format!(
                "there is no kustomization.yaml in `{}`",
                printed(loader.dir())
            ),
        )),
        several => {
            let names: Vec<&str> = several.iter().map(|(name, _)| *name).collect();
            Err(Error::new(
                Reason::Ambiguous,
                format!("`{}` has {}", printed(loader.dir()), names.join(" and ")),
            )
            .hint("keep one of them"))
        }
    }
}

/// How the kustomization that is built wants its objects ordered.
fn order(layer: &Layer<'_>, options: &Options) -> Result<Order> {
    match (&layer.file.sort_options, options.reorder) {
        (Some(order), _) => { order.order() }.map_err(|e| layer.place(e, "sortOptions", None)),
        (None, Reorder::Legacy) => Ok(Order::Legacy(Ranks::default())),
        (None, Reorder::None) => Ok(Order::Fifo),
    }
}

impl Build {
    /// Nothing accumulated yet.
    pub fn empty(&self) -> Accumulated {
        Accumulated {
            resources: Resources::new(self.threads),
            config: Layered::new(&self.builtin),
            vars: Vars::default(),
        }
    }

    /// Accumulates one kustomization on top of what is there: nothing, or, for a component, what
    /// its parent has.
    pub fn accumulate(&self, layer: &Layer<'_>, start: Accumulated) -> Result<Accumulated> {
        self.warnings
            .borrow_mut()
            .extend(layer.file.warnings.iter().cloned());
        let mut all = start;
        self.resources(
            layer,
            &layer.file.resources,
            &["resources", "bases"],
            &mut all,
        )?;
        for config in config_file::read(layer, &self.builtin)? {
            all.config.add(&config)?;
        }
        self.generators(layer, &mut all)?;
        for (i, path) in layer.file.components.iter().enumerate() {
            let at = |e| layer.place(e, "components", Some(i));
            let child = self.enter(layer, path, Kind::Component).map_err(at)?;
            all = self.accumulate(&child, all)?;
            all.resources.check_unique().map_err(at)?;
        }
        self.transformers(layer, &mut all)?;
        all.vars
            .declare(&layer.file.vars, &mut all.resources)
            .map_err(|e| layer.place(e, "vars", None))?;
        Ok(all)
    }

    /// Adds the entries of a list of paths: files, or directories with a kustomization.
    pub fn resources(
        &self,
        layer: &Layer<'_>,
        paths: &[String],
        fields: &[&str],
        all: &mut Accumulated,
    ) -> Result<()> {
        let at = |e: Error, path: &str| {
            e.on_line(layer.file.line_of_entry(fields, path))
                .within(&layer.file.path)
        };
        let mut files = Files::default();
        let reach = layer.loader.reach();
        let find = |path: &String| match path.contains("://") {
            true => Ok(None),
            false => reach.find(path),
        };
        let looked = { paths.chunks(files::AT_ONCE) }.flat_map(|paths| {
            let found = parallel::map_ref(paths, self.threads, find);
            paths.iter().zip(found)
        });
        // What is wrong with an entry is only told where nothing before it is.
        let had = all.resources.len();
        for (place, (path, found)) in looked.enumerate() {
            let is_directory = matches!(&found, Ok(Some(f)) if f.kind == EntryKind::Directory);
            let is_layer = is_directory || (found.is_ok() && layer.loader.is_remote(path));
            let is_full = files.is_full();
            if is_layer || is_full {
                files.append(self, layer, &mut all.resources, at)?;
            }
            if is_full {
                // There are thousands, all of them in front of `place`, and the others will have
                // about as many objects each.
                let each = all
                    .resources
                    .len()
                    .saturating_sub(had)
                    .div_ceil(place.max(1));
                all.resources
                    .reserve(each.saturating_mul(paths.len() - place));
            }
            if is_layer {
                let child = self.enter(layer, path, Kind::Kustomization);
                let child = child.map_err(|e| at(e, path))?;
                let child = self.accumulate(&child, self.empty())?;
                all.resources.absorb(child.resources)?;
                all.config.absorb(&child.config)?;
                all.vars.absorb(child.vars).map_err(|e| at(e, path))?;
                continue;
            }
            let added = found.and_then(|found| files.add(layer, path, found.as_ref()));
            if let Err(error) = added {
                files.append(self, layer, &mut all.resources, at)?;
                return Err(at(error, path));
            }
        }
        files.append(self, layer, &mut all.resources, at)
    }

    fn enter<'b>(&self, layer: &Layer<'b>, path: &str, wanted: Kind) -> Result<Layer<'b>> {
        let loader = layer.loader.enter(path)?;
        let file = find(&loader)?;
        let origin = provenance::join(&layer.origin, path);
        let child = Layer {
            file,
            loader,
            origin,
        };
        self.context.open_schema(&child)?;
        match (wanted, child.file.kind) {
            (Kind::Component, Kind::Kustomization) => Err(Error::failed(format!(
                "`{path}` is a Kustomization, not a Component"
            ))
            .hint("name it under `resources`, or give it `kind: Component`")),
            (Kind::Kustomization, Kind::Component) => {
                Err(Error::failed(format!("`{path}` is a Component"))
                    .hint("name it under `components`"))
            }
            _ => Ok(child),
        }
    }

    /// ConfigMaps, then Secrets, then `generators`.
    fn generators(&self, layer: &Layer<'_>, all: &mut Accumulated) -> Result<()> {
        let file = &layer.file;
        let fields = [
            (
                "configMapGenerator",
                generators::Target::ConfigMap,
                &file.config_map_generator,
            ),
            (
                "secretGenerator",
                generators::Target::Secret,
                &file.secret_generator,
            ),
        ];
        for (field, target, list) in fields {
            all.resources.reserve(list.len());
            for (i, args) in list.iter().enumerate() {
                let at = |e| layer.place(e, field, Some(i));
                let mut args = args.clone();
                args.options = args.options.with_global(file.generator_options.as_ref());
                let source = layer.source(field, Some(i));
                let mut resource = generate(&layer.loader, target, &args, source).map_err(at)?;
                if self.tracks_origin {
                    resource.trail.origin =
                        Some(Origin::field(layer.origin_file(), target.plugin()).into());
                }
                if self.traces(&resource) {
                    origin::begin(&mut resource);
                }
                absorb(&mut all.resources, resource).map_err(at)?;
                if self.traces.is_some() {
                    origin::observe(&mut all.resources, &|leaf, _| {
                        origin::of_generator(layer, field, i, &args, leaf)
                    });
                }
            }
        }
        plugins::run_generators(self, layer, all)?;
        if let Some(kind) = &self.traces {
            origin::catch_up(&mut all.resources, kind);
        }
        Ok(())
    }

    fn transformers(&self, layer: &Layer<'_>, all: &mut Accumulated) -> Result<()> {
        let steps = transform::of_kustomization(layer, all.config.get())?;
        let mut rest = steps.as_slice();
        while let [step, others @ ..] = rest {
            let together = self.run_together(layer, rest, &mut all.resources)?;
            if together > 0 {
                rest = &rest[together..];
                continue;
            }
            rest = others;
            let at = |e| layer.place(e, step.field, step.index);
            self.run(step.transformer.as_ref(), &mut all.resources)
                .map_err(at)?;
            if self.traces.is_some() {
                origin::observe(&mut all.resources, &|leaf, before| {
                    origin::of_step(layer, step, leaf, before)
                });
            }
            let told = self.context.take_warnings().into_iter();
            let told = told.map(|warning| Diagnostic {
                path: layer.file.path.clone(),
                line: layer.source(step.field, step.index).line,
                ..warning
            });
            self.warnings.borrow_mut().extend(told);
            if self.tracks_origin {
                let origin = Origin::field(layer.origin_file(), step.plugin).into();
                for _ in 0..step.count {
                    self.record(&mut all.resources, &origin).map_err(at)?;
                }
            }
        }
        plugins::run_transformers(self, layer, all)?;
        if self.traces.is_some() {
            let by = layer.source("transformers", None);
            origin::observe(&mut all.resources, &|_, _| by.clone());
        }
        plugins::run_validators(self, layer, all)
    }

    /// Runs the first of `steps` together, as many as change each object on its own, and says how
    /// many those were: none where somebody asks what each step did.
    ///
    /// # Errors
    /// That of a transformer.
    fn run_together(
        &self,
        layer: &Layer<'_>,
        steps: &[transform::Step],
        resources: &mut Resources,
    ) -> Result<usize> {
        if self.traces.is_some() || self.tracks_origin {
            return Ok(0);
        }
        let mut together = Vec::new();
        for step in steps.iter().take(each::TOGETHER) {
            // What cannot begin is told when the steps in front of it have passed.
            let Ok(Some(each)) = step.transformer.each(&self.context) else {
                break;
            };
            let is_last = each.ends_unique();
            together.push(each);
            if is_last {
                break;
            }
        }
        let Some(last) = together.len().checked_sub(1) else {
            return Ok(0);
        };
        let place = |error, step: usize| {
            let step = &steps[step];
            layer.place(error, step.field, step.index)
        };
        each::run(&together, resources, &self.context)
            .map_err(|failed| place(failed.error, failed.step))?;
        let looks = self.context.meter.look(resources.take_looks());
        looks.map_err(|error| place(error, last))?;
        Ok(together.len())
    }

    /// Runs one transformer, and counts its looks at objects, each with its former names.
    ///
    /// # Errors
    /// The transformer's, or past the limit.
    pub fn run(&self, transformer: &dyn Transformer, resources: &mut Resources) -> Result<()> {
        if let Some(each) = transformer.each(&self.context)? {
            each::run(&[each], resources, &self.context).map_err(|failed| failed.error)?;
            return self.context.meter.look(resources.take_looks());
        }
        let mut looks = 1;
        if !transformer.counts_its_looks() {
            looks += resources.looks();
        }
        let meter = &self.context.meter;
        meter.look(looks)?;
        transformer.apply(resources, &self.context)?;
        resources.drop_deleted();
        meter.look(resources.take_looks())
    }

    /// Writes down that a transformer was here.
    ///
    /// # Errors
    /// Where that is too much to remember.
    pub fn record(&self, resources: &mut Resources, origin: &Arc<Origin>) -> Result<()> {
        let each = std::mem::size_of::<Origin>() + origin.text().len();
        self.context
            .meter
            .grow(each.saturating_mul(resources.len()))?;
        provenance::record(resources, origin);
        Ok(())
    }

    /// Whether somebody asks where the fields of an object were set.
    pub fn traces(&self, resource: &Resource) -> bool {
        let kind = self.traces.as_deref();
        kind.is_some_and(|kind| kind == resource.kind())
    }

    /// Whether anything of where objects and fields come from is written down.
    pub fn follows_origins(&self) -> bool {
        self.tracks_origin || self.traces.is_some()
    }

    /// Whether origins are written down.
    pub fn tracks_origin(&self) -> bool {
        self.tracks_origin
    }
}

/// An input may ask for a hash, and tell of earlier names, by kustomize's own annotations.
pub(super) fn adopt_bookkeeping(resource: &mut Resource) {
    // Hardly any input has one.
    let annotations = resource.object.get("metadata");
    let annotations = annotations.and_then(|metadata| metadata.get("annotations"));
    let is_ours = |key: &str| key.starts_with("internal.config.kubernetes.io/");
    let has_any = annotations
        .and_then(Node::as_mapping)
        .is_some_and(|annotations| annotations.keys().any(is_ours));
    if !has_any {
        return;
    }
    let annotation = |name: &str| {
        resource.metadata_entry(
            "annotations",
            &format!("internal.config.kubernetes.io/{name}"),
        )
    };
    let list = |name: &str| -> Option<Vec<String>> {
        annotation(name).map(|text| text.split(',').map(str::to_owned).collect())
    };
    let mut trail = resource.trail.clone();
    trail.needs_hash = annotation("needsHashSuffix").as_deref() == Some("enabled");
    if let (Some(names), Some(namespaces), Some(kinds)) = (
        list("previousNames"),
        list("previousNamespaces"),
        list("previousKinds"),
    ) {
        let ids = names.into_iter().zip(namespaces).zip(kinds);
        trail.past = ids
            .map(|((name, namespace), kind)| Past {
                namespace: namespace.into(),
                name: name.into(),
                kind: kind.into(),
            })
            .collect();
    }
    let texts = |name: &str| list(name).into_iter().flatten().map(Text::from).collect();
    trail.prefixes = texts("prefixes");
    trail.suffixes = texts("suffixes");
    resource.trail = trail;
}
