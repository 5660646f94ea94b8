//! By what the elements of a list of maps are told apart.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fields::Fields;
use super::path::Step;
use super::projection::key_of;

/// The names in the keys of a field set, sorted.
pub(super) fn key_names(fields: &Fields) -> Vec<&str> {
    let mut names: Vec<&str> = fields
        .children()
        .filter_map(|(step, _)| match step {
            Step::Key(key) => Some(key.keys().map(String::as_str)),
            _ => None,
        })
        .flatten()
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Fills what is missing in a key from the only key of the set that agrees with the rest of it.
pub(super) fn complete(key: &mut BTreeMap<String, String>, fields: &Fields) {
    let mut agreeing = fields.children().filter_map(|(step, _)| match step {
        Step::Key(other) if key.iter().all(|(name, text)| other.get(name) == Some(text)) => {
            Some(other)
        }
        _ => None,
    });
    let exact = fields.child(&Step::Key(key.clone())).is_some();
    if let (false, Some(only), None) = (exact, agreeing.next(), agreeing.next()) {
        *key = only.clone();
    }
}

/// Names by which Kubernetes tells apart the elements of its keyed lists, the most telling first.
const KEYS: &[&[&str]] = &[
    &["containerPort", "protocol"],
    &["port", "protocol"],
    &["topologyKey", "whenUnsatisfiable"],
    &["mountPath"],
    &["devicePath"],
    &["name"],
    &["type"],
    &["ip"],
    &["uid"],
    &["key"],
];

/// The first of [`KEYS`] that all elements have and that tells them apart.
pub(super) fn keys_of(list: &[Value]) -> Option<&'static [&'static str]> {
    KEYS.iter().copied().find(|names| {
        let mut seen: Vec<_> = list
            .iter()
            .filter(|element| {
                names
                    .first()
                    .is_some_and(|first| element.get(first).is_some())
            })
            .map(|element| key_of(element, names.iter().copied()))
            .collect();
        seen.sort();
        seen.dedup();
        !list.is_empty() && seen.len() == list.len()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_those_that_tell_the_elements_apart() {
        let keys = |list: Value| keys_of(list.as_array().expect("a list"));
        assert_eq!(
            keys(json!([{"name": "a", "containerPort": 1}])),
            Some(&["containerPort", "protocol"][..])
        );
        assert_eq!(
            keys(json!([{"name": "a"}, {"name": "b"}])),
            Some(&["name"][..])
        );
        assert_eq!(keys(json!([{"name": "a"}, {"name": "a"}])), None);
        assert_eq!(keys(json!([1, 2])), None);
        assert_eq!(keys(json!([])), None);
    }

    #[test]
    fn a_key_is_completed_only_when_there_is_one_way() {
        let two = Fields::from_json(&json!({
            "k:{\"port\":53,\"protocol\":\"TCP\"}": {}, "k:{\"port\":53,\"protocol\":\"UDP\"}": {},
            "k:{\"port\":80,\"protocol\":\"TCP\"}": {}}));
        let mut key = BTreeMap::from([("port".into(), "80".into())]);
        complete(&mut key, &two);
        assert_eq!(key.get("protocol").map(String::as_str), Some("\"TCP\""));
        let mut key = BTreeMap::from([("port".into(), "53".into())]);
        complete(&mut key, &two);
        assert_eq!(key.len(), 1);
    }
}
