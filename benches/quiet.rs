//! What a pass without changes costs the API server, by its audit log: 100 Git polls that find
//! nothing, 100 foreign writes to managed objects that are no drift, and 100 passes that were asked
//! for, over 101 objects. The agent's Lease is left out.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;
use towline::object::keys;
use towline_testcluster::{AuditEvent, AuditMark};

use support::{TARGET, World, hundred_and_one, target};

const PASSES: usize = 100;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let world = World::start("app", "1s", hundred_and_one).await?;
    // What was learned by the way is stored within seconds of the last change.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let objects: Api<ConfigMap> = Api::namespaced(world.client.clone(), TARGET);
    let before = versions(&objects).await?;

    let mark = world.plane.audit_mark();
    let polled = world.server.counters().upload_packs;
    let enough = polled + PASSES as u64;
    while world.server.counters().upload_packs < enough {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let idle = Cost::of(&world, mark, "Git polls without a new commit")?;
    let unmoved = versions(&objects).await? == before;

    let mark = world.plane.audit_mark();
    for number in 0..PASSES {
        let patch = Patch::Merge(
            json!({"metadata": {"annotations": {"example.com/n": format!("{number}")}}}),
        );
        objects
            .patch(&format!("c{number}"), &PatchParams::default(), &patch)
            .await?;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let touched = Cost::of(&world, mark, "foreign writes that are no drift")?;

    let before = versions(&objects).await?;
    let mark = world.plane.audit_mark();
    for number in 0..PASSES {
        let token = format!("quiet-{number}");
        world.ask(keys::SYNC, &token).await?;
        world
            .wait("the echo of a request", |application| {
                let status = application.status.clone().unwrap_or_default();
                status.handled.sync.as_ref() == Some(&token)
            })
            .await?;
    }
    let asked = Cost::of(&world, mark, "passes that were asked for")?;
    let unmoved = unmoved && versions(&objects).await? == before;
    println!("resourceVersions of the 101 objects stayed: {unmoved}");
    world.stop().await?;
    target("idle: no write, no list, no read", idle.is_nothing())?;
    target(
        "foreign writes: no write, no list, no read",
        touched.is_nothing(),
    )?;
    // The echo in the status is the only write, and it is about the Application itself.
    target(
        "asked: no list, no write but the echo",
        asked.lists == 0 && asked.writes == 0,
    )?;
    target("resourceVersions stay", unmoved)
}

async fn versions(objects: &Api<ConfigMap>) -> anyhow::Result<BTreeMap<String, String>> {
    let list = objects.list(&ListParams::default()).await?;
    let version = |object: ConfigMap| {
        let metadata = object.metadata;
        (
            metadata.name.unwrap_or_default(),
            metadata.resource_version.unwrap_or_default(),
        )
    };
    Ok(list.items.into_iter().map(version).collect())
}

/// What the agent asked of the API server.
struct Cost {
    lists: usize,
    reads: usize,
    writes: usize,
    /// Writes of the Application's own status and annotations.
    echoes: usize,
}

impl Cost {
    fn of(world: &World, mark: AuditMark, what: &str) -> anyhow::Result<Self> {
        let events = world.asked_by_agent(mark)?;
        let count = |is: fn(&AuditEvent) -> bool| events.iter().filter(|e| is(e)).count();
        let cost = Self {
            lists: count(|e| e.verb == "list"),
            reads: count(|e| e.verb == "get"),
            writes: count(|e| e.is_write() && e.resource != "applications"),
            echoes: count(|e| e.is_write() && e.resource == "applications"),
        };
        println!(
            "{PASSES} {what:<34} {:>3} writes   {:>3} lists   {:>3} reads   {:>3} status writes",
            cost.writes, cost.lists, cost.reads, cost.echoes
        );
        for event in events
            .iter()
            .filter(|e| e.is_write() && e.resource != "applications")
            .take(5)
        {
            println!("  {} {} {}", event.verb, event.resource, event.uri);
        }
        Ok(cost)
    }

    fn is_nothing(&self) -> bool {
        self.lists + self.reads + self.writes + self.echoes == 0
    }
}
