//! What is due when, for one Application.

use std::time::Duration;

use tokio::time::Instant;

/// The moments at which an Application looks up by itself.
#[derive(Default)]
pub(super) struct Timers {
    /// What failed is tried again.
    pub(super) retry: Option<Instant>,
    /// Healing begins although Git has not answered yet.
    pub(super) first: Option<Instant>,
    /// What is enforced is kept in the cluster.
    pub(super) last_good: Option<Instant>,
    /// The status is written.
    pub(super) publish: Option<Instant>,
    /// What was learned by the way is stored in the inventory.
    pub(super) store: Option<Instant>,
    /// An object's health changes by time alone.
    pub(super) turn: Option<Instant>,
    /// A workload has been on its way so long that its pods are asked.
    pub(super) pods: Option<Instant>,
    /// What was undone is told.
    pub(super) heals: Option<Instant>,
    /// An object that somebody fights for is healed again.
    pub(super) fight: Option<Instant>,
    /// Objects that wait for others are read again.
    pub(super) recheck: Option<Instant>,
    /// Updates are not suspended any more.
    pub(super) resume: Option<Instant>,
    /// The revision on trial is looked at again.
    pub(super) trial: Option<Instant>,
    /// A rollback is written back to Git, after an attempt that failed.
    pub(super) write_back: Option<Instant>,
    /// The record is written to the repository, after an attempt that failed.
    pub(super) notes: Option<Instant>,
    /// Every object is read, in case a watch missed something.
    pub(super) audit: Option<Instant>,
}

impl Timers {
    /// The status is written at `at`, or before.
    pub(super) fn publish_by(&mut self, at: Instant) {
        self.publish = Some(self.publish.map_or(at, |before| before.min(at)));
    }

    /// The next moment at which something is due; far away when nothing is.
    pub(super) fn next(&self) -> Instant {
        [
            self.retry,
            self.first,
            self.last_good,
            self.publish,
            self.store,
            self.turn,
            self.pods,
            self.heals,
            self.fight,
            self.recheck,
            self.trial,
            self.resume,
            self.write_back,
            self.notes,
            self.audit,
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or_else(|| Instant::now() + Duration::from_secs(86_400))
    }
}

/// Takes `timer` if it is due.
pub(super) fn due(timer: &mut Option<Instant>) -> bool {
    timer.take_if(|at| *at <= Instant::now()).is_some()
}
