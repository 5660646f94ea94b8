//! The fingerprint of what towline owns in a live object: how drift is seen without a copy of the
//! cluster.
//!
//! A fingerprint is compared with one taken from an apply response. Defaulting and the server's
//! own spelling (`1000m` as `1`) are in both and vanish. A difference is a suspicion: only an apply
//! that moves the resourceVersion proves drift.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::fields::Fields;
use super::ignored::Ignored;
use super::owners::{
    FIELD_MANAGER, HEAL, Operation, Unprojectable, additions, api_version, entries, is_application,
    owned_by,
};
use super::path::{Path, Step};
use super::projection::{Leaf, project};
use crate::object::{Object, keys};

/// Part of every fingerprint: one more whenever the way it is made changes, so that fingerprints of
/// another towline never match by accident.
const VERSION: u8 = 2;

/// The fingerprint of a projection. Displays as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The fingerprint of what towline owns in `live` and of what the managers in [`HEAL`] added to it,
/// without what is ignored. The replicas of a workload have a fingerprint of their own
/// ([`replicas`]): an autoscaler may take them.
///
/// A field that another manager took is no longer owned and changes the fingerprint too.
///
/// # Errors
/// Where the managed fields do not say what towline owns: then the desired object has to be
/// compared with the live one ([`super::contained()`]).
pub fn fingerprint(
    live: &Object,
    operation: Operation,
    ignored: &Ignored,
) -> Result<Fingerprint, Unprojectable> {
    let owned = owned_by(live, FIELD_MANAGER, operation)?;
    let added = ignored.outside(&additions(live, &owned, HEAL));
    let mut owned = ignored.outside(&owned);
    for whole in ignored.wholes() {
        owned.insert(whole);
    }
    let stripped = (!ignored.is_empty()).then(|| {
        let mut rest = live.0.clone();
        ignored.strip(&mut rest);
        rest
    });
    let value = stripped.as_ref().unwrap_or(&live.0);
    let theirs = ignored.theirs.clone();
    digest(live, value, [owned, added, theirs], operation, &|path| {
        *path != replicas_path()
    })
}

/// The fingerprint of `spec.replicas`, where towline owns it or a listed manager added it, and it is
/// not ignored.
pub fn replicas(live: &Object, operation: Operation, ignored: &Ignored) -> Option<Fingerprint> {
    // Most kinds have none, and are spared a second reading of their managed fields.
    live.0.pointer("/spec/replicas")?;
    let path = replicas_path();
    let owned = owned_by(live, FIELD_MANAGER, operation).ok()?;
    let added = ignored.outside(&additions(live, &owned, HEAL));
    let owned = ignored.outside(&owned);
    if !owned.contains(&path) && !added.contains(&path) {
        return None;
    }
    let none = Fields::default();
    digest(live, &live.0, [owned, added, none], operation, &|found| {
        *found == path
    })
    .ok()
}

fn replicas_path() -> Path {
    Path::of(&["spec", "replicas"])
}

/// Hashes what towline owns, what was added and what is left to a manager by its name, as far as
/// `keep` says.
fn digest(
    live: &Object,
    value: &Value,
    [owned, added, theirs]: [Fields; 3],
    operation: Operation,
    keep: &dyn Fn(&Path) -> bool,
) -> Result<Fingerprint, Unprojectable> {
    let others = others(live, operation);
    let mut hash = Sha256::new();
    hash.update([VERSION]);
    let sets = [(b"owned", owned), (b"added", added), (b"other", theirs)];
    for (label, mut fields) in sets {
        if label == b"other" && fields.is_empty() {
            continue;
        }
        if is_application(live) {
            // Requests and status annotations on an Application come and go without Git.
            fields = fields.filter(&|path| !is_mark(path));
        }
        hash.update(label);
        for (path, leaf) in project(value, &fields, &others) {
            if !keep(&path) {
                continue;
            }
            update_path(&mut hash, &path);
            match leaf {
                Leaf::Absent => hash.update(b"-"),
                Leaf::Present => hash.update(b"+"),
                Leaf::Whole(value) => update_value(&mut hash, value),
            }
        }
    }
    let digest = hash.finalize();
    let first = digest.first_chunk::<8>().expect("sha256 has 32 bytes");
    Ok(Fingerprint(u64::from_be_bytes(*first)))
}

/// What everybody but towline owns, at the version of the object.
fn others(live: &Object, operation: Operation) -> Fields {
    let mut all = Fields::default();
    for entry in entries(live) {
        let own = entry.manager == FIELD_MANAGER && entry.operation == operation;
        if entry.api_version == api_version(live) && !own {
            all.extend(&entry.fields());
        }
    }
    all
}

/// True for the labels and annotations of towline in `metadata`.
pub(super) fn is_mark(path: &Path) -> bool {
    match path.0.as_slice() {
        [
            Step::Field(first),
            Step::Field(second),
            Step::Field(key),
            ..,
        ] => {
            first == "metadata"
                && (second == "annotations" || second == "labels")
                && key.starts_with(keys::PREFIX)
        }
        _ => false,
    }
}

/// Every part with its length before it: no two paths or values can run into one another.
fn update_text(hash: &mut Sha256, form: u8, text: &str) {
    hash.update([form]);
    hash.update((text.len() as u64).to_be_bytes());
    hash.update(text);
}

fn update_path(hash: &mut Sha256, path: &Path) {
    hash.update([b'P']);
    hash.update((path.0.len() as u64).to_be_bytes());
    for step in &path.0 {
        match step {
            Step::Field(name) => update_text(hash, b'f', name),
            Step::Value(text) => update_text(hash, b'v', text),
            Step::Index(index) => update_text(hash, b'i', &index.to_string()),
            Step::Key(key) => {
                hash.update([b'k']);
                hash.update((key.len() as u64).to_be_bytes());
                for (name, text) in key {
                    update_text(hash, b'n', name);
                    update_text(hash, b't', text);
                }
            }
        }
    }
}

/// The value with its keys sorted, whatever order the map keeps.
fn update_value(hash: &mut Sha256, value: &Value) {
    match value {
        Value::Array(list) => {
            hash.update([b'[']);
            hash.update((list.len() as u64).to_be_bytes());
            for element in list {
                update_value(hash, element);
            }
        }
        Value::Object(map) => {
            hash.update([b'{']);
            hash.update((map.len() as u64).to_be_bytes());
            let sorted: BTreeMap<_, _> = map.iter().collect();
            for (name, value) in sorted {
                update_text(hash, b'n', name);
                update_value(hash, value);
            }
        }
        scalar => update_text(hash, b's', &scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn live() -> Object {
        Object(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "labels": {"a": "b"}, "managedFields": [{
                "manager": "towline", "operation": "Apply", "apiVersion": "apps/v1",
                "fieldsType": "FieldsV1",
                "fieldsV1": {"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {
                    "f:replicas": {},
                    "f:securityContext": {},
                    "f:args": {},
                    "f:containers": {"k:{\"name\":\"web\"}": {".": {}, "f:name": {}, "f:image": {},
                        "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}
                }}
            }]},
            "spec": {"replicas": 3, "securityContext": {}, "args": ["a", "b"],
                "containers": [
                    {"name": "side", "image": "s"},
                    {"name": "web", "image": "x:1", "imagePullPolicy": "Always",
                     "ports": [{"containerPort": 80, "protocol": "UDP"}, {"containerPort": 80, "protocol": "TCP"}]}
                ]},
            "status": {"replicas": 3}
        }))
    }

    fn print(object: &Object) -> (Fingerprint, Option<Fingerprint>) {
        let ignored = Ignored::default();
        let print = fingerprint(object, Operation::Apply, &ignored).expect("owned");
        (print, replicas(object, Operation::Apply, &ignored))
    }

    fn changed(change: impl FnOnce(&mut Value)) -> (Fingerprint, Option<Fingerprint>) {
        let mut object = live();
        change(&mut object.0);
        print(&object)
    }

    fn add_entry(object: &mut Value, manager: &str, fields: Value) {
        object["metadata"]["managedFields"]
            .as_array_mut()
            .expect("a list")
            .push(json!({
            "manager": manager, "operation": "Update", "apiVersion": "apps/v1",
            "fieldsType": "FieldsV1", "fieldsV1": fields}));
    }

    #[test]
    fn what_nobody_of_ours_owns_leaves_the_fingerprint() {
        let before = print(&live());
        assert_eq!(before, changed(|o| o["status"]["replicas"] = json!(1)));
        assert_eq!(
            before,
            changed(|o| o["metadata"]["resourceVersion"] = json!("7"))
        );
        assert_eq!(
            before,
            changed(|o| o["spec"]["containers"][1]["imagePullPolicy"] = json!("Never"))
        );
        assert_eq!(
            before,
            changed(|o| o["spec"]["containers"][0]["image"] = json!("t"))
        );
        assert_eq!(
            before,
            changed(|o| o["spec"]["containers"]
                .as_array_mut()
                .expect("a list")
                .reverse())
        );
        assert_eq!(
            before,
            changed(|o| add_entry(o, "istio", json!({"f:spec": {"f:x": {}}})))
        );
    }

    #[test]
    fn an_owned_value_that_changes_moves_the_fingerprint() {
        let before = print(&live());
        assert_ne!(before, changed(|o| o["spec"]["replicas"] = json!(4)));
        assert_ne!(before, changed(|o| o["spec"]["args"] = json!(["b", "a"])));
        assert_ne!(
            before,
            changed(|o| o["spec"]["containers"][1]["image"] = json!("x:2"))
        );
        assert_ne!(
            before,
            changed(|o| o["spec"]["containers"][1]["name"] = json!("api"))
        );
        assert_ne!(
            before,
            changed(|o| o["spec"]["containers"][1]["ports"][1]["containerPort"] = json!(8080))
        );
        assert_ne!(before, changed(|o| o["metadata"]["labels"] = json!({})));
    }

    #[test]
    fn a_field_that_another_manager_took_moves_the_fingerprint() {
        let taken = changed(|o| {
            let spec = &mut o["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"];
            spec.as_object_mut().expect("a map").remove("f:replicas");
        });
        assert_ne!(print(&live()), taken);
    }

    #[test]
    fn additions_by_listed_managers_move_the_fingerprint_and_so_do_their_values() {
        let with = |value| {
            changed(|o| {
                o["spec"]["x"] = json!(value);
                add_entry(o, "kubectl-edit", json!({"f:spec": {"f:x": {}}}));
            })
        };
        assert_ne!(print(&live()), with(1));
        assert_ne!(with(1), with(2));
        let twice =
            changed(|o| add_entry(o, "kubectl-edit", json!({"f:spec": {"f:replicas": {}}})));
        assert_eq!(print(&live()), twice);
    }

    #[test]
    fn an_empty_map_others_write_into_counts_by_presence() {
        let others = |value: Value| {
            changed(|o| {
                o["spec"]["securityContext"] = value;
                add_entry(
                    o,
                    "webhook",
                    json!({"f:spec": {"f:securityContext": {"f:a": {}}}}),
                );
            })
        };
        assert_eq!(others(json!({"a": 1})), others(json!({"a": 2})));
        assert_ne!(
            others(json!({"a": 1})),
            changed(|o| {
                o["spec"]
                    .as_object_mut()
                    .expect("a map")
                    .remove("securityContext");
                add_entry(
                    o,
                    "webhook",
                    json!({"f:spec": {"f:securityContext": {"f:a": {}}}}),
                );
            })
        );
    }

    #[test]
    fn ignored_paths_and_marks_on_an_application_do_not_count() {
        let ignored = Ignored {
            fields: Fields::of([&Path::of(&["spec", "args"])]),
            ..Ignored::default()
        };
        let mut other = live();
        other.0["spec"]["args"] = json!(["c"]);
        assert_ne!(print(&live()), print(&other));
        assert_eq!(
            fingerprint(&live(), Operation::Apply, &ignored),
            fingerprint(&other, Operation::Apply, &ignored)
        );
        let application = |suspend: &str| {
            Object(
                json!({"apiVersion": "towline.dev/v1alpha1", "kind": "Application",
            "metadata": {"annotations": {"towline.dev/suspend": suspend}, "managedFields": [{
                "manager": "towline", "operation": "Apply", "apiVersion": "towline.dev/v1alpha1",
                "fieldsV1": {"f:metadata": {"f:annotations": {"f:towline.dev/suspend": {}}}}}]}}),
            )
        };
        assert_eq!(print(&application("a")), print(&application("b")));
    }

    #[test]
    fn a_fingerprint_is_the_same_in_every_build() {
        // Taken once: a change here needs a new VERSION.
        assert_eq!(print(&live()).0.to_string(), "e6e449210b2491d4");
    }
}
