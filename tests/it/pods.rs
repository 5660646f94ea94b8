//! Workloads that do not become ready say what their pods say; otherwise no pod is asked.

use serde_json::Value;
use towline_testcluster::{AuditEvent, AuditMark};

use crate::world::manifests::deployment;
use crate::world::{World, describe, wait, wait_for};

const CRASHES: &str = "        testcluster.towline.dev/waiting: CrashLoopBackOff\n";

/// A Deployment `web` of one pod, whose template has more labels and annotations.
fn web(image: &str, labels: &str, annotations: &str) -> String {
    let manifest = deployment("web", Some(1), image).replace(
        "        app: web\n    spec",
        &format!("        app: web\n{labels}    spec"),
    );
    if annotations.is_empty() {
        return manifest;
    }
    let annotations = format!("  template:\n    metadata:\n      annotations:\n{annotations}");
    manifest.replace("  template:\n    metadata:\n", &annotations)
}

/// One that never becomes ready, and never fails.
fn slow(image: &str) -> String {
    web(
        image,
        "",
        "        testcluster.towline.dev/ready-after: 1h\n",
    )
}

/// Waits until the Application has this health, and its message all of these texts.
fn health(world: &World<'_>, status: &str, told: &[&str]) -> String {
    wait(&format!("health {status} with {told:?}"), || {
        let health = world.app("shop")["status"]["health"].clone();
        let message = health["message"].as_str().unwrap_or_default();
        let is_so = health["status"] == status && told.iter().all(|text| message.contains(text));
        if is_so {
            Ok(message.to_owned())
        } else {
            Err(health.to_string())
        }
    })
}

/// Requests for pods.
fn of_pods(world: &World<'_>, mark: AuditMark) -> Vec<AuditEvent> {
    let requests = world.requests(mark);
    requests
        .into_iter()
        .filter(|event| event.resource == "pods")
        .collect()
}

/// Checks that the pod watches are closed, and that none is opened while Git is polled.
fn no_pod_is_watched(world: &World<'_>) {
    wait_for("the end of the pod watches", || {
        world.agent().metric("towline_pod_watches") == 0.0
    });
    // A request of the one that was closed last may be answered later than it is closed.
    wait("no pod to be asked", || {
        let mark = world.plane.audit_mark();
        world.wait_polls(3.0);
        let asked: Vec<String> = of_pods(world, mark).iter().map(describe).collect();
        let open = world.agent().metric("towline_pod_watches");
        if asked.is_empty() && open == 0.0 {
            Ok(())
        } else {
            Err(format!("{open} {asked:?}"))
        }
    });
}

#[test]
fn a_rollout_that_crashes_is_degraded_with_its_last_words_until_it_is_fixed() {
    let world = World::new("crash-loop");
    world.deploy(
        "shop",
        "shop",
        &[("shop/web.yaml", &web("nginx:1", "", ""))],
    );
    no_pod_is_watched(&world);

    let mark = world.plane.audit_mark();
    let words = "        testcluster.towline.dev/last-words: 'no such table: users'\n";
    let bad = world.commit(&[("shop/web.yaml", &web("nginx:2", CRASHES, words))]);
    world.poke("shop");
    let message = health(&world, "Degraded", &["no such table: users"]);
    assert!(
        message.contains("Deployment/crash-loop-work/web: pod `web-")
            && message.contains("container `web` exited with 1, 4 restarts"),
        "{message}"
    );
    let ready = world.failed("shop", "Degraded");
    assert!(ready.contains("no such table: users"), "{ready}");
    let live = world.live("Deployment", "web").unwrap();
    let conditions = live["status"]["conditions"].to_string();
    assert!(
        !conditions.contains("ProgressDeadlineExceeded"),
        "its deadline is still to come: {conditions}"
    );
    assert!(world.agent().metric("towline_pod_watches") == 1.0);
    let asked = of_pods(&world, mark);
    assert!(
        asked
            .iter()
            .all(|event| event.uri.contains("labelSelector=app%3Dweb")),
        "{asked:?}"
    );
    // Nothing is said again while nothing happens.
    world.assert_quiet();
    assert_eq!(world.app("shop")["status"]["sync"]["revision"], bad);

    let fixed = world.commit(&[("shop/web.yaml", &web("nginx:3", "", ""))]);
    world.synced("shop", &fixed);
    no_pod_is_watched(&world);
}

#[test]
fn memory_images_and_settings_are_told_at_once() {
    let world = World::new("pod-reasons");
    let killed = "        testcluster.towline.dev/last-words: ''\n        testcluster.towline.dev/last-reason: OOMKilled\n";
    world.commit(&[("shop/web.yaml", &web("nginx:1", CRASHES, killed))]);
    world.create(&world.application("shop", "shop"));
    health(
        &world,
        "Degraded",
        &["pod `web-", "was killed: out of memory"],
    );
    for (number, reason) in [
        "ImagePullBackOff",
        "ErrImagePull",
        "CreateContainerConfigError",
    ]
    .iter()
    .enumerate()
    {
        let label = format!("        testcluster.towline.dev/waiting: {reason}\n");
        world.commit(&[(
            "shop/web.yaml",
            &web(&format!("nginx:2{number}"), &label, ""),
        )]);
        world.poke("shop");
        let told = format!("container `web`: {reason}: the test wants {reason}");
        health(&world, "Degraded", &["pod `web-", &told]);
    }
}

#[test]
fn pods_of_an_older_template_do_not_count() {
    let world = World::new("old-pods");
    world.commit(&[("shop/web.yaml", &web("nginx:1", CRASHES, ""))]);
    world.create(&world.application("shop", "shop"));
    health(&world, "Degraded", &["pod `web-"]);
    world.commit(&[("shop/web.yaml", &slow("nginx:2"))]);
    world.poke("shop");
    health(&world, "Progressing", &["Deployment/old-pods-work/web"]);
    let crashing = |pod: &Value| {
        let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
        waiting["reason"] == "CrashLoopBackOff"
    };
    let pods = world.list("Pod", &world.work);
    assert!(pods.iter().any(crashing), "it is still there: {pods:?}");
    // It stays so: the watch is open, and has nothing to say.
    world.assert_quiet();
    health(&world, "Progressing", &[]);
    assert!(world.agent().metric("towline_pod_watches") == 1.0);
    world.repo.remove("shop/web.yaml").unwrap();
    world.commit(&[(
        "shop/other.yaml",
        &crate::world::manifests::config_map("a", "1"),
    )]);
    world.poke("shop");
    no_pod_is_watched(&world);
}

#[test]
fn a_pod_that_finds_no_node_says_so() {
    let world = World::new("no-node");
    let manifest = deployment("web", Some(1), "nginx:1").replace(
        "      terminationGracePeriodSeconds",
        "      nodeSelector: {disk: none-has-this}\n      terminationGracePeriodSeconds",
    );
    world.commit(&[("shop/web.yaml", &manifest)]);
    world.create(&world.application("shop", "shop"));
    // At first it is only told: nodes come and go.
    health(
        &world,
        "Degraded",
        &["pod `web-", "nodes are available", "node affinity/selector"],
    );
    world.assert_quiet();
}

#[test]
fn a_job_that_waits_for_its_image_and_one_that_fails_say_why() {
    let world = World::new("job-pods");
    let job = |name: &str, labels: &str| {
        format!(
            "\
apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
spec:
  backoffLimit: 0
  template:
    metadata:
      labels:
        app: {name}
{labels}    spec:
      restartPolicy: Never
      containers:
        - name: web
          image: busybox:1
"
        )
    };
    let waits = "        testcluster.towline.dev/waiting: ImagePullBackOff\n";
    world.commit(&[("shop/job.yaml", &job("migrate", waits))]);
    world.create(&world.application("shop", "shop"));
    health(
        &world,
        "Degraded",
        &[
            "Job/job-pods-work/migrate: pod `migrate-",
            "ImagePullBackOff",
        ],
    );

    // One that failed is Degraded by itself: its pods are listed once for their words.
    let annotation = "pod-container-running-failed.stage.kwok.x-k8s.io";
    let fails = format!("        {annotation}: \"true\"\n");
    world.repo.remove("shop/job.yaml").unwrap();
    world.commit(&[("shop/fails.yaml", &job("fails", &fails))]);
    world.poke("shop");
    health(
        &world,
        "Degraded",
        &["Job/job-pods-work/fails", "pod `fails-"],
    );
    no_pod_is_watched(&world);
}
