//! With `spec.preflight` and no rules for going back: what the API server refuses half way, although
//! each dry run had passed, leaves nothing half done.

use serde_json::{Value, json};
use towline::object::keys;

use super::{known, rolled_back};
use crate::world::boundaries::{Fate, Point, Side};
use crate::world::manifests::config_map;
use crate::world::{World, condition, wait, wait_for};

/// An Application of `shop` that asks first.
fn careful(world: &World<'_>) {
    let mut app = world.application("shop", "shop");
    app["spec"]["preflight"] = json!(true);
    world.create(&app);
}

/// Lets so many more ConfigMaps into the namespace than are in it, and waits until that counts.
fn leave_room(world: &World<'_>, more: usize) {
    wait_for("what each namespace has", || {
        world.live("ConfigMap", "kube-root-ca.crt").is_some()
    });
    let count = world.list("ConfigMap", &world.work).len() + more;
    world.apply(&json!({"apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "few", "namespace": world.work},
        "spec": {"hard": {"configmaps": count.to_string()}}}));
    wait("the quota to count", || {
        let quota = world.get("ResourceQuota", &world.work, "few");
        let status = quota
            .map(|quota| quota["status"].clone())
            .unwrap_or_default();
        // Where the agent waits for room it may have taken some already.
        let used = status["used"]["configmaps"].as_str();
        let used = used.and_then(|used| used.parse::<usize>().ok());
        let is_set = status["hard"]["configmaps"] == count.to_string().as_str()
            && used.is_some_and(|used| used >= count - more);
        is_set.then_some(()).ok_or(status.to_string())
    });
}

/// A; then B, which changes, removes, and adds two objects of which each alone would have room.
fn story(world: &World<'_>) -> (String, String) {
    let a = first(world);
    let b = second(world);
    world.poke("shop");
    (a, b)
}

fn first(world: &World<'_>) -> String {
    careful(world);
    let a = world.commit(&[
        ("shop/kept.yaml", &config_map("kept", "1")),
        ("shop/removed.yaml", &config_map("removed", "1")),
    ]);
    world.synced("shop", &a);
    leave_room(world, 1);
    a
}

fn second(world: &World<'_>) -> String {
    world.repo.remove("shop/removed.yaml").unwrap();
    world.commit(&[
        ("shop/kept.yaml", &config_map("kept", "2")),
        ("shop/one.yaml", &config_map("one", "2")),
        ("shop/two.yaml", &config_map("two", "2")),
    ])
}

fn is_as_before(world: &World<'_>) {
    assert_eq!(world.value("kept"), "1");
    assert_eq!(world.value("removed"), "1");
    for added in ["one", "two"] {
        assert!(world.live("ConfigMap", added).is_none(), "{added}");
    }
}

#[test]
fn a_quota_that_lets_each_dry_run_pass_leaves_nothing_half_done() {
    let mut world = World::new("restored");
    let begun = world.plane.audit_mark();
    let (a, b) = story(&world);
    let told = rolled_back(&world, &a);
    for part in [
        "exceeded quota",
        "refused after other objects of the revision were written",
        &b[..8],
        &a[..8],
        keys::RETRY,
    ] {
        assert!(told.contains(part), "{part} is not in: {told}");
    }
    is_as_before(&world);
    let created = |mark| {
        let writes = world.object_writes(mark);
        let added = writes.iter().filter(|write| {
            let write = write.to_string();
            write.contains("configmaps/one") || write.contains("configmaps/two")
        });
        added.count()
    };
    assert!(created(begun) >= 2, "something was written, and taken away");
    let status = world.app("shop")["status"].clone();
    assert_eq!(status["history"][0]["revision"], b);
    assert_eq!(status["history"][0]["outcome"], "RolledBack");
    assert_eq!(status["rollback"]["quarantine"][0]["reason"], "Forbidden");
    let told = world.wait_event("shop", "RolledBack");
    assert!(told.contains("quota"), "{told}");
    // It is not tried in a loop: not by polls, nor by another agent.
    let mark = world.plane.audit_mark();
    world.refresh("shop");
    world.wait_polls(8.0);
    world.kill_agent();
    world.start();
    world.refresh("shop");
    rolled_back(&world, &a);
    world.patch(
        "ConfigMap",
        &world.work,
        "kept",
        &json!({"data": {"value": "drift"}}),
    );
    wait_for("the drift to be undone", || world.value("kept") == "1");
    // What a write did is seen before the write is in the log.
    wait_for("the heal", || !world.object_writes(mark).is_empty());
    assert_eq!(world.object_writes(mark).len(), 1, "the heal");
    is_as_before(&world);
    // Somebody makes room, and asks.
    leave_room(&world, 5);
    world.annotate("shop", keys::RETRY, Some(&b[..8]));
    let app = world.synced("shop", &b);
    assert_eq!(app["status"]["rollback"]["quarantine"], Value::Null);
    assert_eq!(app["status"]["history"][0]["outcome"], "Healthy");
    assert_eq!(
        (world.value("one"), world.value("two")),
        ("2".into(), "2".into())
    );
    assert!(world.live("ConfigMap", "removed").is_none());
}

#[test]
fn an_agent_that_dies_in_between_is_made_up_for() {
    let points = [
        ("apply ConfigMap", 1, Side::After),
        ("apply ConfigMap", 2, Side::After),
        ("patch Application/status", 1, Side::Before),
        ("patch Application/status", 1, Side::After),
        ("delete ConfigMap", 1, Side::Before),
        ("delete ConfigMap", 1, Side::After),
    ];
    for (i, (name, number, side)) in points.into_iter().enumerate() {
        let mut world = World::new(&format!("restored-dies-{i}"));
        let a = first(&world);
        known(&world);
        world.stop_agent();
        let b = second(&world);
        let name = name.to_owned();
        let fate = Fate::at(Point { name, number, side });
        world.start_fated(&fate);
        wait_for("the agent to die", || fate.is_dead());
        world.kill_agent();
        world.start();
        world.poke("shop");
        let told = rolled_back(&world, &a);
        assert!(told.contains(&b[..8]), "{told}");
        is_as_before(&world);
    }
}

#[test]
fn what_a_dead_agent_wrote_is_put_back_when_the_rest_does_not_even_pass_its_dry_run() {
    let mut world = World::new("restored-half");
    let a = first(&world);
    known(&world);
    world.stop_agent();
    let wave = format!("metadata:\n  annotations: {{{}: \"1\"}}\n", keys::SYNC_WAVE);
    let later = config_map("one", "2").replace("metadata:\n", &wave);
    let b = world.commit(&[
        ("shop/kept.yaml", &config_map("kept", "2")),
        ("shop/one.yaml", &later),
    ]);
    let fate = Fate::at(Point {
        name: "apply ConfigMap".into(),
        number: 1,
        side: Side::After,
    });
    world.start_fated(&fate);
    wait_for("the agent to die", || fate.is_dead());
    world.kill_agent();
    assert_eq!(world.value("kept"), "2");
    leave_room(&world, 0);
    world.start();
    world.poke("shop");
    let told = rolled_back(&world, &a);
    assert!(told.contains(&b[..8]) && told.contains("quota"), "{told}");
    is_as_before(&world);
}

#[test]
fn a_revision_that_fits_is_taken_at_once() {
    let world = World::new("restored-next");
    let (a, b) = story(&world);
    rolled_back(&world, &a);
    world.repo.remove("shop/two.yaml").unwrap();
    let c = world.commit(&[("shop/kept.yaml", &config_map("kept", "3"))]);
    let app = world.synced("shop", &c);
    assert_eq!(world.value("kept"), "3");
    assert_eq!(world.value("one"), "2");
    assert_eq!(app["status"]["rollback"]["rolledBack"], Value::Null);
    // And a revert is the way back, as ever.
    world.repo.revert(&c).unwrap();
    let d = world.repo.revert(&b).unwrap();
    let app = world.synced("shop", &d);
    assert_eq!(condition(&app, "Ready")["status"], "True");
    is_as_before(&world);
}

#[test]
fn without_a_revision_before_what_was_refused_is_told_and_stays() {
    let world = World::new("restored-first");
    leave_room(&world, 1);
    careful(&world);
    world.commit(&[
        ("shop/one.yaml", &config_map("one", "1")),
        ("shop/two.yaml", &config_map("two", "1")),
    ]);
    world.poke("shop");
    let told = world.failed("shop", "Forbidden");
    assert!(told.contains("exceeded quota"), "{told}");
    let there = ["one", "two"]
        .iter()
        .filter(|name| world.live("ConfigMap", name).is_some());
    assert_eq!(there.count(), 1);
}

#[test]
fn what_was_never_healthy_is_not_trusted_when_rules_for_going_back_come() {
    let world = World::new("restored-rules");
    careful(&world);
    let web = super::slow("nginx:1");
    let a = world.commit(&[("shop/web.yaml", &web)]);
    world.poke("shop");
    wait_for("the revision to be the one that is gone back to", || {
        let rollback = world.app("shop")["status"]["rollback"].clone();
        rollback["good"]["revision"] == a && rollback["unproven"] == true
    });
    world.change("shop", &json!({"rollback": super::quick()}));
    wait_for("it to have to prove itself", || {
        let rollback = world.app("shop")["status"]["rollback"].clone();
        rollback["good"].is_null() && rollback["trial"]["revision"] == a
    });
}

#[test]
fn what_cannot_be_put_back_is_told_and_nothing_of_it_is_begun() {
    let world = World::new("restored-blocked");
    careful(&world);
    let a = world.commit(&[("shop/kept.yaml", &config_map("kept", "1"))]);
    world.synced("shop", &a);
    leave_room(&world, 1);
    // What it writes first cannot be changed any more.
    let sealed = format!("{}immutable: true\n", config_map("kept", "2"));
    world.commit(&[
        ("shop/kept.yaml", &sealed),
        ("shop/one.yaml", &config_map("one", "2")),
        ("shop/two.yaml", &config_map("two", "2")),
    ]);
    world.poke("shop");
    let told = world.failed("shop", "RollbackBlocked");
    for part in ["exceeded quota", "not rolled back", "immutable"] {
        assert!(told.contains(part), "{part} is not in: {told}");
    }
    assert_eq!(world.value("kept"), "2");
    // With room for all of it, it goes on by itself, as what is refused is tried again.
    leave_room(&world, 3);
    world.wait_condition("shop", "Ready", "True", "Ready");
    assert_eq!(
        (world.value("one"), world.value("two")),
        ("2".into(), "2".into())
    );
}

#[test]
fn rules_that_come_while_a_revision_is_out_leave_it_out_and_trust_nothing_unseen() {
    let mut world = World::new("restored-guarded");
    careful(&world);
    let a = world.commit(&[
        ("shop/web.yaml", &super::slow("nginx:1")),
        ("shop/kept.yaml", &config_map("kept", "1")),
        ("shop/removed.yaml", &config_map("removed", "1")),
    ]);
    wait_for("all of it to be applied", || {
        world.app("shop")["status"]["rollback"]["good"]["revision"] == a.as_str()
    });
    leave_room(&world, 1);
    known(&world);
    second(&world);
    world.poke("shop");
    wait_for("the way back", || {
        let status = world.app("shop")["status"].clone();
        status["sync"]["status"] == "RolledBack" && status["sync"]["revision"] == a.as_str()
    });
    let patient = json!({"timeout": "1h", "monitor": "1h", "grace": "1h"});
    world.change("shop", &json!({"rollback": patient}));
    let on_trial = |world: &World<'_>| {
        wait("what is there to have to prove itself", || {
            let status = world.app("shop")["status"].clone();
            let rollback = &status["rollback"];
            let is_it = rollback["good"].is_null()
                && rollback["unproven"].is_null()
                && rollback["trial"]["revision"] == a.as_str()
                && status["sync"]["status"] == "RolledBack";
            is_it.then_some(()).ok_or(status.to_string())
        });
        let told = condition(&world.app("shop"), "Ready")["message"].to_string();
        assert!(told.contains("rolled back to"), "{told}");
        world.patch(
            "ConfigMap",
            &world.work,
            "kept",
            &json!({"data": {"value": "drift"}}),
        );
        wait_for("the drift to be undone", || world.value("kept") == "1");
    };
    on_trial(&world);
    world.kill_agent();
    world.start();
    world.refresh("shop");
    on_trial(&world);
    is_as_before(&world);
}

#[test]
fn who_removes_the_rules_has_what_they_kept_away() {
    let mut world = World::new("restored-let-through");
    let mut app = world.application("shop", "shop");
    app["spec"]["preflight"] = json!(true);
    app["spec"]["rollback"] = super::quick();
    world.create(&app);
    let a = world.commit(&[(
        "shop/web.yaml",
        &crate::world::manifests::deployment("web", Some(1), "nginx:1"),
    )]);
    super::trusted(&world, &a);
    let b = world.commit(&[("shop/web.yaml", &super::crashing("nginx:2", "boom"))]);
    world.poke("shop");
    rolled_back(&world, &a);
    let before = world.app("shop")["status"]["rollback"].clone();
    world.change("shop", &json!({"rollback": null}));
    let is_there = |world: &World<'_>| {
        wait("the revision to be let through", || {
            let status = world.app("shop")["status"].clone();
            let rollback = &status["rollback"];
            let is_it = rollback["quarantine"].is_null()
                && rollback["rolledBack"].is_null()
                && rollback["good"]["revision"] == b.as_str()
                && status["sync"]["status"] == "Synced";
            is_it.then_some(()).ok_or(status.to_string())
        });
        assert_eq!(super::image(world), "nginx:2");
    };
    is_there(&world);
    // What was written is in the inventory after the status; a pass later it is.
    world.refresh("shop");
    // As an agent left it that did not know of any of this.
    world.kill_agent();
    let patch = json!({"status": {"rollback": {"good": before["good"], "unproven": null,
        "quarantine": before["quarantine"]}}});
    let args = ["-n", &world.ns, "patch", "application", "shop"];
    let patch = patch.to_string();
    let how = ["--subresource=status", "--type=merge", "-p", &patch];
    world.plane.kubectl(&[&args[..], &how].concat()).unwrap();
    let mark = world.plane.audit_mark();
    world.start();
    is_there(&world);
    world.refresh("shop");
    assert_eq!(world.object_writes(mark), Vec::<String>::new());
}

#[test]
fn a_hook_after_all_of_it_that_is_refused_takes_nothing_back() {
    let world = World::new("restored-post-sync");
    first(&world);
    let post = format!("metadata:\n  annotations: {{{}: PostSync}}\n", keys::HOOK);
    let hook = config_map("hook", "2").replace("metadata:\n", &post);
    world.commit(&[
        ("shop/one.yaml", &config_map("one", "2")),
        ("shop/hook.yaml", &hook),
    ]);
    world.poke("shop");
    let told = world.failed("shop", "Forbidden");
    assert!(told.contains("exceeded quota"), "{told}");
    // Longer than until the retry.
    world.wait_polls(8.0);
    let status = world.refresh("shop")["status"].clone();
    assert_eq!(status["rollback"]["quarantine"], Value::Null, "{status}");
    assert_eq!(world.value("one"), "2");
}

#[test]
fn what_is_refused_only_for_a_moment_is_not_taken_back() {
    let world = World::new("restored-moment");
    first(&world);
    // Time enough for a person to make room.
    world.change(
        "shop",
        &json!({"syncPolicy": {"retry": {"backoff": {"duration": "30s"}}}}),
    );
    world.refresh("shop");
    let b = second(&world);
    world.poke("shop");
    let told = world.failed("shop", "Forbidden");
    assert!(told.contains("exceeded quota"), "{told}");
    leave_room(&world, 5);
    let app = world.synced("shop", &b);
    assert_eq!(app["status"]["rollback"]["quarantine"], Value::Null);
    let history = app["status"]["history"].to_string();
    assert!(!history.contains("RolledBack"), "{history}");
}
