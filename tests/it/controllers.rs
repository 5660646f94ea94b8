//! Other controllers write too, and are not fought.

use serde_json::json;

use crate::world::manifests::{config_map, deployment};
use crate::world::{World, wait_for};

fn replicas(world: &World<'_>) -> u64 {
    world.live("Deployment", "web").unwrap()["spec"]["replicas"]
        .as_u64()
        .unwrap_or_default()
}

/// An autoscaler that wants at least this many pods, whatever the metrics say.
fn autoscaler(at_least: u32) -> String {
    format!(
        "\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: web
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: web}}
  minReplicas: {at_least}
  maxReplicas: 10
"
    )
}

#[test]
fn an_autoscaler_is_not_fought() {
    let world = World::new("autoscaler");
    let commit = world.commit(&[
        ("shop/web.yaml", &deployment("web", Some(1), "nginx:1")),
        ("shop/autoscaler.yaml", &autoscaler(3)),
    ]);
    world.create(&world.application("shop", "shop"));
    world.wait_condition("shop", "Synced", "True", "Synced");
    wait_for("the autoscaler to scale", || replicas(&world) == 3);
    world.refresh("shop");
    world.assert_quiet();
    assert_eq!(replicas(&world), 3);
    assert_eq!(world.app("shop")["status"]["sync"]["revision"], commit);

    let mark = world.plane.audit_mark();
    world.commit(&[("shop/web.yaml", &deployment("web", Some(1), "nginx:2"))]);
    world.refresh("shop");
    world.wait_condition("shop", "Synced", "True", "Synced");
    assert_eq!(world.object_writes(mark), ["patch deployments/web"]);
    let live = world.live("Deployment", "web").unwrap();
    let image = &live["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!((image, replicas(&world)), (&json!("nginx:2"), 3));
}

#[test]
fn replicas_that_git_does_not_name_are_anybodys() {
    let world = World::new("no-replicas");
    let commit = world.commit(&[("shop/web.yaml", &deployment("web", None, "nginx:1"))]);
    world.create(&world.application("shop", "shop"));
    world.synced("shop", &commit);
    let mark = world.plane.audit_mark();
    world.kubectl(&["scale", "deployment/web", "--replicas=4"]);
    world.refresh("shop");
    world.assert_quiet();
    assert_eq!(world.object_writes(mark), [""; 0]);
    assert_eq!(replicas(&world), 4);
}

#[test]
fn a_finished_job_that_was_cleaned_up_does_not_run_again() {
    let mut world = World::new("job-ttl");
    let job = "\
apiVersion: batch/v1
kind: Job
metadata:
  name: migrate
spec:
  ttlSecondsAfterFinished: 1
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: migrate
          image: busybox:1
";
    let commit = world.commit(&[
        ("shop/job.yaml", job),
        ("shop/a.yaml", &config_map("a", "1")),
    ]);
    world.create(&world.application("shop", "shop"));
    world.synced("shop", &commit);
    wait_for("the end of the finished Job", || {
        world.live("Job", "migrate").is_none()
    });
    let mark = world.plane.audit_mark();
    let commit = world.commit(&[("shop/a.yaml", &config_map("a", "2"))]);
    world.synced("shop", &commit);
    world.assert_quiet();
    world.stop_agent();
    world.start();
    let commit = world.commit(&[("shop/a.yaml", &config_map("a", "3"))]);
    world.synced("shop", &commit);
    world.assert_quiet();
    assert_eq!(
        world.object_writes(mark),
        ["patch configmaps/a", "patch configmaps/a"]
    );
    assert_eq!(world.live("Job", "migrate"), None);
}
