//! What the agent costs while nothing happens, as the process that runs in a cluster: anonymous
//! memory 60 s after the first sync, its peak, and processor time over the next minute. At 1,001
//! and at 10,001 managed objects, in a cluster with 50,000 others. `-- 1001` or `-- 10001` takes
//! one of them, `-- others=0` leaves the others out, `-- binary=PATH` measures another build. What
//! it printed when it was cut short counts.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

mod support;

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use support::{NAMESPACE, World, progress, services, target};

const OTHERS: usize = 50_000;
const SETTLE: Duration = Duration::from_secs(60);
/// Ticks of the processor clock in a second: what /proc counts in on every Linux.
const TICKS: f64 = 100.0;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let others = arguments
        .iter()
        .find_map(|a| a.strip_prefix("others=")?.parse().ok())
        .unwrap_or(OTHERS);
    let mut sizes: Vec<usize> = arguments.iter().filter_map(|a| a.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![1_001, 10_001];
    }
    let binary = arguments
        .iter()
        .find_map(|a| a.strip_prefix("binary="))
        .unwrap_or(env!("CARGO_BIN_EXE_towline"));
    let mut missed = Vec::new();
    for size in sizes {
        let limit = if size > 5_000 { 60.0 } else { 25.0 };
        let figures = measure(size, others, binary).await?;
        println!(
            "{size} managed, {others} others: RssAnon {:.1} MiB, peak RSS {:.1} MiB, idle {:.2} % of a core",
            figures.anonymous, figures.peak, figures.idle
        );
        for (what, met) in [
            (
                format!("RssAnon at most {limit} MiB"),
                figures.anonymous <= limit,
            ),
            ("peak at most 200 MiB".to_owned(), figures.peak <= 200.0),
            ("idle below 0.5 % of a core".to_owned(), figures.idle < 0.5),
        ] {
            missed.extend(target(&what, met).err());
        }
    }
    missed.into_iter().next().map_or(Ok(()), Err)
}

struct Figures {
    anonymous: f64,
    peak: f64,
    idle: f64,
}

async fn measure(size: usize, others: usize, binary: &str) -> anyhow::Result<Figures> {
    let world = World::without_agent(|repo| {
        services::base(repo, (size - 1) / services::OBJECTS)?;
        services::overlay(repo, "managed")
    })
    .await?;
    progress("the control plane runs");
    crowd(&world, others).await?;
    progress(&format!("{others} other objects are there"));
    let agent = Agent::start(&world, binary)?;
    world
        .create("managed", "overlays/managed", "managed", "30s")
        .await?;
    world.synced_as("managed").await?;
    progress(&format!("{size} objects are Synced"));
    tokio::time::sleep(SETTLE).await;
    let anonymous = agent.status("RssAnon")?;
    progress(&format!(
        "RssAnon {anonymous:.1} MiB, peak RSS {:.1} MiB",
        agent.status("VmHWM")?
    ));
    // Idle is when nothing rolls out any more; that takes the controllers minutes.
    world.settled_as("managed").await?;
    progress("and Healthy");
    tokio::time::sleep(SETTLE / 6).await;
    let before = agent.ticks()?;
    tokio::time::sleep(SETTLE).await;
    let used = agent.ticks()? - before;
    Ok(Figures {
        anonymous,
        peak: agent.status("VmHWM")?,
        idle: used / TICKS / SETTLE.as_secs_f64() * 100.0,
    })
}

/// Objects that are none of the agent's business.
async fn crowd(world: &World, count: usize) -> anyhow::Result<()> {
    let api: Api<ConfigMap> = Api::namespaced(world.client.clone(), "default");
    let create = |number: usize| {
        let api = api.clone();
        async move {
            let object =
                json!({"metadata": {"name": format!("other-{number}")}, "data": {"a": "1"}});
            let object = serde_json::from_value(object)?;
            api.create(&PostParams::default(), &object).await?;
            anyhow::Ok(())
        }
    };
    let mut creates = futures::stream::iter((0..count).map(create)).buffer_unordered(64);
    while let Some(created) = creates.next().await {
        created?;
    }
    Ok(())
}

/// `towline agent`, ended when it is dropped.
struct Agent(Child);

impl Agent {
    fn start(world: &World, binary: &str) -> anyhow::Result<Self> {
        let child = Command::new(binary)
            .args(["agent", "--namespace", NAMESPACE, "--listen", "127.0.0.1:0"])
            .args([
                "--allow-scheme",
                "http",
                "--log-level",
                "warn",
                "--cache-dir",
            ])
            .arg(world.dir.path().join("agent-cache"))
            .env("KUBECONFIG", &world.kubeconfig)
            // As manifests/deployment.yaml has it.
            .env("MIMALLOC_ALLOW_THP", "0")
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self(child))
    }

    /// A field of /proc/PID/status in MiB.
    fn status(&self, field: &str) -> anyhow::Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let kib: f64 = text
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
            .and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok())
            .with_context(|| format!("no {field}"))?;
        Ok(kib / 1024.0)
    }

    /// Processor time used so far, user and system, in ticks.
    fn ticks(&self) -> anyhow::Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let (_, rest) = stat.rsplit_once(") ").context("no stat")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let tick = |at: usize| -> anyhow::Result<f64> {
            Ok(fields.get(at).context("a short stat")?.parse()?)
        };
        Ok(tick(11)? + tick(12)?)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
