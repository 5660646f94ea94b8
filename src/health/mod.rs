//! Whether an object does what it is for: one of Argo CD's six words, a reason and a message.
//!
//! The order of questions is that of kstatus (kubernetes-sigs/cli-utils): is it being deleted, has
//! its controller seen the last change, does it say `Reconciling` or `Stalled`, what does its kind
//! say, is it `Ready`. A rule tells from the object alone, at a time that is an argument. What else
//! there is to know (time that passes, the pods of a workload, the StorageClass of a claim) is put
//! together in `outlook.rs`. A new kind is one file, one row of `KINDS` and its fixtures.

mod api_service;
mod application;
mod conditions;
mod cron_job;
mod custom;
mod custom_resource_definition;
mod daemon_set;
mod deployment;
mod horizontal_pod_autoscaler;
mod ingress;
mod job;
mod ladder;
mod namespace;
mod outlook;
mod persistent_volume;
mod persistent_volume_claim;
mod pipeline_run;
mod pod;
mod pod_disruption_budget;
mod pod_watch;
mod replica_set;
mod restarts;
mod selector;
mod service;
mod stateful_set;
mod subject;
mod terminating;
mod workflow;
mod workload_pods;

use std::fmt;
use std::str::FromStr;

use crate::live::shown;
use crate::object::{Gvk, Object};

pub use outlook::{Question, Turn, Unsettled, outlook};
pub use pod_watch::{Look, Patience, Rollout};
pub use restarts::Restarted;
use subject::Subject;
pub use workload_pods::{Pods, Workload, selector_of};

/// Longest message, in characters: it becomes part of an annotation and of a condition.
const MESSAGE_LIMIT: usize = 512;

/// The reason of an object whose controller has not seen its newest generation yet.
const AWAITS_OBSERVATION: &str = "GenerationNotObserved";

/// The health of an object, in Argo CD's words and order: the last is the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// It does what it is for.
    Healthy,
    /// It waits for a person: paused, suspended.
    Suspended,
    /// On its way, and may still arrive.
    Progressing,
    /// Not in the cluster.
    Missing,
    /// It failed, and will not recover by itself soon.
    Degraded,
    /// It could not be told.
    Unknown,
}

impl Status {
    /// All of them, the best first.
    pub const ALL: [Self; 6] = [
        Self::Healthy,
        Self::Suspended,
        Self::Progressing,
        Self::Missing,
        Self::Degraded,
        Self::Unknown,
    ];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Suspended => "Suspended",
            Self::Progressing => "Progressing",
            Self::Missing => "Missing",
            Self::Degraded => "Degraded",
            Self::Unknown => "Unknown",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Status {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or(())
    }
}

/// The health of an object and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The word.
    pub status: Status,
    /// Why, as one CamelCase word of a bounded set: usable as a metric label.
    pub reason: &'static str,
    /// Why, for people: one line of at most 512 characters without control characters. Empty where
    /// there is nothing to add.
    pub message: String,
}

impl Health {
    /// A health; the message becomes one bounded line.
    pub fn new(status: Status, reason: &'static str, message: impl AsRef<str>) -> Self {
        Self {
            status,
            reason,
            message: shown::line(message.as_ref(), MESSAGE_LIMIT),
        }
    }

    /// The object is not in the cluster.
    pub fn missing() -> Self {
        Self::new(Status::Missing, "NotFound", "not in the cluster")
    }

    /// The object could not be read: never taken for absence.
    pub fn unknown(message: impl AsRef<str>) -> Self {
        Self::new(Status::Unknown, "NotReadable", message)
    }

    /// Whether a rollback can mend it. Metrics that are not served, a budget for pods that nobody
    /// can count: those are not what the revision changed.
    pub fn may_cause_rollback(&self) -> bool {
        self.status == Status::Degraded
            && !matches!(
                self.reason,
                "MetricsUnavailable" | "BudgetNotComputed" | "JobEndUnseen"
            )
    }

    fn healthy(reason: &'static str, message: impl AsRef<str>) -> Self {
        Self::new(Status::Healthy, reason, message)
    }

    fn progressing(reason: &'static str, message: impl AsRef<str>) -> Self {
        Self::new(Status::Progressing, reason, message)
    }

    fn degraded(reason: &'static str, message: impl AsRef<str>) -> Self {
        Self::new(Status::Degraded, reason, message)
    }

    fn suspended(reason: &'static str, message: impl AsRef<str>) -> Self {
        Self::new(Status::Suspended, reason, message)
    }
}

/// What is known about an object from elsewhere: the answers to [`Question`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct ObservationRules {
    /// The CRD declares `status.observedGeneration` or `status.conditions` at the object's version:
    /// its controller is expected to say that it has seen a change.
    declared: bool,
    /// For a claim: its StorageClass binds only when a pod uses the claim
    /// (`volumeBindingMode: WaitForFirstConsumer`).
    waits_for_first_consumer: bool,
}

/// The health of `object` at `now` (seconds since 1970).
fn assess(object: &Object, now: u64, observed: &ObservationRules) -> Health {
    let subject = Subject {
        object,
        now,
        rules: observed,
    };
    ladder::assess(&subject, rule_of(&object.gvk()))
}

/// The rule of a kind, if it has one of its own.
fn rule_of(gvk: &Gvk) -> Option<Rule> {
    let mut rows = KINDS.iter();
    let row = rows.find(|(group, kind, _)| gvk.group == *group && gvk.kind == *kind)?;
    Some(row.2)
}

/// The worst of several, the first of those that are equally bad; `None` of none.
pub fn worst<'a>(all: impl IntoIterator<Item = &'a Health>) -> Option<&'a Health> {
    all.into_iter().reduce(|worst, next| {
        if next.status > worst.status {
            next
        } else {
            worst
        }
    })
}

/// What a kind says about itself.
type Rule = fn(&Subject<'_>) -> Health;

/// The kinds with a rule of their own: group, kind, rule. A group may serve several versions.
const KINDS: &[(&str, &str, Rule)] = &[
    ("", "Namespace", namespace::assess),
    ("", "PersistentVolume", persistent_volume::assess),
    ("", "PersistentVolumeClaim", persistent_volume_claim::assess),
    ("", "Pod", pod::assess),
    ("", "ReplicationController", replica_set::assess),
    ("", "Service", service::assess),
    (
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        custom_resource_definition::assess,
    ),
    ("apiregistration.k8s.io", "APIService", api_service::assess),
    ("argoproj.io", "Workflow", workflow::assess),
    ("apps", "DaemonSet", daemon_set::assess),
    ("apps", "Deployment", deployment::assess),
    ("apps", "ReplicaSet", replica_set::assess),
    ("apps", "StatefulSet", stateful_set::assess),
    (
        "autoscaling",
        "HorizontalPodAutoscaler",
        horizontal_pod_autoscaler::assess,
    ),
    ("batch", "CronJob", cron_job::assess),
    ("batch", "Job", job::assess),
    ("networking.k8s.io", "Ingress", ingress::assess),
    (
        "policy",
        "PodDisruptionBudget",
        pod_disruption_budget::assess,
    ),
    ("tekton.dev", "PipelineRun", pipeline_run::assess),
    ("tekton.dev", "TaskRun", pipeline_run::assess),
    ("towline.dev", "Application", application::assess),
];

#[cfg(test)]
mod tests;
