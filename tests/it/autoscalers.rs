//! Replicas that an autoscaler sets are left to it, and are Git's again when it is gone.

use serde_json::{Value, json};

use towline_testcluster::AuditEvent;

use crate::world::manifests::{config_map, deployment};
use crate::world::{World, condition, wait_for};

fn web(world: &World<'_>) -> Value {
    world.live("Deployment", "web").unwrap()
}

fn replicas(world: &World<'_>) -> Value {
    web(world)["spec"]["replicas"].clone()
}

/// An autoscaler that wants at least this many pods, whatever the metrics say.
fn autoscaler(at_least: u32) -> Value {
    json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": at_least, "maxReplicas": 10}})
}

/// The same as a person makes it in the cluster.
fn by_hand(world: &World<'_>, at_least: u32) {
    let mut object = autoscaler(at_least);
    object["metadata"]["namespace"] = world.work.as_str().into();
    world.create(&object);
}

fn said(world: &World<'_>) -> String {
    let synced = condition(&world.app("shop"), "Synced");
    synced["message"].as_str().unwrap_or_default().to_owned()
}

fn heals(world: &World<'_>) -> Vec<String> {
    let events = world.events("shop").into_iter();
    events
        .filter(|(reason, _)| reason == "Healed")
        .map(|(_, message)| message)
        .collect()
}

#[test]
fn an_autoscaler_that_comes_later_costs_no_write_and_is_told() {
    let world = World::new("hpa-later");
    let files = [("shop/web.yaml", &*deployment("web", Some(2), "nginx:1"))];
    world.deploy("shop", "shop", &files);
    world.assert_quiet();
    let mark = world.plane.audit_mark();
    by_hand(&world, 3);
    wait_for("the autoscaler to scale", || replicas(&world) == 3);
    world.refresh("shop");
    wait_for("the message", || {
        said(&world).contains("left to an autoscaler")
    });
    world.assert_quiet();
    assert_eq!(
        world.object_writes(mark),
        [""; 0],
        "not even one that changes nothing"
    );
    assert_eq!(heals(&world), [""; 0]);
    let message = said(&world);
    assert!(
        message.contains("replicas of Deployment/hpa-later-work/web are left to an autoscaler"),
        "{message}"
    );

    // Another one of its name that scales something else: the replicas are Git's, without a commit.
    let other = json!({"spec": {"scaleTargetRef": {"name": "other"}}});
    let mark = world.plane.audit_mark();
    world.patch("HorizontalPodAutoscaler", &world.work, "web", &other);
    wait_for("the replicas of Git", || replicas(&world) == 2);
    wait_for("the message", || !said(&world).contains("autoscaler"));
    let back = json!({"spec": {"scaleTargetRef": {"name": "web"}}});
    world.patch("HorizontalPodAutoscaler", &world.work, "web", &back);
    wait_for("the autoscaler to scale", || replicas(&world) == 3);
    wait_for("the message", || {
        said(&world).contains("left to an autoscaler")
    });
    world.assert_quiet();

    // It is gone.
    world.delete("HorizontalPodAutoscaler", &world.work, "web");
    wait_for("the replicas of Git", || replicas(&world) == 2);
    let watches = |name: &str| {
        let field = format!("fieldSelector=metadata.name%3D{name}");
        let is_one = |event: &&AuditEvent| {
            let of = event.resource == "horizontalpodautoscalers" && event.verb == "watch";
            of && event.uri.contains(&field)
        };
        world.requests(mark).iter().filter(is_one).count()
    };
    assert_eq!(watches("web"), 1, "by its name, and once while it is there");
    wait_for("the message", || !said(&world).contains("autoscaler"));
    world.assert_quiet();
    world.kubectl(&["scale", "deployment/web", "--replicas=5"]);
    wait_for("the replicas of Git", || replicas(&world) == 2);
}

#[test]
fn an_autoscaler_that_leaves_git_gives_the_replicas_back() {
    let world = World::new("hpa-leaves");
    let commit = world.commit(&[
        ("shop/web.yaml", &deployment("web", Some(2), "nginx:1")),
        ("shop/scale.json", &autoscaler(4).to_string()),
        ("shop/a.yaml", &config_map("a", "1")),
    ]);
    world.create(&world.application("shop", "shop"));
    wait_for("the autoscaler to scale", || {
        world.live("Deployment", "web").is_some() && replicas(&world) == 4
    });
    world.wait_condition("shop", "Synced", "True", "Synced");
    assert_eq!(world.app("shop")["status"]["sync"]["revision"], commit);
    // Deleted by hand it comes back with what Git has, never with one pod.
    let old = web(&world)["metadata"]["uid"].clone();
    world.delete("Deployment", &world.work, "web");
    wait_for("another Deployment", || {
        world
            .live("Deployment", "web")
            .is_some_and(|live| live["metadata"]["uid"] != old)
    });
    assert!(
        replicas(&world) == 2 || replicas(&world) == 4,
        "{}",
        web(&world)
    );
    wait_for("the autoscaler to scale", || replicas(&world) == 4);

    let commit = world.remove(&["shop/scale.json"]);
    world.synced("shop", &commit);
    wait_for("the replicas of Git", || replicas(&world) == 2);
    world.wait_condition("shop", "Ready", "True", "Ready");
    world.assert_quiet();
}

#[test]
fn what_admission_puts_into_an_object_is_no_drift() {
    let world = World::new("injected");
    let name = "inject-sidecar";
    world.create(&json!({"apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicy", "metadata": {"name": name}, "spec": {
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": world.work}},
                "resourceRules": [{"apiGroups": ["apps"], "apiVersions": ["v1"],
                    "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]}]},
            "failurePolicy": "Fail", "reinvocationPolicy": "Never",
            "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression":
                "Object{spec: Object.spec{template: Object.spec.template{spec: \
                 Object.spec.template.spec{containers: [Object.spec.template.spec.containers{\
                 name: 'mesh', image: 'mesh:1'}]}}}}"}}]}}));
    world.create(&json!({"apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": name},
        "spec": {"policyName": name}}));
    let images = |world: &World<'_>| -> Vec<String> {
        let live = world.live("Deployment", "web").unwrap_or_default();
        let all = live["spec"]["template"]["spec"]["containers"]
            .as_array()
            .cloned();
        let text = |container: &Value| container["image"].as_str().unwrap_or_default().to_owned();
        let mut images: Vec<String> = all.unwrap_or_default().iter().map(text).collect();
        images.sort();
        images
    };
    // The API server begins to use a policy a moment after it was made.
    let try_it = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "probe", "namespace": world.work},
        "spec": {"selector": {"matchLabels": {"app": "probe"}},
            "template": {"metadata": {"labels": {"app": "probe"}},
                "spec": {"containers": [{"name": "web", "image": "nginx:1"}]}}}});
    wait_for("the policy", || {
        let (status, answer) = world.try_create(&try_it, "&dryRun=All");
        assert!(status < 300, "{answer}");
        answer.to_string().contains("mesh:1")
    });

    let files = [("shop/web.yaml", &*deployment("web", Some(2), "nginx:1"))];
    world.deploy("shop", "shop", &files);
    assert_eq!(images(&world), ["mesh:1", "nginx:1"]);
    world.assert_quiet();
    let mark = world.plane.audit_mark();
    world.refresh("shop");
    world.assert_quiet();
    assert_eq!(world.object_writes(mark), [""; 0]);

    world.kubectl(&["scale", "deployment/web", "--replicas=5"]);
    wait_for("the replicas of Git", || replicas(&world) == 2);
    let commit = world.commit(&[("shop/web.yaml", &deployment("web", Some(2), "nginx:2"))]);
    world.synced("shop", &commit);
    assert_eq!(images(&world), ["mesh:1", "nginx:2"]);
    world.assert_quiet();
    for message in heals(&world) {
        assert!(!message.contains("mesh"), "{message}");
    }
}
