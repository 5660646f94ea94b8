//! Watches of managed objects: one for each identity and kind, label-selected, full objects.
//!
//! Each event is reduced to what decisions need and put into the mailbox of its Application; the
//! object is dropped at once. Memory grows with managed objects, not with the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{BoxStream, SelectAll};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::mailbox::{Listing, Mailbox, Notice, lock};
use crate::cluster::{Cluster, Error, Identity, LONGEST_GAP, Resource, WatchEvent, WatchScope};
use crate::error::{Class, Fault as _};
use crate::inventory::Owner;
use crate::object::{Object, ObjectId, Scope, keys};

/// So long after its last failure a watch is opened anew. A watch that goes on where it was says
/// nothing about that, and a list is the one proof that changes are seen again. It has told by then
/// what it missed; one that still fails is left alone.
const SILENCE: Duration = LONGEST_GAP.saturating_add(Duration::from_secs(5));

type Watched = BTreeMap<(Identity, Resource), Arc<Subject>>;

/// All watches of managed objects.
pub struct Watches {
    cluster: Arc<dyn Cluster>,
    /// Mailboxes by the value of the application label.
    mailboxes: Arc<RwLock<BTreeMap<String, Arc<Mailbox>>>>,
    watched: Mutex<Watched>,
    /// Ended when the last Application lets go of all this.
    tasks: Mutex<JoinSet<()>>,
}

/// One kind as one identity.
struct Subject {
    /// The namespaces that matter, for an identity that may not watch all of them.
    namespaces: watch::Sender<BTreeSet<String>>,
    /// Where the first list was answered: with objects, or so that asking again is of no use. `None`
    /// is everywhere.
    answered: watch::Sender<BTreeSet<Option<String>>>,
    /// Why its changes are not seen, if they are not.
    blind: Mutex<Option<String>>,
}

impl Watches {
    /// No watches yet.
    pub fn new(cluster: Arc<dyn Cluster>) -> Self {
        Self {
            cluster,
            mailboxes: Arc::default(),
            watched: Mutex::default(),
            tasks: Mutex::default(),
        }
    }

    /// The mailbox of an Application, from now on filled.
    pub fn register(&self, owner: &Owner) -> Arc<Mailbox> {
        let mailbox = Arc::new(Mailbox::new(owner.clone()));
        let mut mailboxes = self
            .mailboxes
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        mailboxes.insert(owner.key(), Arc::clone(&mailbox));
        mailbox
    }

    /// Ends the mailbox of an Application; not that of another one of its name, which has taken its
    /// place by then and would hear of nothing any more.
    pub fn unregister(&self, mailbox: &Arc<Mailbox>) {
        let mut mailboxes = self
            .mailboxes
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let label = mailbox.label();
        let is_it = |known: &Arc<Mailbox>| Arc::ptr_eq(known, mailbox);
        if mailboxes.get(&*label).is_some_and(is_it) {
            mailboxes.remove(&*label);
        }
    }

    /// Sees to it that a kind is watched as `who`, at least in `namespace`.
    pub fn ensure(&self, who: &Identity, resource: &Resource, namespace: &str) {
        let key = (who.clone(), resource.clone());
        let mut watched = lock(&self.watched);
        if let Some(subject) = watched.get(&key) {
            subject
                .namespaces
                .send_if_modified(|all| all.insert(namespace.to_owned()));
            return;
        }
        let (namespaces, wanted) = watch::channel(BTreeSet::from([namespace.to_owned()]));
        let subject = Arc::new(Subject {
            namespaces,
            answered: watch::Sender::default(),
            blind: Mutex::default(),
        });
        watched.insert(key, Arc::clone(&subject));
        let task = Task {
            cluster: Arc::clone(&self.cluster),
            who: who.clone(),
            resource: resource.clone(),
            mailboxes: Arc::clone(&self.mailboxes),
            subject,
            known: BTreeMap::new(),
            failed: None,
        };
        lock(&self.tasks).spawn(task.run(wanted));
    }

    /// Waits until a watch has listed what there is in `namespace`, from when on it misses nothing;
    /// also where it is refused for good. Not for longer than `limit`: the API server may be away, and
    /// who waits goes on without it then.
    pub async fn opened(
        &self,
        who: &Identity,
        resource: &Resource,
        namespace: &str,
        limit: Duration,
    ) {
        let key = (who.clone(), resource.clone());
        let Some(subject) = lock(&self.watched).get(&key).cloned() else {
            return;
        };
        let mut answered = subject.answered.subscribe();
        let here = Some(namespace.to_owned());
        let is_open = |answered: &BTreeSet<_>| answered.contains(&None) || answered.contains(&here);
        if timeout(limit, answered.wait_for(is_open)).await.is_err() {
            tracing::warn!(kind = %resource.gvk, namespace, "is not watched yet; an end may be missed");
        }
    }

    /// Why changes of these kinds are not seen: the first reason, if there is one.
    pub fn blind<'a>(
        &self,
        who: &Identity,
        resources: impl IntoIterator<Item = &'a Resource>,
    ) -> Option<String> {
        let watched = lock(&self.watched);
        resources.into_iter().find_map(|resource| {
            let subject = watched.get(&(who.clone(), resource.clone()))?;
            lock(&subject.blind).clone()
        })
    }
}

struct Task {
    cluster: Arc<dyn Cluster>,
    who: Identity,
    resource: Resource,
    mailboxes: Arc<RwLock<BTreeMap<String, Arc<Mailbox>>>>,
    subject: Arc<Subject>,
    /// Every object seen, with the label it had: what a new list lacks is gone.
    known: BTreeMap<ObjectId, Arc<str>>,
    /// When a stream failed last, and nothing was listed since.
    failed: Option<Instant>,
}

type Events = BoxStream<'static, (Option<String>, Result<WatchEvent, Error>)>;

impl Task {
    /// Watches the whole cluster; where that is forbidden, the namespaces that matter.
    async fn run(mut self, mut wanted: watch::Receiver<BTreeSet<String>>) {
        let mut listed = Some(BTreeSet::new());
        let mut all = self.open(None);
        loop {
            let event = tokio::select! {
                event = all.next() => event,
                () = over(&mut self.failed) => {
                    all = self.open(None);
                    continue;
                }
            };
            let Some((_, event)) = event else { break };
            let forbidden = event.as_ref().is_err_and(Error::is_forbidden);
            if forbidden && self.resource.scope == Scope::Namespaced {
                break;
            }
            self.take(None, event, &mut listed);
        }
        drop(all);
        self.failed = None;
        // Each namespace has a stream of its own; new ones join as Applications come.
        let mut streams: SelectAll<Events> = SelectAll::new();
        let mut open = BTreeSet::new();
        let mut listings: BTreeMap<String, Option<BTreeSet<ObjectId>>> = BTreeMap::new();
        loop {
            for namespace in wanted.borrow_and_update().iter() {
                if !namespace.is_empty() && open.insert(namespace.clone()) {
                    streams.push(self.open(Some(namespace)));
                }
            }
            tokio::select! {
                event = streams.next(), if !streams.is_empty() => {
                    if let Some((Some(namespace), event)) = event {
                        let listed = listings.entry(namespace.clone());
                        let listed = listed.or_insert_with(|| Some(BTreeSet::new()));
                        self.take(Some(&namespace), event, listed);
                    }
                }
                changed = wanted.changed() => if changed.is_err() { return },
                () = over(&mut self.failed) => {
                    streams.clear();
                    open.clear();
                    listings.clear();
                }
            }
        }
    }

    fn open(&self, namespace: Option<&str>) -> Events {
        let scope = WatchScope {
            resource: self.resource.clone(),
            namespace: namespace.map(str::to_owned),
            selector: Some(keys::APPLICATION_LABEL.into()),
            name: None,
        };
        let namespace = scope.namespace.clone();
        self.cluster
            .watch(&self.who, &scope)
            .map(move |event| (namespace.clone(), event))
            .boxed()
    }

    /// One event. `listed` collects the ids of a list while one is under way.
    fn take(
        &mut self,
        namespace: Option<&str>,
        event: Result<WatchEvent, Error>,
        listed: &mut Option<BTreeSet<ObjectId>>,
    ) {
        match event {
            Ok(WatchEvent::Relist) => *listed = Some(BTreeSet::new()),
            Ok(WatchEvent::Applied(object)) => {
                let id = self.seen(&object);
                if let Some(listed) = listed {
                    listed.insert(id);
                }
            }
            Ok(WatchEvent::Deleted(object)) => self.deleted(&object),
            Ok(WatchEvent::Listed) => {
                self.failed = None;
                self.set_blind(None);
                self.answered(namespace);
                let listed = listed.take().unwrap_or_default();
                let missing: Vec<ObjectId> = self
                    .known
                    .keys()
                    .filter(|id| namespace.is_none_or(|n| n == id.namespace))
                    .filter(|id| !listed.contains(*id))
                    .cloned()
                    .collect();
                missing.iter().for_each(|id| self.lost(id));
                self.tell_listing(namespace);
            }
            Err(error) => {
                tracing::warn!(kind = %self.resource.gvk, %error, "watch failed; it is opened again");
                self.failed = Some(Instant::now());
                self.set_blind(Some(error.to_string()));
                if error.class() == Class::Stalled {
                    self.answered(namespace);
                }
            }
        }
    }

    /// Notes whether changes are seen, and tells every Application when that is another matter now.
    fn set_blind(&self, why: Option<String>) {
        let is_blind = why.is_some();
        let before = std::mem::replace(&mut *lock(&self.subject.blind), why);
        if before.is_some() != is_blind {
            let mailboxes = self.mailboxes.read();
            let mailboxes = mailboxes.unwrap_or_else(PoisonError::into_inner);
            mailboxes.values().for_each(|mailbox| mailbox.put_sight());
        }
    }

    fn answered(&self, namespace: Option<&str>) {
        let insert = |all: &mut BTreeSet<_>| all.insert(namespace.map(str::to_owned));
        self.subject.answered.send_if_modified(insert);
    }

    /// Takes in an object as it is, and returns its id.
    fn seen(&mut self, object: &Object) -> ObjectId {
        let id = object.id();
        let Some(label) = object.label(keys::APPLICATION_LABEL) else {
            return id;
        };
        let (id, unchanged) = match self.known.get_key_value(&id) {
            // One id in memory, however often the object changes.
            Some((known, of)) => (known.clone(), of.as_ref() == label),
            None => (id, false),
        };
        let mailbox = self.mailbox(label);
        if !unchanged {
            // The label is the same text for all objects of an Application.
            let label = mailbox.as_ref().map_or_else(|| label.into(), |m| m.label());
            self.known.insert(id.clone(), label);
        }
        if let Some(mailbox) = mailbox {
            let now = jiff::Timestamp::now().as_second();
            let seen = mailbox.observe(object, now);
            mailbox.put(id.clone(), Notice::Seen(Box::new(seen)));
        }
        id
    }

    fn deleted(&mut self, object: &Object) {
        let label = self.known.get(&object.id());
        let mailbox = label.and_then(|label| self.mailbox(label));
        self.lost(&object.id());
        if let Some(mailbox) = mailbox {
            let now = jiff::Timestamp::now().as_second();
            // How it ended, and not that it is on its way out.
            let mut last = object.clone();
            if let Some(metadata) = last.0["metadata"].as_object_mut() {
                metadata.remove("deletionTimestamp");
            }
            let seen = mailbox.observe(&last, now);
            if seen.finished {
                mailbox.put(object.id(), Notice::Ended(Box::new(seen)));
            } else if object.id().is_job() {
                mailbox.put(object.id(), Notice::Interrupted);
            }
        }
    }

    fn lost(&mut self, id: &ObjectId) {
        let Some(label) = self.known.remove(id) else {
            return;
        };
        if let Some(mailbox) = self.mailbox(&label) {
            mailbox.put(id.clone(), Notice::Lost);
        }
    }

    /// Tells every Application what there is of it.
    fn tell_listing(&self, namespace: Option<&str>) {
        let mut found: BTreeMap<&str, BTreeSet<ObjectId>> = BTreeMap::new();
        for (id, label) in &self.known {
            found.entry(label).or_default().insert(id.clone());
        }
        let mailboxes = self
            .mailboxes
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        for (label, mailbox) in mailboxes.iter() {
            mailbox.put_listing(Listing {
                gvk: self.resource.gvk.clone(),
                namespace: namespace.map(str::to_owned),
                found: found.remove(label.as_str()).unwrap_or_default(),
            });
        }
    }

    fn mailbox(&self, label: &str) -> Option<Arc<Mailbox>> {
        self.mailboxes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(label)
            .cloned()
    }
}

/// Waits until [`SILENCE`] is over after a failure, and forgets it; for ever where nothing failed.
async fn over(failed: &mut Option<Instant>) {
    match *failed {
        Some(at) => tokio::time::sleep_until(at + SILENCE).await,
        None => std::future::pending().await,
    }
    *failed = None;
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::cluster::fake::FakeCluster;

    /// Longer than any test waits for what comes at once.
    const LONG: Duration = Duration::from_secs(60);

    fn owner() -> Owner {
        Owner {
            install: "i".into(),
            namespace: "n".into(),
            name: "shop".into(),
        }
    }

    #[test]
    fn an_application_that_ends_late_leaves_the_mailbox_of_the_next_one_of_its_name() {
        let watches = Watches::new(Arc::new(FakeCluster::default()));
        let heard_by = || {
            let mailboxes = watches.mailboxes.read().expect("no test panicked with it");
            mailboxes.get(&owner().key()).cloned()
        };
        let old = watches.register(&owner());
        let new = watches.register(&owner());
        watches.unregister(&old);
        assert!(heard_by().is_some_and(|mailbox| Arc::ptr_eq(&mailbox, &new)));
        watches.unregister(&new);
        assert!(heard_by().is_none());
    }

    /// Watches of Jobs, whose request for everywhere and that for `shop` are answered with this.
    fn watching(everywhere: Option<u16>, shop: Option<u16>) -> (Watches, Resource) {
        let cluster = FakeCluster::default();
        for (place, code) in [("", everywhere), ("shop", shop)] {
            if let Some(code) = code {
                let label = keys::APPLICATION_LABEL;
                cluster.fail(format!("watch jobs in {place} of {label}"), code);
            }
        }
        let jobs = Resource::known("batch/v1", "Job", "jobs", Scope::Namespaced);
        let watches = Watches::new(Arc::new(cluster));
        watches.ensure(&Identity::Agent, &jobs, "shop");
        (watches, jobs)
    }

    #[tokio::test]
    async fn who_waits_for_a_watch_waits_for_its_first_list_and_no_longer_than_for_an_answer() {
        let forbidden = Some(403);
        for (everywhere, shop) in [(None, None), (forbidden, None), (forbidden, forbidden)] {
            let (watches, jobs) = watching(everywhere, shop);
            let opened = || watches.opened(&Identity::Agent, &jobs, "shop", LONG);
            // Its task has not even begun.
            assert!(opened().now_or_never().is_none());
            opened().await;
            assert!(
                opened().now_or_never().is_some(),
                "it is known from then on"
            );
        }
        // Nor for another namespace than the one that is listed.
        let (watches, jobs) = watching(forbidden, None);
        watches.opened(&Identity::Agent, &jobs, "shop", LONG).await;
        let other = watches.opened(&Identity::Agent, &jobs, "bank", LONG);
        assert!(other.now_or_never().is_none());
    }

    #[tokio::test]
    async fn who_waits_for_a_watch_while_the_api_server_is_away_goes_on_when_the_time_is_up() {
        let (watches, jobs) = watching(Some(503), None);
        let short = Duration::from_millis(1);
        watches.opened(&Identity::Agent, &jobs, "shop", short).await;
        let again = watches.opened(&Identity::Agent, &jobs, "shop", LONG);
        assert!(again.now_or_never().is_none(), "it may still open");
    }
}
