//! An Application that is deleted and created again under its name, while the agent still has to do
//! with the first: the second one loses nothing by that.

use std::sync::Arc;

use serde_json::json;

use crate::world::boundaries::{Fate, Fault};
use crate::world::manifests::config_map;
use crate::world::{World, condition, wait_for};

/// An Application of two objects that is synced, by an agent with this fate. Returns the commit.
fn synced(world: &mut World<'_>, fate: &Arc<Fate>) -> String {
    world.start_fated(fate);
    let files = [
        ("shop/a.yaml", &*config_map("a", "1")),
        ("shop/b.yaml", &*config_map("b", "1")),
    ];
    world.deploy("shop", "shop", &files)
}

/// Waits until a second Application is synced, which shows that the agent had the time to do
/// something with the others.
fn other(world: &World<'_>) {
    let commit = world.commit(&[("other/other.yaml", &config_map("other", "1"))]);
    world.create(&world.application("other", "other"));
    world.synced("other", &commit);
}

/// How many inventories are stored.
fn inventories(world: &World<'_>) -> usize {
    let all = world.list("Secret", &world.ns);
    let names = all
        .iter()
        .filter_map(|secret| secret["metadata"]["name"].as_str());
    names
        .filter(|name| name.starts_with("towline-inventory-"))
        .count()
}

#[test]
fn one_that_comes_back_while_the_last_one_is_forgotten_keeps_its_own_record() {
    let mut world = World::idle("recreated-record");
    let fate = Arc::new(Fate::default());
    synced(&mut world, &fate);
    let forgetting = "delete Secret/towline-inventory";
    fate.fault(forgetting, Fault::Waits);
    world.delete_application("shop");
    wait_for("the last one to be forgotten", || fate.is_met(forgetting));
    world.create(&world.application("shop", "shop"));
    other(&world);
    fate.lift(forgetting);
    let commit = world.commit(&[("README.md", "Nothing to deploy")]);
    world.synced("shop", &commit);
    wait_for("both records", || inventories(&world) == 2);
    // What is recorded is known to the next agent, which has nothing else to tell what was there.
    world.kill_agent();
    world.start();
    let commit = world.remove(&["shop/b.yaml"]);
    world.synced("shop", &commit);
    assert_eq!(
        (world.value("a"), world.value("b")),
        ("1".into(), String::new())
    );
}

#[test]
fn one_whose_predecessor_was_not_seen_to_go_sees_drift() {
    let mut world = World::idle("recreated-drift");
    let fate = Arc::new(Fate::default());
    let commit = synced(&mut world, &fate);
    fate.fault("watch Application", Fault::Deaf);
    world.delete_application("shop");
    world.create(&world.application("shop", "shop"));
    world.synced("shop", &commit);
    // Its objects were not created anew: nothing but the watches tells of a change.
    for round in ["first", "second"] {
        let theirs = json!({"data": {"value": round}});
        world.patch("ConfigMap", &world.work, "a", &theirs);
        wait_for("the value of Git", || world.value("a") == "1");
    }
    let seen = condition(&world.app("shop"), "DriftDetection");
    assert_eq!(seen["status"], "True");
}
