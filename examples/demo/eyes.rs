//! What the demo sees of the cluster, apart from what kubectl prints: through the API, so that the
//! times are right.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use kube::api::{WatchEvent, WatchParams};
use tokio::sync::mpsc;
use towline::api::{Application, ApplicationStatus};

use crate::cluster::Cluster;
use crate::story::shown;

/// The Application of the story.
pub const NAME: &str = "shop-dev";
/// Generous: on a cluster of one's own, images are pulled.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often the API server is asked.
const LOOK: Duration = Duration::from_millis(10);

/// A connection with the rights of whoever runs the demo.
pub struct Eyes {
    applications: Api<Application>,
    deployments: Api<Deployment>,
    budgets: Api<PodDisruptionBudget>,
}

impl Eyes {
    pub async fn open(cluster: &Cluster) -> anyhow::Result<Self> {
        let client = cluster.client().await?;
        Ok(Self {
            applications: Api::namespaced(client.clone(), cluster.namespace()),
            deployments: Api::namespaced(client.clone(), cluster.shop()),
            budgets: Api::namespaced(client, cluster.shop()),
        })
    }

    /// The Application's status, empty before there is one.
    pub async fn status(&self) -> anyhow::Result<ApplicationStatus> {
        Ok(self
            .applications
            .get(NAME)
            .await?
            .status
            .unwrap_or_default())
    }

    pub async fn deployment(&self, name: &str) -> anyhow::Result<Deployment> {
        Ok(self.deployments.get(name).await?)
    }

    /// Changes with every write of the Deployment.
    pub async fn version(&self, name: &str) -> anyhow::Result<Option<String>> {
        Ok(self.deployment(name).await?.metadata.resource_version)
    }

    /// Waits until a commit is Synced.
    pub async fn synced(&self, commit: &str) -> anyhow::Result<()> {
        self.reached(commit, &["Healthy", "Progressing", "Missing"])
            .await
    }

    /// Waits until a commit is Synced, and every object of it Healthy.
    pub async fn healthy(&self, commit: &str) -> anyhow::Result<()> {
        self.reached(commit, &["Healthy"]).await
    }

    /// Waits until a commit is what is gone back to.
    pub async fn trusts(&self, commit: &str) -> anyhow::Result<()> {
        until(&format!("{commit} to be good"), async || {
            let good = self.status().await?.rollback.good;
            Ok(good
                .is_some_and(|good| good.revision == commit)
                .then_some(()))
        })
        .await
    }

    /// Waits until the newest commit is rolled back to this one, and everything is Healthy.
    pub async fn rolled_back(&self, commit: &str) -> anyhow::Result<()> {
        until(&format!("the way back to {commit}"), async || {
            let status = self.status().await?;
            let is_back = status.sync.status == "RolledBack" && status.sync.revision == commit;
            Ok((is_back && status.health.status == "Healthy").then_some(()))
        })
        .await
    }

    async fn reached(&self, commit: &str, health: &[&str]) -> anyhow::Result<()> {
        let mut last = ApplicationStatus::default();
        let what = format!("commit {commit}");
        let found = until(&what, async || {
            last = self.status().await?;
            let is_synced = last.sync.revision == commit && last.sync.status == "Synced";
            Ok((is_synced && health.contains(&last.health.status.as_str())).then_some(()))
        });
        let found = found.await;
        found.with_context(|| {
            let why = last
                .conditions
                .first()
                .map_or("no condition", |c| c.message.as_str());
            format!(
                "the status is {}, {}: {why}",
                last.sync.status, last.health.status
            )
        })
    }

    /// Waits until the disruption budget is gone.
    pub async fn budget_goes(&self, name: &str) -> anyhow::Result<()> {
        until(
            &format!("the PodDisruptionBudget {name} to go"),
            async || Ok(self.budgets.get_opt(name).await?.is_none().then_some(())),
        )
        .await
    }

    /// Watches a Deployment from now on, in a task of its own: whoever waits for kubectl would see
    /// everything late.
    pub async fn follow(&self, name: &str) -> anyhow::Result<Changes> {
        let version = self.version(name).await?.unwrap_or_default();
        let params = WatchParams::default()
            .fields(&format!("metadata.name={name}"))
            .timeout(290);
        let deployments = self.deployments.clone();
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut events = deployments.watch(&params, &version).await?.boxed();
            while let Some(event) = events.next().await {
                if let WatchEvent::Added(object) | WatchEvent::Modified(object) = event?
                    && sender.send((Instant::now(), object)).is_err()
                {
                    break;
                }
            }
            anyhow::Ok(())
        });
        Ok(Changes(receiver))
    }
}

/// The changes of a Deployment, each with the moment at which it was seen.
pub struct Changes(mpsc::UnboundedReceiver<(Instant, Deployment)>);

impl Changes {
    /// Waits for a change. Returns when it was seen.
    pub async fn until(&mut self, is: impl Fn(&Deployment) -> bool) -> anyhow::Result<Instant> {
        let found = async {
            while let Some((at, deployment)) = self.0.recv().await {
                if is(&deployment) {
                    return Ok(at);
                }
            }
            anyhow::bail!("the watch of a Deployment ended")
        };
        let found = tokio::time::timeout(PATIENCE, found).await;
        found.context("a change of a Deployment did not come")?
    }
}

/// Looks until there is something.
pub async fn until<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        ensure!(
            begun.elapsed() < PATIENCE,
            "waited {} for {what}",
            shown(PATIENCE)
        );
        tokio::time::sleep(LOOK).await;
    }
}

pub fn image(deployment: &Deployment) -> &str {
    let pod = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref());
    let image = pod.and_then(|pod| pod.containers.first()?.image.as_deref());
    image.unwrap_or_default()
}

/// What its first container runs, where the manifest says so.
pub fn commands(deployment: &Deployment) -> Vec<String> {
    let spec = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref());
    let first = spec.and_then(|spec| spec.containers.first());
    first
        .and_then(|one| one.command.clone())
        .unwrap_or_default()
}

/// How many replicas are wanted.
pub fn replicas(deployment: &Deployment) -> i32 {
    let spec = deployment.spec.as_ref();
    spec.and_then(|spec| spec.replicas).unwrap_or_default()
}

/// Every replica is new and available, and no other is left.
pub fn rolled_out(deployment: &Deployment) -> bool {
    let status = deployment.status.clone().unwrap_or_default();
    let counts = [
        status.replicas,
        status.updated_replicas,
        status.available_replicas,
    ];
    status.observed_generation == deployment.metadata.generation
        && counts == [Some(replicas(deployment)); 3]
}
