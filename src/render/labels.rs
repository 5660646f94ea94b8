//! `labels`, `commonLabels` and `commonAnnotations`: entries that are set in the mappings that field
//! specs name.

use std::collections::BTreeMap;

use super::Transformer;
use super::config::FieldConfig;
use super::context::Context;
use super::error::Result;
use super::fieldspec::{ByKind, FieldSpec, merge_all, merge_one};
use super::json6902::ensure_annotations;
use super::kustomization::LabelEntry;
use super::meter::NODE_BYTES;
use super::resources::Resources;
use super::sharing;
use super::walk::{Make, set_entry, visit_all};

/// Sets labels or annotations.
#[derive(Debug)]
pub(super) struct Entries {
    pub entries: BTreeMap<String, String>,
    pub specs: Vec<FieldSpec>,
}

impl Transformer for Entries {
    fn apply(&self, resources: &mut Resources, context: &Context) -> Result<()> {
        let meter = &context.meter;
        // each entry is looked for among the others
        let work = self.entries.len().saturating_mul(self.entries.len());
        meter.work(work.saturating_mul(resources.len()))?;
        let shares: Vec<u16> = self.entries.iter().map(|_| context.shares.next()).collect();
        let mut by_kind = ByKind::new(&self.specs);
        for resource in resources.iter_mut_keeping_ids() {
            let specs = by_kind.of(resource.kind_ref());
            if resource.trail.annotated {
                ensure_annotations(&mut resource.object);
            }
            let mut changed = Vec::new();
            for ((key, value), share) in self.entries.iter().zip(&shares) {
                visit_all(&mut resource.object, &specs, Make::Mapping, &mut |node| {
                    meter.grow(key.len() + value.len() + 2 * NODE_BYTES)?;
                    set_entry(node, key, value, *share, &mut changed)
                })
                .map_err(|e| {
                    e.about(resource.id())
                        .on_line(resource.source.line.unwrap_or(0))
                        .within(&resource.source.path)
                })?;
            }
            sharing::follow(&mut resource.object, &changed);
        }
        Ok(())
    }
}

/// The fields that one entry of `labels` touches.
///
/// # Errors
/// Where its own field specs contradict the built-in ones.
pub(super) fn specs_of(entry: &LabelEntry, config: &FieldConfig) -> Result<Vec<FieldSpec>> {
    let mut specs = entry.fields.clone();
    merge_all(&mut specs, &config.labels)?;
    if entry.include_selectors {
        merge_all(&mut specs, &config.common_labels)?;
        return Ok(specs);
    }
    if entry.include_templates {
        merge_all(&mut specs, &config.template_labels)?;
    }
    merge_one(&mut specs, &FieldSpec::any("metadata/labels", true))?;
    Ok(specs)
}
