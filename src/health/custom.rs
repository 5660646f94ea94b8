//! Kinds without a rule of their own: what their conditions say.
//!
//! kstatus looks at `Ready` alone. `Available`, and `Degraded` or `Failed` of what is not ready, are
//! what operators of the OpenShift convention and many others set.

use super::Health;
use super::conditions::Condition;
use super::subject::Subject;

pub(super) fn assess(subject: &Subject<'_>) -> Health {
    let ready = subject.condition("Ready");
    if ready.is_some_and(|ready| ready.is_true()) {
        return Health::healthy("Ready", "");
    }
    for kind in ["Degraded", "Failed"] {
        if let Some(condition) = subject.condition(kind).filter(Condition::is_true) {
            return Health::degraded("ConditionFailed", condition.says());
        }
    }
    if let Some(ready) = ready {
        // `False` does not tell what is doomed from what is on its way (kstatus says the same).
        return Health::progressing("NotReady", ready.says());
    }
    if let Some(available) = subject.condition("Available").filter(|c| !c.is_true()) {
        return Health::progressing("NotAvailable", available.says());
    }
    Health::healthy("Current", "")
}
