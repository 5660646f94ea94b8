//! ReplicaSet and ReplicationController, as in Argo CD.

use super::Health;
use super::conditions::Condition;
use super::subject::Subject;

pub(super) fn assess(subject: &Subject<'_>) -> Health {
    if subject.observed_generation().is_none() {
        return Health::progressing("NotObserved", "no controller has seen it yet");
    }
    if let Some(failure) = subject
        .condition("ReplicaFailure")
        .filter(Condition::is_true)
    {
        return Health::degraded("ReplicaFailure", failure.says());
    }
    let wanted = subject.number("/spec/replicas").unwrap_or(1);
    let there = subject.count("/status/replicas");
    let available = subject.count("/status/availableReplicas");
    if available < wanted {
        let message = format!("{available} of {wanted} replicas are available");
        return Health::progressing("NotAvailable", message);
    }
    if there > wanted {
        let message = format!("{} replicas are still to end", there.saturating_sub(wanted));
        return Health::progressing("OldReplicas", message);
    }
    Health::healthy(
        "Available",
        format!("{available} of {wanted} replicas are available"),
    )
}
