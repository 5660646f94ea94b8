//! The objects that references may mean: those that had another name before, found by that name.

use std::collections::{HashMap, HashSet};

use super::super::error::{Error, Result};
use super::super::fields::text;
use super::super::identity::{Identity, is_selected};
use super::super::resource::Resource;
use super::super::scope::NOT_A_NAMESPACE;
use crate::object::Gvk;

/// An object that was renamed, as references see it.
#[derive(Debug)]
pub(super) struct Candidate {
    /// The present name.
    pub name: String,
    /// The present namespace, empty where none is written.
    pub namespace: String,
    /// For messages.
    pub printed: String,
    kind: String,
    effective_namespace: String,
    past: Vec<Identity>,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
}

impl Candidate {
    fn new(resource: &Resource) -> Self {
        let id = resource.id();
        Self {
            name: id.name.clone(),
            namespace: id.namespace.clone(),
            printed: id.to_string(),
            kind: id.gvk.kind.clone(),
            effective_namespace: id.effective_namespace().to_owned(),
            past: resource.past_ids(),
            prefixes: resource.trail.prefixes.clone(),
            suffixes: resource.trail.suffixes.clone(),
        }
    }

    /// Whether it ever was of this kind.
    pub fn was(&self, target: &Gvk) -> bool {
        self.past.iter().any(|id| is_selected(&id.gvk, target))
    }
}

/// All of them, by their former names.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    list: Vec<Candidate>,
    by_name: HashMap<String, Vec<usize>>,
    by_name_and_namespace: HashMap<(String, String), Vec<usize>>,
    by_name_and_first_namespace: HashMap<(String, String), Vec<usize>>,
    /// For every namespace that an object started in, the namespaces in which such objects are.
    now_in: HashMap<String, HashSet<(String, String)>>,
}

impl Candidates {
    /// From all objects. Those that never changed cannot be meant by a reference that must change.
    pub fn new<'a>(resources: impl Iterator<Item = &'a Resource>) -> Self {
        let mut all = Self::default();
        for resource in resources {
            let first = resource.original_id().effective_namespace().to_owned();
            let id = resource.id();
            let now = (id.effective_namespace().to_owned(), id.namespace.clone());
            all.now_in.entry(first.clone()).or_default().insert(now);
            if resource.trail.past.is_empty() {
                continue;
            }
            let place = all.list.len();
            let candidate = Candidate::new(resource);
            let now = candidate.effective_namespace.clone();
            let mut names: Vec<_> = candidate.past.iter().map(|id| id.name.clone()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let first_key = (name.clone(), first.clone());
                all.by_name_and_first_namespace
                    .entry(first_key)
                    .or_default()
                    .push(place);
                let key = (name.clone(), now.clone());
                all.by_name_and_namespace
                    .entry(key)
                    .or_default()
                    .push(place);
                all.by_name.entry(name).or_default().push(place);
            }
            all.list.push(candidate);
        }
        all
    }

    /// Whether nothing was ever renamed.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Those that were once called `name`, as far as the referrer can see them.
    pub fn named(&self, view: &View, name: &str) -> Vec<&Candidate> {
        if view.cluster_scoped {
            return self.pick(self.by_name.get(name).into_iter().flatten());
        }
        let namespaces = view.namespaces();
        let lists = namespaces.iter().filter_map(|ns| {
            self.by_name_and_namespace
                .get(&(name.to_owned(), ns.clone()))
        });
        let mut found = self.pick(lists.flatten());
        found.retain(|c| view.sees(c));
        found
    }

    /// The same with a namespace that is written next to the name: the one that the object started
    /// in, or, where nothing started there, the one that it is in.
    pub fn named_in(&self, view: &View, name: &str, namespace: &str) -> Vec<&Candidate> {
        if namespace == NOT_A_NAMESPACE {
            return Vec::new();
        }
        let started_here = self.now_in.get(namespace).is_some_and(|now| {
            now.iter()
                .any(|(effective, written)| view.sees_namespace(effective, written))
        });
        let key = (name.to_owned(), namespace.to_owned());
        let index = if started_here {
            &self.by_name_and_first_namespace
        } else {
            &self.by_name_and_namespace
        };
        let mut found = self.pick(index.get(&key).into_iter().flatten());
        found.retain(|c| view.sees(c));
        found
    }

    fn pick<'a>(&'a self, places: impl Iterator<Item = &'a usize>) -> Vec<&'a Candidate> {
        let mut places: Vec<usize> = places.copied().collect();
        places.sort_unstable();
        places.dedup();
        places.into_iter().map(|i| &self.list[i]).collect()
    }
}

/// What one referrer can see.
#[derive(Debug)]
pub(super) struct View {
    cluster_scoped: bool,
    namespace: String,
    /// Namespaces of the service accounts that a RoleBinding names.
    subjects: Vec<String>,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
}

impl View {
    /// # Errors
    /// On a RoleBinding with a service account whose namespace is null.
    pub fn new(referrer: &Resource) -> Result<Self> {
        let id = referrer.id();
        let subjects = if id.cluster_scoped {
            Vec::new()
        } else {
            subject_namespaces(referrer)?
        };
        Ok(Self {
            cluster_scoped: id.cluster_scoped,
            namespace: id.effective_namespace().to_owned(),
            subjects,
            prefixes: referrer.trail.prefixes.clone(),
            suffixes: referrer.trail.suffixes.clone(),
        })
    }

    fn namespaces(&self) -> Vec<String> {
        let own = [self.namespace.clone(), NOT_A_NAMESPACE.to_owned()];
        own.into_iter()
            .chain(self.subjects.iter().cloned())
            .collect()
    }

    fn sees_namespace(&self, effective: &str, written: &str) -> bool {
        self.cluster_scoped
            || effective == NOT_A_NAMESPACE
            || effective == self.namespace
            || self.subjects.iter().any(|ns| ns == written)
    }

    fn sees(&self, candidate: &Candidate) -> bool {
        self.sees_namespace(&candidate.effective_namespace, &candidate.namespace)
    }

    /// Whether a reference may reach this object: from a cluster-scoped object any, else those of
    /// the same namespace, of none, and service accounts.
    pub fn reaches(&self, candidate: &Candidate) -> bool {
        self.cluster_scoped
            || candidate.effective_namespace == NOT_A_NAMESPACE
            || candidate.kind == "ServiceAccount"
            || candidate.effective_namespace == self.namespace
    }

    /// Whether both went through the same last prefixes and suffixes; `lenient` lets one without
    /// any pass.
    pub fn ends_alike(&self, candidate: &Candidate, lenient: bool) -> bool {
        let alike = |a: &[String], b: &[String]| {
            let (short, long) = if a.len() > b.len() { (b, a) } else { (a, b) };
            match short.is_empty() {
                true => lenient || long.is_empty(),
                false => long.ends_with(short),
            }
        };
        alike(&self.prefixes, &candidate.prefixes) && alike(&self.suffixes, &candidate.suffixes)
    }
}

fn subject_namespaces(referrer: &Resource) -> Result<Vec<String>> {
    if referrer.kind() != "RoleBinding" {
        return Ok(Vec::new());
    }
    let mut namespaces = Vec::new();
    for subject in referrer
        .object
        .get("subjects")
        .map_or(&[][..], |s| s.items())
    {
        if subject.get("kind").map(text) != Some("ServiceAccount") {
            continue;
        }
        match subject.get("namespace") {
            None => {}
            Some(namespace) if namespace.as_str().is_some() => {
                namespaces.push(text(namespace).to_owned());
            }
            Some(namespace) => {
                return Err(Error::failed("the namespace of a subject is blank")
                    .hint("write a namespace, or leave the field out")
                    .about(referrer.id())
                    .on_line(namespace.line())
                    .within(&referrer.source.path));
            }
        }
    }
    Ok(namespaces)
}
