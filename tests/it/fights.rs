//! Somebody who sets a field again each time it is put back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use towline_testcluster::AuditMark;

use crate::world::manifests::{config_map, deployment};
use crate::world::{World, time_of, wait_for};

fn fights(world: &World<'_>) -> usize {
    let events = world.events("shop");
    events
        .iter()
        .filter(|(reason, _)| reason == "Fighting")
        .count()
}

/// How often one of the two was so late with ConfigMap `a` that it was no answer to the other any
/// more: on a machine that stands still for a moment a fight ends, and begins anew.
fn stalls(world: &World<'_>, mark: AuditMark) -> usize {
    let events = world.plane.audit_events(mark).unwrap();
    let of_a = events.iter().filter(|event| {
        let is_it = event.resource == "configmaps" && event.name == "a";
        is_it && event.namespace == world.work && event.is_write() && event.code < 300
    });
    let mut writes: Vec<_> = of_a
        .map(|event| (time_of(event), event.user == world.user()))
        .collect();
    writes.sort();
    let late = writes.windows(2).filter(|pair| {
        let waited = pair[1].0.duration_since(pair[0].0).as_millis();
        // In a fight it is put back after five seconds and more, and that is meant.
        let is_meant = pair[1].1 && waited >= 4_800;
        waited >= 1_000 && !is_meant
    });
    late.count()
}

#[test]
fn a_fight_is_told_once_and_fought_more_and_more_rarely_until_it_ends() {
    let world = World::new("fight");
    world.deploy(
        "shop",
        "shop",
        &[
            ("shop/a.yaml", &config_map("a", "1")),
            ("shop/b.yaml", &config_map("b", "1")),
        ],
    );
    let mark = world.plane.audit_mark();
    let stop = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        let rival = scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                if world.value("a") == "1" {
                    let fields = json!({"data": {"value": "rival"}});
                    world.apply_as("rival", "v1", "ConfigMap", "a", &fields);
                }
            }
        });
        let message = world.failed("shop", "Fighting");
        assert!(message.contains("ConfigMap/fight-work/a"), "{message}");
        assert!(message.contains("`rival`"), "{message}");
        assert!(message.contains("data.value"), "{message}");

        // Others are healed as ever meanwhile, and the fight is not hurried.
        let change = json!({"data": {"value": "2"}});
        world.patch("ConfigMap", &world.work, "b", &change);
        wait_for("the value of Git", || world.value("b") == "1");
        let seventh = || {
            let healed = world.object_writes(mark);
            healed.iter().filter(|line| line.ends_with("/a")).count() >= 7
        };
        wait_for("the heal after the first wait", seventh);
        stop.store(true, Ordering::SeqCst);
        rival.join().unwrap();
    });
    // What was set last may not have been seen yet: Ready says nothing before it is put back.
    wait_for("the value of Git", || world.value("a") == "1");
    world.wait_condition("shop", "Ready", "True", "Ready");
    world.assert_quiet();
    assert_eq!(world.value("a"), "1");
    let writes = world.object_writes(mark);
    let of_a = writes.iter().filter(|line| line.ends_with("/a")).count();
    // Six at once, then one after 5, 10 and 20 seconds.
    let stalls = stalls(&world, mark);
    assert!(of_a <= 9 + 6 * stalls, "{stalls} {writes:?}");
    let told = fights(&world);
    assert!((1..=1 + stalls).contains(&told), "{told} {stalls}");
    // It is forgotten: what somebody changes now is undone at once.
    let mark = world.plane.audit_mark();
    let change = json!({"data": {"value": "2"}});
    world.patch("ConfigMap", &world.work, "a", &change);
    wait_for("the value of Git", || world.value("a") == "1");
    // What a write did is seen before it stands in the audit log.
    world.assert_quiet();
    assert_eq!(world.object_writes(mark), ["patch configmaps/a"]);
}

#[test]
fn a_person_who_tries_again_and_again_is_put_back_each_time() {
    let world = World::new("no-fight");
    world.deploy(
        "shop",
        "shop",
        &[("shop/web.yaml", &deployment("web", Some(2), "nginx:1"))],
    );
    let replicas = || world.live("Deployment", "web").unwrap()["spec"]["replicas"].clone();
    for _ in 0..8 {
        world.kubectl(&["scale", "deployment/web", "--replicas=5"]);
        wait_for("the replicas of Git", || replicas() == 2);
    }
    world.wait_condition("shop", "Ready", "True", "Ready");
    assert_eq!(fights(&world), 0);
}
