//! The agent or the API server dies at any moment: the next one finishes, and forgets nothing.

use serde_json::json;
use towline::object::keys;
use towline_testcluster::{Component, ControlPlane};

use crate::world::manifests::{config_map, deployment};
use crate::world::{World, install_crd, wait_for};

/// How many objects each revision has; all of them have other names in the next one.
const OBJECTS: usize = 40;

fn revision(number: usize) -> Vec<(String, String)> {
    let name = |n: usize| format!("r{number}-{n}");
    let mut files: Vec<(String, String)> = (0..OBJECTS)
        .map(|n| (format!("shop/{}.yaml", name(n)), config_map(&name(n), "1")))
        .collect();
    files.push((
        "shop/web.yaml".into(),
        deployment(&format!("web-{number}"), Some(1), "nginx:1"),
    ));
    files
}

fn commit(world: &World<'_>, number: usize) -> String {
    if world.repo.work_tree().join("shop").exists() {
        world.repo.remove("shop").unwrap();
    }
    let files = revision(number);
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(p, t)| (p.as_str(), t.as_str()))
        .collect();
    world.commit(&files)
}

/// Names of the objects of a kind that have towline's label.
fn marked(world: &World<'_>, kind: &str) -> Vec<String> {
    world
        .list(kind, &world.work)
        .iter()
        .filter(|object| object["metadata"]["labels"][keys::APPLICATION_LABEL].is_string())
        .map(|object| {
            object["metadata"]["name"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

#[test]
fn a_killed_agent_leaves_nothing_that_its_successor_does_not_finish() {
    let mut world = World::idle("kill");
    let mut app = world.application("shop", "shop");
    app["spec"]["prune"] = json!({"limit": 1000});
    world.create(&app);
    // Each agent dies after some writes: while it creates, in between, and while it prunes.
    for (round, writes) in [1, 17, 45, 60, 80].into_iter().enumerate() {
        commit(&world, round);
        let mark = world.plane.audit_mark();
        world.start();
        wait_for("the agent to be in the middle", || {
            world.object_writes(mark).len() >= writes
        });
        world.kill_agent();
    }
    let last = commit(&world, 9);
    world.start();
    let app = world.synced("shop", &last);
    let found = marked(&world, "ConfigMap");
    assert!(
        found.iter().all(|name| name.starts_with("r9-")),
        "orphans: {found:?}"
    );
    assert_eq!(found.len(), OBJECTS);
    assert_eq!(marked(&world, "Deployment"), ["web-9"]);
    assert_eq!(app["status"]["sync"]["objects"], OBJECTS + 1);
    world.assert_quiet();
}

#[test]
fn a_restart_without_a_change_writes_nothing() {
    let mut world = World::new("restart");
    world.deploy(
        "shop",
        "shop",
        &[
            ("shop/a.yaml", &config_map("a", "1")),
            ("shop/web.yaml", &deployment("web", Some(1), "nginx:1")),
        ],
    );
    world.assert_quiet();
    let status = world.app("shop")["status"].clone();
    let mark = world.plane.audit_mark();
    world.stop_agent();
    world.start();
    world.wait_polls(2.0);
    world.assert_quiet();
    assert_eq!(world.object_writes(mark), [""; 0]);
    assert_eq!(world.app("shop")["status"], status);
}

#[test]
fn a_lost_inventory_deletes_nothing_and_is_made_anew() {
    let mut world = World::new("lost-inventory");
    world.deploy(
        "shop",
        "shop",
        &[
            ("shop/a.yaml", &config_map("a", "1")),
            ("shop/b.yaml", &config_map("b", "1")),
        ],
    );
    world.stop_agent();
    for secret in world.list("Secret", &world.ns) {
        if secret["type"] == "towline.dev/state" {
            let name = secret["metadata"]["name"].as_str().unwrap_or_default();
            world.delete("Secret", &world.ns, name);
        }
    }
    let mark = world.plane.audit_mark();
    world.start();
    world.refresh("shop");
    world.wait_condition("shop", "Ready", "True", "Ready");
    assert_eq!(world.deletes(mark), [""; 0]);
    let commit = world.remove(&["shop/b.yaml"]);
    world.synced("shop", &commit);
    assert_eq!(
        (world.value("a"), world.value("b")),
        ("1".into(), String::new())
    );
}

#[test]
fn an_api_server_that_goes_away_and_comes_back_is_enough() {
    let plane = ControlPlane::builder().with_kwok(false).start().unwrap();
    install_crd(&plane);
    let mut world = World::on(&plane, "outage");
    world.start();
    world.deploy("shop", "shop", &[("shop/a.yaml", &config_map("a", "1"))]);
    let mark = plane.audit_mark();
    plane.kill(Component::ApiServer).unwrap();
    let commit = world.commit(&[("shop/b.yaml", &config_map("b", "1"))]);
    world.wait_polls(2.0);
    assert_eq!(world.agent().get("/healthz").0, 200);
    plane.restart(Component::ApiServer).unwrap();
    world.synced("shop", &commit);
    assert_eq!(
        (world.value("a"), world.value("b")),
        ("1".into(), "1".into())
    );
    world.patch(
        "ConfigMap",
        &world.work,
        "a",
        &json!({"data": {"value": "drift"}}),
    );
    wait_for("the content of Git", || world.value("a") == "1");
    assert_eq!(world.deletes(mark), [""; 0]);
    world.assert_quiet();
}
