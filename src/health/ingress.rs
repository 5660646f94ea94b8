//! Ingress. Not every controller writes an address, so that none is there is said, but blocks
//! nothing (Argo CD waits for ever).

use super::Health;
use super::subject::Subject;

pub(super) fn assess(subject: &Subject<'_>) -> Health {
    if subject.list("/status/loadBalancer/ingress").is_empty() {
        return Health::healthy(
            "AddressPending",
            "no controller has given it an address yet",
        );
    }
    Health::healthy("Current", "")
}
