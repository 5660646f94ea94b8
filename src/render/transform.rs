//! The transformers of a kustomization file. Their order is behaviour, and it is this list.

use super::Transformer;
use super::build::Layer;
use super::config::FieldConfig;
use super::error::Result;
use super::image_name::ImageRule;
use super::images::Images;
use super::json6902::JsonPatch;
use super::labels::{self, Entries};
use super::name_affix::{End, NameAffix};
use super::namespace::{Namespace, Subjects};
use super::patches::{Patch, StrategicMerge};
use super::replacements::Replacements;
use super::replicas::Replicas;

/// One transformer and the field that asks for it.
pub(super) struct Step {
    /// The transformer.
    pub transformer: Box<dyn Transformer>,
    /// kustomize's name for it.
    pub plugin: &'static str,
    /// The field of the kustomization.
    pub field: &'static str,
    /// The entry of the field.
    pub index: Option<usize>,
    /// How many of kustomize's transformers it is: each leaves its name in the annotations.
    pub count: usize,
}

/// All transformers of a kustomization, in kustomize's order.
///
/// # Errors
/// On an entry that makes no transformer; no object was touched then.
pub(super) fn of_kustomization(layer: &Layer<'_>, config: &FieldConfig) -> Result<Vec<Step>> {
    let mut list = List {
        layer,
        steps: Vec::new(),
    };
    list.strategic_merges()?;
    list.patches()?;
    list.namespace(config);
    list.affix(End::Prefix, config);
    list.affix(End::Suffix, config);
    list.labels(config)?;
    list.annotations(config);
    list.json_patches()?;
    list.replicas(config);
    list.images(config)?;
    list.replacements()?;
    Ok(list.steps)
}

struct List<'a> {
    layer: &'a Layer<'a>,
    steps: Vec<Step>,
}

impl List<'_> {
    fn push(
        &mut self,
        transformer: impl Transformer + 'static,
        plugin: &'static str,
        field: &'static str,
        index: Option<usize>,
    ) {
        self.steps.push(Step {
            transformer: Box::new(transformer),
            plugin,
            field,
            index,
            count: 1,
        });
    }

    fn strategic_merges(&mut self) -> Result<()> {
        let entries = &self.layer.file.patches_strategic_merge;
        if !entries.is_empty() {
            let field = "patchesStrategicMerge";
            let merge = StrategicMerge::new(entries, "", &self.layer.loader)
                .map_err(|e| self.layer.place(e, field, None))?;
            self.push(merge, "PatchStrategicMergeTransformer", field, None);
        }
        Ok(())
    }

    fn patches(&mut self) -> Result<()> {
        for (i, entry) in self.layer.file.patches.iter().enumerate() {
            let patch = Patch::new(entry, &self.layer.loader)
                .map_err(|e| self.layer.place(e, "patches", Some(i)))?;
            self.push(patch, "PatchTransformer", "patches", Some(i));
        }
        Ok(())
    }

    fn namespace(&mut self, config: &FieldConfig) {
        let namespace = self.layer.file.namespace.clone();
        if !namespace.is_empty() {
            let specs = config.namespace.clone();
            let subjects = Subjects::default();
            let transformer = Namespace {
                namespace,
                specs,
                subjects,
                unset_only: false,
            };
            self.push(transformer, "NamespaceTransformer", "namespace", None);
        }
    }

    fn affix(&mut self, end: End, config: &FieldConfig) {
        let file = &self.layer.file;
        let (text, specs, plugin, field) = match end {
            End::Prefix => (
                &file.name_prefix,
                &config.name_prefix,
                "PrefixTransformer",
                "namePrefix",
            ),
            End::Suffix => (
                &file.name_suffix,
                &config.name_suffix,
                "SuffixTransformer",
                "nameSuffix",
            ),
        };
        if !text.is_empty() {
            let affix = NameAffix {
                end,
                text: text.clone(),
                specs: specs.clone(),
            };
            self.push(affix, plugin, field, None);
        }
    }

    fn labels(&mut self, config: &FieldConfig) -> Result<()> {
        let file = &self.layer.file;
        for (i, entry) in file.labels.iter().enumerate() {
            let specs = labels::specs_of(entry, config)
                .map_err(|e| self.layer.place(e, "labels", Some(i)))?;
            let entries = Entries {
                entries: entry.pairs.clone(),
                specs,
            };
            self.push(entries, "LabelTransformer", "labels", Some(i));
        }
        // kustomize runs this one also when there are only `labels`
        if !file.labels.is_empty() || !file.common_labels.is_empty() {
            let specs = config.common_labels.clone();
            let entries = Entries {
                entries: file.common_labels.clone(),
                specs,
            };
            self.push(entries, "LabelTransformer", "commonLabels", None);
        }
        Ok(())
    }

    fn annotations(&mut self, config: &FieldConfig) {
        let entries = self.layer.file.common_annotations.clone();
        if !entries.is_empty() {
            let specs = config.common_annotations.clone();
            let transformer = Entries { entries, specs };
            self.push(
                transformer,
                "AnnotationsTransformer",
                "commonAnnotations",
                None,
            );
        }
    }

    fn json_patches(&mut self) -> Result<()> {
        let field = "patchesJson6902";
        for (i, entry) in self.layer.file.patches_json6902.iter().enumerate() {
            let patch = JsonPatch::new(entry, &self.layer.loader)
                .map_err(|e| self.layer.place(e, field, Some(i)))?;
            self.push(patch, "PatchJson6902Transformer", field, Some(i));
        }
        Ok(())
    }

    fn replicas(&mut self, config: &FieldConfig) {
        for (i, entry) in self.layer.file.replicas.iter().enumerate() {
            let specs = config.replicas.clone();
            let transformer = Replicas {
                name: entry.name.clone(),
                count: entry.count,
                specs,
            };
            self.push(transformer, "ReplicaCountTransformer", "replicas", Some(i));
        }
    }

    fn images(&mut self, config: &FieldConfig) -> Result<()> {
        let mut rules = Vec::new();
        for (i, entry) in self.layer.file.images.iter().enumerate() {
            let rule = ImageRule::new(entry.clone())
                .map_err(|e| self.layer.place(e, "images", Some(i)))?;
            rules.push(rule);
        }
        if !rules.is_empty() {
            let (count, specs) = (rules.len(), config.images.clone());
            let transformer = Images { rules, specs };
            self.push(transformer, "ImageTagTransformer", "images", None);
            if let Some(step) = self.steps.last_mut() {
                step.count = count;
            }
        }
        Ok(())
    }

    fn replacements(&mut self) -> Result<()> {
        let entries = &self.layer.file.replacements;
        if !entries.is_empty() {
            let replacements = Replacements::new(entries, &self.layer.loader)
                .map_err(|e| self.layer.place(e, "replacements", None))?;
            self.push(replacements, "ReplacementTransformer", "replacements", None);
        }
        Ok(())
    }
}
