//! Which fields the transformers touch: kustomize's built-in tables, extended by the files under
//! `configurations:` and `crds:`, merged upwards through the layers.

mod defaults;
mod names;

use std::sync::Arc;

use super::error::{Error, Result};
use super::fieldspec::{self, FieldSpec};
use super::order::Ranks;
use crate::object::Gvk;

/// The fields of one kind of object's name in other objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NameReference {
    /// The kind whose names are meant.
    pub target: Gvk,
    /// The fields that hold such a name.
    pub referrers: Vec<FieldSpec>,
}

/// The field specs of one layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FieldConfig {
    /// Names that get the prefix.
    pub name_prefix: Vec<FieldSpec>,
    /// Names that get the suffix.
    pub name_suffix: Vec<FieldSpec>,
    /// Fields that hold the namespace, next to `metadata/namespace`.
    pub namespace: Vec<FieldSpec>,
    /// Labels and selectors of `commonLabels` and `includeSelectors`.
    pub common_labels: Vec<FieldSpec>,
    /// Labels of every `labels` entry; empty unless configured.
    pub labels: Vec<FieldSpec>,
    /// Labels of `includeTemplates`.
    pub template_labels: Vec<FieldSpec>,
    /// Annotations of `commonAnnotations`.
    pub common_annotations: Vec<FieldSpec>,
    /// Fields that hold the name of another object.
    pub name_references: Vec<NameReference>,
    /// Fields in which vars are replaced.
    pub var_references: Vec<FieldSpec>,
    /// Image fields, next to those found by the name of the list.
    pub images: Vec<FieldSpec>,
    /// Replica counts.
    pub replicas: Vec<FieldSpec>,
}

impl FieldConfig {
    /// kustomize's built-in field specs.
    pub fn builtin() -> Self {
        let mut config = Self {
            name_prefix: vec![FieldSpec::any("metadata/name", false)],
            name_suffix: vec![FieldSpec::any("metadata/name", false)],
            namespace: defaults::namespace(),
            common_labels: defaults::common_labels(),
            labels: Vec::new(),
            template_labels: defaults::template_labels(),
            common_annotations: defaults::common_annotations(),
            name_references: names::references(),
            var_references: defaults::var_references(),
            images: defaults::images(),
            replicas: defaults::replicas(),
        };
        config.sort();
        config
    }

    /// Every list of field specs, by its key in a `configurations:` file.
    pub fn lists(&mut self) -> [(&'static str, &mut Vec<FieldSpec>); 10] {
        [
            ("namePrefix", &mut self.name_prefix),
            ("nameSuffix", &mut self.name_suffix),
            ("namespace", &mut self.namespace),
            ("commonLabels", &mut self.common_labels),
            ("labels", &mut self.labels),
            ("templateLabels", &mut self.template_labels),
            ("commonAnnotations", &mut self.common_annotations),
            ("varReference", &mut self.var_references),
            ("images", &mut self.images),
            ("replicas", &mut self.replicas),
        ]
    }

    /// Sorts every list by kind.
    pub fn sort(&mut self) {
        for (_, specs) in self.lists() {
            fieldspec::sort(specs);
        }
        let ranks = Ranks::default();
        self.name_references
            .sort_by(|a, b| ranks.compare_plain(&a.target, &b.target));
    }

    /// Adds everything of `other` that is new.
    ///
    /// # Errors
    /// Where the two say different things about creating a field.
    pub fn merge(&mut self, mut other: Self) -> Result<()> {
        for ((key, specs), (_, incoming)) in self.lists().into_iter().zip(other.lists()) {
            fieldspec::merge_all(specs, incoming).map_err(|e| conflict(key, e))?;
        }
        for reference in &other.name_references {
            self.merge_reference(reference)
                .map_err(|e| conflict("nameReference", e))?;
        }
        self.sort();
        Ok(())
    }

    /// Adds the referrers of one kind.
    ///
    /// # Errors
    /// As [`FieldConfig::merge`].
    pub fn merge_reference(&mut self, reference: &NameReference) -> Result<()> {
        let mut found = false;
        for have in self
            .name_references
            .iter_mut()
            .filter(|h| h.target == reference.target)
        {
            fieldspec::merge_all(&mut have.referrers, &reference.referrers)?;
            found = true;
        }
        if !found {
            fieldspec::check_room(self.name_references.len())?;
            self.name_references.push(reference.clone());
        }
        Ok(())
    }
}

fn conflict(key: &str, error: Error) -> Error {
    error.hint(format!("see `{key}` in the files under `configurations`"))
}

/// The configuration that a layer has gathered. Layers without `configurations` and `crds` share the
/// built-in one, so that merging them costs nothing.
///
/// It starts empty, not built-in: what is merged first shadows what comes later, and a spec for one
/// kind shadows the built-in one for every kind. Restricting `namePrefix` to some kinds works so.
#[derive(Debug, Clone)]
pub(super) struct Layered {
    builtin: Arc<FieldConfig>,
    gathered: Option<Arc<FieldConfig>>,
}

impl Layered {
    /// Nothing yet.
    pub fn new(builtin: &Arc<FieldConfig>) -> Self {
        Self {
            builtin: builtin.clone(),
            gathered: None,
        }
    }

    /// What was gathered.
    pub fn get(&self) -> &FieldConfig {
        self.gathered.as_deref().unwrap_or(&self.builtin)
    }

    /// Adds one configuration.
    ///
    /// # Errors
    /// As [`FieldConfig::merge`].
    pub fn add(&mut self, config: &Arc<FieldConfig>) -> Result<()> {
        // the built-in one merged with itself, or with nothing, stays as it is
        match &mut self.gathered {
            None if Arc::ptr_eq(&self.builtin, config) => self.gathered = Some(config.clone()),
            None => {
                let mut merged = FieldConfig::default();
                merged.merge((**config).clone())?;
                self.gathered = Some(Arc::new(merged));
            }
            Some(gathered) if Arc::ptr_eq(gathered, config) => {}
            Some(gathered) => Arc::make_mut(gathered).merge((**config).clone())?,
        }
        Ok(())
    }

    /// Adds what another layer gathered.
    ///
    /// # Errors
    /// As [`FieldConfig::merge`].
    pub fn absorb(&mut self, other: &Self) -> Result<()> {
        other
            .gathered
            .as_ref()
            .map_or(Ok(()), |config| self.add(config))
    }
}
