//! The story, in six chapters. Each claim is checked before it is told.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{WatchEvent, WatchParams};
use tokio::sync::mpsc;
use towline::api::Application;

use crate::cluster::Cluster;
use crate::repository::{OVERLAY, Repository};
use crate::story::{Story, shown};

/// Generous: on a cluster of one's own, images are pulled.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often the API server is asked.
const LOOK: Duration = Duration::from_millis(10);

const NAME: &str = "shop-dev";
const OLD: &str = "6.9.0";
const NEW: &str = "6.9.1";
const KINDS: &str = "deployments,services,configmaps,secrets,jobs,ingresses,poddisruptionbudgets";

/// What the chapters need.
pub struct Demo<'a> {
    story: &'a Story,
    cluster: &'a Cluster,
    repository: &'a Repository,
    applications: Api<Application>,
    deployments: Api<Deployment>,
}

/// The changes of a Deployment, each with the moment at which it was seen.
type Changes = mpsc::UnboundedReceiver<(Instant, Deployment)>;

impl<'a> Demo<'a> {
    pub async fn new(
        story: &'a Story,
        cluster: &'a Cluster,
        repository: &'a Repository,
    ) -> anyhow::Result<Self> {
        let client = cluster.client().await?;
        Ok(Self {
            story,
            cluster,
            repository,
            applications: Api::namespaced(client.clone(), cluster.namespace()),
            deployments: Api::namespaced(client, cluster.shop()),
        })
    }

    pub async fn tell(&self) -> anyhow::Result<()> {
        self.first_sync().await?;
        let release = self.release().await?;
        self.scale().await?;
        self.prune().await?;
        self.revert(&release).await?;
        self.annotations().await
    }

    async fn first_sync(&self) -> anyhow::Result<()> {
        self.story.chapter(1, "The first sync");
        let manifest = self.repository.read("applications/dev.yaml")?;
        self.story
            .command("kubectl apply --server-side -f applications/dev.yaml");
        let begun = Instant::now();
        let apply = ["apply", "--server-side", "-f", "-"];
        self.story
            .output(&self.cluster.kubectl_with(&apply, &manifest)?);
        let head = self.repository.head()?;
        self.synced(&head).await?;
        self.story.done(
            "synced: everything that the commit declares is in the cluster",
            begun,
        );
        self.healthy(&head).await?;
        self.story.done(
            "healthy: the migration ran first, then the pods became ready",
            begun,
        );
        self.run(&["-n", self.cluster.namespace(), "get", "tl"])?;
        let objects = self.objects()?;
        let known = self
            .applications
            .get(NAME)
            .await?
            .status
            .unwrap_or_default()
            .sync
            .objects;
        ensure!(
            i64::try_from(objects.len()) == Ok(known),
            "{known} objects, but found {objects:?}"
        );
        self.story.holds(&format!(
            "{known} objects in {}, each with towline's label",
            self.cluster.shop()
        ));
        Ok(())
    }

    async fn release(&self) -> anyhow::Result<String> {
        self.story.chapter(2, "A commit rolls out");
        let untouched = self
            .deployments
            .get("dev-web")
            .await?
            .metadata
            .resource_version;
        let mut changes = self.follow("dev-api").await?;
        self.repository.edit(
            OVERLAY,
            &format!("newTag: {OLD}\n"),
            &format!("newTag: {NEW}\n"),
        )?;
        self.story.command(&format!(
            "sed -i 's/newTag: {OLD}/newTag: {NEW}/' {OVERLAY}"
        ));
        let (commit, pushed) = self.commit(&format!("Release {NEW}"))?;
        self.refresh()?;
        let at = seen(&mut changes, |api| image(api).ends_with(NEW)).await?;
        self.story.checked(
            &format!("dev-api has image tag {NEW}, after the push"),
            Some(at - pushed),
        );
        self.healthy(&commit).await?;
        ensure!(
            rolled_out(&self.deployments.get("dev-api").await?),
            "dev-api is not rolled out"
        );
        self.story.done(
            "rolled out: the new pods are ready, the old ones are gone",
            pushed,
        );
        let after = self
            .deployments
            .get("dev-web")
            .await?
            .metadata
            .resource_version;
        ensure!(
            after == untouched,
            "dev-web was written, though the commit does not change it"
        );
        self.story
            .holds("dev-web was not written: its resourceVersion is what it was");
        Ok(commit)
    }

    async fn scale(&self) -> anyhow::Result<()> {
        self.story.chapter(3, "A change by hand is undone");
        let mut changes = self.follow("dev-web").await?;
        self.run(&[
            "-n",
            self.cluster.shop(),
            "scale",
            "deployment/dev-web",
            "--replicas=5",
        ])?;
        let scaled = seen(&mut changes, |web| replicas(web) == 5).await?;
        let undone = seen(&mut changes, |web| replicas(web) == 1).await?;
        self.story.checked(
            "5 replicas became 1 again, on a watch",
            Some(undone - scaled),
        );
        let head = self.repository.head()?;
        self.healthy(&head).await?;
        let events = ["-n", self.cluster.namespace(), "get", "events"];
        let healed = [
            "--field-selector=reason=Healed",
            "-o=jsonpath={.items[*].message}",
        ];
        let healed = [events.as_slice(), healed.as_slice()].concat();
        let told = until("an event that tells of it", async || {
            let told = self.cluster.kubectl(&healed)?;
            Ok(told.contains("dev-web").then_some(told))
        });
        self.story
            .holds(&format!("an event tells of it: {}", told.await?));
        Ok(())
    }

    async fn prune(&self) -> anyhow::Result<()> {
        self.story
            .chapter(4, "A file is removed, and its object goes");
        let before = self.objects()?;
        let file = "web-disruption-budget.yaml";
        self.repository.remove(&format!("shop/base/{file}"))?;
        self.repository
            .edit("shop/base/kustomization.yaml", &format!("  - {file}\n"), "")?;
        self.story.command(&format!(
            "git rm shop/base/{file}     # and its line in the kustomization"
        ));
        let (commit, pushed) = self.commit("web needs no disruption budget")?;
        self.refresh()?;
        until("the object to go", async || {
            Ok((self.objects()?.len() < before.len()).then_some(()))
        })
        .await?;
        self.story.done(
            "the PodDisruptionBudget dev-web is gone, after the push",
            pushed,
        );
        self.healthy(&commit).await?;
        let after = self.objects()?;
        let gone: Vec<&String> = before
            .iter()
            .filter(|object| !after.contains(object))
            .collect();
        ensure!(
            gone == ["poddisruptionbudget.policy/dev-web"],
            "other objects went: {gone:?}"
        );
        self.story.holds(&format!(
            "the other {} objects are still there",
            after.len()
        ));
        Ok(())
    }

    async fn revert(&self, release: &str) -> anyhow::Result<()> {
        self.story.chapter(5, "git revert is the way back");
        let mut changes = self.follow("dev-api").await?;
        self.story.command(&format!(
            "git revert --no-edit {} && git push",
            short(release)
        ));
        let (commit, pushed) = self.repository.revert(release)?;
        self.refresh()?;
        let at = seen(&mut changes, |api| image(api).ends_with(OLD)).await?;
        self.story.checked(
            &format!("dev-api has image tag {OLD} again, after the push"),
            Some(at - pushed),
        );
        self.healthy(&commit).await?;
        ensure!(
            rolled_out(&self.deployments.get("dev-api").await?),
            "dev-api is not rolled back"
        );
        self.story
            .done("rolled back: the old pods are ready again", pushed);
        let budget = "poddisruptionbudget.policy/dev-web";
        ensure!(
            !self.objects()?.iter().any(|object| object == budget),
            "{budget} came back"
        );
        self.story
            .holds("the revert undid its commit and no other: the budget stays away");
        self.story.command("git log --oneline");
        self.story
            .output(&self.repository.git(&["log", "--oneline"])?);
        Ok(())
    }

    async fn annotations(&self) -> anyhow::Result<()> {
        self.story.chapter(6, "Where kubectl shows it");
        let (namespace, shop) = (self.cluster.namespace(), self.cluster.shop());
        let head = self.repository.head()?;
        let told = self.run(&["-n", namespace, "annotate", "tl", NAME, "--list"])?;
        for line in [
            "sync-status=Synced",
            "health=Healthy",
            &format!("revision={head}"),
        ] {
            ensure!(
                told.contains(&format!("towline.dev/{line}")),
                "no annotation {line}"
            );
        }
        let told = self.run(&["-n", shop, "annotate", "deployment", "dev-api", "--list"])?;
        let source = "towline.dev/source=shop/base/api-deployment.yaml";
        for line in [source, &format!("towline.dev/revision={head}")] {
            ensure!(told.contains(line), "no annotation {line}");
        }
        let history =
            "jsonpath={range .status.history[*]}{.revision}{\"  \"}{.subject}{\"\\n\"}{end}";
        let history = self.run(&["-n", namespace, "get", "tl", NAME, "-o", history])?;
        ensure!(
            history.starts_with(&head) && history.lines().count() == 4,
            "not 4 revisions"
        );
        self.story
            .holds("the annotations name the commit and the file that each object comes from");
        Ok(())
    }

    /// Shows a kubectl command, runs it, shows what it printed.
    fn run(&self, args: &[&str]) -> anyhow::Result<String> {
        let quoted = |arg: &&str| match arg.contains([' ', '{', '"', '*']) {
            true => format!("'{arg}'"),
            false => (*arg).to_owned(),
        };
        let line: Vec<String> = args.iter().map(quoted).collect();
        self.story.command(&format!("kubectl {}", line.join(" ")));
        let printed = self.cluster.kubectl(args)?;
        self.story.output(&printed);
        Ok(printed)
    }

    fn commit(&self, message: &str) -> anyhow::Result<(String, Instant)> {
        self.story
            .command(&format!("git commit -am '{message}' && git push"));
        self.repository.commit(message)
    }

    /// Asks for a poll at once, as a CI job can.
    fn refresh(&self) -> anyhow::Result<()> {
        let token = format!("towline.dev/refresh={}", short(&self.repository.head()?));
        let namespace = self.cluster.namespace();
        let args = [
            "-n",
            namespace,
            "annotate",
            "--overwrite",
            "tl",
            NAME,
            &token,
        ];
        self.story.command(&format!(
            "kubectl {}     # or wait for the next poll",
            args.join(" ")
        ));
        self.cluster.kubectl(&args).map(drop)
    }

    /// What is managed in the shop's namespace, as kubectl names it.
    fn objects(&self) -> anyhow::Result<Vec<String>> {
        let label = "towline.dev/application";
        let args = [
            "-n",
            self.cluster.shop(),
            "get",
            KINDS,
            "-l",
            label,
            "-o",
            "name",
        ];
        Ok(self
            .cluster
            .kubectl(&args)?
            .lines()
            .map(str::to_owned)
            .collect())
    }

    async fn synced(&self, commit: &str) -> anyhow::Result<()> {
        self.status(commit, |sync, _| sync == "Synced").await
    }

    async fn healthy(&self, commit: &str) -> anyhow::Result<()> {
        self.status(commit, |sync, health| {
            sync == "Synced" && health == "Healthy"
        })
        .await
    }

    async fn status(&self, commit: &str, is: impl Fn(&str, &str) -> bool) -> anyhow::Result<()> {
        let mut last = String::new();
        let found = until("the Application's status", async || {
            let status = self
                .applications
                .get(NAME)
                .await?
                .status
                .unwrap_or_default();
            let (sync, health) = (&status.sync.status, &status.health.status);
            last = format!(
                "{sync}, {health}: {:?}",
                status.conditions.first().map(|c| &c.message)
            );
            Ok((status.sync.revision == commit && is(sync, health)).then_some(()))
        });
        let found = found.await;
        found.with_context(|| format!("{} was not reached; the status is {last}", short(commit)))
    }

    /// Watches a Deployment from now on, in a task of its own, so that the times are right.
    async fn follow(&self, name: &str) -> anyhow::Result<Changes> {
        let version = self.deployments.get(name).await?.metadata.resource_version;
        let params = WatchParams::default()
            .fields(&format!("metadata.name={name}"))
            .timeout(290);
        let deployments = self.deployments.clone();
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let events = deployments
                .watch(&params, &version.unwrap_or_default())
                .await?;
            let mut events = events.boxed();
            while let Some(event) = events.next().await {
                if let WatchEvent::Added(object) | WatchEvent::Modified(object) = event?
                    && sender.send((Instant::now(), object)).is_err()
                {
                    break;
                }
            }
            anyhow::Ok(())
        });
        Ok(receiver)
    }
}

/// The moment at which a change is seen for the first time.
async fn seen(changes: &mut Changes, is: impl Fn(&Deployment) -> bool) -> anyhow::Result<Instant> {
    let found = async {
        while let Some((at, deployment)) = changes.recv().await {
            if is(&deployment) {
                return Ok(at);
            }
        }
        anyhow::bail!("the watch of a Deployment ended")
    };
    tokio::time::timeout(PATIENCE, found)
        .await
        .context("a change of a Deployment did not come")?
}

/// Looks until there is something.
async fn until<T>(
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

fn image(deployment: &Deployment) -> &str {
    let pod = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref());
    pod.and_then(|pod| pod.containers.first()?.image.as_deref())
        .unwrap_or_default()
}

fn replicas(deployment: &Deployment) -> i32 {
    deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or_default()
}

/// Every replica is new and available, and no other is left.
fn rolled_out(deployment: &Deployment) -> bool {
    let status = deployment.status.clone().unwrap_or_default();
    let wanted = Some(replicas(deployment));
    status.observed_generation == deployment.metadata.generation
        && [
            status.replicas,
            status.updated_replicas,
            status.available_replicas,
        ] == [wanted; 3]
}

fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}
