//! Git polls: one task for each remote and credential, however many Applications use it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::{Notify, watch};

use super::metrics::Metrics;
use super::notebook::Notebook;
use crate::error::Class;
use crate::git::{
    self, Cache, CommitDetails, Credential, RemoteUrl, Repository, Revision, TargetRevision,
};
use crate::status::Problem;
use crate::tree::Tree;

/// One commit, ready to be read.
pub struct Resolved {
    /// The commit and the branch or tag it was found under.
    pub revision: Revision,
    /// Its files.
    pub tree: Tree,
    /// Its author and subject.
    pub details: CommitDetails,
    /// When a poll found it there.
    pub seen: jiff::Timestamp,
}

/// What an Application sees of its source.
#[derive(Clone, Default)]
pub struct SourceState {
    /// The number of the last poll that ended.
    pub polled: u64,
    /// The last commit that was read. Stays while polls fail: the last good state is kept.
    pub resolved: Option<Arc<Resolved>>,
    /// Why the last poll gave nothing new, if it failed.
    pub failure: Option<Problem>,
}

/// A share in the polling of a remote; ends when it is dropped.
pub struct Subscription {
    /// What the polls found.
    pub state: watch::Receiver<SourceState>,
    remote: Arc<Remote>,
    number: u64,
}

impl Subscription {
    /// Polls now. Returns the number of the first poll that begins after this moment: once
    /// [`SourceState::polled`] reached it, everything pushed until now has been seen.
    pub fn poke(&self) -> u64 {
        let ticket = self.remote.begun.load(Ordering::SeqCst) + 1;
        self.remote.wake.notify_one();
        ticket
    }

    /// Where what is written to the notes of the remote comes together.
    pub(super) fn notebook(&self) -> &Arc<Notebook> {
        &self.remote.notebook
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        lock(&self.remote.subscribers).remove(&self.number);
        self.remote.wake.notify_one();
    }
}

struct Subscriber {
    target: TargetRevision,
    interval: Duration,
    state: watch::Sender<SourceState>,
}

struct Remote {
    url: RemoteUrl,
    credential: Credential,
    subscribers: Mutex<BTreeMap<u64, Subscriber>>,
    next: AtomicU64,
    begun: AtomicU64,
    wake: Notify,
    notebook: Arc<Notebook>,
}

/// All remotes that are polled.
pub struct Sources {
    cache: Arc<Cache>,
    metrics: Arc<Metrics>,
    remotes: Mutex<BTreeMap<[u8; 32], Weak<Remote>>>,
}

impl Sources {
    /// Polls into this cache.
    pub fn new(cache: Cache, metrics: Arc<Metrics>) -> Self {
        Self {
            cache: Arc::new(cache),
            metrics,
            remotes: Mutex::default(),
        }
    }

    /// The repository that a share in polling is for, to write to.
    ///
    /// # Errors
    /// When the credential is not of the sort that the remote takes.
    pub fn repository(&self, subscription: &Subscription) -> git::Result<Repository> {
        let remote = &subscription.remote;
        self.cache.repository(&remote.url, &remote.credential)
    }

    /// A share in the polling of `url` with `credential`. The first one starts it; the shortest
    /// interval of all decides.
    pub fn subscribe(
        &self,
        url: &RemoteUrl,
        credential: &Credential,
        target: TargetRevision,
        interval: Duration,
    ) -> Subscription {
        // Two tenants that name one URL with different credentials never share what was fetched.
        let key: [u8; 32] = Sha256::digest(format!("{url}\0{}", credential.fingerprint())).into();
        let mut remotes = lock(&self.remotes);
        remotes.retain(|_, remote| remote.strong_count() > 0);
        let (remote, is_new) = match remotes.get(&key).and_then(Weak::upgrade) {
            Some(remote) => (remote, false),
            None => {
                let remote = Arc::new(Remote {
                    url: url.clone(),
                    credential: credential.clone(),
                    subscribers: Mutex::default(),
                    next: AtomicU64::new(0),
                    begun: AtomicU64::new(0),
                    wake: Notify::new(),
                    notebook: Arc::default(),
                });
                remotes.insert(key, Arc::downgrade(&remote));
                (remote, true)
            }
        };
        let number = remote.next.fetch_add(1, Ordering::SeqCst);
        let (sender, state) = watch::channel(SourceState::default());
        let subscriber = Subscriber {
            target,
            interval,
            state: sender,
        };
        lock(&remote.subscribers).insert(number, subscriber);
        if is_new {
            let poll = Poll {
                cache: Arc::clone(&self.cache),
                metrics: Arc::clone(&self.metrics),
            };
            tokio::spawn(poll.run(Arc::downgrade(&remote)));
        }
        remote.wake.notify_one();
        Subscription {
            state,
            remote,
            number,
        }
    }
}

struct Poll {
    cache: Arc<Cache>,
    metrics: Arc<Metrics>,
}

impl Poll {
    /// Polls until nobody subscribes any more.
    async fn run(self, remote: Weak<Remote>) {
        let _watcher = remote.upgrade().and_then(|remote| watch_files(&remote));
        loop {
            let Some(remote) = remote.upgrade() else {
                return;
            };
            let interval = {
                let subscribers = lock(&remote.subscribers);
                let Some(shortest) = subscribers.values().map(|s| s.interval).min() else {
                    return;
                };
                shortest
            };
            // Requests that come while a poll runs are kept by the Notify and start the next one.
            let number = remote.begun.fetch_add(1, Ordering::SeqCst) + 1;
            self.poll(&remote, number).await;
            tokio::select! {
                () = remote.wake.notified() => {}
                () = tokio::time::sleep(interval) => {}
            }
        }
    }

    async fn poll(&self, remote: &Arc<Remote>, number: u64) {
        let targets: BTreeSet<TargetRevision> = lock(&remote.subscribers)
            .values()
            .map(|s| s.target.clone())
            .collect();
        let known: BTreeMap<TargetRevision, Arc<Resolved>> = lock(&remote.subscribers)
            .values()
            .filter_map(|s| Some((s.target.clone(), s.state.borrow().resolved.clone()?)))
            .collect();
        let cache = Arc::clone(&self.cache);
        let (url, credential) = (remote.url.clone(), remote.credential.clone());
        // Git is blocking I/O: it runs on its own thread and never holds up another Application.
        let answer =
            tokio::task::spawn_blocking(move || read(&cache, &url, &credential, &targets, &known))
                .await;
        let found = match answer {
            Ok(found) => found,
            // One remote's panic never takes the agent down.
            Err(panic) => Err(Problem {
                reason: "GitPanicked".into(),
                message: format!(
                    "reading `{}` broke down: {panic}; please report it",
                    remote.url
                ),
                class: Class::Retry,
            }),
        };
        self.metrics.git_poll(
            found
                .as_ref()
                .map(|_| ())
                .map_err(|problem| problem.reason.as_str()),
        );
        for subscriber in lock(&remote.subscribers).values() {
            let result = match &found {
                Err(problem) => Some(Err(problem.clone())),
                // A target that came while this poll ran is in the next one.
                Ok(found) => found.get(&subscriber.target).cloned(),
            };
            subscriber.state.send_modify(|state| match result {
                Some(Ok(resolved)) => {
                    state.polled = number;
                    state.resolved = Some(resolved);
                    state.failure = None;
                }
                Some(Err(problem)) => {
                    state.polled = number;
                    state.failure = Some(problem);
                }
                None => {}
            });
        }
    }
}

type Found = BTreeMap<TargetRevision, Result<Arc<Resolved>, Problem>>;

/// One poll: one `ls-refs` for all targets, and one fetch when a commit is new.
fn read(
    cache: &Cache,
    url: &RemoteUrl,
    credential: &Credential,
    targets: &BTreeSet<TargetRevision>,
    known: &BTreeMap<TargetRevision, Arc<Resolved>>,
) -> Result<Found, Problem> {
    let repository = cache
        .repository(url, credential)
        .map_err(|e| Problem::of(&e))?;
    let synced = repository
        .poll_and_fetch(targets)
        .map_err(|e| Problem::of(&e))?;
    let mut found = Found::new();
    for (target, revision) in synced.revisions {
        let resolved = revision.and_then(|revision| {
            Ok(match known.get(&target) {
                Some(old) if old.revision == revision => Arc::clone(old),
                _ => Arc::new(Resolved {
                    tree: repository.tree(&revision.commit)?,
                    details: repository.commit(&revision.commit)?,
                    revision,
                    seen: jiff::Timestamp::now(),
                }),
            })
        });
        found.insert(target, resolved.map_err(|e| Problem::of(&e)));
    }
    Ok(found)
}

/// Watches the refs of a local repository, so that a commit is seen at once. Only a hint: events
/// can be missed, and polling goes on.
fn watch_files(remote: &Arc<Remote>) -> Option<notify::RecommendedWatcher> {
    use notify::{EventKind, RecursiveMode, Watcher as _};
    let path = remote.url.local_path()?;
    let git_dir = if path.join(".git").is_dir() {
        path.join(".git")
    } else {
        path
    };
    let weak = Arc::downgrade(remote);
    let on_event = move |event: notify::Result<notify::Event>| {
        let is_change = event.is_ok_and(|e| !matches!(e.kind, EventKind::Access(_)));
        if let (true, Some(remote)) = (is_change, weak.upgrade()) {
            remote.wake.notify_one();
        }
    };
    let mut watcher = notify::recommended_watcher(on_event).ok()?;
    let watched = watcher
        .watch(&git_dir, RecursiveMode::NonRecursive)
        .and_then(|()| watcher.watch(&git_dir.join("refs"), RecursiveMode::Recursive));
    if let Err(error) = watched {
        tracing::warn!(remote = %remote.url, %error, "local repository is not watched; it is polled");
    }
    Some(watcher)
}

/// The lock; a panic of another holder leaves the map as it was.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
