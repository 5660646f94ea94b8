//! What the pods of a workload say about it, so that a rollout that cannot succeed fails with the
//! pod's own message and not at its deadline.

use serde_json::Value;

use super::{Health, ObservationRules, Status, assess};
use crate::object::Object;

/// The health of a workload in the light of its pods: one that is Progressing is Degraded as soon
/// as a pod of its newest template is, with that pod's reason and message. The message of a pod
/// that is on its way is added to that of the workload.
///
/// Pods of older templates do not count: a rollout away from a revision that crashes has them. A
/// Job is not failed by its pods; it counts their failures itself, and may be waiting for an image
/// that comes.
pub fn with_pods(workload: &Object, health: Health, pods: &[Object], now: u64) -> Health {
    if health.status != Status::Progressing || workload.is_terminating() {
        return health;
    }
    let rules = ObservationRules::default();
    let mut told: Vec<(Health, &Object)> = newest(workload, pods)
        .into_iter()
        .filter(|pod| !pod.is_terminating())
        .map(|pod| (assess(pod, now, &rules), pod))
        .filter(|(health, _)| !health.message.is_empty())
        .collect();
    // The worst first, then by name, so that the message stays the same from pass to pass.
    told.sort_by(|(a, p), (b, q)| b.status.cmp(&a.status).then_with(|| p.name().cmp(q.name())));
    let Some((worst, pod)) = told.first() else {
        return health;
    };
    let message = format!("pod `{}`: {}", pod.name(), worst.message);
    match worst.status {
        Status::Degraded if workload.kind() != "Job" => Health::degraded(worst.reason, message),
        Status::Degraded | Status::Progressing | Status::Unknown => Health::new(
            health.status,
            health.reason,
            format!("{}; {message}", health.message),
        ),
        Status::Healthy | Status::Suspended | Status::Missing => health,
    }
}

/// The pods of the newest template.
fn newest<'a>(workload: &Object, pods: &'a [Object]) -> Vec<&'a Object> {
    let label = match workload.kind() {
        "Deployment" => {
            // Before the first updated pod the newest one is of the old template.
            let updated = workload
                .0
                .pointer("/status/updatedReplicas")
                .and_then(Value::as_i64);
            if updated.unwrap_or_default() == 0 {
                return Vec::new();
            }
            "pod-template-hash"
        }
        "StatefulSet" | "DaemonSet" => "controller-revision-hash",
        _ => return pods.iter().collect(),
    };
    let named = workload
        .0
        .pointer("/status/updateRevision")
        .and_then(Value::as_str);
    let newest = named.or_else(|| {
        let made = |pod: &&Object| text(pod, "/metadata/creationTimestamp").to_owned();
        pods.iter().max_by_key(made)?.label(label)
    });
    pods.iter()
        .filter(|pod| pod.label(label) == newest)
        .collect()
}

fn text<'a>(object: &'a Object, pointer: &str) -> &'a str {
    object
        .0
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}
