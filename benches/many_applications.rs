//! 500 Applications on one repository: one poll and one fetch for each commit, and one render when
//! a commit touches the files of one Application. Then 20 of them get stuck, waiting for pods that
//! never become ready: a healthy one must not notice.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

mod support;

use anyhow::Context as _;
use towline::object::keys;
use towline_testcluster::GitRepo;

use support::{Times, World, answered, config_map, milliseconds, target};

const APPLICATIONS: usize = 500;
const STUCK: usize = 20;
const RUNS: usize = 15;
/// The series of renders that were done.
const RENDERS: &str = "towline_renders_total{result=\"success\"}";
/// The Application that changes.
const CHANGED: usize = 250;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let world = World::without_application(|repo| {
        (0..APPLICATIONS).try_for_each(|number| directory(repo, number, "first"))
    })
    .await?;
    for number in 0..APPLICATIONS {
        let path = format!("apps/a{number}");
        world.create(&name(number), &path, "many", "1h").await?;
    }
    for number in 0..APPLICATIONS {
        world.settled_as(&name(number)).await?;
    }

    let mut freely = Times::default();
    let (mut requests, mut renders) = (0, 0.0);
    for run in 0..RUNS {
        let before = (
            world.server.counters().upload_packs,
            world.metric(RENDERS).await?,
        );
        freely.push(release(&world, &format!("free-{run}")).await?);
        // Every Application moves to the new commit, whatever it has to do for it.
        for number in 0..APPLICATIONS {
            world.settled_as(&name(number)).await?;
        }
        requests = requests.max(world.server.counters().upload_packs - before.0);
        renders = f64::max(renders, world.metric(RENDERS).await? - before.1);
    }
    freely.print("one of 500: annotation accepted → live");
    println!("at most {requests} Git requests and {renders} renders for a commit");

    for number in 0..STUCK {
        let directory = format!("apps/a{number}");
        let kustomization =
            format!("namePrefix: a{number}-\nresources: [c0.yaml, c1.yaml, stuck.yaml]\n");
        world
            .repo
            .write(&format!("{directory}/kustomization.yaml"), &kustomization)?;
        world
            .repo
            .write(&format!("{directory}/stuck.yaml"), STUCK_DEPLOYMENT)?;
    }
    world.repo.commit("Get stuck")?;
    world.ask_of(&name(CHANGED), keys::REFRESH, "stuck").await?;
    for number in 0..STUCK {
        let waiting = |application: &towline::api::Application| {
            let status = application.status.clone().unwrap_or_default();
            status.health.status == "Progressing" || status.health.status == "Degraded"
        };
        world
            .wait_for(&name(number), "an Application to be stuck", waiting)
            .await?;
    }
    let mut beside = Times::default();
    for run in 0..RUNS {
        beside.push(release(&world, &format!("stuck-{run}")).await?);
        // As above: whoever can has moved on before the next commit.
        for number in STUCK..APPLICATIONS {
            world.settled_as(&name(number)).await?;
        }
    }
    beside.print("the same beside 20 stuck ones");
    let longer = beside.percentile(50) - freely.percentile(50);
    println!("longer by {longer:.1} ms");
    world.stop().await?;
    // One ls-refs and one fetch.
    target("one poll and one fetch for a commit", requests <= 2)?;
    target("one render for a commit of one Application", renders <= 1.0)?;
    target("at most 50 ms longer beside stuck ones", longer <= 50.0)
}

fn name(number: usize) -> String {
    format!("a{number}")
}

/// The directory of one Application: two ConfigMaps.
fn directory(repo: &GitRepo, number: usize, value: &str) -> anyhow::Result<()> {
    let kustomization = format!("namePrefix: a{number}-\nresources: [c0.yaml, c1.yaml]\n");
    repo.write(
        &format!("apps/a{number}/kustomization.yaml"),
        &kustomization,
    )?;
    repo.write(&format!("apps/a{number}/c0.yaml"), &config_map(0, value))?;
    Ok(repo.write(&format!("apps/a{number}/c1.yaml"), &config_map(1, value))?)
}

/// Commits a change of one Application and asks for it; milliseconds until it is live.
async fn release(world: &World, value: &str) -> anyhow::Result<f64> {
    directory(&world.repo, CHANGED, value)?;
    world.repo.commit(value)?;
    let mark = world.plane.audit_mark();
    world.ask_of(&name(CHANGED), keys::REFRESH, value).await?;
    world.settled_as(&name(CHANGED)).await?;
    let events = world.plane.audit_events(mark)?;
    let asked = events
        .iter()
        .find(|e| e.resource == "applications" && e.verb == "patch" && e.name == name(CHANGED))
        .context("the annotation is not in the audit log")?;
    let live = events
        .iter()
        .rfind(|e| e.resource == "configmaps" && e.verb == "patch")
        .context("the write is not in the audit log")?;
    Ok(milliseconds(answered(asked)?, answered(live)?))
}

/// A Deployment whose pod no node takes.
const STUCK_DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: stuck}
spec:
  selector: {matchLabels: {app: stuck}}
  template:
    metadata: {labels: {app: stuck}}
    spec:
      nodeSelector: {example.com/none: such}
      containers: [{name: c, image: nginx}]
";
