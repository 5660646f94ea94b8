//! Namespace: by its phase. What keeps one from ending is in its conditions.

use super::Health;
use super::subject::Subject;

pub(super) fn assess(subject: &Subject<'_>) -> Health {
    if subject.text("/status/phase") == "Terminating" {
        let left = subject
            .conditions()
            .find(|condition| condition.is_true() && !condition.message().is_empty());
        let message = left.map_or_else(|| "being deleted".to_owned(), |condition| condition.says());
        return Health::progressing("Terminating", message);
    }
    Health::healthy("Active", "")
}
