//! Applications that wait for others.

use serde_json::{Value, json};

use crate::world::manifests::{config_map, deployment};
use crate::world::{World, wait_for};

/// An Application that depends on others.
fn dependent(world: &World<'_>, name: &str, needs: &[&str]) -> Value {
    let mut app = world.application(name, name);
    let needs: Vec<Value> = needs.iter().map(|name| json!({"name": name})).collect();
    app["spec"]["dependsOn"] = json!(needs);
    app
}

fn slow(name: &str) -> String {
    deployment(name, Some(1), "nginx:1").replace(
        "      labels:\n",
        "      annotations:\n        testcluster.towline.dev/ready-after: 1h\n      labels:\n",
    )
}

#[test]
fn an_application_waits_until_what_it_depends_on_is_healthy() {
    let world = World::new("dep-wait");
    world.commit(&[
        ("db/db.yaml", &slow("db")),
        ("web/a.yaml", &config_map("a", "1")),
    ]);
    world.create(&dependent(&world, "web", &["db"]));
    let message = world.failed("web", "DependencyNotFound");
    assert_eq!(
        message,
        "waits for Application db (there is no such Application)"
    );
    world.create(&world.application("db", "db"));
    let message = world.failed("web", "WaitingForDependency");
    assert!(
        message.starts_with("waits for Application db ("),
        "{message}"
    );
    world.failed("db", "Progressing");
    wait_for("the words of the other one", || {
        world
            .failed("web", "WaitingForDependency")
            .contains("Progressing: ")
    });
    assert_eq!(world.live("ConfigMap", "a"), None);
    // It waits without asking anybody.
    world.assert_quiet();

    let commit = world.commit(&[("db/db.yaml", &deployment("db", Some(1), "nginx:1"))]);
    world.synced("db", &commit);
    world.synced("web", &commit);
    assert_eq!(world.value("a"), "1");

    // One commit to both: the second one waits for the first to have looked at it, and healing
    // waits for nothing.
    world.commit(&[
        ("db/db.yaml", &slow("db")),
        ("web/a.yaml", &config_map("a", "2")),
    ]);
    world.poke("web");
    world.failed("web", "WaitingForDependency");
    world.patch(
        "ConfigMap",
        &world.work,
        "a",
        &json!({"data": {"value": "drift"}}),
    );
    wait_for("the accepted content", || world.value("a") == "1");
    assert_eq!(world.value("a"), "1");
    let commit = world.commit(&[("db/db.yaml", &deployment("db", Some(1), "nginx:2"))]);
    world.synced("web", &commit);
    assert_eq!(world.value("a"), "2");
    world.assert_quiet();
}

#[test]
fn a_circle_is_named_at_once_and_ends_when_it_is_cut() {
    let world = World::new("dep-circle");
    let commit = world.commit(&[
        ("a/a.yaml", &config_map("a", "1")),
        ("b/b.yaml", &config_map("b", "1")),
    ]);
    world.create(&dependent(&world, "a", &["b"]));
    world.create(&dependent(&world, "b", &["a"]));
    for (name, circle) in [("a", "a → b → a"), ("b", "b → a → b")] {
        let message = world.failed(name, "DependencyCycle");
        assert!(message.contains(circle), "{message}");
    }
    assert_eq!(world.live("ConfigMap", "a"), None);
    world.change("b", &json!({"dependsOn": null}));
    world.synced("b", &commit);
    world.synced("a", &commit);
    assert_eq!(world.value("a"), "1");
    world.assert_quiet();
}

#[test]
fn nobody_depends_on_itself_or_asks_about_other_namespaces() {
    let world = World::new("dep-rules");
    let (status, answer) = world.try_create(&dependent(&world, "a", &["a"]), "");
    assert_eq!(status, 422, "{answer}");
    assert!(
        answer.to_string().contains("cannot depend on itself"),
        "{answer}"
    );
    // The agent's own Applications may name others' namespaces.
    world.commit(&[("a/a.yaml", &config_map("a", "1"))]);
    let mut app = world.application("a", "a");
    app["spec"]["dependsOn"] = json!([{"name": "x", "namespace": "dep-rules-other"}]);
    world.create(&app);
    let message = world.failed("a", "DependencyNotFound");
    assert!(message.contains("dep-rules-other/x"), "{message}");
}

#[test]
fn a_killed_agent_goes_on_waiting() {
    let mut world = World::new("dep-kill");
    world.commit(&[
        ("db/db.yaml", &slow("db")),
        ("web/a.yaml", &config_map("a", "1")),
    ]);
    world.create(&world.application("db", "db"));
    world.create(&dependent(&world, "web", &["db"]));
    world.failed("web", "WaitingForDependency");
    world.kill_agent();
    world.start();
    world.wait_polls(2.0);
    world.refresh("web");
    world.failed("web", "WaitingForDependency");
    assert_eq!(world.live("ConfigMap", "a"), None);
    let commit = world.commit(&[("db/db.yaml", &deployment("db", Some(1), "nginx:1"))]);
    world.synced("web", &commit);
    assert_eq!(world.value("a"), "1");
}
