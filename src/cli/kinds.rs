//! `KIND/NAME` as people write it to kubectl: which resource they mean.

use anyhow::bail;

use crate::cluster::{Discovery, Resource, Target};
use crate::object::{Scope, is_built_in};

/// The short names that people type without thinking: short name, plural.
const SHORT: &[(&str, &str)] = &[
    ("cj", "cronjobs"),
    ("cm", "configmaps"),
    ("crd", "customresourcedefinitions"),
    ("deploy", "deployments"),
    ("ds", "daemonsets"),
    ("hpa", "horizontalpodautoscalers"),
    ("ing", "ingresses"),
    ("netpol", "networkpolicies"),
    ("ns", "namespaces"),
    ("pdb", "poddisruptionbudgets"),
    ("po", "pods"),
    ("pv", "persistentvolumes"),
    ("pvc", "persistentvolumeclaims"),
    ("rs", "replicasets"),
    ("sa", "serviceaccounts"),
    ("sc", "storageclasses"),
    ("sts", "statefulsets"),
    ("svc", "services"),
    ("tl", "applications.towline.dev"),
];

/// The resource that a word means: a kind or a plural in any case, a short name, each with its group
/// behind a dot where there are several. Kubernetes' own kinds come first.
///
/// # Errors
/// When nothing is called so, or several are.
pub(super) fn resource<'a>(discovery: &'a Discovery, word: &str) -> anyhow::Result<&'a Resource> {
    let lower = word.to_ascii_lowercase();
    let long = SHORT.iter().find(|(short, _)| *short == lower);
    let long = long.map_or(lower.as_str(), |(_, plural)| plural);
    let (name, group) = match long.split_once('.') {
        Some((name, group)) => (name, Some(group)),
        None => (long, None),
    };
    let mut found: Vec<&Resource> = discovery
        .iter()
        .filter(|one| *one.plural == *name || one.gvk.kind.eq_ignore_ascii_case(name))
        .filter(|one| group.is_none_or(|group| one.gvk.group == group))
        .collect();
    found.sort_by_key(|one| {
        (
            rank(&one.gvk.group),
            std::cmp::Reverse(age(&one.gvk.version)),
        )
    });
    let Some(best) = found.first() else {
        bail!(
            "the API server has no kind `{word}`: check the spelling (kubectl api-resources), or install its CRD"
        );
    };
    let mut groups: Vec<&str> = found
        .iter()
        .map(|one| one.gvk.group.as_str())
        .filter(|group| rank(group) == rank(&best.gvk.group))
        .collect();
    groups.dedup();
    if groups.len() > 1 && !is_built_in(&best.gvk.group) {
        let all: Vec<String> = groups.iter().map(|g| format!("{name}.{g}")).collect();
        bail!("`{word}` may be {}: write one of them", all.join(" or "));
    }
    Ok(best)
}

/// Which group of several is meant: the core, `apps` and the like before those with a dot (events
/// are in two), and those before custom ones.
fn rank(group: &str) -> u8 {
    match group {
        "" => 0,
        group if !is_built_in(group) => 3,
        group if group.contains('.') => 2,
        _ => 1,
    }
}

/// Versions in the order in which Kubernetes prefers them: `v1alpha1` < `v1beta1` < `v1` < `v2`.
fn age(version: &str) -> (u8, u32, u32) {
    let rest = version.strip_prefix('v').unwrap_or(version);
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let major = rest[..digits].parse().unwrap_or(0);
    let (stage, minor) = match &rest[digits..] {
        "" => (3, ""),
        tail if tail.starts_with("beta") => (2, &tail[4..]),
        tail if tail.starts_with("alpha") => (1, &tail[5..]),
        _ => (0, ""),
    };
    (stage, major, minor.parse().unwrap_or(0))
}

/// Where an object is: in `namespace`, unless its kind has none.
pub(super) fn target(resource: &Resource, namespace: &str, name: &str) -> Target {
    match resource.scope {
        Scope::Namespaced => Target::new(resource, namespace, name),
        Scope::Cluster => Target::new(resource, "", name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discovery() -> Discovery {
        let known = |version: &str, kind: &str, plural: &str| {
            Resource::known(version, kind, plural, Scope::Namespaced)
        };
        Discovery::from_resources([
            known("apps/v1", "Deployment", "deployments"),
            known("apps/v1beta1", "Deployment", "deployments"),
            known(
                "autoscaling/v2",
                "HorizontalPodAutoscaler",
                "horizontalpodautoscalers",
            ),
            known(
                "autoscaling/v1",
                "HorizontalPodAutoscaler",
                "horizontalpodautoscalers",
            ),
            known("v1", "Event", "events"),
            known("events.k8s.io/v1", "Event", "events"),
            known("a.example.com/v1", "Widget", "widgets"),
            known("b.example.com/v1", "Widget", "widgets"),
            known("example.com/v1", "Service", "services"),
            known("v1", "Service", "services"),
        ])
    }

    #[test]
    fn a_kind_is_meant_as_kubectl_means_it() {
        let discovery = discovery();
        for (word, expected) in [
            ("deployment", "apps/v1 Deployment"),
            ("Deployments", "apps/v1 Deployment"),
            ("deploy", "apps/v1 Deployment"),
            ("deployments.apps", "apps/v1 Deployment"),
            ("hpa", "autoscaling/v2 HorizontalPodAutoscaler"),
            ("event", " v1 Event"),
            ("svc", " v1 Service"),
            ("service.example.com", "example.com/v1 Service"),
            ("widget.b.example.com", "b.example.com/v1 Widget"),
        ] {
            let found = resource(&discovery, word).expect(word);
            assert_eq!(found.gvk.to_string(), expected.trim_start(), "{word}");
        }
    }

    #[test]
    fn what_is_not_clear_is_asked_for() {
        let discovery = discovery();
        let error = resource(&discovery, "widget").expect_err("two");
        assert_eq!(
            error.to_string(),
            "`widget` may be widget.a.example.com or widget.b.example.com: write one of them"
        );
        let error = resource(&discovery, "gizmo").expect_err("none");
        assert!(error.to_string().contains("no kind `gizmo`"), "{error}");
    }
}
