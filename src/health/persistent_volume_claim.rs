//! PersistentVolumeClaim: bound or not, as in Argo CD, except for one that waits for its first pod.
//! With the claim in one wave and the pod in the next, waiting for it would never end
//! (argo-cd#12840).

use super::Health;
use super::subject::Subject;

/// Set by the scheduler when a pod that uses the claim has found its node.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

pub(super) fn assess(subject: &Subject<'_>) -> Health {
    match subject.text("/status/phase") {
        "Bound" => Health::healthy("Bound", ""),
        "Lost" => Health::degraded("VolumeLost", "the volume of the claim is gone"),
        _ if subject.rules.waits_for_first_consumer
            && subject.object.annotation(SELECTED_NODE).is_none() =>
        {
            Health::healthy("WaitForFirstConsumer", "binds when a pod uses it")
        }
        _ => Health::progressing("NotBound", "the claim is not bound yet"),
    }
}
