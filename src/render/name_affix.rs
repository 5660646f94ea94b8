//! `namePrefix` and `nameSuffix`.

use super::Transformer;
use super::context::Context;
use super::each::{self, Each, Worker};
use super::error::{Error, Result};
use super::fields::{replace_untyped, text, type_name};
use super::fieldspec::{ByKind, FieldSpec};
use super::identity::KindRef;
use super::meter::{Meter, NODE_BYTES};
use super::resource::Resource;
use super::resources::Resources;
use super::walk::{Make, visit};
use crate::yaml::Node;

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
        each::apply(self, resources, context)
    }

    fn each<'a>(&'a self, context: &'a Context) -> Result<Option<Box<dyn Each + 'a>>> {
        let meter = &context.meter;
        Ok(Some(Box::new(EachObject { affix: self, meter })))
    }
}

/// Its work on each object.
struct EachObject<'a> {
    affix: &'a NameAffix,
    meter: &'a Meter,
}

impl Each for EachObject<'_> {
    fn worker(&self) -> Worker<'_> {
        let mut by_kind = ByKind::new(&self.affix.specs);
        Box::new(move |resource| {
            let original = resource.original_kind_ref();
            if keeps_its_name(original) {
                return Ok(());
            }
            let specs = by_kind.of(original);
            self.affix.rename(resource, &specs, self.meter)
        })
    }

    fn changes_ids(&self) -> bool {
        true
    }
}

impl NameAffix {
    fn rename(&self, resource: &mut Resource, specs: &[&FieldSpec], meter: &Meter) -> Result<()> {
        for spec in specs {
            if spec.path == "metadata/name" && !self.text.is_empty() {
                let affixes = match self.end {
                    End::Prefix => &mut resource.trail.prefixes,
                    End::Suffix => &mut resource.trail.suffixes,
                };
                // As the names themselves: few are to come.
                affixes.reserve_exact(1);
                affixes.push(self.text.as_str().into());
                resource.remember_id();
            }
            if !resource.kind_ref().is_selected(&spec.gvk) {
                continue;
            }
            visit(&mut resource.object, spec, Make::Scalar, &mut |node| {
                if !matches!(node, Node::Scalar(_)) {
                    let found = type_name(node);
                    return Err(Error::failed(format!("a field for a name is {found}")));
                }
                // the name, and what is remembered of it
                meter.grow(2 * (text(node).len() + self.text.len()) + NODE_BYTES)?;
                let name = match self.end {
                    End::Prefix => format!("{}{}", self.text, text(node)),
                    End::Suffix => format!("{}{}", text(node), self.text),
                };
                replace_untyped(node, &name);
                Ok(())
            })
            .map_err(|e| resource.blame(e))?;
        }
        Ok(())
    }
}

/// Kinds whose names mean something outside of the build.
fn keeps_its_name(kind: KindRef<'_>) -> bool {
    matches!(
        (kind.group, kind.kind),
        (_, "CustomResourceDefinition" | "Namespace") | ("apiregistration.k8s.io", "APIService")
    )
}
