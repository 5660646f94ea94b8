//! Application of towline: what its own status says, so that an application of applications is as
//! healthy as they are.

use super::subject::Subject;
use super::{Health, Status};

pub(super) fn assess(subject: &Subject<'_>) -> Health {
    let message = subject.text("/status/health/message");
    match subject.text("/status/health/status").parse() {
        Ok(Status::Healthy) => Health::healthy("ApplicationHealthy", message),
        Ok(Status::Progressing) => Health::progressing("ApplicationProgressing", message),
        Ok(Status::Suspended) => Health::suspended("ApplicationSuspended", message),
        // What the child lacks is not missing here: the child is there.
        Ok(Status::Missing) => Health::progressing("ApplicationMissingObjects", message),
        Ok(Status::Degraded) => Health::degraded("ApplicationDegraded", message),
        Ok(Status::Unknown) => Health::new(Status::Unknown, "ApplicationUnknown", message),
        Err(()) => Health::progressing("NotObserved", "it has not been synced yet"),
    }
}
