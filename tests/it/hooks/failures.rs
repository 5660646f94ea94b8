//! Syncs that fail by what they applied.

use serde_json::json;

use crate::world::jobs::{created, hook};
use crate::world::manifests::{annotated, config_map, deployment, widget, widget_crd};
use crate::world::{World, condition, wait, wait_for};
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
fn what_was_degraded_before_a_revision_is_no_failure_of_it() {
    let world = World::new("hook-degraded-before");
    let mut app = world.application("shop", "shop");
    app["spec"]["rollback"] = json!({"timeout": "600s", "monitor": "0s", "grace": "1s"});
    let mark = world.plane.audit_mark();
    world.commit(&[("shop/web.yaml", &crashing("nginx:1"))]);
    world.create(&app);
    health(&world, "Degraded");
    world.commit(&[
        ("shop/alarm.yaml", &hook("alarm", "SyncFail")),
        ("shop/a.yaml", &config_map("a", "1")),
    ]);
    world.poke("shop");
    wait_for("the commit", || world.value("a") == "1");
    world.assert_quiet();
    assert_eq!(created(&world, mark, "alarm"), 0);
    // What it breaks itself is one.
    let bad = crashing("nginx:2").replace("web", "bad");
    world.commit(&[("shop/bad.yaml", &bad)]);
    world.poke("shop");
    wait_for("the SyncFail hook", || created(&world, mark, "alarm") == 1);
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

/// Gives the agent rights for a kind of this group, and for its CRD. Returns a hook of the kind.
fn custom(world: &World<'_>, group: &str, phase: &str) -> String {
    world.allow_widgets(group);
    let hook = format!("metadata:\n  annotations: {{{}: {phase}}}\n", keys::HOOK);
    widget(group, "backup").replace("metadata:\n", &hook)
}

#[test]
fn a_pre_sync_hook_of_a_kind_that_nobody_serves_applies_nothing_and_says_so() {
    let world = World::new("hook-no-kind");
    let group = "hook-no-kind.example.com";
    let hook = custom(&world, group, "PreSync");
    let files = [
        ("shop/a.yaml", &*config_map("a", "1")),
        ("shop/old.yaml", &*config_map("old", "1")),
    ];
    world.deploy("shop", "shop", &files);
    let mark = world.plane.audit_mark();
    world.repo.remove("shop/old.yaml").unwrap();
    world.commit(&[
        ("shop/backup.yaml", &hook),
        ("shop/a.yaml", &config_map("a", "2")),
        ("shop/other.yaml", &widget("other.example.com", "one")),
    ]);
    world.poke("shop");
    let said = world.failed("shop", "KindNotServed");
    for part in [
        "shop/backup.yaml:1: PreSync hook Widget/backup: ",
        "kind hook-no-kind.example.com/v1 Widget is not served by the API server (nor are those of 1 more)",
        "nothing of this revision is applied",
        "install the CRD",
    ] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    let drift = json!({"data": {"value": "drift"}});
    world.patch("ConfigMap", &world.work, "a", &drift);
    wait_for("the accepted content", || world.value("a") == "1");
    assert_eq!(world.value("old"), "1");
    // What a write did is seen before it stands in the audit log.
    wait_for("the heal in the audit log", || {
        !world.object_writes(mark).is_empty()
    });
    assert_eq!(world.object_writes(mark), ["patch configmaps/a"]);
    let commit = world.remove(&["shop/other.yaml"]);
    world.plane.apply(&widget_crd(group)).unwrap();
    world.synced("shop", &commit);
    assert_eq!(
        (world.value("a"), world.value("old")),
        ("2".into(), String::new())
    );
    world.assert_quiet();
}

#[test]
fn a_hook_whose_crd_comes_with_it_runs_in_the_sync_and_not_before() {
    let world = World::new("hook-crd");
    let group = "hook-crd.example.com";
    let hook = custom(&world, group, "PreSync");
    world.deploy("shop", "shop", &[("shop/a.yaml", &config_map("a", "1"))]);
    let mark = world.plane.audit_mark();
    world.commit(&[
        ("shop/a.yaml", &config_map("a", "2")),
        ("shop/backup.yaml", &hook),
        ("shop/crd.yaml", &widget_crd(group)),
    ]);
    world.refresh("shop");
    let ready = condition(&world.app("shop"), "Ready");
    let said = ready["message"].as_str().unwrap_or_default();
    for part in [
        "shop/backup.yaml:1: ",
        "Widget",
        "backup",
        "a PreSync hook cannot wait for a CRD of its own revision",
        "make it a Sync hook",
    ] {
        assert!(said.contains(part), "`{part}` is not in: {ready}");
    }
    assert_eq!(world.object_writes(mark), [""; 0]);
    let hook = hook.replace("PreSync", "Sync");
    let commit = world.commit(&[("shop/backup.yaml", &hook)]);
    world.synced("shop", &commit);
    assert_eq!(world.value("a"), "2");
    let name = format!("widgets.{group}/backup");
    let live = world.kubectl(&["get", &name, "-o", "jsonpath={.spec.size}"]);
    assert_eq!(live, "1");
    world.assert_quiet();
}
