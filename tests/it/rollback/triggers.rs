//! What makes a revision go back besides its hooks and its time: what its containers do.

use serde_json::{Value, json};

use super::{crashing, guarded, image, quick, rolled_back, trusted};
use crate::world::manifests::deployment;
use crate::world::{World, wait_for};

#[test]
fn a_container_that_is_killed_for_its_memory_takes_the_revision_back() {
    let world = World::new("rollback-memory");
    let a = world.commit(&[("shop/web.yaml", &deployment("web", Some(1), "nginx:1"))]);
    guarded(&world, &quick());
    trusted(&world, &a);
    let killed = crashing("nginx:2", "").replace(
        "        testcluster.towline.dev/last-words",
        "        testcluster.towline.dev/last-reason: OOMKilled\n        testcluster.towline.dev/last-words",
    );
    let b = world.commit(&[("shop/web.yaml", &killed)]);
    world.poke("shop");
    let told = rolled_back(&world, &a);
    for part in [
        "OOMKilled: Deployment/rollback-memory-work/web: pod `web-",
        "container `web` was killed: out of memory, 4 restarts",
        &b[..8],
    ] {
        assert!(told.contains(part), "{part} is not in: {told}");
    }
    assert_eq!(image(&world), "nginx:1");
    let quarantine = &world.app("shop")["status"]["rollback"]["quarantine"];
    assert_eq!(quarantine[0]["reason"], json!("OOMKilled"));
}

/// The pods of the Deployment `web` at this image that are not on their way out.
fn pods(world: &World<'_>, image: &str) -> Vec<Value> {
    let mut pods = world.list("Pod", &world.work);
    pods.retain(|pod| {
        let is_leaving = pod["metadata"]["deletionTimestamp"].is_string();
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let is_ours = name.starts_with("web-") && pod["spec"]["containers"][0]["image"] == image;
        is_ours && !is_leaving
    });
    pods
}

/// Changes the status of the pods at this image, as a kubelet would. Those that are gone meanwhile
/// have none.
fn say(world: &World<'_>, image: &str, status: &Value) {
    for pod in pods(world, image) {
        let name = pod["metadata"]["name"].as_str().unwrap();
        let path = format!("/api/v1/namespaces/{}/pods/{name}/status", world.work);
        let patch = json!({"status": status});
        let (code, answer) = world.plane.request("PATCH", &path, &patch).unwrap();
        assert!(code < 300 || code == 404, "PATCH {path}: {code} {answer}");
    }
}

/// One container that runs, and was restarted so often.
fn restarted(image: &str, count: u32) -> Value {
    json!({"containerStatuses": [{"name": "web", "image": image, "imageID": "", "ready": true,
        "started": true, "restartCount": count,
        "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
        "lastState": {"terminated": {"exitCode": 2, "reason": "Error", "message": "lost the database",
            "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:00Z"}}}]})
}

fn ready(is_ready: bool) -> Value {
    let word = if is_ready { "True" } else { "False" };
    let condition =
        |kind| json!({"type": kind, "status": word, "lastTransitionTime": "2026-01-01T00:00:00Z"});
    json!({"conditions": [condition("Ready"), condition("ContainersReady")]})
}

fn open_pod_watches(world: &World<'_>) -> f64 {
    world.agent().metric("towline_pod_watches")
}

fn is_on_trial(world: &World<'_>, commit: &str) -> bool {
    let status = world.app("shop")["status"].clone();
    status["rollback"]["trial"]["revision"] == commit && status["health"]["status"] == "Healthy"
}

/// A good revision with two Deployments, and one on trial that changes `web` and is Healthy.
fn on_trial(world: &World<'_>, rollback: &Value) -> (String, String) {
    let other = deployment("other", Some(1), "nginx:1");
    let a = world.commit(&[
        ("shop/web.yaml", &deployment("web", Some(1), "nginx:1")),
        ("shop/other.yaml", &other),
    ]);
    guarded(world, &quick());
    trusted(world, &a);
    world.change("shop", &json!({"rollback": rollback}));
    world.refresh("shop");
    let b = world.commit(&[("shop/web.yaml", &deployment("web", Some(1), "nginx:2"))]);
    world.poke("shop");
    wait_for("the trial", || is_on_trial(world, &b));
    (a, b)
}

#[test]
fn a_container_that_is_restarted_too_often_takes_the_revision_back_although_it_is_ready() {
    let world = World::new("rollback-restarts");
    let (a, b) = on_trial(&world, &json!({"monitor": "10m"}));
    // Nobody asks for restarts: no pod is watched.
    wait_for("the end of the pod watches", || {
        open_pod_watches(&world) == 0.0
    });
    say(&world, "nginx:2", &restarted("nginx:2", 4));
    world.wait_polls(3.0);
    assert!(open_pod_watches(&world) == 0.0 && is_on_trial(&world, &b));

    let limit = json!({"limit": 2, "within": "10m"});
    world.change("shop", &json!({"rollback": {"restarts": limit}}));
    wait_for("a pod watch", || open_pod_watches(&world) > 0.0);
    // Of the one that the revision changed, and of no other; what was before does not count.
    world.wait_polls(3.0);
    assert!((open_pod_watches(&world) - 1.0).abs() < 0.1 && is_on_trial(&world, &b));
    let mut count = 4;
    wait_for("the way back", || {
        count += 1;
        say(&world, "nginx:2", &restarted("nginx:2", count));
        let status = world.app("shop")["status"].clone();
        status["rollback"]["rolledBack"]["revision"] == b.as_str()
    });
    let told = rolled_back(&world, &a);
    for part in [
        "TooManyRestarts: Deployment/rollback-restarts-work/web: containers were restarted ",
        " times within 600s, more than 2; pod `web-",
        "container `web` exited with 2, ",
        "lost the database",
    ] {
        assert!(told.contains(part), "{part} is not in: {told}");
    }
    assert_eq!(image(&world), "nginx:1");
    wait_for("the end of the pod watches", || {
        open_pod_watches(&world) == 0.0
    });
}

#[test]
fn what_does_not_stay_healthy_three_times_in_a_row_is_taken_back() {
    let world = World::new("rollback-flapping");
    let (a, b) = on_trial(&world, &json!({"monitor": "10m", "timeout": "10m"}));
    let health = |wanted: &str| {
        wait_for(wanted, || {
            world.app("shop")["status"]["health"]["status"] == wanted
        });
    };
    for _ in 0..2 {
        say(&world, "nginx:2", &ready(false));
        health("Progressing");
        assert_eq!(
            world.app("shop")["status"]["rollback"]["trial"]["revision"],
            b
        );
        say(&world, "nginx:2", &ready(true));
        health("Healthy");
    }
    // Another revision begins anew.
    let scaled = deployment("web", Some(2), "nginx:2");
    let c = world.commit(&[("shop/web.yaml", &scaled)]);
    world.poke("shop");
    wait_for("the trial of another revision", || is_on_trial(&world, &c));
    for _ in 0..2 {
        say(&world, "nginx:2", &ready(false));
        health("Progressing");
        say(&world, "nginx:2", &ready(true));
        health("Healthy");
    }
    say(&world, "nginx:2", &ready(false));
    let told = rolled_back(&world, &a);
    for part in [
        "Flapping: Deployment/rollback-flapping-work/web: stopped being Healthy 3 times in a row",
        "updated replicas are available",
        &c[..8],
    ] {
        assert!(told.contains(part), "{part} is not in: {told}");
    }
    assert_eq!(image(&world), "nginx:1");
}
