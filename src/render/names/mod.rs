//! Name references: when an object was renamed, the fields that hold its name follow.
//!
//! It is done once, at the very end, when all prefixes, suffixes and hashes are known. kustomize
//! looks through all objects for each reference; here candidates are found by the name that the
//! reference still has, and by namespace.

mod candidates;

use std::rc::Rc;

use self::candidates::{Candidate, Candidates, View};
use super::config::NameReference;
use super::error::{Error, Result};
use super::fields::{replace_untyped, set_untyped, text, type_name};
use super::fieldspec::FieldSpec;
use super::identity::KindRef;
use super::resource::Resource;
use super::resources::Resources;
use super::walk::{Make, visit};
use crate::object::Gvk;
use crate::yaml::{Mapping, Node};

/// Lets every reference follow the object that it means.
///
/// # Errors
/// Where several objects could be meant.
pub(super) fn fix_references(
    resources: &mut Resources,
    references: &[NameReference],
) -> Result<()> {
    let is_target = |kind: KindRef<'_>| references.iter().any(|r| kind.is_selected(&r.target));
    let candidates = Candidates::new(resources, is_target);
    resources.try_each(false, || {
        let mut table = Table::new(references);
        let candidates = &candidates;
        move |resource: &mut Resource| {
            let rows = table.of(resource.original_kind_ref());
            fix(resource, &rows, candidates)
        }
    })
}

/// The references of one object, to fields that `rows` name.
fn fix(resource: &mut Resource, rows: &[Row<'_>], candidates: &Candidates) -> Result<()> {
    let view = View::new(resource)?;
    for (target, spec) in rows {
        let role = role_ref(&resource.object, &spec.path);
        let search = Search {
            candidates,
            view: &view,
            target,
            role,
        };
        visit(&mut resource.object, spec, Make::Nothing, &mut |node| {
            search.set(node)
        })
        .map_err(|e| resource.blame(e.hint(format!("in the name reference `{}`", spec.path))))?;
    }
    Ok(())
}

/// The kind that a field names, and the field.
type Row<'a> = (&'a Gvk, &'a FieldSpec);

/// The references by the kind of the referrer, so that an object meets only its own.
struct Table<'a> {
    all: Vec<Row<'a>>,
    /// For the kinds that were asked for.
    known: Vec<(Gvk, Rc<[Row<'a>]>)>,
}

impl<'a> Table<'a> {
    fn new(references: &'a [NameReference]) -> Self {
        let all: Vec<_> = references
            .iter()
            .flat_map(|r| r.referrers.iter().map(|spec| (&r.target, spec)))
            .collect();
        let known = Vec::new();
        Self { all, known }
    }

    /// The references of a kind, in the order of the table.
    fn of(&mut self, kind: KindRef<'_>) -> Rc<[Row<'a>]> {
        if let Some((_, rows)) = self.known.iter().find(|(known, _)| kind == known.into()) {
            return rows.clone();
        }
        let rows = self.all.iter().copied();
        let rows: Rc<[_]> = rows
            .filter(|(_, spec)| kind.is_selected(&spec.gvk))
            .collect();
        self.known.push((kind.to_gvk(), rows.clone()));
        rows
    }
}

/// Group and kind that a `roleRef` names, for references to its name.
fn role_ref(object: &Mapping, path: &str) -> Option<Gvk> {
    if !path.ends_with("roleRef/name") {
        return None;
    }
    let role = object.get("roleRef")?;
    let field = |key| role.get(key).map(|node| text(node).to_owned());
    Some(Gvk::new(field("apiGroup")?, "", field("kind")?))
}

/// The search for what one field means.
struct Search<'a> {
    candidates: &'a Candidates,
    view: &'a View,
    target: &'a Gvk,
    role: Option<Gvk>,
}

impl Search<'_> {
    /// Sets a field that holds a name, a mapping with a name, or a list of them.
    fn set(&self, node: &mut Node) -> Result<()> {
        match node {
            Node::Scalar(scalar) if scalar.is_null() => Ok(()),
            Node::Scalar(_) => self.set_scalar(node),
            Node::Mapping(mapping) => self.set_mapping(mapping),
            Node::Sequence(list) => list.items.iter_mut().try_for_each(|item| match item {
                Node::Scalar(scalar) if scalar.is_null() => Ok(()),
                Node::Scalar(_) => self.set_scalar(item),
                Node::Mapping(mapping) => self.set_mapping(mapping),
                Node::Sequence(_) => Err(Error::failed(format!(
                    "expected a name, found {}",
                    type_name(item)
                ))),
            }),
        }
    }

    fn set_scalar(&self, node: &mut Node) -> Result<()> {
        let name = text(node).to_owned();
        let found = self.select(self.candidates.named(self.view, &name), |a, b| {
            a.name == b.name
        })?;
        if let Some(found) = found
            && found.name != name
        {
            replace_untyped(node, &found.name);
        }
        Ok(())
    }

    /// A mapping with a name and perhaps a namespace: a subject of a role binding, the service of a
    /// webhook. Both follow.
    fn set_mapping(&self, mapping: &mut Mapping) -> Result<()> {
        let Some(name) = mapping.get("name").map(|n| text(n).to_owned()) else {
            return Err(Error::failed("the mapping has no `name`"));
        };
        let namespace = mapping.get("namespace").map(|n| text(n).to_owned());
        let found = match &namespace {
            None => self.candidates.named(self.view, &name),
            Some(namespace) => self.candidates.named_in(self.view, &name, namespace),
        };
        let found = self.select(found, |a, b| {
            a.name == b.name && a.namespace() == b.namespace()
        })?;
        let Some(found) = found else { return Ok(()) };
        if found.name == name && found.namespace().is_empty() {
            return Ok(());
        }
        set_untyped(mapping, "name", &found.name);
        if !found.namespace().is_empty() {
            set_untyped(mapping, "namespace", found.namespace());
        }
        Ok(())
    }

    /// The one candidate that is meant, if any.
    fn select<'c>(
        &self,
        mut found: Vec<&'c Candidate>,
        same: impl Fn(&Candidate, &Candidate) -> bool,
    ) -> Result<Option<&'c Candidate>> {
        found.retain(|c| c.was(self.target));
        if let Some(role) = &self.role {
            found.retain(|c| c.was(role));
        }
        found.retain(|c| self.view.reaches(c));
        if found.len() > 1 {
            found.retain(|c| self.view.ends_alike(c, true));
        }
        if found.len() > 1 {
            found.retain(|c| self.view.ends_alike(c, false));
        }
        match found.split_first() {
            None => Ok(None),
            Some((first, rest)) if rest.iter().all(|other| same(first, other)) => Ok(Some(first)),
            Some(_) => {
                let ids: Vec<_> = found.iter().map(|c| format!("`{}`", c.printed())).collect();
                Err(Error::failed(format!(
                    "the name may mean {}",
                    ids.join(" or ")
                )))
            }
        }
    }
}
