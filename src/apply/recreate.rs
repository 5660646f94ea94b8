//! The first half of creating an object anew: a dry run of the new one, then the deletion of the old
//! one. The second half is an ordinary create, once the old one is gone: nothing waits here, and
//! whoever comes after a crash finds an object that is recorded, declared and not there.

use serde_json::Value;

use super::{Context, Effect, body};
use crate::cluster::{Deleted, Error, Propagation, Put, Target};
use crate::desired::DesiredObject;
use crate::live::{Ignored, Observed};
use crate::object::Object;

/// Behind the name of the object that the dry run creates.
const SUFFIX: &str = "-towline-trial";
/// The longest name of a kind whose names are DNS labels.
const MAX_NAME: usize = 63;

/// Tries the new object under another name, then deletes the old one.
pub(super) async fn begin(
    context: Context<'_>,
    target: &Target,
    object: &DesiredObject,
    seen: &Observed,
) -> Result<Effect, Error> {
    let trial = trial(&body::body(
        object,
        context.revision,
        None,
        &Ignored::default(),
    ));
    let place = Target::new(&target.resource, target.namespace.as_str(), trial.name());
    let (cluster, who) = (context.cluster, context.who);
    let tried = if object.replaces {
        cluster.put(who, &place, &trial, Put::Create, true).await
    } else {
        cluster.apply(who, &place, &trial, true).await
    };
    tried.map_err(|error| named(error, target))?;
    // Its dependants go first: two generations of pods would run beside one another otherwise.
    let propagation = Propagation::Foreground;
    let deleted = cluster.delete(who, target, &seen.uid, propagation).await?;
    match deleted {
        Deleted::Gone | Deleted::Absent => Ok(Effect::Removed { terminating: false }),
        Deleted::Terminating => Ok(Effect::Removed { terminating: true }),
        Deleted::OtherUid => Err(Error::Refused {
            doing: format!("create {} anew", target.id()),
            code: 409,
            server_reason: "Conflict".into(),
            message: "it is another object of the same name by now".into(),
            retry_after: None,
        }),
    }
}

/// The object under another name, without what only one object can have.
fn trial(object: &Object) -> Object {
    let mut trial = object.clone();
    let mut name = trial.name().to_owned();
    name.truncate(MAX_NAME - SUFFIX.len());
    let name = name.trim_end_matches(['-', '.']);
    trial.0["metadata"]["name"] = format!("{name}{SUFFIX}").into();
    let kind = trial.kind().to_owned();
    let Some(spec) = trial.0.get_mut("spec").and_then(Value::as_object_mut) else {
        return trial;
    };
    match kind.as_str() {
        "Service" => {
            if spec.get("clusterIP").is_some_and(|ip| ip != "None") {
                spec.remove("clusterIP");
                spec.remove("clusterIPs");
            }
            spec.remove("healthCheckNodePort");
            let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
            for port in ports.into_iter().flatten() {
                if let Some(port) = port.as_object_mut() {
                    port.remove("nodePort");
                }
            }
        }
        "PersistentVolumeClaim" => {
            spec.remove("volumeName");
        }
        "PersistentVolume" => {
            spec.remove("claimRef");
        }
        _ => {}
    }
    trial
}

/// A refusal of the dry run, told of the object that it is about.
fn named(error: Error, target: &Target) -> Error {
    match error {
        Error::Refused {
            code,
            server_reason,
            message,
            retry_after,
            ..
        } => Error::Refused {
            doing: format!(
                "create {} anew, so it was not deleted (dry run under another name)",
                target.id()
            ),
            code,
            server_reason,
            message,
            retry_after,
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_trial_has_another_name_and_nothing_that_only_one_can_have() {
        let service = Object(json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": format!("{}-b", "a".repeat(48)), "namespace": "shop"},
            "spec": {"clusterIP": "10.0.0.9", "clusterIPs": ["10.0.0.9"],
                "ports": [{"port": 80, "nodePort": 30080}]}}));
        let trial = trial(&service);
        assert_eq!(trial.name(), format!("{}{SUFFIX}", "a".repeat(48)));
        assert_eq!(trial.0["spec"], json!({"ports": [{"port": 80}]}));
    }
}
