//! How long drift lives: `kubectl scale` of a managed Deployment, from the API server's answer to it
//! until its answer to the write that undoes it, by the audit log.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

mod support;

use std::time::Duration;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use towline_testcluster::AuditEvent;

use support::{TARGET, Times, World, answered, examples, milliseconds, target};

const RUNS: usize = 30;
/// Between runs: what comes back at once, again and again, would be a fight and not drift.
const PAUSE: Duration = Duration::from_millis(2_200);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let world = World::start("shop/overlays/bench", "1h", |repo| {
        examples(repo, "shop")?;
        let overlay = "namespace: bench\nnamePrefix: dev-\nresources: [../../base]\n\
                       replicas: [{name: web, count: 1}]\n";
        Ok(repo.write("shop/overlays/bench/kustomization.yaml", overlay)?)
    })
    .await?;
    let deployments: Api<Deployment> = Api::namespaced(world.client.clone(), TARGET);
    let mut times = Times::default();
    for _ in 0..RUNS {
        tokio::time::sleep(PAUSE).await;
        let mark = world.plane.audit_mark();
        world
            .plane
            .kubectl(&["-n", TARGET, "scale", "deployment/dev-web", "--replicas=5"])?;
        let mut undone = None;
        for _ in 0..250 {
            let replicas = deployments
                .get("dev-web")
                .await?
                .spec
                .and_then(|spec| spec.replicas);
            let events = world.plane.audit_events(mark)?;
            let scaled = position(&events, |e| e.subresource == "scale" && e.code == 200);
            let ours = world.asked_by_agent(mark)?;
            let healed = ours
                .iter()
                .find(|e| e.subresource.is_empty() && is_apply(e))
                .cloned();
            if let (Some(1), Some(scaled), Some(healed)) = (replicas, scaled, healed) {
                undone = Some(milliseconds(answered(&events[scaled])?, answered(&healed)?));
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let undone = undone.context("`kubectl scale` was not undone within 5 s")?;
        ensure!(undone > 0.0, "the heal is older than the drift");
        times.push(undone);
    }
    times.print("kubectl scale → undone");
    let slowest = times.percentile(99);
    println!("slowest: {slowest:.1} ms");
    world.stop().await?;
    target("p99 < 500 ms", slowest < 500.0)
}

fn position(events: &[AuditEvent], is: impl Fn(&AuditEvent) -> bool) -> Option<usize> {
    events
        .iter()
        .position(|e| e.verb != "get" && e.name == "dev-web" && is(e))
}

/// A server-side apply of the Deployment.
fn is_apply(event: &AuditEvent) -> bool {
    event.verb == "patch"
        && event.resource == "deployments"
        && event.name == "dev-web"
        && event.uri.contains("force=true")
}
