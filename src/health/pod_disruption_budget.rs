//! PodDisruptionBudget: well as soon as it is computed (kstatus). That no pod may be disrupted now
//! is what it is for.

use super::Health;
use super::subject::Subject;

pub(super) fn assess(subject: &Subject<'_>) -> Health {
    match subject.condition("DisruptionAllowed") {
        // Pods without a controller whose scale can be read, or two budgets for one pod.
        Some(failed) if failed.reason == "SyncFailed" => {
            Health::degraded("BudgetNotComputed", failed.message())
        }
        _ => Health::healthy("Current", ""),
    }
}
