//! The first sync of 1,001 objects (five for each of 200 services, Deployments with pods among
//! them), from the accepted Application until the API server has answered the last write. Beside
//! it, in the same run, a bare loop that applies the same bodies barrier by barrier at its best
//! concurrency. `-- 10001` takes ten times as many: it has to be linear.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures::StreamExt as _;
use towline::cluster::{Cluster as _, Identity, KubeCluster, Target};
use towline::desired::{Barrier, build};
use towline::inventory::Owner;
use towline::object::{Object, keys};
use towline::render::{Options, render};
use towline::tree::Tree;
use towline_testcluster::AuditEvent;

use support::{NAMESPACE, Times, World, answered, milliseconds, progress, services, target};

/// Rounds of each, in turn: the machine is another from minute to minute.
const ROUNDS: usize = 3;
/// Requests in flight of the bare loop: the rounds up to [`TRIED`] find the best of them, which the
/// others are made with.
const CONCURRENCY: [usize; 3] = [16, 32, 64];
const TRIED: usize = 1;
/// The namespace of a bare loop that does not count.
const WARM: &str = "warm";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let wanted = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let objects: usize = wanted.unwrap_or(1_001);
    let services = (objects - 1) / services::OBJECTS;
    let objects = services * services::OBJECTS + 1;
    // Every round has a namespace of its own: nothing is deleted while others are measured.
    let is_large = objects > 5_000;
    let rounds = if is_large { 1 } else { ROUNDS };
    // The pods of many objects come to rest in minutes: once beside them is enough.
    let concurrency = if is_large {
        &CONCURRENCY[1..2]
    } else {
        &CONCURRENCY
    };
    let world = World::without_application(|repo| {
        services::base(repo, services)?;
        services::overlay(repo, WARM)?;
        (0..rounds).try_for_each(|round| {
            services::overlay(repo, &format!("ours{round}"))?;
            concurrency
                .iter()
                .try_for_each(|in_flight| services::overlay(repo, &bare_name(round, *in_flight)))
        })
    })
    .await?;
    let cluster = Arc::new(KubeCluster::new(world.client.clone()));
    let (mut ours, mut counted) = (Times::default(), None);
    let mut bare: BTreeMap<usize, Times> = BTreeMap::new();
    let mut concurrency = concurrency.to_vec();
    if !is_large {
        // The API server has never seen such objects before.
        bare_loop(&world, &cluster, WARM, concurrency[0]).await?;
        world.at_rest(WARM, services).await?;
    }
    for round in 0..rounds {
        for in_flight in &concurrency {
            let namespace = bare_name(round, *in_flight);
            let time = bare_loop(&world, &cluster, &namespace, *in_flight).await?;
            progress(&format!("bare loop, {in_flight} in flight: {time:.0} ms"));
            bare.entry(*in_flight).or_default().push(time);
            world.at_rest(&namespace, services).await?;
        }
        if round == TRIED {
            let time = |in_flight: &usize| bare[in_flight].percentile(50);
            concurrency.sort_by(|a, b| f64::total_cmp(&time(a), &time(b)));
            concurrency.truncate(1);
        }
        let namespace = format!("ours{round}");
        let (time, requests) = first_sync(&world, &namespace, objects).await?;
        progress(&format!("towline: {time:.0} ms"));
        ours.push(time);
        counted = Some(requests);
        world.settled_as(&namespace).await?;
    }
    let in_flight = concurrency.first().context("no bare loop")?;
    let bare = &bare[in_flight];
    bare.print(&format!("bare loop, {in_flight} in flight"));
    ours.print(&format!("towline: first sync of {objects} objects"));
    let ratio = ours.percentile(50) / bare.percentile(50);
    println!("ratio of the p50 to the best bare loop: {ratio:.2}");
    let (writes, reads) = counted.context("no round")?;
    println!("the agent's requests: {writes} writes, {reads} reads and lists");
    world.stop().await?;
    target(
        &format!("at most N + 6 = {} writes", objects + 6),
        writes <= objects + 6,
    )?;
    // Five kinds in one namespace.
    target("at most kinds × namespaces + 10 = 15 reads", reads <= 15)?;
    target("ratio ≤ 1.35", ratio <= 1.35)
}

/// The namespace of a bare loop.
fn bare_name(round: usize, in_flight: usize) -> String {
    format!("bare{round}-{in_flight}")
}

/// One first sync: milliseconds, and the agent's writes and reads until then.
async fn first_sync(
    world: &World,
    namespace: &str,
    objects: usize,
) -> anyhow::Result<(f64, (usize, usize))> {
    let mark = world.plane.audit_mark();
    let path = format!("overlays/{namespace}");
    world.create(namespace, &path, namespace, "1h").await?;
    let is_object = |event: &AuditEvent| {
        event.verb == "patch" && event.namespace == namespace && event.code < 300
    };
    // Who waits must not take part: the audit log of a sync is long, and is read when it is over.
    world.synced_as(namespace).await?;
    let all = towline_testcluster::wait_until(
        "every object in the audit log",
        Duration::from_secs(30),
        || {
            let events = world.plane.audit_events(mark).map_err(|e| e.to_string())?;
            let written = events.iter().filter(|e| is_object(e)).count();
            if written >= objects {
                return Ok(events);
            }
            Err(format!("{written} of {objects} objects are written"))
        },
    )?;
    let created = all
        .iter()
        .find(|e| e.verb == "create" && e.resource == "applications")
        .context("the Application is not in the audit log")?;
    let written = { all.iter().filter(|e| is_object(e)) }
        .map(answered)
        .collect::<anyhow::Result<Vec<_>>>()?;
    let first = written.iter().min().copied().context("no write")?;
    let last = written.into_iter().max().context("no write")?;
    let begun = answered(created)?;
    let prepared = milliseconds(begun, first);
    progress(&format!(
        "towline: the first object is written after {prepared:.0} ms"
    ));
    let requests = world.asked_by_agent(mark)?;
    // What comes after the last object belongs to the roll-out, not to the sync.
    let until = |event: &&AuditEvent| answered(event).is_ok_and(|at| at <= last);
    let writes = requests
        .iter()
        .filter(until)
        .filter(|e| e.is_write())
        .count();
    let reads = requests
        .iter()
        .filter(until)
        .filter(|e| e.verb == "get" || e.verb == "list")
        .count();
    Ok((milliseconds(begun, last), (writes, reads)))
}

/// Gives the label that the agent's watches select another name of the same length: the agent would
/// otherwise be told of the bare loop's objects as soon as it keeps others of their kinds.
fn unwatched(body: &mut Object) -> anyhow::Result<()> {
    let labels = body.0.pointer_mut("/metadata/labels");
    let labels = labels.and_then(|labels| labels.as_object_mut());
    let labels = labels.context("an object without labels")?;
    let owner = labels.remove(keys::APPLICATION_LABEL);
    let owner = owner.context("an object without owner")?;
    let name = keys::APPLICATION_LABEL.replace("application", "bare-object");
    ensure!(
        name.len() == keys::APPLICATION_LABEL.len(),
        "another length"
    );
    labels.insert(name, owner);
    Ok(())
}

/// Applies the bodies of the agent in its order, as an admin, and does nothing else; milliseconds.
async fn bare_loop(
    world: &World,
    cluster: &KubeCluster,
    namespace: &str,
    in_flight: usize,
) -> anyhow::Result<f64> {
    world.plane.kubectl(&["create", "namespace", namespace])?;
    let tree = Tree::from_disk(world.repo.work_tree())?;
    let rendered = render(&tree, &format!("overlays/{namespace}"), &Options::default())?;
    let discovery = cluster.discover().await?;
    let owner = Owner {
        install: NAMESPACE.into(),
        namespace: NAMESPACE.into(),
        name: namespace.into(),
    };
    let desired = build(&rendered.objects, &discovery, &owner, namespace)?;
    let commit = world.repo.head()?;
    let mut bodies = Vec::new();
    for object in desired.objects.values() {
        let resource = object.resource().context("a kind that is not served")?;
        let mut body = object.object();
        body.set_annotation(keys::REVISION, &commit);
        unwatched(&mut body)?;
        let at = Target::new(
            resource,
            object.id.namespace.as_str(),
            object.id.name.as_str(),
        );
        bodies.push((object.barrier, at, body));
    }
    let begun = jiff::Timestamp::now();
    for barrier in Barrier::ALL {
        let mut writes = futures::stream::iter(bodies.iter().filter(|(b, ..)| *b == barrier))
            .map(|(_, at, body)| cluster.apply(&Identity::Agent, at, body, false))
            .buffer_unordered(in_flight);
        while let Some(written) = writes.next().await {
            ensure!(written?.uid() != "", "an object without a uid");
        }
    }
    Ok(milliseconds(begun, jiff::Timestamp::now()))
}
