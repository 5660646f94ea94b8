//! Moving what other managers left behind into towline's own entry, so that the next apply drops
//! what Git does not have.
//!
//! Server-side apply removes only fields that its manager alone owns. A port that was edited has
//! another key, an environment variable that was added has an owner: both would stay for ever. The
//! API server allows `managedFields` to be written, so one JSON patch gives these paths to towline,
//! and the apply after it removes them. kubectl does the same when an object moves from
//! client-side to server-side apply.

use serde_json::{Map, Value, json};

use super::fields::Fields;
use super::ignored::Ignored;
use super::owners::{
    Entry, FIELD_MANAGER, IGNORED_MANAGER, Operation, api_version, is_application, raw_entries,
};
use super::path::{Path, Step};
use super::projection::Elements;
use crate::object::Object;

/// A change of ownership that writes no value.
#[derive(Debug, Clone, PartialEq)]
pub struct Takeover {
    /// The operations of a JSON patch (RFC 6902). The first tests the resourceVersion: managed
    /// fields computed from an older object would give away what somebody wrote since.
    pub patch: Value,
    /// The managers something is taken from, sorted.
    pub from: Vec<String>,
    /// The paths that towline did not own before.
    pub fields: Fields,
}

/// The patch that moves what the managers in `names` left behind (`HEAL` in a heal, `ADOPTION` at
/// adoption), and what towline itself wrote in replace mode, into towline's Apply entry; `None`
/// where there is nothing to move.
///
/// What is ignored goes the other way: what towline alone owns of it gets another owner
/// ([`IGNORED_MANAGER`]), so that an apply may leave it out without removing it. What is not ignored
/// any more comes back.
///
/// Entries of another version than the object's are moved only as far as their paths lead to
/// something in the object: the rest means nothing in this version and stays where it is. An own
/// entry of another version is brought to the object's the same way, because an entry left behind
/// makes later applies fail once the new version adds defaults (Flux `MigrateAPIVersion`).
///
/// Never from people on an Application of towline: its annotations are their requests.
pub fn takeover(live: &Object, names: &[&str], ignored: &Ignored) -> Option<Takeover> {
    if live.resource_version().is_empty() || (is_application(live) && ignored.is_empty()) {
        return None;
    }
    let names = if is_application(live) { &[] } else { names };
    let mut kept = Vec::new();
    let mut own: Option<(Value, Fields)> = None;
    let mut aside: Option<(Value, Fields)> = None;
    let mut taken = Fields::default();
    let mut others = Fields::default();
    let mut from = Vec::new();
    let mut time = None::<&str>;
    let mut moved = false;
    for raw in raw_entries(live) {
        let Some(entry) = Entry::read(raw) else {
            kept.push(raw.clone());
            continue;
        };
        if is_own(&entry) {
            moved |= entry.api_version != api_version(live);
            let mut fields = meaningful(live, &entry, entry.fields());
            if let Some((_, more)) = &own {
                fields.extend(more);
            }
            own = Some((raw.clone(), fields));
            continue;
        }
        if entry.manager == IGNORED_MANAGER && entry.api_version == api_version(live) {
            aside = Some((raw.clone(), entry.fields()));
            continue;
        }
        let left = ignored.outside(&meaningful(live, &entry, left_behind(&entry, names)));
        if left.is_empty() {
            kept.push(raw.clone());
            others.extend(&entry.fields());
            continue;
        }
        let rest = entry.fields().difference(&left);
        if !rest.is_empty() {
            kept.push(with(raw, "fieldsV1", rest.to_json()));
        }
        others.extend(&rest);
        taken.extend(&left);
        from.push(entry.manager.to_owned());
        time = time.max(raw.get("time").and_then(Value::as_str));
    }
    let (entry, owned) = own.unwrap_or_else(|| (Value::Object(Map::new()), Fields::default()));
    let (aside_entry, before) =
        aside.unwrap_or_else(|| (Value::Object(Map::new()), Fields::default()));
    let given = owned.difference(&ignored.outside(&owned));
    let back = ignored.outside(&before);
    let set_aside = before.difference(&back).union(&given.difference(&others));
    if from.is_empty() && !moved && given.is_empty() && back.is_empty() {
        return None;
    }
    let time = time
        .max(entry.get("time").and_then(Value::as_str))
        .map(str::to_owned);
    let own = owned.difference(&given).union(&taken).union(&back);
    kept.insert(
        0,
        entry_of((FIELD_MANAGER, "Apply"), live, &own, time.clone()),
    );
    if !set_aside.is_empty() {
        let time = aside_entry
            .get("time")
            .and_then(Value::as_str)
            .map(str::to_owned)
            .or(time);
        kept.push(entry_of(
            (IGNORED_MANAGER, "Update"),
            live,
            &set_aside,
            time,
        ));
    }
    from.sort();
    from.dedup();
    Some(Takeover {
        patch: json!([
            {"op": "test", "path": "/metadata/resourceVersion", "value": live.resource_version()},
            {"op": "replace", "path": "/metadata/managedFields", "value": kept},
        ]),
        from,
        fields: taken.union(&back).difference(&owned),
    })
}

/// The entry of all that towline applied.
fn is_own(entry: &Entry<'_>) -> bool {
    entry.manager == FIELD_MANAGER
        && entry.operation == Operation::Apply
        && entry.subresource.is_empty()
}

/// What of an entry is to be moved.
fn left_behind(entry: &Entry<'_>, names: &[&str]) -> Fields {
    if entry.manager == FIELD_MANAGER && entry.operation == Operation::Update {
        return entry.left_behind(&[FIELD_MANAGER]);
    }
    entry.left_behind(names)
}

/// The paths as they can be used at the version of the object: all where the entry is of that
/// version, else those that lead to something in the object.
fn meaningful(live: &Object, entry: &Entry<'_>, fields: Fields) -> Fields {
    if entry.api_version == api_version(live) {
        return fields;
    }
    let mut found = Vec::new();
    existing(Some(&live.0), &fields, &mut Vec::new(), &mut found);
    Fields::of(&found)
}

fn existing(live: Option<&Value>, fields: &Fields, at: &mut Vec<Step>, out: &mut Vec<Path>) {
    if live.is_none() {
        return;
    }
    if fields.is_owned() {
        out.push(Path(at.clone()));
    }
    let elements = Elements::of(live, fields);
    for (step, child) in fields.children() {
        at.push(step.clone());
        existing(elements.at(step), child, at, out);
        at.pop();
    }
}

/// An entry with these fields.
fn entry_of(
    (manager, operation): (&str, &str),
    live: &Object,
    fields: &Fields,
    time: Option<String>,
) -> Value {
    let mut entry = json!({
        "manager": manager,
        "operation": operation,
        "apiVersion": api_version(live),
        "fieldsType": "FieldsV1",
        "fieldsV1": fields.to_json(),
    });
    if let Some(time) = time {
        entry = with(&entry, "time", Value::String(time));
    }
    entry
}

/// The map with one more field.
fn with(map: &Value, name: &str, value: Value) -> Value {
    let mut map = map.as_object().cloned().unwrap_or_default();
    map.insert(name.into(), value);
    Value::Object(map)
}

#[cfg(test)]
mod tests {
    use super::super::owners::{ADOPTION, HEAL, owned_by};
    use super::*;

    fn takeover(live: &Object, names: &[&str]) -> Option<Takeover> {
        super::takeover(live, names, &Ignored::default())
    }

    fn ignoring(fields: Value) -> Ignored {
        Ignored {
            fields: Fields::from_json(&fields),
            ..Ignored::default()
        }
    }

    fn entry(manager: &str, operation: &str, subresource: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": operation, "subresource": subresource,
            "apiVersion": "v1", "fieldsType": "FieldsV1", "time": "2026-01-01T00:00:00Z",
            "fieldsV1": fields})
    }

    fn object(entries: Value) -> Object {
        Object(
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web",
            "resourceVersion": "41", "managedFields": entries},
            "spec": {"ports": [{"port": 8080, "protocol": "TCP"}], "type": "ClusterIP"}}),
        )
    }

    /// The object after the patch.
    fn patched(live: &Object, takeover: &Takeover) -> Object {
        assert_eq!(
            takeover.patch[0],
            json!({"op": "test", "path": "/metadata/resourceVersion", "value": "41"})
        );
        assert_eq!(takeover.patch[1]["path"], "/metadata/managedFields");
        let mut after = live.clone();
        after.0["metadata"]["managedFields"] = takeover.patch[1]["value"].clone();
        after
    }

    fn port(number: u32) -> Value {
        let key = format!("k:{{\"port\":{number},\"protocol\":\"TCP\"}}");
        json!({"f:spec": {"f:ports": {key: {".": {}, "f:port": {}}}}})
    }

    #[test]
    fn an_edited_service_port_becomes_ours() {
        let live = object(json!([
            entry("towline", "Apply", "", port(80)),
            entry("kubectl-edit", "Update", "", port(8080)),
            entry(
                "kube-controller-manager",
                "Update",
                "status",
                json!({"f:status": {}})
            ),
        ]));
        let moved = takeover(&live, HEAL).expect("something was left behind");
        assert_eq!(moved.from, ["kubectl-edit"]);
        let after = patched(&live, &moved);
        let owned = owned_by(&after, "towline", Operation::Apply).expect("owned");
        assert_eq!(
            owned,
            Fields::from_json(&port(80)).union(&Fields::from_json(&port(8080)))
        );
        assert_eq!(moved.fields, Fields::from_json(&port(8080)));
        assert_eq!(raw_entries(&after).len(), 2);
        assert_eq!(takeover(&after, HEAL), None);
    }

    #[test]
    fn restarts_requests_subresources_and_strangers_stay() {
        let spec = || json!({"f:spec": {"f:x": {}}});
        let live = object(json!([
            entry("towline", "Apply", "", spec()),
            entry("kubectl-rollout", "Update", "", spec()),
            entry("kubectl-annotate", "Update", "", spec()),
            entry("kubectl-label", "Update", "", spec()),
            entry("kubectl", "Update", "scale", spec()),
            entry("argocd-controller", "Apply", "", spec()),
            entry("istio", "Update", "", spec()),
        ]));
        assert_eq!(takeover(&live, HEAL), None);
        let adopted = takeover(&live, ADOPTION).expect("argocd-controller is listed");
        assert_eq!(adopted.from, ["argocd-controller"]);
        assert!(adopted.fields.is_empty());
    }

    #[test]
    fn an_application_is_never_touched() {
        let mut live = object(json!([entry(
            "kubectl-edit",
            "Update",
            "",
            json!({"f:spec": {}})
        )]));
        assert!(takeover(&live, HEAL).is_some());
        live.0["apiVersion"] = json!("towline.dev/v1alpha1");
        live.0["kind"] = json!("Application");
        assert_eq!(takeover(&live, ADOPTION), None);
    }

    #[test]
    fn status_and_old_finalizers_stay_with_whom_they_were() {
        let fields = json!({"f:metadata": {"f:finalizers": {"v:\"x\"": {}}},
            "f:spec": {"f:type": {}}, "f:status": {"f:y": {}}});
        let live = object(json!([entry("before-first-apply", "Update", "", fields)]));
        let after = patched(&live, &takeover(&live, HEAL).expect("spec is left behind"));
        let owned = owned_by(&after, "towline", Operation::Apply).expect("owned");
        assert_eq!(owned, Fields::of([&Path::of(&["spec", "type"])]));
        assert_eq!(
            raw_entries(&after)[1]["fieldsV1"],
            json!({"f:metadata": {"f:finalizers": {"v:\"x\"": {}}}, "f:status": {"f:y": {}}})
        );
    }

    #[test]
    fn entries_of_another_version_move_as_far_as_they_mean_something() {
        let mut old = entry(
            "kubectl-edit",
            "Update",
            "",
            json!({"f:spec": {"f:type": {}, "f:gone": {}}}),
        );
        old["apiVersion"] = json!("v1beta1");
        let mut own = entry(
            "towline",
            "Apply",
            "",
            json!({"f:spec": {"f:ports": {}, "f:lost": {}}}),
        );
        own["apiVersion"] = json!("v1beta1");
        let live = object(json!([own, old]));
        let after = patched(&live, &takeover(&live, HEAL).expect("to be moved"));
        let owned = owned_by(&after, "towline", Operation::Apply).expect("at the new version");
        assert_eq!(
            owned,
            Fields::of([&Path::of(&["spec", "ports"]), &Path::of(&["spec", "type"])])
        );
        assert_eq!(
            raw_entries(&after)[1]["fieldsV1"],
            json!({"f:spec": {"f:gone": {}}})
        );
        assert_eq!(takeover(&after, HEAL), None);
    }

    #[test]
    fn what_was_written_in_replace_mode_becomes_applied() {
        let live = object(json!([entry(
            "towline",
            "Update",
            "",
            json!({"f:spec": {"f:type": {}}})
        )]));
        let after = patched(&live, &takeover(&live, HEAL).expect("own update"));
        assert!(owned_by(&after, "towline", Operation::Apply).is_ok());
        assert!(owned_by(&after, "towline", Operation::Update).is_err());
    }

    #[test]
    fn a_time_is_kept_and_never_made_up() {
        let live = object(json!([entry(
            "kubectl-edit",
            "Update",
            "",
            json!({"f:spec": {}})
        )]));
        let patch = takeover(&live, HEAL).expect("left behind").patch;
        assert_eq!(patch[1]["value"][0]["time"], "2026-01-01T00:00:00Z");
    }

    #[test]
    fn what_is_ignored_gets_another_owner_and_comes_back() {
        let ours = json!({"f:spec": {"f:type": {}, "f:ports": {}, "f:selector": {}}});
        let live = object(json!([
            entry("towline", "Apply", "", ours),
            entry("istio", "Update", "", json!({"f:spec": {"f:ports": {}}})),
        ]));
        let ignored = ignoring(json!({"f:spec": {"f:type": {}, "f:ports": {}}}));
        let moved = super::takeover(&live, &[], &ignored).expect("to be set aside");
        let after = patched(&live, &moved);
        let owned = owned_by(&after, "towline", Operation::Apply).expect("owned");
        assert_eq!(owned, Fields::of([&Path::of(&["spec", "selector"])]));
        let aside = owned_by(&after, IGNORED_MANAGER, Operation::Update).expect("set aside");
        assert_eq!(
            aside,
            Fields::of([&Path::of(&["spec", "type"])]),
            "the other has an owner"
        );
        assert_eq!(super::takeover(&after, &[], &ignored), None);
        let moved = takeover(&after, &[]).expect("to come back");
        let again = patched(&after, &moved);
        let owned = owned_by(&again, "towline", Operation::Apply).expect("owned");
        assert!(owned.contains(&Path::of(&["spec", "type"])));
        assert!(owned_by(&again, IGNORED_MANAGER, Operation::Update).is_err());
        assert_eq!(takeover(&again, &[]), None);
    }

    #[test]
    fn what_people_left_in_an_ignored_field_stays_theirs() {
        let live = object(json!([
            entry("towline", "Apply", "", json!({"f:spec": {"f:type": {}}})),
            entry("kubectl-edit", "Update", "", port(8080)),
        ]));
        let ignored = ignoring(json!({"f:spec": {"f:ports": {}}}));
        assert_eq!(super::takeover(&live, HEAL, &ignored), None);
    }
}
