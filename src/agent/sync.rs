//! One pass, Git → cluster: about ten calls in this order. What each finds goes into the next; what
//! goes wrong becomes a [`Problem`], and the last good state stays enforced.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::application::Application;
use crate::api::{Adopt, Policy};
use crate::apply::{Context, apply, ensure_namespace};
use crate::cluster::Identity;
use crate::desired::{Desired, DesiredObject, Installation, short_digest};
use crate::diff::{Change, Diff, diff, drifted};
use crate::inventory::{Claim, Entry};
use crate::live::Sighting;
use crate::object::ObjectId;
use crate::plan::{Action, Gate, Plan, approval, heal, plan, withdrawn};
use crate::status::{Problem, Summary};

/// An object that was there before towline's intention is not ours. Clocks of the agent and the
/// API server may differ by this much, in seconds.
const CLOCK_SLACK: i64 = 60;

/// How a pass ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing more to do until something happens.
    Settled,
    /// More can be done at once: a wave is done, or a newer revision came.
    Again,
    /// Its plan was not carried out, because its records could not be stored. As [`End::Settled`], but
    /// that nothing that was asked for is done.
    Undecided,
}

impl Application {
    /// One pass. `now` is in seconds since the epoch.
    pub(super) async fn pass(&mut self, policy: &Policy, who: &Identity, now: i64) -> End {
        self.problems = self.blocked.iter().cloned().collect();
        self.summary = Summary::default();
        if self.requests.borrow().gone {
            // The next one of its name waits for the end of this one.
            return End::Settled;
        }
        self.barred = false;
        self.court.refused = None;
        if let Err(problem) = self.load_inventory().await {
            self.problems.push(problem);
            return End::Settled;
        }
        self.goal(policy).await;
        self.restore(policy).await;
        self.check_dependencies();
        self.tell_circle();
        self.look(who, now).await;
        self.recognise();
        self.note_ended(now);
        self.see_hooks(who, now).await;
        self.settle().await;
        self.look_for_autoscalers(who).await;
        let Some(desired) = self.goal.as_ref().map(|goal| Arc::clone(&goal.desired)) else {
            return self.enforce(policy, who, now).await;
        };
        self.ask_hooks(&desired);
        let mut plan = self.decide(&desired, policy, now);
        if !self.passes_preflight(&plan, &desired, policy, who).await {
            // What is there is healed all the same, and that is another plan.
            self.barred = true;
            plan = self.decide(&desired, policy, now);
        }
        let before = tokio::time::Instant::now();
        let complete = self.write(&plan, &desired, policy, who, now).await;
        if !plan.steps.is_empty() {
            let first = self.problems.first().map(|problem| problem.reason.as_str());
            let seconds = before.elapsed().as_secs_f64();
            self.shared.metrics.sync(first.map_or(Ok(()), Err), seconds);
        }
        if self.inventory.is_none() {
            return self.read_anew().await;
        }
        self.changed += self.summary.rolled_forward();
        let hooks = desired.hooks.values().map(|hook| &hook.object);
        self.watch(desired.objects.values().chain(hooks), who);
        self.see_hooks(who, now).await;
        self.settle().await;
        self.look_for_autoscalers(who).await;
        let mut next = self.decide(&desired, policy, now);
        if self.has_tried(&next.untried, &desired, who).await {
            next = self.decide(&desired, policy, now);
        }
        self.read_drift(policy, who).await;
        self.accept(&next, complete);
        self.keep_accepted(policy);
        let mut again = !complete || (self.problems.is_empty() && !next.steps.is_empty());
        self.tell_failure(&next, now);
        self.report = Some(next.report);
        again |= self.judge(policy, who, now).await;
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

    /// Ends a pass whose records could not be stored: what is stored is read anew, and the next pass
    /// decides by that. With no records everything would look as if it were not owned, or had not run.
    pub(super) async fn read_anew(&mut self) -> End {
        if let Err(problem) = self.load_inventory().await {
            self.problems.push(problem);
        }
        End::Undecided
    }

    /// Diff and plan of the newest revision, and healing to what is enforced.
    fn decide(&mut self, desired: &Arc<Desired>, policy: &Policy, now: i64) -> Plan {
        let request = self.requests.borrow().clone();
        let asked = self.is_asked();
        let (degraded, due) = self.is_degraded(desired, policy, now);
        // A revision that was not rendered is not rolled forward to; what is there is healed.
        let is_current = self.is_current();
        let is_rolled_back = self.is_rolled_back();
        let inventory = self.inventory.get_or_insert_default();
        let gate = Gate {
            update: (policy.automated || asked || is_rolled_back)
                && !request.is_suspended(now)
                && is_current
                && !self.barred
                && self.blocked.is_none()
                && self.blocked_by.is_none(),
            heal: policy.automated && policy.self_heal,
            asked,
            prune: policy.prune,
            approved: request.approve.as_deref(),
            now,
            failed: self.gave_up,
            degraded,
            immutable: &self.immutable,
        };
        let mut differences = diff(desired, &self.live, inventory, &self.enforced, policy);
        spare(&mut differences, &self.shared.options.installation());
        let mut plan = plan(&differences, desired, &self.live, inventory, policy, gate);
        if gate.heal {
            let known = (&desired.objects, &differences);
            let drift = drifted(&self.enforced, &self.live, inventory, known, policy);
            heal(&mut plan, &drift, &self.enforced);
        }
        plan.report.due = plan.report.due.into_iter().chain(due).min();
        if plan.report.out_of_sync > 0 {
            plan.report.dependency.clone_from(&self.blocked_by);
        }
        let is_drift =
            |(id, change): (&ObjectId, &Change)| (*change == Change::Drift).then(|| id.clone());
        self.drifted = differences.iter().filter_map(is_drift).collect();
        self.step_back(&mut plan, asked);
        plan
    }

    /// Carries a plan out, once it is written down and can be seen to end. Returns false when it was
    /// pre-empted.
    pub(super) async fn write(
        &mut self,
        plan: &Plan,
        desired: &Arc<Desired>,
        policy: &Policy,
        who: &Identity,
        now: i64,
    ) -> bool {
        let ends = self.watch_ends(plan, desired, who);
        if let Err(problem) = self.write_ahead(plan, desired, policy, who, now).await {
            self.problems.push(problem);
            return true;
        }
        self.watched(ends, who).await;
        self.carry_out(plan, desired, policy, who, now).await
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
        self.begin_hooks(plan, desired, now, since);
        if !plan.approved.is_empty() {
            self.note_approval(&desired.digest);
        }
        let inventory = self.inventory.get_or_insert_default();
        // Going on to another revision takes an approval back, also where that one returns.
        for id in withdrawn(desired, inventory) {
            inventory.update(&id, |entry| entry.recreate = None);
        }
        for id in &plan.approved {
            let anew = desired.objects.get(id).map(|object| object.hash);
            inventory.update(id, |entry| match anew {
                Some(content) => entry.recreate = Some(approval(content, &desired.digest)),
                None => entry.approved = true,
            });
        }
        let mut namespaces = BTreeSet::new();
        for step in &plan.steps {
            if matches!(step.action, Action::RunHook(_)) {
                namespaces.insert(step.id.namespace.clone());
            }
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
                    let before = self.applied_digest.as_deref().map(short_digest);
                    entry.before = before.filter(|_| step.action == Action::Create);
                    object.describe(&mut entry);
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
        if policy.options.create_namespace && namespaces.contains(&policy.namespace) {
            let id = ObjectId::new("", "Namespace", "", policy.namespace.as_str());
            if !policy.namespace.is_empty() && !desired.objects.contains_key(&id) {
                let made = ensure_namespace(&*self.shared.cluster, who, &policy.namespace).await;
                made.map_err(|e| self.refused(&e, None))?;
            }
        }
        let inventory = self.inventory.get_or_insert_default();
        if inventory.must_store() || !plan.approved.is_empty() {
            let stored = self.store.save(&*self.shared.cluster, inventory).await;
            if let Err(error) = stored {
                // It is read anew: another replica may have written it.
                self.inventory = None;
                return Err(Problem::of(&error));
            }
        }
        self.forget_ends();
        Ok(())
    }

    /// Carries the plan out and takes in what each step did. Returns false when it was pre-empted.
    async fn carry_out(
        &mut self,
        plan: &Plan,
        desired: &Arc<Desired>,
        policy: &Policy,
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
            .or_else(|| self.applied.clone())
            .unwrap_or_default();
        let shared = Arc::clone(&self.shared);
        // What of it the plan needs: the rest changes while it is carried out.
        let live = planned(plan, &self.live);
        let enforced = planned(plan, &self.enforced);
        let recorded = planned(plan, &self.recorded);
        let unscaled = self.unscaled.clone();
        // A revision that cannot be rendered is no reason to stop healing: newer means newer than
        // what this pass has looked at, not than what it enforces.
        let looked_at = self
            .target
            .as_ref()
            .map_or_else(|| commit.clone(), |(newest, _)| newest.clone());
        let preempted = self.preemption(looked_at);
        let writable = self.writable(desired);
        let context = Context {
            cluster: &*shared.cluster,
            who,
            desired: &writable,
            enforced: &enforced,
            live: &live,
            recorded: &recorded,
            unscaled: &unscaled,
            revision: &commit,
            propagation: policy.options.propagation,
            preempted: &preempted,
        };
        apply(context, plan, |outcome| self.take(outcome, desired, now)).await
    }

    /// The revision is the applied one when nothing of it is left to do.
    fn accept(&mut self, next: &Plan, complete: bool) {
        let Some(goal) = &self.goal else { return };
        if complete && self.is_current() && self.problems.is_empty() && next.report.out_of_sync == 0
        {
            let changed = std::mem::take(&mut self.changed);
            let digest = Some(goal.desired.digest.clone());
            // A commit with the same objects is the same revision under another name.
            let is_same = std::mem::replace(&mut self.applied_digest, digest.clone()) == digest;
            if self.applied.as_ref() != Some(&goal.commit) {
                self.applied = Some(goal.commit.clone());
                if !self.is_rolled_back() && (!is_same || self.reverted.is_some()) {
                    self.remember(changed);
                }
            }
        }
    }

    /// Sees to it that every kind that matters is watched.
    pub(super) fn watch<'a>(
        &self,
        declared: impl Iterator<Item = &'a Arc<DesiredObject>>,
        who: &Identity,
    ) {
        let declared = declared.filter_map(|o| Some((&o.id, o.resource()?)));
        for (id, resource) in declared.chain(self.recorded.iter()) {
            self.shared.watches.ensure(who, resource, &id.namespace);
        }
    }
}

/// What belongs to towline's own installation is let go, never deleted: `towline uninstall` is for
/// that.
pub(super) fn spare(changes: &mut Diff, own: &Installation) {
    for (id, change) in changes.iter_mut() {
        if *change == Change::Prune && own.owns(id) {
            *change = Change::Abandon("it is part of towline's own installation");
        }
    }
}

/// What is known of the objects of a plan.
fn planned<T: Clone>(plan: &Plan, known: &BTreeMap<ObjectId, T>) -> BTreeMap<ObjectId, T> {
    let of = |id: &ObjectId| Some((id.clone(), known.get(id)?.clone()));
    plan.steps.iter().filter_map(|step| of(&step.id)).collect()
}
