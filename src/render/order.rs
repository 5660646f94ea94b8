//! The order of the printed objects: as accumulated, or kustomize's `legacy` order, its default.
//!
//! In the legacy order some kinds come first and some last; the rest is ordered by
//! `group_version_kind`, and objects of one kind by `Kind.version.group|namespace|name`, bytewise.
//! A missing part sorts as `~` and a letter, behind everything else.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use super::identity::KindRef;
use super::scope::is_cluster_scoped;
use crate::object::Gvk;
use crate::parallel::{self, PORTION};

/// How `sortOptions` or `--reorder` wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// As accumulated.
    Fifo,
    /// Some kinds first and some last.
    Legacy(Ranks),
}

/// The place of the kinds that come first (negative) or last (positive); zero for all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ranks(BTreeMap<String, isize>);

/// The kinds that come first by default.
const FIRST: &[&str] = &[
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];

/// The kinds that come last by default.
const LAST: &[&str] = &[
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

impl Default for Ranks {
    fn default() -> Self {
        Self::new(FIRST, LAST)
    }
}

impl Ranks {
    /// From the two lists of `legacySortOptions`; a kind that stands in both counts as last.
    pub fn new<S: AsRef<str>>(first: &[S], last: &[S]) -> Self {
        let mut ranks = BTreeMap::new();
        for (place, kind) in first
            .iter()
            .rev()
            .enumerate()
            .map(|(i, k)| (i + 1, k))
            .rev()
        {
            ranks.insert(kind.as_ref().to_owned(), -place.cast_signed());
        }
        for (place, kind) in last.iter().enumerate() {
            ranks.insert(kind.as_ref().to_owned(), (place + 1).cast_signed());
        }
        Self(ranks)
    }

    fn of(&self, kind: &str) -> isize {
        self.0.get(kind).copied().unwrap_or(0)
    }

    /// Compares two kinds as kustomize sorts its tables: `Namespace` is no exception here.
    pub fn compare_plain(&self, left: &Gvk, right: &Gvk) -> Ordering {
        let rank = self.of(&left.kind).cmp(&self.of(&right.kind));
        rank.then_with(|| group_version_kind(left.into()).cmp(&group_version_kind(right.into())))
    }

    /// The places of `items` in their order; those that compare alike stay as they are. Of each, its
    /// kind, its written namespace and its name count; one that has none of them is left out. Up to
    /// `threads` threads look at them.
    pub fn order<'a, T: Sync>(
        &self,
        items: &'a [T],
        threads: usize,
        parts: impl Fn(&'a T) -> Option<Parts<'a>> + Sync,
    ) -> Ordered {
        let portions = parallel::map_portions(items, PORTION, threads, |start, few| {
            Portion::of(start, few, &parts)
        });
        // Objects of one kind are usually in order already, but between those of others.
        let mut kinds: Vec<Kind<'a>> = Vec::new();
        let mut known = HashMap::new();
        for portion in portions {
            let places = portion.kinds.iter().map(|kind| {
                *known.entry(*kind).or_insert_with(|| {
                    kinds.push(Kind::new(*kind));
                    kinds.len() - 1
                })
            });
            let places: Vec<usize> = places.collect();
            for (kind, item) in portion.items {
                kinds[places[kind]].items.push(item);
            }
        }
        let mut ranked: Vec<_> = kinds
            .into_iter()
            .map(|kind| (self.rank(kind.kind), kind))
            .collect();
        ranked.sort_by(|(a, _), (b, _)| a.compare(b));
        let mut places = Vec::with_capacity(items.len());
        let mut differ = true;
        for alike in ranked.chunk_by_mut(|(a, _), (b, _)| a.compare(b).is_eq()) {
            match alike {
                [(_, kind)] => {
                    kind.items.sort_by(Item::compare);
                    differ &= kind.differ();
                    places.extend(kind.items.iter().map(|item| item.place));
                }
                several => {
                    differ = false;
                    places.extend(merged(several));
                }
            }
        }
        Ordered { places, differ }
    }

    fn rank(&self, kind: KindRef<'_>) -> Rank {
        Rank {
            rank: self.of(kind.kind),
            kind: group_version_kind(kind),
            is_namespace: kind.kind == "Namespace",
            is_core: kind.group.is_empty(),
        }
    }
}

/// Kind, written namespace and name of an object.
pub(super) type Parts<'a> = (KindRef<'a>, &'a str, &'a str);

/// An order of objects.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ordered {
    /// The place of each before.
    pub places: Vec<usize>,
    /// Whether no two of them are the same for sure; where not, somebody has to look.
    pub differ: bool,
}

/// Objects next to each other, as one thread saw them.
struct Portion<'a> {
    kinds: Vec<KindRef<'a>>,
    /// Each with the place of its kind among these.
    items: Vec<(usize, Item<'a>)>,
}

impl<'a> Portion<'a> {
    /// Of objects of which the first is at `start`.
    fn of<T>(start: usize, items: &'a [T], parts: impl Fn(&'a T) -> Option<Parts<'a>>) -> Self {
        let mut kinds: Vec<KindRef<'a>> = Vec::new();
        let item = |(place, item)| {
            let (kind, namespace, name) = parts(item)?;
            let known = kinds.iter().position(|known| *known == kind);
            let kind = known.unwrap_or_else(|| {
                kinds.push(kind);
                kinds.len() - 1
            });
            let item = Item {
                place,
                namespace,
                name,
            };
            Some((kind, item))
        };
        let items = (start..).zip(items).filter_map(item).collect();
        Self { kinds, items }
    }
}

/// The objects of one kind.
struct Kind<'a> {
    kind: KindRef<'a>,
    items: Vec<Item<'a>>,
}

impl<'a> Kind<'a> {
    fn new(kind: KindRef<'a>) -> Self {
        let items = Vec::new();
        Self { kind, items }
    }

    /// Whether no two objects, which are in their order, are the same for sure. Two that are, with the
    /// same namespace, are next to each other; one without namespace and one in `default`, or two of a
    /// kind that has no namespaces, need not be.
    fn differ(&self) -> bool {
        let mut spaces = self.items.iter().map(|item| item.namespace);
        let first = spaces.next().unwrap_or_default();
        let is_clear = match is_cluster_scoped(self.kind) {
            true => spaces.all(|namespace| namespace == first),
            false => spaces.all(|namespace| namespace.is_empty() == first.is_empty()),
        };
        // Also two that are only printed alike, as another may stand between two that are the same.
        let alike = |two: &[Item<'_>]| two[0].compare(&two[1]).is_eq();
        is_clear && !self.items.windows(2).any(alike)
    }
}

/// What an object of a kind is sorted by.
struct Item<'a> {
    place: usize,
    namespace: &'a str,
    name: &'a str,
}

impl Item<'_> {
    /// Compares two objects of one kind, as `namespace|name`.
    fn compare(&self, other: &Self) -> Ordering {
        let parts = |item: &Self| (or(item.namespace, "~X"), or(item.name, "~N"));
        let ((here, name), (there, other)) = (parts(self), parts(other));
        if here == there {
            return name.cmp(other);
        }
        let most = here.len().min(there.len());
        let heads = here.as_bytes()[..most].cmp(&there.as_bytes()[..most]);
        heads.then_with(|| {
            let behind =
                |namespace: &'_ str, name: &'_ str| [&namespace[most..], "|", name].concat();
            behind(here, name).cmp(&behind(there, other))
        })
    }
}

/// The places of objects of kinds that are not the same and compare alike all the same.
fn merged(kinds: &[(Rank, Kind<'_>)]) -> Vec<usize> {
    let all = kinds.iter().flat_map(|(_, kind)| {
        let key = |item: &Item<'_>| kind_namespace_name(kind.kind, item.namespace, item.name);
        kind.items.iter().map(move |item| (key(item), item.place))
    });
    let mut all: Vec<_> = all.collect();
    all.sort_unstable();
    all.into_iter().map(|(_, place)| place).collect()
}

/// What a kind is sorted by.
struct Rank {
    rank: isize,
    kind: String,
    is_namespace: bool,
    is_core: bool,
}

impl Rank {
    /// Compares two kinds. `Namespace` is the one kind whose groups are ordered backwards.
    fn compare(&self, other: &Self) -> Ordering {
        self.rank.cmp(&other.rank).then_with(|| {
            let namespaces = self.is_namespace && other.is_namespace;
            let kinds = self.kind.cmp(&other.kind);
            let backwards = namespaces && (self.is_core || other.is_core);
            if backwards { kinds.reverse() } else { kinds }
        })
    }
}

fn or<'a>(text: &'a str, placeholder: &'a str) -> &'a str {
    if text.is_empty() { placeholder } else { text }
}

fn group_version_kind(kind: KindRef<'_>) -> String {
    [
        or(kind.group, "~G"),
        or(kind.version, "~V"),
        or(kind.kind, "~K"),
    ]
    .join("_")
}

fn kind_namespace_name(kind: KindRef<'_>, namespace: &str, name: &str) -> String {
    let kind = [
        or(kind.kind, "[noKind]"),
        or(kind.version, "[noVer]"),
        or(kind.group, "[noGrp]"),
    ]
    .join(".");
    [kind.as_str(), or(namespace, "~X"), or(name, "~N")].join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The places of objects without namespace, given as apiVersion, kind and name.
    fn order(objects: &[[&str; 3]]) -> Vec<usize> {
        let order = Ranks::default().order(objects, 2, |[api_version, kind, name]| {
            Some((KindRef::new(api_version, kind), "", name))
        });
        order.places
    }

    #[test]
    fn namespaces_come_first_and_webhooks_last() {
        let webhook = "ValidatingWebhookConfiguration";
        let objects = [
            ["admissionregistration.k8s.io/v1", webhook, "w"],
            ["v1", "Pod", "p"],
            ["v1", "Namespace", "n"],
        ];
        assert_eq!(order(&objects), [2, 1, 0]);
    }

    #[test]
    fn an_empty_group_sorts_behind_every_named_one_but_for_namespaces() {
        let objects = [["v1", "Pod", "p"], ["zzz.io/v1", "Foo", "f"]];
        assert_eq!(order(&objects), [1, 0]);
        let namespaces = [["a.io/v1", "Namespace", "n"], ["v1", "Namespace", "n"]];
        assert_eq!(order(&namespaces), [1, 0]);
    }

    #[test]
    fn numbers_in_names_have_no_meaning() {
        let objects = [["v1", "Pod", "a9"], ["v1", "Pod", "a10"]];
        assert_eq!(order(&objects), [1, 0]);
    }

    #[test]
    fn namespace_and_name_are_compared_as_one_text() {
        let objects = [("a", "x"), ("a-b", "x"), ("", "x"), ("a", "")];
        let order = Ranks::default().order(&objects, 1, |(namespace, name)| {
            Some((KindRef::new("v1", "Pod"), *namespace, *name))
        });
        assert_eq!(order.places, [1, 0, 3, 2]);
    }

    #[test]
    fn objects_that_may_be_the_same_are_told() {
        let differ = |kind: &str, objects: &[(&str, &str)]| {
            let order = Ranks::default().order(objects, 1, |(namespace, name)| {
                (*name != "left-out").then(|| (KindRef::new("v1", kind), *namespace, *name))
            });
            order.differ
        };
        assert!(differ("Pod", &[("a", "x"), ("b", "x"), ("a", "y")]));
        assert!(!differ("Pod", &[("a", "x"), ("b", "x"), ("a", "x")]));
        assert!(differ("Pod", &[("a", "left-out"), ("a", "left-out")]));
        assert!(!differ("Pod", &[("", "x"), ("a", "x"), ("default", "x")]));
        assert!(!differ("Pod", &[("a", "b|c"), ("a|b", "c"), ("a", "b|c")]));
        assert!(differ("Namespace", &[("", "x"), ("", "y")]));
        assert!(!differ("Namespace", &[("", "x"), ("a", "y"), ("b", "x")]));
    }

    #[test]
    fn kinds_whose_texts_are_alike_are_told_apart_by_the_rest() {
        // both are `a_b_c_Kind`
        let objects = [["a/b_c", "Kind", "y"], ["a_b/c", "Kind", "x"]];
        assert_eq!(
            order(&objects),
            [0, 1],
            "`Kind.b_c.a` comes before `Kind.c.a_b`"
        );
    }

    #[test]
    fn many_objects_come_in_order_by_any_number_of_threads() {
        let names: Vec<String> = (0..2_000)
            .map(|i| format!("n{:04}", (i * 7) % 2_000))
            .collect();
        let kind = |i: usize| {
            if i.is_multiple_of(3) {
                "Pod"
            } else {
                "ConfigMap"
            }
        };
        let objects: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(i, n)| (kind(i), n.as_str()))
            .collect();
        for threads in [0, 1, 3] {
            let order = Ranks::default().order(&objects, threads, |(kind, name)| {
                Some((KindRef::new("v1", kind), "", *name))
            });
            let sorted: Vec<_> = order.places.iter().map(|place| objects[*place]).collect();
            let mut expected = objects.clone();
            expected.sort_unstable();
            assert_eq!(sorted, expected, "{threads} threads");
        }
    }
}
