//! What the Application owns and the directory does not declare any more.

use std::collections::BTreeMap;

use futures::StreamExt as _;

use super::{DiffArgs, Entry, Subject, Verdict};
use crate::agent::store::Store;
use crate::cluster::{Cluster, Discovery, Error, Identity, Lookup, Target};
use crate::desired::Desired;
use crate::diff::{Change, diff};
use crate::error::Fault as _;
use crate::inventory::{self, Inventory};
use crate::live::{Ignore, Live, Sighting, observe};
use crate::object::{Object, ObjectId};
use crate::plan::{Gate, Immutable, plan};

/// Reads in flight at once.
const CONCURRENCY: usize = 16;

/// The entries of objects that left Git, and what holds their prunes, if something does.
///
/// # Errors
/// When what the Application owns could not be read: then nothing is known of what would go.
pub(super) async fn departed(
    cluster: &dyn Cluster,
    discovery: &Discovery,
    desired: &Desired,
    subject: &Subject,
    args: &DiffArgs,
) -> anyhow::Result<(Vec<Entry>, Option<String>)> {
    let mut store = Store::new(args.agent_namespace.as_str(), subject.owner.clone());
    let inventory = store.load(cluster).await.map_err(|error| {
        anyhow::anyhow!(
            "what would be pruned is not known: {error} (inventories are Secrets in {}; --agent-namespace)",
            args.agent_namespace
        )
    })?;
    let left: Vec<(&ObjectId, &inventory::Entry)> = inventory
        .iter()
        .filter(|(id, entry)| !desired.objects.contains_key(id) && entry.hook.is_none())
        .filter(|(id, _)| !desired.hooks.contains_key(id))
        .collect();
    if left.is_empty() {
        return Ok((Vec::new(), None));
    }
    let live = look(cluster, discovery, subject, &left).await;
    let nothing = Desired::default();
    let changes = diff(
        &nothing,
        &live,
        &inventory,
        &BTreeMap::new(),
        &subject.policy,
    );
    let held = held(desired, &live, &inventory, subject);
    let held = held.map(|held| format!("the prunes would be held: {held}"));
    let entries = left
        .into_iter()
        .filter_map(|(id, _)| Some(entry(id, changes.get(id)?, subject)));
    Ok((entries.collect(), held))
}

/// Reads them all; what is not served any more is gone.
async fn look(
    cluster: &dyn Cluster,
    discovery: &Discovery,
    subject: &Subject,
    left: &[(&ObjectId, &inventory::Entry)],
) -> Live {
    let now = jiff::Timestamp::now().as_second();
    let reads = left.iter().map(|(id, recorded)| async move {
        let gvk = recorded.gvk(id);
        let sighting = match discovery.lookup_kind(&gvk) {
            Lookup::Served(resource) => {
                let target = Target::new(resource, id.namespace.as_str(), id.name.as_str());
                sighting(cluster.get(&Identity::Agent, &target).await, subject, now)
            }
            Lookup::NotServed => Sighting::Absent,
            Lookup::Unknown => Sighting::Unknown(format!("the server of {gvk} does not answer")),
        };
        ((*id).clone(), sighting)
    });
    futures::stream::iter(reads)
        .buffered(CONCURRENCY)
        .collect::<Vec<_>>()
        .await
        .into_iter()
        .collect()
}

fn sighting(found: Result<Option<Object>, Error>, subject: &Subject, now: i64) -> Sighting {
    match found {
        Ok(Some(object)) => {
            let nothing = Ignore::default();
            Sighting::Present(Box::new(observe(&object, &subject.owner, &nothing, now)))
        }
        Ok(None) => Sighting::Absent,
        Err(error) => Sighting::Unknown(format!("{}: {error}", error.reason())),
    }
}

/// The prune guard's refusal of these deletions, if it has one.
fn held(
    desired: &Desired,
    live: &Live,
    inventory: &Inventory,
    subject: &Subject,
) -> Option<String> {
    let gate = Gate {
        update: true,
        heal: false,
        asked: false,
        prune: subject.policy.prune,
        approved: None,
        now: 0,
        failed: false,
        degraded: false,
        immutable: &Immutable::none(),
    };
    // Declared objects are left out: only what left Git can be held.
    let changes = diff(
        &Desired::default(),
        live,
        inventory,
        &BTreeMap::new(),
        &subject.policy,
    );
    let gone = changes
        .into_iter()
        .filter(|(id, _)| !desired.objects.contains_key(id))
        .collect();
    let plan = plan(&gone, desired, live, inventory, &subject.policy, gate);
    plan.report.held.map(|held| held.to_string())
}

fn entry(id: &ObjectId, change: &Change, subject: &Subject) -> Entry {
    let (verdict, note) = match change {
        Change::Prune if !subject.policy.prune => (
            Verdict::Keep,
            "left Git, and stays: automated.prune is off".to_owned(),
        ),
        Change::Prune => (Verdict::Prune, "left Git".to_owned()),
        Change::Abandon(why) => (Verdict::Keep, format!("left Git, and stays: {why}")),
        Change::Unknown(why) => (
            Verdict::Failed,
            format!("left Git, and could not be read: {why}"),
        ),
        Change::Wait(why) | Change::Foreign(why) => (Verdict::Leave, format!("left Git: {why}")),
        _ => (Verdict::Leave, "left Git".to_owned()),
    };
    Entry {
        object: id.to_string(),
        verdict,
        note,
        place: String::new(),
        text: String::new(),
    }
}
