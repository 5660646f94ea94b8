//! The story, in seven chapters. Each claim is checked before it is told.

use std::time::Instant;

use anyhow::ensure;

use crate::cluster::Cluster;
use k8s_openapi::api::apps::v1::Deployment;

use crate::eyes::{Eyes, NAME, commands, image, replicas, rolled_out, until};
use crate::repository::{OVERLAY, Repository};
use crate::story::Story;

const OLD: &str = "6.9.0";
const NEW: &str = "6.9.1";
const KINDS: &str = "deployments,services,configmaps,secrets,jobs,ingresses,poddisruptionbudgets";
const BUDGET: &str = "poddisruptionbudget.policy/dev-web";
/// The last line of the overlay.
const HOST: &str = "        value: dev.shop.example.com\n";
/// What a container that cannot work looks like; the labels are for simulated nodes, which run none.
const CRASHING: &str = r#"  - patch: |
      apiVersion: apps/v1
      kind: Deployment
      metadata:
        name: api
      spec:
        template:
          metadata:
            labels:
              testcluster.towline.dev/waiting: CrashLoopBackOff
            annotations:
              testcluster.towline.dev/last-words: "no such table: orders"
          spec:
            containers:
              - name: api
                command: [sh, -c, "echo 'no such table: orders'; exit 1"]
"#;
/// Soon enough for a demo: a container is in CrashLoopBackOff after seconds.
const ROLLBACK: &str = r#"{"spec":{"rollback":{"timeout":"2m","monitor":"0s","grace":"2s"}}}"#;

/// What the chapters need.
pub struct Demo<'a> {
    story: &'a Story,
    cluster: &'a Cluster,
    repository: &'a Repository,
    eyes: Eyes,
}

impl<'a> Demo<'a> {
    pub async fn new(
        story: &'a Story,
        cluster: &'a Cluster,
        repository: &'a Repository,
    ) -> anyhow::Result<Self> {
        let eyes = Eyes::open(cluster).await?;
        Ok(Self {
            story,
            cluster,
            repository,
            eyes,
        })
    }

    pub async fn tell(&self) -> anyhow::Result<()> {
        self.first_sync().await?;
        let release = self.release().await?;
        self.scale().await?;
        self.prune().await?;
        let reverted = self.revert(&release).await?;
        self.rollback().await?;
        self.annotations(&reverted)
    }

    async fn first_sync(&self) -> anyhow::Result<()> {
        let story = self.story;
        story.chapter(1, "The first sync");
        let manifest = self.repository.read("applications/dev.yaml")?;
        story.command("kubectl apply --server-side -f applications/dev.yaml");
        let begun = Instant::now();
        let apply = ["apply", "--server-side", "-f", "-"];
        story.output(&self.cluster.kubectl_with(&apply, &manifest)?);
        let head = self.repository.head()?;
        self.eyes.synced(&head).await?;
        story.done(
            "synced: everything that the commit declares is in the cluster",
            begun,
        );
        self.eyes.healthy(&head).await?;
        story.done(
            "healthy: the migration ran first, then the pods became ready",
            begun,
        );
        self.run(&["-n", self.cluster.namespace(), "get", "tl"])?;
        let objects = self.objects()?;
        let known = self.eyes.status().await?.sync.objects;
        ensure!(
            i64::try_from(objects.len()) == Ok(known),
            "{known} objects, found {objects:?}"
        );
        let shop = self.cluster.shop();
        story.holds(&format!(
            "{known} objects in {shop}, each with towline's label"
        ));
        Ok(())
    }

    async fn release(&self) -> anyhow::Result<String> {
        let story = self.story;
        story.chapter(2, "A commit rolls out");
        let untouched = self.eyes.version("dev-web").await?;
        let mut changes = self.eyes.follow("dev-api").await?;
        let (old, new) = (format!("newTag: {OLD}"), format!("newTag: {NEW}"));
        self.repository
            .edit(OVERLAY, &format!("{old}\n"), &format!("{new}\n"))?;
        story.command(&format!("sed -i 's/{old}/{new}/' {OVERLAY}"));
        let (commit, pushed) = self.commit(&format!("Release {NEW}"))?;
        story.note("Git is polled every 30 seconds; whoever pushes can ask for a poll at once:");
        self.refresh()?;
        let at = changes.until(|api| image(api).ends_with(NEW)).await?;
        let what = format!("dev-api has image tag {NEW}, after the push");
        story.checked(&what, Some(at - pushed));
        self.eyes.healthy(&commit).await?;
        ensure!(
            rolled_out(&self.eyes.deployment("dev-api").await?),
            "dev-api is not rolled out"
        );
        story.done(
            "rolled out: the new pods are ready, the old ones are gone",
            pushed,
        );
        ensure!(
            self.eyes.version("dev-web").await? == untouched,
            "dev-web was written as well"
        );
        story.holds("dev-web was not written: its resourceVersion is what it was");
        Ok(commit)
    }

    async fn scale(&self) -> anyhow::Result<()> {
        let story = self.story;
        story.chapter(3, "A change by hand is undone");
        let mut changes = self.eyes.follow("dev-web").await?;
        self.run(&[
            "-n",
            self.cluster.shop(),
            "scale",
            "deployment/dev-web",
            "--replicas=5",
        ])?;
        let scaled = changes.until(|web| replicas(web) == 5).await?;
        let undone = changes.until(|web| replicas(web) == 1).await?;
        story.checked(
            "5 replicas became 1 again, as a watch saw it",
            Some(undone - scaled),
        );
        self.eyes.healthy(&self.repository.head()?).await?;
        let namespace = self.cluster.namespace();
        let path = "-o=jsonpath={.items[*].message}";
        let events = [
            "-n",
            namespace,
            "get",
            "events",
            "--field-selector=reason=Healed",
            path,
        ];
        let event = until("an event that tells of it", async || {
            let told = self.cluster.kubectl(&events)?;
            Ok(told.contains("dev-web").then_some(told))
        });
        story.holds(&format!("an event tells of it: {}", event.await?));
        Ok(())
    }

    async fn prune(&self) -> anyhow::Result<()> {
        let story = self.story;
        story.chapter(4, "A file is removed, and its object goes");
        let before = self.objects()?;
        let file = "web-disruption-budget.yaml";
        self.repository.remove(&format!("shop/base/{file}"))?;
        self.repository
            .edit("shop/base/kustomization.yaml", &format!("  - {file}\n"), "")?;
        story.command(&format!("git rm shop/base/{file}"));
        story.command(&format!("sed -i '/{file}/d' shop/base/kustomization.yaml"));
        let (commit, pushed) = self.commit("web needs no disruption budget")?;
        self.refresh()?;
        self.eyes.budget_goes("dev-web").await?;
        story.done(
            "the PodDisruptionBudget dev-web is gone, after the push",
            pushed,
        );
        self.eyes.healthy(&commit).await?;
        let after = self.objects()?;
        let gone: Vec<&String> = before
            .iter()
            .filter(|object| !after.contains(object))
            .collect();
        ensure!(gone == [BUDGET], "other objects went: {gone:?}");
        story.holds(&format!(
            "the other {} objects are still there",
            after.len()
        ));
        Ok(())
    }

    async fn revert(&self, release: &str) -> anyhow::Result<String> {
        let story = self.story;
        story.chapter(5, "git revert is the way back");
        let mut changes = self.eyes.follow("dev-api").await?;
        story.command(&format!(
            "git revert --no-edit {} && git push",
            short(release)
        ));
        let (commit, pushed) = self.repository.revert(release)?;
        self.refresh()?;
        let at = changes.until(|api| image(api).ends_with(OLD)).await?;
        let what = format!("dev-api has image tag {OLD} again, after the push");
        story.checked(&what, Some(at - pushed));
        self.eyes.healthy(&commit).await?;
        ensure!(
            rolled_out(&self.eyes.deployment("dev-api").await?),
            "dev-api is not rolled back"
        );
        story.done(
            "rolled back: pods with the old image are ready, the others gone",
            pushed,
        );
        ensure!(
            !self.objects()?.iter().any(|object| object == BUDGET),
            "{BUDGET} came back"
        );
        story.holds("the revert undid its commit and no other: the budget stays away");
        story.command("git log --oneline");
        story.output(&self.repository.git(&["log", "--oneline"])?);
        Ok(commit)
    }

    async fn rollback(&self) -> anyhow::Result<()> {
        let story = self.story;
        story.chapter(6, "A commit that does not work takes itself back");
        let namespace = self.cluster.namespace();
        self.run(&[
            "-n",
            namespace,
            "patch",
            "tl",
            NAME,
            "--type=merge",
            "-p",
            ROLLBACK,
        ])?;
        let good = self.repository.head()?;
        self.eyes.trusts(&good).await?;
        story.done(
            "what runs is healthy, and is what is gone back to",
            Instant::now(),
        );
        let mut changes = self.eyes.follow("dev-api").await?;
        self.repository
            .edit(OVERLAY, HOST, &format!("{HOST}{CRASHING}"))?;
        let (bad, pushed) = self.commit("Order faster")?;
        self.refresh()?;
        let has_command = |api: &Deployment| !commands(api).is_empty();
        changes.until(has_command).await?;
        story.done("rolled out: the new pod crashes, again and again", pushed);
        let at = changes.until(|api| !has_command(api)).await?;
        story.checked(
            "dev-api is what it was before, after the push",
            Some(at - pushed),
        );
        self.eyes.rolled_back(&good).await?;
        self.run(&["-n", namespace, "get", "tl", NAME])?;
        self.refresh()?;
        self.eyes.rolled_back(&good).await?;
        story.holds("the commit is in quarantine: the next poll does not bring it back");
        story.command(&format!("git revert --no-edit {} && git push", short(&bad)));
        let (commit, pushed) = self.repository.revert(&bad)?;
        self.refresh()?;
        self.eyes.healthy(&commit).await?;
        story.done(
            "Git says what the cluster runs; nothing was written for it",
            pushed,
        );
        Ok(())
    }

    fn annotations(&self, changed: &str) -> anyhow::Result<()> {
        self.story.chapter(7, "Where kubectl shows it");
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
        for line in [source, &format!("towline.dev/revision={changed}")] {
            ensure!(told.contains(line), "no annotation {line}");
        }
        let columns = "jsonpath={range .status.history[*]}{.revision} {.subject}{\"\\n\"}{end}";
        let history = self.run(&["-n", namespace, "get", "tl", NAME, "-o", columns])?;
        ensure!(
            history.starts_with(&head) && history.lines().count() == 6,
            "not 6 revisions"
        );
        self.story
            .holds("an object's annotations name its file and the commit that changed it last");
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
        self.story.command(&format!("kubectl {}", args.join(" ")));
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
}

fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}
