//! Secrets that a platform appends to a ServiceAccount stay.
//!
//! OpenShift adds `NAME-dockercfg-XXXXX` to `secrets` and `imagePullSecrets` of every
//! ServiceAccount. The second is one atomic value: an apply of Git's list removes the platform's
//! element, the platform puts it back (and makes one more Secret each time).

use serde_json::Value;

use super::gvk;
use super::pod_spec::list;

/// Adds to the `imagePullSecrets` of a desired ServiceAccount what the platform put into the live
/// one. A list that Git does not have is not touched: then the platform owns it alone. `secrets` is
/// a keyed list, where both can have their own.
pub fn keep_platform_secrets(desired: &mut Value, live: &Value) {
    let kind = gvk(desired);
    if !kind.group.is_empty() || kind.kind != "ServiceAccount" {
        return;
    }
    let name = match desired.pointer("/metadata/name").and_then(Value::as_str) {
        Some(name) if !name.is_empty() => name,
        _ => return,
    };
    let prefix = format!("{name}-dockercfg-");
    let Some(wanted) = desired
        .get_mut("imagePullSecrets")
        .and_then(Value::as_array_mut)
    else {
        return;
    };
    for secret in list(live.get("imagePullSecrets")) {
        let of_platform = secret
            .get("name")
            .and_then(Value::as_str)
            .is_some_and(|secret| secret.starts_with(&prefix));
        if of_platform && !wanted.contains(secret) {
            wanted.push(secret.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn account(secrets: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"},
            "imagePullSecrets": secrets})
    }

    #[test]
    fn what_the_platform_added_is_kept_and_what_people_added_is_not() {
        let mut desired = account(&json!([{"name": "ghcr"}]));
        let live =
            account(&json!([{"name": "web-dockercfg-x1"}, {"name": "ghcr"}, {"name": "mine"}]));
        keep_platform_secrets(&mut desired, &live);
        assert_eq!(
            desired,
            account(&json!([{"name": "ghcr"}, {"name": "web-dockercfg-x1"}]))
        );
        let before = desired.clone();
        keep_platform_secrets(&mut desired, &live);
        assert_eq!(desired, before);
    }

    #[test]
    fn a_list_that_git_does_not_have_is_not_made() {
        let mut desired =
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"}});
        let before = desired.clone();
        keep_platform_secrets(
            &mut desired,
            &account(&json!([{"name": "web-dockercfg-x1"}])),
        );
        assert_eq!(desired, before);
    }
}
