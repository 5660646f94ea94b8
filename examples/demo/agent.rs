//! The agent, in this process: the same code as `towline agent`.

use std::fs::{self, File};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use towline::agent::{Options, Timing, run};
use towline::cluster::{KubeCluster, connect_with};
use towline::git::{AllowedSchemes, Scheme};

use crate::cluster::Cluster;

/// A running agent.
pub struct Agent {
    stop: watch::Sender<bool>,
    task: JoinHandle<anyhow::Result<()>>,
    address: String,
    dir: tempfile::TempDir,
}

impl Agent {
    /// Starts it as its own ServiceAccount, with the rights of `manifests/rbac.yaml` and no more.
    pub async fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let log = Mutex::new(File::create(dir.path().join("agent.log"))?);
        tracing_subscriber::fmt()
            .with_env_filter(std::env::var("RUST_LOG").unwrap_or_else(|_| "towline=info".into()))
            .with_ansi(false)
            .with_writer(log)
            .init();
        let kubeconfig = dir.path().join("kubeconfig");
        fs::write(&kubeconfig, cluster.agent_kubeconfig()?)?;
        let client = connect_with(&kubeconfig).await?;
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("listening for metrics")?;
        let address = format!("http://{}", listener.local_addr()?);
        let options = Options {
            namespace: cluster.namespace().to_owned(),
            install_id: cluster.namespace().to_owned(),
            application_namespaces: vec![cluster.namespace().to_owned()],
            cache_dir: dir.path().join("cache"),
            // The Git server is on this machine; elsewhere http shows everything to the network.
            allow_schemes: AllowedSchemes::with([Scheme::Http]),
            lease_name: "towline".into(),
            identity: "demo".into(),
            timing: Timing::default(),
            deployment: None,
        };
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(run(
            Arc::new(KubeCluster::new(client)),
            options,
            listener,
            stopped,
        ));
        Ok(Self {
            stop,
            task,
            address,
            dir,
        })
    }

    /// Where its metrics are.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The path of its log.
    pub fn log_path(&self) -> String {
        self.dir.path().join("agent.log").display().to_string()
    }

    /// The end of its log, for when something went wrong.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Ends it as SIGTERM does: it gives its Lease back.
    pub async fn stop(self) -> anyhow::Result<()> {
        let _ = self.stop.send(true);
        self.task.await.context("the agent broke down")?
    }
}
