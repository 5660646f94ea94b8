//! Secret values never leave: what may be shown of two versions of an object.
//!
//! Of a value in a Secret it is said whether it was added, removed or changed, and nothing else: no
//! length, and nothing by which the values of two keys could be compared.

use serde_json::{Map, Value};

use crate::live::{Path, Step};

/// A value that is the same on both sides, or the old side of one that is not.
pub(crate) const HIDDEN: &str = "***";
pub(super) const ADDED: &str = "(added)";
pub(super) const REMOVED: &str = "(removed)";
pub(super) const CHANGED: &str = "(changed)";

/// Holds a whole object, Secrets included, where kubectl wrote it.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What of a Secret is not secret. A list of what may be shown, so that a field that is not known
/// here is hidden.
const SHOWN: &[&str] = &["apiVersion", "immutable", "kind", "metadata", "type"];

/// Hides in both versions what is secret. Keys stay, values are replaced by words.
pub(super) fn mask(old: &mut Value, new: &mut Value) {
    if is_secret(old) || is_secret(new) {
        for field in fields_of(old, new) {
            if !SHOWN.contains(&field.as_str()) {
                hide(&mut child(old, &field), &mut child(new, &field));
            }
        }
    }
    hide_last_applied(old, new);
}

/// True when nothing at `path` in `object`, or inside it, may be shown.
pub(crate) fn is_hidden(object: &Value, path: &Path) -> bool {
    let of_secret = is_secret(object)
        && match path.0.first() {
            Some(Step::Field(first)) => !SHOWN.contains(&first.as_str()),
            _ => true,
        };
    of_secret
        || path
            .0
            .iter()
            .any(|step| matches!(step, Step::Field(name) if name == LAST_APPLIED))
}

/// The value without what [`LAST_APPLIED`] holds at any depth: for values shown out of their place.
pub(super) fn without_last_applied(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| match key.as_str() {
                LAST_APPLIED => (key.clone(), Value::from(HIDDEN)),
                _ => (key.clone(), without_last_applied(value)),
            })
            .collect(),
        Value::Array(list) => list.iter().map(without_last_applied).collect(),
        scalar => scalar.clone(),
    }
}

/// Secrets of any group: kinds of that name elsewhere hold the same.
fn is_secret(object: &Value) -> bool {
    object.get("kind").and_then(Value::as_str) == Some("Secret")
}

fn fields_of(old: &Value, new: &Value) -> Vec<String> {
    let keys = |value: &Value| -> Vec<String> {
        value
            .as_object()
            .map(|map| map.keys().cloned().collect())
            .unwrap_or_default()
    };
    let mut all = keys(old);
    all.extend(keys(new));
    all.sort();
    all.dedup();
    all
}

/// A field of a map, if the map has it.
fn child<'a>(value: &'a mut Value, field: &str) -> Option<&'a mut Value> {
    value.as_object_mut()?.get_mut(field)
}

/// Hides a field of a Secret: its keys one by one where it is a map, else as a whole.
fn hide(old: &mut Option<&mut Value>, new: &mut Option<&mut Value>) {
    let mut nothing = Value::Object(Map::new());
    let mut nothing_new = nothing.clone();
    let is_map = |value: &Option<&mut Value>| value.as_ref().is_none_or(|value| value.is_object());
    if !(is_map(old) && is_map(new)) {
        return replace(old.as_deref_mut(), new.as_deref_mut());
    }
    let old = old.as_deref_mut().unwrap_or(&mut nothing);
    let new = new.as_deref_mut().unwrap_or(&mut nothing_new);
    for key in fields_of(old, new) {
        replace(child(old, &key), child(new, &key));
    }
}

/// Replaces a value on both sides by a word.
fn replace(old: Option<&mut Value>, new: Option<&mut Value>) {
    match (old, new) {
        (Some(old), Some(new)) => {
            let word = if old == new { HIDDEN } else { CHANGED };
            *old = Value::from(HIDDEN);
            *new = Value::from(word);
        }
        (Some(old), None) => *old = Value::from(REMOVED),
        (None, Some(new)) => *new = Value::from(ADDED),
        (None, None) => {}
    }
}

/// The annotation stands in `metadata` of the object, and, copied, perhaps elsewhere in it.
fn hide_last_applied(old: &mut Value, new: &mut Value) {
    let annotation = |value| {
        child(
            child(child(value, "metadata")?, "annotations")?,
            LAST_APPLIED,
        )
    };
    replace(annotation(old), annotation(new));
    for value in [old, new] {
        hide_copies(value, true);
    }
}

/// Hides copies of the annotation outside the metadata of the object, where the words stand.
fn hide_copies(value: &mut Value, is_root: bool) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                if key == LAST_APPLIED {
                    *value = Value::from(HIDDEN);
                } else if !(is_root && key == "metadata") {
                    hide_copies(value, false);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| hide_copies(value, false)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_a_secret_only_what_happened_to_a_key_is_said() {
        let mut old = json!({"kind": "Secret", "type": "Opaque",
            "data": {"same": "YQ==", "new": "YQ==", "gone": "YQ=="}, "odd": "YQ=="});
        let mut new = json!({"kind": "Secret", "type": "Opaque",
            "data": {"same": "YQ==", "new": "YmI=", "more": "YQ=="}, "stringData": {"x": "a"}});
        mask(&mut old, &mut new);
        assert_eq!(
            old,
            json!({"kind": "Secret", "type": "Opaque",
                "data": {"same": "***", "new": "***", "gone": "(removed)"}, "odd": "(removed)"})
        );
        assert_eq!(
            new,
            json!({"kind": "Secret", "type": "Opaque",
                "data": {"same": "***", "new": "(changed)", "more": "(added)"},
                "stringData": {"x": "(added)"}})
        );
    }

    #[test]
    fn values_that_are_no_map_are_hidden_too() {
        let mut old = json!({"kind": "Secret", "data": "c2VjcmV0"});
        let mut new = json!({"kind": "Secret", "data": {"k": {"deep": "c2VjcmV0"}}});
        mask(&mut old, &mut new);
        assert_eq!(
            (old["data"].clone(), new["data"].clone()),
            (json!("***"), json!("(changed)"))
        );
        let mut alone = json!({"kind": "Secret", "data": {"k": {"deep": "c2VjcmV0"}}});
        mask(&mut Value::Null, &mut alone);
        assert_eq!(alone["data"], json!({"k": "(added)"}));
    }

    #[test]
    fn last_applied_configuration_is_hidden_everywhere() {
        let object = |text: &str| {
            json!({"kind": "ConfigMap", "metadata": {"annotations": {LAST_APPLIED: text, "a": "b"}},
                "spec": {"template": {"metadata": {"annotations": {LAST_APPLIED: "s3cret"}}}}})
        };
        let (mut old, mut new) = (object("s3cret"), object("s3cret2"));
        mask(&mut old, &mut new);
        assert_eq!(
            new["metadata"]["annotations"],
            json!({LAST_APPLIED: "(changed)", "a": "b"})
        );
        assert!(!format!("{old}{new}").contains("s3cret"));
        assert!(
            !without_last_applied(&object("s3cret"))
                .to_string()
                .contains("s3cret")
        );
    }

    #[test]
    fn what_is_hidden_is_told_by_path() {
        let secret = json!({"kind": "Secret"});
        assert!(is_hidden(&secret, &Path::of(&["data", "k"])));
        assert!(is_hidden(&secret, &Path::default()));
        assert!(!is_hidden(&secret, &Path::of(&["metadata", "labels"])));
        let other = json!({"kind": "ConfigMap"});
        assert!(!is_hidden(&other, &Path::of(&["data", "k"])));
        assert!(is_hidden(
            &other,
            &Path::of(&["metadata", "annotations", LAST_APPLIED])
        ));
    }
}
