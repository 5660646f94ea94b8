//! `images`: in every element of a list called `containers` or `initContainers`, wherever it is, and
//! in the fields of the field specs.
//!
//! Both ways are taken, as in kustomize: a `tagSuffix` lands twice on ordinary pods.

use super::Transformer;
use super::context::Context;
use super::error::{Error, Result};
use super::fields::{replace_untyped, type_name};
use super::fieldspec::FieldSpec;
use super::image_name::ImageRule;
use super::meter::Meter;
use super::resources::Resources;
use super::walk::{Make, visit_all};
use crate::yaml::{Mapping, Node};

/// Rewrites images.
#[derive(Debug)]
pub(super) struct Images {
    pub rule: ImageRule,
    pub specs: Vec<FieldSpec>,
}

impl Transformer for Images {
    fn apply(&self, resources: &mut Resources, context: &Context) -> Result<()> {
        let meter = &context.meter;
        self.each(resources, |object| self.everywhere(object, meter))?;
        self.each(resources, |object| {
            let gvk = super::resource::gvk(object);
            visit_all(object, &gvk, &self.specs, Make::Nothing, &mut |node| {
                self.set(node, meter)
            })
        })
    }
}

impl Images {
    fn each(
        &self,
        resources: &mut Resources,
        change: impl Fn(&mut Mapping) -> Result<()>,
    ) -> Result<()> {
        for resource in resources.iter_mut_keeping_ids() {
            if resource.kind() != "CustomResourceDefinition" {
                change(&mut resource.object).map_err(|e| {
                    e.about(resource.id())
                        .on_line(resource.source.line.unwrap_or(0))
                        .within(&resource.source.path)
                })?;
            }
        }
        Ok(())
    }

    fn everywhere(&self, mapping: &mut Mapping, meter: &Meter) -> Result<()> {
        for (key, value) in mapping.iter_mut() {
            self.below(value, meter)?;
            if matches!(key, "containers" | "initContainers")
                && let Node::Sequence(list) = value
            {
                for container in &mut list.items {
                    self.set_container(container, meter)?;
                }
            }
        }
        Ok(())
    }

    fn below(&self, node: &mut Node, meter: &Meter) -> Result<()> {
        match node {
            Node::Mapping(mapping) => self.everywhere(mapping, meter),
            Node::Sequence(list) => list
                .items
                .iter_mut()
                .try_for_each(|item| self.below(item, meter)),
            Node::Scalar(_) => Ok(()),
        }
    }

    fn set_container(&self, container: &mut Node, meter: &Meter) -> Result<()> {
        match container {
            Node::Mapping(mapping) => mapping
                .get_mut("image")
                .map_or(Ok(()), |image| self.set(image, meter)),
            Node::Scalar(scalar) if scalar.is_null() => Ok(()),
            other => Err(Error::failed(format!(
                "a container is {}",
                type_name(other)
            ))),
        }
    }

    fn set(&self, node: &mut Node, meter: &Meter) -> Result<()> {
        match node {
            Node::Scalar(scalar) => {
                if let Some(image) = self.rule.apply(&scalar.text) {
                    meter.grow(image.len())?;
                    replace_untyped(node, &image);
                }
                Ok(())
            }
            other => Err(Error::failed(format!("an image is {}", type_name(other)))),
        }
    }
}
