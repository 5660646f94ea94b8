//! Hooks run at their moment, once for each revision, whatever dies meanwhile.

mod expiry;
mod failures;

use serde_json::{Value, json};
use towline::object::keys;
use towline_testcluster::AuditMark;

use crate::world::jobs::{created, end, expiring, held, hook, job, uid};
use crate::world::manifests::{annotated, config_map, deployment};
use crate::world::{World, borrowed, condition, describe, wait, wait_for};

/// Writes of Jobs and ConfigMaps since `mark`, in their order.
fn order(world: &World<'_>, mark: AuditMark) -> Vec<String> {
    let mut writes: Vec<(String, String)> = world
        .requests(mark)
        .iter()
        .filter(|event| event.is_write() && event.code < 300)
        .filter(|event| ["jobs", "configmaps"].contains(&event.resource.as_str()))
        .map(|event| {
            let time = event.raw["requestReceivedTimestamp"].as_str();
            (time.unwrap_or_default().to_owned(), describe(event))
        })
        .collect();
    writes.sort();
    writes.into_iter().map(|(_, write)| write).collect()
}

#[test]
fn phases_come_in_order_and_only_a_new_revision_runs_hooks_again() {
    let mut world = World::new("hook-order");
    let mark = world.plane.audit_mark();
    world.deploy(
        "shop",
        "shop",
        &[
            ("shop/a.yaml", &config_map("a", "1")),
            ("shop/b.yaml", &annotated("b", "1", keys::SYNC_WAVE, "-1")),
            ("shop/migrate.yaml", &hook("migrate", "PreSync")),
            ("shop/smoke.yaml", &hook("smoke", "PostSync")),
            ("shop/alarm.yaml", &hook("alarm", "SyncFail")),
            ("shop/never.yaml", &hook("never", "Skip")),
        ],
    );
    let expected = [
        "patch jobs/migrate",
        "patch configmaps/b",
        "patch configmaps/a",
        "patch jobs/smoke",
    ];
    assert_eq!(order(&world, mark), expected);
    world.assert_quiet();

    // A drift, a commit that renders the same, a restart: no revision.
    let mark = world.plane.audit_mark();
    let drift = json!({"data": {"value": "drift"}});
    world.patch("ConfigMap", &world.work, "a", &drift);
    wait_for("the content of Git", || world.value("a") == "1");
    world.delete("Job", &world.work, "migrate");
    // Its pods are orphaned before it goes; until then the next run would have to delete it.
    wait_for("the Job to go", || world.live("Job", "migrate").is_none());
    let commit = world.commit(&[("README.md", "Nothing to deploy")]);
    world.synced("shop", &commit);
    world.stop_agent();
    world.start();
    world.wait_polls(2.0);
    world.refresh("shop");
    assert_eq!(order(&world, mark), ["patch configmaps/a"]);

    let mark = world.plane.audit_mark();
    let commit = world.commit(&[("shop/a.yaml", &config_map("a", "2"))]);
    world.synced("shop", &commit);
    let expected = [
        "patch jobs/migrate",
        "patch configmaps/a",
        "delete jobs/smoke",
        "patch jobs/smoke",
    ];
    assert_eq!(order(&world, mark), expected);
    world.assert_quiet();

    let mark = world.plane.audit_mark();
    let app = world.sync("shop");
    assert_eq!(condition(&app, "Ready")["status"], "True", "{app}");
    let expected = [
        "delete jobs/migrate",
        "patch jobs/migrate",
        "delete jobs/smoke",
        "patch jobs/smoke",
    ];
    assert_eq!(order(&world, mark), expected, "a sync that was asked for");
    world.assert_quiet();
}

#[test]
fn a_failed_pre_sync_hook_applies_nothing_and_says_why() {
    let world = World::new("hook-fails");
    let mut app = world.application("shop", "shop");
    app["spec"]["syncPolicy"]["retry"] = json!({"limit": 0});
    let first = world.commit(&[
        ("shop/a.yaml", &config_map("a", "1")),
        ("shop/gone.yaml", &config_map("gone", "1")),
    ]);
    world.create(&app);
    world.synced("shop", &first);

    world.repo.remove("shop/gone.yaml").unwrap();
    let mark = world.plane.audit_mark();
    world.commit(&[
        ("shop/a.yaml", &config_map("a", "2")),
        ("shop/new.yaml", &config_map("new", "2")),
        ("shop/migrate.yaml", &held(&hook("migrate", "PreSync"))),
        ("shop/alarm.yaml", &hook("alarm", "SyncFail")),
    ]);
    world.poke("shop");
    let message = world.failed("shop", "WaitingForHook");
    assert!(
        message.contains("waits for PreSync hook Job/hook-fails-work/migrate (Progressing"),
        "{message}"
    );
    end(&world, "migrate", "Failed");
    let message = world.failed("shop", "HookFailed");
    for part in [
        "migrate.yaml:1: PreSync hook Job/hook-fails-work/migrate failed",
        "backoff limit",
        "relation shop.orders is missing",
        "nothing of this revision was applied",
        &format!("{} stays enforced", &first[..8]),
    ] {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
    wait_for("the SyncFail hook", || world.live("Job", "alarm").is_some());
    let drift = json!({"data": {"value": "drift"}});
    world.patch("ConfigMap", &world.work, "a", &drift);
    wait_for("the accepted content", || world.value("a") == "1");
    let values = ["new", "gone"].map(|name| world.value(name));
    assert_eq!(values, ["", "1"]);
    assert_eq!(created(&world, mark, "migrate"), 1, "no retry was allowed");

    let fixed = world.commit(&[("shop/migrate.yaml", &hook("migrate", "PreSync"))]);
    world.synced("shop", &fixed);
    let values = ["a", "new", "gone"].map(|name| world.value(name));
    assert_eq!(values, ["2", "2", ""]);
    assert_eq!(created(&world, mark, "alarm"), 1);
    world.assert_quiet();
}

#[test]
fn a_failed_hook_is_tried_again_and_what_succeeded_is_not() {
    let world = World::new("hook-retry");
    let mut app = world.application("shop", "shop");
    app["spec"]["syncPolicy"]["retry"] = json!({"limit": 2, "backoff": {"duration": "1s"}});
    let mark = world.plane.audit_mark();
    let commit = world.commit(&[
        ("shop/a.yaml", &config_map("a", "1")),
        ("shop/migrate.yaml", &hook("migrate", "PreSync")),
        ("shop/smoke.yaml", &held(&hook("smoke", "PostSync"))),
    ]);
    world.create(&app);
    end(&world, "smoke", "Failed");
    wait_for("the second try", || created(&world, mark, "smoke") == 2);
    wait_for("its pod", || {
        let pods = world.list("Pod", &world.work);
        let mut of_job = pods
            .iter()
            .filter(|pod| pod["metadata"]["labels"]["job-name"] == "smoke");
        of_job.any(|pod| pod["status"]["phase"] == "Pending")
    });
    end(&world, "smoke", "Succeeded");
    world.synced("shop", &commit);
    assert_eq!(created(&world, mark, "migrate"), 1);
    assert_eq!(created(&world, mark, "smoke"), 2);
    world.assert_quiet();
}

#[test]
fn a_newer_commit_waits_for_a_running_hook_and_says_so() {
    let world = World::new("hook-preempt");
    world.deploy("shop", "shop", &[("shop/a.yaml", &config_map("a", "1"))]);
    let old = world.commit(&[
        ("shop/a.yaml", &config_map("a", "2")),
        ("shop/migrate.yaml", &held(&hook("migrate", "PreSync"))),
    ]);
    world.poke("shop");
    world.failed("shop", "WaitingForHook");
    let running = uid(&world, "migrate");
    let new = world.commit(&[
        ("shop/a.yaml", &config_map("a", "3")),
        ("shop/migrate.yaml", &hook("migrate", "PreSync")),
    ]);
    world.refresh("shop");
    let expected = format!(
        "main@{} waits for hook Job/hook-preempt-work/migrate of {}",
        &new[..8],
        &old[..8]
    );
    wait("the line about it", || {
        let message = world.failed("shop", "WaitingForHook");
        if message == expected {
            Ok(())
        } else {
            Err(message)
        }
    });
    assert_eq!(world.value("a"), "1");
    assert_eq!(uid(&world, "migrate"), running, "it is not killed");
    end(&world, "migrate", "Succeeded");
    world.synced("shop", &new);
    assert_eq!(world.value("a"), "3");
    assert_ne!(uid(&world, "migrate"), running);
    world.assert_quiet();
}

#[test]
fn a_running_hook_is_bounded_by_its_own_deadline() {
    let world = World::new("hook-deadline");
    world.deploy("shop", "shop", &[("shop/a.yaml", &config_map("a", "1"))]);
    let slow = held(&hook("migrate", "PreSync")).replace(
        "  backoffLimit: 0\n",
        "  backoffLimit: 0\n  activeDeadlineSeconds: 3\n",
    );
    world.commit(&[("shop/migrate.yaml", &slow)]);
    world.poke("shop");
    world.failed("shop", "WaitingForHook");
    world.repo.remove("shop/migrate.yaml").unwrap();
    let commit = world.commit(&[("shop/a.yaml", &config_map("a", "2"))]);
    world.synced("shop", &commit);
    assert_eq!(world.value("a"), "2");
    wait_for("the end of the hook that left Git", || {
        world.live("Job", "migrate").is_none()
    });
    world.assert_quiet();
}

#[test]
fn delete_policies_are_obeyed_and_what_was_deleted_does_not_run_again() {
    let mut world = World::new("hook-policies");
    let succeeded = job(
        "tidy",
        &[
            ("towline.dev/hook", "PreSync"),
            ("towline.dev/hook-delete-policy", "HookSucceeded"),
        ],
    );
    let expiring = expiring(&hook("expiring", "PreSync"), 0);
    let named = hook("x", "PostSync").replace("  name: x\n", "  generateName: smoke-\n");
    let mark = world.plane.audit_mark();
    world.deploy(
        "shop",
        "shop",
        &[
            ("shop/a.yaml", &config_map("a", "1")),
            ("shop/tidy.yaml", &succeeded),
            ("shop/expiring.yaml", &expiring),
            ("shop/smoke.yaml", &named),
            (
                "shop/settings.yaml",
                &annotated("settings", "1", "helm.sh/hook", "pre-install,pre-upgrade"),
            ),
        ],
    );
    let jobs = || -> Vec<String> {
        let all = world.list("Job", &world.work);
        let names = all.iter().map(|job| job["metadata"]["name"].as_str());
        names
            .map(|name| name.unwrap_or_default().to_owned())
            .collect()
    };
    wait_for("only the hook without a policy", || {
        let left = jobs();
        left.len() == 1 && left[0].starts_with("smoke-")
    });
    let smoke = jobs().remove(0);
    assert_eq!(world.value("settings"), "1");
    world.assert_quiet();
    world.kill_agent();
    world.start();
    world.refresh("shop");
    world.wait_condition("shop", "Ready", "True", "Ready");
    for name in ["tidy", "expiring", &smoke] {
        assert_eq!(created(&world, mark, name), 1, "{name}");
    }

    // The next revision has another name, and the old one goes.
    let commit = world.commit(&[("shop/a.yaml", &config_map("a", "2"))]);
    world.synced("shop", &commit);
    wait_for("the end of the old one", || {
        world.live("Job", &smoke).is_none()
    });
    for name in ["tidy", "expiring"] {
        assert_eq!(created(&world, mark, name), 2, "{name}");
    }

    // Hooks that leave Git leave the cluster, and so do those of an Application that is deleted.
    let commit = world.remove(&["shop/settings.yaml"]);
    world.synced("shop", &commit);
    wait_for("the end of the hook", || world.value("settings").is_empty());
    world.patch(
        "Application",
        &world.ns,
        "shop",
        &json!({"metadata": {"finalizers": [keys::PRUNE_FINALIZER]}}),
    );
    world.delete_application("shop");
    assert_eq!(world.list("Job", &world.work), Vec::<Value>::new());
}

#[test]
fn a_hook_that_runs_while_the_agent_is_away_is_not_begun_again() {
    let mut world = World::new("hook-away");
    let commit = world.commit(&[
        ("shop/a.yaml", &config_map("a", "1")),
        ("shop/migrate.yaml", &held(&hook("migrate", "PreSync"))),
    ]);
    world.create(&world.application("shop", "shop"));
    world.failed("shop", "WaitingForHook");
    let running = uid(&world, "migrate");
    world.kill_agent();
    end(&world, "migrate", "Succeeded");
    world.start();
    world.synced("shop", &commit);
    assert_eq!(uid(&world, "migrate"), running);
    assert_eq!(world.value("a"), "1");
    world.assert_quiet();
}

#[test]
fn a_killed_agent_runs_no_hook_twice() {
    let mut world = World::idle("hook-kill");
    world.create(&world.application("shop", "shop"));
    let phases = [
        ("p", "PreSync"),
        ("q", "PreSync"),
        ("s", "Sync"),
        ("t", "PostSync"),
    ];
    let files: Vec<(String, String)> = phases
        .iter()
        .enumerate()
        .map(|(wave, (name, phase))| {
            let wave = wave.to_string();
            let annotations = [
                ("towline.dev/hook", *phase),
                ("towline.dev/sync-wave", wave.as_str()),
                ("towline.dev/hook-delete-policy", "HookSucceeded"),
            ];
            (format!("shop/{name}.yaml"), job(name, &annotations))
        })
        .collect();
    let files = borrowed(&files);
    world.commit(&files);
    let mark = world.plane.audit_mark();
    let commit = world.commit(&[("shop/a.yaml", &config_map("a", "1"))]);
    // Each agent dies after some writes: of records, and of hooks.
    for writes in [1, 2, 3, 1, 2, 3, 1, 2, 3] {
        let begun = world.plane.audit_mark();
        world.start();
        let is_write = |event: &towline_testcluster::AuditEvent| {
            event.is_write() && ["jobs", "secrets", "configmaps"].contains(&event.resource.as_str())
        };
        wait_for("some writes", || {
            let seen = world.requests(begun).iter().filter(|e| is_write(e)).count();
            seen >= writes || world.app("shop")["status"]["sync"]["revision"] == commit.as_str()
        });
        world.kill_agent();
    }
    world.start();
    world.synced("shop", &commit);
    // A creation whose client died is not answered with 201.
    for (name, _) in phases {
        assert!(created(&world, mark, name) <= 1, "{name}");
    }
    wait_for("the end of all", || {
        world.list("Job", &world.work).is_empty()
    });
    world.assert_quiet();
}

#[test]
fn a_wave_waits_for_an_init_container() {
    let world = World::new("hook-init");
    let web = deployment("web", Some(1), "nginx:1")
        .replace(
            "      labels:\n",
            "      annotations:\n        testcluster.towline.dev/ready-after: 1h\n      labels:\n",
        )
        .replace(
            "      containers:\n",
            "      initContainers:\n        - name: migrate\n          image: busybox:1\n      containers:\n",
        );
    let commit = world.commit(&[
        ("shop/web.yaml", &web),
        (
            "shop/late.yaml",
            &annotated("late", "1", keys::SYNC_WAVE, "1"),
        ),
    ]);
    world.create(&world.application("shop", "shop"));
    let message = world.failed("shop", "WaitingForWave");
    assert!(
        message.contains("Deployment/hook-init-work/web"),
        "{message}"
    );
    assert_eq!(world.live("ConfigMap", "late"), None);
    let pod = wait("its pod", || {
        let pods = world.list("Pod", &world.work);
        let pod = pods.first().cloned();
        pod.filter(|pod| pod["spec"]["nodeName"].is_string())
            .ok_or_else(|| "not scheduled".into())
    });
    let name = pod["metadata"]["name"].as_str().unwrap();
    let now = pod["metadata"]["creationTimestamp"].clone();
    let ready = |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": now});
    let done = json!({"status": {"phase": "Running",
        "conditions": [ready("Initialized"), ready("Ready"), ready("ContainersReady")],
        "initContainerStatuses": [{"name": "migrate", "image": "busybox:1", "imageID": "",
            "ready": true, "restartCount": 0, "state": {"terminated": {"exitCode": 0}}}],
        "containerStatuses": [{"name": "web", "image": "nginx:1", "imageID": "", "ready": true,
            "restartCount": 0, "state": {"running": {"startedAt": now}}}]}});
    world.patch("Pod", &world.work, &format!("{name}/status"), &done);
    world.synced("shop", &commit);
    assert_eq!(world.value("late"), "1");
}
