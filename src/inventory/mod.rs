//! What towline owns: the objects of one Application, written down before they are created.
//!
//! An entry is [`State::Intended`] before the first write and [`State::Owned`] once the object's
//! UID is known, so that no crash between the two leaves an object that nobody will prune.

mod hook;
pub mod last_good;
mod owner;
mod shard;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use hook::{HookRun, Outcome, Phase, Running};
pub use owner::{Claim, Owner};
pub use shard::{ShardError, decode, encode};

use crate::api::Removal;
use crate::object::{Gvk, Lockstep, ObjectId};

/// How many ids one shard holds. 1,000 entries of about 150 bytes compress to some 40 KiB: far
/// below the 1 MiB limit of a Secret, and a shard is only rewritten when its own ids change.
pub const SHARD_SIZE: usize = 1000;

/// How far the record of an object has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// About to be created, or being created.
    Intended {
        /// When that was decided, in seconds since the epoch: an object created before is not ours.
        since: i64,
    },
    /// In the cluster, with this UID.
    Owned {
        /// `metadata.uid`: an object of the same name with another UID is another object.
        uid: String,
    },
}

/// One object that towline owns, or is about to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The version at which it was applied, such as `v1`.
    pub version: String,
    /// The content that was applied last; see [`crate::desired::content_hash`]. A hint that saves
    /// work after a restart, never a proof.
    pub hash: u64,
    /// Intended or owned.
    pub state: State,
    /// It was there before towline: it is abandoned, not deleted, when it leaves Git.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
    /// Abandoned, not deleted, when it leaves Git.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep: bool,
    /// Deleted, when it leaves Git, once a person confirmed that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirm: bool,
    /// What becomes of it when its Application is deleted, where that is something else than when
    /// it leaves Git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_deletion: Option<Removal>,
    /// Not pruned before everything of the revision is healthy.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prune_last: bool,
    /// Its wave: it goes before those of lower waves.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub wave: i32,
    /// Of a StatefulSet: whether it has claims. Missing in records of an older towline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<bool>,
    /// A person let its deletion through. That outlives a restart: a plan that was approved is
    /// carried out over several passes, and each looks different from the one that was approved.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approved: bool,
    /// The content to which a person let it be created anew, and the revision for which; see
    /// [`crate::plan::approval`]. Its wave may come passes later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recreate: Option<u64>,
    /// The revision that was there before the one that introduced it, by its short digest: a
    /// revision that is that one again takes back what was added, and loses nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// A Job or Pod that ran to its end at [`Entry::hash`]: its absence is no drift. A Job that failed
    /// is not, until its TTL has deleted it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub done: bool,
    /// Of a Job that failed at [`Entry::hash`]: what it said. Once it is done, that is how it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Of a Job with a TTL: from when on that may have deleted it, in seconds since the epoch. Nothing
    /// for one that was deleted by somebody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<i64>,
    /// The base name of a generated ConfigMap or Secret: its next hash supersedes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated: Option<String>,
    /// For a hook: how far it has come. It stays when the object is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<HookRun>,
}

/// Everything one Application owns.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inventory {
    entries: BTreeMap<ObjectId, (usize, Entry)>,
    shards: usize,
    /// Shards whose stored form is older than this one.
    changed: BTreeSet<usize>,
    /// The part of `changed` that must be stored before the cluster is written.
    grown: BTreeSet<usize>,
}

/// Most objects are in wave 0, which is not written.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(wave: &i32) -> bool {
    *wave == 0
}

impl Inventory {
    /// From the entries of each stored shard, in the order of the shards.
    pub fn from_shards(shards: impl IntoIterator<Item = BTreeMap<ObjectId, Entry>>) -> Self {
        let mut inventory = Self::default();
        for (shard, entries) in shards.into_iter().enumerate() {
            inventory.shards = shard + 1;
            inventory
                .entries
                .extend(entries.into_iter().map(|(id, entry)| (id, (shard, entry))));
        }
        inventory
    }

    /// The entry of an object.
    pub fn get(&self, id: &ObjectId) -> Option<&Entry> {
        self.entries.get(id).map(|(_, entry)| entry)
    }

    /// For who asks for ids in rising order: the shard and the entry of each.
    pub fn lockstep(&self) -> Lockstep<'_, (usize, Entry)> {
        Lockstep::of(&self.entries)
    }

    /// All entries, by id.
    pub fn iter(&self) -> impl Iterator<Item = (&ObjectId, &Entry)> {
        self.entries.iter().map(|(id, (_, entry))| (id, entry))
    }

    /// How many objects there are, without hooks: those come and go.
    pub fn len(&self) -> usize {
        let is_object = |(_, entry): &&(usize, Entry)| entry.hook.is_none();
        self.entries.values().filter(is_object).count()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same, for the deletion of the Application: what each entry says of that becomes what it
    /// says of leaving Git, so that one way of deciding serves both.
    #[must_use]
    pub fn for_deletion(&self) -> Self {
        let mut inventory = self.clone();
        for (_, entry) in inventory.entries.values_mut() {
            let fate = entry.on_delete();
            entry.keep = fate == Removal::Keep;
            entry.confirm = fate == Removal::Confirm;
        }
        inventory
    }

    /// Writes an object down that is about to be created. Does nothing for one that is there.
    pub fn intend(&mut self, id: &ObjectId, entry: Entry) {
        if self.entries.contains_key(id) {
            return;
        }
        let shard = self.shard_with_room();
        self.entries.insert(id.clone(), (shard, entry));
        self.changed.insert(shard);
        self.grown.insert(shard);
    }

    /// Writes down that an object that is recorded is about to be created anew, with another UID.
    pub fn intend_again(&mut self, id: &ObjectId, since: i64) {
        if let Some((shard, entry)) = self.entries.get_mut(id)
            && matches!(entry.state, State::Owned { .. })
        {
            entry.state = State::Intended { since };
            // How the last one ended, and when it goes, is nothing of the next one's.
            entry.done = false;
            entry.failure = None;
            entry.expires = None;
            self.changed.insert(*shard);
            self.grown.insert(*shard);
        }
    }

    /// Writes an entry down, new or in place of the old one, that must be stored before anything
    /// else is done.
    pub fn write_down(&mut self, id: &ObjectId, entry: Entry) {
        let shard = match self.entries.get(id) {
            Some((_, known)) if *known == entry => return,
            Some((shard, _)) => *shard,
            None => self.shard_with_room(),
        };
        self.entries.insert(id.clone(), (shard, entry));
        self.changed.insert(shard);
        self.grown.insert(shard);
    }

    /// Changes an entry; what is stored follows later.
    pub fn update(&mut self, id: &ObjectId, change: impl FnOnce(&mut Entry)) {
        if let Some((shard, entry)) = self.entries.get_mut(id) {
            let before = entry.clone();
            change(entry);
            if *entry != before {
                self.changed.insert(*shard);
            }
        }
    }

    /// Forgets an object: it is gone, or no longer ours.
    pub fn remove(&mut self, id: &ObjectId) {
        if let Some((shard, _)) = self.entries.remove(id) {
            self.changed.insert(shard);
        }
    }

    /// True when entries were added that are not stored yet: nothing may be written to the cluster
    /// before they are.
    pub fn must_store(&self) -> bool {
        !self.grown.is_empty()
    }

    /// The shards that are to be stored, by number.
    pub fn changed_shards(&self) -> Vec<usize> {
        self.changed.iter().copied().collect()
    }

    /// The entries of one shard.
    pub fn shard(&self, number: usize) -> BTreeMap<ObjectId, Entry> {
        self.entries
            .iter()
            .filter(|(_, (shard, _))| *shard == number)
            .map(|(id, (_, entry))| (id.clone(), entry.clone()))
            .collect()
    }

    /// Notes that a shard is stored as it is now.
    pub fn stored(&mut self, number: usize) {
        self.changed.remove(&number);
        self.grown.remove(&number);
    }

    fn shard_with_room(&mut self) -> usize {
        let mut sizes = vec![0_usize; self.shards];
        for (shard, _) in self.entries.values() {
            sizes[*shard] += 1;
        }
        sizes
            .iter()
            .position(|size| *size < SHARD_SIZE)
            .unwrap_or_else(|| {
                self.shards += 1;
                self.shards - 1
            })
    }
}

impl Entry {
    /// The kind of the object `id`, at the version at which it was applied.
    pub fn gvk(&self, id: &ObjectId) -> Gvk {
        Gvk::new(&id.group, &self.version, &id.kind)
    }

    /// An entry for an object of this kind that is about to be created.
    pub fn intended(gvk: &Gvk, hash: u64, since: i64) -> Self {
        Self {
            version: gvk.version.clone(),
            hash,
            state: State::Intended { since },
            adopted: false,
            keep: false,
            confirm: false,
            on_deletion: None,
            prune_last: false,
            wave: 0,
            claims: None,
            approved: false,
            recreate: None,
            before: None,
            done: false,
            failure: None,
            expires: None,
            generated: None,
            hook: None,
        }
    }

    /// What becomes of it when it leaves Git.
    pub fn on_prune(&self) -> Removal {
        match (self.keep, self.confirm) {
            (true, _) => Removal::Keep,
            (false, true) => Removal::Confirm,
            (false, false) => Removal::Delete,
        }
    }

    /// What becomes of it when its Application is deleted.
    pub fn on_delete(&self) -> Removal {
        self.on_deletion.unwrap_or_else(|| self.on_prune())
    }

    /// What a Job said that failed and is gone, and does not run again.
    pub fn lasting_failure(&self) -> Option<&str> {
        self.failure.as_deref().filter(|_| self.done)
    }

    /// The UID, once it is known.
    pub fn uid(&self) -> Option<&str> {
        match &self.state {
            State::Owned { uid } => Some(uid),
            State::Intended { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> ObjectId {
        ObjectId::new("", "ConfigMap", "shop", format!("c{n:05}"))
    }

    fn entry() -> Entry {
        Entry::intended(&Gvk::from_api_version("v1", "ConfigMap"), 7, 100)
    }

    #[test]
    fn only_growth_must_be_stored_before_a_write() {
        let mut inventory = Inventory::default();
        inventory.intend(&id(1), entry());
        assert!(inventory.must_store());
        inventory.stored(0);
        inventory.update(&id(1), |e| e.state = State::Owned { uid: "u".into() });
        assert!(!inventory.must_store());
        assert_eq!(inventory.changed_shards(), [0]);
        inventory.stored(0);
        inventory.update(&id(1), |e| e.hash = 7);
        assert_eq!(
            inventory.changed_shards(),
            [0_usize; 0],
            "an equal entry is no change"
        );
    }

    #[test]
    fn a_full_shard_opens_the_next_and_the_others_stay_as_they_are() {
        let mut inventory = Inventory::default();
        for n in 0..=SHARD_SIZE {
            inventory.intend(&id(n), entry());
        }
        assert_eq!(inventory.changed_shards(), [0, 1]);
        inventory.stored(0);
        inventory.stored(1);
        inventory.remove(&id(SHARD_SIZE));
        assert_eq!(inventory.changed_shards(), [1]);
        inventory.stored(1);
        inventory.remove(&id(3));
        inventory.intend(&id(9_999), entry());
        assert_eq!(
            inventory.changed_shards(),
            [0],
            "room in the first is used again"
        );
    }

    #[test]
    fn one_that_is_created_again_has_nothing_of_the_end_of_the_last_one() {
        let mut inventory = Inventory::default();
        let mut last = entry();
        last.state = State::Owned { uid: "u".into() };
        (last.done, last.failure, last.expires) = (true, Some("old".into()), Some(7));
        inventory.intend(&id(1), last);
        inventory.intend_again(&id(1), 100);
        assert_eq!(inventory.get(&id(1)), Some(&entry()));
    }

    #[test]
    fn shards_come_back_as_they_were() {
        let mut inventory = Inventory::default();
        for n in 0..SHARD_SIZE + 5 {
            inventory.intend(&id(n), entry());
        }
        let again = Inventory::from_shards([inventory.shard(0), inventory.shard(1)]);
        assert!(again.iter().eq(inventory.iter()));
        assert!(!again.must_store());
    }
}
