//! The kustomization file as a value: every field that kustomize v5.8 knows, decoded with its
//! strictness.

mod entries;
mod mistakes;

use std::collections::{BTreeMap, HashSet};

use super::decode::{Decoder, Record, Step, Strictness};
use super::error::{Error, Reason, Result};
use super::generators::{GeneratorArgs, GeneratorOptions};
use super::image_name::ImageChange;
use super::meter::Size;
use super::order::{Order, Ranks};
use crate::error::Diagnostic;
use crate::yaml::{Duplicates, Entries, Node, Resolver, View, read_first_document, resolve_view};
use mistakes::line_of;

pub(super) use entries::{
    FieldOptions, LabelEntry, PatchEntry, ReplacementEntry, ReplacementSource, ReplacementTarget,
    ReplicaEntry, VarEntry, field_spec, gvk, image, selector,
};
pub(super) use mistakes::{misfits, yaml_error};

/// The names under which a kustomization file is found.
pub(super) const FILE_NAMES: [&str; 3] =
    ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Whether the file stands for itself or changes what its parent has accumulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Kind {
    /// `kind: Kustomization`, also where none is given.
    #[default]
    Kustomization,
    /// `kind: Component`.
    Component,
}

/// One kustomization file.
#[derive(Debug, Default)]
pub(super) struct Kustomization {
    pub kind: Kind,
    pub resources: Vec<String>,
    pub components: Vec<String>,
    pub config_map_generator: Vec<GeneratorArgs>,
    pub secret_generator: Vec<GeneratorArgs>,
    pub generator_options: Option<GeneratorOptions>,
    pub generators: Vec<String>,
    pub transformers: Vec<String>,
    pub validators: Vec<String>,
    pub configurations: Vec<String>,
    pub crds: Vec<String>,
    pub openapi: BTreeMap<String, String>,
    pub namespace: String,
    pub name_prefix: String,
    pub name_suffix: String,
    pub labels: Vec<LabelEntry>,
    pub common_labels: BTreeMap<String, String>,
    pub common_annotations: BTreeMap<String, String>,
    pub patches_strategic_merge: Vec<String>,
    pub patches: Vec<PatchEntry>,
    pub patches_json6902: Vec<PatchEntry>,
    pub replicas: Vec<ReplicaEntry>,
    pub images: Vec<ImageChange>,
    pub replacements: Vec<ReplacementEntry>,
    pub vars: Vec<VarEntry>,
    pub sort_options: Option<SortOptions>,
    pub build_metadata: Vec<String>,
    /// The path of the file in the repository.
    pub path: String,
    /// What is deprecated in it.
    pub warnings: Vec<Diagnostic>,
    root: Option<Node>,
}

impl Kustomization {
    /// Reads a kustomization file. Only its first document counts.
    ///
    /// # Errors
    /// On text that is no YAML, and on every field of the wrong name or type.
    pub fn read(content: &[u8], path: &str) -> Result<Self> {
        let root = read_first_document(content).map_err(|e| yaml_error(&e, path))?;
        let Some(root) = root else {
            return Err(empty(path));
        };
        let view = resolve_view(&root, Resolver::Kubectl, Duplicates::LastWins)
            .map_err(|e| yaml_error(&e, path))?;
        let decoder = Decoder::new(Strictness::KUSTOMIZATION);
        let record = decoder.document(&view, "kustomization");
        let mut file = Self {
            path: path.to_owned(),
            ..Self::default()
        };
        file.fill(&record);
        let is_empty = file.is_empty(&record);
        record.finish();
        let mistakes = decoder.mistakes();
        if !mistakes.is_empty() {
            return Err(misfits(mistakes, &root, path));
        }
        if is_empty {
            return Err(empty(path));
        }
        file.root = Some(last_of_each_key(root));
        Ok(file)
    }

    /// What it consists of.
    pub fn size(&self) -> Size {
        self.root.as_ref().map_or(Size::default(), Size::of)
    }

    fn fill(&mut self, record: &Record<'_>) {
        self.kind = type_meta(record);
        if let Some(metadata) = record.record("metadata", "metadata") {
            // of no use, but a mistake in it is one
            metadata.text("name");
            metadata.text("namespace");
            metadata.text_map("labels");
            metadata.text_map("annotations");
            metadata.finish();
        }
        self.resources = record.texts("resources");
        self.resources.extend(record.texts("bases"));
        self.components = record.texts("components");
        self.config_map_generator = record.records(
            "configMapGenerator",
            "configMapGenerator",
            GeneratorArgs::read,
        );
        self.secret_generator =
            record.records("secretGenerator", "secretGenerator", GeneratorArgs::read);
        self.generator_options = record
            .record("generatorOptions", "generatorOptions")
            .map(|r| {
                let options = GeneratorOptions::read(&r);
                r.finish();
                options
            });
        self.generators = record.texts("generators");
        self.transformers = record.texts("transformers");
        self.validators = record.texts("validators");
        self.configurations = record.texts("configurations");
        self.crds = record.texts("crds");
        self.openapi = record.text_map("openapi");
        self.namespace = record.text("namespace");
        self.name_prefix = record.text("namePrefix");
        self.name_suffix = record.text("nameSuffix");
        self.labels = record.records("labels", "label", LabelEntry::read);
        self.common_labels = record.text_map("commonLabels");
        self.common_annotations = record.text_map("commonAnnotations");
        self.patches_strategic_merge = record.texts("patchesStrategicMerge");
        self.patches = record.records("patches", "patch", PatchEntry::read);
        self.patches_json6902 = record.records("patchesJson6902", "patch", PatchEntry::read);
        self.replicas = record.records("replicas", "replica", ReplicaEntry::read);
        self.images = record.records("images", "image", image);
        self.images
            .extend(record.records("imageTags", "image", image));
        self.replacements = record.records("replacements", "replacement", ReplacementEntry::read);
        self.vars = record.records("vars", "var", VarEntry::read);
        self.sort_options = record.record("sortOptions", "sortOptions").map(|r| {
            let options = SortOptions::read(&r);
            r.finish();
            options
        });
        self.build_metadata = record.texts("buildMetadata");
        refuse_charts(record);
        self.warnings = deprecations(record, &self.path);
    }

    /// Whether nothing but apiVersion and kind was given. `resources: []` is something.
    fn is_empty(&self, record: &Record<'_>) -> bool {
        !CONTENT_FIELDS.iter().any(|field| {
            record.value(field).is_some_and(|value| match value {
                View::Text(text) => !text.is_empty(),
                _ => true,
            })
        })
    }

    /// The line of a field, or of one element of its list.
    pub fn line(&self, field: &str, index: Option<usize>) -> u32 {
        let mut place = vec![Step::Key(field.to_owned())];
        place.extend(index.map(Step::Index));
        self.line_at(&place)
    }

    /// The line of a place, or of the nearest one above it that is there.
    pub fn line_at(&self, place: &[Step]) -> u32 {
        self.root.as_ref().map_or(0, |root| line_of(root, place))
    }

    /// The line of a text in one of the lists of paths: resources and bases are one list here.
    pub fn line_of_entry(&self, fields: &[&str], text: &str) -> u32 {
        let Some(root) = &self.root else { return 0 };
        let entries = fields
            .iter()
            .filter_map(|f| root.get(f))
            .flat_map(Node::items);
        entries
            .filter(|e| e.as_str() == Some(text))
            .map(Node::line)
            .next()
            .unwrap_or(0)
    }

    /// Whether `buildMetadata` has this word.
    pub fn asks_for(&self, word: &str) -> bool {
        self.build_metadata.iter().any(|have| have == word)
    }
}

/// The document with every field once, the last one where it is there several times: places are
/// looked up in it for every entry.
fn last_of_each_key(mut root: Node) -> Node {
    if let Some(mapping) = root.as_mapping_mut() {
        let mut seen = HashSet::new();
        let mut entries: Entries = std::mem::take(&mut mapping.entries)
            .into_iter()
            .rev()
            .filter(|(key, _)| seen.insert(key.text.clone()))
            .collect();
        entries.reverse();
        mapping.entries = entries;
    }
    root
}

/// Every field that makes a kustomization more than empty.
pub(super) const CONTENT_FIELDS: &[&str] = &[
    "metadata",
    "resources",
    "bases",
    "components",
    "configMapGenerator",
    "secretGenerator",
    "generatorOptions",
    "generators",
    "transformers",
    "validators",
    "configurations",
    "crds",
    "openapi",
    "namespace",
    "namePrefix",
    "nameSuffix",
    "labels",
    "commonLabels",
    "commonAnnotations",
    "patchesStrategicMerge",
    "patches",
    "patchesJson6902",
    "replicas",
    "images",
    "imageTags",
    "replacements",
    "vars",
    "sortOptions",
    "buildMetadata",
    "helmCharts",
    "helmGlobals",
    "helmChartInflationGenerator",
];

fn type_meta(record: &Record<'_>) -> Kind {
    let (api_version, kind) = (record.text("apiVersion"), record.text("kind"));
    let (meant, version) = match kind.as_str() {
        "Component" => (Kind::Component, "kustomize.config.k8s.io/v1alpha1"),
        _ => (Kind::Kustomization, "kustomize.config.k8s.io/v1beta1"),
    };
    if !matches!(kind.as_str(), "" | "Kustomization" | "Component") {
        record.mistake(
            format!("the kind is `{kind}`"),
            Some("a kustomization file has the kind Kustomization or Component"),
        );
    }
    if !api_version.is_empty() && api_version != version {
        record.mistake(
            format!("the apiVersion is `{api_version}`"),
            Some(if meant == Kind::Component {
                "write `apiVersion: kustomize.config.k8s.io/v1alpha1`"
            } else {
                "write `apiVersion: kustomize.config.k8s.io/v1beta1`"
            }),
        );
    }
    meant
}

/// `sortOptions`, as it is written.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct SortOptions {
    order: String,
    /// First and last kinds of `legacySortOptions`.
    lists: Option<(Vec<String>, Vec<String>)>,
}

impl SortOptions {
    fn read(record: &Record<'_>) -> Self {
        let order = record.text("order");
        let lists = record.record("legacySortOptions", "legacySortOptions");
        let lists = lists.map(|r| {
            let lists = (r.texts("orderFirst"), r.texts("orderLast"));
            r.finish();
            lists
        });
        Self { order, lists }
    }

    /// The order that they mean. Only those of the kustomization that is built are looked at.
    ///
    /// # Errors
    /// On an unknown order, and lists for one that has none.
    pub fn order(&self) -> Result<Order> {
        match (self.order.as_str(), &self.lists) {
            ("legacy", Some((first, last))) => Ok(Order::Legacy(Ranks::new(first, last))),
            ("legacy", None) => Ok(Order::Legacy(Ranks::default())),
            ("fifo", None) => Ok(Order::Fifo),
            ("fifo", Some(_)) => Err(Error::failed(
                "`legacySortOptions` is set, but the order is `fifo`",
            )),
            (order, _) => {
                Err(Error::failed(format!("the order is `{order}`"))
                    .hint("write `fifo` or `legacy`"))
            }
        }
    }
}

fn refuse_charts(record: &Record<'_>) {
    for field in ["helmCharts", "helmChartInflationGenerator"] {
        if matches!(record.value(field), Some(View::List(charts)) if !charts.is_empty()) {
            record.refuse(
                field,
                Reason::PluginsForbidden,
                format!("`{field}` is not supported: a render runs no other program"),
                "run `helm template` in CI and commit what it prints",
            );
        }
    }
    record.value("helmGlobals");
}

/// Deprecated fields and what to write instead.
const DEPRECATED: &[(&str, &str)] = &[
    ("bases", "resources"),
    ("commonLabels", "labels"),
    ("imageTags", "images"),
    ("patchesJson6902", "patches"),
    ("patchesStrategicMerge", "patches"),
    ("vars", "replacements"),
];

fn deprecations(record: &Record<'_>, path: &str) -> Vec<Diagnostic> {
    let used = DEPRECATED
        .iter()
        .filter(|(old, _)| record.value(old).is_some());
    used.map(|(old, new)| {
        Diagnostic::new(path, format!("`{old}` is deprecated")).hint(format!("use `{new}`"))
    })
    .collect()
}

fn empty(path: &str) -> Error {
    Error::failed("the kustomization is empty")
        .hint("name at least `resources`")
        .within(path)
}
