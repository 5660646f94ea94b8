//! What is ignored in one live object, and what is left of others without it.

use serde_json::{Map, Value};

use super::fields::Fields;
use super::fingerprint::is_mark;
use super::ignore::index;
use super::keyed::{complete, key_names};
use super::path::{Path, Step};
use super::projection::key_of;
use crate::object::keys;

/// The paths that are ignored in a live object, with all that is under them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignored {
    pub(super) fields: Fields,
    /// Places inside of values that are owned as a whole, which no field set can name: the value,
    /// and the tokens of the pointer that leads into it.
    pub(super) inside: Vec<(Path, Vec<String>)>,
    /// Those of the fields that are ignored because of who owns them: they count again when
    /// somebody else takes them.
    pub(super) theirs: Fields,
}

impl Ignored {
    /// True when nothing is.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.inside.is_empty()
    }

    /// The paths of `fields` that are not ignored. Towline's own marks never are, although all
    /// labels or annotations may be.
    #[must_use]
    pub fn outside(&self, fields: &Fields) -> Fields {
        let rest = fields.outside(&self.fields);
        let holds_marks = ["annotations", "labels"]
            .iter()
            .any(|field| self.fields.contains(&Path::of(&["metadata", field])));
        if holds_marks {
            rest.union(&fields.filter(&|path| is_mark(path)))
        } else {
            rest
        }
    }

    /// The values owned as a whole in which something is ignored: whoever owns them, the rest of
    /// them counts.
    pub(super) fn wholes(&self) -> impl Iterator<Item = &Path> {
        self.inside.iter().map(|(whole, _)| whole)
    }

    /// Takes out of an object what is ignored, so that the rest can be compared.
    pub fn strip(&self, value: &mut Value) {
        for (_, tokens) in &self.inside {
            if let Some(place) = at(value, tokens) {
                *place = Value::Null;
            }
        }
        self.leave_out(value);
    }

    /// Takes out of an object what a field set can name.
    pub(super) fn leave_out(&self, value: &mut Value) {
        if self.fields.is_empty() {
            return;
        }
        let marks = ["annotations", "labels"].map(|field| (field, marks(value, field)));
        remove(value, &self.fields);
        for (field, marks) in marks {
            let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) else {
                continue;
            };
            if !marks.is_empty()
                && let Some(map) = metadata
                    .entry(field)
                    .or_insert_with(|| Value::Object(Map::new()))
                    .as_object_mut()
            {
                map.extend(marks);
            }
        }
    }

    /// Takes out of the body of an apply what is ignored. What is inside of a value that is owned
    /// as a whole cannot be left out: the cluster's is put in. Returns whether that was done: the
    /// apply then holds for this version of the live object only.
    pub fn yield_to(&self, live: &Value, body: &mut Value) -> bool {
        let mut blended = false;
        for (_, tokens) in &self.inside {
            let Some((last, parent)) = tokens.split_last() else {
                continue;
            };
            let there = tokens
                .iter()
                .try_fold(live, |value, token| match value {
                    Value::Object(map) => map.get(token),
                    Value::Array(list) => list.get(index(token)?),
                    _ => None,
                })
                .cloned();
            match (at(body, parent), there) {
                (Some(Value::Object(map)), Some(there)) => {
                    map.insert(last.clone(), there);
                    blended = true;
                }
                (Some(Value::Object(map)), None) => blended |= map.remove(last).is_some(),
                (Some(Value::Array(list)), Some(there)) => {
                    if let Some(place) = index(last).and_then(|index| list.get_mut(index)) {
                        *place = there;
                        blended = true;
                    }
                }
                _ => {}
            }
        }
        self.leave_out(body);
        blended
    }
}

/// The value that tokens lead to.
fn at<'a>(value: &'a mut Value, tokens: &[String]) -> Option<&'a mut Value> {
    tokens.iter().try_fold(value, |value, token| match value {
        Value::Object(map) => map.get_mut(token),
        Value::Array(list) => list.get_mut(index(token)?),
        _ => None,
    })
}

/// Towline's marks among the labels or annotations.
fn marks(value: &Value, field: &str) -> Map<String, Value> {
    let map = value.pointer(&format!("/metadata/{field}"));
    let map = map.and_then(Value::as_object).into_iter().flatten();
    map.filter(|(key, _)| key.starts_with(keys::PREFIX))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Takes out what `fields` names, with all that is under it.
fn remove(value: &mut Value, fields: &Fields) {
    match value {
        Value::Object(map) => {
            for (step, child) in fields.children() {
                let Step::Field(name) = step else { continue };
                if child.is_owned() {
                    map.remove(name);
                } else if let Some(value) = map.get_mut(name) {
                    remove(value, child);
                }
            }
        }
        Value::Array(list) => {
            let names = key_names(fields);
            list.retain_mut(|element| {
                let child = step(element, &names, fields).and_then(|step| fields.child(&step));
                match child {
                    Some(child) if child.is_owned() => false,
                    Some(child) => {
                        remove(element, child);
                        true
                    }
                    None => true,
                }
            });
        }
        _ => {}
    }
}

/// How the set names an element.
fn step(element: &Value, names: &[&str], fields: &Fields) -> Option<Step> {
    if !element.is_object() {
        return Some(Step::Value(element.to_string()));
    }
    let mut key = key_of(element, names.iter().copied());
    if key.is_empty() {
        return None;
    }
    // A key that the schema gives a default (`protocol`) may be missing in Git.
    complete(&mut key, fields);
    Some(Step::Key(key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ignored(fields: Value) -> Ignored {
        Ignored {
            fields: Fields::from_json(&fields),
            ..Ignored::default()
        }
    }

    #[test]
    fn elements_are_found_by_key_with_its_defaults() {
        let mut body = json!({"spec": {"ports": [{"port": 80, "nodePort": 1}, {"port": 81}],
            "list": ["a", "b"]}});
        let ignored = ignored(json!({"f:spec": {
            "f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {"f:nodePort": {}}},
            "f:list": {"v:\"a\"": {}}}}));
        ignored.strip(&mut body);
        assert_eq!(
            body,
            json!({"spec": {"ports": [{"port": 80}, {"port": 81}], "list": ["b"]}})
        );
    }

    #[test]
    fn marks_stay_where_all_annotations_are_ignored() {
        let ignored = ignored(json!({"f:metadata": {"f:annotations": {}}}));
        let mut body = json!({"metadata": {"name": "a",
            "annotations": {"towline.dev/source": "a.yaml", "note": "x"}}});
        ignored.strip(&mut body);
        assert_eq!(
            body,
            json!({"metadata": {"name": "a", "annotations": {"towline.dev/source": "a.yaml"}}})
        );
        let owned = Fields::from_json(&json!({"f:metadata": {"f:annotations": {
            "f:towline.dev/source": {}, "f:note": {}}}}));
        let rest = ignored.outside(&owned);
        assert!(rest.contains(&Path::of(&[
            "metadata",
            "annotations",
            "towline.dev/source"
        ])));
        assert!(!rest.contains(&Path::of(&["metadata", "annotations", "note"])));
    }

    #[test]
    fn inside_of_a_whole_value_the_clusters_is_sent() {
        let ignored = Ignored {
            inside: vec![(
                Path::of(&["spec", "args"]),
                ["spec", "args", "1"].map(str::to_owned).to_vec(),
            )],
            ..Ignored::default()
        };
        let mut body = json!({"spec": {"args": ["a", "b"]}});
        assert!(ignored.yield_to(&json!({"spec": {"args": ["x", "y"]}}), &mut body));
        assert_eq!(body, json!({"spec": {"args": ["a", "y"]}}));
        ignored.strip(&mut body);
        assert_eq!(body, json!({"spec": {"args": ["a", null]}}));
        // What is not there is sent as Git has it.
        let mut body = json!({"spec": {"args": ["a", "b"]}});
        assert!(!ignored.yield_to(&json!({"spec": {}}), &mut body));
        assert_eq!(body, json!({"spec": {"args": ["a", "b"]}}));
    }
}
