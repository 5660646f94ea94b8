//! Pod: by its phase and its containers, as in Argo CD, with the pod's own words for why.
//!
//! What kubelet or the scheduler has given up on for now is Degraded at once, so that a rollout
//! with a bad image fails in seconds and not at its deadline.

use serde_json::Value;

use super::conditions::Condition;
use super::subject::Subject;
use super::{Health, Status};

/// How long a pod may be unschedulable (kstatus).
const SCHEDULE_SECONDS: u64 = 15;
/// The same where the nodes are full: a cluster autoscaler needs one to three minutes for another.
const SCALE_UP_SECONDS: u64 = 180;
/// Restarts after which a container that is not ready counts as crashing also between two back-offs,
/// when it runs for a moment: its health would change with each.
const CRASHES: i64 = 2;

/// Reasons of a waiting container that will not go away by waiting, each with the word for it.
const WAITING: &[&str] = &[
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImageInspectError",
    "ImagePullBackOff",
    "InvalidImageName",
    "PostStartHookError",
    "PreCreateHookError",
    "PreStartHookError",
    "RunContainerError",
];

pub(super) fn assess(subject: &Subject<'_>) -> Health {
    match subject.text("/status/phase") {
        "Succeeded" => Health::healthy("Completed", ""),
        "Failed" => failed(subject),
        "Running" => running(subject),
        "Unknown" => Health::new(Status::Unknown, "NodeLost", subject.text("/status/message")),
        _ => pending(subject),
    }
}

fn failed(subject: &Subject<'_>) -> Health {
    let reason = match subject.text("/status/reason") {
        "Evicted" => "Evicted",
        "DeadlineExceeded" => "DeadlineExceeded",
        _ => "PodFailed",
    };
    let said = subject.text("/status/message");
    if !said.is_empty() {
        return Health::degraded(reason, said);
    }
    let ended = Container::all(subject).find_map(|container| {
        let end = container
            .ended("/state/terminated")
            .filter(|end| end.code != 0)?;
        Some((end.word().unwrap_or(reason), container.describe(&end)))
    });
    match ended {
        Some((word, message)) => Health::degraded(word, message),
        None => Health::degraded(reason, "the pod failed"),
    }
}

fn running(subject: &Subject<'_>) -> Health {
    if subject
        .condition("Ready")
        .is_some_and(|ready| ready.is_true())
    {
        return Health::healthy("Ready", "");
    }
    if let Some(stuck) = stuck(subject) {
        return stuck;
    }
    // One that is to end is on its way until it does; Argo CD takes such pods for hooks.
    if matches!(subject.text("/spec/restartPolicy"), "OnFailure" | "Never") {
        return Health::progressing("Running", "");
    }
    let message = subject
        .condition("Ready")
        .map(|ready| ready.says())
        .unwrap_or_default();
    Health::progressing("NotReady", message)
}

fn pending(subject: &Subject<'_>) -> Health {
    if let Some(scheduled) = subject
        .condition("PodScheduled")
        .filter(Condition::is_false)
    {
        return unscheduled(subject, &scheduled);
    }
    if let Some(stuck) = stuck(subject) {
        return stuck;
    }
    let waiting = Container::all(subject).find_map(|container| {
        let reason = container.text("/state/waiting/reason");
        (!reason.is_empty())
            .then(|| container.says(reason, container.text("/state/waiting/message")))
    });
    Health::progressing("Pending", waiting.unwrap_or_default())
}

fn unscheduled(subject: &Subject<'_>, scheduled: &Condition<'_>) -> Health {
    if scheduled.reason == "SchedulingGated" {
        return Health::suspended("SchedulingGated", scheduled.message());
    }
    let since = subject
        .seconds_since(scheduled.since)
        .or_else(|| subject.age());
    let full = scheduled.message().contains("Insufficient ");
    let limit = if full {
        SCALE_UP_SECONDS
    } else {
        SCHEDULE_SECONDS
    };
    if scheduled.reason == "Unschedulable" && since.is_none_or(|seconds| seconds >= limit) {
        Health::degraded("Unschedulable", scheduled.message())
    } else {
        Health::progressing("NotScheduled", scheduled.message())
    }
}

/// The first container that will not start by waiting.
fn stuck(subject: &Subject<'_>) -> Option<Health> {
    Container::all(subject)
        .filter(|container| !container.is_ready())
        .find_map(|container| {
            let waiting = container.text("/state/waiting/reason");
            let last = container
                .last_end()
                .filter(|end| end.code != 0 || end.word().is_some());
            if let Some(word) = WAITING.iter().find(|word| **word == waiting) {
                let word = last.as_ref().and_then(End::word).unwrap_or(word);
                let message = match &last {
                    Some(end) => container.describe(end),
                    None => container.says(waiting, container.text("/state/waiting/message")),
                };
                return Some(Health::degraded(word, message));
            }
            let last = last.filter(|_| container.restarts() >= CRASHES)?;
            let word = last.word().unwrap_or("CrashLoopBackOff");
            Some(Health::degraded(word, container.describe(&last)))
        })
}

/// The status of one container.
pub(super) struct Container<'a>(&'a Value);

/// How a container ended.
struct End<'a> {
    code: i64,
    reason: &'a str,
    message: &'a str,
}

impl End<'_> {
    /// The word for ends that have one.
    fn word(&self) -> Option<&'static str> {
        (self.reason == "OOMKilled").then_some("OOMKilled")
    }
}

impl<'a> Container<'a> {
    /// Init containers first: they are in the way of the others.
    pub(super) fn all(subject: &Subject<'a>) -> impl Iterator<Item = Self> + use<'a> {
        let init = subject.list("/status/initContainerStatuses");
        init.iter()
            .chain(subject.list("/status/containerStatuses"))
            .map(Container)
    }

    fn text(&self, pointer: &str) -> &'a str {
        self.0
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    fn is_ready(&self) -> bool {
        self.0
            .get("ready")
            .and_then(Value::as_bool)
            .unwrap_or_default()
    }

    pub(super) fn restarts(&self) -> i64 {
        self.0
            .get("restartCount")
            .and_then(Value::as_i64)
            .unwrap_or_default()
    }

    fn ended(&self, pointer: &str) -> Option<End<'a>> {
        let end = self.0.pointer(pointer).filter(|end| end.is_object())?;
        let text = |name| end.get(name).and_then(Value::as_str).unwrap_or_default();
        Some(End {
            code: end
                .get("exitCode")
                .and_then(Value::as_i64)
                .unwrap_or_default(),
            reason: text("reason"),
            message: text("message"),
        })
    }

    /// How it ended now, or before it was restarted.
    fn last_end(&self) -> Option<End<'a>> {
        self.ended("/state/terminated")
            .or_else(|| self.ended("/lastState/terminated"))
    }

    /// Which it is, and how it ended last where that is known.
    pub(super) fn last_words(&self) -> String {
        match self.last_end() {
            Some(end) => self.describe(&end),
            None => format!("container `{}`", self.text("/name")),
        }
    }

    fn says(&self, reason: &str, message: &str) -> String {
        let name = self.text("/name");
        if message.is_empty() {
            format!("container `{name}`: {reason}")
        } else {
            format!("container `{name}`: {reason}: {message}")
        }
    }

    /// `container `web` exited with 1 (Error), 4 restarts: its last words`.
    fn describe(&self, end: &End<'_>) -> String {
        let name = self.text("/name");
        let mut text = match end.word() {
            Some(_) => format!("container `{name}` was killed: out of memory"),
            None => format!("container `{name}` exited with {}", end.code),
        };
        if !matches!(end.reason, "" | "Error" | "OOMKilled") {
            text.extend([" (", end.reason, ")"]);
        }
        if self.restarts() > 0 {
            text.extend([", ", &self.restarts().to_string(), " restarts"]);
        }
        if !end.message.is_empty() {
            text.extend([": ", end.message.trim()]);
        }
        text
    }
}
