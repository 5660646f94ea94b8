//! CronJob: it is what makes Jobs, so it is well unless it is suspended. Its Jobs are not of the
//! revision: one that fails at night is no reason to hold a wave.

use super::Health;
use super::subject::Subject;

pub(super) fn assess(subject: &Subject<'_>) -> Health {
    if subject.is("/spec/suspend") {
        return Health::suspended("Suspended", "the CronJob is suspended");
    }
    let message = match subject.text("/status/lastSuccessfulTime") {
        "" => String::new(),
        time => format!("last success at {time}"),
    };
    Health::healthy("Scheduled", message)
}
