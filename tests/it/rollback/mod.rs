//! A revision that does not work takes itself back, and does not come again by itself.

mod by_hand;
mod not_written;
mod obstacles;
mod restored;
mod triggers;
mod withdrawn;
mod write_back;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use towline::inventory::last_good::decode_index;
use towline::object::keys;

use crate::world::manifests::{config_map, deployment};
use crate::world::{World, condition, wait, wait_for};

/// A Deployment `web` of one pod that ends with these words, again and again.
fn crashing(image: &str, words: &str) -> String {
    deployment("web", Some(1), image)
        .replace(
            "        app: web\n    spec",
            "        app: web\n        testcluster.towline.dev/waiting: CrashLoopBackOff\n    spec",
        )
        .replace(
            "  template:\n    metadata:\n",
            &format!(
                "  template:\n    metadata:\n      annotations:\n        testcluster.towline.dev/last-words: '{words}'\n"
            ),
        )
}

/// One that never becomes ready, and never fails.
fn slow(image: &str) -> String {
    deployment("web", Some(1), image).replace(
        "  template:\n    metadata:\n",
        "  template:\n    metadata:\n      annotations:\n        testcluster.towline.dev/ready-after: 1h\n",
    )
}

/// An Application of `shop` that takes bad revisions back.
fn guarded(world: &World<'_>, rollback: &Value) {
    let mut app = world.application("shop", "shop");
    app["spec"]["rollback"] = rollback.clone();
    world.create(&app);
}

fn quick() -> Value {
    json!({"timeout": "60s", "monitor": "0s", "grace": "1s"})
}

/// Waits until what is applied is what is gone back to.
fn trusted(world: &World<'_>, commit: &str) {
    wait(&format!("{commit} to be good"), || {
        let app = world.app("shop");
        let good = &app["status"]["rollback"]["good"]["revision"];
        if good == commit && condition(&app, "Ready")["status"] == "True" {
            Ok(())
        } else {
            Err(app["status"].to_string())
        }
    });
}

/// Waits until the good revision is stored, so that a successor knows it.
fn known(world: &World<'_>) {
    wait_for("last-good to be stored", || {
        let secrets = world.list("Secret", &world.ns);
        secrets.iter().any(|secret| {
            let data = secret["data"]["objects"].as_str().unwrap_or_default();
            let index = decode_index(&STANDARD.decode(data).unwrap_or_default());
            index.is_ok_and(|index| index.good.is_some())
        })
    });
}

/// Waits until the Application went back to `good`, and returns what it says of it.
fn rolled_back(world: &World<'_>, good: &str) -> String {
    let app = wait(&format!("the way back to {good}"), || {
        let app = world.app("shop");
        let status = &app["status"];
        let is_back = status["sync"]["status"] == "RolledBack"
            && status["sync"]["revision"] == good
            && status["health"]["status"] == "Healthy";
        if is_back {
            Ok(app)
        } else {
            Err(status.to_string())
        }
    });
    let ready = condition(&app, "Ready");
    assert_eq!(
        (&ready["status"], &ready["reason"]),
        (&json!("False"), &json!("RolledBack"))
    );
    ready["message"].as_str().unwrap_or_default().to_owned()
}

fn image(world: &World<'_>) -> String {
    let live = world.live("Deployment", "web").unwrap();
    let image = &live["spec"]["template"]["spec"]["containers"][0]["image"];
    image.as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_bad_commit_is_rolled_back_and_stays_away_until_a_good_one_comes() {
    let mut world = World::new("rollback-story");
    let a = world.commit(&[
        ("shop/web.yaml", &deployment("web", Some(1), "nginx:1")),
        ("shop/kept.yaml", &config_map("kept", "1")),
        ("shop/removed.yaml", &config_map("removed", "1")),
    ]);
    guarded(&world, &quick());
    trusted(&world, &a);

    // B changes, adds and removes, and does not work.
    world.repo.remove("shop/removed.yaml").unwrap();
    let b = world.commit(&[
        (
            "shop/web.yaml",
            &crashing("nginx:2", "no such table: users"),
        ),
        ("shop/kept.yaml", &config_map("kept", "2")),
        ("shop/added.yaml", &config_map("added", "2")),
    ]);
    world.poke("shop");
    let told = rolled_back(&world, &a);
    for part in [
        &b[..8],
        &a[..8],
        "no such table: users",
        "Deployment/rollback-story-work/web",
    ] {
        assert!(told.contains(part), "{part} is not in: {told}");
    }
    assert_eq!(image(&world), "nginx:1");
    assert_eq!(world.value("kept"), "1");
    assert_eq!(world.value("removed"), "1");
    assert!(world.live("ConfigMap", "added").is_none());
    let status = world.app("shop")["status"].clone();
    assert_eq!(status["sync"]["targetRevision"], b);
    assert_eq!(status["history"][0]["revision"], b);
    assert_eq!(status["history"][0]["outcome"], "RolledBack");
    assert_eq!(status["history"][1]["outcome"], "Healthy");
    let quarantine = &status["rollback"]["quarantine"];
    assert_eq!(quarantine[0]["revision"], b);

    // Neither polls nor a poke nor another commit that changes nothing of it.
    let mark = world.plane.audit_mark();
    world.wait_polls(10.0);
    world.refresh("shop");
    let unrelated = world.commit(&[("README.md", "unrelated")]);
    world.refresh("shop");
    let told = rolled_back(&world, &a);
    assert!(
        told.contains(&unrelated[..8]) && told.contains(&b[..8]),
        "{told}"
    );
    let writes: Vec<String> = world
        .requests(mark)
        .iter()
        .filter(|event| event.is_write() && event.namespace == world.work)
        .map(crate::world::describe)
        .collect();
    assert_eq!(writes, [""; 0]);

    // Nor a restart; and drift goes back to the good revision.
    known(&world);
    world.kill_agent();
    world.patch(
        "ConfigMap",
        &world.work,
        "kept",
        &json!({"data": {"value": "drift"}}),
    );
    world.start();
    wait_for("the drift to be undone", || world.value("kept") == "1");
    world.refresh("shop");
    rolled_back(&world, &a);
    assert_eq!(image(&world), "nginx:1");
    world.kubectl(&["scale", "deployment/web", "--replicas=3"]);
    wait_for("the scale to be undone", || {
        world.live("Deployment", "web").unwrap()["spec"]["replicas"] == 1
    });

    // The next good commit is taken at once.
    let c = world.commit(&[("shop/web.yaml", &deployment("web", Some(1), "nginx:3"))]);
    world.synced("shop", &c);
    trusted(&world, &c);
    assert_eq!(image(&world), "nginx:3");
    assert_eq!(world.value("kept"), "2");
    assert_eq!(world.value("added"), "2");
}

#[test]
fn git_revert_is_known_and_lifts_the_quarantine() {
    let world = World::new("rollback-revert");
    let web = deployment("web", Some(1), "nginx:1");
    let a = world.commit(&[("shop/web.yaml", &web)]);
    guarded(&world, &quick());
    trusted(&world, &a);
    let bad = crashing("nginx:2", "boom");
    let b = world.commit(&[("shop/web.yaml", &bad)]);
    world.poke("shop");
    rolled_back(&world, &a);
    let c = world.commit(&[("shop/web.yaml", &web)]);
    let app = world.synced("shop", &c);
    let status = &app["status"];
    assert_eq!(status["sync"]["status"], "Synced");
    assert_eq!(status["history"][0]["revision"], c);
    assert_eq!(status["history"][0]["reverts"], json!([b]));
    assert_eq!(status["rollback"]["quarantine"], Value::Null);
    // A revert of the revert means it: it is tried again, and taken back again.
    let d = world.commit(&[("shop/web.yaml", &bad)]);
    world.poke("shop");
    let told = rolled_back(&world, &c);
    assert!(told.contains(&d[..8]), "{told}");
}

#[test]
fn what_is_not_ready_in_time_goes_and_may_be_tried_again_by_hand() {
    let world = World::new("rollback-timeout");
    let a = world.commit(&[("shop/web.yaml", &deployment("web", Some(1), "nginx:1"))]);
    guarded(
        &world,
        &json!({"timeout": "5s", "monitor": "0s", "grace": "1s"}),
    );
    trusted(&world, &a);
    let b = world.commit(&[("shop/web.yaml", &slow("nginx:2"))]);
    world.poke("shop");
    let told = rolled_back(&world, &a);
    assert!(
        told.contains("NotHealthyInTime") && told.contains("5s"),
        "{told}"
    );
    // It is given more time, or the try might be over before it was seen.
    let timeout = |text: &str| world.change("shop", &json!({"rollback": {"timeout": text}}));
    timeout("1h");
    world.annotate("shop", keys::RETRY, Some(&b[..8]));
    wait_for("another try", || {
        let status = world.app("shop")["status"].clone();
        let is_tried = status["rollback"]["trial"]["revision"] == b;
        status["handled"]["retry"] == b[..8] && is_tried && image(&world) == "nginx:2"
    });
    timeout("5s");
    rolled_back(&world, &a);
    // The same annotation asks once.
    world.wait_polls(5.0);
    assert_eq!(image(&world), "nginx:1");
}

#[test]
fn without_rollback_a_bad_revision_stays() {
    let world = World::new("rollback-off");
    world.deploy(
        "shop",
        "shop",
        &[("shop/web.yaml", &deployment("web", Some(1), "nginx:1"))],
    );
    let b = world.commit(&[("shop/web.yaml", &crashing("nginx:2", "boom"))]);
    world.poke("shop");
    world.failed("shop", "Degraded");
    world.wait_polls(3.0);
    assert_eq!(image(&world), "nginx:2");
    assert_eq!(world.app("shop")["status"]["sync"]["revision"], b);
}

#[test]
fn the_first_revision_has_nothing_to_go_back_to_and_says_so() {
    let world = World::new("rollback-first");
    world.commit(&[("shop/web.yaml", &crashing("nginx:1", "boom"))]);
    guarded(&world, &quick());
    let told = world.failed("shop", "NotRolledBack");
    assert!(told.contains("no earlier revision was healthy"), "{told}");
    let fixed = world.commit(&[("shop/web.yaml", &deployment("web", Some(1), "nginx:2"))]);
    world.synced("shop", &fixed);
    trusted(&world, &fixed);
}

#[test]
fn what_the_revision_did_not_change_is_not_its_doing() {
    let world = World::new("rollback-others");
    let a = world.commit(&[
        ("shop/web.yaml", &deployment("web", Some(1), "nginx:1")),
        ("shop/other.yaml", &config_map("other", "1")),
    ]);
    guarded(&world, &quick());
    trusted(&world, &a);
    let b = world.commit(&[("shop/other.yaml", &config_map("other", "2"))]);
    world.poke("shop");
    trusted(&world, &b);
    // Its pods go, after the revision was trusted: nothing to take back.
    let c = world.commit(&[("shop/other.yaml", &config_map("other", "3"))]);
    let pods = world.list("Pod", &world.work);
    let name = pods[0]["metadata"]["name"].as_str().unwrap().to_owned();
    let status = json!({"status": {"conditions": [{"type": "Ready", "status": "False",
        "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    world.patch("Pod", &world.work, &format!("{name}/status"), &status);
    world.refresh("shop");
    wait_for("the third revision", || {
        world.app("shop")["status"]["sync"]["revision"] == c
    });
    world.wait_polls(3.0);
    assert_eq!(world.app("shop")["status"]["sync"]["revision"], c);
    assert_eq!(world.value("other"), "3");
}

#[test]
fn a_failed_hook_takes_the_revision_back_unless_it_cannot_be_taken_back() {
    let world = World::new("rollback-hook");
    let a = world.commit(&[("shop/a.yaml", &config_map("a", "1"))]);
    guarded(&world, &quick());
    let retry = json!({"syncPolicy": {"retry": {"limit": 0}}});
    world.change("shop", &retry);
    world.refresh("shop");
    trusted(&world, &a);
    let smoke = "\
apiVersion: batch/v1
kind: Job
metadata:
  name: smoke
  annotations:
    towline.dev/hook: PostSync
spec:
  backoffLimit: 0
  template:
    metadata:
      annotations:
        testcluster.towline.dev/ready-after: 1h
    spec:
      restartPolicy: Never
      containers:
        - name: main
          image: busybox:1
";
    let fail = || {
        let pod = wait("the pod of the smoke test", || {
            let pods = world.list("Pod", &world.work);
            let pod = pods.into_iter().find(|pod| {
                pod["spec"]["nodeName"].is_string()
                    && pod["status"]["phase"] != "Failed"
                    && pod["metadata"]["deletionTimestamp"].is_null()
            });
            pod.ok_or_else(|| "it is not scheduled yet".into())
        });
        let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
        let status = json!({"status": {"phase": "Failed", "containerStatuses": [
            {"name": "main", "image": "busybox:1", "imageID": "", "ready": false,
             "restartCount": 0, "state": {"terminated": {"exitCode": 3, "reason": "Error",
             "message": "the shop does not answer"}}}]}});
        world.patch("Pod", &world.work, &format!("{name}/status"), &status);
    };
    world.commit(&[
        ("shop/a.yaml", &config_map("a", "2")),
        ("shop/smoke.yaml", smoke),
    ]);
    world.poke("shop");
    fail();
    let told = rolled_back(&world, &a);
    assert!(
        told.contains("HookFailed") && told.contains("the shop does not answer"),
        "{told}"
    );
    assert_eq!(world.value("a"), "1");

    let marked = smoke.replace(
        "    towline.dev/hook: PostSync\n",
        "    towline.dev/hook: PostSync\n    towline.dev/rollback: disabled\n",
    );
    world.commit(&[
        ("shop/a.yaml", &config_map("a", "3")),
        ("shop/smoke.yaml", &marked),
    ]);
    world.poke("shop");
    fail();
    let told = world.failed("shop", "RollbackBlocked");
    assert!(
        told.contains("marked as not revertible") && told.contains("shop/smoke.yaml"),
        "{told}"
    );
    assert_eq!(world.value("a"), "3");
}

#[test]
fn updates_are_suspended_until_a_time() {
    let world = World::new("suspend-until");
    world.deploy("shop", "shop", &[("shop/a.yaml", &config_map("a", "1"))]);
    let in_seconds = |s| jiff::Timestamp::now() + jiff::SignedDuration::from_secs(s);
    let until = format!("{:.0}", in_seconds(3600));
    world.annotate("shop", keys::SUSPEND_UNTIL, Some(&until));
    world.annotate("shop", keys::SUSPEND, Some("release freeze"));
    // Nothing is committed before the agent knows.
    world.refresh("shop");
    let b = world.commit(&[("shop/a.yaml", &config_map("a", "2"))]);
    world.poke("shop");
    let told = world.failed("shop", "UpdatesSuspended");
    assert!(
        told.contains("release freeze") && told.contains(&until),
        "{told}"
    );
    assert_eq!(world.value("a"), "1");
    let end = in_seconds(4);
    world.annotate("shop", keys::SUSPEND_UNTIL, Some(&format!("{end:.0}")));
    world.synced("shop", &b);
    assert!(jiff::Timestamp::now().as_second() >= end.as_second());
}
