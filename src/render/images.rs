//! `images`: in every element of a list called `containers` or `initContainers`, wherever it is, and
//! in the fields of the field specs.
//!
//! Both ways are taken, as in kustomize: a `tagSuffix` lands twice on ordinary pods.

use super::Transformer;
use super::context::Context;
use super::each::{self, Each, Worker};
use super::error::{Error, Result};
use super::fields::{replace_untyped, type_name};
use super::fieldspec::{ByKind, FieldSpec};
use super::image_name::ImageRule;
use super::meter::{Meter, Size};
use super::resources::Resources;
use super::walk::{Make, visit_all};
use crate::yaml::{Mapping, Node};

/// Rewrites images by some rules. Object after object: what one rule has just looked at, the next
/// one finds in the processor's cache.
#[derive(Debug)]
pub(super) struct Images {
    pub rules: Vec<ImageRule>,
    pub specs: Vec<FieldSpec>,
}

impl Transformer for Images {
    fn apply(&self, resources: &mut Resources, context: &Context) -> Result<()> {
        each::apply(self, resources, context)
    }

    fn each<'a>(&'a self, context: &'a Context) -> Result<Option<Box<dyn Each + 'a>>> {
        let meter = &context.meter;
        Ok(Some(Box::new(EachObject {
            images: self,
            meter,
        })))
    }
}

/// Its work on each object.
struct EachObject<'a> {
    images: &'a Images,
    meter: &'a Meter,
}

impl Each for EachObject<'_> {
    fn worker(&self) -> Worker<'_> {
        let mut by_kind = ByKind::new(&self.images.specs);
        Box::new(move |resource| {
            if resource.kind() == "CustomResourceDefinition" {
                return Ok(());
            }
            let specs = by_kind.of(resource.kind_ref());
            let set = self.images.set(&mut resource.object, &specs, self.meter);
            set.map_err(|e| resource.blame(e))
        })
    }

    fn changes_ids(&self) -> bool {
        false
    }
}

/// Rules of which each look at an object is counted; some are part of the one look of every
/// transformer.
const COUNTED_FROM: usize = 20;

impl Images {
    fn set(&self, object: &mut Mapping, specs: &[&FieldSpec], meter: &Meter) -> Result<()> {
        let nodes = if self.rules.len() > COUNTED_FROM {
            Size::of_object(object).nodes
        } else {
            0
        };
        for rule in &self.rules {
            let has_containers = everywhere(object, rule, meter)?;
            let mut found = false;
            visit_all(object, specs, Make::Nothing, &mut |node| {
                found = true;
                set(node, rule, meter)
            })?;
            if !has_containers && !found {
                return Ok(());
            }
            meter.work(nodes)?;
        }
        Ok(())
    }
}

/// Whether there is a list of containers.
fn everywhere(mapping: &mut Mapping, rule: &ImageRule, meter: &Meter) -> Result<bool> {
    let mut found = false;
    for (key, value) in &mut mapping.entries {
        found |= below(value, rule, meter)?;
        if (key.text == "containers" || key.text == "initContainers")
            && let Node::Sequence(list) = value
        {
            found = true;
            for container in &mut list.items {
                set_container(container, rule, meter)?;
            }
        }
    }
    Ok(found)
}

fn below(node: &mut Node, rule: &ImageRule, meter: &Meter) -> Result<bool> {
    match node {
        Node::Mapping(mapping) => everywhere(mapping, rule, meter),
        Node::Sequence(list) => list
            .items
            .iter_mut()
            .try_fold(false, |found, item| Ok(below(item, rule, meter)? || found)),
        Node::Scalar(_) => Ok(false),
    }
}

fn set_container(container: &mut Node, rule: &ImageRule, meter: &Meter) -> Result<()> {
    match container {
        Node::Mapping(mapping) => mapping
            .get_mut("image")
            .map_or(Ok(()), |image| set(image, rule, meter)),
        Node::Scalar(scalar) if scalar.is_null() => Ok(()),
        other => Err(Error::failed(format!(
            "a container is {}",
            type_name(other)
        ))),
    }
}

fn set(node: &mut Node, rule: &ImageRule, meter: &Meter) -> Result<()> {
    match node {
        Node::Scalar(scalar) => {
            if let Some(image) = rule.apply(&scalar.text) {
                meter.grow(image.len())?;
                replace_untyped(node, &image);
            }
            Ok(())
        }
        other => Err(Error::failed(format!("an image is {}", type_name(other)))),
    }
}
