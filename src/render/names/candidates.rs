//! The objects that references may mean: those that had another name before, found by that name.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::RandomState;
use std::sync::{Arc, OnceLock};

use thin_vec::ThinVec;

use super::super::error::{Error, Result};
use super::super::fields::{is_string, text};
use super::super::identity::KindRef;
use super::super::index::Index;
use super::super::resource::{Resource, Trail};
use super::super::resources::Resources;
use super::super::scope::{NOT_A_NAMESPACE, is_cluster_scoped};
use crate::object::Gvk;
use crate::yaml::Text;

/// An object that was renamed, as references see it. There are as many as objects, nearly: what many
/// have in common is there once.
#[derive(Debug)]
pub(super) struct Candidate {
    /// The present name.
    pub name: Text,
    /// A name that it had, and others.
    former: (Text, Box<[Text]>),
    way: Arc<Way>,
}

/// The way that objects of one kind went.
#[derive(Debug, PartialEq, Eq)]
struct Way {
    kind: Text,
    /// The present namespace, empty where none is written.
    namespace: Text,
    effective_namespace: Text,
    /// The effective namespace of the beginning.
    first_namespace: Text,
    /// The kinds that they were of.
    past_kinds: Vec<Gvk>,
    prefixes: ThinVec<Text>,
    suffixes: ThinVec<Text>,
}

/// What of an object tells its way, looked up once.
struct Seen<'a> {
    kind: KindRef<'a>,
    namespace: &'a str,
    effective_namespace: &'a str,
    first_namespace: &'a str,
    trail: &'a Trail,
}

impl<'a> Seen<'a> {
    fn of(resource: &'a Resource) -> Self {
        Self {
            kind: resource.kind_ref(),
            namespace: resource.namespace(),
            effective_namespace: resource.effective_namespace(),
            first_namespace: resource.original_namespace(),
            trail: &resource.trail,
        }
    }

    fn past_kinds(&self) -> impl Iterator<Item = KindRef<'a>> {
        let now = self.kind;
        self.trail.past.iter().map(move |past| past.kind_ref(now))
    }
}

impl Way {
    fn of(seen: &Seen<'_>) -> Self {
        Self {
            kind: seen.kind.kind.into(),
            namespace: seen.namespace.into(),
            effective_namespace: seen.effective_namespace.into(),
            first_namespace: seen.first_namespace.into(),
            past_kinds: seen.past_kinds().map(KindRef::to_gvk).collect(),
            prefixes: seen.trail.prefixes.clone(),
            suffixes: seen.trail.suffixes.clone(),
        }
    }

    /// Whether it is that of an object.
    fn is_of(&self, seen: &Seen<'_>) -> bool {
        self.kind == seen.kind.kind
            && self.namespace == seen.namespace
            && self.effective_namespace == seen.effective_namespace
            && self.first_namespace == seen.first_namespace
            && self.prefixes == seen.trail.prefixes
            && self.suffixes == seen.trail.suffixes
            && self
                .past_kinds
                .iter()
                .map(KindRef::from)
                .eq(seen.past_kinds())
    }
}

impl Candidate {
    /// `None` of an object that never changed.
    fn new(resource: &Resource, way: &Arc<Way>) -> Option<Self> {
        let (first, rest) = resource.trail.past.split_first()?;
        let mut others: Vec<Text> = Vec::new();
        for past in rest {
            if past.name != first.name && !others.contains(&past.name) {
                others.push(past.name.clone());
            }
        }
        Some(Self {
            name: resource.name().into(),
            former: (first.name.clone(), others.into()),
            way: Arc::clone(way),
        })
    }

    /// The names that it had, each once.
    fn former_names(&self) -> impl Iterator<Item = &str> {
        let (first, others) = &self.former;
        [first].into_iter().chain(others).map(Text::as_str)
    }

    /// The present namespace, empty where none is written.
    pub fn namespace(&self) -> &Text {
        &self.way.namespace
    }

    /// The present identity, for messages.
    pub fn printed(&self) -> String {
        match &*self.way.namespace {
            "" => format!("{}/{}", self.way.kind, self.name),
            namespace => format!("{}/{namespace}/{}", self.way.kind, self.name),
        }
    }

    /// Whether it ever was of this kind.
    pub fn was(&self, target: &Gvk) -> bool {
        let mut kinds = self.way.past_kinds.iter().map(KindRef::from);
        kinds.any(|kind| kind.is_selected(target))
    }
}

/// How many objects of one former name are looked through before an index by namespace is made.
const FEW: usize = 16;

/// Places of candidates by their former name and a namespace.
type ByNamespace = HashMap<(Text, Text), Vec<usize>>;

/// All of them, by their former names.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    list: Vec<Candidate>,
    by_name: Index,
    /// Names that more than a few have.
    crowded: BTreeSet<Text>,
    /// By name and present namespace, and by name and first namespace: for names that many have,
    /// such as those of one application in many namespaces.
    by_namespace: OnceLock<[ByNamespace; 2]>,
    /// For every namespace that an object started in, the namespaces in which such objects are:
    /// those that count, and as written.
    now_in: HashMap<Text, HashSet<(Text, Text)>>,
}

/// What one thread found among objects next to each other.
#[derive(Default)]
struct Portion {
    ways: Vec<Arc<Way>>,
    candidates: Vec<Candidate>,
}

impl Portion {
    fn of<'a>(
        resources: impl Iterator<Item = &'a Resource>,
        is_target: impl Fn(KindRef<'_>) -> bool,
    ) -> Self {
        let mut all = Self::default();
        for resource in resources {
            let seen = Seen::of(resource);
            let known = all.ways.iter().find(|way| way.is_of(&seen)).cloned();
            let way = known.unwrap_or_else(|| {
                let way = Arc::new(Way::of(&seen));
                all.ways.push(Arc::clone(&way));
                way
            });
            if way.past_kinds.iter().map(KindRef::from).any(&is_target) {
                all.candidates.extend(Candidate::new(resource, &way));
            }
        }
        all
    }
}

impl Candidates {
    /// From all objects. Those that never changed cannot be meant by a reference that must change,
    /// and those whose kinds are no targets by none.
    pub fn new(resources: &Resources, is_target: impl Fn(KindRef<'_>) -> bool + Sync) -> Self {
        let mut all = Self::default();
        for portion in resources.portions(|resources| Portion::of(resources, &is_target)) {
            for way in portion.ways {
                let now = (way.effective_namespace.clone(), way.namespace.clone());
                let started = all.now_in.entry(way.first_namespace.clone());
                started.or_default().insert(now);
            }
            all.list.extend(portion.candidates);
        }
        all.by_name = Index::of(
            &all.list,
            &RandomState::new(),
            resources.threads(),
            Candidate::former_names,
        );
        for (hash, first) in all.by_name.many(FEW) {
            let mut names = all.list[first].former_names();
            let crowded = names.find(|name| all.by_name.hash_of(*name) == hash);
            all.crowded.extend(crowded.map(Text::from));
        }
        all
    }

    /// The places of those that were once called `name`, in rising order.
    fn places(&self, name: &str) -> impl Iterator<Item = usize> {
        let found = self.by_name.find(name);
        found.filter(move |place| {
            self.list[*place]
                .former_names()
                .any(|former| former == name)
        })
    }

    /// Those that were once called `name`, as far as the referrer can see them.
    pub fn named(&self, view: &View, name: &str) -> Vec<&Candidate> {
        let mut found = if view.cluster_scoped || !self.crowded.contains(name) {
            self.pick(self.places(name))
        } else {
            let [now, _] = self.indexes();
            let key = |namespace| (Text::from(name), namespace);
            let lists = view
                .namespaces()
                .into_iter()
                .filter_map(|ns| now.get(&key(ns)));
            self.pick(lists.flatten().copied())
        };
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
        let mut found = if self.crowded.contains(name) {
            let [now, first] = self.indexes();
            let index = if started_here { first } else { now };
            let key = (Text::from(name), Text::from(namespace));
            self.pick(index.get(&key).into_iter().flatten().copied())
        } else {
            self.pick(self.places(name))
        };
        found.retain(|c| {
            let in_it = if started_here {
                &c.way.first_namespace
            } else {
                &c.way.effective_namespace
            };
            *in_it == namespace && view.sees(c)
        });
        found
    }

    fn indexes(&self) -> &[ByNamespace; 2] {
        self.by_namespace.get_or_init(|| {
            let [mut now, mut first] = [HashMap::new(), HashMap::new()];
            for name in &self.crowded {
                for place in self.places(name) {
                    let way = &self.list[place].way;
                    let add = |index: &mut ByNamespace, namespace: &Text| {
                        let key = (name.clone(), namespace.clone());
                        index.entry(key).or_default().push(place);
                    };
                    add(&mut now, &way.effective_namespace);
                    add(&mut first, &way.first_namespace);
                }
            }
            [now, first]
        })
    }

    fn pick(&self, places: impl Iterator<Item = usize>) -> Vec<&Candidate> {
        let mut places: Vec<usize> = places.collect();
        places.sort_unstable();
        places.dedup();
        places.into_iter().map(|i| &self.list[i]).collect()
    }
}

/// What one referrer can see.
#[derive(Debug)]
pub(super) struct View {
    cluster_scoped: bool,
    namespace: Text,
    /// Namespaces of the service accounts that a RoleBinding names.
    subjects: Vec<Text>,
    prefixes: ThinVec<Text>,
    suffixes: ThinVec<Text>,
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
        self.sees_namespace(&candidate.way.effective_namespace, candidate.namespace())
    }

    /// Whether a reference may reach this object: from a cluster-scoped object any, else those of
    /// the same namespace, of none, and service accounts.
    pub fn reaches(&self, candidate: &Candidate) -> bool {
        self.cluster_scoped
            || candidate.way.effective_namespace == NOT_A_NAMESPACE
            || candidate.way.kind == "ServiceAccount"
            || candidate.way.effective_namespace == self.namespace
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
        alike(&self.prefixes, &candidate.way.prefixes)
            && alike(&self.suffixes, &candidate.way.suffixes)
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
