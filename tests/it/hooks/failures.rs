//! Syncs that fail by what they applied.

use serde_json::json;

use super::{created, hook};
use crate::world::manifests::{annotated, config_map, deployment};
use crate::world::{World, wait, wait_for};
use towline::object::keys;

/// A Deployment whose pod crashes.
fn crashing(image: &str) -> String {
    let label = "        testcluster.towline.dev/waiting: CrashLoopBackOff\n    spec";
    deployment("web", Some(1), image).replace(
        "        app: web\n    spec",
        &format!("        app: web\n{label}"),
    )
}

/// Waits until the Application is as healthy as this.
fn health(world: &World<'_>, status: &str) {
    wait(&format!("health {status}"), || {
        let app = world.app("shop");
        if app["status"]["health"]["status"] == status {
            Ok(())
        } else {
            Err(app["status"].to_string())
        }
    });
}

#[test]
fn what_is_degraded_after_it_was_applied_runs_the_sync_fail_hooks_once_for_each_revision() {
    let mut world = World::new("hook-degraded");
    let mark = world.plane.audit_mark();
    let alarm = ("shop/alarm.yaml", &*hook("alarm", "SyncFail"));
    let good = deployment("web", Some(1), "nginx:1");
    world.deploy("shop", "shop", &[("shop/web.yaml", &good), alarm]);
    health(&world, "Healthy");
    assert_eq!(created(&world, mark, "alarm"), 0);

    // A pod that fails later is no failed sync.
    let waiting =
        json!({"metadata": {"labels": {"testcluster.towline.dev/waiting": "CrashLoopBackOff"}}});
    let pod = world.list("Pod", &world.work).remove(0);
    let broken = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}],
        "containerStatuses": [{"name": "web", "image": "nginx:1", "imageID": "", "ready": false,
            "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}});
    let name = pod["metadata"]["name"].as_str().unwrap();
    world.patch("Pod", &world.work, name, &waiting);
    world.patch("Pod", &world.work, &format!("{name}/status"), &broken);
    health(&world, "Degraded");

    // The next revision, of which the first wave fails.
    let late = annotated("late", "1", keys::SYNC_WAVE, "1");
    let bad = world.commit(&[
        ("shop/web.yaml", &crashing("nginx:2")),
        ("shop/late.yaml", &late),
    ]);
    world.poke("shop");
    wait_for("the SyncFail hook", || created(&world, mark, "alarm") == 1);
    assert_eq!(world.value("late"), "", "its wave waits");
    wait_for("its end", || {
        let live = world.live("Job", "alarm").unwrap_or_default();
        live["status"]["succeeded"] == 1
    });
    // Neither passes nor a restart run it again.
    world.assert_quiet();
    world.kill_agent();
    world.start();
    health(&world, "Degraded");
    world.assert_quiet();
    assert_eq!(created(&world, mark, "alarm"), 1);
    assert_eq!(world.app("shop")["status"]["sync"]["targetRevision"], bad);

    // Another one that fails is another failure; one that is Healthy is none.
    world.commit(&[("shop/web.yaml", &crashing("nginx:3"))]);
    world.poke("shop");
    wait_for("the next one", || created(&world, mark, "alarm") == 2);
    let commit = world.commit(&[
        ("shop/web.yaml", &deployment("web", Some(1), "nginx:4")),
        ("shop/a.yaml", &config_map("a", "1")),
    ]);
    world.synced("shop", &commit);
    assert_eq!(world.value("late"), "1");
    assert_eq!(created(&world, mark, "alarm"), 2);
    world.assert_quiet();
}

#[test]
fn a_revision_that_is_gone_back_from_has_run_its_sync_fail_hooks_before() {
    let world = World::new("hook-degraded-back");
    let mut app = world.application("shop", "shop");
    app["spec"]["rollback"] = json!({"timeout": "60s", "monitor": "0s", "grace": "1s"});
    let mark = world.plane.audit_mark();
    let good = world.commit(&[
        ("shop/web.yaml", &deployment("web", Some(1), "nginx:1")),
        ("shop/alarm.yaml", &hook("alarm", "SyncFail")),
    ]);
    world.create(&app);
    world.synced("shop", &good);
    wait("the revision to be good", || {
        let app = world.app("shop");
        if app["status"]["rollback"]["good"]["revision"] == good {
            Ok(())
        } else {
            Err(app["status"].to_string())
        }
    });
    world.commit(&[("shop/web.yaml", &crashing("nginx:2"))]);
    world.poke("shop");
    wait("the way back", || {
        let app = world.app("shop");
        let status = &app["status"];
        if status["sync"]["status"] == "RolledBack" && status["health"]["status"] == "Healthy" {
            Ok(())
        } else {
            Err(status.to_string())
        }
    });
    assert_eq!(created(&world, mark, "alarm"), 1);
    let live = world.live("Deployment", "web").unwrap();
    let image = live.pointer("/spec/template/spec/containers/0/image");
    assert_eq!(image, Some(&json!("nginx:1")));
    world.assert_quiet();
}
