//! Replacing `$(VAR)` in text. `$$` is an escaped `$`; an unknown `$(VAR)` stays.

use std::collections::BTreeMap;

use serde_json::Value;

/// The text with every known var replaced; none where it would be longer than `most` bytes. A text
/// that is nothing but `$(VAR)` takes over the type of the value.
pub(super) fn expand(input: &str, values: &BTreeMap<String, Value>, most: usize) -> Option<Value> {
    let mut out = String::new();
    let mut rest = input;
    while let Some(dollar) = rest.find('$') {
        if out.len() + rest.len() > most {
            return None;
        }
        out.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        let Some(next) = after.chars().next() else {
            out.push('$');
            return Some(Value::String(out));
        };
        rest = match next {
            '$' => {
                out.push('$');
                &after[1..]
            }
            '(' => match after.find(')') {
                Some(end) => {
                    let name = &after[1..end];
                    match values.get(name).filter(|value| is_primitive(value)) {
                        Some(value) if input == format!("$({name})") => return Some(value.clone()),
                        Some(value) => out.push_str(&printed(value)),
                        None => out.push_str(&format!("$({name})")),
                    }
                    &after[end + 1..]
                }
                None => {
                    out.push_str("$(");
                    &after[1..]
                }
            },
            other => {
                out.push('$');
                out.push(other);
                &after[other.len_utf8()..]
            }
        };
    }
    out.push_str(rest);
    (out.len() <= most).then_some(Value::String(out))
}

fn is_primitive(value: &Value) -> bool {
    matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_))
}

fn printed(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values() -> BTreeMap<String, Value> {
        [("A".to_owned(), json!("a")), ("N".to_owned(), json!(5))].into()
    }

    #[test]
    fn a_lone_var_keeps_its_type() {
        assert_eq!(expand("$(N)", &values(), 99), Some(json!(5)));
        assert_eq!(expand("-$(N)", &values(), 99), Some(json!("-5")));
    }

    #[test]
    fn escapes_and_unknown_vars_stay() {
        assert_eq!(
            expand("$$(A)$(B)$(A)$x$(", &values(), 99),
            Some(json!("$(A)$(B)a$x$("))
        );
        assert_eq!(expand("a$", &values(), 99), Some(json!("a$")));
    }

    #[test]
    fn no_text_becomes_longer_than_allowed() {
        let long = [("L".to_owned(), json!("x".repeat(50)))].into();
        assert!(expand("$(L)$(L)", &long, 100).is_some());
        assert_eq!(expand("$(L)$(L)$(L)", &long, 100), None);
        assert_eq!(expand("$(L)$(L).", &long, 100), None);
    }
}
