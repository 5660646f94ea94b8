//! What the watches have to tell an Application, until its next pass.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::health::Pods;
use crate::inventory::Owner;
use crate::live::{Ignore, Observed, observe};
use crate::object::{Gvk, Object, ObjectId};

/// What a watch tells about one object.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// It is, or became, this.
    Seen(Box<Observed>),
    /// It is gone, or lost its label: only a GET can tell.
    Lost,
    /// The same, of a Job or Pod that had run to its end.
    Ended(Box<Observed>),
    /// The same, of a Job that had not.
    Interrupted,
}

/// All objects of one kind that a list found for one Application. What was seen before and is not
/// among them went before the watch began, and no event tells that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    pub(super) gvk: Gvk,
    /// Where it looked; `None` for everywhere.
    pub(super) namespace: Option<String>,
    pub(super) found: BTreeSet<ObjectId>,
}

impl Listing {
    /// Whether the object would have been found, and was not.
    pub fn lacks(&self, id: &ObjectId) -> bool {
        (&id.group, &id.kind) == (&self.gvk.group, &self.gvk.kind)
            && self.namespace.as_ref().is_none_or(|n| *n == id.namespace)
            && !self.found.contains(id)
    }
}

/// Where notices for one Application wait until its next pass. A newer notice of an object
/// replaces the older one, so that a storm of events costs one entry.
pub struct Mailbox {
    owner: Owner,
    label: Arc<str>,
    /// What is left to others, of the objects where something is.
    ignores: Mutex<BTreeMap<ObjectId, Ignore>>,
    notices: Mutex<BTreeMap<ObjectId, Notice>>,
    listings: Mutex<Vec<Listing>>,
    /// What was heard of the pods of workloads; see [`super::pods`].
    pods: Mutex<BTreeMap<ObjectId, Pods>>,
    /// Autoscalers that are gone; see [`super::scale`].
    autoscalers: Mutex<BTreeSet<ObjectId>>,
    /// Whether some kind is seen again, or is not seen any more.
    sight: AtomicBool,
    wake: Notify,
}

impl Mailbox {
    /// An empty mailbox.
    pub fn new(owner: Owner) -> Self {
        Self {
            label: owner.key().into(),
            owner,
            ignores: Mutex::default(),
            notices: Mutex::default(),
            listings: Mutex::default(),
            pods: Mutex::default(),
            autoscalers: Mutex::default(),
            sight: AtomicBool::new(false),
            wake: Notify::new(),
        }
    }

    /// The value of the label of its Application's objects.
    pub(super) fn label(&self) -> Arc<str> {
        Arc::clone(&self.label)
    }

    /// Says what is left to others from now on, of every object where something is. Returns those
    /// of which it is another now: what was observed of them before cannot be compared.
    pub fn ignore(&self, ignores: BTreeMap<ObjectId, Ignore>) -> Vec<ObjectId> {
        let mut known = lock(&self.ignores);
        let changed = known
            .keys()
            .chain(ignores.keys())
            .filter(|id| known.get(id) != ignores.get(id))
            .cloned()
            .collect();
        *known = ignores;
        changed
    }

    /// Reduces a live object of the Application.
    pub fn observe(&self, object: &Object, now: i64) -> Observed {
        let ignore = lock(&self.ignores).get(&object.id()).cloned();
        observe(object, &self.owner, &ignore.unwrap_or_default(), now)
    }

    /// Everything that came since the last call.
    pub fn take(&self) -> BTreeMap<ObjectId, Notice> {
        std::mem::take(&mut *lock(&self.notices))
    }

    /// Throws away what is in it.
    pub fn empty(&self) {
        self.take();
        self.take_listings();
        self.take_pods();
        self.take_autoscalers();
        self.take_sight();
    }

    /// The lists that ended since the last call.
    pub fn take_listings(&self) -> Vec<Listing> {
        std::mem::take(&mut *lock(&self.listings))
    }

    /// The pods that were heard of since the last call, by their workload.
    pub fn take_pods(&self) -> BTreeMap<ObjectId, Pods> {
        std::mem::take(&mut *lock(&self.pods))
    }

    /// Puts what is known of the pods of a workload in it.
    pub fn put_pods(&self, workload: &ObjectId, pods: Pods) {
        lock(&self.pods).insert(workload.clone(), pods);
        self.wake.notify_one();
    }

    /// The autoscalers that went since the last call.
    pub fn take_autoscalers(&self) -> BTreeSet<ObjectId> {
        std::mem::take(&mut *lock(&self.autoscalers))
    }

    /// Puts an autoscaler that is gone in it.
    pub fn put_autoscaler(&self, id: ObjectId) {
        lock(&self.autoscalers).insert(id);
        self.wake.notify_one();
    }

    /// Whether the sight of some kind has changed since the last call.
    pub fn take_sight(&self) -> bool {
        self.sight.swap(false, Ordering::SeqCst)
    }

    /// Says that a kind is seen again, or is not seen any more.
    pub(super) fn put_sight(&self) {
        self.sight.store(true, Ordering::SeqCst);
        self.wake.notify_one();
    }

    /// Waits until something is in it.
    pub async fn filled(&self) {
        loop {
            let notified = self.wake.notified();
            let is_empty = lock(&self.notices).is_empty()
                && lock(&self.listings).is_empty()
                && lock(&self.pods).is_empty()
                && lock(&self.autoscalers).is_empty()
                && !self.sight.load(Ordering::SeqCst);
            if !is_empty {
                return;
            }
            notified.await;
        }
    }

    pub(super) fn put_listing(&self, listing: Listing) {
        lock(&self.listings).push(listing);
        self.wake.notify_one();
    }

    pub(super) fn put(&self, id: ObjectId, notice: Notice) {
        lock(&self.notices).insert(id, notice);
        self.wake.notify_one();
    }
}

/// The lock; a panic of another holder leaves the map as it was.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
