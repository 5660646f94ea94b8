//! The agent: what happens, when. It holds the only state, and all time, of towline.
//!
//! One task for each Application ([`application`]), one for each Git remote ([`sources`]), one for
//! each watched kind ([`watches`]), one for each workload whose pods are watched ([`pods`]). An Application's task sleeps until something happens to it and
//! then makes a pass ([`sync`]), which is a row of pure functions between two doors.

mod aborting;
mod application;
mod chunks;
pub(crate) mod credentials;
mod deletion;
mod dependencies;
mod discovery;
mod drift;
mod elsewhere;
pub(crate) mod ended;
mod enforce;
pub(crate) mod farewell;
pub(crate) mod finalizers;
mod goal;
mod going_back;
mod hooks;
mod http;
mod last_good;
mod lease;
mod look;
mod mailbox;
pub mod metrics;
mod notebook;
mod notes;
mod notices;
mod outcome;
mod pace;
mod pods;
mod preflight;
mod publish;
mod recreation;
pub(crate) mod request;
mod rollback;
mod scale;
mod schedule;
mod sources;
pub(crate) mod store;
mod subscribe;
mod sync;
mod tell;
mod timers;
mod trial;
mod unsettled;
mod watches;
mod write_back;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub(crate) use credentials::person;
pub use lease::Timing;

use crate::api::ApplicationStatus;
use crate::cluster::{Cluster, Identity, WatchEvent, WatchScope};
use crate::desired::Installation;
use crate::git::{AllowedSchemes, Cache};
use crate::object::Object;
use crate::plan::dependencies::Key;
use crate::rollback::Breaker;
use aborting::Aborting;
use application::Application;
use credentials::Credentials;
use dependencies::Board;
use discovery::Kinds;
use elsewhere::Elsewhere;
use farewell::Farewell;
use lease::Elector;
use metrics::Metrics;
use pace::Pace;
use pods::PodPlaces;
use publish::{Events, applications};
use request::Request;
use sources::Sources;
use watches::Watches;

/// How long the Git cache may be in use by what has not ended yet, and how often it is tried.
const CACHE_PATIENCE: Duration = Duration::from_secs(10);
const CACHE_RETRY: Duration = Duration::from_millis(50);
/// How long the end of the installation may take, once the agent is told to end: below the grace period
/// of its pod. Without such a word it is begun again.
const LAST_WORDS: Duration = Duration::from_secs(20);

/// How the agent runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// The agent's namespace: Applications in it may act as the agent; inventories are kept in it.
    pub namespace: String,
    /// Names this installation in tracking-ids; the namespace unless two share one.
    pub install_id: String,
    /// Namespaces whose Applications are honoured; empty for all.
    pub application_namespaces: Vec<String>,
    /// Where Git repositories are cached.
    pub cache_dir: PathBuf,
    /// URL schemes of Git remotes.
    pub allow_schemes: AllowedSchemes,
    /// The name of the Lease.
    pub lease_name: String,
    /// This agent's name among its replicas.
    pub identity: String,
    /// Times of the Lease.
    pub timing: Timing,
    /// The agent's own Deployment: while it is being deleted, Applications are let go without
    /// deleting their objects.
    pub deployment: Option<String>,
}

impl Options {
    /// Where towline itself is installed.
    fn installation(&self) -> Installation {
        Installation {
            namespace: self.namespace.clone(),
            deployment: self.deployment.clone(),
            lease: self.lease_name.clone(),
        }
    }
}

/// What all Applications of an agent share.
struct Shared {
    options: Options,
    cluster: Arc<dyn Cluster>,
    kinds: Kinds,
    sources: Sources,
    credentials: Credentials,
    watches: Watches,
    board: Board,
    pods: Arc<PodPlaces>,
    elsewhere: Elsewhere,
    events: Events,
    pace: Pace,
    metrics: Arc<Metrics>,
    breaker: Mutex<Breaker>,
}

/// Runs until `stop` becomes true: serves HTTP on `listener`, contends for the Lease, and acts
/// while it holds it.
///
/// # Errors
/// When the cache directory cannot be used or the HTTP listener breaks.
pub async fn run(
    cluster: Arc<dyn Cluster>,
    options: Options,
    listener: TcpListener,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let metrics = Arc::new(Metrics::default());
    let ready = Arc::new(AtomicBool::new(false));
    let shown = http::Shown {
        metrics: Arc::clone(&metrics),
        ready: Arc::clone(&ready),
    };
    let server = tokio::spawn(http::serve(listener, shown, stop.clone()));
    let (leading, mut leads) = watch::channel(false);
    let elector = Elector::new(
        Arc::clone(&cluster),
        &options.namespace,
        &options.lease_name,
        options.identity.clone(),
        options.timing,
    );
    // The Lease is given back after the last write, not at the first sign of the end.
    let (release, released) = watch::channel(false);
    let elector = tokio::spawn(elector.run(leading, released));
    let reached = tokio::spawn(reach(Arc::clone(&cluster), Arc::clone(&ready)));
    let mut ended = stop.clone();
    loop {
        tokio::select! {
            _ = ended.wait_for(|stop| *stop) => break,
            changed = leads.wait_for(|leads| *leads) => if changed.is_err() { break },
        }
        tracing::info!(lease = options.lease_name, "holds the Lease");
        metrics.leading(true);
        let cache = open_cache(&options.cache_dir).await?;
        let farewell = Farewell::new(&*cluster, &options);
        let acting = act(
            Arc::clone(&cluster),
            options.clone(),
            cache,
            Arc::clone(&metrics),
        );
        let installed = async {
            farewell.hold().await;
            farewell.begun().await;
        };
        tokio::select! {
            _ = ended.wait_for(|stop| *stop) => {}
            () = installed => {}
            _ = leads.wait_for(|leads| !*leads) => tracing::warn!("lost the Lease; stops acting"),
        }
        acting.stop().await;
        // A namespace that is deleted ends its pods first.
        if *leads.borrow() && farewell.has_begun().await {
            let _ = tokio::time::timeout(LAST_WORDS, farewell.say()).await;
        }
        metrics.leading(false);
        if *ended.borrow() {
            break;
        }
    }
    let _ = release.send(true);
    let _ = elector.await;
    reached.abort();
    server.await??;
    Ok(())
}

/// Says ready once the API server answers.
async fn reach(cluster: Arc<dyn Cluster>, ready: Arc<AtomicBool>) {
    while let Err(error) = cluster.discover().await {
        tracing::warn!(%error, "the API server is not reached");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    ready.store(true, Ordering::SeqCst);
}

/// The tasks of an agent that holds the Lease.
struct Acting {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Acting {
    /// Ends them all. Applications end between two requests, so that nothing is written after this.
    async fn stop(self) {
        let _ = self.stop.send(true);
        for task in self.tasks {
            let _ = task.await;
        }
    }
}

fn act(cluster: Arc<dyn Cluster>, options: Options, cache: Cache, metrics: Arc<Metrics>) -> Acting {
    let shared = Arc::new(Shared {
        sources: Sources::new(cache, Arc::clone(&metrics)),
        credentials: Credentials::new(Arc::clone(&cluster)),
        watches: Watches::new(Arc::clone(&cluster)),
        pods: Arc::new(PodPlaces::new(Arc::clone(&metrics))),
        elsewhere: Elsewhere::default(),
        events: Events::new(options.identity.as_str()),
        pace: Pace::default(),
        board: Board::new(options.namespace.as_str()),
        kinds: Kinds::default(),
        metrics,
        cluster,
        options,
        breaker: Mutex::default(),
    });
    let (stop, stopped) = watch::channel(false);
    let mut scopes = vec![None];
    if !shared.options.application_namespaces.is_empty() {
        shared
            .board
            .expect(shared.options.application_namespaces.len());
        scopes = shared
            .options
            .application_namespaces
            .iter()
            .cloned()
            .map(Some)
            .collect();
    }
    let tasks = scopes
        .into_iter()
        .map(|namespace| tokio::spawn(follow(Arc::clone(&shared), namespace, stopped.clone())))
        .collect();
    Acting { stop, tasks }
}

/// Opens the Git cache. What this very agent began before it lost the Lease may have it for a
/// moment: a poll is not broken off.
async fn open_cache(directory: &Path) -> anyhow::Result<Cache> {
    let begun = Instant::now();
    loop {
        match Cache::new(directory) {
            Ok(cache) => return Ok(cache),
            Err(error) if begun.elapsed() >= CACHE_PATIENCE => return Err(error.into()),
            Err(_) => tokio::time::sleep(CACHE_RETRY).await,
        }
    }
}

/// The Applications of a namespace (or of all): a task for each.
async fn follow(shared: Arc<Shared>, namespace: Option<String>, mut stop: watch::Receiver<bool>) {
    let scope = WatchScope {
        resource: applications(),
        namespace,
        selector: None,
        name: None,
    };
    let mut events = shared.cluster.watch(&Identity::Agent, &scope);
    let mut running = Running {
        shared,
        tasks: BTreeMap::new(),
        ending: BTreeMap::new(),
        listed: Some(BTreeSet::new()),
    };
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            event = events.next() => match event {
                Some(Ok(event)) => running.take(event),
                Some(Err(error)) => tracing::warn!(%error, "Applications cannot be watched (is the CRD installed? `towline install | kubectl apply -f -`)"),
                None => break,
            },
        }
    }
    running.stop().await;
}

/// Namespace and name of an Application.
fn key_of(object: &Object) -> Key {
    (object.namespace().to_owned(), object.name().to_owned())
}

/// The tasks of Applications, by namespace and name.
struct Running {
    shared: Arc<Shared>,
    tasks: BTreeMap<Key, Task>,
    /// Those of Applications that are gone, until they have forgotten what is stored of them. The
    /// next one of the name begins after that: its records have the same names.
    ending: BTreeMap<Key, Aborting<()>>,
    /// What a list that is under way has told of.
    listed: Option<BTreeSet<Key>>,
}

struct Task {
    uid: String,
    requests: watch::Sender<Request>,
    task: JoinHandle<()>,
}

impl Running {
    fn take(&mut self, event: WatchEvent) {
        match event {
            WatchEvent::Relist => self.listed = Some(BTreeSet::new()),
            WatchEvent::Applied(object) => {
                if let Some(listed) = &mut self.listed {
                    listed.insert(key_of(&object));
                }
                self.applied(&object);
            }
            WatchEvent::Deleted(object) => {
                self.gone(&key_of(&object));
            }
            WatchEvent::Listed => {
                let listed = self.listed.take().unwrap_or_default();
                let gone: Vec<Key> = self
                    .tasks
                    .keys()
                    .filter(|key| !listed.contains(*key))
                    .cloned()
                    .collect();
                gone.iter().for_each(|key| self.gone(key));
                self.shared.board.listed();
            }
        }
    }

    /// The Application is not there any more; its objects are, unless its finalizer had them deleted
    /// before. That a task has nobody to tell it anything is another matter: it forgets nothing then.
    fn gone(&mut self, key: &Key) {
        self.shared.board.remove(key);
        self.ending.retain(|_, ending| !ending.0.is_finished());
        if let Some(task) = self.tasks.remove(key) {
            task.requests.send_modify(|request| request.gone = true);
            self.ending.insert(key.clone(), Aborting(task.task));
        }
    }

    fn applied(&mut self, object: &Object) {
        let request = Request::read(object);
        let key = (request.namespace.clone(), request.name.clone());
        if self
            .tasks
            .get(&key)
            .is_some_and(|task| task.uid != request.uid)
        {
            // It was deleted and created again, and nobody told of the first.
            self.gone(&key);
        }
        self.shared.board.put(object);
        if let Some(task) = self.tasks.get(&key)
            && !task.task.is_finished()
        {
            task.requests.send_if_modified(|known| {
                let changed = *known != request;
                *known = request;
                changed
            });
            return;
        }
        let status = Request::status(object);
        if !self.tasks.contains_key(&key) {
            self.remember_rollbacks(&status);
        }
        let uid = request.uid.clone();
        let (requests, receiver) = watch::channel(request);
        let (shared, before) = (Arc::clone(&self.shared), self.ending.remove(&key));
        let task = tokio::spawn(async move {
            if let Some(mut before) = before {
                let _ = (&mut before.0).await;
            }
            Application::new(shared, receiver, status).run().await;
        });
        self.tasks.insert(
            key,
            Task {
                uid,
                requests,
                task,
            },
        );
    }

    /// What an agent before this one rolled back counts too.
    fn remember_rollbacks(&self, status: &ApplicationStatus) {
        let breaker = self.shared.breaker.lock();
        let mut breaker = breaker.unwrap_or_else(PoisonError::into_inner);
        for one in &status.rollback.quarantine {
            breaker.remember(one.at.0.as_second());
        }
    }

    /// Ends every task, and waits until the last request is answered or given up.
    async fn stop(self) {
        for (_, task) in self.tasks {
            task.task.abort();
            let _ = task.task.await;
        }
        for (_, mut ending) in self.ending {
            ending.0.abort();
            let _ = (&mut ending.0).await;
        }
    }
}

/// How many threads may render one directory: as many as there are processors for, and few, as more
/// bring little.
pub(crate) fn render_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| processors.get().min(4))
}

/// How a directory is rendered.
pub(crate) fn render_options(directory: Option<&crate::api::Directory>) -> crate::render::Options {
    let mut options = crate::render::Options {
        threads: render_threads(),
        ..crate::render::Options::default()
    };
    if let Some(directory) = directory {
        options.directory.recurse = directory.recurse.unwrap_or(false);
        options.directory.include = directory.include.iter().cloned().collect();
        options.directory.exclude = directory.exclude.iter().cloned().collect();
    }
    options
}
