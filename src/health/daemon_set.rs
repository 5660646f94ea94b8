//! DaemonSet: the questions of `kubectl rollout status`, as Argo CD and kstatus ask them.

use super::Health;
use super::subject::Subject;

pub(super) fn assess(subject: &Subject<'_>) -> Health {
    let Some(wanted) = subject.number("/status/desiredNumberScheduled") else {
        return Health::progressing("NotObserved", "no controller has seen the DaemonSet yet");
    };
    if subject.observed_generation().is_none() {
        return Health::progressing("NotObserved", "no controller has seen the DaemonSet yet");
    }
    let scheduled = subject.count("/status/currentNumberScheduled");
    let updated = subject.count("/status/updatedNumberScheduled");
    let available = subject.count("/status/numberAvailable");
    let by_hand = subject.text("/spec/updateStrategy/type") == "OnDelete";
    if scheduled < wanted {
        let message = format!("{scheduled} of {wanted} nodes have a pod");
        return Health::progressing("NotScheduled", message);
    }
    if updated < wanted && !by_hand {
        let message = format!("{updated} of {wanted} pods are updated");
        return Health::progressing("Updating", message);
    }
    if available < wanted {
        let message = format!("{available} of {wanted} pods are available");
        return Health::progressing("NotAvailable", message);
    }
    Health::healthy(
        "Available",
        format!("{available} of {wanted} pods are available"),
    )
}
