//! `vars`: values of fields that replace `$(NAME)` in other objects, at the very end of a build.

use std::collections::BTreeMap;

use serde_json::Value;

use super::error::{Error, Reason, Result};
use super::expand::expand;
use super::field_path;
use super::fields::{is_string, type_name};
use super::fieldspec::{ByKind, FieldSpec};
use super::identity::Identity;
use super::kustomization::VarEntry;
use super::limits::MAX_OBJECT_BYTES;
use super::meter::Meter;
use super::resources::Resources;
use super::sharing;
use super::walk::{Make, visit_all};
use crate::yaml::{Node, Resolver, Scalar, resolve_scalar};

/// The vars of a layer and of those below it, by name.
#[derive(Debug, Default)]
pub(super) struct Vars(BTreeMap<String, VarEntry>);

impl Vars {
    /// Adds the vars of a kustomization, and marks the objects from which they take their value:
    /// later renames do not matter.
    ///
    /// # Errors
    /// On a name that is taken, and where several objects could be meant.
    pub fn declare(&mut self, entries: &[VarEntry], resources: &mut Resources) -> Result<()> {
        for var in entries {
            let gvk = var.gvk.clone().unwrap_or_else(super::fieldspec::any_kind);
            let wanted = Identity::past(gvk, &var.namespace, &var.object_name);
            let mut found = resources.with_any_name(&var.object_name);
            found.retain(|i| {
                resources.get(*i).all_ids().iter().any(|id| {
                    id.name == wanted.name
                        && id.gvk == wanted.gvk
                        && (wanted.namespace.is_empty()
                            || id.effective_namespace() == wanted.effective_namespace())
                })
            });
            match found.as_slice() {
                [] => {}
                [index] => {
                    resources
                        .get_mut_keeping_ids(*index)
                        .trail
                        .vars
                        .push(var.name.clone());
                }
                _ => {
                    return Err(Error::failed(format!(
                        "the object of the var `{}` may be one of {}",
                        var.name,
                        found.len()
                    ))
                    .hint("add a `namespace` to its `objref`"));
                }
            }
        }
        entries.iter().try_for_each(|var| self.add(var.clone()))
    }

    /// Adds the vars of a base.
    ///
    /// # Errors
    /// On a name that is taken.
    pub fn absorb(&mut self, other: Self) -> Result<()> {
        other.0.into_values().try_for_each(|var| self.add(var))
    }

    fn add(&mut self, var: VarEntry) -> Result<()> {
        let name = var.name.clone();
        match self.0.insert(name.clone(), var) {
            None => Ok(()),
            Some(_) => Err(Error::failed(format!("there are two vars named `{name}`"))
                .hint("names of vars must differ in all bases together")),
        }
    }

    /// Replaces every use of a var.
    ///
    /// # Errors
    /// On a var whose object or field does not exist, and on fields that cannot hold one.
    pub fn resolve(
        &self,
        resources: &mut Resources,
        specs: &[FieldSpec],
        meter: &Meter,
    ) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let values = self.values(resources)?;
        let mut by_kind = ByKind::new(specs);
        for resource in resources.iter_mut() {
            let specs = by_kind.of(resource.kind_ref());
            let mut changed = Vec::new();
            let object = &mut resource.object;
            let done = visit_all(object, &specs, Make::Nothing, &mut |node| {
                replace(node, &values, meter, &mut changed)
            });
            sharing::follow(object, &changed);
            done.map_err(|e| resource.blame(e))?;
        }
        Ok(())
    }

    fn values(&self, resources: &Resources) -> Result<BTreeMap<String, Value>> {
        let mut sources: BTreeMap<&str, &super::resource::Resource> = BTreeMap::new();
        for resource in resources.iter() {
            for name in &resource.trail.vars {
                sources.entry(name).or_insert(resource);
            }
        }
        let value = |var: &VarEntry| {
            let source = sources.get(var.name.as_str()).ok_or_else(|| {
                Error::failed(format!(
                    "the object of the var `{}` does not exist",
                    var.name
                ))
                .hint("`objref` needs kind, name and the exact apiVersion")
            })?;
            let node =
                field_path::lookup_var(&source.object, &var.field_path).ok_or_else(|| {
                    Error::failed(format!(
                        "the var `{}`: no field `{}`",
                        var.name, var.field_path
                    ))
                    .about(source.id())
                })?;
            Ok((var.name.clone(), value_of(node)))
        };
        self.0.values().map(value).collect()
    }
}

/// The value of a field; lists and mappings count as no value at all.
fn value_of(node: &Node) -> Value {
    match node {
        Node::Scalar(scalar) if scalar.is_null() => Value::String(scalar.text.as_str().into()),
        Node::Scalar(scalar) => match resolve_scalar(scalar, Resolver::Kustomize) {
            Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
            _ => Value::String(scalar.text.as_str().into()),
        },
        _ => Value::Null,
    }
}

fn replace(
    node: &mut Node,
    values: &BTreeMap<String, Value>,
    meter: &Meter,
    changed: &mut Vec<Scalar>,
) -> Result<()> {
    match node {
        Node::Scalar(_) => {
            replace_scalar(node, values, meter, changed)?;
            Ok(())
        }
        Node::Mapping(mapping) => mapping
            .iter_mut()
            .try_for_each(|(_, value)| replace_scalar(value, values, meter, changed).map(drop)),
        Node::Sequence(list) => list.items.iter_mut().try_for_each(|item| {
            if replace_scalar(item, values, meter, changed)? {
                Ok(())
            } else {
                Err(Error::failed(format!(
                    "expected a text for vars, found {}",
                    type_name(item)
                )))
            }
        }),
    }
}

/// Replaces the vars of a string; false where it is none.
///
/// # Errors
/// Where the text becomes too long.
fn replace_scalar(
    node: &mut Node,
    values: &BTreeMap<String, Value>,
    meter: &Meter,
    changed: &mut Vec<Scalar>,
) -> Result<bool> {
    let Node::Scalar(scalar) = node else {
        return Ok(false);
    };
    if scalar.is_null() || !is_string(scalar) {
        return Ok(false);
    }
    if scalar.text.contains('$') {
        let (line, shared) = (scalar.line, scalar.shared);
        let Some(expanded) = expand(&scalar.text, values, MAX_OBJECT_BYTES) else {
            return Err(Error::new(
                Reason::LimitExceeded,
                format!(
                    "with its vars, a text is larger than the limit of {MAX_OBJECT_BYTES} bytes"
                ),
            )
            .on_line(line));
        };
        *scalar = match expanded {
            Value::String(text) => Scalar {
                line,
                shared,
                ..super::fields::plain_if_text(&text)
            },
            other => Scalar {
                line,
                shared,
                ..Scalar::plain(other.to_string())
            },
        };
        meter.grow(scalar.text.len())?;
        if shared != 0 {
            changed.push(scalar.clone());
        }
    }
    Ok(true)
}
