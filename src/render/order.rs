//! The order of the printed objects: as accumulated, or kustomize's `legacy` order, its default.
//!
//! In the legacy order some kinds come first and some last; the rest is ordered by
//! `group_version_kind`, and objects of one kind by `Kind.version.group|namespace|name`, bytewise.
//! A missing part sorts as `~` and a letter, behind everything else.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::identity::Identity;
use crate::object::Gvk;

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
        rank.then_with(|| group_version_kind(left).cmp(&group_version_kind(right)))
    }

    /// What an object is sorted by.
    pub fn key(&self, id: &Identity) -> SortKey {
        SortKey {
            rank: self.of(&id.gvk.kind),
            kind: group_version_kind(&id.gvk),
            object: kind_namespace_name(id),
            is_namespace: id.gvk.kind == "Namespace",
            is_core: id.gvk.group.is_empty(),
        }
    }
}

/// What an object is sorted by, made once for each.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SortKey {
    rank: isize,
    kind: String,
    object: String,
    is_namespace: bool,
    is_core: bool,
}

impl SortKey {
    /// Compares two objects. `Namespace` is the one kind whose groups are ordered backwards.
    pub fn compare(&self, other: &Self) -> Ordering {
        self.rank.cmp(&other.rank).then_with(|| {
            let namespaces = self.is_namespace && other.is_namespace;
            let kinds = self.kind.cmp(&other.kind);
            let backwards = namespaces && (self.is_core || other.is_core);
            let kinds = if backwards { kinds.reverse() } else { kinds };
            kinds.then_with(|| self.object.cmp(&other.object))
        })
    }
}

fn or<'a>(text: &'a str, placeholder: &'a str) -> &'a str {
    if text.is_empty() { placeholder } else { text }
}

fn group_version_kind(gvk: &Gvk) -> String {
    [
        or(&gvk.group, "~G"),
        or(&gvk.version, "~V"),
        or(&gvk.kind, "~K"),
    ]
    .join("_")
}

fn kind_namespace_name(id: &Identity) -> String {
    let kind = [
        or(&id.gvk.kind, "[noKind]"),
        or(&id.gvk.version, "[noVer]"),
        or(&id.gvk.group, "[noGrp]"),
    ]
    .join(".");
    [kind.as_str(), or(&id.namespace, "~X"), or(&id.name, "~N")].join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(api_version: &str, kind: &str, name: &str) -> Identity {
        Identity::new(Gvk::from_api_version(api_version, kind), "", name)
    }

    #[test]
    fn namespaces_come_first_and_webhooks_last() {
        let ranks = Ranks::default();
        let webhook = id(
            "admissionregistration.k8s.io/v1",
            "ValidatingWebhookConfiguration",
            "w",
        );
        let mut ids = [webhook, id("v1", "Pod", "p"), id("v1", "Namespace", "n")];
        ids.sort_by(|a, b| ranks.key(a).compare(&ranks.key(b)));
        let kinds: Vec<_> = ids.iter().map(|i| i.gvk.kind.as_str()).collect();
        assert_eq!(
            kinds,
            ["Namespace", "Pod", "ValidatingWebhookConfiguration"]
        );
    }

    #[test]
    fn an_empty_group_sorts_behind_every_named_one() {
        let ranks = Ranks::default();
        let (foo, pod) = (id("zzz.io/v1", "Foo", "f"), id("v1", "Pod", "p"));
        assert!(ranks.key(&foo).compare(&ranks.key(&pod)).is_lt());
    }

    #[test]
    fn numbers_in_names_have_no_meaning() {
        let ranks = Ranks::default();
        let (ten, nine) = (id("v1", "Pod", "a10"), id("v1", "Pod", "a9"));
        assert!(ranks.key(&ten).compare(&ranks.key(&nine)).is_lt());
    }
}
