//! The objects that references may mean: those that had another name before, found by that name.

use std::cell::OnceCell;
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
    /// The effective namespace of the beginning.
    first_namespace: String,
    kind: String,
    effective_namespace: String,
    past: Vec<Identity>,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
}

impl Candidate {
    fn new(resource: &Resource, id: Identity, past: Vec<Identity>, first: String) -> Self {
        Self {
            effective_namespace: id.effective_namespace().to_owned(),
            name: id.name,
            namespace: id.namespace,
            first_namespace: first,
            kind: id.gvk.kind,
            past,
            prefixes: resource.trail.prefixes.clone(),
            suffixes: resource.trail.suffixes.clone(),
        }
    }

    /// The present identity, for messages.
    pub fn printed(&self) -> String {
        match self.namespace.as_str() {
            "" => format!("{}/{}", self.kind, self.name),
            namespace => format!("{}/{namespace}/{}", self.kind, self.name),
        }
    }

    /// Whether it ever was of this kind.
    pub fn was(&self, target: &Gvk) -> bool {
        self.past.iter().any(|id| is_selected(&id.gvk, target))
    }
}

/// How many objects of one former name are looked through before an index by namespace is made.
const FEW: usize = 16;

/// Indexes of resources by namespace and name.
type ByNamespace = HashMap<(String, String), Vec<usize>>;

/// All of them, by their former names.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    list: Vec<Candidate>,
    by_name: HashMap<String, Vec<usize>>,
    /// By name and present namespace, and by name and first namespace: for names that many have,
    /// such as those of one application in many namespaces.
    by_namespace: OnceCell<[ByNamespace; 2]>,
    /// For every namespace that an object started in, the namespaces in which such objects are.
    now_in: HashMap<String, HashSet<(String, String)>>,
}

impl Candidates {
    /// From all objects. Those that never changed cannot be meant by a reference that must change.
    pub fn new<'a>(resources: impl Iterator<Item = &'a Resource>) -> Self {
        let mut all = Self::default();
        for resource in resources {
            let past = resource.past_ids();
            let id = resource.id();
            let first = past.first().unwrap_or(&id).effective_namespace().to_owned();
            let now = (id.effective_namespace().to_owned(), id.namespace.clone());
            all.now_in.entry(first.clone()).or_default().insert(now);
            if past.is_empty() {
                continue;
            }
            let place = all.list.len();
            for former in &past {
                let places = all.by_name.entry(former.name.clone()).or_default();
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
            all.list.push(Candidate::new(resource, id, past, first));
        }
        all
    }

    /// Whether nothing was ever renamed.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Those that were once called `name`, as far as the referrer can see them.
    pub fn named(&self, view: &View, name: &str) -> Vec<&Candidate> {
        let Some(all) = self.by_name.get(name) else {
            return Vec::new();
        };
        let mut found = if view.cluster_scoped || all.len() <= FEW {
            self.pick(all.iter())
        } else {
            let [now, _] = self.indexes();
            let key = |namespace| (name.to_owned(), namespace);
            let lists = view
                .namespaces()
                .into_iter()
                .filter_map(|ns| now.get(&key(ns)));
            self.pick(lists.flatten())
        };
        found.retain(|c| view.sees(c));
        found
    }

    /// The same with a namespace that is written next to the name: the one that the object started
    /// in, or, where nothing started there, the one that it is in.
    pub fn named_in(&self, view: &View, name: &str, namespace: &str) -> Vec<&Candidate> {
        let Some(all) = self.by_name.get(name) else {
            return Vec::new();
        };
        if namespace == NOT_A_NAMESPACE {
            return Vec::new();
        }
        let started_here = self.now_in.get(namespace).is_some_and(|now| {
            now.iter()
                .any(|(effective, written)| view.sees_namespace(effective, written))
        });
        let mut found = if all.len() <= FEW {
            self.pick(all.iter())
        } else {
            let [now, first] = self.indexes();
            let index = if started_here { first } else { now };
            let key = (name.to_owned(), namespace.to_owned());
            self.pick(index.get(&key).into_iter().flatten())
        };
        found.retain(|c| {
            let in_it = if started_here {
                &c.first_namespace
            } else {
                &c.effective_namespace
            };
            in_it == namespace && view.sees(c)
        });
        found
    }

    fn indexes(&self) -> &[ByNamespace; 2] {
        self.by_namespace.get_or_init(|| {
            let [mut now, mut first] = [HashMap::new(), HashMap::new()];
            for (place, candidate) in self.list.iter().enumerate() {
                let mut names: Vec<_> = candidate.past.iter().map(|id| &id.name).collect();
                names.dedup();
                for name in names {
                    if self
                        .by_name
                        .get(name)
                        .is_none_or(|places| places.len() <= FEW)
                    {
                        continue;
                    }
                    let add = |index: &mut HashMap<_, Vec<usize>>, namespace: &str| {
                        let key = (name.clone(), namespace.to_owned());
                        index.entry(key).or_default().push(place);
                    };
                    add(&mut now, &candidate.effective_namespace);
                    add(&mut first, &candidate.first_namespace);
                }
            }
            [now, first]
        })
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
