//! `stringData` of a Secret becomes `data`.
//!
//! The server moves it there when it writes, but ownership stays with `stringData`, which the live
//! object never has: edits of the Secret would not be seen, and a key dropped from Git would stay
//! (Flux normalises the same).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::{Rule, about};
use crate::error::Diagnostic;
use crate::object::Gvk;

pub(super) const RULE: Rule = Rule { applies, rewrite };

fn applies(gvk: &Gvk) -> bool {
    gvk.group.is_empty() && gvk.kind == "Secret"
}

fn rewrite(secret: &mut Value, _: &mut Vec<Diagnostic>) {
    let Some(map) = secret.as_object_mut() else {
        return;
    };
    if map.get("data").is_some_and(Value::is_null) {
        map.remove("data");
    }
    // What is not a map of text is left for `find` to name.
    let text = match map.get("stringData") {
        Some(Value::Null) => Map::new(),
        Some(Value::Object(text)) if text.values().all(is_text) => text.clone(),
        _ => return,
    };
    map.remove("stringData");
    if text.is_empty() {
        return;
    }
    let data = map
        .entry("data")
        .or_insert_with(|| Value::Object(Map::new()));
    let Some(data) = data.as_object_mut() else {
        return;
    };
    for (key, value) in text {
        // As on the server: `stringData` wins, and null is the empty text.
        let encoded = STANDARD.encode(value.as_str().unwrap_or_default());
        data.insert(key, Value::String(encoded));
    }
}

fn is_text(value: &Value) -> bool {
    value.is_string() || value.is_null()
}

/// Finds values that are not text (an unquoted number or boolean), or not base64 in `data`. Never
/// prints one.
pub(super) fn find(secret: &Value, gvk: &Gvk, out: &mut Vec<Diagnostic>) {
    if !applies(gvk) {
        return;
    }
    for field in ["data", "stringData"] {
        let map = match secret.get(field) {
            None | Some(Value::Null) => continue,
            Some(Value::Object(map)) => map,
            Some(_) => {
                out.push(about(
                    secret,
                    format!("`{field}` of a Secret has to be a map"),
                ));
                continue;
            }
        };
        for (key, value) in map {
            if !is_text(value) {
                let message = format!("`{field}` of a Secret holds text only, `{key}` is none");
                out.push(about(secret, message).hint("put the value in quotes"));
            } else if field == "data" && !is_base64(value) {
                let message = format!("`data` of a Secret holds base64, `{key}` is none");
                out.push(about(secret, message).hint("encode it, or put it under `stringData`"));
            }
        }
    }
}

/// As Go decodes it: line breaks are skipped.
fn is_base64(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    let text: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    STANDARD.decode(text).is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::mistakes;
    use super::super::tests::normalized;
    use super::*;

    fn secret(fields: Value) -> Value {
        let mut secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}});
        for (name, value) in fields.as_object().expect("a map") {
            secret[name] = value.clone();
        }
        secret
    }

    #[test]
    fn text_is_encoded_and_wins_over_data() {
        let (after, notes) = normalized(secret(json!({
            "stringData": {"a": "x", "n": null, "u": "é\n"}, "data": {"a": "b2xk", "b": "Yg=="}})));
        assert_eq!(
            after,
            secret(json!({"data": {"a": "eA==", "b": "Yg==", "n": "", "u": "w6kK"}}))
        );
        assert!(notes.is_empty());
        assert_eq!(
            normalized(secret(json!({"stringData": null}))).0,
            secret(json!({}))
        );
    }

    #[test]
    fn what_is_not_text_is_named_without_its_value() {
        let value = secret(json!({
            "stringData": {"pin": 4711, "ok": "x"}, "data": {"raw": "hunter2!", "good": "YQ==\n"}}));
        let mut out = Vec::new();
        mistakes(&value, false, &mut out);
        assert_eq!(
            out.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "Secret/s: `data` of a Secret holds base64, `raw` is none \
                 (hint: encode it, or put it under `stringData`)",
                "Secret/s: `stringData` of a Secret holds text only, `pin` is none \
                 (hint: put the value in quotes)",
            ]
        );
    }
}
