//! The order of the printed objects: as accumulated, or kustomize's `legacy` order, its default.
//!
//! In the legacy order some kinds come first and some last; the rest is ordered by
//! `group_version_kind`, and objects of one kind by `Kind.version.group|namespace|name`, bytewise.
//! A missing part sorts as `~` and a letter, behind everything else.

use std::cmp::{Ordering, Reverse};
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

    /// Compares two kinds of the printed order.
    pub fn compare_kinds(&self, left: &Gvk, right: &Gvk) -> Ordering {
        self.of(&left.kind)
            .cmp(&self.of(&right.kind))
            .then_with(|| {
                let (a, b) = (group_version_kind(left), group_version_kind(right));
                let namespaces = left.kind == "Namespace" && right.kind == "Namespace";
                if namespaces && (left.group.is_empty() || right.group.is_empty()) {
                    Reverse(a).cmp(&Reverse(b))
                } else {
                    a.cmp(&b)
                }
            })
    }

    /// Compares two objects.
    pub fn compare(&self, left: &Identity, right: &Identity) -> Ordering {
        if left.gvk == right.gvk {
            kind_namespace_name(left).cmp(&kind_namespace_name(right))
        } else {
            self.compare_kinds(&left.gvk, &right.gvk)
        }
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
        ids.sort_by(|a, b| ranks.compare(a, b));
        let kinds: Vec<_> = ids.iter().map(|i| i.gvk.kind.as_str()).collect();
        assert_eq!(
            kinds,
            ["Namespace", "Pod", "ValidatingWebhookConfiguration"]
        );
    }

    #[test]
    fn an_empty_group_sorts_behind_every_named_one() {
        let ranks = Ranks::default();
        assert!(
            ranks
                .compare(&id("zzz.io/v1", "Foo", "f"), &id("v1", "Pod", "p"))
                .is_lt()
        );
    }

    #[test]
    fn numbers_in_names_have_no_meaning() {
        let ranks = Ranks::default();
        assert!(
            ranks
                .compare(&id("v1", "Pod", "a10"), &id("v1", "Pod", "a9"))
                .is_lt()
        );
    }
}
