//! The prune guard: plans that delete too much, or what cannot be brought back, are held until a
//! person lets exactly this plan through.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::{Action, Gate, Step};
use crate::api::{Policy, Removal};
use crate::desired::Desired;
use crate::inventory::Inventory;
use crate::live::Live;
use crate::object::{ObjectId, keys};

/// More prunes than this, and more than [`SHARE_PERCENT`] of the inventory, are held.
const FEW: usize = 3;
/// See [`FEW`].
const SHARE_PERCENT: usize = 30;
/// More prunes than this are held whatever their share.
const MANY: usize = 50;
/// How many names a refusal prints.
const NAMED: usize = 5;

/// A plan that is held, and why. Displays with the annotation that lets it go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The render has no objects, and the inventory has.
    EmptySource {
        /// How many objects would be deleted.
        owned: usize,
        /// The hash of the plan.
        hash: String,
    },
    /// Too many prunes at once.
    PruneOverLimit {
        /// How many would be deleted.
        pruned: usize,
        /// Of how many.
        owned: usize,
        /// The first of them.
        names: Vec<ObjectId>,
        /// The hash of the plan.
        hash: String,
    },
    /// Objects whose manifests want a person's word before they are deleted.
    Unconfirmed {
        /// The objects.
        names: Vec<ObjectId>,
        /// The hash of these deletions.
        hash: String,
    },
    /// Objects that a field keeps from being changed in place, and that are not deleted and created
    /// anew without a person's word.
    Recreation {
        /// The objects.
        names: Vec<ObjectId>,
        /// The hash of these recreations.
        hash: String,
    },
    /// Prunes of what takes others with it, or holds what is nowhere else.
    PruneOfClass {
        /// The objects.
        names: Vec<ObjectId>,
        /// The hash of the plan.
        hash: String,
    },
}

impl Refusal {
    /// One CamelCase word for conditions, events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::EmptySource { .. } => "EmptySource",
            Self::PruneOverLimit { .. } => "PruneOverLimit",
            Self::PruneOfClass { .. } => "PruneOfClass",
            Self::Unconfirmed { .. } => "PruneUnconfirmed",
            Self::Recreation { .. } => "RecreationUnapproved",
        }
    }

    /// The hash that approves exactly this plan.
    pub fn hash(&self) -> &str {
        match self {
            Self::EmptySource { hash, .. }
            | Self::PruneOverLimit { hash, .. }
            | Self::PruneOfClass { hash, .. }
            | Self::Unconfirmed { hash, .. }
            | Self::Recreation { hash, .. } => hash,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptySource { owned, .. } => write!(
                f,
                "the source renders no objects, which would delete all {owned}; nothing is deleted (set automated.allowEmpty, or annotate {}={})",
                keys::APPROVE_PRUNE,
                self.hash()
            ),
            Self::PruneOverLimit {
                pruned,
                owned,
                names,
                ..
            } => write!(
                f,
                "would delete {pruned} of {owned} objects ({}); approve with the annotation {}={}",
                list(names, *pruned),
                keys::APPROVE_PRUNE,
                self.hash()
            ),
            Self::Recreation { names, .. } => write!(
                f,
                "a field cannot be changed in place, and creating anew deletes {}; approve with the annotation {}={}",
                list(names, names.len()),
                keys::APPROVE_PRUNE,
                self.hash()
            ),
            Self::Unconfirmed { names, .. } => write!(
                f,
                "deletes {} once that is confirmed; confirm with the annotation {}={}",
                list(names, names.len()),
                keys::APPROVE_PRUNE,
                self.hash()
            ),
            Self::PruneOfClass { names, .. } => write!(
                f,
                "would delete {}; approve with the annotation {}={}",
                list(names, names.len()),
                keys::APPROVE_PRUNE,
                self.hash()
            ),
        }
    }
}

fn list(names: &[ObjectId], of: usize) -> String {
    let mut text: Vec<String> = names.iter().take(NAMED).map(ToString::to_string).collect();
    if of > NAMED {
        text.push(format!("and {} more", of - NAMED));
    }
    text.join(", ")
}

/// What the guard says of a plan's deletions.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Deletions that a person lets through now: the record of that outlives the pass.
    pub(super) approved: Vec<ObjectId>,
    /// Why nothing of the plan is done.
    pub(super) refusal: Option<Refusal>,
    /// Why single objects are not deleted.
    pub(super) unconfirmed: Option<Refusal>,
}

/// Judges these deletions.
pub(super) fn check(
    prunes: &[Step],
    desired: &Desired,
    live: &Live,
    inventory: &Inventory,
    policy: &Policy,
    gate: Gate<'_>,
) -> Verdict {
    if !gate.prune {
        return Verdict::default();
    }
    let is_approved = |id: &ObjectId| inventory.get(id).is_some_and(|entry| entry.approved);
    let deleted: Vec<&ObjectId> = prunes
        .iter()
        .filter(|step| step.action == Action::Prune && !is_approved(&step.id))
        .map(|step| &step.id)
        .collect();
    if deleted.is_empty() {
        return Verdict::default();
    }
    let hash_of_all = hash(&deleted, live);
    if gate.approved == Some(hash_of_all.as_str()) {
        return Verdict {
            approved: deleted.into_iter().cloned().collect(),
            ..Verdict::default()
        };
    }
    // An object that waits for its own confirmation needs no other.
    let (confirmed_each, rest): (Vec<&ObjectId>, Vec<&ObjectId>) = deleted
        .into_iter()
        .partition(|id| wants_confirmation(id, inventory));
    let refusal = refusal(&rest, desired, inventory, policy, hash_of_all);
    if refusal.is_some() {
        return Verdict {
            refusal,
            ..Verdict::default()
        };
    }
    confirmation(&confirmed_each, live, gate.approved)
}

/// Judges the deletions of an Application that is being deleted itself: that was said clearly
/// enough, but for objects that want a word of their own.
pub(super) fn check_teardown(
    prunes: &[Step],
    live: &Live,
    inventory: &Inventory,
    approved: Option<&str>,
) -> Verdict {
    let waiting: Vec<&ObjectId> = prunes
        .iter()
        .filter(|step| step.action == Action::Prune)
        .map(|step| &step.id)
        .filter(|id| wants_confirmation(id, inventory))
        .filter(|id| inventory.get(id).is_some_and(|entry| !entry.approved))
        .collect();
    confirmation(&waiting, live, approved)
}

fn wants_confirmation(id: &ObjectId, inventory: &Inventory) -> bool {
    inventory
        .get(id)
        .is_some_and(|entry| entry.on_prune() == Removal::Confirm)
}

/// Objects that wait for a confirmation, unless exactly these were confirmed.
fn confirmation(waiting: &[&ObjectId], live: &Live, approved: Option<&str>) -> Verdict {
    if waiting.is_empty() {
        return Verdict::default();
    }
    let names: Vec<ObjectId> = waiting.iter().map(|id| (*id).clone()).collect();
    let hash = hash(waiting, live);
    if approved == Some(hash.as_str()) {
        return Verdict {
            approved: names,
            ..Verdict::default()
        };
    }
    Verdict {
        unconfirmed: Some(Refusal::Unconfirmed { names, hash }),
        ..Verdict::default()
    }
}

fn refusal(
    deleted: &[&ObjectId],
    desired: &Desired,
    inventory: &Inventory,
    policy: &Policy,
    hash: String,
) -> Option<Refusal> {
    if deleted.is_empty() {
        return None;
    }
    let owned = inventory.len();
    if desired.objects.is_empty() && !policy.allow_empty {
        return Some(Refusal::EmptySource { owned, hash });
    }
    let class: Vec<ObjectId> = deleted
        .iter()
        .filter(|id| is_of_guarded_class(id, inventory))
        .map(|id| (*id).clone())
        .collect();
    if !class.is_empty() {
        return Some(Refusal::PruneOfClass { names: class, hash });
    }
    let counted: Vec<&ObjectId> = deleted
        .iter()
        .copied()
        .filter(|id| !is_superseded(id, desired, inventory))
        .filter(|id| !is_taken_back(id, desired, inventory))
        .collect();
    let over = match policy.prune_limit {
        Some(limit) => counted.len() > limit,
        None if desired.objects.is_empty() => false,
        None => is_over_limit(counted.len(), owned),
    };
    over.then(|| Refusal::PruneOverLimit {
        pruned: counted.len(),
        owned,
        names: counted.into_iter().take(NAMED).cloned().collect(),
        hash,
    })
}

/// The rule in numbers: held when more than 3 and more than 30 %, or more than 50.
pub(super) fn is_over_limit(pruned: usize, owned: usize) -> bool {
    pruned > MANY || (pruned > FEW && pruned * 100 > owned * SHARE_PERCENT)
}

/// Kinds whose deletion takes others with it, or data that is nowhere else.
fn is_of_guarded_class(id: &ObjectId, inventory: &Inventory) -> bool {
    match (id.group.as_str(), id.kind.as_str()) {
        ("", "Namespace" | "PersistentVolume" | "PersistentVolumeClaim")
        | ("apiextensions.k8s.io", "CustomResourceDefinition")
        | ("towline.dev", "Application") => true,
        // One without claims holds no data. Where that is not recorded, it may have some.
        ("apps", "StatefulSet") => inventory.get(id).and_then(|entry| entry.claims) != Some(false),
        _ => false,
    }
}

/// An object that was introduced since the revision that is declared again: going back takes it
/// back, and that is what whoever goes back wants.
fn is_taken_back(id: &ObjectId, desired: &Desired, inventory: &Inventory) -> bool {
    let before = inventory.get(id).and_then(|entry| entry.before);
    before.is_some_and(|before| before == desired.short_digest())
}

/// A generated ConfigMap or Secret whose next hash is declared: not a loss.
pub(super) fn is_superseded(id: &ObjectId, desired: &Desired, inventory: &Inventory) -> bool {
    let Some(base) = inventory.get(id).and_then(|entry| entry.generated.as_ref()) else {
        return false;
    };
    desired.objects.values().any(|object| {
        object.generated.as_ref() == Some(base)
            && object.id.kind == id.kind
            && object.id.namespace == id.namespace
    })
}

/// Identity of a set of deletions: names and UIDs, so that an approval never covers another set.
fn hash(deleted: &[&ObjectId], live: &Live) -> String {
    let mut sha = Sha256::new();
    for id in deleted {
        sha.update(id.tracking());
        let uid = live
            .get(*id)
            .and_then(|s| s.present())
            .map_or("", |seen| seen.uid.as_str());
        sha.update(uid);
        sha.update([0]);
    }
    hex::encode(&sha.finalize()[..6])
}
