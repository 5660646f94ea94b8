//! When an Application is looked at again, though nothing happened to it.

use std::time::Duration;

use tokio::time::Instant;

use super::application::Application;
use super::request::Request;
use crate::api::Policy;
use crate::error::Class;
use crate::inventory::Phase;

/// When what was learned by the way (UIDs, hashes) is stored.
pub(super) const STORE_AFTER: Duration = Duration::from_secs(5);
/// When it is asked again what the health of objects hangs on that are on their way.
const RECHECK: Duration = Duration::from_secs(11);
/// How often every object is read, in case a watch missed something.
const AUDIT: Duration = Duration::from_secs(3600);
/// How often objects that belong to others are looked at again.
const FOREIGN_RECHECK: Duration = Duration::from_secs(30);
/// The wait for a CRD of the same revision to be served.
const AWAIT_CRD: Duration = Duration::from_millis(700);

impl Application {
    /// Errors are tried again: passing ones for ever, those that a person must mend up to a limit.
    /// What a poll or an event brings is looked at in any case.
    pub(super) fn schedule_retry(&mut self, policy: &Policy) {
        let source_failed = self.source_state().failure.is_some();
        let classes = self
            .problems
            .iter()
            .skip(usize::from(source_failed))
            .map(|p| p.class);
        // The most hopeful class decides: one stalled object does not stop the retry of another.
        let class = classes.min_by_key(|class| matches!(class, Class::Stalled));
        match class {
            None => {
                self.retries = 0;
                self.gave_up = false;
                self.timers.retry = None;
            }
            Some(class) => {
                let wait = policy.backoff.wait(self.retries, class);
                self.timers.retry = wait.map(|wait| Instant::now() + wait);
                self.retries += 1;
                let gave_up =
                    wait.is_none() && !std::mem::replace(&mut self.gave_up, wait.is_none());
                if gave_up && self.has_hooks_of(Phase::SyncFail) {
                    self.timers.retry = Some(Instant::now());
                }
            }
        }
        if let Some(due) = self.report.as_ref().and_then(|report| report.due) {
            let seconds = due
                .saturating_sub(jiff::Timestamp::now().as_second())
                .max(0);
            let at = Instant::now() + Duration::from_secs(seconds.unsigned_abs());
            self.timers.retry = Some(self.timers.retry.map_or(at, |retry| retry.min(at)));
        }
        // A kind whose CRD was just applied is served in a moment.
        let awaits = self.goal.as_ref().is_some_and(|goal| {
            goal.desired
                .waiting()
                .any(|o| o.placement == crate::desired::Placement::AwaitsCrd)
        });
        if awaits {
            self.timers.retry = Some(Instant::now() + AWAIT_CRD);
        }
    }

    /// What a pass leaves that no watch will tell of: what is to be stored, and what is to be looked at.
    pub(super) fn schedule_rechecks(&mut self) {
        if self
            .inventory
            .as_ref()
            .is_some_and(|i| !i.changed_shards().is_empty())
        {
            self.timers
                .store
                .get_or_insert_with(|| Instant::now() + STORE_AFTER);
        }
        if self.lacks_kinds()
            || self
                .worst()
                .is_some_and(|(_, health)| health.status == crate::health::Status::Progressing)
        {
            self.timers
                .recheck
                .get_or_insert_with(|| Instant::now() + RECHECK);
        }
        if self
            .report
            .as_ref()
            .is_some_and(|report| !report.objects.is_empty())
        {
            // Others' objects: nobody tells us when they are let go.
            self.timers
                .recheck
                .get_or_insert_with(|| Instant::now() + FOREIGN_RECHECK);
        }
    }

    /// A suspension may end by itself.
    pub(super) fn wait_for_resume(&mut self, request: &Request) {
        let now = jiff::Timestamp::now();
        let until = request.suspend_until;
        let Some(until) = until.filter(|_| request.is_suspended(now.as_second())) else {
            // One that is due is not taken away before it was seen.
            return;
        };
        let wait = until
            .saturating_mul(1000)
            .saturating_sub(now.as_millisecond());
        let wait = Duration::from_millis(wait.max(0).unsigned_abs().saturating_add(1));
        self.timers.resume = Some(Instant::now() + wait);
    }

    /// The time between two audits: an hour, spread so that Applications do not all read at once.
    pub(super) fn audit_interval(&self) -> Duration {
        let spread = u64::from(self.owner.key().bytes().fold(0_u8, u8::wrapping_add));
        AUDIT - Duration::from_secs(300) + Duration::from_secs(600 * spread / 255)
    }

    /// Looks again after this time.
    pub(super) fn retry_in(&mut self, wait: Duration) {
        self.timers.retry = Some(Instant::now() + wait);
    }
}
