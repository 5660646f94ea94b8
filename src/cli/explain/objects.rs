//! Objects that are not healthy: each with its own words, those of its pods, and those that a
//! container said last.

use futures::StreamExt as _;
use serde_json::Value;

use super::super::screen::Screen;
use super::finding::Finding;
use super::words::{Hidden, last_words};
use crate::agent::ended::failed;
use crate::agent::store::Store;
use crate::cluster::{Cluster, Discovery, Identity, Lookup, Resource, Target};
use crate::error::Fault as _;
use crate::health::{Health, Pods, Status, outlook};
use crate::inventory::{Entry, Owner};
use crate::object::{Gvk, Object, ObjectId, Scope, keys};

/// Reads in flight at once.
const CONCURRENCY: usize = 16;
/// How many objects are told, and of how many of them the log is read.
const LIMIT: usize = 20;
const LOGS: usize = 3;

/// The objects of an Application that are not healthy, the worst first. Where what it owns cannot
/// be read, the one that its status names. And what of all this may not be shown.
///
/// # Errors
/// When nobody reads any more what is told meanwhile.
pub(super) async fn unhealthy(
    cluster: &dyn Cluster,
    discovery: &Discovery,
    owner: &Owner,
    worst: Option<&str>,
    now: u64,
    screen: &mut Screen<'_>,
) -> std::io::Result<(Vec<Finding>, Hidden)> {
    let mut store = Store::new(owner.install.as_str(), owner.clone());
    let (mut ids, mut gone) = (Vec::new(), Vec::new());
    match store.load(cluster).await {
        Ok(inventory) => {
            gone.extend(
                inventory
                    .iter()
                    .filter_map(|(id, entry)| failed_job(id, entry)),
            );
            let kept = inventory.iter().filter(|(_, entry)| !entry.done);
            ids.extend(kept.map(|(id, entry)| {
                (
                    entry.gvk(id),
                    id.namespace.clone(),
                    id.name.clone(),
                    entry.hook.is_some(),
                )
            }));
        }
        Err(error) => {
            screen.note(&format!(
                "only the worst object is explained: {error} (inventories are Secrets in {}; --agent-namespace)",
                owner.install
            ))?;
        }
    }
    if ids.is_empty() && gone.is_empty() {
        ids.extend(worst.and_then(|message| named(discovery, message)));
    }
    let looks = ids
        .iter()
        .map(|(gvk, namespace, name, is_hook)| async move {
            let found = look(cluster, discovery, gvk, namespace, name, now).await?;
            // A hook that ran is deleted by its policy.
            (!is_hook || found.0.status != Status::Missing).then_some(found)
        });
    let mut found: Vec<(Health, Finding, Option<Object>)> = futures::stream::iter(looks)
        .buffered(CONCURRENCY)
        .filter_map(std::future::ready)
        .collect()
        .await;
    found.extend(gone);
    found.sort_by_key(|(health, ..)| std::cmp::Reverse(health.status));
    let more = found.len().saturating_sub(LIMIT);
    found.truncate(LIMIT);
    if more > 0 {
        screen.note(&format!("{more} more objects are not healthy"))?;
    }
    let (mut findings, mut hidden) = (Vec::with_capacity(found.len()), Hidden::default());
    for (number, (health, mut finding, pod)) in found.into_iter().enumerate() {
        let pod = pod.filter(|_| number < LOGS && health.status != Status::Suspended);
        hidden.add(add_words(cluster, &mut finding, pod.as_ref()).await);
        findings.push(finding);
    }
    Ok((findings, hidden))
}

/// A Job that failed and is gone, of which only the record tells.
fn failed_job(id: &ObjectId, entry: &Entry) -> Option<(Health, Finding, Option<Object>)> {
    let health = failed(entry.lasting_failure()?);
    let finding = Finding {
        object: id.to_string(),
        reason: health.reason.into(),
        message: health.message.clone(),
        next: vec![
            "commit a change of its spec, such as another image: it runs again then; a longer ttlSecondsAfterFinished leaves its pods to look at".into(),
        ],
        ..Finding::default()
    };
    Some((health, finding, None))
}

/// The object that a message is about: `Deployment/shop/web: …`.
fn named(discovery: &Discovery, message: &str) -> Option<(Gvk, String, String, bool)> {
    let (id, _) = message.split_once(": ")?;
    let parts: Vec<&str> = id.split('/').collect();
    let (kind, namespace, name) = match parts.as_slice() {
        [kind, name] => (kind, "", name),
        [kind, namespace, name] => (kind, *namespace, name),
        _ => return None,
    };
    let resource = super::super::kinds::resource(discovery, kind).ok()?;
    let gvk = resource.gvk.clone();
    Some((gvk, namespace.to_owned(), (*name).to_owned(), false))
}

/// One object; `None` where it is healthy.
async fn look(
    cluster: &dyn Cluster,
    discovery: &Discovery,
    gvk: &Gvk,
    namespace: &str,
    name: &str,
    now: u64,
) -> Option<(Health, Finding, Option<Object>)> {
    let fallback = Resource::known(&gvk.api_version(), &gvk.kind, "", Scope::Namespaced);
    let id = Target::new(&fallback, namespace, name).id().to_string();
    let failed = |reason: &str, health: Health, next: &str| {
        let finding = Finding {
            object: id.clone(),
            reason: reason.into(),
            message: health.message.clone(),
            next: vec![next.to_owned()],
            ..Finding::default()
        };
        Some((health, finding, None))
    };
    let resource = match discovery.lookup_kind(gvk) {
        Lookup::Served(resource) => resource,
        Lookup::NotServed => {
            let health = Health::unknown(format!("kind {gvk} is not served"));
            return failed("KindNotServed", health, "install its CRD");
        }
        Lookup::Unknown => {
            let health = Health::unknown(format!("the server of {gvk} does not answer"));
            return failed("KindUnknown", health, "look at the APIService of its group");
        }
    };
    let target = Target::new(resource, namespace, name);
    match cluster.get(&Identity::Agent, &target).await {
        Ok(Some(live)) => {
            let (health, finding, pod) = assess(cluster, &live, now).await;
            (health.status != Status::Healthy).then_some((health, finding, pod))
        }
        Ok(None) => failed(
            "Missing",
            Health::missing(),
            "it is created by the next sync",
        ),
        Err(error) => failed(
            error.reason(),
            Health::unknown(error.to_string()),
            crate::cluster::remedy(error.reason()).unwrap_or("try again"),
        ),
    }
}

/// The health of a live object in the light of its pods, as a finding; and the pod that tells why.
pub(super) async fn assess(
    cluster: &dyn Cluster,
    live: &Object,
    now: u64,
) -> (Health, Finding, Option<Object>) {
    let (mut health, unsettled) = outlook(live, now);
    let mut pod = (live.kind() == "Pod").then(|| live.clone());
    if let Some(unsettled) = unsettled
        && let Some(workload) = unsettled.workload()
    {
        let resource = Resource::known("v1", "Pod", "pods", Scope::Namespaced);
        let place = Some(live.namespace());
        let selector = Some(workload.selector());
        match cluster
            .list(&Identity::Agent, &resource, place, selector)
            .await
        {
            Ok(all) => {
                let mut pods = Pods::default();
                all.iter().for_each(|pod| pods.put(pod, now));
                health = unsettled.health(now, |_| false, Some(&pods)).0;
                let says = |pod: &Object| health.message.contains(&format!("pod `{}`", pod.name()));
                pod = all.into_iter().find(says);
            }
            Err(error) => {
                let message = format!(
                    "{}; what its pods say is not known: {error}",
                    health.message
                );
                health = Health::new(health.status, health.reason, message);
            }
        }
    }
    let finding = Finding {
        object: live.id().to_string(),
        reason: match health.status {
            Status::Progressing if health.reason != "Terminating" => "Progressing",
            _ => health.reason,
        }
        .into(),
        message: match health.message.as_str() {
            "" => health.status.as_str().into(),
            message => message.into(),
        },
        since: since(live).to_owned(),
        place: live.annotation(keys::SOURCE).unwrap_or_default().into(),
        next: next(live, &health, pod.as_ref()),
        is_note: health.status == Status::Suspended,
        log: None,
    };
    (health, finding, pod)
}

/// Adds what the failing container said last; returns what Secrets gave to it, which nobody is shown.
pub(super) async fn add_words(
    cluster: &dyn Cluster,
    finding: &mut Finding,
    pod: Option<&Object>,
) -> Hidden {
    let Some(pod) = pod else {
        return Hidden::default();
    };
    let hidden = Hidden::of(cluster, pod).await;
    finding.log = last_words(cluster, pod, &hidden).await;
    hidden
}

/// Since when it is so, as the object itself says: its deletion, or the last turn of a condition
/// that is not as it should be.
fn since(live: &Object) -> &str {
    let deleted = live.0.pointer("/metadata/deletionTimestamp");
    if let Some(deleted) = deleted.and_then(Value::as_str) {
        return deleted;
    }
    let conditions = live.0.pointer("/status/conditions");
    let conditions = conditions.and_then(Value::as_array).into_iter().flatten();
    let bad = conditions.filter(|condition| {
        let kind = condition["type"].as_str().unwrap_or_default();
        let is_good_word = matches!(kind, "Available" | "Complete" | "PodScheduled" | "Ready");
        is_good_word && condition["status"] != "True"
    });
    bad.filter_map(|condition| condition["lastTransitionTime"].as_str())
        .max()
        .unwrap_or_default()
}

/// What to do about an object.
fn next(live: &Object, health: &Health, pod: Option<&Object>) -> Vec<String> {
    let place = |object: &Object| match object.namespace() {
        "" => String::new(),
        namespace => format!(" -n {namespace}"),
    };
    let kind = live.kind().to_lowercase();
    if health.reason == "Terminating" {
        return vec![format!(
            "start or mend the controller that is named; kubectl get {kind} {}{} -o yaml shows the finalizers",
            live.name(),
            place(live)
        )];
    }
    let mut next = vec![match pod {
        Some(pod) => format!("kubectl describe pod {}{}", pod.name(), place(pod)),
        None => format!("kubectl describe {kind} {}{}", live.name(), place(live)),
    }];
    if health.status == Status::Degraded && live.annotation(keys::TRACKING_ID).is_some() {
        next.push("commit a fix, or git revert what brought it".into());
    }
    next
}
