//! How long a commit takes: from the accepted annotation `towline.dev/refresh` until the API server
//! has answered the write of the changed object, one of 101 and one of 1,001. Beside it, in the same
//! run, the least that anybody could do: ls-refs, fetch, one server-side apply. Both by the API
//! server's clock, which is this machine's. `-- 10001` takes another number of objects.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

mod support;

use std::collections::BTreeSet;

use anyhow::Context as _;
use serde_json::json;
use towline::cluster::{Cluster as _, Identity, KubeCluster, Resource, Target};
use towline::git::{AllowedSchemes, Cache, Credential, RemoteUrl, Scheme, TargetRevision};
use towline::object::{Object, Scope, keys};

use support::{
    NAME, TARGET, Times, World, answered, config_map, config_maps, milliseconds, target,
};

const SIZES: [usize; 2] = [101, 1_001];
const RUNS: usize = 30;
const CHANGED: usize = 50;
/// How many times the least a change may take.
const MOST: f64 = 1.5;
/// The same from 10,000 objects.
const MOST_OF_MANY: f64 = 3.0;
/// What a change may write beside the object: status, annotations, record and event.
const MOST_WRITES: usize = 5;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let given: Vec<usize> = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let sizes = if given.is_empty() { &SIZES[..] } else { &given };
    let mut missed = Vec::new();
    for size in sizes {
        missed.extend(measure(*size).await?);
    }
    missed.into_iter().next().map_or(Ok(()), Err)
}

/// Changes one of `size` objects again and again; what was missed.
async fn measure(size: usize) -> anyhow::Result<Vec<anyhow::Error>> {
    let world = World::start("app", "1h", |repo| config_maps(repo, size)).await?;
    let bare = Bare::new(&world)?;
    // The first round fetches everything and opens connections.
    bare.round("warm").await?;
    let (mut ours, mut least) = (Times::default(), Times::default());
    let mut writes = Vec::new();
    for run in 0..RUNS {
        let value = format!("run-{run}");
        world.repo.write(
            &format!("app/c{CHANGED}.yaml"),
            &config_map(CHANGED, &value),
        )?;
        world.repo.commit(&value)?;
        let mark = world.plane.audit_mark();
        ours.push(poke(&world, &value).await?);
        let asked = world.asked_by_agent(mark)?;
        writes.push(asked.iter().filter(|event| event.is_write()).count());
        let mark = world.plane.audit_mark();
        let begun = bare.round(&value).await?;
        let written = written(&world, mark, "bare")?;
        least.push(milliseconds(begun, written));
    }
    ours.print(&format!("towline: one of {size}, asked → live"));
    least.print("bare: ls-refs + fetch + one apply → live");
    let ratio = ours.percentile(50) / least.percentile(50);
    writes.sort_unstable();
    // What is accepted is stored within seconds, for all changes until then at once: some rounds have
    // those writes, too.
    let (usual, most) = (writes[writes.len() / 2], writes[writes.len() - 1]);
    println!("ratio of the p50: {ratio:.2}; {usual} writes for a change, at most {most}");
    world.stop().await?;
    let limit = if size > 5_000 { MOST_OF_MANY } else { MOST };
    let targets = [
        target(&format!("ratio ≤ {limit}"), ratio <= limit),
        target(
            &format!("{MOST_WRITES} writes for a change"),
            usual <= MOST_WRITES,
        ),
    ];
    Ok(targets.into_iter().filter_map(Result::err).collect())
}

/// One round of towline, in milliseconds.
async fn poke(world: &World, value: &str) -> anyhow::Result<f64> {
    let mark = world.plane.audit_mark();
    world.ask(keys::REFRESH, value).await?;
    // Who waits must not take part: nobody asks the API server while the bare round is made either.
    world.synced_as(NAME).await?;
    let events = world.plane.audit_events(mark)?;
    let asked = events
        .iter()
        .find(|e| e.verb == "patch" && e.resource == "applications");
    let asked = answered(asked.context("the annotation is not in the audit log")?)?;
    Ok(milliseconds(
        asked,
        written(world, mark, &format!("c{CHANGED}"))?,
    ))
}

/// When the write of a ConfigMap since `mark` was answered.
fn written(
    world: &World,
    mark: towline_testcluster::AuditMark,
    name: &str,
) -> anyhow::Result<jiff::Timestamp> {
    // The log may be a moment behind the answer.
    let event = towline_testcluster::wait_until(
        "the audit log",
        std::time::Duration::from_secs(5),
        || {
            let events = world
                .plane
                .audit_events(mark)
                .map_err(|error| error.to_string())?;
            let is_it = |e: &towline_testcluster::AuditEvent| {
                e.verb == "patch" && e.resource == "configmaps" && e.name == name
            };
            events
                .into_iter()
                .find(is_it)
                .ok_or_else(|| format!("no write of {name}"))
        },
    )?;
    answered(&event)
}

/// The least that has to happen, with the same Git client and the same connection to the cluster.
struct Bare {
    cache: Cache,
    url: RemoteUrl,
    targets: BTreeSet<TargetRevision>,
    cluster: KubeCluster,
    target: Target,
}

impl Bare {
    fn new(world: &World) -> anyhow::Result<Self> {
        let allowed = AllowedSchemes::with([Scheme::Http]);
        let resource = Resource::known("v1", "ConfigMap", "configmaps", Scope::Namespaced);
        Ok(Self {
            cache: Cache::new(world.dir.path().join("bare-cache"))?,
            url: RemoteUrl::parse(&world.server.url("config.git"), &allowed)?,
            targets: BTreeSet::from([TargetRevision::parse("main")?]),
            cluster: KubeCluster::new(world.client.clone()),
            target: Target::new(&resource, TARGET, "bare"),
        })
    }

    /// Returns when it began.
    async fn round(&self, value: &str) -> anyhow::Result<jiff::Timestamp> {
        let begun = jiff::Timestamp::now();
        let repository = self.cache.repository(&self.url, &Credential::none())?;
        let targets = self.targets.clone();
        let synced =
            tokio::task::spawn_blocking(move || repository.poll_and_fetch(&targets)).await??;
        for revision in synced.revisions.into_values() {
            revision?;
        }
        let body = Object(json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "bare", "namespace": TARGET},
            "data": {"value": value, "text": "some more, so that it is not all about names"},
        }));
        self.cluster
            .apply(&Identity::Agent, &self.target, &body, false)
            .await?;
        Ok(begun)
    }
}
