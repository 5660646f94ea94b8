//! Service. A load balancer that is pending is said, but blocks nothing: a cluster without a
//! provider never gives it an address (Argo CD waits for ever).

use super::Health;
use super::subject::Subject;

pub(super) fn assess(subject: &Subject<'_>) -> Health {
    let balanced = subject.text("/spec/type") == "LoadBalancer";
    if balanced && subject.list("/status/loadBalancer/ingress").is_empty() {
        return Health::healthy(
            "LoadBalancerPending",
            "the load balancer has no address yet",
        );
    }
    Health::healthy("Current", "")
}
