//! What all benches need: a control plane, a Git server, the agent, and the audit log's clock.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(dead_code, reason = "each bench uses a part of this")]

pub mod services;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use towline::agent::{Options, Timing, run};
use towline::api::Application;
use towline::cluster::{KubeCluster, connect_with};
use towline::git::{AllowedSchemes, Scheme};
use towline_testcluster::{AuditEvent, AuditMark, ControlPlane, GitRepo, GitServer};

/// That of the `towline` binary: the agent runs in this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// This package.
pub const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");
/// The namespace that everything is deployed to.
pub const TARGET: &str = "bench";
/// The agent, as the audit log names it.
const AGENT: &str = "system:serviceaccount:towline-system:towline";
/// The namespace of the agent.
pub const NAMESPACE: &str = "towline-system";
/// The Application of those that have only one.
pub const NAME: &str = "bench";
/// How often somebody looks whether something has come.
const OFTEN: Duration = Duration::from_millis(20);
/// The same where the audit log tells how long it took, and who waits must take no part in it.
const SELDOM: Duration = Duration::from_millis(250);
/// The longest wait for anything: 10,001 objects with their pods take minutes on a small machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// A cluster with an agent that keeps one Application.
pub struct World {
    /// The control plane.
    pub plane: ControlPlane,
    /// Serves [`World::repo`] as `config.git`.
    pub server: GitServer,
    /// The config repository.
    pub repo: GitRepo,
    /// A connection as admin; the agent has one of its own.
    pub client: kube::Client,
    applications: Api<Application>,
    /// Of the agent's ServiceAccount.
    pub kubeconfig: PathBuf,
    agent: Option<Agent>,
    /// For caches; removed at the end.
    pub dir: tempfile::TempDir,
}

/// An agent in this process.
struct Agent {
    /// Where it serves its metrics.
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl World {
    /// Starts everything and waits until the Application is Synced and Healthy. `path` is that of
    /// the Application in the repository, which `fill` writes.
    pub async fn start(
        path: &str,
        interval: &str,
        fill: impl FnOnce(&GitRepo) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let world = Self::without_application(fill).await?;
        world.create(NAME, path, TARGET, interval).await?;
        world.settled().await?;
        Ok(world)
    }

    /// Starts everything but an Application.
    pub async fn without_application(
        fill: impl FnOnce(&GitRepo) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let mut world = Self::without_agent(fill).await?;
        let cluster = KubeCluster::new(connect_with(&world.kubeconfig).await?);
        let options = Options {
            namespace: NAMESPACE.into(),
            install_id: NAMESPACE.into(),
            application_namespaces: Vec::new(),
            cache_dir: world.dir.path().join("agent-cache"),
            allow_schemes: AllowedSchemes::with([Scheme::Http]),
            lease_name: "towline".into(),
            identity: "bench".into(),
            timing: Timing::default(),
            deployment: None,
        };
        let (stop, stopped) = watch::channel(false);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        world.agent = Some(Agent {
            address: listener.local_addr()?,
            stop,
            task: tokio::spawn(run(Arc::new(cluster), options, listener, stopped)),
        });
        Ok(world)
    }

    /// Starts everything but an agent: its ServiceAccount and rights are there.
    pub async fn without_agent(
        fill: impl FnOnce(&GitRepo) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir()?;
        // Enough for the pods of several rounds of 2,000 Deployments: a node takes 1,000.
        let plane = ControlPlane::builder().nodes(10).start()?;
        plane.wait_nodes()?;
        let server = GitServer::start_http(dir.path())?;
        let repo = GitRepo::init(dir.path().join("config.git"))?;
        fill(&repo)?;
        repo.commit("The beginning")?;
        for file in ["namespace", "crd", "service-account", "rbac"] {
            let file = format!("{PACKAGE}/manifests/{file}.yaml");
            plane.kubectl(&["apply", "--server-side", "-f", &file])?;
        }
        plane.kubectl(&[
            "wait",
            "--for=condition=Established",
            "crd/applications.towline.dev",
        ])?;
        let kubeconfig = plane.service_account_kubeconfig(NAMESPACE, "towline")?;
        let client = connect_with(&plane.kubeconfig()).await?;
        let applications = Api::namespaced(client.clone(), NAMESPACE);
        Ok(Self {
            plane,
            server,
            repo,
            client,
            applications,
            kubeconfig,
            agent: None,
            dir,
        })
    }

    /// Creates an Application of `path` in the repository, for `namespace`.
    pub async fn create(
        &self,
        name: &str,
        path: &str,
        namespace: &str,
        interval: &str,
    ) -> anyhow::Result<()> {
        let application = self.application(name, path, namespace, interval)?;
        self.applications
            .create(&kube::api::PostParams::default(), &application)
            .await?;
        Ok(())
    }

    fn application(
        &self,
        name: &str,
        path: &str,
        namespace: &str,
        interval: &str,
    ) -> anyhow::Result<Application> {
        Ok(serde_json::from_value(json!({
            "apiVersion": "towline.dev/v1alpha1",
            "kind": "Application",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "source": {
                    "repoURL": self.server.url("config.git"),
                    "targetRevision": "main",
                    "path": path,
                    "interval": interval,
                },
                "destination": {"namespace": namespace},
                "prune": {"limit": 1_000},
                "syncPolicy": {
                    "automated": {"prune": true, "selfHeal": true},
                    "syncOptions": ["CreateNamespace=true"],
                },
            },
        }))?)
    }

    /// Waits until the newest commit is Synced and Healthy.
    pub async fn settled(&self) -> anyhow::Result<()> {
        self.settled_as(NAME).await
    }

    /// Waits until this Application is Synced and Healthy at the newest commit.
    pub async fn settled_as(&self, name: &str) -> anyhow::Result<()> {
        let head = self.repo.head()?;
        let what = format!("the Application {name} to be Synced and Healthy");
        self.wait_for(name, &what, |application| {
            let status = application.status.clone().unwrap_or_default();
            status.sync.revision == head
                && status.sync.status == "Synced"
                && status.health.status == "Healthy"
        })
        .await
    }

    /// Annotates the Application with a request.
    pub async fn ask(&self, key: &str, value: &str) -> anyhow::Result<()> {
        self.ask_of(NAME, key, value).await
    }

    /// Annotates an Application with a request.
    pub async fn ask_of(&self, name: &str, key: &str, value: &str) -> anyhow::Result<()> {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {key: value}}}));
        self.applications
            .patch(name, &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }

    /// Changes the spec of the Application by a merge patch.
    pub async fn change(&self, spec: &serde_json::Value) -> anyhow::Result<()> {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.applications
            .patch(NAME, &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }

    /// Waits for the Application to be so.
    pub async fn wait(&self, what: &str, is: impl Fn(&Application) -> bool) -> anyhow::Result<()> {
        self.wait_for(NAME, what, is).await
    }

    /// Waits for this Application to be so.
    pub async fn wait_for(
        &self,
        name: &str,
        what: &str,
        is: impl Fn(&Application) -> bool,
    ) -> anyhow::Result<()> {
        self.look_for(name, what, OFTEN, is).await
    }

    /// Waits until this Application is Synced at the newest commit, and leaves the API server alone
    /// meanwhile as far as it can.
    pub async fn synced_as(&self, name: &str) -> anyhow::Result<()> {
        let head = self.repo.head()?;
        let is_synced = |application: &Application| {
            let sync = application.status.clone().unwrap_or_default().sync;
            sync.revision == head && sync.status == "Synced"
        };
        self.look_for(name, "the sync", SELDOM, is_synced).await
    }

    async fn look_for(
        &self,
        name: &str,
        what: &str,
        every: Duration,
        is: impl Fn(&Application) -> bool,
    ) -> anyhow::Result<()> {
        let until = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::Instant::now() < until {
            let application = self.applications.get(name).await?;
            if is(&application) {
                return Ok(());
            }
            let ended = self.agent.as_ref().is_some_and(|a| a.task.is_finished());
            ensure!(!ended, "the agent ended");
            tokio::time::sleep(every).await;
        }
        let status = self
            .applications
            .get(name)
            .await?
            .status
            .unwrap_or_default();
        anyhow::bail!(
            "waited {PATIENCE:?} for {what}; conditions: {:?}",
            status.conditions
        )
    }

    /// Waits until so many Deployments of a namespace are available: nothing of an earlier round
    /// still rolls out while the next is measured.
    pub async fn at_rest(&self, namespace: &str, deployments: usize) -> anyhow::Result<()> {
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), namespace);
        let until = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::Instant::now() < until {
            let all = api.list(&ListParams::default()).await?;
            let available = |one: &&Deployment| {
                let status = one.status.as_ref();
                status
                    .and_then(|status| status.available_replicas)
                    .unwrap_or(0)
                    > 0
            };
            if all.iter().filter(available).count() >= deployments {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        anyhow::bail!("waited {PATIENCE:?} for {deployments} Deployments of {namespace}")
    }

    /// What the agent asked of the API server since `mark`, its Lease left out.
    pub fn asked_by_agent(&self, mark: AuditMark) -> anyhow::Result<Vec<AuditEvent>> {
        let mut events = self.plane.audit_events(mark)?;
        events.retain(|event| event.user == AGENT && event.resource != "leases");
        Ok(events)
    }

    /// One series of the agent's metrics, as the exposition names it; 0 before its first count.
    pub async fn metric(&self, series: &str) -> anyhow::Result<f64> {
        let agent = self.agent.as_ref().context("no agent in this process")?;
        let text = reqwest::get(format!("http://{}/metrics", agent.address))
            .await?
            .text()
            .await?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        Ok(value.map_or(Ok(0.0), str::parse)?)
    }

    /// Ends the agent.
    pub async fn stop(self) -> anyhow::Result<()> {
        let Some(agent) = self.agent else {
            return Ok(());
        };
        let _ = agent.stop.send(true);
        agent.task.await.context("the agent broke down")?
    }
}

/// 101 ConfigMaps, each in a file of its own, and their kustomization.
pub fn hundred_and_one(repo: &GitRepo) -> anyhow::Result<()> {
    config_maps(repo, 101)
}

/// So many.
pub fn config_maps(repo: &GitRepo, count: usize) -> anyhow::Result<()> {
    for number in 0..count {
        repo.write(&format!("app/c{number}.yaml"), &config_map(number, "first"))?;
    }
    list_config_maps(repo, 0..count)
}

/// Declares these, and no others.
pub fn list_config_maps(
    repo: &GitRepo,
    numbers: impl Iterator<Item = usize>,
) -> anyhow::Result<()> {
    let mut kustomization = "resources:\n".to_owned();
    for number in numbers {
        kustomization.push_str(&format!("  - c{number}.yaml\n"));
    }
    Ok(repo.write("app/kustomization.yaml", &kustomization)?)
}

/// One of them.
pub fn config_map(number: usize, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c{number}\ndata:\n  value: {value}\n  \
         text: some more, so that it is not all about names\n"
    )
}

/// A directory of this package's examples, as it is.
pub fn examples(repo: &GitRepo, directory: &str) -> anyhow::Result<()> {
    let root = format!("{PACKAGE}/examples");
    for entry in fs::read_dir(format!("{root}/{directory}"))? {
        let path = entry?.path();
        let name = path.strip_prefix(&root)?.to_string_lossy().into_owned();
        if path.is_dir() {
            examples(repo, &name)?;
        } else {
            repo.write(&name, &fs::read_to_string(&path)?)?;
        }
    }
    Ok(())
}

/// When the API server had answered.
pub fn answered(event: &AuditEvent) -> anyhow::Result<jiff::Timestamp> {
    time(event, "stageTimestamp")
}

/// When the request had come.
pub fn received(event: &AuditEvent) -> anyhow::Result<jiff::Timestamp> {
    time(event, "requestReceivedTimestamp")
}

fn time(event: &AuditEvent, stamp: &str) -> anyhow::Result<jiff::Timestamp> {
    let text = event.raw[stamp]
        .as_str()
        .context("an audit event without time")?;
    Ok(text.parse()?)
}

/// The time from one moment to a later one, in milliseconds.
pub fn milliseconds(from: jiff::Timestamp, to: jiff::Timestamp) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "they are microseconds of one bench"
    )]
    let micros = to.duration_since(from).as_micros() as f64;
    micros / 1000.0
}

/// Times of one thing, measured again and again, in milliseconds.
#[derive(Default, Clone)]
pub struct Times(Vec<f64>);

impl Times {
    /// Adds one.
    pub fn push(&mut self, time: f64) {
        self.0.push(time);
        self.0.sort_by(f64::total_cmp);
    }

    /// The time that `percent` of all are not above.
    pub fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or(f64::NAN)
    }

    /// Prints them as one line.
    pub fn print(&self, what: &str) {
        let (runs, p50, p90, p99) = (
            self.0.len(),
            self.percentile(50),
            self.percentile(90),
            self.percentile(99),
        );
        println!(
            "{what:<44} {runs:>3} runs   p50 {p50:6.1} ms   p90 {p90:6.1} ms   p99 {p99:6.1} ms"
        );
    }
}

/// Prints where a bench is, with the time since its first word: some take minutes.
pub fn progress(what: &str) {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    println!("{:5.0} s  {what}", BEGUN.elapsed().as_secs_f64());
}

/// Prints a target and fails the bench when it is missed.
pub fn target(what: &str, met: bool) -> anyhow::Result<()> {
    println!("target: {what}: {}", if met { "met" } else { "MISSED" });
    ensure!(met, "missed: {what}");
    Ok(())
}
