//! `status.conditions`, the way Kubernetes lets controllers speak.

use serde_json::Value;

/// One condition. Missing texts are empty.
#[derive(Debug, Clone, Copy)]
pub(super) struct Condition<'a> {
    pub(super) kind: &'a str,
    status: &'a str,
    pub(super) reason: &'a str,
    message: &'a str,
    /// The generation the condition is about, where it says so.
    pub(super) observed_generation: Option<i64>,
    /// When the status last changed.
    pub(super) since: &'a str,
}

impl Condition<'_> {
    pub(super) fn is_true(&self) -> bool {
        self.status == "True"
    }

    pub(super) fn is_false(&self) -> bool {
        self.status == "False"
    }

    /// Reason and message of the controller as one text, `Reason: message`.
    pub(super) fn says(&self) -> String {
        match (self.reason, self.message) {
            ("", "") => format!("{} is {}", self.kind, self.status),
            (reason, "") => reason.to_owned(),
            ("", message) => message.to_owned(),
            (reason, message) => format!("{reason}: {message}"),
        }
    }

    /// The message, or the reason where there is none.
    pub(super) fn message(&self) -> &str {
        if self.message.is_empty() {
            self.reason
        } else {
            self.message
        }
    }
}

/// The conditions in a list; what has no type is left out.
pub(super) fn conditions(list: &[Value]) -> impl Iterator<Item = Condition<'_>> {
    list.iter().filter_map(|condition| {
        let text = |name| {
            condition
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        Some(Condition {
            kind: condition.get("type")?.as_str()?,
            status: text("status"),
            reason: text("reason"),
            message: text("message"),
            observed_generation: condition.get("observedGeneration").and_then(Value::as_i64),
            since: text("lastTransitionTime"),
        })
    })
}
