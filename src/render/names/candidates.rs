//! The objects that references may mean: those that had another name before, found by that name.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use super::super::error::{Error, Result};
use super::super::fields::{is_string, text};
use super::super::identity::KindRef;
use super::super::resource::Resource;
use super::super::scope::{NOT_A_NAMESPACE, is_cluster_scoped};
use crate::object::Gvk;
use crate::yaml::Text;

/// An object that was renamed, as references see it.
#[derive(Debug)]
pub(super) struct Candidate {
    /// The present name.
    pub name: Text,
    /// The present namespace, empty where none is written.
    pub namespace: Text,
    /// The effective namespace of the beginning.
    first_namespace: Text,
    kind: Text,
    effective_namespace: Text,
    /// The kinds that it was of, in no order.
    past_kinds: Arc<[Gvk]>,
    prefixes: Vec<Text>,
    suffixes: Vec<Text>,
}

impl Candidate {
    fn new(resource: &Resource, past_kinds: Arc<[Gvk]>) -> Self {
        Self {
            name: resource.name().into(),
            namespace: resource.namespace().into(),
            first_namespace: resource.original_namespace().into(),
            kind: resource.kind().into(),
            effective_namespace: resource.effective_namespace().into(),
            past_kinds,
            prefixes: resource.trail.prefixes.clone(),
            suffixes: resource.trail.suffixes.clone(),
        }
    }

    /// The present identity, for messages.
    pub fn printed(&self) -> String {
        match &*self.namespace {
            "" => format!("{}/{}", self.kind, self.name),
            namespace => format!("{}/{namespace}/{}", self.kind, self.name),
        }
    }

    /// Whether it ever was of this kind.
    pub fn was(&self, target: &Gvk) -> bool {
        let kinds = self.past_kinds.iter();
        kinds
            .map(KindRef::from)
            .any(|kind| kind.is_selected(target))
    }
}

/// How many objects of one former name are looked through before an index by namespace is made.
const FEW: usize = 16;

/// Indexes of resources by namespace and name.
type ByNamespace = HashMap<(Text, Text), Vec<usize>>;

/// All of them, by their former names.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    list: Vec<Candidate>,
    by_name: HashMap<Text, Vec<usize>>,
    /// Names that more than a few have.
    crowded: BTreeSet<Text>,
    /// By name and present namespace, and by name and first namespace: for names that many have,
    /// such as those of one application in many namespaces.
    by_namespace: OnceLock<[ByNamespace; 2]>,
    /// For every namespace that an object started in, the namespaces in which such objects are.
    now_in: HashMap<Text, HashSet<(Text, Text)>>,
}

impl Candidates {
    /// From all objects. Those that never changed cannot be meant by a reference that must change,
    /// and those whose kinds are no targets by none.
    pub fn new<'a>(
        resources: impl Iterator<Item = &'a Resource>,
        is_target: impl Fn(KindRef<'_>) -> bool,
    ) -> Self {
        let mut all = Self::default();
        let mut kinds = Kinds::default();
        for resource in resources {
            let first = resource.original_namespace().into();
            let now = resource.effective_namespace().into();
            let written = resource.namespace().into();
            all.now_in.entry(first).or_default().insert((now, written));
            if resource.trail.past.is_empty() {
                continue;
            }
            let kinds = kinds.of(resource);
            if !kinds.iter().map(KindRef::from).any(&is_target) {
                continue;
            }
            let place = all.list.len();
            for former in &resource.trail.past {
                let places = all.by_name.entry(former.name.clone()).or_default();
                if places.last() != Some(&place) {
                    places.push(place);
                }
                if places.len() > FEW {
                    all.crowded.insert(former.name.clone());
                }
            }
            all.list.push(Candidate::new(resource, kinds));
        }
        all
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
            let key = |namespace| (Text::from(name), namespace);
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
            let key = (Text::from(name), Text::from(namespace));
            self.pick(index.get(&key).into_iter().flatten())
        };
        found.retain(|c| {
            let in_it = if started_here {
                &c.first_namespace
            } else {
                &c.effective_namespace
            };
            *in_it == namespace && view.sees(c)
        });
        found
    }

    fn indexes(&self) -> &[ByNamespace; 2] {
        self.by_namespace.get_or_init(|| {
            let [mut now, mut first] = [HashMap::new(), HashMap::new()];
            for name in &self.crowded {
                for place in self.by_name.get(name).into_iter().flatten() {
                    let candidate = &self.list[*place];
                    let add = |index: &mut ByNamespace, namespace: &Text| {
                        let key = (name.clone(), namespace.clone());
                        index.entry(key).or_default().push(*place);
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

/// Lists of kinds, each there once: a build has few.
#[derive(Default)]
struct Kinds(Vec<Arc<[Gvk]>>);

impl Kinds {
    /// The kinds that an object was of.
    fn of(&mut self, resource: &Resource) -> Arc<[Gvk]> {
        let now = resource.kind_ref();
        let past = &resource.trail.past;
        let is_it = |kinds: &Arc<[Gvk]>| {
            let mut pairs = kinds.iter().zip(past);
            kinds.len() == past.len() && pairs.all(|(a, b)| KindRef::from(a) == b.kind_ref(now))
        };
        if let Some(known) = self.0.iter().find(|kinds| is_it(kinds)) {
            return known.clone();
        }
        let kinds: Arc<[Gvk]> = past.iter().map(|p| p.kind_ref(now).to_gvk()).collect();
        self.0.push(kinds.clone());
        kinds
    }
}

/// What one referrer can see.
#[derive(Debug)]
pub(super) struct View {
    cluster_scoped: bool,
    namespace: Text,
    /// Namespaces of the service accounts that a RoleBinding names.
    subjects: Vec<Text>,
    prefixes: Vec<Text>,
    suffixes: Vec<Text>,
}

impl View {
    /// # Errors
    /// On a RoleBinding with a service account whose namespace is null.
    pub fn new(referrer: &Resource) -> Result<Self> {
        let cluster_scoped = is_cluster_scoped(referrer.kind_ref());
        let subjects = if cluster_scoped {
            Vec::new()
        } else {
            subject_namespaces(referrer)?
        };
        Ok(Self {
            cluster_scoped,
            namespace: referrer.effective_namespace().into(),
            subjects,
            prefixes: referrer.trail.prefixes.clone(),
            suffixes: referrer.trail.suffixes.clone(),
        })
    }

    fn namespaces(&self) -> Vec<Text> {
        let own = [self.namespace.clone(), NOT_A_NAMESPACE.into()];
        own.into_iter()
            .chain(self.subjects.iter().cloned())
            .collect()
    }

    fn sees_namespace(&self, effective: &str, written: &str) -> bool {
        self.cluster_scoped
            || effective == NOT_A_NAMESPACE
            || self.namespace == effective
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
        let alike = |a: &[Text], b: &[Text]| {
            let (short, long) = if a.len() > b.len() { (b, a) } else { (a, b) };
            match short.is_empty() {
                true => lenient || long.is_empty(),
                false => long.ends_with(short),
            }
        };
        alike(&self.prefixes, &candidate.prefixes) && alike(&self.suffixes, &candidate.suffixes)
    }
}

fn subject_namespaces(referrer: &Resource) -> Result<Vec<Text>> {
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
            Some(namespace) if namespace.as_scalar().is_some_and(is_string) => {
                namespaces.push(text(namespace).into());
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
