//! One Application: a task that sleeps until something happens, and then makes a pass.
//!
//! Nothing else holds its state, and it holds nothing of others: an Application that waits, fails
//! or panics costs the others nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Shared;
use super::credentials::RepositorySecret;
use super::deletion::Deletion;
use super::dependencies::stirred;
use super::goal::{Broken, Goal, Newest};
use super::last_good::LastGood;
use super::mailbox::Mailbox;
use super::notes::Notes;
use super::pods::PodWatches;
use super::request::Request;
use super::rollback::{Court, Good};
use super::scale::{AutoscalerWatches, Scaled};
use super::sources::{SourceState, Subscription};
use super::store::Store;
use super::sync::End;
use super::timers::{Timers, due};
use super::write_back::WritingBack;
use crate::api::{ApplicationStatus, Handled, HistoryEntry, Policy, RollbackStatus};
use crate::cluster::{Discovery, Identity, Resource};
use crate::desired::DesiredObject;
use crate::diff::Drift;
use crate::health::Patience;
use crate::inventory::{Inventory, Owner};
use crate::live::Live;
use crate::object::ObjectId;
use crate::plan::dependencies::{Blocked, Key, Standings};
use crate::plan::fight::Fights;
use crate::plan::hooks::Last;
use crate::plan::{Immutable, Report};
use crate::status::{Heals, Problem, Summary};

/// How long events are collected before a pass looks at them: a burst becomes one pass, and a heal
/// still begins at once.
const COALESCE: Duration = Duration::from_millis(5);
/// The shortest time between two status writes that no pass with writes asked for.
pub(super) const STATUS_SPACING: Duration = Duration::from_secs(1);
/// How long the first poll of Git may take before healing begins without it.
const FIRST_POLL: Duration = Duration::from_secs(3);
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
    pub(super) newest: Option<Newest>,
    /// What the cluster should come to: that, or what was gone back to.
    pub(super) goal: Option<Goal>,
    /// What is remembered of revisions that had to prove themselves.
    pub(super) rollback: RollbackStatus,
    /// What is gone back to.
    pub(super) good: Option<Good>,
    /// What is known of the revision on trial.
    pub(super) court: Court,
    /// How far a rollback is written back to Git.
    pub(super) write_back: WritingBack,
    /// How far the full record is written.
    pub(super) notes: Notes,
    /// Nothing of the newest revision is written in this pass.
    pub(super) barred: bool,
    /// The digest of the last revision of which the API server would take every object.
    pub(super) preflighted: Option<String>,
    /// The commit that was gone back from, when the one that takes its place came.
    pub(super) reverted: Option<String>,
    /// The newest revision, if it is one that cannot be rendered.
    pub(super) broken: Option<Broken>,
    /// The objects that are being enforced: what drift heals to.
    pub(super) enforced: BTreeMap<ObjectId, Arc<DesiredObject>>,
    /// The same, where a restart does not lose it.
    pub(super) last_good: LastGood,
    pub(super) live: Live,
    /// What finished objects said before they went.
    pub(super) last: Last,
    /// Jobs that were deleted before their end.
    pub(super) interrupted: BTreeSet<ObjectId>,
    /// What was Degraded already when the revision with this digest came.
    pub(super) sick_before: Option<(String, BTreeSet<ObjectId>)>,
    pub(super) recorded: BTreeMap<ObjectId, Resource>,
    /// Workloads whose replicas an autoscaler owns that is gone: they are Git's again.
    pub(super) unscaled: BTreeSet<ObjectId>,
    /// Workloads whose replicas an autoscaler owns, or one that is gone.
    pub(super) scaled: BTreeMap<ObjectId, Scaled>,
    pub(super) autoscalers: AutoscalerWatches,
    /// The digest of the revision of which something is Degraded, and since when.
    pub(super) degraded: Option<(String, i64)>,
    /// Objects that do not hold what is enforced.
    pub(super) drifted: BTreeSet<ObjectId>,
    /// What drifted in those that are left so, at which resourceVersion.
    pub(super) drift: BTreeMap<ObjectId, (u64, Vec<Drift>)>,
    /// Heals that were not told yet.
    pub(super) heals: Heals,
    /// Who sets again what was put back.
    pub(super) fights: Fights,
    /// What fights are timed from.
    pub(super) born: Instant,
    /// The commit that is applied.
    pub(super) applied: Option<String>,
    /// The digest of its objects; unknown after a start until a revision is complete.
    pub(super) applied_digest: Option<String>,
    /// Changes that need their object to be created anew, as the API server said.
    pub(super) immutable: Immutable,
    pub(super) problems: Vec<Problem>,
    pub(super) summary: Summary,
    /// How many objects the roll-forward changed since a revision was last complete.
    pub(super) changed: usize,
    pub(super) report: Option<Report>,
    /// What all Applications say, for those that depend on others.
    pub(super) standings: watch::Receiver<Standings>,
    /// The Application that this one waits for.
    pub(super) blocked_by: Option<Blocked>,
    pub(super) handled: Handled,
    pub(super) history: Vec<HistoryEntry>,
    /// Policy and identity of the last request that could be used.
    pub(super) prepared: Option<(Policy, Identity)>,
    /// Why the newest request cannot be used: what was enforced before stays enforced.
    pub(super) blocked: Option<Problem>,
    /// The request that was looked at last.
    pub(super) seen: Option<Request>,
    pub(super) source: Option<(SourceKey, Subscription)>,
    /// The poll that a refresh waits for, with its token.
    pub(super) refreshing: Option<(u64, String)>,
    pub(super) published: ApplicationStatus,
    pub(super) published_at: Option<Instant>,
    /// Why the last poll failed, as the last pass saw it.
    pub(super) source_failure: Option<Problem>,
    pub(super) retries: u32,
    /// Nothing is tried again by itself: the sync failed.
    pub(super) gave_up: bool,
    /// What was tried last: a change of it starts the retries anew.
    pub(super) tried: Option<(String, i64)>,
    /// The pods of workloads that are on their way, and since when those are.
    pub(super) pods: PodWatches,
    pub(super) patience: Patience,
    pub(super) timers: Timers,
}

/// What a subscription depends on.
#[derive(Clone, PartialEq)]
pub(super) struct SourceKey {
    pub(super) url: String,
    pub(super) credential: String,
    pub(super) target: String,
    pub(super) interval: Duration,
}

impl Application {
    pub(super) fn new(
        shared: Arc<Shared>,
        requests: watch::Receiver<Request>,
        published: ApplicationStatus,
    ) -> Self {
        let owner = requests.borrow().owner(&shared.options.install_id);
        let name = owner.application();
        let applied = Some(published.sync.revision.clone()).filter(|commit| !commit.is_empty());
        Self {
            mailbox: shared.watches.register(&owner),
            store: Store::new(shared.options.namespace.as_str(), owner.clone()),
            last_good: LastGood::new(&shared.options.namespace, &owner),
            owner,
            requests,
            inventory: None,
            discovery: None,
            target: None,
            newest: None,
            goal: None,
            rollback: published.rollback.clone(),
            good: None,
            court: Court::of(&published),
            write_back: WritingBack::default(),
            notes: Notes::of(&published, &name),
            barred: false,
            preflighted: None,
            reverted: None,
            broken: None,
            enforced: BTreeMap::new(),
            live: Live::new(),
            last: Last::new(),
            interrupted: BTreeSet::new(),
            sick_before: None,
            recorded: BTreeMap::new(),
            unscaled: BTreeSet::new(),
            scaled: BTreeMap::new(),
            autoscalers: AutoscalerWatches::default(),
            degraded: None,
            drifted: BTreeSet::new(),
            drift: BTreeMap::new(),
            heals: Heals::default(),
            fights: Fights::default(),
            born: Instant::now(),
            applied,
            applied_digest: None,
            immutable: Immutable::none(),
            problems: Vec::new(),
            summary: Summary::default(),
            changed: 0,
            report: None,
            standings: shared.board.subscribe(),
            blocked_by: None,
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
            gave_up: false,
            tried: None,
            timers: Timers {
                first: Some(Instant::now() + FIRST_POLL),
                ..Timers::default()
            },
            pods: PodWatches::default(),
            patience: Patience::default(),
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
            if self.request().gone {
                self.write_back.withdraw();
                self.forget().await;
                self.notes
                    .abandon(&self.owner.name, "its Application is deleted");
                break;
            }
            if secrets.borrow().is_none() && secrets.changed().await.is_err() {
                return;
            }
            if self.request().deleting {
                // Nothing of the living is due any more; the deletion sets its own retry.
                self.timers = Timers::default();
                self.pods = PodWatches::default();
                self.autoscalers = AutoscalerWatches::default();
                self.write_back.withdraw();
                let ended = Deletion::of(&mut self).await;
                if ended {
                    self.notes
                        .abandon(&self.owner.name, "its Application is deleted");
                    break;
                }
            } else {
                let known = secrets.borrow_and_update().clone().unwrap_or_default();
                self.work(&known).await;
            }
            let at = self.timers.next();
            let told = self.last_good.problem.clone();
            let own = self.key();
            tokio::select! {
                changed = self.requests.changed() => if changed.is_err() {
                    break;
                },
                // The sender lives as long as the watch of the namespace, which never ends.
                _ = secrets.changed() => {}
                () = stirred(&mut self.standings, &own) => {}
                () = polled(self.source.as_mut().map(|(_, subscription)| subscription)) => {}
                () = self.last_good.saved() => self.note_saved(told),
                ended = self.write_back.ended() => {
                    self.note_written(ended, jiff::Timestamp::now().as_second());
                }
                ended = self.notes.ended() => self.note_noted(ended),
                () = self.mailbox.filled() => tokio::time::sleep(COALESCE).await,
                () = tokio::time::sleep_until(at) => {}
            }
        }
        self.shared.watches.unregister(&self.mailbox);
        let state = (
            self.published.sync.status.as_str(),
            self.published.health.status.as_str(),
        );
        self.shared
            .metrics
            .application((self.published_at.is_some()).then_some(state), None);
    }

    /// Its namespace and name.
    pub(super) fn key(&self) -> Key {
        (self.owner.namespace.clone(), self.owner.name.clone())
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
    async fn work(&mut self, secrets: &BTreeMap<String, RepositorySecret>) {
        let request = self.requests.borrow_and_update().clone();
        let retry = due(&mut self.timers.retry);
        let recheck = due(&mut self.timers.recheck);
        let store = due(&mut self.timers.store);
        let publish = due(&mut self.timers.publish);
        let keep = due(&mut self.timers.last_good);
        let is_late = self.timers.first.is_none() || due(&mut self.timers.first);
        let audit = due(&mut self.timers.audit);
        let turned = due(&mut self.timers.turn) && self.weigh();
        let ask_pods = due(&mut self.timers.pods);
        let fight = due(&mut self.timers.fight);
        let trial = due(&mut self.timers.trial) | due(&mut self.timers.resume);
        // Taken even where this turn ends early, or nobody would sleep again.
        due(&mut self.timers.write_back);
        due(&mut self.timers.notes);
        if due(&mut self.timers.heals) {
            self.tell_heals(&request).await;
        }
        if audit || self.timers.audit.is_none() {
            self.timers.audit = Some(Instant::now() + self.audit_interval());
        }
        let changed = self.read_mailbox() | self.check_dependencies();
        let before = self.seen.replace(request.clone());
        self.blocked = match self.prepare(&request, secrets) {
            Ok(prepared) => {
                self.prepared = Some(prepared);
                None
            }
            Err(problem) => Some(problem),
        };
        self.ask_refresh(&request);
        self.take_retry();
        self.wait_for_resume(&request);
        // Before the passes, which take their time.
        self.reconsider(jiff::Timestamp::now().as_second());
        if self.blocked.is_some() && request.refresh.is_some() {
            // There is nothing to poll: whoever waits for the echo is told why in the status.
            self.handled.refresh.clone_from(&request.refresh);
        }
        let Some((policy, who)) = self.prepared.clone() else {
            self.problems = self.blocked.iter().cloned().collect();
            return self.publish(&request, true).await;
        };
        // A refresh alone is worked on when its poll has ended.
        let is_asked = self.blocked.is_none() && self.refreshing.is_some();
        let waits = |before: &Request| is_asked && request.only_refreshes(before);
        let is_new = before.is_none_or(|before| before != request && !waits(&before));
        let polled = self.source_state().polled;
        let refreshed = self.refreshing.take_if(|(ticket, _)| polled >= *ticket);
        if let Some((_, token)) = &refreshed {
            self.handled.refresh = Some(token.clone());
        }
        // Before the first poll there is nothing to say; but healing does not wait for a Git server
        // that hangs.
        if polled == 0 && self.goal.is_none() {
            if is_late {
                let told = std::mem::take(&mut self.summary);
                self.pass(&policy, &who, jiff::Timestamp::now().as_second())
                    .await;
                self.summary.absorb(told);
                let inventory = self.inventory.as_ref();
                if inventory.is_some_and(|i| !i.changed_shards().is_empty()) {
                    self.save().await;
                }
            }
            return;
        }
        self.timers.first = None;
        if recheck {
            self.forget_waiting();
            self.rediscover().await;
        }
        if audit {
            // Whatever no watch told: every object is read again.
            self.live.clear();
            self.scaled.clear();
        }
        if is_new
            || audit
            || changed
            || turned
            || retry
            || recheck
            || fight
            || trial
            || refreshed.is_some()
            || self.is_stale(&request)
        {
            self.passes(&policy, &who, &request, publish).await;
        } else if publish {
            self.publish(&request, true).await;
        }
        if ask_pods {
            self.watch_pods(&who);
        }
        if store {
            self.save().await;
        }
        if keep {
            self.keep_last_good();
        }
        self.write_back(&policy, jiff::Timestamp::now().as_second());
        self.write_notes(&policy);
    }

    /// Passes until nothing is left to do at once; then the status, at once where it is its turn.
    async fn passes(
        &mut self,
        policy: &Policy,
        who: &Identity,
        request: &Request,
        is_its_turn: bool,
    ) {
        let tried = (
            self.source_state()
                .resolved
                .map(|r| r.revision.commit.clone())
                .unwrap_or_default(),
            request.generation,
        );
        if self.tried.as_ref() != Some(&tried) {
            self.retries = 0;
            self.gave_up = false;
            self.tried = Some(tried);
        }
        // What could not be told before is told with this.
        let mut wrote = std::mem::take(&mut self.summary);
        let mut end = End::Again;
        for _ in 0..MAX_PASSES {
            let now = jiff::Timestamp::now().as_second();
            end = self.pass(policy, who, now).await;
            wrote.absorb(std::mem::take(&mut self.summary));
            // What came meanwhile is looked at before anybody sleeps.
            let changed = self.read_mailbox();
            if end != End::Again && !changed {
                break;
            }
        }
        self.summary = wrote;
        self.watch_pods(who);
        // A sync that was asked for goes on from wave to wave, and from deletion to deletion.
        let waits = self.report.as_ref().is_some_and(|report| {
            let is_blocked = report.dependency.is_some() || report.removal.is_some();
            report.wave.is_some() || report.hook.is_some() || report.due.is_some() || is_blocked
        });
        // Nor is it handled where no plan was carried out for want of the records.
        if self.is_asked() && !waits && end != End::Undecided {
            self.handled.sync.clone_from(&request.sync);
        }
        self.schedule_retry(policy);
        self.schedule_rechecks();
        let wrote = self.summary != Summary::default();
        // Who asked for something waits for the echo.
        let is_awaited = self.handled != self.published.handled;
        let urgent = wrote || is_awaited || is_its_turn;
        self.publish(request, urgent).await;
        self.tell_heals(request).await;
        if wrote
            && self
                .inventory
                .as_ref()
                .is_some_and(|i| !i.changed_shards().is_empty())
        {
            // UIDs of what was created: after the status, because nobody waits for them.
            self.save().await;
        }
        self.keep_last_good();
    }

    /// Objects that wait for others are read again.
    fn forget_waiting(&mut self) {
        if let Some(report) = &self.report {
            self.live.retain(|id, _| !report.objects.contains_key(id));
        }
    }

    /// Whether something is recorded of a kind that is not served, or was not when that was asked last.
    pub(super) fn lacks_kinds(&self) -> bool {
        let recorded = self.inventory.iter().flat_map(|inventory| inventory.iter());
        { recorded }.any(|(id, _)| !self.recorded.contains_key(id))
    }

    /// Kinds that were not served when they were looked for may be served by now: no watch tells.
    async fn rediscover(&mut self) {
        if self.lacks_kinds()
            && let Ok(discovery) = self.discovery(true).await
        {
            self.discovery = Some(discovery);
        }
    }

    /// Deletes what is stored of an Application that is gone.
    async fn forget(&mut self) {
        if let Err(error) = self.store.delete(&*self.shared.cluster).await {
            tracing::warn!(application = self.owner.name, %error, "inventory of a deleted Application was left");
        }
        if let Err(error) = self.last_good.delete(&*self.shared.cluster).await {
            tracing::warn!(application = self.owner.name, %error, "last-good of a deleted Application was left");
        }
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
