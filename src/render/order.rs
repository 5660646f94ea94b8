//! The order of the printed objects: as accumulated, or kustomize's `legacy` order, its default.
//!
//! In the legacy order some kinds come first and some last; the rest is ordered by
//! `group_version_kind`, and objects of one kind by `Kind.version.group|namespace|name`, bytewise.
//! A missing part sorts as `~` and a letter, behind everything else.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::identity::KindRef;
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
        rank.then_with(|| group_version_kind(left.into()).cmp(&group_version_kind(right.into())))
    }

    /// What an object is sorted by; the namespace is the written one.
    pub fn key(&self, kind: KindRef<'_>, namespace: &str, name: &str) -> SortKey {
        SortKey {
            rank: self.of(kind.kind),
            kind: group_version_kind(kind),
            object: kind_namespace_name(kind, namespace, name),
            is_namespace: kind.kind == "Namespace",
            is_core: kind.group.is_empty(),
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

    fn key(api_version: &str, kind: &str, name: &str) -> SortKey {
        Ranks::default().key(KindRef::new(api_version, kind), "", name)
    }

    #[test]
    fn namespaces_come_first_and_webhooks_last() {
        let webhook = key(
            "admissionregistration.k8s.io/v1",
            "ValidatingWebhookConfiguration",
            "w",
        );
        let (pod, namespace) = (key("v1", "Pod", "p"), key("v1", "Namespace", "n"));
        assert!(namespace.compare(&pod).is_lt() && pod.compare(&webhook).is_lt());
    }

    #[test]
    fn an_empty_group_sorts_behind_every_named_one() {
        let (foo, pod) = (key("zzz.io/v1", "Foo", "f"), key("v1", "Pod", "p"));
        assert!(foo.compare(&pod).is_lt());
    }

    #[test]
    fn numbers_in_names_have_no_meaning() {
        let (ten, nine) = (key("v1", "Pod", "a10"), key("v1", "Pod", "a9"));
        assert!(ten.compare(&nine).is_lt());
    }
}
