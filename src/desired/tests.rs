//! From rendered objects to desired ones.

use serde_json::{Value, json};

use super::*;
use crate::render::Source;

fn rendered(value: Value) -> RenderedObject {
    RenderedObject {
        value,
        source: Source {
            path: "base/web.yaml".into(),
            line: Some(3),
        },
        generated: None,
    }
}

fn discovery() -> Discovery {
    Discovery::from_resources([
        Resource::known("v1", "ConfigMap", "configmaps", Scope::Namespaced),
        Resource::known("v1", "Namespace", "namespaces", Scope::Cluster),
    ])
}

fn owner() -> Owner {
    Owner {
        install: "towline-system".into(),
        namespace: "towline-system".into(),
        name: "shop".into(),
    }
}

fn config_map(name: &str, annotations: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap",
           "metadata": {"name": name, "annotations": annotations}, "data": {"k": "v"}})
}

#[test]
fn namespace_is_filled_in_and_marks_do_not_count() {
    let set = [rendered(config_map("a", json!({})))];
    let desired = build(&set, &discovery(), &owner(), "shop").expect("valid");
    let (id, object) = desired.objects.first_key_value().expect("one object");
    assert_eq!(id.to_string(), "ConfigMap/shop/a");
    assert_eq!(
        object.object().label(keys::APPLICATION_LABEL),
        Some(owner().key().as_str())
    );
    assert_eq!(
        object.object().annotation(keys::SOURCE),
        Some("base/web.yaml")
    );
    let other = Owner {
        name: "other".into(),
        ..owner()
    };
    let again = build(&set, &discovery(), &other, "shop").expect("valid");
    assert_eq!(
        again.digest, desired.digest,
        "marks are no part of a revision's identity"
    );
}

#[test]
fn every_mistake_is_collected_with_its_place() {
    let set = [
        rendered(config_map(
            "a",
            json!({"argocd.argoproj.io/sync-wave": "5x"}),
        )),
        rendered(config_map("b", json!({}))),
        rendered(config_map("b", json!({}))),
        rendered(config_map(
            "c",
            json!({"argocd.argoproj.io/hook": "PreDelete"}),
        )),
        rendered(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "x-"}}),
        ),
    ];
    let mistakes = build(&set, &discovery(), &owner(), "shop").expect_err("five mistakes");
    let text = mistakes.to_string();
    for expected in [
        "`argocd.argoproj.io/sync-wave: 5x` is not a whole number",
        "declared twice",
        "`argocd.argoproj.io/hook: PreDelete` is not supported yet",
        "metadata.name is missing",
    ] {
        assert!(text.contains(expected), "{expected} is not in:\n{text}");
    }
    assert!(
        text.lines()
            .all(|line| line.starts_with("base/web.yaml:3: ")),
        "{text}"
    );
}

#[test]
fn a_kind_that_is_not_served_waits_and_is_no_mistake() {
    let crd = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"kind": "Widget"}}});
    let widget =
        |api: &str| json!({"apiVersion": api, "kind": "Widget", "metadata": {"name": "w"}});
    let set = [
        rendered(crd),
        rendered(widget("example.com/v1")),
        rendered(widget("other.io/v1")),
    ];
    let desired = build(&set, &discovery(), &owner(), "shop").expect("valid");
    let placements: Vec<_> = desired
        .waiting()
        .map(|o| (o.gvk.group.as_str(), o.placement.clone()))
        .collect();
    assert!(
        placements.contains(&("example.com", Placement::AwaitsCrd)),
        "{placements:?}"
    );
    assert!(
        placements.contains(&("other.io", Placement::NotServed)),
        "{placements:?}"
    );
}

#[test]
fn what_is_ignored_is_no_content() {
    let hash = |fields: &str, value: &str| {
        let mut object = config_map("a", json!({"towline.dev/ignore-fields": fields}));
        object["data"]["k"] = value.into();
        let set = [rendered(object)];
        build(&set, &discovery(), &owner(), "shop")
            .map(|desired| desired.objects.values().next().map(|object| object.hash))
            .map_err(|mistakes| mistakes.to_string())
    };
    assert_eq!(
        hash("/data/k,\n/data/none", "1"),
        hash("/data/k,\n/data/none", "2")
    );
    assert_ne!(hash("/data/j", "1"), hash("/data/j", "2"));
    let mistake = hash("data.k", "1").expect_err("no pointer");
    assert!(mistake.contains("base/web.yaml:3"), "{mistake}");
    assert!(mistake.contains("begins with `/`"), "{mistake}");
}

#[test]
fn replicas_are_no_content_where_git_has_their_autoscaler() {
    let web = |replicas: i32| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"replicas": replicas}})
    };
    let scale = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "s", "namespace": "shop"}, "spec": {"scaleTargetRef":
            {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}});
    let served = Discovery::from_resources([
        Resource::known("apps/v1", "Deployment", "deployments", Scope::Namespaced),
        Resource::known(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            "horizontalpodautoscalers",
            Scope::Namespaced,
        ),
    ]);
    let hash = |set: &[Value]| {
        let set: Vec<RenderedObject> = set.iter().cloned().map(rendered).collect();
        let desired = build(&set, &served, &owner(), "shop").expect("valid");
        let id = ObjectId::new("apps", "Deployment", "shop", "web");
        desired.objects[&id].hash
    };
    assert_eq!(hash(&[web(1), scale.clone()]), hash(&[web(2), scale]));
    assert_ne!(hash(&[web(1)]), hash(&[web(2)]));
}

#[test]
fn objects_that_were_rendered_the_same_are_taken_over() {
    let one = |name: &str, value: &str| {
        let mut object = config_map(name, json!({}));
        object["data"]["k"] = json!(value);
        rendered(object)
    };
    let deployment = |name: &str| {
        rendered(json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name}, "spec": {"replicas": 2}}))
    };
    let autoscaler = || {
        rendered(
            json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web"}, "spec": {"maxReplicas": 5, "scaleTargetRef":
                {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}}),
        )
    };
    let after = |earlier: Option<&Desired>, set: &[RenderedObject]| {
        build_after(earlier, set, &discovery(), &owner(), "shop", 2).expect("valid")
    };
    // Each object of the second set, and whether it is the very one of the first.
    let taken = |first: &[RenderedObject], second: &[RenderedObject]| -> Vec<bool> {
        let earlier = after(None, first);
        let desired = after(Some(&earlier), second);
        assert_eq!(desired, after(None, second), "as if there were none before");
        let objects = desired.objects.iter();
        objects
            .map(|(id, object)| {
                let before = earlier.objects.get(id);
                before.is_some_and(|before| Arc::ptr_eq(before, object))
            })
            .collect()
    };
    let set = [one("a", "1"), one("b", "1"), deployment("web")];
    assert_eq!(taken(&set, &set), [true, true, true]);
    let changed = [one("a", "1"), one("b", "2"), deployment("web")];
    assert_eq!(taken(&set, &changed), [true, false, true]);
    let mut moved = set.clone();
    moved[1].source.line = Some(9);
    assert_eq!(taken(&set, &moved), [true, false, true]);
    // With an autoscaler the replicas of the deployment are left to it.
    let scaled = [one("a", "1"), deployment("web"), autoscaler()];
    assert_eq!(taken(&set, &scaled), [false, false, false]);
    assert_eq!(taken(&scaled, &set), [false, false, false]);
    let mut hook = one("a", "1");
    hook.value["metadata"]["annotations"] = json!({"argocd.argoproj.io/hook": "Skip"});
    assert_eq!(taken(&[hook.clone()], &[hook]), [false]);
    let twice = [one("a", "1"), one("a", "1")];
    let earlier = after(None, &twice[..1]);
    let error = build_after(Some(&earlier), &twice, &discovery(), &owner(), "shop", 2);
    let error = error.expect_err("declared twice").to_string();
    assert!(error.contains("declared twice"), "{error}");
}
