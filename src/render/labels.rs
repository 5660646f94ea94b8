//! `labels`, `commonLabels` and `commonAnnotations`: entries that are set in the mappings that field
//! specs name.

use std::collections::BTreeMap;

use super::Transformer;
use super::config::FieldConfig;
use super::context::Context;
use super::each::{self, Each, Worker};
use super::error::Result;
use super::fieldspec::{ByKind, FieldSpec, merge_all, merge_one};
use super::json6902::ensure_annotations;
use super::kustomization::LabelEntry;
use super::meter::{Meter, NODE_BYTES};
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
        each::apply(self, resources, context)
    }

    fn each<'a>(&'a self, context: &'a Context) -> Result<Option<Box<dyn Each + 'a>>> {
        let entries = self.entries.iter();
        let entries = entries.map(|(key, value)| (key.as_str(), value.as_str()));
        Ok(Some(Box::new(EachObject {
            entries: entries
                .map(|entry| (entry, context.shares.next()))
                .collect(),
            specs: &self.specs,
            meter: &context.meter,
        })))
    }
}

/// Its work on each object.
struct EachObject<'a> {
    /// Each with the number of those of its values that are one.
    entries: Vec<((&'a str, &'a str), u16)>,
    specs: &'a [FieldSpec],
    meter: &'a Meter,
}

impl Each for EachObject<'_> {
    fn worker(&self) -> Worker<'_> {
        let mut by_kind = ByKind::new(self.specs);
        Box::new(move |resource| {
            let specs = by_kind.of(resource.kind_ref());
            if resource.trail.annotated {
                ensure_annotations(&mut resource.object);
            }
            let mut changed = Vec::new();
            for ((key, value), share) in &self.entries {
                visit_all(&mut resource.object, &specs, Make::Mapping, &mut |node| {
                    self.meter.grow(key.len() + value.len() + 2 * NODE_BYTES)?;
                    set_entry(node, key, value, *share, &mut changed)
                })
                .map_err(|e| resource.blame(e))?;
            }
            sharing::follow(&mut resource.object, &changed);
            Ok(())
        })
    }

    fn steps(&self, objects: usize) -> usize {
        // each entry is looked for among the others
        let entries = self.entries.len();
        entries.saturating_mul(entries).saturating_mul(objects)
    }

    fn changes_ids(&self) -> bool {
        false
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
