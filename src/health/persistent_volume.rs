//! PersistentVolume: by its phase.

use super::Health;
use super::subject::Subject;

pub(super) fn assess(subject: &Subject<'_>) -> Health {
    match subject.text("/status/phase") {
        "Failed" => Health::degraded("ReclaimFailed", subject.text("/status/message")),
        "Pending" => Health::progressing("Pending", "the volume is being made"),
        _ => Health::healthy("Current", ""),
    }
}
