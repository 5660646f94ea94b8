//! The object a rule is about, with the few ways in which all rules read it.

use serde_json::Value;

use super::ObservationRules;
use super::conditions::{Condition, conditions};
use crate::object::Object;

/// An object, the time, and what is known about it from elsewhere.
pub(super) struct Subject<'a> {
    pub(super) object: &'a Object,
    pub(super) now: u64,
    pub(super) rules: &'a ObservationRules,
}

impl<'a> Subject<'a> {
    /// The value at a JSON pointer; null counts as nothing.
    pub(super) fn at(&self, pointer: &str) -> Option<&'a Value> {
        self.object
            .0
            .pointer(pointer)
            .filter(|value| !value.is_null())
    }

    /// A whole number, if there is one.
    pub(super) fn number(&self, pointer: &str) -> Option<i64> {
        self.at(pointer)?.as_i64()
    }

    /// A count in the status: 0 where it is left out.
    pub(super) fn count(&self, pointer: &str) -> i64 {
        self.number(pointer).unwrap_or_default()
    }

    /// A text, or the empty one.
    pub(super) fn text(&self, pointer: &str) -> &'a str {
        self.at(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// True where the value is `true`.
    pub(super) fn is(&self, pointer: &str) -> bool {
        self.at(pointer)
            .and_then(Value::as_bool)
            .unwrap_or_default()
    }

    /// The elements of a list.
    pub(super) fn list(&self, pointer: &str) -> &'a [Value] {
        self.at(pointer)
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    /// `status.conditions`.
    pub(super) fn conditions(&self) -> impl Iterator<Item = Condition<'a>> + use<'a> {
        conditions(self.list("/status/conditions"))
    }

    /// The condition of this type.
    pub(super) fn condition(&self, kind: &str) -> Option<Condition<'a>> {
        self.conditions().find(|condition| condition.kind == kind)
    }

    /// `metadata.generation`.
    pub(super) fn generation(&self) -> Option<i64> {
        self.number("/metadata/generation")
    }

    /// `status.observedGeneration`.
    pub(super) fn observed_generation(&self) -> Option<i64> {
        self.number("/status/observedGeneration")
    }

    /// Seconds since `time`; 0 when it lies in the future, `None` when it cannot be read.
    pub(super) fn seconds_since(&self, time: &str) -> Option<u64> {
        Some(self.now.saturating_sub(seconds(time)?))
    }

    /// Seconds since the object was made.
    pub(super) fn age(&self) -> Option<u64> {
        self.seconds_since(self.text("/metadata/creationTimestamp"))
    }

    /// Seconds since the generation last changed, as far as the object tells: since the last write
    /// of it that was not one of a subresource.
    pub(super) fn seconds_since_change(&self) -> Option<u64> {
        let writes = self
            .list("/metadata/managedFields")
            .iter()
            .filter(|entry| {
                entry
                    .get("subresource")
                    .and_then(Value::as_str)
                    .is_none_or(str::is_empty)
            })
            .filter_map(|entry| seconds(entry.get("time")?.as_str()?));
        let made = seconds(self.text("/metadata/creationTimestamp"));
        Some(self.now.saturating_sub(writes.chain(made).max()?))
    }
}

/// Seconds since 1970 of an RFC 3339 time.
fn seconds(time: &str) -> Option<u64> {
    time.parse::<jiff::Timestamp>()
        .ok()?
        .as_second()
        .try_into()
        .ok()
}
