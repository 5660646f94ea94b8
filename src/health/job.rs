//! Job: by its conditions, as in Argo CD. One that runs is Progressing: it is done when it is done.

use super::Health;
use super::conditions::Condition;
use super::subject::Subject;

pub(super) fn assess(subject: &Subject<'_>) -> Health {
    let is_true = |kind| subject.condition(kind).filter(Condition::is_true);
    let succeeded = subject.count("/status/succeeded");
    let failed = subject.count("/status/failed");
    let active = subject.count("/status/active");
    if let Some(failure) = is_true("Failed") {
        return Health::degraded("JobFailed", failure.says());
    }
    if is_true("Complete").is_some() {
        return Health::healthy("Completed", format!("{succeeded} pods succeeded"));
    }
    // The condition stays `True` for a moment after a Job is resumed.
    if subject.is("/spec/suspend") {
        return Health::suspended("Suspended", "the Job is suspended");
    }
    // Its pods are on their way out, and `Failed` follows.
    if let Some(failure) = is_true("FailureTarget") {
        return Health::progressing("Failing", failure.says());
    }
    if subject.text("/status/startTime").is_empty() {
        return Health::progressing("NotStarted", "the Job has not started yet");
    }
    let message = format!("{succeeded} pods succeeded, {active} active, {failed} failed");
    Health::progressing("Running", message)
}
