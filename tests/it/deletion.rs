//! The end of an Application: its objects go with it only where its finalizer says so.

use serde_json::json;
use towline::object::keys;
use towline_testcluster::ControlPlane;

use crate::world::manifests::{annotated, config_map, deployment};
use crate::world::{World, install_crd, wait_for};

/// An Application with the finalizer, synced with two objects that it made, one that it is to keep,
/// and one that was there before.
fn shop(world: &World<'_>) {
    world.kubectl(&["create", "configmap", "before", "--from-literal=value=0"]);
    let commit = world.commit(&[
        ("shop/made.yaml", &config_map("made", "1")),
        ("shop/web.yaml", &deployment("web", Some(1), "nginx:1")),
        ("shop/before.yaml", &config_map("before", "1")),
        (
            "shop/kept.yaml",
            &annotated("kept", "1", keys::PRUNE, "disabled"),
        ),
    ]);
    let mut app = world.application("shop", "shop");
    app["metadata"]["finalizers"] = json!([keys::PRUNE_FINALIZER]);
    world.create(&app);
    world.synced("shop", &commit);
}

/// How many Secrets the agent keeps of its Applications, whose names begin with `prefix`.
fn kept(world: &World<'_>, prefix: &str) -> usize {
    let all = world.list("Secret", &world.ns);
    all.iter()
        .filter(|secret| secret["type"] == "towline.dev/state")
        .filter_map(|secret| secret["metadata"]["name"].as_str())
        .filter(|name| name.starts_with(prefix))
        .count()
}

#[test]
fn with_the_finalizer_what_an_application_made_goes_with_it() {
    let world = World::new("delete-all");
    shop(&world);
    assert_eq!(kept(&world, "towline-inventory-"), 1);
    world.delete_application("shop");
    wait_for("the Deployment to go", || {
        world.live("Deployment", "web").is_none()
    });
    let values = ["made", "before", "kept"].map(|name| world.value(name));
    assert_eq!(values, ["", "1", "1"]);
    assert_eq!(kept(&world, ""), 0);
    let pods = world.kubectl(&["get", "replicasets", "-o", "name"]);
    wait_for("the dependants to go", || {
        world
            .kubectl(&["get", "replicasets", "-o", "name"])
            .is_empty()
    });
    assert!(pods.len() < 200);
}

#[test]
fn without_the_finalizer_everything_stays() {
    let world = World::new("delete-none");
    shop(&world);
    let none = json!({"metadata": {"finalizers": null}});
    world.patch("Application", &world.ns, "shop", &none);
    let mark = world.plane.audit_mark();
    world.delete_application("shop");
    // A second Application shows that the agent had the time to do something wrong.
    let commit = world.commit(&[("other/other.yaml", &config_map("other", "1"))]);
    world.create(&world.application("other", "other"));
    world.synced("other", &commit);
    assert_eq!(world.deletes(mark), [""; 0]);
    assert_eq!(
        ["made", "before", "kept"].map(|name| world.value(name)),
        ["1", "1", "1"]
    );
    // It can come back, and knows its objects.
    world.create(&world.application("shop", "shop"));
    world.synced("shop", &commit);
    let commit = world.remove(&["shop/made.yaml"]);
    world.synced("shop", &commit);
    assert_eq!(world.value("made"), "");
}

#[test]
fn an_application_that_cannot_be_read_can_be_deleted() {
    let world = World::new("delete-broken");
    shop(&world);
    world.change(
        "shop",
        &json!({"source": {"interval": "soon", "repoURL": "ftp://nowhere"}}),
    );
    world.wait_condition("shop", "Ready", "False", "SpecInvalid");
    world.delete_application("shop");
    wait_for("its objects to go", || {
        world.live("Deployment", "web").is_none()
    });
    assert_eq!(world.value("made"), "");
}

#[test]
fn a_namespace_that_goes_takes_its_applications_and_not_what_runs_elsewhere() {
    let mut world = World::idle("delete-namespace");
    let team = "delete-namespace-team";
    world.make_namespace(team);
    let mut options = world.options();
    options.application_namespaces.push(team.into());
    world.start_with(options);
    world.commit(&[("shop/a.yaml", &config_map("a", "1"))]);
    world.create(&json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "deployer", "namespace": team}}));
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}]);
    world.allow("deployer", team, "deployer", &rules);
    let mut app = world.application("shop", "shop");
    app["metadata"]["namespace"] = team.into();
    app["metadata"]["finalizers"] = json!([keys::PRUNE_FINALIZER]);
    app["spec"]["serviceAccountName"] = "deployer".into();
    world.create(&app);
    wait_for("the sync", || world.value("a") == "1");
    let mark = world.plane.audit_mark();
    world.delete("Namespace", "", team);
    wait_for("the end of the namespace", || {
        world.get("Namespace", "", team).is_none()
    });
    assert_eq!(world.deletes(mark), [""; 0]);
    assert_eq!(world.value("a"), "1");
}

#[test]
fn an_agent_waits_for_its_crd_and_leaves_everything_when_that_goes() {
    let plane = ControlPlane::builder().with_kwok(false).start().unwrap();
    let mut world = World::on(&plane, "no-api");
    world.start();
    wait_for("the agent to be ready", || {
        world.agent().get("/readyz").0 == 200
    });
    install_crd(&plane);
    let commit = world.commit(&[("shop/a.yaml", &config_map("a", "1"))]);
    let mut app = world.application("shop", "shop");
    app["metadata"]["finalizers"] = json!([keys::PRUNE_FINALIZER]);
    world.create(&app);
    world.synced("shop", &commit);
    let mark = plane.audit_mark();
    let crd = "applications.towline.dev";
    world.delete("CustomResourceDefinition", "", crd);
    wait_for("the end of the CRD", || {
        world.get("CustomResourceDefinition", "", crd).is_none()
    });
    assert_eq!(world.deletes(mark), [""; 0]);
    assert_eq!(world.value("a"), "1");
    assert_eq!(world.agent().get("/healthz").0, 200);

    install_crd(&plane);
    // The API server may take the new CRD for the old one, which takes no objects, for a moment.
    wait_for("an Application to be taken", || {
        world.try_create(&app, "&dryRun=All").0 < 300
    });
    world.create(&app);
    let commit = world.commit(&[("shop/a.yaml", &config_map("a", "2"))]);
    world.synced("shop", &commit);
    assert_eq!(world.value("a"), "2");
}
