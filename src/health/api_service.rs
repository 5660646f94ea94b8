//! APIService: by its `Available` condition, as in Argo CD.

use super::Health;
use super::subject::Subject;

pub(super) fn assess(subject: &Subject<'_>) -> Health {
    match subject.condition("Available") {
        Some(available) if available.is_true() => Health::healthy("Available", ""),
        Some(unavailable) => Health::progressing("NotAvailable", unavailable.says()),
        None => Health::progressing("NotObserved", "no controller has seen it yet"),
    }
}
