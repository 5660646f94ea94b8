//! The entries of a kustomization's lists. Plugin configurations and files of replacements hold the
//! same ones.

use std::collections::BTreeMap;

use super::super::decode::Record;
use super::super::fieldspec::FieldSpec;
use super::super::image_name::ImageChange;
use super::super::select::Selector;
use crate::object::Gvk;

/// One entry of `labels`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in super::super) struct LabelEntry {
    pub pairs: BTreeMap<String, String>,
    pub include_selectors: bool,
    pub include_templates: bool,
    pub fields: Vec<FieldSpec>,
}

/// One entry of `patches` or `patchesJson6902`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in super::super) struct PatchEntry {
    pub path: String,
    pub patch: String,
    pub target: Option<Selector>,
    pub allow_name_change: bool,
    pub allow_kind_change: bool,
}

/// One entry of `replicas`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in super::super) struct ReplicaEntry {
    pub name: String,
    pub count: i64,
}

/// One entry of `replacements`, in place or in a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in super::super) struct ReplacementEntry {
    pub path: String,
    pub source: Option<ReplacementSource>,
    pub source_value: Option<String>,
    /// None where the field is missing.
    pub targets: Option<Vec<ReplacementTarget>>,
}

/// Where a replacement takes its value from.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in super::super) struct ReplacementSource {
    pub selector: Selector,
    pub field_path: String,
    pub options: FieldOptions,
}

/// Where a replacement writes its value to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in super::super) struct ReplacementTarget {
    pub select: Option<Selector>,
    pub reject: Vec<Selector>,
    pub field_paths: Vec<String>,
    pub options: FieldOptions,
}

/// Which part of a field is meant, and whether the field is made.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in super::super) struct FieldOptions {
    pub delimiter: String,
    pub index: i64,
    pub create: bool,
}

/// One entry of `vars`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in super::super) struct VarEntry {
    pub name: String,
    pub gvk: Option<Gvk>,
    pub object_name: String,
    pub namespace: String,
    pub field_path: String,
}

impl LabelEntry {
    pub(super) fn read(record: &Record<'_>) -> Self {
        Self {
            pairs: record.text_map("pairs"),
            include_selectors: record.flag("includeSelectors"),
            include_templates: record.flag("includeTemplates"),
            fields: record.records("fields", "field spec", field_spec),
        }
    }
}

/// Reads one field spec.
pub(in super::super) fn field_spec(record: &Record<'_>) -> FieldSpec {
    FieldSpec::new(gvk(record), record.text("path"), record.flag("create"))
}

/// Reads group, version and kind.
pub(in super::super) fn gvk(record: &Record<'_>) -> Gvk {
    Gvk::new(
        record.strict_text("group"),
        record.strict_text("version"),
        record.strict_text("kind"),
    )
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
pub(in super::super) fn selector(record: &Record<'_>) -> Selector {
    Selector {
        group: record.strict_text("group"),
        version: record.strict_text("version"),
        kind: record.strict_text("kind"),
        name: record.strict_text("name"),
        namespace: record.strict_text("namespace"),
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
pub(in super::super) fn image(record: &Record<'_>) -> ImageChange {
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
        group: record.strict_text("group"),
        version: record.strict_text("version"),
        kind: record.strict_text("kind"),
        name: record.strict_text("name"),
        namespace: record.strict_text("namespace"),
        ..Selector::default()
    }
}

impl ReplacementTarget {
    pub(super) fn read(record: &Record<'_>) -> Self {
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
    pub(super) fn read(parent: &Record<'_>) -> Self {
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
    pub(super) fn read(record: &Record<'_>) -> Self {
        let mut entry = Self {
            name: record.text("name"),
            ..Self::default()
        };
        if let Some(object) = record.record("objref", "objref") {
            let mut gvk = gvk(&object);
            let api_version = object.text("apiVersion");
            if !api_version.is_empty() {
                match api_version.split('/').collect::<Vec<_>>()[..] {
                    [group, version] => gvk = Gvk::new(group, version, &gvk.kind),
                    [version] => gvk = Gvk::new(&gvk.group, version, &gvk.kind),
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
