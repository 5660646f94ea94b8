//! `namespace`: into every object that is not known to be cluster-scoped, and into the few other
//! fields that must agree with it.

use super::Transformer;
use super::context::Context;
use super::each::{self, Each, Worker};
use super::error::{Error, Reason, Result};
use super::fields::{replace_string, set_string, text};
use super::fieldspec::{ByKind, FieldSpec};
use super::limits::MAX_NAMESPACE_CHARS;
use super::resource::Resource;
use super::resources::Resources;
use super::scope::is_cluster_scoped;
use super::walk::{Make, visit_all};
use crate::yaml::{Mapping, Node};

/// Which subjects of role bindings get the namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Subjects {
    /// Those named `default`.
    #[default]
    Default,
    /// All service accounts.
    AllServiceAccounts,
    /// None.
    None,
}

/// Sets the namespace.
#[derive(Debug)]
pub(super) struct Namespace {
    pub namespace: String,
    pub specs: Vec<FieldSpec>,
    pub subjects: Subjects,
    pub unset_only: bool,
}

impl Transformer for Namespace {
    fn apply(&self, resources: &mut Resources, context: &Context) -> Result<()> {
        each::apply(self, resources, context)
    }

    fn each<'a>(&'a self, _: &'a Context) -> Result<Option<Box<dyn Each + 'a>>> {
        if self.namespace.chars().count() > MAX_NAMESPACE_CHARS {
            return Err(Error::new(
                Reason::LimitExceeded,
                format!("the namespace has more than {MAX_NAMESPACE_CHARS} characters"),
            ));
        }
        let is_set = !self.namespace.is_empty();
        Ok(is_set.then(|| Box::new(self) as Box<dyn Each + 'a>))
    }
}

impl Each for &Namespace {
    fn worker(&self) -> Worker<'_> {
        let mut by_kind = ByKind::new(&self.specs);
        Box::new(move |resource| {
            resource.remember_id();
            let specs = by_kind.of(resource.kind_ref());
            self.set(resource, &specs).map_err(|e| resource.blame(e))
        })
    }

    fn changes_ids(&self) -> bool {
        true
    }

    fn ends_unique(&self) -> bool {
        true
    }
}

impl Namespace {
    /// Sets it in one object, with the specs of its kind.
    ///
    /// # Errors
    /// Where a field for it is no scalar.
    pub fn set(&self, resource: &mut Resource, specs: &[&FieldSpec]) -> Result<()> {
        let kind = resource.kind_ref();
        let is_core = kind.group.is_empty() && kind.version == "v1";
        let is_binding = matches!(kind.kind, "RoleBinding" | "ClusterRoleBinding");
        if !is_cluster_scoped(kind) {
            self.set_metadata(&mut resource.object);
        }
        if is_binding {
            self.set_subjects(&mut resource.object)?;
        }
        let specs: Vec<&FieldSpec> = specs
            .iter()
            .copied()
            .filter(|spec| match spec.path.as_str() {
                "metadata/namespace" => false,
                "metadata/name" => is_core,
                "subjects/namespace" => {
                    !is_binding
                        || !matches!(spec.gvk.kind.as_str(), "RoleBinding" | "ClusterRoleBinding")
                }
                _ => true,
            })
            .collect();
        visit_all(
            &mut resource.object,
            &specs,
            Make::Scalar,
            &mut |node| match node {
                Node::Scalar(_) => {
                    self.set_node(node);
                    Ok(())
                }
                _ => Err(Error::failed("a field for the namespace is not a scalar")),
            },
        )
    }

    fn set_metadata(&self, object: &mut Mapping) {
        let metadata = object.get_or_insert_with("metadata", || Mapping::new().into());
        if let Some(metadata) = metadata.as_mapping_mut() {
            self.set_field(metadata);
        }
    }

    /// The field `namespace` of a mapping, made where it is missing.
    fn set_field(&self, mapping: &mut Mapping) {
        match mapping.get_mut("namespace") {
            Some(node) => self.set_node(node),
            None => set_string(mapping, "namespace", &self.namespace),
        }
    }

    fn set_node(&self, node: &mut Node) {
        if !self.unset_only || text(node).is_empty() {
            replace_string(node, &self.namespace);
        }
    }

    fn set_subjects(&self, object: &mut Mapping) -> Result<()> {
        let (key, wanted) = match self.subjects {
            Subjects::Default => ("name", "default"),
            Subjects::AllServiceAccounts => ("kind", "ServiceAccount"),
            Subjects::None => return Ok(()),
        };
        match object.get_mut("subjects") {
            None => Ok(()),
            Some(Node::Scalar(scalar)) if scalar.is_null() => Ok(()),
            Some(Node::Sequence(list)) => {
                for item in &mut list.items {
                    let Node::Mapping(subject) = item else {
                        return Err(Error::failed("a subject is not a mapping"));
                    };
                    if subject.get(key).map(text) == Some(wanted) {
                        self.set_field(subject);
                    }
                }
                Ok(())
            }
            Some(_) => Err(Error::failed("`subjects` is not a list")),
        }
    }
}
