//! Metrics, in the text format of Prometheus. [`TABLE`] is what the reference is made from.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Every metric: name as it is scraped, type, what it counts.
pub const TABLE: &[(&str, &str, &str)] = &[
    (
        "towline_syncs_total",
        "counter",
        "passes that wrote objects, by `result` (`success` or the reason of the error)",
    ),
    (
        "towline_sync_duration_seconds",
        "histogram",
        "time of passes that wrote objects",
    ),
    (
        "towline_writes_total",
        "counter",
        "objects written, by `action` (create, update, adopt, heal, recreate, prune, abandon, run-hook, delete-hook)",
    ),
    (
        "towline_drift_heals_total",
        "counter",
        "objects whose drift was undone",
    ),
    (
        "towline_deployments_total",
        "counter",
        "revisions that became healthy (`outcome` Healthy) or were taken back (RolledBack)",
    ),
    (
        "towline_rollbacks_total",
        "counter",
        "revisions that were taken back, by `reason` of what did not work",
    ),
    (
        "towline_commit_to_live_seconds",
        "histogram",
        "time from the commit of a new revision, by the clock of who made it, until all of it was written",
    ),
    (
        "towline_commit_to_healthy_seconds",
        "histogram",
        "time from the commit of a new revision, by the clock of who made it, until all of it was healthy",
    ),
    (
        "towline_seen_to_live_seconds",
        "histogram",
        "time from the poll that found a new revision until all of it was written",
    ),
    (
        "towline_seen_to_healthy_seconds",
        "histogram",
        "time from the poll that found a new revision until all of it was healthy",
    ),
    (
        "towline_git_polls_total",
        "counter",
        "Git polls, by `result` (`success` or the reason of the error)",
    ),
    ("towline_renders_total", "counter", "renders, by `result`"),
    (
        "towline_renders_skipped_total",
        "counter",
        "commits that an Application did not render, because they touch nothing it reads",
    ),
    (
        "towline_applications",
        "gauge",
        "Applications, by `sync` and `health`",
    ),
    (
        "towline_pod_watches",
        "gauge",
        "workloads whose pods are watched: because they do not become ready, or because restarts of a revision on trial count",
    ),
    (
        "towline_leader",
        "gauge",
        "1 while this agent holds the Lease",
    ),
];

/// A label `result`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: String,
}

/// A label `action`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionLabel {
    action: &'static str,
}

/// A label `reason`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: String,
}

/// A label `outcome`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// Labels of an Application's state.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    sync: String,
    health: String,
}

/// When the commit of a revision was made, and when it was found, in seconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lead {
    /// By the clock of who made it.
    pub made: f64,
    /// By the agent's clock.
    pub seen: f64,
}

/// Times from a beginning to two ends.
struct Times {
    live: Histogram,
    healthy: Histogram,
}

impl Default for Times {
    fn default() -> Self {
        // From a second to an hour: a poke is live at once, a rollout takes minutes.
        let buckets = [
            0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0,
        ];
        Self {
            live: Histogram::new(buckets),
            healthy: Histogram::new(buckets),
        }
    }
}

/// The agent's metrics.
pub struct Metrics {
    registry: Registry,
    syncs: Family<ResultLabel, Counter>,
    durations: Histogram,
    writes: Family<ActionLabel, Counter>,
    heals: Counter,
    deployments: Family<OutcomeLabel, Counter>,
    rollbacks: Family<ReasonLabel, Counter>,
    commit: Times,
    seen: Times,
    polls: Family<ResultLabel, Counter>,
    renders: Family<ResultLabel, Counter>,
    skipped: Counter,
    applications: Family<StateLabels, Gauge>,
    pod_watches: Gauge<i64, std::sync::atomic::AtomicI64>,
    leader: Gauge<i64, std::sync::atomic::AtomicI64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("towline");
        let metrics = Self {
            syncs: Family::default(),
            durations: Histogram::new(exponential_buckets(0.005, 2.0, 14)),
            writes: Family::default(),
            heals: Counter::<u64, AtomicU64>::default(),
            deployments: Family::default(),
            rollbacks: Family::default(),
            commit: Times::default(),
            seen: Times::default(),
            polls: Family::default(),
            renders: Family::default(),
            skipped: Counter::<u64, AtomicU64>::default(),
            applications: Family::default(),
            pod_watches: Gauge::default(),
            leader: Gauge::default(),
            registry: Registry::default(),
        };
        // Counters get their `_total` from the encoder.
        registry.register("syncs", TABLE[0].2, metrics.syncs.clone());
        registry.register(
            "sync_duration_seconds",
            TABLE[1].2,
            metrics.durations.clone(),
        );
        registry.register("writes", TABLE[2].2, metrics.writes.clone());
        registry.register("drift_heals", TABLE[3].2, metrics.heals.clone());
        registry.register("deployments", TABLE[4].2, metrics.deployments.clone());
        registry.register("rollbacks", TABLE[5].2, metrics.rollbacks.clone());
        registry.register(
            "commit_to_live_seconds",
            TABLE[6].2,
            metrics.commit.live.clone(),
        );
        registry.register(
            "commit_to_healthy_seconds",
            TABLE[7].2,
            metrics.commit.healthy.clone(),
        );
        registry.register(
            "seen_to_live_seconds",
            TABLE[8].2,
            metrics.seen.live.clone(),
        );
        registry.register(
            "seen_to_healthy_seconds",
            TABLE[9].2,
            metrics.seen.healthy.clone(),
        );
        registry.register("git_polls", TABLE[10].2, metrics.polls.clone());
        registry.register("renders", TABLE[11].2, metrics.renders.clone());
        registry.register("renders_skipped", TABLE[12].2, metrics.skipped.clone());
        registry.register("applications", TABLE[13].2, metrics.applications.clone());
        registry.register("pod_watches", TABLE[14].2, metrics.pod_watches.clone());
        registry.register("leader", TABLE[15].2, metrics.leader.clone());
        Self {
            registry,
            ..metrics
        }
    }
}

impl Metrics {
    /// The text that Prometheus scrapes.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }

    /// A poll of a remote ended.
    pub fn git_poll(&self, result: Result<(), &str>) {
        self.polls
            .get_or_create(&ResultLabel {
                result: word(result),
            })
            .inc();
    }

    /// A render ended.
    pub fn render(&self, result: Result<(), &str>) {
        self.renders
            .get_or_create(&ResultLabel {
                result: word(result),
            })
            .inc();
    }

    /// A commit was known to change nothing without a render.
    pub fn render_skipped(&self) {
        self.skipped.inc();
    }

    /// A pass that wrote objects ended.
    pub fn sync(&self, result: Result<(), &str>, seconds: f64) {
        self.syncs
            .get_or_create(&ResultLabel {
                result: word(result),
            })
            .inc();
        self.durations.observe(seconds);
    }

    /// An object was written.
    pub fn write(&self, action: crate::plan::Action) {
        self.writes
            .get_or_create(&ActionLabel {
                action: action.as_str(),
            })
            .inc();
        if action == crate::plan::Action::Heal {
            self.heals.inc();
        }
    }

    /// A revision became healthy or was taken back: one of [`crate::api::outcome`].
    pub fn deployment(&self, outcome: &'static str) {
        self.deployments
            .get_or_create(&OutcomeLabel { outcome })
            .inc();
    }

    /// A revision was taken back for this reason.
    pub fn rollback(&self, reason: &str) {
        self.deployment(crate::api::outcome::ROLLED_BACK);
        let reason = reason.to_owned();
        self.rollbacks.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// All of a new revision was written at `now`, in seconds since the epoch.
    pub fn live(&self, lead: Lead, now: f64) {
        // Clocks differ: nothing was live before it was made.
        self.commit.live.observe((now - lead.made).max(0.0));
        self.seen.live.observe((now - lead.seen).max(0.0));
    }

    /// All of a new revision was healthy at `now`, in seconds since the epoch.
    pub fn healthy(&self, lead: Lead, now: f64) {
        self.commit.healthy.observe((now - lead.made).max(0.0));
        self.seen.healthy.observe((now - lead.seen).max(0.0));
    }

    /// An Application went from one state to another; `None` is before its first and after its
    /// last.
    pub fn application(&self, before: Option<(&str, &str)>, after: Option<(&str, &str)>) {
        let labels = |(sync, health): (&str, &str)| StateLabels {
            sync: sync.into(),
            health: health.into(),
        };
        if let Some(before) = before {
            self.applications.get_or_create(&labels(before)).dec();
        }
        if let Some(after) = after {
            self.applications.get_or_create(&labels(after)).inc();
        }
    }

    /// A watch of pods was opened (1) or closed (-1).
    pub fn pod_watch(&self, change: i64) {
        self.pod_watches.inc_by(change);
    }

    /// Whether this agent holds the Lease.
    pub fn leading(&self, holds: bool) {
        self.leader.set(i64::from(holds));
    }
}

fn word(result: Result<(), &str>) -> String {
    result.map_or_else(str::to_owned, |()| "success".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_timed_from_its_commit_and_from_the_poll_that_found_it() {
        let metrics = Metrics::default();
        let lead = Lead {
            made: 1_000.0,
            seen: 1_020.0,
        };
        metrics.live(lead, 1_021.5);
        metrics.healthy(lead, 1_080.0);
        // Its author's clock is an hour ahead.
        let ahead = Lead {
            made: 4_600.0,
            ..lead
        };
        metrics.live(ahead, 1_021.5);
        let text = metrics.text();
        for line in [
            "towline_commit_to_live_seconds_sum 21.5",
            "towline_commit_to_live_seconds_count 2",
            "towline_commit_to_live_seconds_bucket{le=\"0.5\"} 1",
            "towline_seen_to_live_seconds_sum 3.0",
            "towline_commit_to_healthy_seconds_sum 80.0",
            "towline_seen_to_healthy_seconds_sum 60.0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn every_metric_of_the_table_is_scraped_under_its_name() {
        let metrics = Metrics::default();
        metrics.git_poll(Ok(()));
        metrics.render(Err("RenderFailed"));
        metrics.sync(Ok(()), 0.1);
        metrics.write(crate::plan::Action::Heal);
        metrics.application(None, Some(("Synced", "Healthy")));
        metrics.deployment("Healthy");
        metrics.rollback("OOMKilled");
        metrics.leading(true);
        let text = metrics.text();
        for (name, kind, help) in TABLE {
            assert!(text.contains(name), "{name} is not in\n{text}");
            let family = name.trim_end_matches("_total");
            assert!(
                text.contains(&format!("# TYPE {family} {kind}")),
                "{name} is no {kind}"
            );
            assert!(
                text.contains(&format!("# HELP {family} {help}")),
                "{name} has another help"
            );
        }
    }
}
