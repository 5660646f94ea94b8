//! Deployment: the questions of `kubectl rollout status`, as Argo CD and kstatus ask them.

use super::conditions::Condition;
use super::subject::Subject;
use super::{Health, Status};

/// How long pods may fail to be made before that is taken for lasting: a quota, a policy. Admission
/// webhooks that start in the same wave are there by then.
const REPLICA_FAILURE_SECONDS: u64 = 30;

pub(super) fn assess(subject: &Subject<'_>) -> Health {
    if subject.is("/spec/paused") {
        return Health::suspended("Paused", "the Deployment is paused");
    }
    if subject.observed_generation().is_none() {
        return Health::progressing("NotObserved", "no controller has seen the Deployment yet");
    }
    let progressing = subject.condition("Progressing");
    if let Some(late) = progressing.filter(|c| c.reason == "ProgressDeadlineExceeded") {
        return Health::degraded("ProgressDeadlineExceeded", late.message());
    }
    let wanted = subject.number("/spec/replicas").unwrap_or(1);
    let there = subject.count("/status/replicas");
    let updated = subject.count("/status/updatedReplicas");
    let available = subject.count("/status/availableReplicas");
    let health = if updated < wanted {
        Health::progressing(
            "Updating",
            format!("{updated} of {wanted} new replicas are updated"),
        )
    } else if there > updated {
        let old = there.saturating_sub(updated);
        Health::progressing(
            "OldReplicas",
            format!("{old} old replicas are still to end"),
        )
    } else if available < updated {
        Health::progressing(
            "NotAvailable",
            format!("{available} of {updated} updated replicas are available"),
        )
    } else {
        Health::healthy(
            "Available",
            format!("{available} of {wanted} replicas are available"),
        )
    };
    if health.status == Status::Healthy {
        return health;
    }
    match subject
        .condition("ReplicaFailure")
        .filter(Condition::is_true)
    {
        Some(failure)
            if subject
                .seconds_since(failure.since)
                .is_none_or(|s| s >= REPLICA_FAILURE_SECONDS) =>
        {
            Health::degraded("ReplicaFailure", failure.says())
        }
        Some(failure) => Health::progressing("ReplicaFailure", failure.says()),
        None => health,
    }
}
