//! What the API server refuses is told with the object, its place and what to do, and costs
//! nothing: the last good state stays enforced and nothing is deleted.

use serde_json::json;

use crate::world::manifests::{config_map, deployment, service, widget, widget_crd};
use crate::world::{World, wait_for};

/// The widgets of a group, as kubectl names them.
fn widgets(world: &World<'_>, group: &str) -> String {
    let args = ["get", &format!("widgets.{group}"), "-o", "name"];
    world.kubectl(&args).trim().to_owned()
}

/// A world whose Application is synced with a ConfigMap `a` and a Deployment `web`.
fn shop(name: &str) -> World<'static> {
    let world = World::new(name);
    world.deploy(
        "shop",
        "shop",
        &[
            ("shop/a.yaml", &config_map("a", "1")),
            ("shop/old.yaml", &config_map("old", "1")),
            ("shop/web.yaml", &deployment("web", Some(1), "nginx:1")),
        ],
    );
    world
}

/// Commits a manifest that is refused, and removes another in the same commit. Checks what is told,
/// that what is there stays enforced, and that a revert ends it.
fn is_refused(world: &World<'_>, file: &str, text: &str, reason: &str, told: &[&str]) {
    let mark = world.plane.audit_mark();
    world.repo.remove("shop/old.yaml").unwrap();
    let commit = world.commit(&[(file, text)]);
    world.poke("shop");
    let message = world.failed("shop", reason);
    for part in [&[file], told].concat() {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    world.patch(
        "ConfigMap",
        &world.work,
        "a",
        &json!({"data": {"value": "drift"}}),
    );
    wait_for("the last good content", || world.value("a") == "1");
    let live = world.live("Deployment", "web").unwrap();
    assert_eq!(
        live["spec"]["template"]["spec"]["containers"][0]["image"],
        "nginx:1"
    );
    assert_eq!(world.deletes(mark), [""; 0]);
    assert_eq!(world.value("old"), "1");
    let good = world.repo.revert(&commit).unwrap();
    world.synced("shop", &good);
    world.assert_quiet();
}

#[test]
fn an_invalid_object_is_named() {
    let world = shop("invalid-object");
    let wrong = deployment("web", Some(1), "nginx:2").replace("image: nginx:2", "tty: true");
    let object = "Deployment/invalid-object-work/web";
    is_refused(
        &world,
        "shop/web.yaml",
        &wrong,
        "Invalid",
        &[object, "image", "Required value"],
    );
}

#[test]
fn a_field_that_the_schema_does_not_know_is_named() {
    let world = shop("unknown-to-schema");
    let wrong =
        deployment("web", Some(1), "nginx:2").replace("  selector:", "  replikas: 1\n  selector:");
    let object = "Deployment/unknown-to-schema-work/web";
    is_refused(
        &world,
        "shop/web.yaml",
        &wrong,
        "SchemaMismatch",
        &[object, "replikas"],
    );
}

#[test]
fn a_value_of_the_wrong_type_is_named() {
    let world = shop("wrong-type");
    let wrong = deployment("web", Some(1), "nginx:2").replace("replicas: 1", "replicas: many");
    let object = "Deployment/wrong-type-work/web";
    is_refused(
        &world,
        "shop/web.yaml",
        &wrong,
        "SchemaMismatch",
        &[object, "replicas"],
    );
}

#[test]
fn an_immutable_field_is_named_with_the_ways_out() {
    let world = shop("immutable");
    let wrong = deployment("web", Some(1), "nginx:2").replace("app: web", "app: other");
    let object = "Deployment/immutable-work/web";
    let told = [object, "immutable", "give the object a new name"];
    is_refused(&world, "shop/web.yaml", &wrong, "ImmutableField", &told);
}

#[test]
fn a_right_that_is_missing_is_named_and_used_once_it_is_granted() {
    let world = World::new("forbidden");
    world.create(&json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "deployer", "namespace": world.ns}}));
    let all = json!([
        "get", "list", "watch", "create", "patch", "update", "delete"
    ]);
    let rule = |group: &str, resource: &str| json!({"apiGroups": [group], "resources": [resource], "verbs": all});
    world.allow(
        "deployer",
        &world.ns,
        "deployer",
        &json!([rule("", "configmaps")]),
    );
    let mut app = world.application("shop", "shop");
    app["spec"]["serviceAccountName"] = "deployer".into();
    let commit = world.commit(&[("shop/a.yaml", &config_map("a", "1"))]);
    world.create(&app);
    world.synced("shop", &commit);

    let mark = world.plane.audit_mark();
    world.repo.remove("shop/a.yaml").unwrap();
    let commit = world.commit(&[
        ("shop/b.yaml", &config_map("b", "1")),
        ("shop/service.yaml", &service("web", 80)),
    ]);
    world.poke("shop");
    let message = world.failed("shop", "Forbidden");
    let account = format!("system:serviceaccount:{}:deployer", world.ns);
    for part in [
        "shop/service.yaml",
        "services",
        &account,
        "grant this right",
    ] {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    assert_eq!(world.deletes(mark), [""; 0]);
    world.patch(
        "ConfigMap",
        &world.work,
        "a",
        &json!({"data": {"value": "drift"}}),
    );
    wait_for("the last good content", || world.value("a") == "1");
    let rules = json!([rule("", "configmaps"), rule("", "services")]);
    world.allow("deployer", &world.ns, "deployer", &rules);
    world.synced("shop", &commit);
    assert!(world.live("Service", "web").is_some());
    assert_eq!(world.live("ConfigMap", "a"), None);
}

#[test]
fn a_kind_that_nobody_serves_stops_nothing_but_itself() {
    let world = shop("no-crd");
    let group = "no-crd.example.com";
    let verbs = json!([
        "get", "list", "watch", "create", "patch", "update", "delete"
    ]);
    let rules = json!([{"apiGroups": [group], "resources": ["widgets"], "verbs": verbs}]);
    world.allow("widgets", &world.ns, "towline", &rules);
    let mark = world.plane.audit_mark();
    world.repo.remove("shop/old.yaml").unwrap();
    let commit = world.commit(&[
        ("shop/widget.yaml", &widget(group, "one")),
        ("shop/a.yaml", &config_map("a", "2")),
    ]);
    world.poke("shop");
    let message = world.failed("shop", "KindNotServed");
    for part in ["shop/widget.yaml", "Widget", group, "install the CRD"] {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    wait_for("the other objects", || world.value("a") == "2");
    assert_eq!(world.value("old"), "1");
    assert_eq!(world.deletes(mark), [""; 0]);
    world.plane.apply(&widget_crd(group)).unwrap();
    world.synced("shop", &commit);
    assert_eq!(widgets(&world, group), format!("widget.{group}/one"));
    assert_eq!(world.live("ConfigMap", "old"), None);
    world.assert_quiet();
}

#[test]
fn a_crd_and_its_first_object_may_come_in_one_commit() {
    let world = World::new("crd-and-object");
    let group = "crd-and-object.example.com";
    world.allow_widgets(group);
    let files = [
        ("shop/widget.yaml", &*widget(group, "one")),
        ("shop/crd.yaml", &*widget_crd(group)),
    ];
    world.deploy("shop", "shop", &files);
    assert_eq!(widgets(&world, group), format!("widget.{group}/one"));
    world.assert_quiet();
}
