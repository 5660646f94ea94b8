//! The spec as the pipeline wants it: defaults filled in, durations parsed, contradictions named.
//!
//! The API server has checked the schema already; this checks again, because rules in a schema
//! can be missing from an older CRD, and because text such as `5m` is only text to it.

use std::time::Duration;

use super::{
    Adopt, ApplicationSpec, IgnoreRule, ImmutableFields, Rollback, SyncOptions, WriteBack,
};
use crate::error::{Class, Fault};

/// How long Git is left alone between polls when the Application does not say.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
/// The shortest poll: an interval below is an error, since it would only load the Git server.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// The shortest time to become healthy: pods are scheduled, pulled and probed in it.
const MIN_TIMEOUT: Duration = Duration::from_secs(5);

/// An Application's policy, with every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Syncs by itself.
    pub automated: bool,
    /// Deletes what left Git.
    pub prune: bool,
    /// Undoes drift.
    pub self_heal: bool,
    /// Lets an empty render prune everything.
    pub allow_empty: bool,
    /// `spec.syncPolicy.syncOptions`.
    pub options: SyncOptions,
    /// Refuses objects that another Application owns. Always so in towline.
    pub adopt: Adopt,
    /// Prunes above this are held; `None` for the default rule.
    pub prune_limit: Option<usize>,
    /// What becomes of changes of fields that cannot be changed in place.
    pub immutable_fields: ImmutableFields,
    /// The Git poll.
    pub interval: Duration,
    /// Waits after failed syncs.
    pub backoff: Backoff,
    /// How many revisions `.status.history` keeps.
    pub history_limit: usize,
    /// The namespace of objects that name none.
    pub namespace: String,
    /// What is left to others.
    pub ignore: Vec<IgnoreRule>,
    /// A revision is dry-run as a whole before its first write.
    pub preflight: bool,
    /// When a revision is taken back; `None` for never.
    pub rollback: Option<RollbackPolicy>,
    /// The full record is kept as notes in the repository.
    pub notes: bool,
}

/// When a revision that does not work is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollbackPolicy {
    /// How long it may take to become Healthy.
    pub timeout: Duration,
    /// How long it has to stay Healthy before it is trusted.
    pub monitor: Duration,
    /// How long an object may be Degraded before that counts.
    pub grace: Duration,
    /// How often containers may be restarted; `None` where that is not counted.
    pub restarts: Option<RestartPolicy>,
    /// How often in a row a workload may stop being Healthy; 0 where that is not counted.
    pub failure_threshold: u32,
    /// What is written to Git then.
    pub write_back: WriteBack,
}

/// Restarts that are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartPolicy {
    /// More than this are too many.
    pub limit: i64,
    /// The time in which they are counted.
    pub within: Duration,
}

impl RollbackPolicy {
    fn from_spec(spec: &Rollback) -> Result<Self, PolicyError> {
        let read = |field, text: &Option<String>, seconds| {
            duration(field, text.as_deref(), Duration::from_secs(seconds))
        };
        let policy = Self {
            timeout: read("rollback.timeout", &spec.timeout, 300)?,
            monitor: read("rollback.monitor", &spec.monitor, 60)?,
            grace: read("rollback.grace", &spec.grace, 10)?,
            restarts: match &spec.restarts {
                Some(restarts) => Some(RestartPolicy {
                    limit: restarts.limit.unwrap_or(3).max(0),
                    within: read("rollback.restarts.within", &restarts.within, 300)?,
                }),
                None => None,
            },
            failure_threshold: u32::try_from(spec.failure_threshold.unwrap_or(3)).unwrap_or(0),
            write_back: spec.write_back.unwrap_or_default(),
        };
        if policy.timeout < MIN_TIMEOUT {
            return Err(PolicyError {
                field: "rollback.timeout",
                message: format!(
                    "`{:?}` is too short: no revision becomes healthy in less than {MIN_TIMEOUT:?}",
                    policy.timeout
                ),
            });
        }
        Ok(policy)
    }
}

/// Exponential waits after failed syncs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    /// How often a [`Class::Stalled`] error is retried; `None` for ever.
    pub limit: Option<u32>,
    /// The first wait.
    pub first: Duration,
    /// What each wait is multiplied by.
    pub factor: u32,
    /// The longest wait.
    pub max: Duration,
}

impl Backoff {
    /// The wait before retry number `retry` (from 0), or `None` when a stalled error is not
    /// retried any more.
    pub fn wait(&self, retry: u32, class: Class) -> Option<Duration> {
        match class {
            Class::Wait(time) => return Some(time),
            Class::Stalled if self.limit.is_some_and(|limit| retry >= limit) => return None,
            Class::Stalled | Class::Retry => {}
        }
        let factor = self.factor.checked_pow(retry).unwrap_or(u32::MAX);
        Some(
            self.first
                .checked_mul(factor)
                .unwrap_or(self.max)
                .min(self.max),
        )
    }
}

/// A field of the spec whose value cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("spec.{field}: {message}")]
pub struct PolicyError {
    /// The field, from `spec` on.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: String,
}

impl Fault for PolicyError {
    fn class(&self) -> Class {
        Class::Stalled
    }
    fn reason(&self) -> &'static str {
        "SpecInvalid"
    }
}

impl Policy {
    /// Whether there are revisions that are gone back from.
    pub fn goes_back(&self) -> bool {
        self.rollback.is_some() || self.preflight
    }

    /// Whether that is only where the API server refuses a part of one.
    pub fn restores(&self) -> bool {
        self.rollback.is_none() && self.preflight
    }

    /// Reads a spec.
    ///
    /// # Errors
    /// The first field whose value cannot be used.
    pub fn from_spec(spec: &ApplicationSpec) -> Result<Self, PolicyError> {
        reject_unsupported(spec)?;
        let sync = spec.sync_policy.clone().unwrap_or_default();
        let automated = sync.automated.clone().filter(|a| a.enabled.unwrap_or(true));
        let on = |get: fn(&super::Automated) -> Option<bool>| {
            automated.as_ref().and_then(get).unwrap_or(false)
        };
        let interval = duration(
            "source.interval",
            spec.source.interval.as_deref(),
            DEFAULT_INTERVAL,
        )?;
        if interval < MIN_INTERVAL {
            return Err(PolicyError {
                field: "source.interval",
                message: format!("`{interval:?}` is too short: at least 1s"),
            });
        }
        let options = SyncOptions::read(sync.sync_options.iter().flatten().map(String::as_str))
            .map_err(|wrong| PolicyError {
                field: "syncPolicy.syncOptions",
                message: wrong.join("; "),
            })?;
        Ok(Self {
            automated: automated.is_some(),
            prune: on(|a| a.prune),
            self_heal: on(|a| a.self_heal),
            allow_empty: on(|a| a.allow_empty),
            immutable_fields: match spec.immutable_fields {
                None if options.force => ImmutableFields::Recreate,
                Some(ImmutableFields::Fail) if options.force => {
                    return Err(PolicyError {
                        field: "immutableFields",
                        message: "`Fail` contradicts Force=true in syncOptions; take one out"
                            .into(),
                    });
                }
                said => said.unwrap_or_default(),
            },
            options,
            adopt: spec.adopt.unwrap_or_default(),
            prune_limit: spec
                .prune
                .as_ref()
                .and_then(|p| p.limit)
                .and_then(|limit| usize::try_from(limit).ok()),
            interval,
            backoff: backoff(&sync)?,
            history_limit: spec
                .revision_history_limit
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or(10)
                .min(20),
            namespace: spec.destination.namespace.clone().unwrap_or_default(),
            ignore: super::ignore_differences::rules(spec)?,
            preflight: spec.preflight.unwrap_or(false),
            rollback: spec
                .rollback
                .as_ref()
                .map(RollbackPolicy::from_spec)
                .transpose()?,
            notes: { spec.audit.as_ref() }.is_some_and(|audit| audit.notes == Some(true)),
        })
    }
}

fn backoff(sync: &super::SyncPolicy) -> Result<Backoff, PolicyError> {
    let retry = sync.retry.clone().unwrap_or_default();
    let waits = retry.backoff.clone().unwrap_or_default();
    Ok(Backoff {
        limit: match retry.limit.unwrap_or(5) {
            negative if negative < 0 => None,
            limit => Some(u32::try_from(limit).unwrap_or(u32::MAX)),
        },
        first: duration(
            "syncPolicy.retry.backoff.duration",
            waits.duration.as_deref(),
            Duration::from_secs(5),
        )?,
        factor: u32::try_from(waits.factor.unwrap_or(2))
            .unwrap_or(2)
            .clamp(1, 100),
        max: duration(
            "syncPolicy.retry.backoff.maxDuration",
            waits.max_duration.as_deref(),
            Duration::from_secs(180),
        )?,
    })
}

/// The rules of the schema once more, for a CRD that lacks them.
fn reject_unsupported(spec: &ApplicationSpec) -> Result<(), PolicyError> {
    let source = &spec.source;
    let set = [
        ("sources", spec.sources.is_some()),
        ("source.helm", source.helm.is_some()),
        ("source.chart", source.chart.is_some()),
        ("source.plugin", source.plugin.is_some()),
        ("source.kustomize", source.kustomize.is_some()),
        ("source.ref", source.reference.is_some()),
    ];
    match set.into_iter().find(|(_, is_set)| *is_set) {
        Some((field, _)) => Err(PolicyError {
            field,
            message: "is not supported".into(),
        }),
        None => Ok(()),
    }
}

/// A duration as Go writes it: a number (fractions allowed) and a unit, several in a row. A bare
/// number counts seconds, as in Argo CD.
fn duration(
    field: &'static str,
    text: Option<&str>,
    default: Duration,
) -> Result<Duration, PolicyError> {
    let Some(text) = text else { return Ok(default) };
    parse_duration(text).ok_or_else(|| PolicyError {
        field,
        message: format!("`{text}` is not a duration (write `30s`, `5m` or `1h30m`)"),
    })
}

fn parse_duration(text: &str) -> Option<Duration> {
    /// The longest duration accepted: above it a typing mistake is likelier than an intention.
    const MAX_SECONDS: f64 = 366.0 * 86_400.0;
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(u64::from(seconds)))
            .filter(|d| d.as_secs_f64() <= MAX_SECONDS);
    }
    let mut rest = text;
    let mut seconds = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let scale = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * scale;
        rest = tail;
    }
    (seconds <= MAX_SECONDS && !text.is_empty()).then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(sync_policy: serde_json::Value) -> ApplicationSpec {
        serde_json::from_value(serde_json::json!({
            "project": "default",
            "source": {"repoURL": "https://git.example.com/shop.git", "path": "overlays/prod"},
            "destination": {"namespace": "shop"},
            "syncPolicy": sync_policy,
        }))
        .expect("the spec is valid")
    }

    #[test]
    fn automated_without_more_neither_prunes_nor_heals() {
        let policy = Policy::from_spec(&spec(serde_json::json!({"automated": {}}))).expect("valid");
        assert!(policy.automated && !policy.prune && !policy.self_heal && !policy.allow_empty);
        let off = spec(serde_json::json!({"automated": {"enabled": false, "prune": true}}));
        let policy = Policy::from_spec(&off).expect("valid");
        assert!(!policy.automated && !policy.prune);
    }

    #[test]
    fn force_is_a_word_for_recreation_and_contradicts_failing() {
        let forced = spec(serde_json::json!({"syncOptions": ["Force=true", "Replace=true"]}));
        let policy = Policy::from_spec(&forced).expect("valid");
        assert_eq!(policy.immutable_fields, ImmutableFields::Recreate);
        assert!(policy.options.replace);
        let mut contradiction = forced.clone();
        contradiction.immutable_fields = Some(ImmutableFields::Fail);
        let said = Policy::from_spec(&contradiction).expect_err("a contradiction");
        assert!(
            said.to_string().contains("contradicts Force=true"),
            "{said}"
        );
        let mut jobs = forced;
        jobs.immutable_fields = Some(ImmutableFields::RecreateJobs);
        let policy = Policy::from_spec(&jobs).expect("valid");
        assert_eq!(policy.immutable_fields, ImmutableFields::RecreateJobs);
    }

    #[test]
    fn restarts_are_counted_where_a_limit_is_given() {
        let policy = |rollback: serde_json::Value| {
            let mut spec = spec(serde_json::json!({}));
            spec.rollback = serde_json::from_value(rollback).expect("valid");
            Policy::from_spec(&spec).map(|policy| policy.rollback.expect("a rollback"))
        };
        let plain = policy(serde_json::json!({})).expect("valid");
        assert_eq!((plain.restarts, plain.failure_threshold), (None, 3));
        let counted = policy(serde_json::json!({"restarts": {}, "failureThreshold": 0}));
        let counted = counted.expect("valid");
        let default = RestartPolicy {
            limit: 3,
            within: Duration::from_secs(300),
        };
        assert_eq!(
            (counted.restarts, counted.failure_threshold),
            (Some(default), 0)
        );
        let junk = policy(serde_json::json!({"restarts": {"within": "soon"}}));
        let said = junk.expect_err("no duration").to_string();
        assert!(said.contains("spec.rollback.restarts.within"), "{said}");
    }

    #[test]
    fn durations_are_go_durations() {
        assert_eq!(parse_duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(parse_duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(parse_duration("90"), Some(Duration::from_secs(90)));
        for junk in ["", "s", "5x", "-5s", "290y", "1e9h", "99999999999h"] {
            let parsed = parse_duration(junk);
            assert!(parsed.is_none(), "{junk} gave {parsed:?}");
        }
    }

    #[test]
    fn stalled_errors_stop_at_the_limit_and_passing_ones_never_do() {
        let backoff = Backoff {
            limit: Some(2),
            first: Duration::from_secs(5),
            factor: 2,
            max: Duration::from_secs(60),
        };
        let waits: Vec<_> = (0..4)
            .map(|retry| backoff.wait(retry, Class::Stalled).map(|d| d.as_secs()))
            .collect();
        assert_eq!(waits, [Some(5), Some(10), None, None]);
        assert_eq!(
            backoff.wait(40, Class::Retry),
            Some(Duration::from_secs(60))
        );
    }
}
