//! `replicas`: the count of workloads found by an earlier or the present name.

use super::Transformer;
use super::context::Context;
use super::error::{Error, Result};
use super::fields::{replace_untyped, type_name};
use super::fieldspec::FieldSpec;
use super::identity::is_selected;
use super::resources::Resources;
use super::walk::{Make, visit};
use crate::yaml::Node;

/// Sets one count.
#[derive(Debug)]
pub(super) struct Replicas {
    pub name: String,
    pub count: i64,
    pub specs: Vec<FieldSpec>,
}

impl Transformer for Replicas {
    fn apply(&self, resources: &mut Resources, context: &Context) -> Result<()> {
        let mut found = false;
        let named = resources.with_any_name(&self.name);
        let ids = named.iter().map(|i| 1 + resources.get(*i).trail.past.len());
        let steps = self.specs.len().saturating_mul(ids.sum());
        context.meter.work(steps)?;
        for spec in &self.specs {
            for index in &named {
                let resource = resources.get_mut_keeping_ids(*index);
                let is_meant = resource
                    .all_ids()
                    .iter()
                    .any(|id| id.name == self.name && is_selected(&id.gvk, &spec.gvk));
                if !is_meant {
                    continue;
                }
                found = true;
                if !resource.kind_ref().is_selected(&spec.gvk) {
                    continue;
                }
                visit(&mut resource.object, spec, Make::Scalar, &mut |node| {
                    self.set(node)
                })
                .map_err(|e| e.about(resource.id()))?;
            }
        }
        if found {
            return Ok(());
        }
        Err(Error::failed(format!(
            "`replicas`: there is no workload named `{}`",
            self.name
        ))
        .hint(
            "it means a Deployment, StatefulSet, ReplicaSet or ReplicationController of this build",
        ))
    }

    fn counts_its_looks(&self) -> bool {
        true
    }
}

impl Replicas {
    fn set(&self, node: &mut Node) -> Result<()> {
        match node {
            Node::Scalar(old) => {
                let count = self.count.to_string();
                let is_made = old.line == 0 && old.text.is_empty();
                if is_made {
                    *node = Node::plain(count);
                } else {
                    // in quotes it stays a text
                    replace_untyped(node, &count);
                }
                Ok(())
            }
            other => Err(Error::failed(format!(
                "the replica count is {}",
                type_name(other)
            ))),
        }
    }
}
