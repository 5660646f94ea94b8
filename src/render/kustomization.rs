//! The kustomization file as a value: every field that kustomize v5.8 knows, decoded with its
//! strictness.

use std::collections::BTreeMap;

use super::decode::{Decoder, Misfit, Record, Step, Strictness};
use super::error::{Error, Reason, Result};
use super::fieldspec::FieldSpec;
use super::generators::{GeneratorArgs, GeneratorOptions, Sources};
use super::image_name::ImageChange;
use super::order::{Order, Ranks};
use super::select::Selector;
use crate::error::{Diagnostic, Diagnostics};
use crate::object::Gvk;
use crate::yaml::{Duplicates, Node, Resolver, read_first_document, resolve};

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
    pub sort_order: Option<Order>,
    pub build_metadata: Vec<String>,
    /// The path of the file in the repository.
    pub path: String,
    /// What is deprecated in it.
    pub warnings: Vec<Diagnostic>,
    root: Option<Node>,
}

/// One entry of `labels`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct LabelEntry {
    pub pairs: BTreeMap<String, String>,
    pub include_selectors: bool,
    pub include_templates: bool,
    pub fields: Vec<FieldSpec>,
}

/// One entry of `patches` or `patchesJson6902`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct PatchEntry {
    pub path: String,
    pub patch: String,
    pub target: Option<Selector>,
    pub allow_name_change: bool,
    pub allow_kind_change: bool,
}

/// One entry of `replicas`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ReplicaEntry {
    pub name: String,
    pub count: i64,
}

/// One entry of `replacements`, in place or in a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ReplacementEntry {
    pub path: String,
    pub source: Option<ReplacementSource>,
    pub source_value: Option<String>,
    /// None where the field is missing.
    pub targets: Option<Vec<ReplacementTarget>>,
}

/// Where a replacement takes its value from.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ReplacementSource {
    pub selector: Selector,
    pub field_path: String,
    pub options: FieldOptions,
}

/// Where a replacement writes its value to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ReplacementTarget {
    pub select: Option<Selector>,
    pub reject: Vec<Selector>,
    pub field_paths: Vec<String>,
    pub options: FieldOptions,
}

/// Which part of a field is meant, and whether the field is made.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct FieldOptions {
    pub delimiter: String,
    pub index: i64,
    pub create: bool,
}

/// One entry of `vars`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct VarEntry {
    pub name: String,
    pub gvk: Option<Gvk>,
    pub object_name: String,
    pub namespace: String,
    pub field_path: String,
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
        let value = resolve(&root, Resolver::Kubectl, Duplicates::LastWins)
            .map_err(|e| yaml_error(&e, path))?;
        let decoder = Decoder::new(Strictness::KUSTOMIZATION);
        let record = decoder.document(&value, "kustomization");
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
        file.root = Some(root);
        Ok(file)
    }

    fn fill(&mut self, record: &Record<'_>) {
        self.kind = type_meta(record);
        record.value("metadata");
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
        self.sort_order = record.record("sortOptions", "sortOptions").map(|r| {
            let order = sort_order(&r);
            r.finish();
            order
        });
        self.build_metadata = record.texts("buildMetadata");
        refuse_charts(record);
        self.warnings = deprecations(record, &self.path);
    }

    /// Whether nothing but apiVersion and kind was given. `resources: []` is something.
    fn is_empty(&self, record: &Record<'_>) -> bool {
        !CONTENT_FIELDS.iter().any(|field| {
            record.value(field).is_some_and(|value| match value {
                serde_json::Value::String(text) => !text.is_empty(),
                _ => true,
            })
        })
    }

    /// The line of a field, or of one element of its list.
    pub fn line(&self, field: &str, index: Option<usize>) -> u32 {
        let mut place = vec![Step::Key(field.to_owned())];
        place.extend(index.map(Step::Index));
        self.root.as_ref().map_or(0, |root| line_of(root, &place))
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

/// Every field that makes a kustomization more than empty.
const CONTENT_FIELDS: &[&str] = &[
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

impl LabelEntry {
    fn read(record: &Record<'_>) -> Self {
        Self {
            pairs: record.text_map("pairs"),
            include_selectors: record.flag("includeSelectors"),
            include_templates: record.flag("includeTemplates"),
            fields: record.records("fields", "field spec", field_spec),
        }
    }
}

/// Reads one field spec.
pub(super) fn field_spec(record: &Record<'_>) -> FieldSpec {
    FieldSpec {
        gvk: gvk(record),
        path: record.text("path"),
        create: record.flag("create"),
    }
}

/// Reads group, version and kind.
pub(super) fn gvk(record: &Record<'_>) -> Gvk {
    Gvk {
        group: record.text("group"),
        version: record.text("version"),
        kind: record.text("kind"),
    }
}

impl PatchEntry {
    /// Reads one patch; also the configuration of the plugin is one.
    pub fn read(record: &Record<'_>) -> Self {
        let options = record.record("options", "patch options");
        let flag = |key| options.as_ref().is_some_and(|options| options.flag(key));
        let entry = Self {
            path: record.text("path"),
            patch: record.text("patch"),
            target: record.record("target", "target").map(|r| {
                let selector = selector(&r);
                r.finish();
                selector
            }),
            allow_name_change: flag("allowNameChange"),
            allow_kind_change: flag("allowKindChange"),
        };
        if let Some(options) = options {
            options.finish();
        }
        entry
    }
}

/// Reads a selector.
pub(super) fn selector(record: &Record<'_>) -> Selector {
    Selector {
        group: record.text("group"),
        version: record.text("version"),
        kind: record.text("kind"),
        name: record.text("name"),
        namespace: record.text("namespace"),
        annotation_selector: record.text("annotationSelector"),
        label_selector: record.text("labelSelector"),
    }
}

impl ReplicaEntry {
    /// Reads one entry.
    pub fn read(record: &Record<'_>) -> Self {
        Self {
            name: record.text("name"),
            count: record.integer("count"),
        }
    }
}

/// Reads one image entry.
pub(super) fn image(record: &Record<'_>) -> ImageChange {
    ImageChange {
        name: record.text("name"),
        new_name: record.text("newName"),
        tag_suffix: record.text("tagSuffix"),
        new_tag: record.text("newTag"),
        digest: record.text("digest"),
    }
}

impl ReplacementEntry {
    /// Reads one entry.
    pub fn read(record: &Record<'_>) -> Self {
        Self {
            path: record.text("path"),
            source: record.record("source", "replacement source").map(|r| {
                let source = ReplacementSource {
                    selector: identity_selector(&r),
                    field_path: r.text("fieldPath"),
                    options: FieldOptions::read(&r),
                };
                r.finish();
                source
            }),
            source_value: record.text_if_any("sourceValue"),
            targets: record
                .has("targets")
                .then(|| record.records("targets", "replacement target", ReplacementTarget::read)),
        }
    }
}

/// A source is found by its identity alone.
fn identity_selector(record: &Record<'_>) -> Selector {
    Selector {
        group: record.text("group"),
        version: record.text("version"),
        kind: record.text("kind"),
        name: record.text("name"),
        namespace: record.text("namespace"),
        ..Selector::default()
    }
}

impl ReplacementTarget {
    fn read(record: &Record<'_>) -> Self {
        Self {
            select: record.record("select", "selector").map(|r| {
                let selector = selector(&r);
                r.finish();
                selector
            }),
            reject: record.records("reject", "selector", selector),
            field_paths: record.texts("fieldPaths"),
            options: FieldOptions::read(record),
        }
    }
}

impl FieldOptions {
    fn read(parent: &Record<'_>) -> Self {
        let Some(record) = parent.record("options", "replacement options") else {
            return Self::default();
        };
        record.text("encoding");
        let options = Self {
            delimiter: record.text("delimiter"),
            index: record.integer("index"),
            create: record.flag("create"),
        };
        record.finish();
        options
    }
}

impl VarEntry {
    fn read(record: &Record<'_>) -> Self {
        let mut entry = Self {
            name: record.text("name"),
            ..Self::default()
        };
        if let Some(object) = record.record("objref", "objref") {
            let mut gvk = gvk(&object);
            let api_version = object.text("apiVersion");
            if !api_version.is_empty() {
                match api_version.split('/').collect::<Vec<_>>()[..] {
                    [group, version] => (gvk.group, gvk.version) = (group.into(), version.into()),
                    [version] => gvk.version = version.into(),
                    _ => {}
                }
            }
            entry.gvk = Some(gvk);
            entry.object_name = object.text("name");
            entry.namespace = object.text("namespace");
            object.finish();
        }
        if let Some(field) = record.record("fieldref", "fieldref") {
            entry.field_path = field.text("fieldPath");
            field.finish();
        }
        if entry.field_path.is_empty() {
            entry.field_path = "metadata.name".into();
        }
        entry
    }
}

fn sort_order(record: &Record<'_>) -> Order {
    let order = record.text("order");
    let lists = record
        .record("legacySortOptions", "legacySortOptions")
        .map(|r| {
            let lists = (r.texts("orderFirst"), r.texts("orderLast"));
            r.finish();
            lists
        });
    match (order.as_str(), lists) {
        ("legacy", Some((first, last))) => Order::Legacy(Ranks::new(&first, &last)),
        ("legacy", None) => Order::Legacy(Ranks::default()),
        ("fifo", None) => Order::Fifo,
        ("fifo", Some(_)) => {
            record.mistake("`legacySortOptions` is set, but the order is `fifo`", None);
            Order::Fifo
        }
        _ => {
            record.mistake(
                format!("the order is `{order}`"),
                Some("write `fifo` or `legacy`"),
            );
            Order::Fifo
        }
    }
}

fn refuse_charts(record: &Record<'_>) {
    for field in ["helmCharts", "helmChartInflationGenerator"] {
        let charts = record.value(field).and_then(serde_json::Value::as_array);
        if charts.is_some_and(|charts| !charts.is_empty()) {
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

/// A YAML mistake with its place.
pub(super) fn yaml_error(error: &crate::yaml::Error, path: &str) -> Error {
    let diagnostic = Diagnostic::new(path, error.message.clone()).at(error.line);
    Error::Mistake {
        reason: Reason::YamlInvalid,
        diagnostics: diagnostic.into(),
    }
}

/// Mistakes with the lines that `root` has for them.
pub(super) fn misfits(mistakes: Vec<Misfit>, root: &Node, path: &str) -> Error {
    let reason = mistakes.first().map_or(Reason::RenderFailed, |m| m.reason);
    let mut diagnostics = Diagnostics::default();
    for misfit in mistakes {
        let line = line_of(root, &misfit.place);
        let field = printed_place(&misfit.place);
        let message = match misfit.reason {
            Reason::RenderFailed if !field.is_empty() => format!("`{field}`: {}", misfit.message),
            _ => misfit.message,
        };
        let mut diagnostic = Diagnostic::new(path, message).at((line > 0).then_some(line));
        diagnostic.hint = misfit.hint;
        diagnostics.push(diagnostic);
    }
    diagnostics.0.sort();
    Error::Mistake {
        reason,
        diagnostics,
    }
}

/// `patches[0].target`
fn printed_place(place: &[Step]) -> String {
    let mut text = String::new();
    for step in place {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            Step::Index(i) => text.push_str(&format!("[{i}]")),
        }
    }
    text
}

/// The line of a place: of the key, or of the nearest node above that has one.
fn line_of(root: &Node, place: &[Step]) -> u32 {
    let (mut at, mut line) = (root, root.line());
    for step in place {
        let next = match (step, at) {
            (Step::Key(key), Node::Mapping(mapping)) => {
                let same = |k: &str| k == key || k.eq_ignore_ascii_case(key);
                mapping
                    .entries
                    .iter()
                    .rfind(|(k, _)| same(&k.text))
                    .map(|(k, v)| (k.line, v))
            }
            (Step::Index(i), Node::Sequence(list)) => list.items.get(*i).map(|n| (n.line(), n)),
            _ => None,
        };
        let Some((new_line, node)) = next else { break };
        (line, at) = (new_line, node);
    }
    line
}
