//! What people change in the cluster is undone at once, and what they may change is left.

use std::time::Duration;

use serde_json::{Value, json};
use towline_testcluster::AuditMark;

use crate::world::manifests::{config_map, deployment, secret, service};
use crate::world::{World, condition, logs, time_of, wait, wait_for};

/// What the issue promises, and what a busy test machine is given.
const PROMISED: Duration = Duration::from_millis(500);
const ASSERTED: Duration = Duration::from_secs(2);
/// What one of several heals may take on a machine that stands still for a moment.
const STALLED: Duration = Duration::from_secs(15);

/// A Deployment and a Service that are there and healthy.
fn shop(name: &str) -> World<'static> {
    let world = World::new(name);
    world.deploy(
        "shop",
        "shop",
        &[
            ("shop/web.yaml", &deployment("web", Some(2), "nginx:1")),
            ("shop/service.yaml", &service("web", 80)),
            ("shop/settings.yaml", &config_map("settings", "1")),
        ],
    );
    world.assert_quiet();
    world
}

fn replicas(world: &World<'_>) -> Value {
    world.live("Deployment", "web").unwrap()["spec"]["replicas"].clone()
}

fn containers(world: &World<'_>) -> Value {
    world.live("Deployment", "web").unwrap()["spec"]["template"]["spec"]["containers"].clone()
}

/// The time from the first write of anybody else to the agent's first write of a resource, by the
/// clock of the API server.
fn healed_after(world: &World<'_>, mark: AuditMark, resource: &str) -> Duration {
    // What a write did is seen before it stands in the audit log.
    let first = |is_ours: bool| {
        wait(&format!("a write of {resource} in the audit log"), || {
            let events = world.plane.audit_events(mark).unwrap();
            let found = events.iter().find(|event| {
                let ours = event.user == world.user();
                event.resource == resource
                    && event.namespace == world.work
                    && event.is_write()
                    && event.code < 300
                    && ours == is_ours
                    && (ours || event.user == "admin")
            });
            found.map(time_of).ok_or_else(|| "it is not there".into())
        })
    };
    Duration::try_from(first(true).duration_since(first(false))).unwrap_or_default()
}

/// Checks that drift was undone that fast: most times, as any one may be that of a stalled machine.
fn assert_prompt(mut times: Vec<Duration>) {
    times.sort();
    eprintln!("drift was undone after {times:?} (promised: {PROMISED:?})");
    assert!(times[times.len() / 2] < ASSERTED, "{times:?}");
    assert!(times.iter().all(|time| *time < STALLED), "{times:?}");
}

#[test]
fn kubectl_scale_is_undone_in_no_time() {
    let world = shop("drift-scale");
    let mut times = Vec::new();
    for count in [5, 0, 1, 7, 3] {
        let mark = world.plane.audit_mark();
        world.kubectl(&["scale", "deployment/web", &format!("--replicas={count}")]);
        wait_for("the replicas of Git", || replicas(&world) == 2);
        times.push(healed_after(&world, mark, "deployments"));
        // The first is told at once; together with the next, it would be the next that is told.
        wait_for("the event", || {
            world.events("shop").iter().any(|(reason, message)| {
                let undone =
                    "Deployment/drift-scale-work/web: spec.replicas: 5 instead of 2, by kubectl";
                reason == "Healed" && message.contains(undone)
            })
        });
        world.wait_condition("shop", "Ready", "True", "Ready");
    }
    assert_prompt(times);
    world.assert_quiet();
}

#[test]
fn what_is_deleted_by_hand_comes_back() {
    let world = shop("drift-delete");
    let mut times = Vec::new();
    for (kind, resource, name) in [
        ("ConfigMap", "configmaps", "settings"),
        ("Service", "services", "web"),
        ("Deployment", "deployments", "web"),
    ] {
        let old = world.live(kind, name).unwrap()["metadata"]["uid"].clone();
        let mark = world.plane.audit_mark();
        world.delete(kind, &world.work, name);
        wait_for(&format!("another {kind}"), || {
            world
                .live(kind, name)
                .is_some_and(|live| live["metadata"]["uid"] != old)
        });
        times.push(healed_after(&world, mark, resource));
    }
    assert_prompt(times);
    world.wait_condition("shop", "Ready", "True", "Ready");
    world.assert_quiet();
}

#[test]
fn an_edited_service_port_goes_back() {
    let world = shop("drift-port");
    world.edit("service/web", "s/port: 80$/port: 8088/");
    wait_for("the port of Git", || {
        let ports = world.live("Service", "web").unwrap()["spec"]["ports"].clone();
        ports.as_array().is_some_and(|all| all.len() == 1) && ports[0]["port"] == 80
    });
    world.wait_condition("shop", "Ready", "True", "Ready");
    world.assert_quiet();
}

#[test]
fn edits_of_a_pod_template_go_back() {
    let world = shop("drift-template");
    // Not the name of the Deployment itself, which is less indented.
    world.edit(
        "deployment/web",
        "s/^      *name: web$/        name: other/",
    );
    let is_whole = |containers: &Value| {
        let all = containers.as_array().map_or(0, Vec::len);
        all == 1 && containers[0]["name"] == "web" && containers[0]["env"].is_null()
    };
    wait_for("the only container", || is_whole(&containers(&world)));
    world.wait_condition("shop", "Ready", "True", "Ready");

    let mark = world.plane.audit_mark();
    world.kubectl(&["set", "env", "deployment/web", "DEBUG=1"]);
    wait_for("no variables", || is_whole(&containers(&world)));
    healed_after(&world, mark, "deployments");
    world.kubectl(&["set", "image", "deployment/web", "web=evil:1"]);
    wait_for("the image of Git", || {
        containers(&world)[0]["image"] == "nginx:1"
    });
    world.wait_condition("shop", "Ready", "True", "Ready");
    world.assert_quiet();
}

#[test]
fn a_manifest_that_somebody_applies_is_undone() {
    let world = shop("drift-apply");
    let other = deployment("web", Some(4), "nginx:9")
        .replace("name: web\nspec", "name: web\n  labels: {who: me}\nspec");
    let file = world.repo.work_tree().join("other.yaml");
    std::fs::write(&file, other).unwrap();
    world.kubectl(&["apply", "-f", &file.to_string_lossy()]);
    wait_for("everything of Git", || {
        replicas(&world) == 2 && containers(&world)[0]["image"] == "nginx:1"
    });
    world.wait_condition("shop", "Ready", "True", "Ready");
    world.assert_quiet();
    let file = file.to_string_lossy();
    world.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &file]);
    wait_for("everything of Git again", || {
        replicas(&world) == 2 && containers(&world)[0]["image"] == "nginx:1"
    });
    world.wait_condition("shop", "Ready", "True", "Ready");
    world.assert_quiet();
}

#[test]
fn a_storm_of_changes_ends_with_git() {
    let world = shop("drift-storm");
    for number in 0..25 {
        let patch = json!({"data": {"value": number.to_string()}});
        world.patch("ConfigMap", &world.work, "settings", &patch);
        world.patch(
            "Deployment",
            &world.work,
            "web",
            &json!({"spec": {"replicas": number}}),
        );
    }
    wait_for("everything of Git", || {
        replicas(&world) == 2 && world.value("settings") == "1"
    });
    world.wait_condition("shop", "Ready", "True", "Ready");
    world.assert_quiet();
}

#[test]
fn a_rollout_restart_survives_polls_and_commits() {
    let world = shop("drift-restart");
    let mark = world.plane.audit_mark();
    world.kubectl(&["rollout", "restart", "deployment/web"]);
    let restarted = || {
        let live = world.live("Deployment", "web").unwrap();
        let template = &live["spec"]["template"]["metadata"]["annotations"];
        template["kubectl.kubernetes.io/restartedAt"].clone()
    };
    let at = restarted();
    assert!(at.is_string());
    world.refresh("shop");
    world.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    world.assert_quiet();
    assert_eq!(world.object_writes(mark), [""; 0]);
    assert_eq!(restarted(), at);
    let commit = world.commit(&[("shop/web.yaml", &deployment("web", Some(2), "nginx:2"))]);
    world.synced("shop", &commit);
    assert_eq!(restarted(), at, "no pod restarts twice for it");
    assert_eq!(containers(&world)[0]["image"], "nginx:2");
}

#[test]
fn labels_that_people_add_are_theirs() {
    let world = shop("drift-labels");
    let mark = world.plane.audit_mark();
    world.kubectl(&["label", "deployment/web", "owner=me"]);
    world.kubectl(&["annotate", "deployment/web", "note=hello"]);
    world.refresh("shop");
    world.assert_quiet();
    assert_eq!(world.object_writes(mark), [""; 0]);
    let live = world.live("Deployment", "web").unwrap();
    assert_eq!(live["metadata"]["labels"]["owner"], "me");
    assert_eq!(live["metadata"]["annotations"]["note"], "hello");
}

#[test]
fn drift_while_the_agent_is_away_is_undone_when_it_is_back() {
    let mut world = shop("drift-away");
    world.stop_agent();
    world.kubectl(&["scale", "deployment/web", "--replicas=5"]);
    world.kubectl(&["set", "env", "deployment/web", "DEBUG=1"]);
    world.delete("ConfigMap", &world.work, "settings");
    world.start();
    wait_for("everything of Git", || {
        replicas(&world) == 2
            && containers(&world)[0]["env"].is_null()
            && world.value("settings") == "1"
    });
    world.wait_condition("shop", "Ready", "True", "Ready");
    world.assert_quiet();
}

#[test]
fn without_self_heal_drift_is_reported_until_a_sync_is_asked_for() {
    let world = shop("drift-report");
    world.change(
        "shop",
        &json!({"syncPolicy": {"automated": {"selfHeal": false}}}),
    );
    world.refresh("shop");
    let mark = world.plane.audit_mark();
    world.kubectl(&["scale", "deployment/web", "--replicas=5"]);
    world.wait_condition("shop", "Synced", "False", "OutOfSync");
    world.kubectl(&["set", "image", "deployment/web", "web=evil:1"]);
    let image = "spec.template.spec.containers[name=\"web\"].image";
    let app = world.wait_drift("shop", image);
    assert_eq!(condition(&app, "Ready")["status"], "False");
    let drift = app["status"]["drift"].as_array().unwrap();
    let of = |field: &str| drift.iter().find(|entry| entry["field"] == field).unwrap();
    let entry = of("spec.replicas");
    assert_eq!(entry["object"], "Deployment/drift-report-work/web");
    assert_eq!((&entry["git"], &entry["live"]), (&json!("2"), &json!("5")));
    // The API server keeps no time of what went through the scale subresource.
    assert_eq!(entry["manager"], "kubectl");
    assert_eq!(of(image)["manager"], "kubectl-set");
    let at = of(image)["at"].as_str().unwrap();
    let line = format!("{image}: \"evil:1\" instead of \"nginx:1\", by kubectl-set at {at}");
    let synced = condition(&app, "Synced");
    let message = synced["message"].as_str().unwrap();
    assert!(message.contains(&line), "{message}");
    assert!(
        message.contains("spec.replicas: 5 instead of 2, by kubectl"),
        "{message}"
    );
    wait_for("the event", || {
        let events = world.events("shop");
        events
            .iter()
            .any(|(reason, message)| reason == "Drifted" && message.contains(&line))
    });
    world.refresh("shop");
    world.assert_quiet();
    assert_eq!(world.object_writes(mark), [""; 0]);
    assert_eq!(replicas(&world), 5);
    world.sync("shop");
    assert_eq!(replicas(&world), 2);
}

#[test]
fn drift_of_secrets_and_of_what_was_deleted_is_told_without_values() {
    let world = World::new("drift-secret");
    let files = [
        ("shop/secret.yaml", &*secret("token", "s3cret-of-git")),
        ("shop/a.yaml", &*config_map("a", "1")),
    ];
    world.deploy("shop", "shop", &files);
    world.change(
        "shop",
        &json!({"syncPolicy": {"automated": {"selfHeal": false}}}),
    );
    world.refresh("shop");
    // "s3cret-of-a-person" in base64.
    let change = json!({"data": {"password": "czNjcmV0LW9mLWEtcGVyc29u"}});
    world.patch("Secret", &world.work, "token", &change);
    let app = world.wait_drift("shop", "data.password");
    let entry = &app["status"]["drift"][0];
    assert_eq!(
        (&entry["git"], &entry["live"]),
        (&json!("***"), &json!("(changed)"))
    );
    world.delete("ConfigMap", &world.work, "a");
    wait_for("the deleted object", || {
        let message = condition(&world.app("shop"), "Synced")["message"].to_string();
        message.contains("ConfigMap/drift-secret-work/a was deleted")
    });
    let told = world.app("shop").to_string() + &format!("{:?}", world.events("shop"));
    for value in ["s3cret", "czNjcmV0"] {
        assert!(!told.contains(value), "{told}");
        assert!(!logs().contains(value));
    }
    world.assert_quiet();
    world.sync("shop");
    world.wait_condition("shop", "Ready", "True", "Ready");
    assert_eq!(world.app("shop")["status"]["drift"], Value::Null);
}
