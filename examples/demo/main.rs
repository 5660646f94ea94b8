//! The demo: a Kubernetes control plane, a Git server and towline, and what they do together.
//!
//! `cargo run --example demo`. Everything it says is checked: it ends with an error when something
//! does not hold. Everything it starts and creates is gone when it ends.

mod agent;
mod chapters;
mod cluster;
mod eyes;
mod repository;
mod story;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use agent::Agent;
use chapters::Demo;
use cluster::Cluster;
use repository::Repository;
use story::Story;

/// Shows what towline does, against a real Kubernetes API server.
#[derive(Parser)]
#[command(name = "demo")]
struct Args {
    /// Stay at the end, with everything running, until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Use the cluster of this kubeconfig context instead of starting one. Namespaces and roles of
    /// the demo are created in it, and deleted at the end.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let story = Story::new();
    match run(&args, &story).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            story.failed(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args, story: &Story) -> anyhow::Result<()> {
    // kube and the Git client share one TLS provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    story.title();
    // First, because it takes longest: some minutes of Go when this machine has no control plane yet.
    let begun = Instant::now();
    let cluster = match &args.context {
        Some(context) => Cluster::existing(context)?,
        None => Cluster::start()?,
    };
    story.done(
        &format!("Kubernetes {} at {}", cluster.version()?, cluster.server()?),
        begun,
    );
    let interrupt = Interrupt::listen()?;
    tell(args, story, &cluster, interrupt)
        .await
        .and(cluster.clean_up(story))
}

async fn tell(
    args: &Args,
    story: &Story,
    cluster: &Cluster,
    mut interrupt: Interrupt,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let repository = Repository::create(cluster)?;
    story.done(
        &format!("Git server with a config repository: {}", repository.url()),
        begun,
    );

    let begun = Instant::now();
    cluster.install()?;
    story.done(
        "towline's CRD, ServiceAccount and RBAC, from manifests/",
        begun,
    );
    let begun = Instant::now();
    let agent = Agent::start(cluster).await?;
    story.done(
        &format!("the agent, in this process, as {}", cluster.agent_user()),
        begun,
    );

    let demo = Demo::new(story, cluster, &repository).await?;
    let told = tokio::select! {
        told = demo.tell() => told.with_context(|| format!("the agent's log is:\n{}", agent.log())),
        () = interrupt.comes() => Err(anyhow::anyhow!("interrupted")),
    };
    if told.is_ok() {
        story.end(args.keep);
        if args.keep {
            story.go_on(cluster, &repository, &agent);
            interrupt.comes().await;
        }
    }
    let ended = cluster.let_go();
    let stopped = agent.stop().await;
    told.and(ended).and(stopped)
}

/// Ctrl-C, or the SIGTERM of a CI runner: from now on the demo cleans up before it ends.
struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    fn listen() -> anyhow::Result<Self> {
        let mut int = signal(SignalKind::interrupt())?;
        let mut term = signal(SignalKind::terminate())?;
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                _ = int.recv() => {}
                _ = term.recv() => {}
            }
            sender.send_replace(true);
        });
        Ok(Self(receiver))
    }

    async fn comes(&mut self) {
        // The sender only goes with the runtime.
        let _ = self.0.wait_for(|came| *came).await;
    }
}
