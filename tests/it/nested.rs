//! Applications that declare Applications.

use towline::object::keys;

use crate::world::manifests::{config_map, deployment};
use crate::world::{World, condition, wait_for};

fn child(world: &World<'_>, name: &str) -> String {
    let mut app = world.application(name, name);
    app["metadata"]["finalizers"] = serde_json::json!([keys::PRUNE_FINALIZER]);
    app.to_string()
}

#[test]
fn an_application_of_applications_is_as_healthy_as_they_are() {
    let world = World::new("nested");
    let mut root = world.application("root", "root");
    root["spec"]["destination"]["namespace"] = world.ns.clone().into();
    let commit = world.commit(&[
        ("root/one.json", &child(&world, "one")),
        ("root/two.json", &child(&world, "two")),
        ("one/a.yaml", &config_map("a", "1")),
        ("two/b.yaml", &config_map("b", "1")),
    ]);
    world.create(&root);
    world.synced("root", &commit);
    assert_eq!(
        (world.value("a"), world.value("b")),
        ("1".into(), "1".into())
    );

    // A request on a child is a person's, and no drift.
    world.refresh("one");
    world.synced("root", &commit);

    let slow = deployment("slow", Some(1), "nginx:1").replace(
        "      labels:\n",
        "      annotations:\n        testcluster.towline.dev/ready-after: 1h\n      labels:\n",
    );
    let bad = world.commit(&[("two/slow.yaml", &slow)]);
    world.poke("two");
    world.wait_condition("two", "Healthy", "False", "Progressing");
    wait_for("the root to notice", || {
        let root = world.app("root");
        condition(&root, "Ready")["message"]
            .to_string()
            .contains("Application/nested/two")
    });
    world.repo.revert(&bad).unwrap();
    world.poke("two");
    world.wait_condition("two", "Ready", "True", "Ready");
    world.wait_condition("root", "Ready", "True", "Ready");
    world.assert_quiet();
}

#[test]
fn an_application_that_leaves_git_is_deleted_only_when_that_is_approved() {
    let world = World::new("nested-prune");
    let mut root = world.application("root", "root");
    root["spec"]["destination"]["namespace"] = world.ns.clone().into();
    let commit = world.commit(&[
        ("root/one.json", &child(&world, "one")),
        ("root/two.json", &child(&world, "two")),
        ("one/a.yaml", &config_map("a", "1")),
        ("two/b.yaml", &config_map("b", "1")),
    ]);
    world.create(&root);
    world.synced("root", &commit);
    world.wait_condition("two", "Ready", "True", "Ready");
    world.remove(&["root/two.json"]);
    world.poke("root");
    let message = world.failed("root", "PruneOfClass");
    assert!(
        message.contains("Application/nested-prune/two"),
        "{message}"
    );
    assert_eq!(world.value("b"), "1");
    let (_, hash) = message
        .split_once(&format!("{}=", keys::APPROVE_PRUNE))
        .expect(&message);
    let hash: String = hash.chars().take_while(char::is_ascii_hexdigit).collect();
    world.annotate("root", keys::APPROVE_PRUNE, Some(&hash));
    wait_for("the end of the child", || {
        world.get("Application", &world.ns, "two").is_none()
    });
    assert_eq!(
        (world.value("a"), world.value("b")),
        ("1".into(), String::new())
    );
    world.wait_condition("root", "Ready", "True", "Ready");
}

#[test]
fn a_child_that_a_person_suspended_survives_its_parent() {
    let world = World::new("nested-suspend");
    let mut root = world.application("root", "root");
    root["spec"]["destination"]["namespace"] = world.ns.clone().into();
    let commit = world.commit(&[
        ("root/one.json", &child(&world, "one")),
        ("one/a.yaml", &config_map("a", "1")),
    ]);
    world.create(&root);
    world.synced("root", &commit);
    world.wait_condition("one", "Ready", "True", "Ready");
    world.annotate("one", keys::SUSPEND, Some("incident"));
    // Git may be heard of sooner than the API server.
    world.refresh("one");
    // The parent heals the child, and applies it anew.
    world.change("one", &serde_json::json!({"source": {"path": "other"}}));
    wait_for("the path of Git", || {
        world.app("one")["spec"]["source"]["path"] == "one"
    });
    let newer = child(&world, "one").replace("\"interval\":\"1s\"", "\"interval\":\"2s\"");
    let commit = world.commit(&[
        ("root/one.json", &newer),
        ("one/a.yaml", &config_map("a", "2")),
    ]);
    world.synced("root", &commit);
    assert_eq!(world.app("one")["spec"]["source"]["interval"], "2s");
    assert_eq!(
        world.app("one")["metadata"]["annotations"][keys::SUSPEND],
        "incident"
    );
    world.poke("one");
    world.wait_condition("one", "Synced", "False", "UpdatesSuspended");
    assert_eq!(world.value("a"), "1");
}
