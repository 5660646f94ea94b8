//! Drift under load: 50 edits a second, spread over 1,001 objects, by the field manager of
//! `kubectl edit`; each from the API server's answer to it until its answer to the write that
//! undoes it, by the audit log. No edit may be taken for a fight.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams};
use serde_json::json;
use towline_testcluster::AuditEvent;

use support::{Times, World, answered, milliseconds, services, target};

const SERVICES: usize = 200;
const EDITS: usize = 1_500;
const EVERY: Duration = Duration::from_millis(20);
const NAMESPACE: &str = "storm";
/// What the overlay says, and the edits take away.
const LABEL: &str = "app.kubernetes.io/part-of";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let world = World::without_application(|repo| {
        services::base(repo, SERVICES)?;
        services::overlay(repo, NAMESPACE)
    })
    .await?;
    world
        .create(NAMESPACE, &format!("overlays/{NAMESPACE}"), NAMESPACE, "1h")
        .await?;
    world.settled_as(NAMESPACE).await?;
    let kinds = [
        ("apps", "v1", "Deployment"),
        ("", "v1", "Service"),
        ("", "v1", "ServiceAccount"),
        ("", "v1", "ConfigMap"),
        ("policy", "v1", "PodDisruptionBudget"),
    ];
    let apis: Vec<Api<DynamicObject>> = kinds
        .iter()
        .map(|(group, version, kind)| {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
            Api::namespaced_with(world.client.clone(), NAMESPACE, &resource)
        })
        .collect();

    let mark = world.plane.audit_mark();
    let mut clock = tokio::time::interval(EVERY);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let begun = tokio::time::Instant::now();
    let edits: Vec<_> = (0..EDITS)
        .map(|number| (number % kinds.len(), number / kinds.len() % SERVICES))
        .collect();
    let mut running = tokio::task::JoinSet::new();
    for (number, (kind, service)) in edits.into_iter().enumerate() {
        clock.tick().await;
        let api = apis[kind].clone();
        running.spawn(async move {
            let edit = json!({"metadata": {"labels": {LABEL: format!("edit-{number}")}}});
            let as_kubectl = PatchParams {
                field_manager: Some("kubectl-edit".into()),
                ..PatchParams::default()
            };
            api.patch(&format!("s{service}"), &as_kubectl, &Patch::Merge(edit))
                .await
        });
    }
    while let Some(edited) = running.join_next().await {
        edited?.context("an edit was refused")?;
    }
    let rate = EDITS as f64 / begun.elapsed().as_secs_f64();
    let healed = wait_healed(&world, &apis).await;
    let mut times = Times::default();
    for time in undone(&world, mark)? {
        times.push(time);
    }
    let events: Api<Event> = Api::all(world.client.clone());
    let fights = events
        .list(&ListParams::default())
        .await?
        .iter()
        .filter(|event| event.reason.as_deref() == Some("Fight"))
        .count();
    println!(
        "{EDITS} edits at {rate:.0} a second over {} objects",
        SERVICES * services::OBJECTS
    );
    times.print("edit → undone");
    world.stop().await?;
    healed?;
    target("p50 < 100 ms", times.percentile(50) < 100.0)?;
    target("p99 < 500 ms", times.percentile(99) < 500.0)?;
    target("no edit is taken for a fight", fights == 0)
}

/// Waits until every object says what Git says.
async fn wait_healed(world: &World, apis: &[Api<DynamicObject>]) -> anyhow::Result<()> {
    let mut left = 0;
    for _ in 0..100 {
        left = 0;
        for api in apis {
            let edited = ListParams::default().labels(&format!("{LABEL},{LABEL}!=shop"));
            left += api.list(&edited).await?.items.len();
        }
        if left == 0 {
            return world.settled_as(NAMESPACE).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    anyhow::bail!("{left} edits are not undone")
}

/// How long each edit lived, in milliseconds. Of several edits before one heal the first counts.
fn undone(world: &World, mark: towline_testcluster::AuditMark) -> anyhow::Result<Vec<f64>> {
    let mut events: Vec<(jiff::Timestamp, AuditEvent)> = world
        .plane
        .audit_events(mark)?
        .into_iter()
        .filter(|e| e.verb == "patch" && e.namespace == NAMESPACE && e.code == 200)
        .filter(|e| e.subresource.is_empty())
        .map(|e| Ok((answered(&e)?, e)))
        .collect::<anyhow::Result<_>>()?;
    events.sort_by_key(|(at, _)| *at);
    let mut open: BTreeMap<(String, String), jiff::Timestamp> = BTreeMap::new();
    let mut times = Vec::new();
    for (at, event) in events {
        let object = (event.resource.clone(), event.name.clone());
        if event.uri.contains("fieldManager=kubectl-edit") {
            open.entry(object).or_insert(at);
        } else if event.uri.contains("force=true")
            && let Some(since) = open.remove(&object)
        {
            times.push(milliseconds(since, at));
        }
    }
    ensure!(
        open.is_empty(),
        "{} edits have no heal in the log",
        open.len()
    );
    ensure!(times.len() > EDITS / 2, "only {} heals", times.len());
    Ok(times)
}
