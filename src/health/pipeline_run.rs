//! Tekton PipelineRun and TaskRun: by the condition `Succeeded`, which is Unknown while they run.

use super::Health;
use super::subject::Subject;

pub(super) fn assess(subject: &Subject<'_>) -> Health {
    match subject.condition("Succeeded") {
        Some(end) if end.is_true() => Health::healthy("Completed", end.message()),
        Some(end) if end.is_false() => Health::degraded("RunFailed", end.says()),
        Some(end) => Health::progressing("Running", end.message()),
        None => Health::progressing("NotStarted", "the run has not started yet"),
    }
}
