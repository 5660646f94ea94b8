//! Fields that the API server does not change once they are set: how its refusals say so.
//!
//! There is no reason word for it. A message quotes the whole value, such as a pod template of some
//! thousand characters, before it comes to the point; what is kept of it here is the field.

use kube::core::Status;

/// What such refusals have in common, one of these each.
const SAYINGS: &[&str] = &[
    "field is immutable",
    "is immutable after creation",
    "updates to statefulset spec for fields other than",
    "pod updates may not change fields other than",
    "cannot change roleRef",
    "may not be changed in an update",
    "updates to parameters are forbidden",
    "updates to provisioner are forbidden",
    "updates to reclaimPolicy are forbidden",
    "updates to volumeBindingMode are forbidden",
];
/// The most that is kept of what is said about one field, in characters.
const LIMIT: usize = 240;

/// Whether a message of the API server says that a field cannot be changed.
pub(super) fn is_said(message: &str) -> bool {
    !message.contains("admission webhook") && SAYINGS.iter().any(|say| message.contains(say))
}

/// The fields that cannot be changed, each with what is said of it; `None` where the refusal is
/// another one. The values are left out, those of Secrets too.
pub(super) fn fields(status: &Status, kind: &str) -> Option<String> {
    if status.code != 422 {
        return None;
    }
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let said: Vec<String> = causes
        .filter(|cause| is_said(&cause.message))
        .map(|cause| {
            let message = if cause.message.contains("field is immutable") || kind == "Secret" {
                "field is immutable".to_owned()
            } else {
                let line = cause.message.lines().next().unwrap_or_default();
                line.chars().take(LIMIT).collect()
            };
            format!("{}: {message}", cause.field)
        })
        .collect();
    (!said.is_empty()).then(|| said.join("; "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(causes: &[(&str, &str)]) -> Status {
        let causes: Vec<_> = causes
            .iter()
            .map(|(field, message)| json!({"reason": "FieldValueInvalid", "message": message, "field": field}))
            .collect();
        let status = json!({"status": "Failure", "message": "x is invalid", "reason": "Invalid",
            "code": 422, "details": {"causes": causes}});
        serde_json::from_value(status).expect("a Status")
    }

    #[test]
    fn the_field_is_kept_and_the_value_is_not() {
        let dump = format!(
            "Invalid value: {}: field is immutable",
            "core.PodTemplateSpec".repeat(999)
        );
        assert_eq!(
            fields(&status(&[("spec.template", &dump)]), "Job").as_deref(),
            Some("spec.template: field is immutable")
        );
        let claim =
            "Forbidden: spec is immutable after creation except resources.requests\n  core.Claim{";
        assert_eq!(
            fields(&status(&[("spec", claim)]), "PersistentVolumeClaim").as_deref(),
            Some("spec: Forbidden: spec is immutable after creation except resources.requests")
        );
        let secret = "Invalid value: \"hunter2\": field is immutable";
        assert_eq!(
            fields(&status(&[("type", secret)]), "Secret").as_deref(),
            Some("type: field is immutable")
        );
        let other = status(&[("spec.replicas", "Invalid value: -1")]);
        assert_eq!(fields(&other, "Deployment"), None);
    }
}
