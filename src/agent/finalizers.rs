//! Taking towline's finalizers off Applications, so that they go without their objects.

use serde_json::{Value, json};

use super::publish::applications;
use crate::cluster::{Cluster, Error, Identity, Patch, Target};
use crate::object::{Object, keys};

/// How often an object is read again that changed in between.
pub(super) const TRIES: usize = 5;

/// Towline's finalizers of an Application, in both spellings.
pub(crate) fn ours(application: &Object) -> Vec<&str> {
    let ours = [keys::PRUNE_FINALIZER, keys::ARGO_FINALIZER];
    finalizers(application)
        .into_iter()
        .filter(|name| ours.contains(name))
        .collect()
}

/// All finalizers of an object.
pub(super) fn finalizers(object: &Object) -> Vec<&str> {
    let list = object
        .0
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// Takes our finalizers off one Application, and leaves others'. One that was made anew under its
/// name meanwhile is another.
///
/// # Errors
/// When the API server refuses it, or it changes all the time.
pub(crate) async fn strip(
    cluster: &dyn Cluster,
    mut application: Object,
    manager: &str,
) -> Result<(), Error> {
    let place = Target::new(&applications(), application.namespace(), application.name());
    for attempt in 1.. {
        let all = finalizers(&application);
        let ours = ours(&application);
        let rest: Vec<&str> = all
            .iter()
            .copied()
            .filter(|name| !ours.contains(name))
            .collect();
        // The tests make the server refuse what another writer changed meanwhile.
        let patch = Patch::Json(json!([
            {"op": "test", "path": "/metadata/uid", "value": application.uid()},
            {"op": "test", "path": "/metadata/finalizers", "value": all},
            {"op": "replace", "path": "/metadata/finalizers", "value": rest},
        ]));
        let error = match cluster
            .patch(&Identity::Agent, &place, None, &patch, manager)
            .await
        {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        match cluster.get(&Identity::Agent, &place).await? {
            // It was on its way out, and went.
            None => return Ok(()),
            Some(now) if now.uid() != application.uid() => return Ok(()),
            Some(now) if self::ours(&now).is_empty() => return Ok(()),
            Some(_) if attempt == TRIES => return Err(error),
            Some(now) => application = now,
        }
    }
    Ok(())
}
