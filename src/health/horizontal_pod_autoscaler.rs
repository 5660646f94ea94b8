//! HorizontalPodAutoscaler, at all its versions: `autoscaling/v1` keeps the conditions in an
//! annotation.
//!
//! While pods start there are no metrics of them. Argo CD calls that Degraded, so every rollout
//! looks sick (argo-cd#6287): here it is Progressing for five minutes.

use serde_json::Value;

use super::Health;
use super::conditions::{Condition, conditions};
use super::subject::Subject;

const GRACE_SECONDS: u64 = 5 * 60;
const ANNOTATION: &str = "autoscaling.alpha.kubernetes.io/conditions";

pub(super) fn assess(subject: &Subject<'_>) -> Health {
    let parsed: Value;
    let list = match subject.object.annotation(ANNOTATION) {
        Some(text) => {
            parsed = serde_json::from_str(text).unwrap_or_default();
            parsed.as_array().map_or(&[][..], Vec::as_slice)
        }
        None => subject.list("/status/conditions"),
    };
    if list.is_empty() {
        // The controller looks every 15 seconds: no reason to hold a wave that long.
        let message = "no controller has seen it yet";
        return if subject.age().is_some_and(|seconds| seconds < 10) {
            Health::progressing("NotObserved", message)
        } else {
            Health::healthy("NotObserved", message)
        };
    }
    let failing = |kind| conditions(list).find(|c| c.kind == kind && c.is_false());
    if let Some(unable) = failing("AbleToScale") {
        return within_grace(subject, &unable, "UnableToScale");
    }
    match failing("ScalingActive") {
        // Its target is scaled to zero, by a person's wish.
        Some(idle) if idle.reason == "ScalingDisabled" => {
            Health::healthy("ScalingDisabled", idle.message())
        }
        Some(wrong) if wrong.reason == "InvalidSelector" => {
            Health::degraded("InvalidSelector", wrong.says())
        }
        Some(blind) => within_grace(subject, &blind, "MetricsUnavailable"),
        None => Health::healthy("Active", ""),
    }
}

/// Progressing for a while after the condition arose, Degraded after that.
fn within_grace(subject: &Subject<'_>, condition: &Condition<'_>, reason: &'static str) -> Health {
    let since = subject
        .seconds_since(condition.since)
        .or_else(|| subject.age());
    if since.is_some_and(|seconds| seconds < GRACE_SECONDS) {
        Health::progressing(reason, condition.says())
    } else {
        Health::degraded(reason, condition.says())
    }
}
