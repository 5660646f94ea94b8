//! The Lease: one agent acts at a time.
//!
//! The agent stops acting when it could not renew for [`Timing::renew_deadline`], which is before
//! another one may take over ([`Timing::duration`]); both are measured on the monotonic clock of
//! the one who waits, so that wrong wall clocks do not matter.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::cluster::{Cluster, Error, Identity, Resource, Target};
use crate::object::{Object, Scope};

/// The times of a Lease; the defaults are those of Kubernetes' own controllers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// After this time without renewal others may take the Lease.
    pub duration: Duration,
    /// After this time without renewal the holder stops acting.
    pub renew_deadline: Duration,
    /// The wait between renewals, and between looks at another's Lease.
    pub retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// A contender for a Lease.
pub struct Elector {
    cluster: Arc<dyn Cluster>,
    target: Target,
    holder: String,
    timing: Timing,
    /// The holder and renewal that were seen last of another, and when.
    seen: Option<(String, Instant)>,
}

impl Elector {
    /// Contends for the Lease `name` in `namespace` as `holder`.
    pub fn new(
        cluster: Arc<dyn Cluster>,
        namespace: &str,
        name: &str,
        holder: String,
        timing: Timing,
    ) -> Self {
        let leases = Resource::known(
            "coordination.k8s.io/v1",
            "Lease",
            "leases",
            Scope::Namespaced,
        );
        Self {
            cluster,
            target: Target::new(&leases, namespace, name),
            holder,
            timing,
            seen: None,
        }
    }

    /// Contends until `stop`; tells over `leading` whether it holds the Lease. Gives it back at the
    /// end, so that another agent need not wait for it to expire.
    pub async fn run(mut self, leading: watch::Sender<bool>, mut stop: watch::Receiver<bool>) {
        let mut renewed: Option<Instant> = None;
        loop {
            let begun = Instant::now();
            let limit = self.timing.renew_deadline;
            match tokio::time::timeout(limit, self.try_hold()).await {
                Ok(Ok(true)) => renewed = Some(begun),
                Ok(Ok(false)) => renewed = None,
                Ok(Err(error)) => {
                    tracing::warn!(lease = %self.target.name, %error, "Lease was not renewed");
                }
                Err(_) => {
                    tracing::warn!(lease = %self.target.name, "Lease was not renewed in time")
                }
            }
            let holds = renewed.is_some_and(|at| at.elapsed() < self.timing.renew_deadline);
            leading.send_if_modified(|was| std::mem::replace(was, holds) != holds);
            tokio::select! {
                () = tokio::time::sleep(self.timing.retry) => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        let held = leading.send_replace(false);
        if held && let Err(error) = self.release().await {
            tracing::warn!(lease = %self.target.name, %error, "Lease was not given back; it expires");
        }
    }

    /// Takes or renews the Lease, if nobody else holds it.
    async fn try_hold(&mut self) -> Result<bool, Error> {
        let Some(lease) = self.cluster.get(&Identity::Agent, &self.target).await? else {
            let body = self.body(None, 0);
            return match self
                .cluster
                .create(&Identity::Agent, &self.target, &body)
                .await
            {
                Ok(_) => Ok(true),
                Err(error) if error.is_conflict() => Ok(false),
                Err(error) => Err(error),
            };
        };
        let text = |field: &str| {
            lease
                .0
                .pointer(&format!("/spec/{field}"))
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let holder = text("holderIdentity");
        if !holder.is_empty() && holder != self.holder && !self.has_expired(&lease) {
            return Ok(false);
        }
        let transitions = lease
            .0
            .pointer("/spec/leaseTransitions")
            .and_then(Value::as_i64);
        let transitions = transitions.unwrap_or(0) + i64::from(holder != self.holder);
        let body = self.body(Some(&lease), transitions);
        match self
            .cluster
            .replace(&Identity::Agent, &self.target, &body)
            .await
        {
            Ok(_) => Ok(true),
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// True when the other's Lease did not change for its whole duration, as seen from here.
    fn has_expired(&mut self, lease: &Object) -> bool {
        let version = lease.resource_version().to_owned();
        match &self.seen {
            Some((seen, since)) if *seen == version => since.elapsed() >= self.timing.duration,
            _ => {
                self.seen = Some((version, Instant::now()));
                false
            }
        }
    }

    fn body(&self, lease: Option<&Object>, transitions: i64) -> Object {
        let now = jiff::Timestamp::now();
        let mut body = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.target.name, "namespace": self.target.namespace},
            "spec": {
                "holderIdentity": self.holder,
                "leaseDurationSeconds": self.timing.duration.as_secs().max(1),
                "leaseTransitions": transitions,
                "acquireTime": format!("{now:.6}"),
                "renewTime": format!("{now:.6}"),
            },
        });
        if let Some(lease) = lease {
            body["metadata"]["resourceVersion"] = lease.resource_version().into();
            let is_ours =
                lease.0.pointer("/spec/holderIdentity") == Some(&self.holder.as_str().into());
            if is_ours && let Some(acquired) = lease.0.pointer("/spec/acquireTime") {
                body["spec"]["acquireTime"] = acquired.clone();
            }
        }
        Object(body)
    }

    async fn release(&self) -> Result<(), Error> {
        let Some(mut lease) = self.cluster.get(&Identity::Agent, &self.target).await? else {
            return Ok(());
        };
        if lease.0.pointer("/spec/holderIdentity") == Some(&self.holder.as_str().into()) {
            lease.0["spec"]["holderIdentity"] = "".into();
            self.cluster
                .replace(&Identity::Agent, &self.target, &lease)
                .await?;
        }
        Ok(())
    }
}
