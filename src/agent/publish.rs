//! Writing an Application's status, its annotations and its Events: only what changed, and at most
//! about once a second.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use serde_json::{Value, json};

use super::request::Request;
use crate::api::{ApplicationStatus, GROUP, VERSION};
use crate::cluster::{Cluster, Error, Identity, Patch, Resource, STATUS_MANAGER, Target};
use crate::object::{Object, Scope};
use crate::status::{Event, EventType, annotations};

/// The resource of Applications.
pub fn applications() -> Resource {
    Resource::known(
        &format!("{GROUP}/{VERSION}"),
        "Application",
        "applications",
        Scope::Namespaced,
    )
}

/// Writes the difference between two statuses: one request for the status, one for the
/// annotations. They cannot go in one: the status subresource keeps annotations out.
///
/// # Errors
/// When one of them was refused.
pub async fn publish(
    cluster: &dyn Cluster,
    request: &Request,
    before: &ApplicationStatus,
    after: &ApplicationStatus,
) -> Result<(), Error> {
    let target = Target::new(
        &applications(),
        request.namespace.as_str(),
        request.name.as_str(),
    );
    let status = async {
        if before == after {
            return Ok(());
        }
        // Replaced as a whole: a merge would keep what the new status leaves out.
        let patch = Patch::Json(json!([{"op": "add", "path": "/status", "value": after}]));
        cluster
            .patch(
                &Identity::Agent,
                &target,
                Some("status"),
                &patch,
                STATUS_MANAGER,
            )
            .await
            .map(|_| ())
    };
    let marks = async {
        let (old, new) = (annotations(before), annotations(after));
        if old == new {
            return Ok(());
        }
        let map: serde_json::Map<String, Value> = new
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect();
        let patch = Patch::Merge(json!({"metadata": {"annotations": map}}));
        cluster
            .patch(&Identity::Agent, &target, None, &patch, STATUS_MANAGER)
            .await
            .map(|_| ())
    };
    // Annotations first: whoever waits for a condition then finds annotations that say the same.
    let marks = marks.await;
    let status = status.await;
    status.and(marks)
}

/// Writes Events, at most one a second for the whole agent, after a burst.
pub struct Events {
    limiter: DefaultDirectRateLimiter,
    instance: String,
    number: AtomicU64,
}

impl Events {
    /// Events that say they come from this instance.
    pub fn new(instance: impl Into<String>) -> Self {
        let second = NonZeroU32::MIN;
        let burst = NonZeroU32::new(50).expect("50 is not 0");
        Self {
            limiter: RateLimiter::direct(Quota::per_second(second).allow_burst(burst)),
            instance: instance.into(),
            number: AtomicU64::new(0),
        }
    }

    /// Writes one. What is over the limit, or refused, is only logged: an Event is a courtesy.
    pub async fn write(&self, cluster: &dyn Cluster, request: &Request, event: &Event) {
        if self.limiter.check().is_err() {
            tracing::debug!(reason = event.reason, "event over the limit");
            return;
        }
        let now = jiff::Timestamp::now();
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}.{:x}.{number:x}", request.name, now.as_microsecond());
        let resource = Resource::known("v1", "Event", "events", Scope::Namespaced);
        let target = Target::new(&resource, request.namespace.as_str(), name.as_str());
        let body = Object(json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": request.namespace},
            "involvedObject": {
                "apiVersion": format!("{GROUP}/{VERSION}"),
                "kind": "Application",
                "namespace": request.namespace,
                "name": request.name,
                "uid": request.uid,
            },
            "type": match event.kind {
                EventType::Normal => "Normal",
                EventType::Warning => "Warning",
            },
            "reason": event.reason,
            "message": event.message.chars().take(1000).collect::<String>(),
            "source": {"component": "towline"},
            "reportingComponent": "towline.dev/agent",
            "reportingInstance": self.instance,
            "firstTimestamp": format!("{now:.0}"),
            "lastTimestamp": format!("{now:.0}"),
            "count": 1,
        }));
        if let Err(error) = cluster.create(&Identity::Agent, &target, &body).await {
            tracing::warn!(application = request.name, %error, "event was not written");
        }
    }
}
