//! A live object reduced to the fields somebody owns.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::fields::Fields;
use super::path::{Path, Step};

/// What stands at a path of a projection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Leaf<'a> {
    /// Nothing: the manager owns a path that the object does not have.
    Absent,
    /// Something of which only the presence is owned: an element of a keyed list, a map.
    Present,
    /// A value that is owned as a whole: a scalar, an atomic list or map.
    Whole(&'a Value),
}

/// Reduces `live` to the paths in `fields`, in their order.
///
/// A path without others under it stands for the whole value. The exception is an empty map
/// somebody applied (`securityContext: {}`): it reads the same in `fieldsV1`, and other managers
/// may own fields in it; `others` says where they do, and only the presence counts there.
pub fn project<'a>(live: &'a Value, fields: &Fields, others: &Fields) -> Vec<(Path, Leaf<'a>)> {
    let mut out = Vec::new();
    walk(Some(live), fields, Some(others), &mut Vec::new(), &mut out);
    out
}

fn walk<'a>(
    live: Option<&'a Value>,
    fields: &Fields,
    others: Option<&Fields>,
    at: &mut Vec<Step>,
    out: &mut Vec<(Path, Leaf<'a>)>,
) {
    if fields.is_owned() {
        let shared = others.is_some_and(|others| others.children().next().is_some());
        let leaf = match live {
            None => Leaf::Absent,
            Some(value)
                if fields.is_whole() && !(is_container(value) && (shared || is_empty(value))) =>
            {
                Leaf::Whole(value)
            }
            Some(_) => Leaf::Present,
        };
        out.push((Path(at.clone()), leaf));
    }
    let elements = Elements::of(live, fields);
    for (step, child) in fields.children() {
        at.push(step.clone());
        walk(
            elements.at(step),
            child,
            others.and_then(|others| others.child(step)),
            at,
            out,
        );
        at.pop();
    }
}

fn is_container(value: &Value) -> bool {
    value.is_object() || value.is_array()
}

/// An empty map or list is presence already, so that it stays the same when others write into it.
fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

/// The values inside a value, as the steps of a field set name them.
pub(super) struct Elements<'a> {
    value: Option<&'a Value>,
    keyed: BTreeMap<BTreeMap<String, String>, &'a Value>,
    members: BTreeMap<String, &'a Value>,
}

impl<'a> Elements<'a> {
    /// Indexes the list elements once, so that large lists stay cheap.
    pub(super) fn of(value: Option<&'a Value>, fields: &Fields) -> Self {
        let mut names = BTreeSet::new();
        let mut is_set = false;
        for (step, _) in fields.children() {
            match step {
                Step::Key(key) => names.extend(key.keys()),
                Step::Value(_) => is_set = true,
                Step::Field(_) | Step::Index(_) => {}
            }
        }
        let list = value
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        let mut keyed = BTreeMap::new();
        let mut members = BTreeMap::new();
        for element in list {
            if !names.is_empty() {
                keyed
                    .entry(key_of(element, names.iter().map(|name| name.as_str())))
                    .or_insert(element);
            }
            if is_set {
                members.entry(element.to_string()).or_insert(element);
            }
        }
        Self {
            value,
            keyed,
            members,
        }
    }

    /// The value one step further.
    pub(super) fn at(&self, step: &Step) -> Option<&'a Value> {
        match step {
            Step::Field(name) => self.value?.as_object()?.get(name),
            Step::Index(index) => self.value?.as_array()?.get(*index),
            Step::Key(key) => self.keyed.get(key).copied(),
            Step::Value(text) => self.members.get(text).copied(),
        }
    }
}

/// The key of a list element: those of `names` that it has. A list may declare keys that an element
/// leaves out, and then so does the path.
pub(super) fn key_of<'n>(
    element: &Value,
    names: impl Iterator<Item = &'n str>,
) -> BTreeMap<String, String> {
    names
        .filter_map(|name| Some((name.to_owned(), element.get(name)?)))
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name, value.to_string()))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_projection_names_what_is_there_and_what_is_not() {
        let live = json!({"ports": [{"port": 1}, {"port": 1, "protocol": "UDP"}],
            "finalizers": ["b"], "map": {"x": 1}, "list": [7, 8]});
        let fields = Fields::from_json(&json!({
            "f:ports": {"k:{\"port\":1}": {"f:port": {}},
                "k:{\"port\":1,\"protocol\":\"UDP\"}": {".": {}, "f:protocol": {}}},
            "f:finalizers": {"v:\"a\"": {}, "v:\"b\"": {}},
            "f:map": {}, "f:list": {"i:1": {}}, "f:none": {}
        }));
        let projected: Vec<String> = project(&live, &fields, &Fields::default())
            .iter()
            .map(|(path, leaf)| match leaf {
                Leaf::Absent => format!("{path} -"),
                Leaf::Present => format!("{path} +"),
                Leaf::Whole(value) => format!("{path} {value}"),
            })
            .collect();
        assert_eq!(
            projected,
            [
                "finalizers[=\"a\"] -",
                "finalizers[=\"b\"] \"b\"",
                "list[1] 8",
                "map {\"x\":1}",
                "none -",
                "ports[port=1].port 1",
                "ports[port=1,protocol=\"UDP\"] +",
                "ports[port=1,protocol=\"UDP\"].protocol \"UDP\"",
            ]
        );
    }
}
