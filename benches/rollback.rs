//! How long going back takes: a revision changes all of 101 objects, and its smoke test fails. From
//! the status that tells of it, which is written before anything else, until the API server has
//! answered the last write of the revision before.
//!
//! What precedes it is told too, from the failure of the Job on: every write is tried dry first.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

mod support;

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::json;
use towline::object::keys;
use towline_testcluster::{AuditEvent, GitRepo};

use support::{
    TARGET, Times, World, answered, config_map, config_maps, milliseconds, progress, received,
    target,
};

const OBJECTS: usize = 101;
/// After three in ten minutes the agent takes it for an outage.
const RUNS: usize = 3;
/// In milliseconds.
const MOST: f64 = 1000.0;

const SMOKE: &str = "\
apiVersion: batch/v1
kind: Job
metadata:
  name: smoke
  annotations:
    towline.dev/hook: PostSync
spec:
  backoffLimit: 0
  template:
    metadata:
      labels:
        pod-container-running-failed.stage.kwok.x-k8s.io: \"true\"
    spec:
      restartPolicy: Never
      containers:
        - name: main
          image: busybox:1
";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let world = World::start("app", "1h", |repo| config_maps(repo, OBJECTS)).await?;
    world
        .change(&json!({
            "rollback": {"monitor": "0s"},
            "syncPolicy": {"retry": {"limit": 0}},
        }))
        .await?;
    let (mut decided, mut failed) = (Times::default(), Times::default());
    for run in 0..RUNS {
        let good = world.repo.head()?;
        world
            .wait("something to go back to", |application| {
                let status = application.status.clone().unwrap_or_default();
                status
                    .rollback
                    .good
                    .is_some_and(|known| known.revision == good)
            })
            .await?;
        progress(&format!("{OBJECTS} objects are Synced and Healthy"));
        let (from_decision, from_failure) = roll_back(&world, run, &good).await?;
        decided.push(from_decision);
        failed.push(from_failure);
        config_maps(&world.repo, OBJECTS)?;
        world.repo.commit("Revert it")?;
        world.ask(keys::REFRESH, &format!("back-{run}")).await?;
        world.settled().await?;
    }
    failed.print("the smoke test failed → back");
    decided.print(&format!("{OBJECTS} objects: decided → back"));
    println!("p50 {:.0} ms", decided.percentile(50));
    world.stop().await?;
    target(&format!("below {MOST} ms"), decided.percentile(50) < MOST)
}

/// A revision that changes every object and whose smoke test fails.
fn write_bad(repo: &GitRepo, run: usize) -> anyhow::Result<()> {
    config_maps(repo, OBJECTS)?;
    for number in 0..OBJECTS {
        let bad = config_map(number, &format!("bad-{run}"));
        repo.write(&format!("app/c{number}.yaml"), &bad)?;
    }
    repo.write("app/smoke.yaml", SMOKE)?;
    let list = (0..OBJECTS).map(|number| format!("  - c{number}.yaml\n"));
    let list: String = list.collect();
    repo.write(
        "app/kustomization.yaml",
        &format!("resources:\n{list}  - smoke.yaml\n"),
    )?;
    repo.commit("Break it")?;
    Ok(())
}

/// One rollback: its time from the decision and from the failure on, in milliseconds.
async fn roll_back(world: &World, run: usize, good: &str) -> anyhow::Result<(f64, f64)> {
    write_bad(&world.repo, run)?;
    let mark = world.plane.audit_mark();
    world.ask(keys::REFRESH, &format!("bad-{run}")).await?;
    world
        .wait("the Application to be rolled back", |application| {
            let status = application.status.clone().unwrap_or_default();
            status.sync.status == "RolledBack" && status.sync.revision == good
        })
        .await?;
    let failed = world.plane.audit_events(mark)?;
    let failed = failed
        .iter()
        .filter(|e| e.resource == "jobs" && e.subresource == "status" && e.namespace == TARGET)
        .map(answered);
    let failed = failed.collect::<anyhow::Result<Vec<_>>>()?;
    let failed = failed.into_iter().max().context("no status of the Job")?;
    let asked = world.asked_by_agent(mark)?;
    let writes = |is: fn(&AuditEvent) -> bool| -> anyhow::Result<Vec<(Timestamp, Timestamp)>> {
        let writes = asked
            .iter()
            .filter(|e| e.is_write() && e.code < 300 && is(e));
        let mut times: Vec<_> = writes
            .map(|event| Ok((received(event)?, answered(event)?)))
            .collect::<anyhow::Result<_>>()?;
        times.sort();
        Ok(times)
    };
    let back: Vec<_> = writes(|e| e.resource == "configmaps" && e.namespace == TARGET)?
        .into_iter()
        .filter(|(at, _)| *at > failed)
        .collect();
    anyhow::ensure!(back.len() == OBJECTS, "{} objects went back", back.len());
    let first = back.iter().map(|(at, _)| *at).min().context("no write")?;
    let last = back.iter().map(|(_, end)| *end).max().context("no write")?;
    let told = writes(|e| e.resource == "applications" && e.verb == "patch")?;
    let told = told.into_iter().map(|(at, _)| at);
    let told = told.filter(|at| *at > failed && *at < first).min();
    let told = told.context("nothing was told before the first write")?;
    Ok((milliseconds(told, last), milliseconds(failed, last)))
}
