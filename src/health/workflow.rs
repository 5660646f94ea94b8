//! Argo Workflow: by its phase, which is the only thing it says. One that has none has not started.

use super::Health;
use super::subject::Subject;

pub(super) fn assess(subject: &Subject<'_>) -> Health {
    let said = subject.text("/status/message");
    match subject.text("/status/phase") {
        "Succeeded" => Health::healthy("Completed", said),
        "Failed" | "Error" => Health::degraded("WorkflowFailed", said),
        _ if subject.is("/spec/suspend") => {
            Health::suspended("Suspended", "the Workflow is suspended")
        }
        "Running" => Health::progressing("Running", said),
        _ => Health::progressing("NotStarted", "the Workflow has not started yet"),
    }
}
