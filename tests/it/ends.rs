//! What ends by itself, and may be gone a moment later, while something is in the way of seeing that
//! or of writing it down.

use std::sync::Arc;

use towline::object::keys;

use crate::world::boundaries::{Fate, Fault};
use crate::world::jobs::{created, end, expiring, held, job};
use crate::world::manifests::{annotated, config_map};
use crate::world::{World, wait_for};

const STORED: &str = "replace Secret/towline-inventory";

/// A Job of the first wave that goes the moment it has finished.
fn first_wave(name: &str) -> String {
    expiring(&job(name, &[(keys::SYNC_WAVE, "-1")]), 0)
}

/// A hook that does so.
fn hook(name: &str, phase: &str) -> String {
    expiring(&job(name, &[(keys::HOOK, phase)]), 0)
}

#[test]
fn nothing_that_ends_by_itself_is_created_before_its_end_would_be_seen() {
    for (name, manifest) in [
        ("ends-watch-job", first_wave("migrate")),
        ("ends-watch-hook", hook("migrate", "PreSync")),
    ] {
        let mut world = World::idle(name);
        let mark = world.plane.audit_mark();
        let fate = Arc::new(Fate::default());
        // It opens late, at the very moment at which nothing else is left to wait for.
        let stored = "create Secret/towline-inventory";
        fate.fault("watch Job", Fault::WaitsFor(stored));
        world.start_fated(&fate);
        let files = [
            ("shop/migrate.yaml", &*manifest),
            ("shop/a.yaml", &*config_map("a", "1")),
        ];
        world.deploy("shop", "shop", &files);
        let journal = fate.journal();
        let at = |what: &str| journal.iter().position(|done| done == what);
        let (listed, sent) = (at("listed Job"), at("apply Job"));
        assert!(listed.is_some() && listed < sent, "{name}: {journal:?}");
        assert_eq!(created(&world, mark, "migrate"), 1, "{name}");
    }
}

#[test]
fn what_may_not_be_watched_is_created_all_the_same() {
    let mut world = World::idle("ends-forbidden");
    let mark = world.plane.audit_mark();
    let team = "ends-forbidden-team";
    world.make_namespace(team);
    let mut options = world.options();
    options.application_namespaces.push(team.into());
    world.start_with(options);
    world.create(
        &serde_json::json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "deployer", "namespace": team}}),
    );
    let rules = serde_json::json!([
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "create", "patch"]},
    ]);
    world.allow("deployer", team, "deployer", &rules);
    world.commit(&[("shop/migrate.yaml", &first_wave("migrate"))]);
    let mut app = world.application("shop", "shop");
    app["metadata"]["namespace"] = team.into();
    app["spec"]["serviceAccountName"] = "deployer".into();
    world.create(&app);
    wait_for("the Job", || created(&world, mark, "migrate") == 1);
}

/// Lets a Job end while nothing can be stored, and see to it that this is told. Then it can again.
fn end_unrecorded(world: &World<'_>, fate: &Fate) {
    fate.fault(STORED, Fault::Fails);
    end(world, "migrate", "Succeeded");
    wait_for("the end of the Job", || {
        world.live("Job", "migrate").is_none()
    });
    wait_for("a save that fails", || fate.is_met(STORED));
    let said = world.failed("shop", "ServerError");
    assert!(said.contains("no space"), "{said}");
    fate.lift(STORED);
}

#[test]
fn an_end_that_could_not_be_stored_at_once_is_not_lost() {
    for (name, manifest) in [
        ("ends-unstored-job", first_wave("migrate")),
        ("ends-unstored-hook", hook("migrate", "PreSync")),
    ] {
        let mut world = World::idle(name);
        let mark = world.plane.audit_mark();
        let fate = Arc::new(Fate::default());
        world.start_fated(&fate);
        let late = annotated("late", "1", keys::SYNC_WAVE, "1");
        let files = [
            ("shop/migrate.yaml", &*held(&manifest)),
            ("shop/late.yaml", &*late),
        ];
        let commit = world.commit(&files);
        world.create(&world.application("shop", "shop"));
        wait_for("the Job", || world.live("Job", "migrate").is_some());
        world.assert_quiet();
        end_unrecorded(&world, &fate);
        world.synced("shop", &commit);
        assert_eq!(world.value("late"), "1");
        // It is stored now, and nobody runs it again.
        world.kill_agent();
        world.start();
        let commit = world.commit(&[("README.md", "Nothing to deploy")]);
        world.synced("shop", &commit);
        world.assert_quiet();
        assert_eq!(created(&world, mark, "migrate"), 1, "{name}");
    }
}

#[test]
fn a_record_that_could_not_be_stored_at_once_costs_no_other_record() {
    let mut world = World::idle("ends-unstored-all");
    let fate = Arc::new(Fate::default());
    world.start_fated(&fate);
    let mut app = world.application("shop", "shop");
    app["spec"]["syncPolicy"]["automated"]["prune"] = false.into();
    let commit = world.commit(&[
        ("shop/a.yaml", &config_map("a", "1")),
        ("shop/b.yaml", &config_map("b", "1")),
    ]);
    world.create(&app);
    world.synced("shop", &commit);
    world.assert_quiet();
    fate.fault(STORED, Fault::Fails);
    // One that is not declared any more is nowhere but in the inventory; the new one is to be added.
    world.repo.remove("shop/b.yaml").unwrap();
    world.commit(&[("shop/c.yaml", &config_map("c", "1"))]);
    world.poke("shop");
    let said = world.failed("shop", "ServerError");
    assert!(said.contains("no space"), "{said}");
    assert_eq!(world.value("c"), "", "nothing is created before its record");
    let counted = world.app("shop")["status"]["sync"]["objects"].clone();
    fate.lift(STORED);
    wait_for("the new one", || world.value("c") == "1");
    world.change(
        "shop",
        &serde_json::json!({"syncPolicy": {"automated": {"prune": true}}}),
    );
    wait_for("the old one to go", || world.value("b").is_empty());
    assert_eq!(counted, 2);
}

#[test]
fn an_agent_that_ends_in_the_grace_of_a_sync_that_fails_is_followed_by_one_that_runs_its_hook() {
    let mut world = World::new("ends-grace");
    let mark = world.plane.audit_mark();
    let alarm = hook("alarm", "SyncFail");
    let files = [
        ("shop/a.yaml", &*config_map("a", "1")),
        ("shop/alarm.yaml", &*alarm),
    ];
    world.deploy("shop", "shop", &files);
    // It says so itself that it failed, so that the next agent knows it from its first look on.
    let stays = held(&job("migrate", &[(keys::SYNC_WAVE, "-1")]));
    world.commit(&[("shop/migrate.yaml", &stays)]);
    world.poke("shop");
    end(&world, "migrate", "Failed");
    wait_for("the failure", || {
        world.app("shop")["status"]["health"]["status"] == "Degraded"
    });
    world.kill_agent();
    world.start();
    wait_for("the SyncFail hook", || created(&world, mark, "alarm") == 1);
    wait_for("its end", || world.live("Job", "alarm").is_none());
    world.assert_quiet();
    assert_eq!(created(&world, mark, "alarm"), 1);
}
