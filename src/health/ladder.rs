//! The questions asked of every object, in kstatus's order.

use super::subject::Subject;
use super::{Health, Rule, Status, custom, terminating};

/// How long an object whose controller has not seen the last change counts as on its way. After
/// that it is Healthy, `NotObserved`: controllers that are absent, or that never say what they have
/// seen, would otherwise hold up waves for ever (kstatus reports these as current at once).
const OBSERVATION_SECONDS: u64 = 10;

/// The health of the subject, by the rule of its kind if it has one.
pub(super) fn assess(subject: &Subject<'_>, rule: Option<Rule>) -> Health {
    if subject.object.is_terminating() {
        return terminating::assess(subject);
    }
    let stale = unobserved(subject, rule.is_some());
    if let Some(message) = &stale {
        // The controllers of Kubernetes and of towline are there; others may not be.
        let waits = rule.is_some()
            || subject
                .seconds_since_change()
                .is_some_and(|seconds| seconds < OBSERVATION_SECONDS);
        if waits {
            return Health::progressing(super::AWAITS_OBSERVATION, message);
        }
    }
    let health = reconciling(subject).unwrap_or_else(|| match rule {
        Some(rule) => rule(subject),
        None => custom::assess(subject),
    });
    match stale {
        Some(message) if health.status == Status::Healthy => {
            Health::healthy("NotObserved", message)
        }
        _ => health,
    }
}

/// What there is to say if the controller has not seen the last change of the object.
fn unobserved(subject: &Subject<'_>, built_in: bool) -> Option<String> {
    let generation = subject.generation()?;
    // The convention of `metav1.Condition` says it there; the newest one tells, because controllers
    // need not touch all of them.
    let of_conditions = || {
        subject
            .conditions()
            .filter_map(|c| c.observed_generation)
            .max()
    };
    match subject.observed_generation().or_else(of_conditions) {
        Some(observed) if observed < generation => Some(format!(
            "generation {generation} is not observed yet, only {observed}"
        )),
        Some(_) => None,
        None => {
            let silent = !built_in
                && subject.rules.declared
                && subject.list("/status/conditions").is_empty();
            silent.then(|| format!("generation {generation} is not observed yet"))
        }
    }
}

/// The conditions that kstatus defines, for kinds of all sorts.
fn reconciling(subject: &Subject<'_>) -> Option<Health> {
    subject
        .conditions()
        .find_map(|condition| match condition.kind {
            "Reconciling" if condition.is_true() => {
                Some(Health::progressing("Reconciling", condition.says()))
            }
            "Stalled" if condition.is_true() => Some(Health::degraded("Stalled", condition.says())),
            _ => None,
        })
}
