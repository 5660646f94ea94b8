//! What of an object is left to others: `spec.ignoreDifferences`, `towline.dev/ignore-fields`, and
//! the replicas of a workload that has an autoscaler.
//!
//! One rule for everything: what is ignored is no difference, no drift, and is not written to an
//! object that is there. Only a create sends what Git has.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fields::Fields;
use super::ignored::Ignored;
use super::keyed::key_names;
use super::owners::{api_version, entries, replicas_yielded};
use super::path::{Path, Step};
use super::projection::key_of;
use crate::object::{Object, Pointer};

/// The rules for one object. Those that name elements of a list by position know which element of
/// the desired object is meant, since others may put theirs in between.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignore {
    pointers: Vec<Vec<Hop>>,
    managers: Vec<String>,
}

/// One token of a pointer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Hop {
    token: String,
    /// The scalars of the element that the token names, where the desired object has a list here.
    element: Option<BTreeMap<String, String>>,
}

impl Ignore {
    /// The rules for `desired`: the values that `pointers` lead to, and every value that one of
    /// `managers` owns in the live object.
    pub fn new(
        pointers: impl IntoIterator<Item = Pointer>,
        managers: impl IntoIterator<Item = String>,
        desired: &Value,
    ) -> Self {
        let mut pointers: Vec<Vec<Hop>> = pointers
            .into_iter()
            .map(|pointer| hops(&pointer, desired))
            .collect();
        let mut managers: Vec<String> = managers.into_iter().collect();
        pointers.sort();
        pointers.dedup();
        managers.sort();
        managers.dedup();
        Self { pointers, managers }
    }

    /// True when nothing is ignored.
    pub fn is_empty(&self) -> bool {
        self.pointers.is_empty() && self.managers.is_empty()
    }

    /// The desired object without what pointers lead to: what its content is compared by. What a
    /// manager owns shows in the live object only.
    #[must_use]
    pub fn without(&self, desired: &Value) -> Value {
        let mut rest = desired.clone();
        let mut places: Vec<Vec<Place>> = self
            .pointers
            .iter()
            .filter_map(|hops| places(hops, desired))
            .collect();
        // From the end, so that positions in lists stay what they are.
        places.sort();
        for place in places.iter().rev() {
            take(&mut rest, place);
        }
        rest
    }

    /// What is ignored in this live object. `yields`: its replicas too, where an autoscaler owns
    /// them.
    pub fn in_live(&self, live: &Object, yields: bool) -> Ignored {
        let mut ignored = Ignored::default();
        if !self.is_empty() {
            let version = api_version(live);
            let mut all = Fields::default();
            for entry in entries(live).filter(|entry| entry.api_version == version) {
                let fields = entry.fields();
                if self.managers.iter().any(|name| name == entry.manager) {
                    values(&fields, &mut Vec::new(), &mut ignored.theirs);
                }
                all.extend(&fields);
            }
            ignored.fields = ignored.theirs.clone();
            for hops in &self.pointers {
                resolve(hops, &live.0, &all, &mut ignored);
            }
        }
        if yields && replicas_yielded(live).is_some() {
            ignored.fields.insert(&Path::of(&["spec", "replicas"]));
        }
        ignored
    }
}

fn hops(pointer: &Pointer, desired: &Value) -> Vec<Hop> {
    let mut at = Some(desired);
    pointer
        .tokens()
        .iter()
        .map(|token| {
            let list = at.and_then(Value::as_array);
            let next = at.and_then(|value| inside(value, token));
            let element = list.map(|_| next.map(scalars).unwrap_or_default());
            at = next;
            Hop {
                token: token.clone(),
                element,
            }
        })
        .collect()
}

/// The value one token further.
fn inside<'a>(value: &'a Value, token: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map.get(token),
        Value::Array(list) => list.get(index(token)?),
        _ => None,
    }
}

/// A position as a pointer writes it: no sign, no leading zero.
pub(super) fn index(token: &str) -> Option<usize> {
    let index: usize = token.parse().ok()?;
    (index.to_string() == token).then_some(index)
}

/// The scalar fields of a map, as JSON texts: by them the element is found in a keyed list.
fn scalars(element: &Value) -> BTreeMap<String, String> {
    let fields = element.as_object().into_iter().flatten();
    fields
        .filter(|(_, value)| !value.is_object() && !value.is_array() && !value.is_null())
        .map(|(name, value)| (name.clone(), value.to_string()))
        .collect()
}

/// One step to a place in a value, ordered so that what comes last is taken out first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Field(String),
    Index(usize),
}

/// Where a pointer leads to in `desired`, if it leads to something.
fn places(hops: &[Hop], desired: &Value) -> Option<Vec<Place>> {
    let mut at = desired;
    let mut places = Vec::with_capacity(hops.len());
    for hop in hops {
        places.push(match at {
            Value::Array(_) => Place::Index(index(&hop.token)?),
            _ => Place::Field(hop.token.clone()),
        });
        at = inside(at, &hop.token)?;
    }
    Some(places)
}

/// Takes out what is at a place.
fn take(value: &mut Value, places: &[Place]) {
    let Some((first, rest)) = places.split_first() else {
        return;
    };
    match (value, first) {
        (Value::Object(map), Place::Field(name)) if rest.is_empty() => {
            map.remove(name);
        }
        (Value::Array(list), Place::Index(index)) if rest.is_empty() && *index < list.len() => {
            list.remove(*index);
        }
        (Value::Object(map), Place::Field(name)) => {
            if let Some(next) = map.get_mut(name) {
                take(next, rest);
            }
        }
        (Value::Array(list), Place::Index(index)) => {
            if let Some(next) = list.get_mut(*index) {
                take(next, rest);
            }
        }
        _ => {}
    }
}

/// The paths in `fields` that stand for values: not the presence of a list element, and not the
/// fields by which it is told from others, without which nothing of it could be applied.
fn values(fields: &Fields, at: &mut Vec<Step>, out: &mut Fields) {
    for (step, child) in fields.children() {
        let is_name = matches!((at.last(), step), (Some(Step::Key(key)), Step::Field(name))
            if key.contains_key(name));
        if is_name {
            continue;
        }
        at.push(step.clone());
        if child.is_whole() && !matches!(step, Step::Key(_)) {
            out.insert(&Path(at.clone()));
        }
        values(child, at, out);
        at.pop();
    }
}

/// Adds what a pointer leads to in `live`, where `all` is what anybody owns. A field that is not
/// there is ignored too: Git may have it. An element of a list that is not there is new, and is
/// sent as Git has it.
fn resolve(hops: &[Hop], live: &Value, all: &Fields, out: &mut Ignored) {
    let mut at: Vec<Step> = Vec::new();
    let mut value = Some(live);
    let mut fields = Some(all);
    for hop in hops {
        let is_full = |value: &Value| {
            value.as_object().is_some_and(|map| !map.is_empty())
                || value.as_array().is_some_and(|list| !list.is_empty())
        };
        let is_whole = fields.is_some_and(Fields::is_whole) && value.is_some_and(is_full);
        let is_list = value.map_or(hop.element.is_some(), Value::is_array);
        let step = if is_whole {
            None
        } else if is_list {
            let Some(list) = value.and_then(Value::as_array) else {
                return;
            };
            match element(hop, list, fields) {
                Element::Step(step) => Some(step),
                Element::Unkeyed => None,
                Element::Missing => return,
            }
        } else {
            if let Some(Step::Key(key)) = at.last()
                && key.contains_key(&hop.token)
            {
                return;
            }
            Some(Step::field(hop.token.as_str()))
        };
        let Some(step) = step else {
            let tokens = hops.iter().map(|hop| hop.token.clone()).collect();
            return out.inside.push((Path(at), tokens));
        };
        value = match (&step, value) {
            (Step::Key(key), Some(Value::Array(list))) => list
                .iter()
                .find(|element| key_of(element, key.keys().map(String::as_str)) == *key),
            (_, Some(value)) => inside(value, &hop.token),
            (_, None) => None,
        };
        fields = fields.and_then(|fields| fields.child(&step));
        at.push(step);
    }
    out.fields.insert(&Path(at));
}

/// How an element of a live list is named in field sets.
enum Element {
    Step(Step),
    /// The list is owned as a whole, so that its elements have no names.
    Unkeyed,
    /// It is not there.
    Missing,
}

fn element(hop: &Hop, list: &[Value], fields: Option<&Fields>) -> Element {
    let Some(fields) = fields else {
        return Element::Unkeyed;
    };
    let names = key_names(fields);
    let position = index(&hop.token);
    if names.is_empty() {
        let is_set = fields
            .children()
            .any(|(step, _)| matches!(step, Step::Value(_)));
        return match position.and_then(|index| list.get(index)) {
            None => Element::Missing,
            Some(member) if is_set => Element::Step(Step::Value(member.to_string())),
            Some(_) => Element::Unkeyed,
        };
    }
    // The element that Git has at this position, wherever it is in the cluster.
    if let Some(wanted) = hop.element.as_ref().filter(|wanted| !wanted.is_empty()) {
        let agrees = |key: &BTreeMap<String, String>| {
            key.iter()
                .all(|(name, text)| wanted.get(name).is_none_or(|own| own == text))
                && key.keys().any(|name| wanted.contains_key(name))
        };
        let found = fields.children().find_map(|(step, _)| match step {
            Step::Key(key) if agrees(key) => Some(step.clone()),
            _ => None,
        });
        return found.map_or(Element::Missing, Element::Step);
    }
    match position.and_then(|index| list.get(index)) {
        None => Element::Missing,
        Some(element) => Element::Step(Step::Key(key_of(element, names.into_iter()))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ignore(pointers: &[&str], desired: &Value) -> Ignore {
        let pointers = pointers
            .iter()
            .map(|text| Pointer::parse(text).expect("a pointer"));
        Ignore::new(pointers, [], desired)
    }

    fn desired() -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [
                {"name": "web", "image": "x:1", "args": ["a", "b"]},
                {"name": "log", "image": "y:1"}]}}}})
    }

    /// The desired object in the cluster, behind a sidecar that a webhook put first.
    fn live() -> Object {
        let mut live = desired();
        let containers = &mut live["spec"]["template"]["spec"]["containers"];
        let own = containers.as_array().cloned().expect("a list");
        *containers = json!([{"name": "mesh", "image": "m:1"}, own[0], own[1]]);
        let owned = |names: &[&str]| -> Value {
            let one = |name: &&str| {
                (
                    format!("k:{{\"name\":\"{name}\"}}"),
                    json!({".": {}, "f:name": {}, "f:image": {}, "f:args": {}}),
                )
            };
            let all: serde_json::Map<_, _> = names.iter().map(one).collect();
            json!({"f:spec": {"f:template": {"f:spec": {"f:containers": all}}}})
        };
        let entry = |manager: &str, operation: &str, fields: Value| {
            json!({"manager": manager, "operation": operation, "apiVersion": "apps/v1",
                "fieldsV1": fields})
        };
        live["metadata"]["managedFields"] = json!([
            entry("towline", "Apply", owned(&["web", "log"])),
            entry("mesh-injector", "Update", owned(&["mesh"])),
            entry("vpa", "Update", json!({"f:spec": {"f:paused": {}}})),
        ]);
        Object(live)
    }

    fn lines(ignore: &Ignore) -> Vec<String> {
        let ignored = ignore.in_live(&live(), true);
        let paths = ignored.fields.paths();
        let inside = ignored.inside.iter();
        paths
            .iter()
            .map(ToString::to_string)
            .chain(inside.map(|(whole, tokens)| format!("{whole} at {}", tokens.join("/"))))
            .collect()
    }

    #[test]
    fn content_is_what_is_left_without_the_ignored() {
        let ignore = ignore(
            &[
                "/spec/replicas",
                "/spec/template/spec/containers/0/image",
                "/spec/template/spec/containers/1",
                "/spec/template/spec/containers/0/args/0",
                "/spec/none/0",
            ],
            &desired(),
        );
        assert_eq!(
            ignore.without(&desired())["spec"],
            json!({"template": {"spec": {"containers": [{"name": "web", "args": ["b"]}]}}})
        );
    }

    #[test]
    fn a_position_is_that_of_the_desired_object() {
        let at = |pointer| lines(&ignore(&[pointer], &desired()));
        assert_eq!(
            at("/spec/template/spec/containers/0/image"),
            ["spec.template.spec.containers[name=\"web\"].image"]
        );
        assert_eq!(
            at("/spec/template/spec/containers/1"),
            ["spec.template.spec.containers[name=\"log\"]"]
        );
        // Git has no third: the cluster's is meant.
        assert_eq!(
            at("/spec/template/spec/containers/2/image"),
            ["spec.template.spec.containers[name=\"log\"].image"]
        );
        assert_eq!(at("/spec/template/spec/containers/7/image"), [""; 0]);
        assert_eq!(at("/spec/template/spec/containers/-/image"), [""; 0]);
    }

    #[test]
    fn a_container_that_is_new_is_sent_as_git_has_it() {
        let mut newer = desired();
        newer["spec"]["template"]["spec"]["containers"][0]["name"] = json!("api");
        let ignore = ignore(&["/spec/template/spec/containers/0/image"], &newer);
        assert_eq!(lines(&ignore), [""; 0]);
    }

    #[test]
    fn the_name_of_an_element_is_never_left_out() {
        let at = |pointer| lines(&ignore(&[pointer], &desired()));
        assert_eq!(at("/spec/template/spec/containers/0/name"), [""; 0]);
    }

    #[test]
    fn a_place_inside_of_a_list_that_is_owned_as_a_whole_is_kept_as_such() {
        let at = |pointer| lines(&ignore(&[pointer], &desired()));
        assert_eq!(
            at("/spec/template/spec/containers/0/args/1"),
            [
                "spec.template.spec.containers[name=\"web\"].args at spec/template/spec/containers/0/args/1"
            ]
        );
    }

    #[test]
    fn what_a_manager_owns_are_values() {
        let by = |name: &str| lines(&Ignore::new([], [name.to_owned()], &desired()));
        assert_eq!(by("vpa"), ["spec.paused"]);
        assert_eq!(
            by("mesh-injector"),
            [
                "spec.template.spec.containers[name=\"mesh\"].args",
                "spec.template.spec.containers[name=\"mesh\"].image",
            ]
        );
        assert_eq!(by("nobody"), [""; 0]);
    }

    #[test]
    fn a_field_that_is_not_there_is_ignored_too() {
        assert_eq!(
            lines(&ignore(&["/metadata/annotations/a~1b"], &desired())),
            ["metadata.annotations[\"a/b\"]"]
        );
    }
}
