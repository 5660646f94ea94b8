//! What is enforced, remembered across restarts: healing goes on while Git cannot be read, and
//! while the newest commit cannot be rendered, is held, waits or is suspended.
//!
//! It is read once after a start, only when the newest revision does not account for everything in
//! the inventory. It is written by a task of its own when something was accepted: no pass waits.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use tokio::time::Instant;

use super::aborting::Aborting;
use super::application::Application;
use super::chunks::{Chunks, ChunksError};
use super::rollback::Good;
use super::schedule::STORE_AFTER;
use crate::api::{Policy, RevisionId};
use crate::cluster::Cluster;
use crate::desired::{Desired, DesiredObject, restore};
use crate::error::{Class, Fault as _};
use crate::inventory::last_good::{Accepted, LastGoodError, Limits, layout};
use crate::inventory::{Entry, Owner};
use crate::live::Sighting;
use crate::object::ObjectId;
use crate::status::Problem;

/// How often a save fails before that is told: a conflict or a busy server is no news.
const QUIET_FAILURES: u32 = 2;

/// Last-good of one Application, and how far it is read and written.
pub(super) struct LastGood {
    namespace: String,
    owner: Owner,
    /// `None` while a save has it.
    chunks: Option<Chunks>,
    saving: Option<Saving>,
    /// Whether it was read since the start, or found not to be needed.
    is_read: bool,
    /// Objects that were accepted before the start, until their live state is known.
    restored: BTreeMap<ObjectId, Restored>,
    /// Identity of what is stored, and of what is being stored.
    saved: Option<u64>,
    begun: Option<u64>,
    begun_at: Option<Instant>,
    /// The digest of what is gone back to, as it is being stored.
    begun_good: Option<String>,
    failures: u32,
    /// Why it is not stored, or cannot be read.
    pub(super) problem: Option<Problem>,
}

/// An object, and the mark of the commit on the live one.
type Marked = (Arc<DesiredObject>, String);

fn pairs(objects: &[Marked]) -> Vec<(&DesiredObject, &str)> {
    objects
        .iter()
        .map(|(object, mark)| (&**object, mark.as_str()))
        .collect()
}

/// An object that was accepted before the start.
struct Restored {
    object: Arc<DesiredObject>,
    /// The mark of the commit on the live object when it was stored.
    revision: String,
}

/// A save on its way.
type Saving = Aborting<(Chunks, Result<(), ChunksError>)>;

impl LastGood {
    pub(super) fn new(namespace: &str, owner: &Owner) -> Self {
        Self {
            namespace: namespace.into(),
            owner: owner.clone(),
            chunks: Some(Chunks::new(namespace, owner.clone())),
            saving: None,
            is_read: false,
            restored: BTreeMap::new(),
            saved: None,
            begun: None,
            begun_at: None,
            begun_good: None,
            failures: 0,
            problem: None,
        }
    }

    /// Waits for the save that is on its way; for ever when there is none.
    pub(super) async fn saved(&mut self) {
        let Some(saving) = &mut self.saving else {
            return std::future::pending().await;
        };
        let ended = (&mut saving.0).await;
        self.saving = None;
        let (chunks, result) = ended.unwrap_or_else(|error| {
            tracing::error!(application = self.owner.name, %error, "storing last-good broke down");
            let chunks = Chunks::new(self.namespace.as_str(), self.owner.clone());
            (chunks, Ok(()))
        });
        self.chunks = Some(chunks);
        match result {
            Ok(()) => {
                self.saved = self.begun;
                self.failures = 0;
                self.problem = None;
            }
            Err(error) => {
                tracing::warn!(application = self.owner.name, %error, "last-good was not stored");
                self.failures += 1;
                if error.class() == Class::Stalled {
                    // The same again ends the same.
                    self.saved = self.begun;
                }
                if error.class() == Class::Stalled || self.failures >= QUIET_FAILURES {
                    self.problem = Some(Problem::of(&error));
                }
            }
        }
    }

    /// Deletes it: the Application is gone. A save that is on its way is waited for, so that it
    /// leaves nothing behind.
    pub(super) async fn delete(&mut self, cluster: &dyn Cluster) -> Result<(), ChunksError> {
        if self.saving.is_some() {
            self.saved().await;
        }
        match &mut self.chunks {
            Some(chunks) => chunks.delete(cluster).await,
            None => Ok(()),
        }
    }
}

impl Application {
    /// Reads what was accepted before the start, unless the newest revision is just that.
    pub(super) async fn restore(&mut self, policy: &Policy) {
        let Some(inventory) = &self.inventory else {
            return;
        };
        if self.last_good.is_read {
            return;
        }
        let declared = |id: &ObjectId| self.goal.as_ref().and_then(|g| g.desired.objects.get(id));
        let is_needed = inventory
            .iter()
            .any(|(id, entry)| declared(id).is_none_or(|object| object.hash != entry.hash))
            || (policy.goes_back() && self.good.is_none());
        if !is_needed {
            // With a revision that is as recorded it never will be.
            self.last_good.is_read = self.goal.is_some();
            return;
        }
        if self.discovery.is_none() {
            match self.discovery(false).await {
                Ok(discovery) => self.discovery = Some(discovery),
                Err(problem) => return self.problems.push(problem),
            }
        }
        // No save has it: nothing is saved before this was read.
        let Some(chunks) = &mut self.last_good.chunks else {
            return;
        };
        match chunks.load(&*self.shared.cluster).await {
            Ok(found) => {
                self.last_good.is_read = true;
                if let Some((id, objects)) = found.good {
                    self.take_good(id, objects, policy);
                }
                self.take_restored(found.objects, policy);
                if self.goal.is_none() {
                    self.take_aim(policy);
                }
                if let Some(failure) = found.failure {
                    tracing::warn!(application = self.owner.name, error = %failure, "last-good cannot be read");
                    let mut problem = Problem::of(&failure);
                    if problem.class == Class::Stalled {
                        problem.message.push_str(
                            "; until Git is read, objects that it held are neither healed nor pruned",
                        );
                    }
                    self.last_good.problem = Some(problem);
                }
            }
            Err(error) => self.problems.push(Problem::of(&error)),
        }
    }

    /// Knows again what is gone back to. A revision of which one object cannot be used is none.
    fn take_good(&mut self, id: RevisionId, objects: Vec<Accepted>, policy: &Policy) {
        // Of what nobody saw healthy the status has no word. It is what is there while the newest
        // revision is in quarantine, and has to prove itself.
        let is_proven = policy.rollback.is_none() || self.rollback.good.is_some();
        let is_wanted = self.good.is_none() && (is_proven || self.is_rolled_back());
        let Some(discovery) = self.discovery.as_ref().filter(|_| is_wanted) else {
            return;
        };
        let restored = objects.into_iter().map(|accepted| {
            let object = restore(accepted, discovery, &self.owner, policy.into())?;
            Some((object.id.clone(), object))
        });
        let Some(objects) = restored.collect::<Option<BTreeMap<_, _>>>() else {
            tracing::warn!(
                application = self.owner.name,
                revision = id.revision,
                "the last healthy revision cannot be used by this version of towline"
            );
            return;
        };
        let desired = Desired {
            objects,
            digest: id.digest.clone(),
            ..Desired::default()
        };
        if is_proven {
            self.rollback.good = Some(id.clone());
        }
        self.good = Some(Good {
            id,
            desired: Arc::new(desired),
        });
    }

    /// Keeps the objects that are still what was applied last.
    fn take_restored(&mut self, objects: Vec<Accepted>, policy: &Policy) {
        let (Some(inventory), Some(discovery)) = (&self.inventory, &self.discovery) else {
            return;
        };
        let found = objects.len();
        for accepted in objects {
            let revision = accepted.revision.clone();
            let object = restore(accepted, discovery, &self.owner, policy.into());
            if let Some(object) = object
                && inventory
                    .get(&object.id)
                    .is_some_and(|entry| entry.hash == object.hash)
            {
                let id = object.id.clone();
                let restored = Restored { object, revision };
                self.last_good.restored.insert(id, restored);
            }
        }
        if self.goal.is_none() {
            // Until a revision says otherwise, what these leave to others is no drift.
            let restored = self.last_good.restored.values();
            let leaving = restored.filter(|one| !one.object.ignore.is_empty());
            self.mailbox.ignore(
                leaving
                    .map(|one| (one.object.id.clone(), one.object.ignore.clone()))
                    .collect(),
            );
        }
        let kept = self.last_good.restored.len();
        tracing::info!(
            application = self.owner.name,
            found,
            kept,
            "read what was accepted before the start"
        );
    }

    /// The object with the content that is recorded: what the live one is compared with.
    pub(super) fn holding(&self, id: &ObjectId, entry: &Entry) -> Option<&DesiredObject> {
        let declared = self.goal.as_ref().and_then(|g| g.desired.objects.get(id));
        let restored = self.last_good.restored.get(id).map(|one| &one.object);
        [declared, self.enforced.get(id), restored]
            .into_iter()
            .flatten()
            .find(|object| object.hash == entry.hash)
            .map(Arc::as_ref)
    }

    /// Enforces what was accepted before the start, once it is known that nothing newer was written
    /// since: an agent may have ended before it stored what it did.
    pub(super) fn enforce_restored(&mut self) {
        let restored = std::mem::take(&mut self.last_good.restored);
        for (id, one) in restored {
            if self.enforced.contains_key(&id) {
                continue;
            }
            let is_same = match self.live.get(&id) {
                Some(Sighting::Present(seen)) => {
                    let marks = [&one.revision, &seen.revision];
                    marks.iter().any(|mark| mark.is_empty()) || marks[0] == marks[1]
                }
                Some(Sighting::Absent) => true,
                // Not served, so that it cannot be written either.
                None if !self.recorded.contains_key(&id) => true,
                Some(Sighting::Unknown(_)) | None => {
                    self.last_good.restored.insert(id, one);
                    continue;
                }
            };
            if is_same {
                self.enforced.insert(id, one.object);
            }
        }
    }

    /// Begins to store what is enforced, if that is not what is stored. Only with a revision that
    /// was rendered: without one nothing can have been accepted.
    pub(super) fn keep_last_good(&mut self) {
        let is_known = self.goal.is_some()
            && self.last_good.is_read
            && self.last_good.restored.is_empty()
            && self.last_good.saving.is_none();
        if !is_known {
            return;
        }
        let signature = self.signature();
        if self.last_good.saved == Some(signature) {
            self.timers.last_good = None;
            return;
        }
        // What is gone back to is needed as soon as the next revision comes.
        let good = self.good.as_ref().map(|good| good.id.digest.clone());
        if let Some(at) = self.last_good.begun_at
            && at.elapsed() < STORE_AFTER
            && good == self.last_good.begun_good
        {
            self.timers.last_good.get_or_insert(at + STORE_AFTER);
            return;
        }
        let Some(mut chunks) = self.last_good.chunks.take() else {
            return;
        };
        self.timers.last_good = None;
        self.last_good.begun = Some(signature);
        self.last_good.begun_good = good;
        self.last_good.begun_at = Some(Instant::now());
        let marked = |(id, object): (&ObjectId, &Arc<DesiredObject>)| {
            let is_it = self.enforced.get(id).is_some_and(|e| e.hash == object.hash);
            let mark = if is_it { self.mark(id) } else { "" };
            (Arc::clone(object), mark.to_owned())
        };
        let objects: Vec<Marked> = self.enforced.iter().map(marked).collect();
        let good = self.good.as_ref().map(|good| {
            let objects: Vec<Marked> = good.desired.objects.iter().map(marked).collect();
            (good.id.clone(), objects)
        });
        let cluster = Arc::clone(&self.shared.cluster);
        self.last_good.saving = Some(Aborting(tokio::spawn(async move {
            let saved = chunks
                .save(&*cluster, |stored| async move {
                    // Serialising and compressing is computation.
                    let laid = tokio::task::spawn_blocking(move || {
                        let limits = Limits::default();
                        let laid = layout(&pairs(&objects), &stored, limits)?;
                        match good {
                            Some((id, good)) => laid.with_good(id, &pairs(&good), &stored, limits),
                            None => Ok(laid),
                        }
                    });
                    laid.await.unwrap_or_else(|panic| {
                        let why = format!("compressing it broke down: {panic}; please report it");
                        Err(LastGoodError::Unreadable(why))
                    })
                })
                .await;
            (chunks, saved)
        })));
    }

    /// Takes in how the save ended, and begins the next one if something was accepted meanwhile.
    pub(super) fn note_saved(&mut self, before: Option<Problem>) {
        if self.last_good.problem != before {
            // The condition follows when nothing more urgent does.
            self.timers.publish_by(Instant::now());
        }
        self.keep_last_good();
    }

    /// Identity of what is enforced. Equal ones are the same within one life of an agent.
    fn signature(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (id, object) in &self.enforced {
            id.hash(&mut hasher);
            object.hash.hash(&mut hasher);
            self.mark(id).hash(&mut hasher);
        }
        self.good
            .as_ref()
            .map(|good| &good.id.digest)
            .hash(&mut hasher);
        hasher.finish()
    }

    /// The mark of the commit on the live object; empty where none is known.
    pub(super) fn mark(&self, id: &ObjectId) -> &str {
        self.live
            .get(id)
            .and_then(Sighting::present)
            .map_or("", |seen| seen.revision.as_str())
    }
}
