//! What an Application leaves to others: one rule for difference, drift and apply.

use serde_json::{Value, json};
use towline::object::keys;

use crate::world::manifests::{annotated, config_map, deployment};
use crate::world::{World, condition, wait_for};

/// An Application of `shop` that ignores these, with its objects in place.
fn shop(name: &str, ignored: &Value, files: &[(&str, &str)]) -> World<'static> {
    let world = World::new(name);
    let commit = world.commit(files);
    let mut app = world.application("shop", "shop");
    app["spec"]["ignoreDifferences"] = ignored.clone();
    world.create(&app);
    world.synced("shop", &commit);
    world.assert_quiet();
    world
}

fn web(world: &World<'_>) -> Value {
    world.live("Deployment", "web").unwrap()
}

fn replicas(world: &World<'_>) -> Value {
    web(world)["spec"]["replicas"].clone()
}

fn container(world: &World<'_>) -> Value {
    web(world)["spec"]["template"]["spec"]["containers"][0].clone()
}

fn owners(world: &World<'_>, field: &str) -> Vec<String> {
    let live = web(world);
    let entries = live["metadata"]["managedFields"].as_array().unwrap();
    let own = |entry: &&Value| entry["fieldsV1"]["f:spec"].get(field).is_some();
    let name = |entry: &Value| entry["manager"].as_str().unwrap().to_owned();
    entries.iter().filter(own).map(name).collect()
}

const REPLICAS: &str = "/spec/replicas";

#[test]
fn an_ignored_field_is_no_drift_no_difference_and_is_not_written() {
    let rule = json!([{"group": "apps", "kind": "Deployment", "jsonPointers": [REPLICAS]}]);
    let files = [("shop/web.yaml", &*deployment("web", Some(2), "nginx:1"))];
    let world = shop("ignore-replicas", &rule, &files);
    assert_eq!(replicas(&world), 2, "a create sends what Git has");

    let mark = world.plane.audit_mark();
    world.kubectl(&["scale", "deployment/web", "--replicas=5"]);
    let commit = world.commit(&[("shop/web.yaml", &deployment("web", Some(3), "nginx:1"))]);
    world.synced("shop", &commit);
    world.assert_quiet();
    assert_eq!(world.object_writes(mark), [""; 0]);

    let commit = world.commit(&[("shop/web.yaml", &deployment("web", Some(3), "nginx:2"))]);
    world.synced("shop", &commit);
    assert_eq!(container(&world)["image"], "nginx:2");
    assert_eq!(replicas(&world), 5);

    world.kubectl(&["set", "image", "deployment/web", "web=evil:1"]);
    wait_for("the image of Git", || {
        container(&world)["image"] == "nginx:2"
    });
    assert_eq!(replicas(&world), 5, "a heal leaves it alone too");

    let old = web(&world)["metadata"]["uid"].clone();
    world.delete("Deployment", &world.work, "web");
    wait_for("another Deployment", || {
        world
            .live("Deployment", "web")
            .is_some_and(|live| live["metadata"]["uid"] != old)
    });
    assert_eq!(replicas(&world), 3, "a create sends what Git has");
    world.assert_quiet();
}

#[test]
fn a_field_that_only_towline_owned_keeps_its_value_until_the_rule_goes() {
    let rule = json!([{"group": "*", "kind": "*", "name": "web", "jsonPointers": [REPLICAS]}]);
    let files = [("shop/web.yaml", &*deployment("web", Some(4), "nginx:1"))];
    let world = shop("ignore-owned", &rule, &files);
    assert_eq!(owners(&world, "f:replicas"), ["towline"]);
    // Neither lost nor reset, whatever Git says of it.
    for (number, image) in [(Some(1), "nginx:2"), (None, "nginx:3")] {
        let commit = world.commit(&[("shop/web.yaml", &deployment("web", number, image))]);
        world.synced("shop", &commit);
        assert_eq!(container(&world)["image"], image);
        assert_eq!(replicas(&world), 4, "{image}");
    }
    assert_eq!(owners(&world, "f:replicas"), ["towline-ignored"]);
    let commit = world.commit(&[("shop/web.yaml", &deployment("web", Some(1), "nginx:3"))]);
    world.synced("shop", &commit);
    world.assert_quiet();

    world.change("shop", &json!({"ignoreDifferences": null}));
    wait_for("the replicas of Git", || replicas(&world) == 1);
    assert_eq!(owners(&world, "f:replicas"), ["towline"]);
    world.wait_condition("shop", "Ready", "True", "Ready");
    world.assert_quiet();
}

#[test]
fn a_rule_that_comes_later_ends_the_fight() {
    let world = World::new("ignore-later");
    let files = [("shop/web.yaml", &*deployment("web", Some(2), "nginx:1"))];
    world.deploy("shop", "shop", &files);
    world.kubectl(&["scale", "deployment/web", "--replicas=5"]);
    wait_for("the replicas of Git", || replicas(&world) == 2);
    let rule = json!([{"group": "apps", "kind": "Deployment", "jsonPointers": [REPLICAS]}]);
    world.change("shop", &json!({"ignoreDifferences": rule}));
    world.refresh("shop");
    world.assert_quiet();
    let mark = world.plane.audit_mark();
    world.kubectl(&["scale", "deployment/web", "--replicas=5"]);
    world.refresh("shop");
    world.assert_quiet();
    assert_eq!(world.object_writes(mark), [""; 0]);
    assert_eq!(replicas(&world), 5);
    world.wait_condition("shop", "Synced", "True", "Synced");
}

#[test]
fn an_object_names_its_ignored_fields_itself() {
    let fields = "/data/value, /metadata/annotations/example.com~1note";
    let manifest = annotated("a", "1", keys::IGNORE_FIELDS, fields).replace(
        "  annotations:\n",
        "  annotations:\n    example.com/note: git\n",
    ) + "  other: \"1\"\n";
    let files = [("shop/a.yaml", &*manifest)];
    let world = shop("ignore-fields", &json!([]), &files);
    let change = json!({"data": {"value": "2", "other": "2"},
        "metadata": {"annotations": {"example.com/note": "mine"}}});
    world.patch("ConfigMap", &world.work, "a", &change);
    wait_for("the other value of Git", || {
        world.live("ConfigMap", "a").unwrap()["data"]["other"] == "1"
    });
    let live = world.live("ConfigMap", "a").unwrap();
    assert_eq!(live["data"]["value"], "2");
    assert_eq!(live["metadata"]["annotations"]["example.com/note"], "mine");
    world.assert_quiet();
    let newer = manifest.replace("value: \"1\"", "value: \"3\"");
    let mark = world.plane.audit_mark();
    let commit = world.commit(&[("shop/a.yaml", &newer)]);
    world.synced("shop", &commit);
    assert_eq!(world.object_writes(mark), [""; 0]);

    world.commit(&[(
        "shop/a.yaml",
        &annotated("a", "1", keys::IGNORE_FIELDS, "data.value"),
    )]);
    world.poke("shop");
    let message = world.failed("shop", "ManifestInvalid");
    assert!(message.contains("shop/a.yaml"), "{message}");
    assert!(message.contains("begins with `/`"), "{message}");
}

#[test]
fn what_a_named_manager_owns_is_left_to_it() {
    let rule = json!([{"group": "apps", "kind": "*", "managedFieldsManagers": ["sizer"]}]);
    let files = [("shop/web.yaml", &*deployment("web", Some(2), "nginx:1"))];
    let world = shop("ignore-manager", &rule, &files);
    let mark = world.plane.audit_mark();
    let sized = json!({"spec": {"replicas": 6}});
    world.apply_as("sizer", "apps/v1", "Deployment", "web", &sized);
    world.refresh("shop");
    world.assert_quiet();
    assert_eq!(world.object_writes(mark), [""; 0]);
    let commit = world.commit(&[("shop/web.yaml", &deployment("web", Some(3), "nginx:2"))]);
    world.synced("shop", &commit);
    assert_eq!(container(&world)["image"], "nginx:2");
    assert_eq!(replicas(&world), 6);
    world.kubectl(&["scale", "deployment/web", "--replicas=9"]);
    wait_for("the replicas of Git", || replicas(&world) == 3);
    world.assert_quiet();
}

#[test]
fn a_position_in_a_list_is_that_of_git() {
    let pointer = "/spec/template/spec/containers/0/image";
    let rule = json!([{"group": "apps", "kind": "Deployment", "jsonPointers": [pointer]}]);
    let files = [("shop/web.yaml", &*deployment("web", Some(1), "nginx:1"))];
    let world = shop("ignore-position", &rule, &files);
    world.kubectl(&["set", "env", "deployment/web", "DEBUG=1"]);
    wait_for("no variables", || container(&world)["env"].is_null());
    world.kubectl(&["set", "image", "deployment/web", "web=nginx:7"]);
    let commit = world.commit(&[("shop/web.yaml", &deployment("web", Some(2), "nginx:2"))]);
    world.synced("shop", &commit);
    assert_eq!(replicas(&world), 2);
    assert_eq!(container(&world)["image"], "nginx:7");
    world.assert_quiet();
}

#[test]
fn a_pointer_that_is_none_is_named_and_what_was_enforced_stays() {
    let world = World::new("ignore-invalid");
    world.deploy("shop", "shop", &[("shop/a.yaml", &config_map("a", "1"))]);
    let rule = json!([{"kind": "ConfigMap", "jsonPointers": ["data.value"]}]);
    world.change("shop", &json!({"ignoreDifferences": rule}));
    let message = world.failed("shop", "SpecInvalid");
    assert!(message.contains("spec.ignoreDifferences"), "{message}");
    assert!(message.contains("`data.value`"), "{message}");
    world.patch(
        "ConfigMap",
        &world.work,
        "a",
        &json!({"data": {"value": "2"}}),
    );
    wait_for("the value of Git", || world.value("a") == "1");
    let fixed = json!([{"kind": "ConfigMap", "jsonPointers": ["/data/none/3"]}]);
    world.change("shop", &json!({"ignoreDifferences": fixed}));
    let app = world.wait_condition("shop", "Ready", "True", "Ready");
    assert_eq!(condition(&app, "Synced")["status"], "True");
}
