//! One Application: a task that sleeps until something happens, and then makes a pass.
//!
//! Nothing else holds its state, and it holds nothing of others: an Application that waits, fails
//! or panics costs the others nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Shared;
use super::credentials::credential;
use super::deletion::Deletion;
use super::publish::publish;
use super::request::Request;
use super::sources::{SourceState, Subscription};
use super::store::Store;
use super::sync::{End, Goal};
use super::watches::{Mailbox, Notice};
use crate::api::{ApplicationStatus, Handled, HistoryEntry, Policy};
use crate::cluster::{Discovery, Identity, Resource};
use crate::desired::DesiredObject;
use crate::error::Class;
use crate::git::{RemoteUrl, TargetRevision};
use crate::inventory::{Inventory, Owner};
use crate::live::{Live, Sighting};
use crate::object::ObjectId;
use crate::plan::Report;
use crate::status::{Problem, Summary, View, derive, events};

/// How long events are collected before a pass looks at them: a burst becomes one pass, and a heal
/// still begins at once.
const COALESCE: Duration = Duration::from_millis(5);
/// The shortest time between two status writes that no pass with writes asked for.
const STATUS_SPACING: Duration = Duration::from_secs(1);
/// When what was learned by the way (UIDs, hashes) is stored.
const STORE_AFTER: Duration = Duration::from_secs(5);
/// When objects that nobody has observed yet are looked at again; see [`crate::health`].
const RECHECK: Duration = Duration::from_secs(11);
/// How often objects that belong to others are looked at again.
const FOREIGN_RECHECK: Duration = Duration::from_secs(30);
/// The wait for a CRD of the same revision to be served.
const AWAIT_CRD: Duration = Duration::from_millis(700);
/// The most passes in a row without looking up: a bound on what should end by itself.
const MAX_PASSES: usize = 64;

/// One Application and all that is known about it.
pub(super) struct Application {
    pub(super) shared: Arc<Shared>,
    pub(super) owner: Owner,
    pub(super) requests: watch::Receiver<Request>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) store: Store,
    pub(super) inventory: Option<Inventory>,
    pub(super) discovery: Option<Arc<Discovery>>,
    /// The newest commit seen in Git, and its branch or tag.
    pub(super) target: Option<(String, String)>,
    /// The newest revision that could be rendered.
    pub(super) goal: Option<Goal>,
    /// The objects that are being enforced: what drift heals to.
    pub(super) enforced: BTreeMap<ObjectId, Arc<DesiredObject>>,
    pub(super) live: Live,
    pub(super) recorded: BTreeMap<ObjectId, Resource>,
    /// The commit that is applied.
    pub(super) applied: Option<String>,
    pub(super) problems: Vec<Problem>,
    pub(super) summary: Summary,
    /// How many objects the roll-forward changed since a revision was last complete.
    pub(super) changed: usize,
    pub(super) report: Option<Report>,
    pub(super) handled: Handled,
    pub(super) history: Vec<HistoryEntry>,
    /// Policy and identity of the last request that could be used.
    prepared: Option<(Policy, Identity)>,
    /// Why the newest request cannot be used: what was enforced before stays enforced.
    pub(super) blocked: Option<Problem>,
    /// The request that was looked at last.
    seen: Option<Request>,
    source: Option<(SourceKey, Subscription)>,
    /// The poll that a refresh waits for, with its token.
    refreshing: Option<(u64, String)>,
    published: ApplicationStatus,
    published_at: Option<Instant>,
    /// Why the last poll failed, as the last pass saw it.
    pub(super) source_failure: Option<Problem>,
    retries: u32,
    /// What was tried last: a change of it starts the retries anew.
    tried: Option<(String, i64)>,
    timers: Timers,
}

/// What a subscription depends on.
#[derive(Clone, PartialEq)]
struct SourceKey {
    url: String,
    credential: String,
    target: String,
    interval: Duration,
}

#[derive(Default)]
struct Timers {
    retry: Option<Instant>,
    publish: Option<Instant>,
    store: Option<Instant>,
    recheck: Option<Instant>,
}

impl Timers {
    /// The next moment at which something is due; far away when nothing is.
    fn next(&self) -> Instant {
        [self.retry, self.publish, self.store, self.recheck]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_else(|| Instant::now() + Duration::from_secs(86_400))
    }
}

/// Takes `timer` if it is due.
fn due(timer: &mut Option<Instant>) -> bool {
    timer.take_if(|at| *at <= Instant::now()).is_some()
}

impl Application {
    pub(super) fn new(
        shared: Arc<Shared>,
        requests: watch::Receiver<Request>,
        published: ApplicationStatus,
    ) -> Self {
        let owner = requests.borrow().owner(&shared.options.install_id);
        let applied = Some(published.sync.revision.clone()).filter(|commit| !commit.is_empty());
        Self {
            mailbox: shared.watches.register(&owner),
            store: Store::new(shared.options.namespace.as_str(), owner.clone()),
            owner,
            requests,
            inventory: None,
            discovery: None,
            target: None,
            goal: None,
            enforced: BTreeMap::new(),
            live: Live::new(),
            recorded: BTreeMap::new(),
            applied,
            problems: Vec::new(),
            summary: Summary::default(),
            changed: 0,
            report: None,
            handled: published.handled.clone(),
            history: published.history.clone(),
            prepared: None,
            blocked: None,
            seen: None,
            source: None,
            refreshing: None,
            published,
            published_at: None,
            source_failure: None,
            retries: 0,
            tried: None,
            timers: Timers::default(),
            shared,
        }
    }

    /// Runs until the Application is gone or the agent stops acting.
    pub(super) fn run(self) -> BoxFuture<'static, ()> {
        self.live_on().boxed()
    }

    async fn live_on(mut self) {
        let mut secrets = self.shared.credentials.of(&self.request().namespace);
        loop {
            if secrets.borrow().is_none() && secrets.changed().await.is_err() {
                return;
            }
            if self.request().deleting {
                // Nothing of the living is due any more; the deletion sets its own retry.
                self.timers = Timers::default();
                let ended = Deletion::of(&mut self).await;
                if ended {
                    break;
                }
            } else {
                let known = secrets.borrow_and_update().clone().unwrap_or_default();
                self.work(&known).await;
            }
            let at = self.timers.next();
            tokio::select! {
                // The Application is gone; its objects stay, unless its finalizer had them deleted.
                changed = self.requests.changed() => if changed.is_err() {
                    self.forget().await;
                    break;
                },
                // The sender lives as long as the watch of the namespace, which never ends.
                _ = secrets.changed() => {}
                () = polled(self.source.as_mut().map(|(_, subscription)| subscription)) => {}
                () = self.mailbox.filled() => tokio::time::sleep(COALESCE).await,
                () = tokio::time::sleep_until(at) => {}
            }
        }
        self.shared.watches.unregister(&self.owner);
        let state = (
            self.published.sync.status.as_str(),
            self.published.health.status.as_str(),
        );
        self.shared
            .metrics
            .application((self.published_at.is_some()).then_some(state), None);
    }

    /// What the last state of the Application's resource asks for.
    pub(super) fn request(&self) -> Request {
        self.requests.borrow().clone()
    }

    /// What Git said last.
    pub(super) fn source_state(&self) -> SourceState {
        self.source
            .as_ref()
            .map(|(_, s)| s.state.borrow().clone())
            .unwrap_or_default()
    }

    /// A look at everything that may have happened, and passes until nothing is left to do.
    async fn work(&mut self, secrets: &BTreeMap<String, super::credentials::RepositorySecret>) {
        let request = self.requests.borrow_and_update().clone();
        let retry = due(&mut self.timers.retry);
        let recheck = due(&mut self.timers.recheck);
        let store = due(&mut self.timers.store);
        let publish = due(&mut self.timers.publish);
        let changed = self.read_mailbox();
        let is_new = self.seen.as_ref() != Some(&request);
        self.seen = Some(request.clone());
        self.blocked = match self.prepare(&request, secrets) {
            Ok(prepared) => {
                self.prepared = Some(prepared);
                None
            }
            Err(problem) => Some(problem),
        };
        self.ask_refresh(&request);
        let Some((policy, who)) = self.prepared.clone() else {
            self.problems = self.blocked.iter().cloned().collect();
            return self.publish(&request, true).await;
        };
        let polled = self.source_state().polled;
        let refreshed = self.refreshing.take_if(|(ticket, _)| polled >= *ticket);
        if let Some((_, token)) = &refreshed {
            self.handled.refresh = Some(token.clone());
        }
        // Before the first poll there is nothing to say.
        if polled == 0 && self.goal.is_none() {
            return;
        }
        if recheck {
            self.forget_waiting();
        }
        if is_new || changed || retry || recheck || refreshed.is_some() || self.is_stale(&request) {
            self.passes(&policy, &who, &request).await;
        } else if publish {
            self.publish(&request, true).await;
        }
        if store {
            self.save().await;
        }
    }

    /// Passes until nothing is left to do at once; then the status.
    async fn passes(&mut self, policy: &Policy, who: &Identity, request: &Request) {
        let tried = (
            self.source_state()
                .resolved
                .map(|r| r.revision.commit.clone())
                .unwrap_or_default(),
            request.generation,
        );
        if self.tried.as_ref() != Some(&tried) {
            self.retries = 0;
            self.tried = Some(tried);
        }
        // What could not be told before is told with this.
        let mut wrote = std::mem::take(&mut self.summary);
        for _ in 0..MAX_PASSES {
            let now = jiff::Timestamp::now().as_second();
            let end = self.pass(policy, who, now).await;
            wrote.absorb(std::mem::take(&mut self.summary));
            self.read_mailbox();
            if end == End::Settled {
                break;
            }
        }
        self.summary = wrote;
        // A sync that was asked for goes on from wave to wave.
        let waits = self
            .report
            .as_ref()
            .is_some_and(|report| report.wave.is_some());
        if request.sync.is_some() && !waits {
            self.handled.sync.clone_from(&request.sync);
        }
        self.schedule_retry(policy);
        if self
            .inventory
            .as_ref()
            .is_some_and(|i| !i.changed_shards().is_empty())
        {
            self.timers
                .store
                .get_or_insert_with(|| Instant::now() + STORE_AFTER);
        }
        if self
            .worst()
            .is_some_and(|(_, health)| health.status == crate::health::Status::Progressing)
        {
            self.timers
                .recheck
                .get_or_insert_with(|| Instant::now() + RECHECK);
        }
        if self
            .report
            .as_ref()
            .is_some_and(|report| !report.objects.is_empty())
        {
            // Others' objects: nobody tells us when they are let go.
            self.timers
                .recheck
                .get_or_insert_with(|| Instant::now() + FOREIGN_RECHECK);
        }
        let urgent = self.summary != Summary::default();
        self.publish(request, urgent).await;
        if urgent
            && self
                .inventory
                .as_ref()
                .is_some_and(|i| !i.changed_shards().is_empty())
        {
            // UIDs of what was created: after the status, because nobody waits for them.
            self.save().await;
        }
    }

    /// Errors are tried again: passing ones for ever, those that a person must mend up to a limit.
    /// What a poll or an event brings is looked at in any case.
    fn schedule_retry(&mut self, policy: &Policy) {
        let source_failed = self.source_state().failure.is_some();
        let classes = self
            .problems
            .iter()
            .skip(usize::from(source_failed))
            .map(|p| p.class);
        // The most hopeful class decides: one stalled object does not stop the retry of another.
        let class = classes.min_by_key(|class| matches!(class, Class::Stalled));
        match class {
            None => {
                self.retries = 0;
                self.timers.retry = None;
            }
            Some(class) => {
                let wait = policy.backoff.wait(self.retries, class);
                self.timers.retry = wait.map(|wait| Instant::now() + wait);
                self.retries += 1;
            }
        }
        // A kind whose CRD was just applied is served in a moment.
        let awaits = self.goal.as_ref().is_some_and(|goal| {
            goal.desired
                .waiting()
                .any(|o| o.placement == crate::desired::Placement::AwaitsCrd)
        });
        if awaits {
            self.timers.retry = Some(Instant::now() + AWAIT_CRD);
        }
    }

    /// Policy, identity and source of a request.
    fn prepare(
        &mut self,
        request: &Request,
        secrets: &BTreeMap<String, super::credentials::RepositorySecret>,
    ) -> Result<(Policy, Identity), Problem> {
        let invalid = |reason: &str, message: String| Problem {
            reason: reason.into(),
            message,
            class: Class::Stalled,
        };
        let spec = request
            .spec
            .clone()
            .map_err(|e| invalid("SpecInvalid", format!("spec: {e}")))?;
        let policy = Policy::from_spec(&spec).map_err(|e| Problem::of(&e))?;
        let who = request
            .identity(&self.shared.options.namespace)
            .map_err(|message| invalid("IdentityRequired", message))?;
        let url = RemoteUrl::parse(&spec.source.repo_url, &self.shared.options.allow_schemes)
            .map_err(|e| Problem::of(&e))?;
        let credential = credential(secrets, &spec.source.repo_url).map_err(|e| Problem::of(&e))?;
        let target = spec.source.target_revision.as_deref().unwrap_or("HEAD");
        let key = SourceKey {
            url: spec.source.repo_url.clone(),
            credential: credential.fingerprint(),
            target: target.into(),
            interval: policy.interval,
        };
        if self.source.as_ref().is_none_or(|(old, _)| *old != key) {
            let target = TargetRevision::parse(target).map_err(|e| Problem::of(&e))?;
            let sources = &self.shared.sources;
            let subscription = sources.subscribe(&url, &credential, target, policy.interval);
            self.source = Some((key, subscription));
            self.refreshing = None;
        }
        Ok((policy, who))
    }

    /// Polls Git for a refresh that was not asked for before.
    fn ask_refresh(&mut self, request: &Request) {
        let Some(token) = &request.refresh else {
            return;
        };
        let is_pending = self
            .refreshing
            .as_ref()
            .is_some_and(|(_, pending)| pending == token);
        if self.handled.refresh.as_ref() == Some(token) || is_pending {
            return;
        }
        if let Some((_, subscription)) = &self.source {
            self.refreshing = Some((subscription.poke(), token.clone()));
        }
    }

    /// True when the newest commit, or whether Git can be read, is not what the status says.
    fn is_stale(&self, request: &Request) -> bool {
        let state = self.source_state();
        let commit = state.resolved.as_ref().map(|r| r.revision.commit.as_str());
        commit != self.target.as_ref().map(|(commit, _)| commit.as_str())
            || state.failure != self.source_failure
            || self.published.observed_generation != Some(request.generation)
    }

    /// Whether a newer revision came while `commit` is being applied.
    pub(super) fn preemption(&self, commit: String) -> impl Fn() -> bool + Sync + use<> {
        let state = self
            .source
            .as_ref()
            .map(|(_, subscription)| subscription.state.clone());
        move || {
            state.as_ref().is_some_and(|state| {
                let resolved = &state.borrow().resolved;
                resolved
                    .as_ref()
                    .is_some_and(|r| r.revision.commit != commit)
            })
        }
    }

    /// Takes in what the watches told. Returns true when something is not as it was.
    fn read_mailbox(&mut self) -> bool {
        let mut changed = false;
        for (id, notice) in self.mailbox.take() {
            let Some(known) = self.live.get(&id) else {
                // Not looked for yet, or not ours: the next look decides.
                continue;
            };
            match notice {
                Notice::Lost => {
                    self.live.remove(&id);
                    changed = true;
                }
                Notice::Seen(mut seen) => {
                    if let Sighting::Present(old) = known {
                        let same = old.uid == seen.uid;
                        if same && seen.version <= old.version {
                            continue;
                        }
                        let untouched =
                            seen.fingerprint.is_some() && seen.fingerprint == old.fingerprint;
                        seen.holds = old.holds.filter(|_| same && untouched);
                        changed |= seen.holds != old.holds
                            || seen.health != old.health
                            || seen.terminating != old.terminating
                            || seen.finished != old.finished;
                    } else {
                        changed = true;
                    }
                    self.live.insert(id, Sighting::Present(seen));
                }
            }
        }
        changed
    }

    /// Objects whose health depends on time, and those that wait for others, are read again.
    fn forget_waiting(&mut self) {
        let report = self.report.clone().unwrap_or_default();
        self.live.retain(|id, sighting| match sighting {
            _ if report.objects.contains_key(id) => false,
            Sighting::Present(seen) => seen.health.reason != crate::health::AWAITS_OBSERVATION,
            _ => true,
        });
    }

    /// Deletes the inventory of an Application that is gone.
    async fn forget(&mut self) {
        if let Err(error) = self.store.delete(&*self.shared.cluster).await {
            tracing::warn!(application = self.owner.name, %error, "inventory of a deleted Application was left");
        }
    }

    /// Looks again in a moment: something is on its way out.
    pub(super) fn retry_soon(&mut self) {
        self.timers.retry = Some(Instant::now() + Duration::from_millis(500));
    }

    /// Puts the revision that was just applied into the history.
    pub(super) fn remember(&mut self, changed: usize) {
        let Some(resolved) = self.source_state().resolved else {
            return;
        };
        self.history.insert(
            0,
            HistoryEntry {
                revision: resolved.revision.commit.clone(),
                deployed_at: format!("{:.0}", jiff::Timestamp::now()),
                author: resolved.details.author.clone(),
                subject: resolved.details.subject.clone(),
                changed: i64::try_from(changed).unwrap_or(i64::MAX),
            },
        );
        let limit = self
            .request()
            .spec
            .ok()
            .and_then(|spec| Policy::from_spec(&spec).ok())
            .map_or(10, |policy| policy.history_limit);
        self.history.truncate(limit);
    }

    /// Stores what changed in the inventory.
    pub(super) async fn save(&mut self) {
        let Some(inventory) = &mut self.inventory else {
            return;
        };
        if let Err(error) = self.store.save(&*self.shared.cluster, inventory).await {
            tracing::warn!(application = self.owner.name, %error, "inventory was not stored; it is tried again");
            self.timers.store = Some(Instant::now() + STORE_AFTER);
        }
    }

    /// Writes the status if it changed, and the events of what happened.
    pub(super) async fn publish(&mut self, request: &Request, urgent: bool) {
        let worst = self.worst();
        let resources: Vec<Resource> = self.recorded.values().cloned().collect();
        let who = request
            .identity(&self.shared.options.namespace)
            .unwrap_or(Identity::Agent);
        let blind = self.shared.watches.blind(&who, &resources);
        let automated = |spec: &crate::api::ApplicationSpec| {
            Policy::from_spec(spec).is_ok_and(|policy| policy.automated)
        };
        let view = View {
            generation: request.generation,
            target: self
                .target
                .as_ref()
                .map(|(commit, name)| (commit.as_str(), name.as_str())),
            applied: self.applied.as_deref(),
            report: self.report.as_ref(),
            problems: &self.problems,
            worst: worst.as_ref().map(|(id, health)| (id.clone(), health)),
            objects: self.inventory.as_ref().map_or(0, Inventory::len),
            manual: !request.spec.as_ref().is_ok_and(automated),
            suspended: request.suspend.as_deref(),
            blind: blind.as_deref(),
            handled: self.handled.clone(),
            history: self.history.clone(),
        };
        let status = derive(&view, &self.published, jiff::Timestamp::now());
        if status == self.published && self.published_at.is_some() {
            self.timers.publish = None;
            return;
        }
        let too_soon = self
            .published_at
            .is_some_and(|at| at.elapsed() < STATUS_SPACING);
        if too_soon && !urgent {
            self.timers
                .publish
                .get_or_insert_with(|| Instant::now() + STATUS_SPACING);
            return;
        }
        let cluster = &*self.shared.cluster;
        if let Err(error) = publish(cluster, request, &self.published, &status).await {
            tracing::warn!(application = request.name, %error, "status was not written; it is tried again");
            self.timers.publish = Some(Instant::now() + 2 * STATUS_SPACING);
            return;
        }
        self.timers.publish = None;
        for event in events(&self.published, &status, &self.summary) {
            tracing::info!(
                application = request.name,
                namespace = request.namespace,
                reason = event.reason,
                "{}",
                event.message
            );
            self.shared.events.write(cluster, request, &event).await;
        }
        let state = |s: &ApplicationStatus| (s.sync.status.clone(), s.health.status.clone());
        let (old, new) = (state(&self.published), state(&status));
        let before = self
            .published_at
            .is_some()
            .then_some((old.0.as_str(), old.1.as_str()));
        self.shared
            .metrics
            .application(before, Some((&new.0, &new.1)));
        self.summary = Summary::default();
        self.published = status;
        self.published_at = Some(Instant::now());
    }
}

/// Waits for the next poll to end; for ever without a source.
async fn polled(subscription: Option<&mut Subscription>) {
    if let Some(subscription) = subscription
        && subscription.state.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}
