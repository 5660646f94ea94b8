//! A label selector of an object, as the API server takes it in a request.

use serde_json::Value;

/// The text of a `LabelSelector`; `None` where it is missing, selects everything or is not understood:
/// then nothing is asked for.
pub(super) fn text(selector: &Value) -> Option<String> {
    let mut terms = Vec::new();
    if let Some(labels) = selector.get("matchLabels").and_then(Value::as_object) {
        for (key, value) in labels {
            terms.push(format!("{key}={}", value.as_str()?));
        }
    }
    terms.sort_unstable();
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    for expression in expressions.into_iter().flatten() {
        terms.push(term(expression)?);
    }
    (!terms.is_empty()).then(|| terms.join(","))
}

fn term(expression: &Value) -> Option<String> {
    let key = expression.get("key")?.as_str()?;
    let values = || {
        let all = expression.get("values")?.as_array()?;
        let all: Option<Vec<&str>> = all.iter().map(Value::as_str).collect();
        Some(all?.join(","))
    };
    Some(match expression.get("operator")?.as_str()? {
        "In" => format!("{key} in ({})", values()?),
        "NotIn" => format!("{key} notin ({})", values()?),
        "Exists" => key.to_owned(),
        "DoesNotExist" => format!("!{key}"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::text;

    #[test]
    fn every_operator_is_written_as_kubectl_writes_it() {
        let selector = json!({"matchLabels": {"b": "2", "a": "1"}, "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["web", "api"]},
            {"key": "track", "operator": "NotIn", "values": ["canary"]},
            {"key": "app", "operator": "Exists"},
            {"key": "old", "operator": "DoesNotExist"}]});
        assert_eq!(
            text(&selector).as_deref(),
            Some("a=1,b=2,tier in (web,api),track notin (canary),app,!old")
        );
    }

    #[test]
    fn what_selects_everything_or_is_not_understood_asks_for_nothing() {
        for selector in [
            json!(null),
            json!({}),
            json!({"matchLabels": {"a": 1}}),
            json!({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "Gt", "values": ["1"]}]}),
        ] {
            assert_eq!(text(&selector), None, "{selector}");
        }
    }
}
