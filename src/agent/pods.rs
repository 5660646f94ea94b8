//! Watches of the pods of workloads that are on their way or on trial: the only place where pods are
//! read.
//!
//! Which workloads on their way deserve one is decided by [`crate::health::Patience`]. Each is a task that holds
//! one of few places while it watches; where more want one than there are, they take turns. What it
//! hears is reduced to what says something ([`Pods`]) and put into the Application's mailbox. A
//! watch ends when it is dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::aborting::Aborting;
use super::mailbox::Mailbox;
use super::metrics::Metrics;
use crate::cluster::{Cluster, Error, Identity, Resource, WatchEvent, WatchScope};
use crate::health::{Look, Pods};
use crate::object::{ObjectId, Scope};

/// How many pod watches an agent has at most.
const PLACES: usize = 32;
/// How long a watch keeps its place when others wait for one.
const PLACE_TIME: Duration = Duration::from_secs(20);
/// How long events are collected: pods of one rollout change together.
const COALESCE: Duration = Duration::from_millis(50);
/// When it is tried again to watch pods where that was forbidden.
const FORBIDDEN_FOR: Duration = Duration::from_secs(300);

/// The places of all Applications.
pub struct PodPlaces {
    free: Semaphore,
    place_time: Duration,
    waiting: AtomicUsize,
    /// Who may not watch pods in which namespace, and since when.
    forbidden: Mutex<BTreeMap<(Identity, String), Instant>>,
    metrics: Arc<Metrics>,
}

/// A place that is taken.
struct Place<'a> {
    _permit: SemaphorePermit<'a>,
    metrics: &'a Metrics,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.metrics.pod_watch(-1);
    }
}

/// One that waits for a place.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PodPlaces {
    /// All places free.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self::of(PLACES, PLACE_TIME, metrics)
    }

    fn of(places: usize, place_time: Duration, metrics: Arc<Metrics>) -> Self {
        Self {
            free: Semaphore::new(places),
            place_time,
            waiting: AtomicUsize::new(0),
            forbidden: Mutex::default(),
            metrics,
        }
    }

    /// Waits for a place, in the order of asking.
    async fn enter(&self) -> Option<Place<'_>> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(&self.waiting);
        // The semaphore is never closed.
        let permit = self.free.acquire().await.ok()?;
        drop(waiting);
        self.metrics.pod_watch(1);
        Some(Place {
            _permit: permit,
            metrics: &self.metrics,
        })
    }

    fn is_forbidden(&self, who: &Identity, namespace: &str) -> bool {
        let mut all = self
            .forbidden
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, since| since.elapsed() < FORBIDDEN_FOR);
        all.contains_key(&(who.clone(), namespace.to_owned()))
    }

    /// Remembers it, and says so once.
    fn forbid(&self, who: &Identity, namespace: &str, error: &Error) {
        let key = (who.clone(), namespace.to_owned());
        let mut all = self
            .forbidden
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if all.insert(key, Instant::now()).is_none() {
            tracing::info!(
                %error,
                "pods may not be watched: workloads do not say why they do not become ready (grant get, list and watch on pods)"
            );
        }
    }
}

/// The pod watches of one Application.
#[derive(Default)]
pub struct PodWatches {
    open: BTreeMap<ObjectId, Open>,
    known: BTreeMap<ObjectId, Pods>,
}

struct Open {
    who: Identity,
    selector: String,
    /// The list is enough.
    once: bool,
    task: Aborting<()>,
}

/// What a watch needs.
struct Task {
    places: Arc<PodPlaces>,
    cluster: Arc<dyn Cluster>,
    who: Identity,
    namespace: String,
    selector: String,
    id: ObjectId,
    mailbox: Arc<Mailbox>,
    /// The list is enough.
    once: bool,
}

/// How a turn of a watch ended.
#[derive(PartialEq)]
enum End {
    /// Others wait.
    Yielded,
    /// There is nothing more to hear.
    Done,
}

impl PodWatches {
    /// What is known of the pods of a workload.
    pub fn of(&self, id: &ObjectId) -> Option<&Pods> {
        self.known.get(id)
    }

    /// Takes in what a watch heard. Returns true when containers were restarted, or when it is known
    /// for the first time whether they were.
    pub fn take(&mut self, heard: BTreeMap<ObjectId, Pods>) -> bool {
        let mut changed = false;
        for (id, pods) in heard {
            if self.open.contains_key(&id) {
                let now = pods.restarted(&id);
                let before = self.known.insert(id.clone(), pods);
                changed |= before.is_none_or(|before| before.restarted(&id) != now);
            }
        }
        changed
    }

    /// Opens and closes watches, so that they are what `look` says. `selector` tells the pods of a
    /// workload.
    pub fn set<'a>(
        &mut self,
        look: &Look,
        shared: (&Arc<PodPlaces>, &Arc<dyn Cluster>),
        who: &Identity,
        mailbox: &Arc<Mailbox>,
        selector: impl Fn(&ObjectId) -> Option<&'a str>,
    ) {
        let (places, cluster) = shared;
        let wanted: BTreeSet<&ObjectId> = look.watch.union(&look.once).collect();
        self.open.retain(|id, open| {
            let is_wanted = wanted.contains(id) && open.once == look.once.contains(id);
            let is_same = open.who == *who && selector(id) == Some(open.selector.as_str());
            // One that was refused ends by itself, and may be tried again later.
            let goes_on = open.once || !open.task.0.is_finished();
            is_wanted && is_same && goes_on
        });
        // Of one that failed the last words stay known.
        self.known.retain(|id, _| wanted.contains(id));
        for id in wanted {
            let once = look.once.contains(id);
            let is_known = self.open.contains_key(id) || (once && self.known.contains_key(id));
            let Some(selector) = selector(id).filter(|_| !is_known) else {
                continue;
            };
            if places.is_forbidden(who, &id.namespace) {
                continue;
            }
            let task = Task {
                places: Arc::clone(places),
                cluster: Arc::clone(cluster),
                who: who.clone(),
                namespace: id.namespace.clone(),
                selector: selector.to_owned(),
                id: id.clone(),
                mailbox: Arc::clone(mailbox),
                once,
            };
            let open = Open {
                who: who.clone(),
                selector: selector.to_owned(),
                once,
                task: Aborting(tokio::spawn(task.run())),
            };
            self.open.insert(id.clone(), open);
        }
    }
}

impl Task {
    async fn run(self) {
        while let Some(place) = self.places.enter().await {
            if self.watch().await == End::Done {
                return;
            }
            drop(place);
        }
    }

    /// Watches until the time of the place is over and others wait. What was heard last is known
    /// until the next turn.
    async fn watch(&self) -> End {
        let scope = WatchScope {
            resource: Resource::known("v1", "Pod", "pods", Scope::Namespaced),
            namespace: Some(self.namespace.clone()),
            selector: Some(self.selector.clone()),
            name: None,
        };
        let mut events = self.cluster.watch(&self.who, &scope);
        let mut pods = Pods::default();
        let mut told = None;
        let mut is_listed = false;
        let mut tell_at = None;
        let mut yield_at = Instant::now() + self.places.place_time;
        loop {
            tokio::select! {
                event = events.next() => {
                    match event {
                        None => return End::Done,
                        Some(Err(error)) if error.is_forbidden() => {
                            self.places.forbid(&self.who, &self.namespace, &error);
                            return End::Done;
                        }
                        Some(Err(error)) => {
                            tracing::debug!(workload = %self.id, %error, "the watch of its pods failed; it is opened again");
                        }
                        Some(Ok(event)) => is_listed = take(&mut pods, event, is_listed),
                    }
                    if is_listed && told.as_ref() != Some(&pods) {
                        tell_at.get_or_insert_with(|| Instant::now() + COALESCE);
                    }
                }
                () = tokio::time::sleep_until(tell_at.unwrap_or(yield_at)), if tell_at.is_some() => {
                    tell_at = None;
                    self.mailbox.put_pods(&self.id, pods.clone());
                    told = Some(pods.clone());
                    if self.once {
                        return End::Done;
                    }
                }
                () = tokio::time::sleep_until(yield_at) => {
                    if self.places.waiting.load(Ordering::Relaxed) > 0 {
                        return End::Yielded;
                    }
                    yield_at = Instant::now() + self.places.place_time;
                }
            }
        }
    }
}

/// Takes in one event. Returns whether the pods are complete.
fn take(pods: &mut Pods, event: WatchEvent, is_listed: bool) -> bool {
    let now = jiff::Timestamp::now().as_second().unsigned_abs();
    match event {
        WatchEvent::Relist => {
            pods.clear();
            return false;
        }
        WatchEvent::Listed => return true,
        WatchEvent::Applied(pod) => pods.put(&pod, now),
        WatchEvent::Deleted(pod) => pods.gone(&pod),
    }
    is_listed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fake::FakeCluster;
    use crate::inventory::Owner;

    struct Places {
        places: Arc<PodPlaces>,
        fake: Arc<FakeCluster>,
        metrics: Arc<Metrics>,
        watches: PodWatches,
    }

    impl Places {
        fn new(places: usize, place_time: Duration) -> Self {
            let metrics = Arc::new(Metrics::default());
            Self {
                places: Arc::new(PodPlaces::of(places, place_time, Arc::clone(&metrics))),
                fake: Arc::default(),
                metrics,
                watches: PodWatches::default(),
            }
        }

        /// Watches the pods of so many workloads, as `deployer`.
        fn watch(&mut self, workloads: usize) {
            let id = |number| ObjectId::new("apps", "Deployment", "shop", format!("w{number}"));
            let look = Look {
                watch: (0..workloads).map(id).collect(),
                ..Look::default()
            };
            let cluster: Arc<dyn Cluster> = Arc::clone(&self.fake) as Arc<dyn Cluster>;
            let who = Identity::ServiceAccount {
                namespace: "shop".into(),
                name: "deployer".into(),
            };
            let mailbox = Arc::new(Mailbox::new(Owner {
                install: "i".into(),
                namespace: "shop".into(),
                name: "shop".into(),
            }));
            let selector = |id: &ObjectId| (!id.name.is_empty()).then_some("app=web");
            let shared = (&self.places, &cluster);
            self.watches.set(&look, shared, &who, &mailbox, selector);
        }

        fn open(&self) -> String {
            let text = self.metrics.text();
            let line = text
                .lines()
                .find(|line| line.starts_with("towline_pod_watches "));
            line.unwrap_or_default().to_owned()
        }

        async fn until(&self, what: impl Fn(&Self) -> bool) {
            let waiting = async {
                while !what(self) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            let ended = tokio::time::timeout(Duration::from_secs(20), waiting).await;
            assert!(ended.is_ok(), "{}: {:?}", self.open(), self.fake.requests());
        }
    }

    #[tokio::test]
    async fn there_are_only_so_many_places_and_dropping_frees_them() {
        let mut places = Places::new(2, Duration::from_secs(3600));
        places.watch(5);
        places
            .until(|p| {
                p.open() == "towline_pod_watches 2" && p.places.waiting.load(Ordering::Relaxed) == 3
            })
            .await;
        let asked = "watch pods in shop of app=web as system:serviceaccount:shop:deployer";
        assert_eq!(places.fake.requests(), [asked; 2]);
        places.watch(0);
        places
            .until(|p| {
                p.open() == "towline_pod_watches 0" && p.places.waiting.load(Ordering::Relaxed) == 0
            })
            .await;
    }

    #[tokio::test]
    async fn those_that_wait_take_turns() {
        let mut places = Places::new(1, Duration::from_millis(1));
        places.watch(3);
        places.until(|p| p.fake.requests().len() > 6).await;
        assert_ne!(places.open(), "towline_pod_watches 2");
    }

    #[tokio::test]
    async fn where_it_is_forbidden_it_is_tried_once() {
        let mut places = Places::new(1, Duration::from_secs(3600));
        let asked = "watch pods in shop of app=web as system:serviceaccount:shop:deployer";
        places.fake.fail(asked, 403);
        places.watch(1);
        places
            .until(|p| p.open() == "towline_pod_watches 0" && !p.fake.requests().is_empty())
            .await;
        for _ in 0..3 {
            places.watch(0);
            places.watch(1);
            tokio::task::yield_now().await;
        }
        assert_eq!(places.fake.requests(), [asked]);
    }
}
