//! What was undone, told at most once a minute.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::event::{Event, EventType};
use crate::diff::Drift;

/// The shortest time between two tellings, in seconds.
const SPACING: i64 = 60;
/// How many objects are remembered until then; more are counted.
const OBJECT_LIMIT: usize = 20;
/// How many fields of an object are told.
const FIELD_LIMIT: usize = 3;

/// Heals that were not told yet.
#[derive(Debug, Default)]
pub struct Heals {
    told: Option<i64>,
    /// How often each object was healed, and what was undone last.
    objects: BTreeMap<String, (usize, Vec<Drift>)>,
    /// Heals of objects that are not in `objects`.
    more: usize,
}

impl Heals {
    /// One object was healed; nothing in `undone` stands for one that was deleted.
    pub fn add(&mut self, object: String, undone: Vec<Drift>) {
        if self.objects.len() >= OBJECT_LIMIT && !self.objects.contains_key(&object) {
            self.more += 1;
            return;
        }
        let (count, last) = self.objects.entry(object).or_default();
        *count += 1;
        *last = undone;
    }

    /// In how many seconds there is something to tell; `None` when there is nothing.
    pub fn due(&self, now: i64) -> Option<u64> {
        if self.objects.is_empty() {
            return None;
        }
        let waited = self.told.map_or(SPACING, |told| now - told);
        // A clock that was put back is no reason to be silent.
        let left = if waited < 0 { 0 } else { SPACING - waited };
        Some(u64::try_from(left).unwrap_or(0))
    }

    /// The event that is due now. `now` is in seconds since the epoch.
    pub fn take(&mut self, now: i64) -> Option<Event> {
        if self.due(now)? > 0 {
            return None;
        }
        self.told = Some(now);
        let objects = std::mem::take(&mut self.objects);
        let more = std::mem::take(&mut self.more);
        let count = objects.values().map(|(count, _)| count).sum::<usize>() + more;
        let mut message = match count {
            1 => "undid drift of ".to_owned(),
            count => format!("undid drift {count} times: "),
        };
        let told: Vec<String> = objects
            .iter()
            .map(|(object, (count, undone))| one(object, *count, undone))
            .collect();
        message.push_str(&told.join("; "));
        if more > 0 {
            let _ = write!(message, "; and {more} more");
        }
        Some(Event {
            kind: EventType::Normal,
            reason: "Healed".into(),
            message,
        })
    }
}

/// `Deployment/shop/web (3 times): spec.replicas: 5 instead of 2, by kubectl`.
fn one(object: &str, count: usize, undone: &[Drift]) -> String {
    let times = match count {
        1 => String::new(),
        count => format!(" ({count} times)"),
    };
    if undone.is_empty() {
        return format!("{object}{times}: it was deleted");
    }
    format!("{object}{times}: {}", fields(undone))
}

/// The first fields, and how many more.
pub(super) fn fields(drift: &[Drift]) -> String {
    let first: Vec<String> = drift
        .iter()
        .take(FIELD_LIMIT)
        .map(ToString::to_string)
        .collect();
    match drift.len().saturating_sub(FIELD_LIMIT) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replicas() -> Vec<Drift> {
        vec![Drift {
            path: "spec.replicas".into(),
            git: Some("2".into()),
            live: Some("5".into()),
            manager: Some("kubectl".into()),
            at: None,
        }]
    }

    #[test]
    fn the_first_is_told_at_once_and_more_of_them_once_a_minute() {
        let mut heals = Heals::default();
        assert_eq!(heals.due(1000), None);
        assert_eq!(heals.take(1000), None);
        heals.add("Deployment/shop/web".into(), replicas());
        let event = heals.take(1000).expect("due");
        assert_eq!(
            event.message,
            "undid drift of Deployment/shop/web: spec.replicas: 5 instead of 2, by kubectl"
        );
        for _ in 0..3 {
            heals.add("Deployment/shop/web".into(), replicas());
        }
        heals.add("ConfigMap/shop/a".into(), Vec::new());
        assert_eq!((heals.due(1001), heals.take(1001)), (Some(59), None));
        let event = heals.take(1060).expect("due");
        assert_eq!(
            event.message,
            "undid drift 4 times: ConfigMap/shop/a: it was deleted; Deployment/shop/web (3 times): \
             spec.replicas: 5 instead of 2, by kubectl"
        );
        assert_eq!(heals.due(2000), None);
    }

    #[test]
    fn a_clock_that_is_put_back_silences_nothing() {
        let mut heals = Heals::default();
        heals.add("ConfigMap/shop/a".into(), Vec::new());
        assert!(heals.take(1_000_000).is_some());
        heals.add("ConfigMap/shop/a".into(), Vec::new());
        assert!(heals.take(10).is_some());
    }

    #[test]
    fn many_objects_are_counted() {
        let mut heals = Heals::default();
        for number in 0..100 {
            heals.add(format!("ConfigMap/shop/{number:03}"), Vec::new());
        }
        let message = heals.take(0).expect("due").message;
        assert!(message.starts_with("undid drift 100 times: "), "{message}");
        assert!(message.ends_with("; and 80 more"), "{message}");
    }
}
