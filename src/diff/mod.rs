//! Desired against live: what would have to happen to each object.
//!
//! A four-way switch over presence (desired or not, live or not), then small ones. Pure.

mod difference;
mod drift;
mod mask;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::api::{Adopt, Policy};
use crate::desired::{Desired, DesiredObject};
use crate::inventory::{Claim, Entry, Inventory, State};
use crate::live::{Live, Observed, Sighting};
use crate::object::{Lockstep, ObjectId};

pub use difference::{Difference, differences, summary};
pub use drift::{Drift, drift};
pub(crate) use mask::{HIDDEN, is_hidden};
pub use text::unified;

/// What would have to happen to one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is as it should be.
    Unchanged,
    /// It does not exist.
    Create,
    /// It exists and is nobody's; it becomes ours.
    Adopt,
    /// The revision asks for other content.
    Update,
    /// It is at its accepted content in Git, and the cluster holds something else.
    Drift,
    /// It left Git and is deleted.
    Prune,
    /// It left Git and is left alone, for this reason; only the record goes.
    Abandon(&'static str),
    /// It has to wait: on its way out, or its kind is not served.
    Wait(String),
    /// It is somebody else's, who is named. Nothing is written.
    Foreign(String),
    /// It could not be read. Nothing is done.
    Unknown(String),
}

/// The change of every object that is desired or recorded, by id.
pub type Diff = BTreeMap<ObjectId, Change>;

/// Objects as they should be, by id; shared with the revisions that they are of.
pub type Objects = BTreeMap<ObjectId, Arc<DesiredObject>>;

/// Compares. `enforced` holds what is being enforced: an object whose content is the same there and
/// differs in the cluster has drifted.
pub fn diff(
    desired: &Desired,
    live: &Live,
    inventory: &Inventory,
    enforced: &Objects,
    policy: &Policy,
) -> Diff {
    let mut entries = inventory.lockstep();
    let (mut enforced, mut seen) = (Lockstep::of(enforced), Lockstep::of(live));
    let declared = desired.objects.iter().map(|(id, object)| {
        let entry = entries.get(id).map(|(_, entry)| entry);
        let accepted = enforced.get(id);
        let at_accepted = accepted.is_some_and(|e| e.hash == object.hash);
        let change = declared(object, seen.get(id), entry, at_accepted, policy);
        (id.clone(), change)
    });
    let mut diff: Diff = declared.collect();
    let mut desired = Lockstep::of(&desired.objects);
    for (id, entry) in inventory.iter() {
        if desired.get(id).is_none() {
            diff.insert(id.clone(), departed(live.get(id), entry));
        }
    }
    diff
}

/// The objects that do not hold what is enforced, whatever the newest revision says. `known` is what
/// [`diff`] found for the objects of `desired`.
pub fn drifted(
    enforced: &Objects,
    live: &Live,
    inventory: &Inventory,
    (desired, known): (&Objects, &Diff),
    policy: &Policy,
) -> BTreeSet<ObjectId> {
    let (mut desired, mut known) = (Lockstep::of(desired), Lockstep::of(known));
    let differs = |(id, object): &(&ObjectId, &Arc<DesiredObject>)| {
        let is_the_same = desired.get(id).is_some_and(|d| Arc::ptr_eq(d, object));
        if let (true, Some(change)) = (is_the_same, known.get(id)) {
            return *change == Change::Drift;
        }
        let (sighting, entry) = (live.get(*id), inventory.get(id));
        declared(object, sighting, entry, true, policy) == Change::Drift
    };
    let differing = enforced.iter().filter(differs);
    differing.map(|(id, _)| id.clone()).collect()
}

/// An object that the revision declares.
fn declared(
    object: &DesiredObject,
    sighting: Option<&Sighting>,
    entry: Option<&Entry>,
    at_accepted: bool,
    policy: &Policy,
) -> Change {
    if object.ignored {
        return Change::Unchanged;
    }
    if object.resource().is_none() {
        return Change::Wait(format!("kind {} is not served", object.gvk));
    }
    match sighting {
        None => Change::Unknown("not read yet".into()),
        Some(Sighting::Unknown(why)) => Change::Unknown(why.clone()),
        Some(Sighting::Absent) => match entry {
            // A Job that ran to its end and was cleaned up is done, not missing.
            Some(entry) if entry.done && entry.hash == object.hash => Change::Unchanged,
            Some(_) if at_accepted => Change::Drift,
            _ => Change::Create,
        },
        Some(Sighting::Present(live)) => present(object, live, entry, at_accepted, policy),
    }
}

fn present(
    object: &DesiredObject,
    live: &Observed,
    entry: Option<&Entry>,
    at_accepted: bool,
    policy: &Policy,
) -> Change {
    if live.terminating {
        return Change::Wait(format!(
            "{}; it is created again once it is gone",
            ending(live)
        ));
    }
    if !is_ours(live, entry) {
        return match &live.claim {
            Claim::Other(owner) => Change::Foreign(owner.clone()),
            // Marked as ours, but not recorded: the inventory was lost.
            Claim::Ours if live.applied_by_us => Change::Adopt,
            Claim::Ours | Claim::Nobody if policy.adopt == Adopt::Never => {
                Change::Foreign("nobody, and spec.adopt is Never".into())
            }
            Claim::Ours | Claim::Nobody => Change::Adopt,
        };
    }
    if live.holds == Some(object.hash) {
        Change::Unchanged
    } else if at_accepted {
        Change::Drift
    } else {
        Change::Update
    }
}

/// An object that is recorded and not declared any more.
fn departed(sighting: Option<&Sighting>, entry: &Entry) -> Change {
    match sighting {
        None => Change::Unknown("not read yet".into()),
        Some(Sighting::Unknown(why)) => Change::Unknown(why.clone()),
        Some(Sighting::Absent) => Change::Abandon("it is gone already"),
        Some(Sighting::Present(live)) => {
            if !is_ours(live, Some(entry)) {
                Change::Abandon("it is another object of the same name")
            } else if let Claim::Other(_) = live.claim {
                Change::Abandon("it belongs to somebody else now")
            } else if entry.keep {
                Change::Abandon("its pruning was disabled in Git")
            } else if entry.adopted {
                Change::Abandon(
                    "it was there before towline (spec.adopt: Own deletes such objects)",
                )
            } else if live.terminating {
                Change::Wait(ending(live))
            } else {
                Change::Prune
            }
        }
    }
}

/// What an object that is on its way out waits for.
fn ending(live: &Observed) -> String {
    if live.health.reason == "Terminating" {
        live.health.message.clone()
    } else {
        "it is being deleted".into()
    }
}

/// Whether the live object is the one that is recorded. The UID decides; an entry that was written
/// ahead of a create is resolved by the marks, the manager and the time of creation.
pub fn is_ours(live: &Observed, entry: Option<&Entry>) -> bool {
    match entry.map(|entry| &entry.state) {
        None => false,
        Some(State::Owned { uid }) => *uid == live.uid,
        Some(State::Intended { since }) => {
            live.claim == Claim::Ours && live.applied_by_us && live.created >= *since
        }
    }
}

#[cfg(test)]
mod tests;
