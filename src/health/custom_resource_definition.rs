//! CustomResourceDefinition: objects of it can be written once it is established (kstatus).

use super::Health;
use super::conditions::Condition;
use super::subject::Subject;

pub(super) fn assess(subject: &Subject<'_>) -> Health {
    if let Some(names) = subject
        .condition("NamesAccepted")
        .filter(Condition::is_false)
    {
        return Health::degraded("NamesNotAccepted", names.says());
    }
    match subject.condition("Established") {
        Some(established) if established.is_true() => Health::healthy("Established", ""),
        Some(failed) if failed.is_false() && failed.reason != "Installing" => {
            Health::degraded("NotEstablished", failed.says())
        }
        _ => Health::progressing("Installing", "not established yet"),
    }
}
