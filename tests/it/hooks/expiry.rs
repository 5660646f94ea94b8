//! Jobs that are deleted as soon as they have finished, by `ttlSecondsAfterFinished`.

use crate::explain;
use crate::world::jobs::{created, end, expiring, held, hook, job, uid};
use crate::world::manifests::{annotated, config_map};
use crate::world::{World, borrowed, condition, wait, wait_for};
use towline::object::keys;
use towline_testcluster::AuditMark;

/// A Job of the first wave.
fn migrate(seconds: u32) -> String {
    expiring(&job("migrate", &[(keys::SYNC_WAVE, "-1")]), seconds)
}

fn gone(world: &World<'_>, name: &str) {
    wait_for("the end of the Job", || world.live("Job", name).is_none());
}

/// Waits until the agent hears of Jobs: an end that comes before is one that nobody saw.
fn heard(world: &World<'_>, mark: AuditMark) {
    wait_for("the watch of Jobs", || {
        let requests = world.requests(mark);
        let mut of_jobs = requests.iter().filter(|event| event.resource == "jobs");
        of_jobs.any(|event| event.verb == "watch" && event.code < 300)
    });
}

#[test]
fn a_job_that_goes_the_moment_it_has_finished_runs_once() {
    let mut world = World::new("expiry-once");
    let mark = world.plane.audit_mark();
    // Several, because what is told of the end of one may be told in two ways.
    let names = ["one", "two", "three", "four", "five"];
    let files = names.map(|name| (format!("shop/{name}.yaml"), expiring(&job(name, &[]), 0)));
    let mut files: Vec<_> = borrowed(&files);
    let late = annotated("late", "1", keys::SYNC_WAVE, "1");
    files.push(("shop/late.yaml", &late));
    world.deploy("shop", "shop", &files);
    assert_eq!(world.value("late"), "1");
    names.iter().for_each(|name| gone(&world, name));
    world.assert_quiet();
    world.stop_agent();
    world.start();
    let commit = world.commit(&[("shop/a.yaml", &config_map("a", "1"))]);
    world.synced("shop", &commit);
    world.assert_quiet();
    for name in names {
        assert_eq!(created(&world, mark, name), 1, "{name}");
    }
}

#[test]
fn a_job_that_failed_and_is_gone_does_not_run_again_and_holds_what_comes_after_it() {
    let mut world = World::new("expiry-failed");
    let mark = world.plane.audit_mark();
    let late = annotated("late", "1", keys::SYNC_WAVE, "1");
    world.commit(&[
        ("shop/migrate.yaml", &held(&migrate(0))),
        ("shop/late.yaml", &late),
    ]);
    world.create(&world.application("shop", "shop"));
    heard(&world, mark);
    end(&world, "migrate", "Failed");
    gone(&world, "migrate");
    let told = |world: &World<'_>| {
        wait("the failure to be told", || {
            let healthy = condition(&world.app("shop"), "Healthy");
            let said = healthy["message"].as_str().unwrap_or_default();
            if said.contains("Job/expiry-failed-work/migrate") && said.contains("backoff limit") {
                Ok(())
            } else {
                Err(healthy.to_string())
            }
        });
    };
    told(&world);
    world.assert_quiet();
    world.kill_agent();
    world.start();
    world.refresh("shop");
    told(&world);
    world.assert_quiet();
    assert_eq!(world.value("late"), "");
    assert_eq!(created(&world, mark, "migrate"), 1);
    let why = [
        "Job/expiry-failed-work/migrate: JobFailed: it failed, and was deleted by its ttlSecondsAfterFinished: ",
        "commit a change of its spec",
    ];
    explain::told(&world, "shop", &why);
    let fixed = migrate(0).replace("busybox:1", "busybox:2");
    let commit = world.commit(&[("shop/migrate.yaml", &fixed)]);
    world.synced("shop", &commit);
    assert_eq!(world.value("late"), "1");
    assert_eq!(created(&world, mark, "migrate"), 2);
    world.assert_quiet();
}

#[test]
fn a_job_that_ended_while_no_agent_looked_is_no_success_and_one_that_was_deleted_runs_again() {
    let mut world = World::new("expiry-away");
    let mark = world.plane.audit_mark();
    let late = annotated("late", "1", keys::SYNC_WAVE, "1");
    world.commit(&[
        ("shop/migrate.yaml", &held(&migrate(0))),
        ("shop/late.yaml", &late),
    ]);
    world.create(&world.application("shop", "shop"));
    let first = wait("the Job", || {
        let uid = uid(&world, "migrate");
        (!uid.is_empty())
            .then_some(uid)
            .ok_or_else(|| "none".into())
    });
    // A person deletes it while it runs: that is drift.
    world.delete("Job", &world.work, "migrate?propagationPolicy=Background");
    wait_for("the next one", || {
        let uid = uid(&world, "migrate");
        !uid.is_empty() && uid != first
    });
    wait_for("its pod", || {
        let pods = world.list("Pod", &world.work);
        pods.iter()
            .filter(|pod| pod["spec"]["nodeName"].is_string())
            .count()
            == 1
    });
    world.assert_quiet();
    world.kill_agent();
    end(&world, "migrate", "Succeeded");
    gone(&world, "migrate");
    world.start();
    // Whether it succeeded nobody knows: it is not run twice, and what needs it waits.
    wait("the unseen end to be told", || {
        let healthy = condition(&world.app("shop"), "Healthy");
        let said = healthy["message"].as_str().unwrap_or_default();
        if said.contains("its end was not seen") {
            Ok(())
        } else {
            Err(healthy.to_string())
        }
    });
    world.assert_quiet();
    assert_eq!(created(&world, mark, "migrate"), 2);
    assert_eq!(world.value("late"), "");
    let again = migrate(0).replace("busybox:1", "busybox:2");
    let commit = world.commit(&[("shop/migrate.yaml", &again)]);
    world.synced("shop", &commit);
    assert_eq!(world.value("late"), "1");
    assert_eq!(created(&world, mark, "migrate"), 3);
}

#[test]
fn a_hook_that_ended_while_no_agent_looked_does_not_hang() {
    let mut world = World::new("expiry-hook");
    let mark = world.plane.audit_mark();
    let slow = expiring(&held(&hook("slow", "PreSync")), 0);
    let commit = world.commit(&[
        ("shop/slow.yaml", &slow),
        ("shop/quick.yaml", &expiring(&hook("quick", "PreSync"), 0)),
        ("shop/a.yaml", &config_map("a", "1")),
    ]);
    let mut app = world.application("shop", "shop");
    app["spec"]["syncPolicy"]["retry"] =
        serde_json::json!({"limit": 2, "backoff": {"duration": "1s"}});
    world.create(&app);
    gone(&world, "quick");
    wait_for("the hook", || !uid(&world, "slow").is_empty());
    wait("the end of the first to be seen", || {
        let said = world.failed("shop", "WaitingForHook");
        if said.contains("Job/expiry-hook-work/slow") {
            Ok(())
        } else {
            Err(said)
        }
    });
    world.kill_agent();
    end(&world, "slow", "Succeeded");
    gone(&world, "slow");
    world.start();
    // Nobody knows whether it succeeded: it runs once more.
    wait_for("the second try", || created(&world, mark, "slow") == 2);
    assert_eq!(world.value("a"), "");
    end(&world, "slow", "Succeeded");
    world.synced("shop", &commit);
    assert_eq!(world.value("a"), "1");
    assert_eq!(created(&world, mark, "slow"), 2);
    assert_eq!(created(&world, mark, "quick"), 1);
    world.assert_quiet();
}

#[test]
fn a_failed_job_that_a_person_deletes_runs_again() {
    let world = World::new("expiry-again");
    let mark = world.plane.audit_mark();
    let job = held(&job("migrate", &[(keys::SYNC_WAVE, "-1")]));
    let late = annotated("late", "1", keys::SYNC_WAVE, "1");
    let commit = world.commit(&[("shop/migrate.yaml", &job), ("shop/late.yaml", &late)]);
    world.create(&world.application("shop", "shop"));
    end(&world, "migrate", "Failed");
    let first = uid(&world, "migrate");
    wait("the failure to be told", || {
        let healthy = condition(&world.app("shop"), "Healthy");
        let is_told = healthy["reason"] == "Degraded";
        is_told.then_some(()).ok_or_else(|| healthy.to_string())
    });
    world.delete("Job", &world.work, "migrate?propagationPolicy=Foreground");
    wait_for("the next one", || {
        let uid = uid(&world, "migrate");
        !uid.is_empty() && uid != first
    });
    wait_for("its pod", || {
        let pods = world.list("Pod", &world.work);
        let mut fresh = pods
            .iter()
            .filter(|pod| pod["status"]["phase"] == "Pending");
        fresh.any(|pod| pod["spec"]["nodeName"].is_string())
    });
    end(&world, "migrate", "Succeeded");
    world.synced("shop", &commit);
    assert_eq!(world.value("late"), "1");
    assert_eq!(created(&world, mark, "migrate"), 2);
}
