//! `generators`, `transformers` and `validators`: kustomize's builtin plugins with configurations of
//! their own. Every other plugin would have to be run, and is refused.

use std::sync::Arc;

use super::Transformer;
use super::build::{Accumulated, Build, Layer};
use super::decode::{Decoder, Record, Strictness};
use super::error::{Error, Reason, Result};
use super::fields::set_metadata_text;
use super::fieldspec::FieldSpec;
use super::generators::{self, GeneratorArgs, absorb, add_hashes, generate};
use super::image_name::ImageRule;
use super::images::Images;
use super::json6902::JsonPatch;
use super::kustomization::{
    PatchEntry, ReplacementEntry, ReplicaEntry, field_spec, image, misfits,
};
use super::labels::Entries;
use super::meter::Size;
use super::name_affix::{End, NameAffix};
use super::namespace::{Namespace, Subjects};
use super::patches::{Patch, StrategicMerge};
use super::provenance::{Origin, Plugin};
use super::replacements::Replacements;
use super::replicas::Replicas;
use super::resource::{Resource, set_metadata_map};
use super::resources::Resources;
use super::value_add::ValueAdd;
use super::{Source, context, manifest};
use crate::yaml::{Duplicates, Mapping, Node, Resolver, resolve_view};

/// Runs the plugins of `generators`.
///
/// # Errors
/// On a plugin that is not builtin, a configuration that does not fit, and what they return.
pub(super) fn run_generators(
    build: &Build,
    layer: &Layer<'_>,
    all: &mut Accumulated,
) -> Result<()> {
    for resource in configurations(build, layer, "generators", &layer.file.generators)? {
        let at = |e: Error| place(e, layer, &resource);
        let target = match builtin(&resource).map_err(at)?.as_str() {
            "ConfigMapGenerator" => generators::Target::ConfigMap,
            "SecretGenerator" => generators::Target::Secret,
            "IAMPolicyGenerator" => {
                let account = decode(&resource, |record| {
                    service_account(record, resource.source.clone())
                });
                let mut account = account.map_err(at)?;
                account.trail.origin = plugin_origin(&resource);
                absorb(&mut all.resources, account).map_err(at)?;
                continue;
            }
            "HelmChartInflationGenerator" => {
                return Err(at(forbidden("HelmChartInflationGenerator")));
            }
            other => return Err(at(Error::failed(format!("`{other}` is no generator")))),
        };
        let args = decode(&resource, |record| {
            let mut args = GeneratorArgs::read(record);
            if let Some(metadata) = record.record("metadata", "metadata") {
                if args.name.is_empty() {
                    args.name = metadata.text("name");
                }
                if args.namespace.is_empty() {
                    args.namespace = metadata.text("namespace");
                }
            }
            Ok(args)
        })
        .map_err(at)?;
        let source = resource.source.clone();
        let mut made = generate(&layer.loader, target, &args, source).map_err(at)?;
        made.trail.origin = plugin_origin(&resource);
        absorb(&mut all.resources, made).map_err(at)?;
    }
    Ok(())
}

/// The builtin plugin `IAMPolicyGenerator`: a service account of Google's cloud.
fn service_account(record: &Record<'_>, source: Source) -> Result<Resource> {
    let cloud = record.text("cloud");
    if cloud != "gke" {
        return Err(
            Error::failed(format!("the cloud `{cloud}` is not supported"))
                .hint("`gke` is the only one"),
        );
    }
    let part = |key, field| {
        record
            .record(key, "part")
            .map(|r| r.text(field))
            .unwrap_or_default()
    };
    let (name, project) = (
        part("serviceAccount", "name"),
        part("serviceAccount", "projectId"),
    );
    let mut object = Mapping::new();
    object.set("apiVersion", Node::plain("v1"));
    object.set("kind", Node::plain("ServiceAccount"));
    set_metadata_text(&mut object, "name", &part("kubernetesService", "name"));
    let namespace = part("kubernetesService", "namespace");
    if !namespace.is_empty() {
        set_metadata_text(&mut object, "namespace", &namespace);
    }
    let key = "iam.gke.io/gcp-service-account".to_owned();
    let value = format!("{name}@{project}.iam.gserviceaccount.com");
    set_metadata_map(&mut object, "annotations", vec![(key, value)]);
    Ok(Resource::new(object, source))
}

/// Runs the plugins of `transformers`.
///
/// # Errors
/// As [`run_generators`].
pub(super) fn run_transformers(
    build: &Build,
    layer: &Layer<'_>,
    all: &mut Accumulated,
) -> Result<()> {
    let loaded = load(build, layer, "transformers", &layer.file.transformers)?;
    for (resource, transformer) in &loaded {
        build
            .run(transformer.as_ref(), &mut all.resources)
            .map_err(|e| place(e, layer, resource))?;
        if let Some(origin) = plugin_origin(resource) {
            build
                .record(&mut all.resources, &origin)
                .map_err(|e| place(e, layer, resource))?;
        }
    }
    Ok(())
}

/// Runs the plugins of `validators`: transformers that may change nothing.
///
/// # Errors
/// As [`run_generators`], and where one changes an object.
pub(super) fn run_validators(
    build: &Build,
    layer: &Layer<'_>,
    all: &mut Accumulated,
) -> Result<()> {
    for (resource, transformer) in load(build, layer, "validators", &layer.file.validators)? {
        let objects = |r: &Resources| r.iter().map(|one| one.object.clone()).collect::<Vec<_>>();
        let before = objects(&all.resources);
        let at = |e| place(e, layer, &resource);
        let nodes: usize = all
            .resources
            .iter()
            .map(|one| Size::of_object(&one.object).nodes)
            .sum();
        build.context.meter.work(nodes).map_err(at)?;
        transformer
            .apply(&mut all.resources, &build.context)
            .map_err(at)?;
        if before != objects(&all.resources) {
            return Err(at(
                Error::failed("a validator changes objects").hint("name it under `transformers`")
            ));
        }
    }
    Ok(())
}

type Loaded = Vec<(Resource, Box<dyn Transformer>)>;

fn load(build: &Build, layer: &Layer<'_>, field: &str, entries: &[String]) -> Result<Loaded> {
    let configurations = configurations(build, layer, field, entries)?;
    let load = |resource: Resource| {
        let made = transformer(&resource, layer).map_err(|e| place(e, layer, &resource))?;
        Ok((resource, made))
    };
    configurations.into_iter().map(load).collect()
}

/// The configurations: inline YAML, files, or directories that build them. Inline ones come first.
fn configurations(
    build: &Build,
    layer: &Layer<'_>,
    field: &str,
    entries: &[String],
) -> Result<Vec<Resource>> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let mut all = build.empty();
    let mut paths = Vec::new();
    for (i, entry) in entries.iter().enumerate() {
        let line = layer.file.line(field, Some(i));
        match manifest::read(entry.as_bytes(), "") {
            Ok(read) => {
                layer.loader.count_all(&read)?;
                for mut resource in read {
                    resource.source.path.clone_from(&layer.file.path);
                    resource.source.line = (line > 0).then_some(line);
                    if build.tracks_origin() {
                        let file = layer.origin_file();
                        let origin = Origin {
                            path: file,
                            ..Origin::default()
                        };
                        resource.trail.origin = Some(origin.into());
                    }
                    all.resources.append(resource)?;
                }
            }
            Err(error) if entry.contains('\n') => {
                return Err(error.on_line(line).within(&layer.file.path));
            }
            Err(_) => paths.push(entry.clone()),
        }
    }
    build.resources(layer, &paths, &[field], &mut all)?;
    Ok(all
        .resources
        .into_list()
        .into_iter()
        .map(|one| *one)
        .collect())
}

fn place(error: Error, layer: &Layer<'_>, resource: &Resource) -> Error {
    let path = if resource.source.path.is_empty() {
        &layer.file.path
    } else {
        &resource.source.path
    };
    error
        .on_line(resource.source.line.unwrap_or(0))
        .within(path)
}

/// The kind of a builtin plugin.
fn builtin(resource: &Resource) -> Result<String> {
    let gvk = resource.gvk();
    if gvk.group.is_empty() && gvk.version == "builtin" {
        return Ok(gvk.kind.clone());
    }
    Err(forbidden(&gvk.kind))
}

fn forbidden(kind: &str) -> Error {
    Error::new(
        Reason::PluginsForbidden,
        format!("the plugin `{kind}` is not supported: a render runs no other program"),
    )
    .hint("run it in CI and commit what it prints; builtin plugins have `apiVersion: builtin`")
}

fn plugin_origin(resource: &Resource) -> Option<Arc<Origin>> {
    let origin = resource.trail.origin.as_ref()?;
    let id = resource.id();
    Some(Arc::new(Origin {
        path: String::new(),
        configured_in: origin.path.clone(),
        configured_by: Some(Plugin {
            api_version: id.gvk.api_version(),
            kind: id.gvk.kind.clone(),
            name: id.name,
            namespace: id.namespace,
        }),
    }))
}

/// Decodes a configuration. Unknown fields are ignored, as in kustomize.
fn decode<T>(resource: &Resource, read: impl FnOnce(&Record<'_>) -> Result<T>) -> Result<T> {
    let root = Node::Mapping(resource.object.clone());
    let view = resolve_view(&root, Resolver::Kustomize, Duplicates::Error)
        .map_err(|e| Error::new(Reason::YamlInvalid, e.message))?;
    let decoder = Decoder::new(Strictness::PLUGIN);
    let record = decoder.document(&view, "plugin configuration");
    let decoded = read(&record);
    let mistakes = decoder.mistakes();
    if mistakes.is_empty() {
        decoded
    } else {
        Err(misfits(mistakes, &root, &resource.source.path))
    }
}

/// Several transformers as one.
#[derive(Debug)]
struct Both(Vec<Box<dyn Transformer>>);

impl Transformer for Both {
    fn apply(&self, resources: &mut Resources, context: &context::Context) -> Result<()> {
        self.0
            .iter()
            .try_for_each(|one| one.apply(resources, context))
    }

    fn counts_its_looks(&self) -> bool {
        true
    }
}

/// Adds hashes to names in the middle of a build.
#[derive(Debug)]
struct Hash;

impl Transformer for Hash {
    fn apply(&self, resources: &mut Resources, _: &context::Context) -> Result<()> {
        add_hashes(resources)
    }
}

fn transformer(resource: &Resource, layer: &Layer<'_>) -> Result<Box<dyn Transformer>> {
    let kind = builtin(resource)?;
    decode(resource, |record| make(&kind, record, layer))
}

fn specs(record: &Record<'_>) -> Vec<FieldSpec> {
    record.records("fieldSpecs", "field spec", field_spec)
}

fn make(kind: &str, record: &Record<'_>, layer: &Layer<'_>) -> Result<Box<dyn Transformer>> {
    let loader = &layer.loader;
    let affix = |end, key| {
        if !record.has("fieldSpecs") {
            return Err(Error::failed("the plugin needs `fieldSpecs`")
                .hint("write `fieldSpecs: [{path: metadata/name}]`"));
        }
        Ok(Box::new(NameAffix {
            end,
            text: record.text(key),
            specs: specs(record),
        }))
    };
    Ok(match kind {
        "AnnotationsTransformer" => Box::new(Entries {
            entries: record.text_map("annotations"),
            specs: specs(record),
        }),
        "LabelTransformer" => Box::new(Entries {
            entries: record.text_map("labels"),
            specs: specs(record),
        }),
        "PrefixTransformer" => affix(End::Prefix, "prefix")?,
        "SuffixTransformer" => affix(End::Suffix, "suffix")?,
        "PrefixSuffixTransformer" => Box::new(Both(vec![
            affix(End::Prefix, "prefix")?,
            affix(End::Suffix, "suffix")?,
        ])),
        "NamespaceTransformer" => Box::new(namespace(record)?),
        "ImageTagTransformer" => {
            let change = record
                .record("imageTag", "image")
                .map(|r| image(&r))
                .unwrap_or_default();
            Box::new(Images {
                rules: vec![ImageRule::new(change)?],
                specs: specs(record),
            })
        }
        "ReplicaCountTransformer" => {
            let entry = record
                .record("replica", "replica")
                .map(|r| ReplicaEntry::read(&r));
            let ReplicaEntry { name, count } = entry.unwrap_or_default();
            Box::new(Replicas {
                name,
                count,
                specs: specs(record),
            })
        }
        "ReplacementTransformer" => {
            let entries = record.records("replacements", "replacement", ReplacementEntry::read);
            Box::new(Replacements::new(&entries, loader)?)
        }
        "PatchTransformer" => Box::new(Patch::new(&PatchEntry::read(record), loader)?),
        "PatchStrategicMergeTransformer" => {
            let (paths, patches) = (record.texts("paths"), record.text("patches"));
            Box::new(StrategicMerge::new(&paths, &patches, loader)?)
        }
        "PatchJson6902Transformer" => {
            let patch = record.text("jsonOp");
            Box::new(JsonPatch::new(
                &PatchEntry {
                    patch,
                    ..PatchEntry::read(record)
                },
                loader,
            )?)
        }
        "ValueAddTransformer" => Box::new(ValueAdd::new(record, loader)?),
        "HashTransformer" => Box::new(Hash),
        other => return Err(Error::failed(format!("`{other}` is no transformer"))),
    })
}

fn namespace(record: &Record<'_>) -> Result<Namespace> {
    let namespace = record
        .record("metadata", "metadata")
        .map(|r| r.text("namespace"));
    let subjects = match record.text("setRoleBindingSubjects").as_str() {
        "" | "defaultOnly" => Subjects::Default,
        "allServiceAccounts" => Subjects::AllServiceAccounts,
        "none" => Subjects::None,
        other => {
            return Err(
                Error::failed(format!("`setRoleBindingSubjects` is `{other}`"))
                    .hint("write `defaultOnly`, `allServiceAccounts` or `none`"),
            );
        }
    };
    Ok(Namespace {
        namespace: namespace.unwrap_or_default(),
        specs: specs(record),
        subjects,
        unset_only: record.flag("unsetOnly"),
    })
}
