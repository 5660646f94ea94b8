//! Jobs whose one pod ends at once, or when the test says so.

use serde_json::{Value, json};
use towline_testcluster::{AuditEvent, AuditMark};

use super::{World, wait};

/// A Job whose pod ends at once.
pub fn job(name: &str, annotations: &[(&str, &str)]) -> String {
    let annotations: String = annotations
        .iter()
        .map(|(key, value)| format!("    {key}: \"{value}\"\n"))
        .collect();
    format!(
        "\
apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
  annotations:
{annotations}spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: main
          image: busybox:1
"
    )
}

/// A hook whose pod ends at once.
pub fn hook(name: &str, phase: &str) -> String {
    job(name, &[("argocd.argoproj.io/hook", phase)])
}

/// The same, whose pod ends when the test says so.
pub fn held(manifest: &str) -> String {
    let template = "    metadata:\n      annotations:\n        testcluster.towline.dev/ready-after: 1h\n    spec:\n      restartPolicy";
    manifest.replace("    spec:\n      restartPolicy", template)
}

/// Ends the pod of a Job: with `Succeeded` or `Failed`.
pub fn end(world: &World<'_>, job: &str, phase: &str) {
    let pod = wait(&format!("the pod of {job}"), || {
        // The pod of an earlier Job of this name may still be there.
        let owner = uid(world, job);
        let pods = world.list("Pod", &world.work);
        let of_job = |pod: &&Value| pod["metadata"]["ownerReferences"][0]["uid"] == owner.as_str();
        let pod = pods.iter().find(of_job).cloned();
        pod.filter(|pod| pod["spec"]["nodeName"].is_string())
            .ok_or_else(|| "it is not scheduled yet".into())
    });
    let name = pod["metadata"]["name"].as_str().unwrap();
    let code = i32::from(phase == "Failed") * 3;
    let state = json!({"terminated": {"exitCode": code, "reason": "Error",
        "message": "relation shop.orders is missing"}});
    let status = json!({"status": {"phase": phase, "containerStatuses": [
        {"name": "main", "image": "busybox:1", "imageID": "", "ready": false, "restartCount": 0,
         "state": state}]}});
    world.patch("Pod", &world.work, &format!("{name}/status"), &status);
}

/// The same Job, which goes so many seconds after its end.
pub fn expiring(manifest: &str, seconds: u32) -> String {
    let ttl = format!("spec:\n  ttlSecondsAfterFinished: {seconds}\n  backoffLimit");
    manifest.replace("spec:\n  backoffLimit", &ttl)
}

/// How often a Job was created since `mark`.
pub fn created(world: &World<'_>, mark: AuditMark, job: &str) -> usize {
    let is_creation =
        |event: &&AuditEvent| event.resource == "jobs" && event.name == job && event.code == 201;
    world.requests(mark).iter().filter(is_creation).count()
}

/// Which Job it is; empty where there is none.
pub fn uid(world: &World<'_>, job: &str) -> String {
    let live = world.live("Job", job).unwrap_or_default();
    live["metadata"]["uid"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}
