//! A placeholder in `caBundle` is left out.
//!
//! cert-manager's injector and its like fill the field after the apply. Generators write a blank
//! there (`Cg==`, one newline, is controller-gen's), and each apply would put it back: the webhook
//! then fails closed until the injector returns.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::pod_spec::list_mut;
use super::{Rule, about};
use crate::error::Diagnostic;
use crate::object::Gvk;

pub(super) const RULE: Rule = Rule { applies, rewrite };

fn applies(gvk: &Gvk) -> bool {
    matches!(
        (gvk.group.as_str(), gvk.kind.as_str()),
        (
            "admissionregistration.k8s.io",
            "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration"
        ) | ("apiextensions.k8s.io", "CustomResourceDefinition")
            | ("apiregistration.k8s.io", "APIService")
    )
}

fn rewrite(object: &mut Value, notes: &mut Vec<Diagnostic>) {
    let mut meant = drop_placeholder(object.get_mut("spec"));
    meant |= drop_placeholder(object.pointer_mut("/spec/conversion/webhook/clientConfig"));
    for webhook in list_mut(object.get_mut("webhooks")) {
        meant |= drop_placeholder(webhook.get_mut("clientConfig"));
    }
    if meant {
        let message = "`caBundle` holds no certificate and is left out";
        notes.push(about(object, message.into()).hint(
            "remove it if something in the cluster injects it, or put the PEM certificate there",
        ));
    }
}

/// Drops a `caBundle` without a certificate. True when it was not blank: then somebody may have
/// meant something by it.
fn drop_placeholder(holder: Option<&mut Value>) -> bool {
    let Some(map) = holder.and_then(Value::as_object_mut) else {
        return false;
    };
    let text = match map.get("caBundle") {
        Some(Value::String(text)) => text.trim(),
        Some(Value::Null) => "",
        // Another type is for the server to refuse.
        _ => return false,
    };
    let decoded = STANDARD.decode(text);
    let content = decoded.as_deref().unwrap_or(text.as_bytes());
    if content.windows(10).any(|window| window == b"-----BEGIN") {
        return false;
    }
    let blank = content.iter().all(u8::is_ascii_whitespace);
    map.remove("caBundle");
    !blank
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::normalized;
    use super::*;

    fn webhooks(bundle: &str) -> (Value, Vec<String>) {
        normalized(json!({"apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "w"},
            "webhooks": [{"name": "a", "clientConfig": {"caBundle": bundle, "url": "u"}}]}))
    }

    #[test]
    fn blanks_are_dropped_without_a_word_and_words_with_one() {
        for (bundle, notes) in [
            ("Cg==", 0),
            ("", 0),
            ("\n", 0),
            ("${CA_BUNDLE}", 1),
            ("Zm9v", 1),
        ] {
            let (after, said) = webhooks(bundle);
            assert_eq!(
                after["webhooks"][0]["clientConfig"],
                json!({"url": "u"}),
                "{bundle}"
            );
            assert_eq!(said.len(), notes, "{bundle}: {said:?}");
        }
    }

    #[test]
    fn a_certificate_stays() {
        let bundle = STANDARD.encode("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n");
        assert_eq!(
            webhooks(&bundle).0["webhooks"][0]["clientConfig"]["caBundle"],
            json!(bundle)
        );
    }

    #[test]
    fn conversion_webhooks_and_api_services_too() {
        let (crd, _) = normalized(json!({"apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "spec": {"conversion": {"webhook": {"clientConfig": {"caBundle": "Cg=="}}}}}));
        assert_eq!(
            crd["spec"]["conversion"]["webhook"]["clientConfig"],
            json!({})
        );
        let (service, _) = normalized(json!({"apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService", "spec": {"caBundle": "Cg==", "group": "g"}}));
        assert_eq!(service["spec"], json!({"group": "g"}));
    }
}
