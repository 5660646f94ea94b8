//! One pass, Git → cluster: about ten calls in this order. What each finds goes into the next; what
//! goes wrong becomes a [`Problem`], and the last good state stays enforced.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::application::Application;
use super::sources::Resolved;
use crate::api::{Adopt, Policy};
use crate::apply::{Context, Effect, Outcome, apply, ensure_namespace};
use crate::cluster::{Discovery, Identity, Lookup, Resource, Target};
use crate::desired::{Desired, DesiredObject, Placement, build};
use crate::diff::{Change, Diff, diff};
use crate::error::{Class, Fault as _};
use crate::health::{self, Health};
use crate::inventory::{Claim, Entry, State};
use crate::live::{Observed, Sighting, Wanted, observe, snapshot};
use crate::object::{Gvk, ObjectId};
use crate::plan::{Action, Gate, Plan, heal, plan};
use crate::render;
use crate::status::{Problem, Summary};

/// An object that was there before towline's intention is not ours. Clocks of the agent and the
/// API server may differ by this much, in seconds.
const CLOCK_SLACK: i64 = 60;

/// How often a kind that is not served is looked for: somebody may install its CRD at any time.
const KIND_RECHECK: Duration = Duration::from_secs(10);

/// The revision that the cluster should come to.
pub(super) struct Goal {
    /// The commit.
    pub(super) commit: String,
    /// Its objects.
    pub(super) desired: Arc<Desired>,
    /// What it was made from; the same again costs nothing.
    key: GoalKey,
}

/// Everything a render depends on besides the tree.
#[derive(Clone, PartialEq)]
struct GoalKey {
    commit: String,
    path: String,
    directory: Option<crate::api::Directory>,
    namespace: String,
}

/// How a pass ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing more to do until something happens.
    Settled,
    /// More can be done at once: a wave is done, or a newer revision came.
    Again,
}

impl Application {
    /// One pass. `now` is in seconds since the epoch.
    pub(super) async fn pass(&mut self, policy: &Policy, who: &Identity, now: i64) -> End {
        self.problems = self.blocked.iter().cloned().collect();
        self.summary = Summary::default();
        if let Err(problem) = self.load_inventory().await {
            self.problems.push(problem);
            return End::Settled;
        }
        self.goal(policy).await;
        self.look(who, now).await;
        self.recognise();
        let Some(desired) = self.goal.as_ref().map(|goal| Arc::clone(&goal.desired)) else {
            return End::Settled;
        };
        let plan = self.decide(&desired, policy);
        let before = tokio::time::Instant::now();
        let complete = match self.write_ahead(&plan, &desired, policy, who, now).await {
            Ok(()) => self.carry_out(&plan, &desired, who, now).await,
            Err(problem) => {
                self.problems.push(problem);
                true
            }
        };
        if !plan.steps.is_empty() {
            let first = self.problems.first().map(|problem| problem.reason.as_str());
            let seconds = before.elapsed().as_secs_f64();
            self.shared.metrics.sync(first.map_or(Ok(()), Err), seconds);
        }
        self.changed += self.summary.rolled_forward();
        self.watch(&desired, who);
        let next = self.decide(&desired, policy);
        self.accept(&next, complete);
        let again = !complete || (self.problems.is_empty() && !next.steps.is_empty());
        self.report = Some(next.report);
        if again { End::Again } else { End::Settled }
    }

    /// Reads the inventory once.
    async fn load_inventory(&mut self) -> Result<(), Problem> {
        if self.inventory.is_none() {
            let loaded = self.store.load(&*self.shared.cluster).await;
            self.inventory = Some(loaded.map_err(|e| Problem::of(&e))?);
        }
        Ok(())
    }

    /// Renders the newest commit, unless that is what is there already.
    async fn goal(&mut self, policy: &Policy) {
        let state = self.source_state();
        self.source_failure.clone_from(&state.failure);
        if let Some(failure) = &state.failure {
            self.problems.push(failure.clone());
        }
        let Some(resolved) = state.resolved else {
            return;
        };
        self.target = Some((
            resolved.revision.commit.clone(),
            resolved.revision.name.clone(),
        ));
        let Ok(spec) = self.request().spec else {
            return;
        };
        let key = GoalKey {
            commit: resolved.revision.commit.clone(),
            path: spec.source.path.clone().unwrap_or_default(),
            directory: spec.source.directory.clone(),
            namespace: policy.namespace.clone(),
        };
        // Kinds that were missing may be served now.
        let waits = self
            .goal
            .as_ref()
            .is_some_and(|goal| goal.desired.waiting().next().is_some());
        if !waits && self.goal.as_ref().is_some_and(|goal| goal.key == key) {
            return;
        }
        match self.render(&resolved, &key).await {
            Ok(desired) => {
                let commit = key.commit.clone();
                self.goal = Some(Goal {
                    commit,
                    desired: Arc::new(desired),
                    key,
                });
            }
            Err(problem) => self.problems.push(problem),
        }
        self.report_waiting();
    }

    /// Tree → rendered → desired, off the async threads: rendering is pure computation.
    async fn render(
        &mut self,
        resolved: &Arc<Resolved>,
        key: &GoalKey,
    ) -> Result<Desired, Problem> {
        let resolved = Arc::clone(resolved);
        let options = super::render_options(key.directory.as_ref());
        let path = key.path.trim_matches('/').to_owned();
        let rendered =
            tokio::task::spawn_blocking(move || render::render(&resolved.tree, &path, &options));
        let rendered = match rendered.await {
            Ok(Ok(rendered)) => rendered,
            Ok(Err(error)) => {
                self.shared.metrics.render(Err(error.reason()));
                return Err(Problem::of(&error));
            }
            // One Application's panic never takes the agent down.
            Err(panic) => {
                self.shared.metrics.render(Err("RenderPanicked"));
                return Err(Problem {
                    reason: "RenderPanicked".into(),
                    message: format!("the renderer broke down: {panic}; please report it"),
                    class: Class::Stalled,
                });
            }
        };
        self.shared.metrics.render(Ok(()));
        let mut discovery = self.discovery(false).await?;
        let objects = &rendered.objects;
        let build_with =
            |discovery: &Discovery| build(objects, discovery, &self.owner, &key.namespace);
        let mut desired = build_with(&discovery);
        if desired
            .as_ref()
            .is_ok_and(|desired| desired.waiting().next().is_some())
        {
            discovery = self.discovery(true).await?;
            desired = build_with(&discovery);
        }
        self.discovery = Some(discovery);
        desired.map_err(|mistakes| Problem {
            reason: "ManifestInvalid".into(),
            message: mistakes.to_string().replace('\n', "; "),
            class: Class::Stalled,
        })
    }

    async fn discovery(&self, missing: bool) -> Result<Arc<Discovery>, Problem> {
        let found = self.shared.kinds.get(&*self.shared.cluster, missing).await;
        found.map_err(|e| Problem::of(&e))
    }

    /// Kinds that are not served, as a problem a person can act on. CRDs of the same revision are
    /// only waited for.
    fn report_waiting(&mut self) {
        let Some(goal) = &self.goal else { return };
        let missing: Vec<&DesiredObject> = goal
            .desired
            .waiting()
            .filter(|object| object.placement != Placement::AwaitsCrd)
            .collect();
        let Some(first) = missing.first() else { return };
        let (reason, class) = match first.placement {
            Placement::Unknown => ("KindUnknown", Class::Retry),
            _ => ("KindNotServed", Class::Wait(KIND_RECHECK)),
        };
        let more = match missing.len() {
            1 => String::new(),
            n => format!(" and {} more objects", n - 1),
        };
        let remedy = crate::cluster::remedy("KindNotServed").unwrap_or_default();
        self.problems.push(Problem {
            reason: reason.into(),
            message: format!(
                "{}: {}: kind {} is not served by the API server{more}; the other objects are applied and nothing is pruned ({remedy})",
                first.place, first.id, first.gvk
            ),
            class,
        });
    }

    /// Reads what is desired or recorded and not known yet, or could not be read before.
    async fn look(&mut self, who: &Identity, now: i64) {
        let Some(inventory) = &self.inventory else {
            return;
        };
        if self.discovery.is_none() {
            match self.discovery(false).await {
                Ok(discovery) => self.discovery = Some(discovery),
                Err(problem) => return self.problems.push(problem),
            }
        }
        let Some(discovery) = &self.discovery else {
            return;
        };
        self.recorded = recorded(inventory.iter(), discovery);
        let goal = self
            .goal
            .as_ref()
            .map(|goal| Arc::clone(&goal.desired))
            .unwrap_or_default();
        let mut wanted: BTreeMap<ObjectId, Wanted<'_>> = BTreeMap::new();
        let known = |id: &ObjectId| {
            self.live
                .get(id)
                .is_some_and(|s| !matches!(s, Sighting::Unknown(_)))
        };
        for (id, object) in &goal.objects {
            if let (false, Some(resource)) = (known(id), object.resource()) {
                let target = Target::new(resource, id.namespace.as_str(), id.name.as_str());
                let entry = inventory.get(id);
                wanted.insert(
                    id.clone(),
                    Wanted {
                        target,
                        desired: Some(object),
                        entry,
                    },
                );
            }
        }
        for (id, entry) in inventory.iter() {
            if known(id) || wanted.contains_key(id) {
                continue;
            }
            if let Some(resource) = self.recorded.get(id) {
                let target = Target::new(resource, id.namespace.as_str(), id.name.as_str());
                wanted.insert(
                    id.clone(),
                    Wanted {
                        target,
                        desired: None,
                        entry: Some(entry),
                    },
                );
            }
        }
        if wanted.is_empty() {
            return;
        }
        let wanted = wanted.into_values().collect();
        let seen = snapshot(&*self.shared.cluster, who, &self.owner, wanted, now).await;
        // Many objects fail to be read for one reason: it is told once.
        let first = seen.iter().find_map(|(id, sighting)| match sighting {
            Sighting::Unknown(why) => Some((id.clone(), why.clone())),
            _ => None,
        });
        if let Some((id, why)) = first {
            let forbidden = why.contains("forbidden");
            let reason = if forbidden { "Forbidden" } else { "ReadFailed" };
            let remedy = crate::cluster::remedy(reason)
                .map(|r| format!(" ({r})"))
                .unwrap_or_default();
            let place = self.place(&id);
            self.problems.push(Problem {
                reason: reason.into(),
                message: format!("{place}{why}{remedy}"),
                class: if forbidden {
                    Class::Stalled
                } else {
                    Class::Retry
                },
            });
        }
        self.live.extend(seen);
    }

    /// After a start: objects whose recorded content is the declared one are the ones enforced, so
    /// that a difference in the cluster is known for drift. Intentions are resolved.
    fn recognise(&mut self) {
        let (Some(inventory), Some(goal)) = (&mut self.inventory, &self.goal) else {
            return;
        };
        for (id, object) in &goal.desired.objects {
            let recorded = inventory
                .get(id)
                .is_some_and(|entry| entry.hash == object.hash);
            if recorded && !self.enforced.contains_key(id) {
                self.enforced.insert(id.clone(), object.clone());
            }
        }
        let resolved: Vec<(ObjectId, String)> = inventory
            .iter()
            .filter(|(_, entry)| entry.uid().is_none())
            .filter_map(|(id, entry)| {
                let seen = self.live.get(id)?.present()?;
                crate::diff::is_ours(seen, Some(entry)).then(|| (id.clone(), seen.uid.clone()))
            })
            .collect();
        for (id, uid) in resolved {
            inventory.update(&id, |entry| entry.state = State::Owned { uid });
        }
        let finished: Vec<ObjectId> = inventory
            .iter()
            .filter(|(id, entry)| {
                let seen = self.live.get(*id).and_then(Sighting::present);
                !entry.done
                    && seen.is_some_and(|seen| seen.finished && seen.holds == Some(entry.hash))
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in finished {
            inventory.update(&id, |entry| entry.done = true);
        }
    }

    /// Diff and plan of the newest revision, and healing to what is enforced.
    fn decide(&mut self, desired: &Arc<Desired>, policy: &Policy) -> Plan {
        let inventory = self.inventory.get_or_insert_default();
        let request = self.requests.borrow().clone();
        let asked = request.sync.is_some() && request.sync != self.handled.sync;
        // A revision that was not rendered is not rolled forward to; what is there is healed.
        let is_current = self.target.as_ref().map(|(commit, _)| commit)
            == self.goal.as_ref().map(|goal| &goal.commit);
        let gate = Gate {
            update: (policy.automated || asked)
                && request.suspend.is_none()
                && is_current
                && self.blocked.is_none(),
            heal: policy.automated && policy.self_heal,
            prune: policy.prune,
            approved: request.approve.as_deref(),
        };
        let accepted: BTreeMap<ObjectId, u64> = self
            .enforced
            .iter()
            .map(|(id, object)| (id.clone(), object.hash))
            .collect();
        let differences = diff(desired, &self.live, inventory, &accepted, policy);
        let mut plan = plan(&differences, desired, &self.live, inventory, policy, gate);
        if gate.heal {
            let enforced = Desired {
                objects: self.enforced.clone(),
                ..Desired::default()
            };
            let drift = diff(&enforced, &self.live, inventory, &accepted, policy);
            heal(&mut plan, &only_declared(drift, &enforced), &enforced);
        }
        plan
    }

    /// Writes down what is about to be created, before it is; makes the namespace.
    async fn write_ahead(
        &mut self,
        plan: &Plan,
        desired: &Desired,
        policy: &Policy,
        who: &Identity,
        now: i64,
    ) -> Result<(), Problem> {
        let since = now - CLOCK_SLACK;
        let inventory = self.inventory.get_or_insert_default();
        let mut namespaces = BTreeSet::new();
        for step in &plan.steps {
            let object = desired
                .objects
                .get(&step.id)
                .or_else(|| self.enforced.get(&step.id));
            let Some(object) = object else { continue };
            let seen = self.live.get(&step.id).and_then(Sighting::present);
            match step.action {
                Action::Create | Action::Adopt => {
                    let mut entry = Entry::intended(&object.gvk, object.hash, since);
                    // Our own marks on an object that is not recorded: the record was lost.
                    let is_lost = seen.is_some_and(|s| s.claim == Claim::Ours && s.applied_by_us);
                    entry.adopted =
                        step.action == Action::Adopt && !is_lost && policy.adopt != Adopt::Own;
                    entry.keep = object.keep;
                    entry.generated.clone_from(&object.generated);
                    inventory.intend(&step.id, entry);
                    if step.action == Action::Create {
                        inventory.intend_again(&step.id, since);
                    }
                    namespaces.insert(object.id.namespace.clone());
                }
                // It was deleted by hand: it comes back with another UID.
                Action::Heal if seen.is_none() => inventory.intend_again(&step.id, since),
                _ => {}
            }
        }
        if policy.create_namespace && namespaces.contains(&policy.namespace) {
            let id = ObjectId::new("", "Namespace", "", policy.namespace.as_str());
            if !policy.namespace.is_empty() && !desired.objects.contains_key(&id) {
                let made = ensure_namespace(&*self.shared.cluster, who, &policy.namespace).await;
                made.map_err(|e| self.refused(&e, None))?;
            }
        }
        let inventory = self.inventory.get_or_insert_default();
        if inventory.must_store() {
            let stored = self.store.save(&*self.shared.cluster, inventory).await;
            if let Err(error) = stored {
                // It is read anew: another replica may have written it.
                self.inventory = None;
                return Err(Problem::of(&error));
            }
        }
        Ok(())
    }

    /// Carries the plan out and takes in what each step did. Returns false when it was pre-empted.
    async fn carry_out(
        &mut self,
        plan: &Plan,
        desired: &Arc<Desired>,
        who: &Identity,
        now: i64,
    ) -> bool {
        if plan.steps.is_empty() {
            return true;
        }
        let commit = self
            .goal
            .as_ref()
            .map(|goal| goal.commit.clone())
            .unwrap_or_default();
        let shared = Arc::clone(&self.shared);
        let (live, enforced, recorded) = (
            self.live.clone(),
            self.enforced.clone(),
            self.recorded.clone(),
        );
        let preempted = self.preemption(commit.clone());
        let context = Context {
            cluster: &*shared.cluster,
            who,
            desired: &desired.objects,
            enforced: &enforced,
            live: &live,
            recorded: &recorded,
            revision: &commit,
            preempted: &preempted,
        };
        apply(context, plan, |outcome| self.take(outcome, desired, now)).await
    }

    /// Takes in what a step did.
    pub(super) fn take(&mut self, outcome: Outcome, desired: &Desired, now: i64) {
        let Outcome { step, result } = outcome;
        let effect = match result {
            Ok(effect) => effect,
            Err(error) => {
                let problem = self.refused(&error, Some(&step.id));
                // The live state is not known any more: it is read before the next try.
                if problem.class != Class::Stalled {
                    self.live.remove(&step.id);
                }
                return self.problems.push(problem);
            }
        };
        let inventory = self.inventory.get_or_insert_default();
        match effect {
            Effect::Applied { object, changed } => {
                let from_goal = step.action != Action::Heal;
                let source = if from_goal {
                    desired.objects.get(&step.id)
                } else {
                    None
                };
                let declared = source.or_else(|| self.enforced.get(&step.id)).cloned();
                let mut seen: Observed = observe(&object, &self.owner, now);
                if let Some(declared) = declared {
                    seen.holds = Some(declared.hash);
                    inventory.update(&step.id, |entry| {
                        entry.state = State::Owned {
                            uid: seen.uid.clone(),
                        };
                        entry.hash = declared.hash;
                        entry.version.clone_from(&declared.gvk.version);
                        entry.keep = declared.keep;
                        entry.generated.clone_from(&declared.generated);
                        entry.done = false;
                    });
                    self.enforced.insert(step.id.clone(), declared);
                }
                if changed {
                    self.shared.metrics.write(step.action);
                    self.summary.count(step.action);
                    if step.action == Action::Heal {
                        self.summary.healed.push(step.id.to_string());
                    }
                }
                self.live.insert(step.id, Sighting::Present(Box::new(seen)));
            }
            Effect::Gone | Effect::Forgotten => {
                if effect == Effect::Gone {
                    self.shared.metrics.write(step.action);
                    self.summary.count(step.action);
                }
                inventory.remove(&step.id);
                self.enforced.remove(&step.id);
                self.live.remove(&step.id);
            }
            Effect::Terminating => {
                self.shared.metrics.write(step.action);
                self.summary.count(step.action);
                self.enforced.remove(&step.id);
                if let Some(Sighting::Present(seen)) = self.live.get_mut(&step.id) {
                    seen.terminating = true;
                }
            }
        }
    }

    /// The revision is the applied one when nothing of it is left to do.
    fn accept(&mut self, next: &Plan, complete: bool) {
        let Some(goal) = &self.goal else { return };
        let is_current = self
            .target
            .as_ref()
            .is_some_and(|(commit, _)| *commit == goal.commit);
        if complete && is_current && self.problems.is_empty() && next.report.out_of_sync == 0 {
            let changed = std::mem::take(&mut self.changed);
            if self.applied.as_ref() != Some(&goal.commit) {
                self.applied = Some(goal.commit.clone());
                self.remember(changed);
            }
        }
    }

    /// Sees to it that every kind that matters is watched.
    fn watch(&self, desired: &Desired, who: &Identity) {
        let declared = desired
            .objects
            .values()
            .filter_map(|o| Some((&o.id, o.resource()?)));
        for (id, resource) in declared.chain(self.recorded.iter()) {
            self.shared.watches.ensure(who, resource, &id.namespace);
        }
    }

    /// The worst object of the revision that is enforced.
    pub(super) fn worst(&self) -> Option<(String, Health)> {
        let assessed: Vec<(String, Health)> = self
            .enforced
            .keys()
            .map(|id| {
                let health = match self.live.get(id) {
                    Some(Sighting::Present(seen)) => seen.health.clone(),
                    Some(Sighting::Absent) => match self.inventory.as_ref().and_then(|i| i.get(id))
                    {
                        Some(entry) if entry.done => Health::new(health::Status::Healthy, "", ""),
                        _ => Health::missing(),
                    },
                    Some(Sighting::Unknown(why)) => Health::unknown(why),
                    None => Health::unknown("not read yet"),
                };
                (id.to_string(), health)
            })
            .collect();
        let worst = health::worst(assessed.iter().map(|(_, health)| health))?.clone();
        assessed.into_iter().find(|(_, health)| *health == worst)
    }

    /// A refusal of the API server, with the object's place in the repository and the remedy.
    fn refused(&self, error: &crate::cluster::Error, id: Option<&ObjectId>) -> Problem {
        let mut problem = Problem::of(error);
        let remedy = crate::cluster::remedy(&problem.reason);
        let place = id.map(|id| self.place(id)).unwrap_or_default();
        let tail = remedy
            .map(|remedy| format!(" ({remedy})"))
            .unwrap_or_default();
        problem.message = format!("{place}{}{tail}", problem.message);
        problem
    }

    /// `path:line: ` of a declared object, or nothing.
    fn place(&self, id: &ObjectId) -> String {
        let declared = self
            .goal
            .as_ref()
            .and_then(|goal| goal.desired.objects.get(id));
        declared
            .map(|object| format!("{}: ", object.place))
            .unwrap_or_default()
    }
}

/// Drift of declared objects only: what left the newest revision is the plan's to decide.
fn only_declared(drift: Diff, enforced: &Desired) -> Diff {
    drift
        .into_iter()
        .filter(|(id, change)| *change == Change::Drift && enforced.objects.contains_key(id))
        .collect()
}

/// Where recorded objects are served, at the version of the record where that is still so.
pub(super) fn recorded<'a>(
    entries: impl Iterator<Item = (&'a ObjectId, &'a Entry)>,
    discovery: &Discovery,
) -> BTreeMap<ObjectId, Resource> {
    entries
        .filter_map(|(id, entry)| {
            let gvk = Gvk {
                group: id.group.clone(),
                version: entry.version.clone(),
                kind: id.kind.clone(),
            };
            match discovery.lookup_kind(&gvk) {
                Lookup::Served(resource) => Some((id.clone(), resource.clone())),
                Lookup::NotServed | Lookup::Unknown => None,
            }
        })
        .collect()
}
