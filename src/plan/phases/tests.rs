//! Syncs with hooks, step by step, as a person reads them.

mod world;

use world::{World, seen};

use crate::desired::DeletePolicy;
use crate::diff::Change;
use crate::health::Status;
use crate::inventory::{Inventory, Phase, State};
use crate::live::Sighting;
use crate::object::{Gvk, ObjectId};
use crate::plan::Gate;

use Phase::{PostSync, PreSync, Sync, SyncFail};

#[test]
fn a_sync_goes_through_its_phases_and_runs_no_hook_again() {
    let mut world = World::new();
    world.object("ConfigMap", "a", 0, Change::Create, Status::Healthy);
    world.object("ConfigMap", "b", 1, Change::Create, Status::Healthy);
    world.hook("first", &[PreSync], -5, &[]);
    world.hook("second", &[PreSync], 3, &[]);
    world.hook("warm", &[Sync], 0, &[]);
    world.hook("smoke", &[PostSync], 0, &[]);
    world.hook("alarm", &[SyncFail], 0, &[]);
    assert_eq!(world.plan().report.out_of_sync, 6, "the alarm is none");
    assert_eq!(world.act(), "run PreSync hook Job/shop/first\n");
    let runs = "waits for PreSync hook Job/shop/first (Progressing: progressing)\n";
    assert_eq!(world.act(), runs);
    world.end("first", Status::Healthy);
    assert_eq!(world.act(), "run PreSync hook Job/shop/second\n");
    world.end("second", Status::Healthy);
    assert_eq!(
        world.act(),
        "create ConfigMap/shop/a\nrun Sync hook Job/shop/warm\nwave 1 waits for wave 0 to be applied\n"
    );
    let runs = "waits for Sync hook Job/shop/warm (Progressing: progressing)\n";
    assert_eq!(world.act(), runs);
    world.end("warm", Status::Healthy);
    let applied = "create ConfigMap/shop/b\nPostSync hooks wait for the objects to be applied\n";
    assert_eq!(world.act(), applied);
    assert_eq!(world.act(), "run PostSync hook Job/shop/smoke\n");
    world.end("smoke", Status::Healthy);
    assert_eq!(world.act(), "");
    assert_eq!(world.plan().report.out_of_sync, 0);
    // Whatever happens to their objects: they ran.
    world.live.insert(world.job("first"), Sighting::Absent);
    world.look();
    assert_eq!(world.act(), "");
}

#[test]
fn a_failed_pre_sync_hook_applies_nothing_and_is_tried_again_at_its_time() {
    let mut world = World::new();
    world.object("ConfigMap", "a", 0, Change::Update, Status::Healthy);
    world.hook("migrate", &[PreSync], 0, &[]);
    world.hook("alarm", &[SyncFail], 0, &[]);
    world.act();
    world.end("migrate", Status::Degraded);
    let failed = "migrate.yaml:1: PreSync hook Job/shop/migrate failed: exit code; nothing of this revision was applied\n";
    assert_eq!(world.act(), failed);
    assert_eq!(world.plan().report.due, Some(110));
    world.now = 110;
    assert_eq!(world.act(), "delete hook Job/shop/migrate\n");
    assert_eq!(world.act(), "run PreSync hook Job/shop/migrate\n");
    world.end("migrate", Status::Degraded);
    assert_eq!(world.plan().report.due, None, "the limit is one retry");
    let alarm = format!("run SyncFail hook Job/shop/alarm\n{failed}");
    assert_eq!(world.act(), alarm);
    world.end("alarm", Status::Healthy);
    world.now = 10_000;
    assert_eq!(world.act(), failed);
    world.ask("once more");
    assert_eq!(world.act(), "delete hook Job/shop/migrate\n");
    assert_eq!(world.act(), "run PreSync hook Job/shop/migrate\n");
    world.end("migrate", Status::Healthy);
    assert_eq!(world.act(), "update ConfigMap/shop/a\n");
}

#[test]
fn post_sync_waits_for_health_and_prunes_come_before_it() {
    let mut world = World::new();
    let slow = Status::Progressing;
    world.object("Deployment", "web", 0, Change::Unchanged, slow);
    world.hook("smoke", &[PostSync], 0, &[]);
    let old = ObjectId::new("", "ConfigMap", "shop", "old");
    let entry = crate::inventory::Entry::intended(&Gvk::from_api_version("v1", "ConfigMap"), 1, 0);
    world.inventory.intend(&old, entry);
    world.see(&old, Status::Healthy);
    world.diff.insert(old, Change::Prune);
    assert_eq!(
        world.act(),
        "prune ConfigMap/shop/old\nhooks wait for what left Git to be gone\n"
    );
    assert_eq!(
        world.act(),
        "PostSync hooks wait for Deployment/shop/web (Progressing: progressing)\n"
    );
}

#[test]
fn a_newer_revision_waits_for_a_running_hook_until_its_deadline() {
    let mut world = World::new();
    world.hook("migrate", &[PreSync], 0, &[]);
    world.act();
    world.revision("bbbbbbbb");
    world.object("ConfigMap", "a", 0, Change::Create, Status::Healthy);
    let waits = "waits for hook Job/shop/migrate of aaaaaaaa\n";
    assert_eq!(world.act(), waits);
    assert_eq!(world.plan().report.due, Some(3700));
    world.hook("migrate", &[PreSync], 0, &[]);
    assert_eq!(world.act(), waits, "the same name waits too");
    let mut late = World { now: 3700, ..world };
    assert_eq!(late.act(), "delete hook Job/shop/migrate\n");
    late.now = 200;
    late.revision("cccccccc");
    late.object("ConfigMap", "a", 0, Change::Create, Status::Healthy);
    assert_eq!(
        late.act(),
        "create ConfigMap/shop/a\nabandon Job/shop/migrate\n",
        "it is gone, and nobody declares it any more"
    );
}

#[test]
fn a_hook_for_a_failed_sync_holds_back_nothing_but_its_own_next_run() {
    let mut world = World::new();
    world.hook("migrate", &[PreSync], 0, &[]);
    world.hook("alarm", &[SyncFail], 0, &[]);
    world.act();
    world.end("migrate", Status::Degraded);
    world.now = 110;
    world.act();
    world.act();
    world.end("migrate", Status::Degraded);
    let acted = world.act();
    assert!(acted.starts_with("run SyncFail hook"), "{acted}");
    world.revision("bbbbbbbb");
    world.object("ConfigMap", "a", 0, Change::Create, Status::Healthy);
    let acted = world.act();
    assert!(acted.contains("create ConfigMap/shop/a\n"), "{acted}");
    assert!(!acted.contains("alarm"), "it is not killed: {acted}");
    // A revision that needs it again waits for it.
    world.revision("cccccccc");
    world.hook("alarm", &[PreSync], 0, &[]);
    let acted = world.act();
    let waits = "waits for hook Job/shop/alarm of aaaaaaaa\n";
    assert!(acted.ends_with(waits), "{acted}");
    assert!(!acted.contains("delete"), "{acted}");
}

#[test]
fn a_hook_that_ends_lets_the_newer_revision_go_on_and_leaves_with_its_own() {
    let mut world = World::new();
    world.hook("migrate", &[PreSync], 0, &[]);
    world.act();
    world.revision("bbbbbbbb");
    world.object("ConfigMap", "a", 0, Change::Create, Status::Healthy);
    world.end("migrate", Status::Degraded);
    assert_eq!(
        world.act(),
        "create ConfigMap/shop/a\ndelete hook Job/shop/migrate\n"
    );
    let forgets = world.act();
    assert_eq!(forgets, "abandon Job/shop/migrate\n");
}

#[test]
fn delete_policies_are_obeyed_once_the_end_is_written_down() {
    use DeletePolicy::{HookFailed, HookSucceeded};
    for (status, policy, deleted) in [
        (Status::Healthy, HookSucceeded, true),
        (Status::Healthy, HookFailed, false),
        (Status::Degraded, HookFailed, true),
        (Status::Degraded, HookSucceeded, false),
    ] {
        let mut world = World::new();
        world.hook("migrate", &[PreSync], 0, &[policy]);
        world.act();
        world.end("migrate", status);
        let plan = world.act();
        let deletes = plan.contains("delete hook Job/shop/migrate\n");
        assert_eq!(deletes, deleted, "{status} {policy:?}: {plan}");
    }
}

#[test]
fn a_hook_of_two_phases_runs_twice() {
    let mut world = World::new();
    world.hook("check", &[PreSync, PostSync], 0, &[]);
    assert_eq!(world.act(), "run PreSync hook Job/shop/check\n");
    world.end("check", Status::Healthy);
    assert_eq!(world.act(), "delete hook Job/shop/check\n");
    assert_eq!(world.act(), "run PostSync hook Job/shop/check\n");
    world.end("check", Status::Healthy);
    assert_eq!(world.act(), "");
}

#[test]
fn after_a_crash_nothing_runs_twice_and_nothing_is_left_out() {
    let mut world = World::new();
    world.hook("migrate", &[PreSync], 0, &[]);
    let id = world.job("migrate");
    // Written down, and then nothing.
    world.write_ahead(&id, PreSync);
    world.look();
    assert_eq!(world.act(), "run PreSync hook Job/shop/migrate\n");
    // Created, and the answer was not recorded: the marks and the time of creation tell.
    world
        .inventory
        .update(&id, |entry| entry.state = State::Intended { since: 40 });
    world.look();
    let runs = "waits for PreSync hook Job/shop/migrate (Progressing: progressing)\n";
    assert_eq!(world.act(), runs);
    // Deleted by somebody while nobody looked: that is no success.
    world.inventory.update(&id, |entry| {
        entry.state = State::Owned {
            uid: "uid-1".into(),
        };
    });
    world.live.insert(id.clone(), Sighting::Absent);
    world.look();
    assert!(
        world
            .act()
            .contains("it was deleted before its end was seen")
    );
    // The same, but the watch had its last words.
    let mut world = World::new();
    world.hook("migrate", &[PreSync], 0, &[]);
    world.act();
    let mut words = seen("uid-1".into(), Status::Progressing);
    words.terminating = true;
    (words.finished, words.succeeded) = (true, true);
    world.last.insert(id.clone(), words);
    world.live.insert(id.clone(), Sighting::Absent);
    world.look();
    assert_eq!(world.act(), "");
    // The record is lost as a whole: the object's own mark says what it is.
    let mut world = World::new();
    world.hook("migrate", &[PreSync], 0, &[]);
    world.act();
    let run = world
        .inventory
        .get(&id)
        .and_then(|entry| entry.hook.clone());
    let mark = run.and_then(|run| run.mark()).expect("it runs");
    world.inventory = Inventory::default();
    if let Some(Sighting::Present(seen)) = world.live.get_mut(&id) {
        seen.hook_run = mark;
    }
    world.look();
    assert_eq!(world.act(), runs);
    world.end("migrate", Status::Healthy);
    assert_eq!(world.act(), "");
}

#[test]
fn a_request_joins_the_sync_under_way_and_repeats_one_that_is_over() {
    let mut world = World::new();
    world.hook("first", &[PreSync], 0, &[]);
    world.hook("last", &[PostSync], 0, &[]);
    world.hook("alarm", &[SyncFail], 0, &[]);
    world.act();
    world.ask("t1");
    world.end("first", Status::Healthy);
    assert_eq!(world.act(), "run PostSync hook Job/shop/last\n");
    world.ask("t1");
    world.end("last", Status::Healthy);
    world.ask("t1");
    assert_eq!(world.plan().report.out_of_sync, 0, "it was joined");
    world.ask("t2");
    assert_eq!(world.plan().report.out_of_sync, 2);
    assert_eq!(world.act(), "delete hook Job/shop/first\n");
    assert_eq!(world.act(), "run PreSync hook Job/shop/first\n");
    world.end("first", Status::Healthy);
    world.ask("t2");
    assert_eq!(world.act(), "delete hook Job/shop/last\n");
    assert_eq!(world.plan().report.out_of_sync, 1);
}

#[test]
fn what_is_not_ours_is_never_replaced_by_a_hook() {
    let mut world = World::new();
    world.hook("migrate", &[PreSync], 0, &[]);
    let id = world.job("migrate");
    world.see(&id, Status::Healthy);
    let plan = world.act();
    assert!(
        plan.starts_with("waits for PreSync hook Job/shop/migrate (an object of its name is there"),
        "{plan}"
    );
    let plan = world.plan();
    assert!(plan.steps.is_empty() && plan.report.objects.contains_key(&id));
}

#[test]
fn nothing_is_begun_while_updates_are_frozen_or_the_plan_is_held() {
    let mut world = World::new();
    world.hook("migrate", &[PreSync], 0, &[]);
    let frozen = Gate {
        update: false,
        ..world.gate()
    };
    assert_eq!(world.plan_by(frozen).to_string(), "");
    assert_eq!(world.plan_by(frozen).report.out_of_sync, 1);
    // What failed before is still told.
    world.act();
    world.end("migrate", Status::Degraded);
    let told = world.plan_by(frozen).report.failure;
    assert_eq!(told.map(|failure| failure.id), Some(world.job("migrate")));
}

#[test]
fn when_applying_failed_for_good_the_sync_fail_hooks_run_once() {
    let mut world = World::new();
    world.object("ConfigMap", "a", 0, Change::Create, Status::Healthy);
    world.hook("alarm", &[SyncFail], 0, &[]);
    let failed = Gate {
        failed: true,
        ..world.gate()
    };
    let expected = "run SyncFail hook Job/shop/alarm\ncreate ConfigMap/shop/a\n";
    assert_eq!(world.plan_by(failed).to_string(), expected);
    let id = world.job("alarm");
    world.write_ahead(&id, SyncFail);
    world.see(&id, Status::Progressing);
    let uid = world.live[&id].present().expect("seen").uid.clone();
    world
        .inventory
        .update(&id, |entry| entry.state = State::Owned { uid });
    world.end("alarm", Status::Healthy);
    assert_eq!(
        world.plan_by(failed).to_string(),
        "create ConfigMap/shop/a\n"
    );
}

#[test]
fn what_is_degraded_runs_the_sync_fail_hooks_although_nothing_is_left_to_apply() {
    let mut world = World::new();
    world.object("Deployment", "web", 0, Change::Unchanged, Status::Degraded);
    world.hook("alarm", &[SyncFail], 0, &[]);
    assert_eq!(world.plan().to_string(), "");
    let failed = Gate {
        degraded: true,
        ..world.gate()
    };
    let expected = "run SyncFail hook Job/shop/alarm\n";
    assert_eq!(world.plan_by(failed).to_string(), expected);
}

#[test]
fn waves_may_be_negative_in_every_phase() {
    let mut world = World::new();
    for (name, wave) in [("b", 0), ("a", -1)] {
        world.object("ConfigMap", name, wave, Change::Create, Status::Healthy);
    }
    assert_eq!(
        world.act(),
        "create ConfigMap/shop/a\nwave 0 waits for wave -1 to be applied\n"
    );
    assert_eq!(world.act(), "create ConfigMap/shop/b\n");
}
