//! StatefulSet: the questions of `kubectl rollout status`, as Argo CD and kstatus ask them. It has
//! no condition that tells a failure: its pods do ([`super::with_pods`]).

use super::Health;
use super::subject::Subject;

pub(super) fn assess(subject: &Subject<'_>) -> Health {
    // A StatefulSet that was never observed may say 0.
    if subject.observed_generation().unwrap_or_default() == 0 {
        return Health::progressing("NotObserved", "no controller has seen the StatefulSet yet");
    }
    let wanted = subject.number("/spec/replicas").unwrap_or(1);
    let there = subject.count("/status/replicas");
    let ready = subject.count("/status/readyReplicas");
    let updated = subject.count("/status/updatedReplicas");
    if ready < wanted {
        return Health::progressing("NotReady", format!("{ready} of {wanted} pods are ready"));
    }
    if there > wanted {
        let message = format!("{} pods are still to end", there.saturating_sub(wanted));
        return Health::progressing("OldReplicas", message);
    }
    if subject.text("/spec/updateStrategy/type") == "OnDelete" {
        // A person deletes the pods; waiting for that would never end.
        return Health::healthy("OnDelete", format!("{ready} of {wanted} pods are ready"));
    }
    if let Some(partition) = partition(subject) {
        let due = wanted.saturating_sub(partition).max(0);
        return if updated < due {
            let message = format!("{updated} of {due} pods past the partition are updated");
            Health::progressing("PartitionedUpdate", message)
        } else {
            Health::healthy("PartitionReached", format!("{updated} pods are updated"))
        };
    }
    if subject.text("/status/currentRevision") != subject.text("/status/updateRevision") {
        return Health::progressing(
            "Updating",
            format!("{updated} of {wanted} pods are updated"),
        );
    }
    Health::healthy("Ready", format!("{ready} of {wanted} pods are ready"))
}

/// The partition, where there is one that holds pods back.
fn partition(subject: &Subject<'_>) -> Option<i64> {
    subject
        .number("/spec/updateStrategy/rollingUpdate/partition")
        .filter(|number| *number > 0)
}
