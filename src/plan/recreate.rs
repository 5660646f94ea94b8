//! Objects that are created anew, because the API server does not change a field in place.
//!
//! Only the server knows which fields those are, and it says so when the change is tried. That is
//! kept here for as long as object and change are the same; after a restart it is asked again.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::desired::{Desired, DesiredObject, Recreation};
use crate::inventory::Inventory;
use crate::live::{Live, Observed};
use crate::object::ObjectId;

/// What the server said of changes: the object by its UID, the content that it was asked to take, and
/// what became of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Immutable(BTreeMap<ObjectId, (String, u64, Answer)>);

/// What the server answered to a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// A write was refused, because of a field that cannot be changed.
    Refused,
    /// A dry run was refused for that. It sends all of the object, and the cluster may have changed by
    /// the time of the write: it is a reason to ask a person, and none to delete anything.
    Foreseen,
    /// A dry run was not refused, or for another reason.
    Tried,
}

impl Immutable {
    /// No change was refused.
    pub const fn none() -> Self {
        Self(BTreeMap::new())
    }

    /// The server refused to bring the object with this UID to this content.
    pub fn note(&mut self, id: &ObjectId, uid: &str, hash: u64) {
        self.0
            .insert(id.clone(), (uid.into(), hash, Answer::Refused));
    }

    /// A dry run of this change was refused for such a field, or was not.
    pub fn note_dry_run(&mut self, id: &ObjectId, uid: &str, hash: u64, refused: bool) {
        let answer = if refused {
            Answer::Foreseen
        } else {
            Answer::Tried
        };
        self.0.insert(id.clone(), (uid.into(), hash, answer));
    }

    /// The object is another one now, or took the change.
    pub fn forget(&mut self, id: &ObjectId) {
        self.0.remove(id);
    }

    /// What the server said of the change; `None` when nobody tried.
    fn answer(&self, object: &DesiredObject, seen: &Observed) -> Option<Answer> {
        let (uid, hash, answer) = self.0.get(&object.id)?;
        (*uid == seen.uid && *hash == object.hash).then_some(*answer)
    }
}

/// How an object comes to its new content.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By a write, which may be refused.
    InPlace,
    /// The same; if it is refused, a person has to approve what is done then.
    Untried,
    /// The same, and a dry run says that it will be refused.
    Foreseen,
    /// It is deleted, and created.
    Anew,
    /// The same, once something is over.
    Later(&'static str),
    /// The same, once a person approved it.
    Asked,
}

pub(super) fn way(object: &DesiredObject, live: &Live, immutable: &Immutable) -> Way {
    let seen = live.get(&object.id).and_then(|sighting| sighting.present());
    let Some(seen) = seen else {
        return Way::InPlace;
    };
    match immutable.answer(object, seen) {
        None if object.recreation != Recreation::Never && wants_approval(object) => {
            return Way::Untried;
        }
        Some(Answer::Foreseen) if object.recreation != Recreation::Never => return Way::Foreseen,
        None | Some(Answer::Tried | Answer::Foreseen) => return Way::InPlace,
        Some(Answer::Refused) => {}
    }
    match object.recreation {
        Recreation::Never => Way::InPlace,
        Recreation::WhenFinished if !seen.finished => Way::Later(
            "it is to be created anew, and runs: that waits until it has finished (towline.dev/force: enabled on it does not wait)",
        ),
        _ if wants_approval(object) => Way::Asked,
        _ => Way::Anew,
    }
}

/// Kinds of which a dry run under another name does not show whether what they hold survives.
fn wants_approval(object: &DesiredObject) -> bool {
    match (object.gvk.group.as_str(), object.gvk.kind.as_str()) {
        ("apps", "StatefulSet")
        | ("", "PersistentVolume" | "PersistentVolumeClaim" | "Namespace")
        | ("apiextensions.k8s.io", "CustomResourceDefinition") => true,
        ("", "Service") => {
            let object = object.object();
            let kind = object.0.pointer("/spec/type");
            kind.and_then(|kind| kind.as_str()) == Some("LoadBalancer")
        }
        _ => false,
    }
}

/// Whether a person approved that this very object is deleted and created with this content.
pub(super) fn is_approved(
    object: &DesiredObject,
    revision: &str,
    live: &Live,
    inventory: &Inventory,
) -> bool {
    let seen = live.get(&object.id).and_then(|sighting| sighting.present());
    let entry = inventory.get(&object.id);
    entry.zip(seen).is_some_and(|(entry, seen)| {
        entry.recreate == Some(approval(object.hash, revision))
            && entry.uid() == Some(seen.uid.as_str())
    })
}

/// What is recorded of an approval: this content, in the revision with this digest. Another revision
/// withdraws it.
pub fn approval(content: u64, revision: &str) -> u64 {
    let mut sha = Sha256::new();
    sha.update(content.to_be_bytes());
    sha.update(revision);
    let digest = sha.finalize();
    let first = digest.first_chunk::<8>().expect("sha256 has 32 bytes");
    u64::from_be_bytes(*first)
}

/// Records whose approval is of another revision than this one, or of what is done.
pub fn withdrawn(desired: &Desired, inventory: &Inventory) -> Vec<ObjectId> {
    let is_void = |(id, entry): &(&ObjectId, &crate::inventory::Entry)| {
        entry.recreate.is_some_and(|approved| {
            let object = desired.objects.get(*id);
            object.is_none_or(|o| approval(o.hash, &desired.digest) != approved)
        })
    };
    // Where no revision was read yet, none withdraws anything.
    let known = inventory.iter().filter(|_| !desired.digest.is_empty());
    let void = known.filter(is_void);
    void.map(|(id, _)| id.clone()).collect()
}

/// Identity of a set of recreations: which objects, and to what content.
pub(super) fn hash(objects: &[&DesiredObject], live: &Live) -> String {
    let mut sha = Sha256::new();
    for object in objects {
        sha.update(object.id.tracking());
        let seen = live.get(&object.id).and_then(|sighting| sighting.present());
        sha.update(seen.map_or("", |seen| seen.uid.as_str()));
        sha.update(object.hash.to_be_bytes());
    }
    hex::encode(&sha.finalize()[..6])
}
