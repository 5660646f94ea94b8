//! What was there before, and what belongs to somebody else.

use serde_json::json;
use towline::object::keys;

use crate::world::manifests::config_map;
use crate::world::{World, condition, wait_for};

/// A ConfigMap that a person made with kubectl, with one field more than Git will have.
fn make_by_hand(world: &World<'_>, name: &str) {
    let args = [
        "create",
        "configmap",
        name,
        "--from-literal=value=0",
        "--from-literal=more=x",
    ];
    world.kubectl(&args);
}

#[test]
fn what_was_there_before_is_taken_over_and_survives_its_removal_from_git() {
    let world = World::new("adopt");
    make_by_hand(&world, "old");
    let files = [
        ("shop/old.yaml", &*config_map("old", "1")),
        ("shop/new.yaml", &*config_map("new", "1")),
    ];
    world.deploy("shop", "shop", &files);
    let live = world.live("ConfigMap", "old").unwrap();
    assert_eq!(live["data"], json!({"value": "1"}), "it is as Git has it");
    assert_eq!(
        live["metadata"]["annotations"][keys::SOURCE],
        "shop/old.yaml"
    );
    world.assert_quiet();

    let mark = world.plane.audit_mark();
    let commit = world.remove(&["shop/old.yaml"]);
    world.synced("shop", &commit);
    assert_eq!(world.deletes(mark), [""; 0]);
    assert_eq!(world.value("old"), "1");
    world.assert_quiet();
}

#[test]
fn what_was_there_before_goes_with_git_where_the_application_owns_it() {
    let world = World::new("adopt-own");
    make_by_hand(&world, "old");
    let commit = world.commit(&[
        ("shop/old.yaml", &config_map("old", "1")),
        ("shop/new.yaml", &config_map("new", "1")),
    ]);
    let mut app = world.application("shop", "shop");
    app["spec"]["adopt"] = "Own".into();
    world.create(&app);
    world.synced("shop", &commit);
    let commit = world.remove(&["shop/old.yaml"]);
    world.synced("shop", &commit);
    assert_eq!(world.live("ConfigMap", "old"), None);
}

#[test]
fn what_was_there_before_is_left_alone_where_the_application_says_so() {
    let world = World::new("adopt-never");
    make_by_hand(&world, "old");
    world.commit(&[
        ("shop/old.yaml", &config_map("old", "1")),
        ("shop/new.yaml", &config_map("new", "1")),
    ]);
    let mut app = world.application("shop", "shop");
    app["spec"]["adopt"] = "Never".into();
    world.create(&app);
    wait_for("the other object", || world.value("new") == "1");
    let app = world.refresh("shop");
    let message = condition(&app, "Synced")["message"].to_string();
    assert!(
        message.contains("ConfigMap/adopt-never-work/old"),
        "{message}"
    );
    assert_eq!(world.live("ConfigMap", "old").unwrap()["data"]["more"], "x");
    world.assert_quiet();
}

#[test]
fn what_another_application_owns_is_refused_and_taken_once_it_is_free() {
    let world = World::new("two-owners");
    world.deploy(
        "first",
        "first",
        &[
            ("first/shared.yaml", &config_map("shared", "first")),
            ("first/own.yaml", &config_map("one", "1")),
            ("second/shared.yaml", &config_map("shared", "second")),
            ("second/own.yaml", &config_map("two", "2")),
        ],
    );
    world.create(&world.application("second", "second"));
    wait_for("its other object", || world.value("two") == "2");
    let app = world.refresh("second");
    let ready = condition(&app, "Ready");
    assert_eq!(ready["status"], "False", "{app}");
    let message = ready["message"].to_string();
    assert!(
        message.contains("ConfigMap/two-owners-work/shared"),
        "{message}"
    );
    assert!(
        message.contains("two-owners/two-owners/first"),
        "the owner is named: {message}"
    );
    assert_eq!(world.value("shared"), "first");
    world.assert_quiet();

    let commit = world.remove(&["first/shared.yaml"]);
    world.synced("first", &commit);
    wait_for("the second to take it", || {
        world.value("shared") == "second"
    });
    world.synced("second", &commit);
    world.assert_quiet();
}

#[test]
fn what_argo_cd_manages_is_refused() {
    let world = World::new("argo-owns");
    let tracking = format!("bank:/ConfigMap:{}/a", world.work);
    world.apply(&json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": world.work,
            "annotations": {keys::ARGO_TRACKING_ID: tracking}}, "data": {"value": "argo"}}));
    world.commit(&[
        ("shop/a.yaml", &config_map("a", "1")),
        ("shop/b.yaml", &config_map("b", "1")),
    ]);
    world.create(&world.application("shop", "shop"));
    wait_for("the other object", || world.value("b") == "1");
    let app = world.refresh("shop");
    let message = condition(&app, "Ready")["message"].to_string();
    assert!(message.contains("Argo CD Application `bank`"), "{message}");
    assert_eq!(app["status"]["health"]["status"], "Missing", "{app}");
    assert_eq!(world.value("a"), "argo");
    world.assert_quiet();
}
