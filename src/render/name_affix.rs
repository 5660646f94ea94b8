//! `namePrefix` and `nameSuffix`.

use super::Transformer;
use super::context::Context;
use super::error::Result;
use super::fields::{replace_untyped, text};
use super::fieldspec::FieldSpec;
use super::identity::is_selected;
use super::meter::{Meter, NODE_BYTES};
use super::resource::Resource;
use super::resources::Resources;
use super::walk::{Make, visit};
use crate::object::Gvk;

/// At which end of the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Prefix,
    Suffix,
}

/// Puts text in front of names or behind them.
#[derive(Debug)]
pub(super) struct NameAffix {
    pub end: End,
    pub text: String,
    pub specs: Vec<FieldSpec>,
}

impl Transformer for NameAffix {
    fn apply(&self, resources: &mut Resources, context: &Context) -> Result<()> {
        resources
            .iter_mut()
            .try_for_each(|resource| self.rename(resource, &context.meter))
    }
}

impl NameAffix {
    fn rename(&self, resource: &mut Resource, meter: &Meter) -> Result<()> {
        let original = resource.original_id().gvk;
        if keeps_its_name(&original) {
            return Ok(());
        }
        for spec in self
            .specs
            .iter()
            .filter(|spec| is_selected(&original, &spec.gvk))
        {
            if spec.path == "metadata/name" && !self.text.is_empty() {
                match self.end {
                    End::Prefix => resource.trail.prefixes.push(self.text.clone()),
                    End::Suffix => resource.trail.suffixes.push(self.text.clone()),
                }
                resource.remember_id();
            }
            let now = resource.gvk();
            visit(
                &mut resource.object,
                &now,
                spec,
                Make::Scalar,
                &mut |node| {
                    // the name, and what is remembered of it
                    meter.grow(2 * (text(node).len() + self.text.len()) + NODE_BYTES)?;
                    let name = match self.end {
                        End::Prefix => format!("{}{}", self.text, text(node)),
                        End::Suffix => format!("{}{}", text(node), self.text),
                    };
                    replace_untyped(node, &name);
                    Ok(())
                },
            )
            .map_err(|e| e.about(resource.id()))?;
        }
        Ok(())
    }
}

/// Kinds whose names mean something outside of the build.
fn keeps_its_name(gvk: &Gvk) -> bool {
    matches!(
        (gvk.group.as_str(), gvk.kind.as_str()),
        (_, "CustomResourceDefinition" | "Namespace") | ("apiregistration.k8s.io", "APIService")
    )
}
