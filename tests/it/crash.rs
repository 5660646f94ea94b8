//! The agent or the API server dies at any moment: the next one finishes, and forgets nothing.

use serde_json::json;
use towline::object::keys;
use towline_testcluster::{Component, ControlPlane};

use crate::world::manifests::{config_map, deployment};
use crate::world::{World, borrowed, install_crd, wait_for};

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
    let files = borrowed(&files);
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

/// How many agents die at some moment of their lives.
const INSTANTS: u32 = 50;
/// The longest of those lives, in milliseconds: enough to start, read, write and prune.
const LONGEST: u64 = 1_500;

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "no condition: the instant is what is tested"
)]
fn fifty_agents_that_are_killed_at_any_instant_leave_nothing_behind() {
    let world = World::idle("instants");
    let mut app = world.application("shop", "shop");
    app["spec"]["prune"] = json!({"limit": 1000});
    world.create(&app);
    // The same instants in every run.
    let mut random: u64 = 0x9e37_79b9_7f4a_7c15;
    for instant in 1..=INSTANTS {
        commit(&world, instant as usize % 5);
        let agent = world.spawn(None);
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        std::thread::sleep(std::time::Duration::from_millis(random % LONGEST));
        agent.kill();
        if instant % 10 > 0 && instant < INSTANTS {
            continue;
        }
        let round = 5 + instant as usize;
        let last = commit(&world, round);
        let agent = world.spawn(None);
        world.synced("shop", &last);
        let prefix = format!("r{round}-");
        let found = marked(&world, "ConfigMap");
        assert!(
            found.iter().all(|name| name.starts_with(&prefix)),
            "orphans: {found:?}"
        );
        assert_eq!(found.len(), OBJECTS);
        assert_eq!(marked(&world, "Deployment"), [format!("web-{round}")]);
        agent.kill();
    }
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
