//! Kinds without a rule of their own: what their conditions say.
//!
//! kstatus looks at `Ready` alone. `Available`, and `Degraded` or `Failed` where `Ready` does not
//! speak, are what operators of the OpenShift convention and many others set.

use super::Health;
use super::conditions::Condition;
use super::subject::Subject;

pub(super) fn assess(subject: &Subject<'_>) -> Health {
    if let Some(ready) = subject.condition("Ready") {
        return if ready.is_true() {
            Health::healthy("Ready", "")
        } else {
            // `False` does not tell what is doomed from what is on its way (kstatus says the same).
            Health::progressing("NotReady", ready.says())
        };
    }
    for kind in ["Degraded", "Failed"] {
        if let Some(condition) = subject.condition(kind).filter(Condition::is_true) {
            return Health::degraded("ConditionFailed", condition.says());
        }
    }
    if let Some(available) = subject.condition("Available").filter(|c| !c.is_true()) {
        return Health::progressing("NotAvailable", available.says());
    }
    Health::healthy("Current", "")
}
