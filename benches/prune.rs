//! How long a prune takes: 100 of 1,001 objects leave Git; from the accepted annotation
//! `towline.dev/refresh` until the API server has answered the last deletion.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

mod support;

use anyhow::Context as _;
use towline::object::keys;

use support::{
    TARGET, Times, World, answered, config_maps, list_config_maps, milliseconds, progress, target,
};

const OBJECTS: usize = 1_001;
const PRUNED: usize = 100;
const RUNS: usize = 5;
/// In milliseconds.
const MOST: f64 = 600.0;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let world = World::start("app", "1h", |repo| config_maps(repo, OBJECTS)).await?;
    progress(&format!("{OBJECTS} objects are Synced and Healthy"));
    let mut times = Times::default();
    for run in 0..RUNS {
        list_config_maps(&world.repo, 0..OBJECTS - PRUNED)?;
        world.repo.commit("Remove some")?;
        times.push(prune(&world, &format!("prune-{run}")).await?);
        list_config_maps(&world.repo, 0..OBJECTS)?;
        world.repo.commit("Bring them back")?;
        world.ask(keys::REFRESH, &format!("back-{run}")).await?;
        world.settled().await?;
    }
    times.print(&format!("{PRUNED} of {OBJECTS} pruned: asked → gone"));
    println!("p50 {:.0} ms", times.percentile(50));
    world.stop().await?;
    target(&format!("below {MOST} ms"), times.percentile(50) < MOST)
}

/// One prune, in milliseconds.
async fn prune(world: &World, token: &str) -> anyhow::Result<f64> {
    let mark = world.plane.audit_mark();
    world.ask(keys::REFRESH, token).await?;
    world.settled().await?;
    let events = world.plane.audit_events(mark)?;
    let asked = events
        .iter()
        .find(|e| e.verb == "patch" && e.resource == "applications")
        .context("the annotation is not in the audit log")?;
    let deletions: Vec<_> = events
        .iter()
        .filter(|e| e.verb == "delete" && e.resource == "configmaps" && e.namespace == TARGET)
        .filter(|e| e.code < 300)
        .map(answered)
        .collect::<anyhow::Result<_>>()?;
    anyhow::ensure!(deletions.len() == PRUNED, "{} deletions", deletions.len());
    let last = deletions.into_iter().max().context("no deletion")?;
    Ok(milliseconds(answered(asked)?, last))
}
