//! Whether a live object holds a desired one already, so that nothing has to be written.

use super::contained::contained;
use super::ignored::Ignored;
use super::owners::{
    FIELD_MANAGER, HEAL, IGNORED_MANAGER, Operation, additions, own_operation, owned_by,
};
use crate::object::{Object, keys};

/// True when every field of `desired` is in `live` and towline's, towline owns nothing else there,
/// and kubectl added nothing; `ignored` fields left out. What is not ignored any more must have
/// come back to towline. The mark of the commit is put in when an
/// object is written, and is no part of its content.
pub fn holds(live: &Object, desired: &Object, ignored: &Ignored) -> bool {
    let Ok(owned) = owned_by(live, FIELD_MANAGER, own_operation(live)) else {
        return false;
    };
    // What kubectl added while nobody watched is drift too.
    if !ignored.outside(&additions(live, &owned, HEAL)).is_empty() {
        return false;
    }
    // What was given away because it was ignored once has to come back.
    let aside = owned_by(live, IGNORED_MANAGER, Operation::Update);
    if aside.is_ok_and(|aside| !ignored.outside(&aside).is_empty()) {
        return false;
    }
    let mut expected = desired.clone();
    if let Some(revision) = live.annotation(keys::REVISION) {
        expected.set_annotation(keys::REVISION, revision);
    }
    if ignored.is_empty() {
        return contained(&expected.0, &live.0, Some(&owned)).is_ok();
    }
    let mut there = live.0.clone();
    ignored.strip(&mut expected.0);
    ignored.strip(&mut there);
    contained(&expected.0, &there, Some(&ignored.outside(&owned))).is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Ignore;
    use super::*;
    use crate::object::Pointer;

    fn entry(manager: &str, operation: &str, fields: &Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": fields})
    }

    fn with(data: &Value, entries: &Value) -> Object {
        Object(json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "a", "managedFields": entries}, "data": data}))
    }

    fn holds_with(pointer: Option<&str>, data: &Value, entries: &Value) -> bool {
        let desired = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "a"}, "data": {"x": "1", "y": "1"}});
        let pointers = pointer.map(|text| Pointer::parse(text).expect("a pointer"));
        let live = with(data, entries);
        let ignored = Ignore::new(pointers, [], &desired).in_live(&live, true);
        holds(&live, &Object(desired), &ignored)
    }

    #[test]
    fn an_ignored_field_may_be_anything_and_anybodys() {
        let ours = json!([entry(
            "towline",
            "Apply",
            &json!({"f:data": {"f:x": {}, "f:y": {}}})
        )]);
        let same = json!({"x": "1", "y": "1"});
        assert!(holds_with(None, &same, &ours));
        let other = json!({"x": "1", "y": "2"});
        assert!(!holds_with(None, &other, &ours));
        assert!(holds_with(Some("/data/y"), &other, &ours));
        assert!(!holds_with(Some("/data/x"), &other, &ours));
        let added = json!([
            entry("towline", "Apply", &json!({"f:data": {"f:x": {}}})),
            entry("kubectl-edit", "Update", &json!({"f:data": {"f:y": {}}})),
        ]);
        assert!(!holds_with(None, &same, &added));
        assert!(holds_with(Some("/data/y"), &other, &added));
    }

    #[test]
    fn what_was_set_aside_has_to_come_back() {
        let aside = json!([
            entry(
                "towline",
                "Apply",
                &json!({"f:data": {"f:x": {}, "f:y": {}}})
            ),
            entry(IGNORED_MANAGER, "Update", &json!({"f:data": {"f:z": {}}})),
        ]);
        let data = json!({"x": "1", "y": "1", "z": "1"});
        assert!(holds_with(Some("/data/z"), &data, &aside));
        assert!(!holds_with(None, &data, &aside));
    }
}
