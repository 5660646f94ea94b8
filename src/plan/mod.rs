//! What is done next, and why the rest is not: a value that can be printed, compared and stored.
//!
//! Heal steps (objects at their accepted content that drifted) ignore waves, health and holds.
//! Roll-forward steps are those of the first part of the sync that is not done ([`phases`]). Prunes
//! come when every wave is done, those that depend on others first ([`prune`]). A plan makes no
//! choice while it is carried out, and holds no client.

pub mod dependencies;
pub mod fight;
mod guard;
pub mod hooks;
mod phases;
mod prune;
mod recreate;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use guard::Refusal;
use prune::Removals;
use recreate::Way;
pub use recreate::{Immutable, approval, withdrawn};

use crate::api::Policy;
use crate::desired::{Barrier, Desired, DesiredObject, Hook};
use crate::diff::{Change, Diff, Objects};
use crate::health::Status;
use crate::inventory::{Inventory, Phase};
use crate::live::{Live, Sighting};
use crate::object::ObjectId;

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Puts a drifted object back to its accepted content.
    Heal,
    /// Creates an object.
    Create,
    /// Takes over an object that is nobody's, and applies it.
    Adopt,
    /// Applies new content.
    Update,
    /// Deletes an object that does not take its new content, to create it anew.
    Recreate,
    /// Deletes an object that left Git.
    Prune,
    /// Forgets an object that left Git, and leaves it.
    Abandon,
    /// Creates the object of a hook.
    RunHook(Phase),
    /// Deletes the object of a hook: by its policy, or because the next one has its name.
    DeleteHook,
}

impl Action {
    /// The word for logs, events and the CLI.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Heal => "heal",
            Self::Create => "create",
            Self::Adopt => "adopt",
            Self::Update => "update",
            Self::Recreate => "recreate",
            Self::Prune => "prune",
            Self::Abandon => "abandon",
            Self::RunHook(_) => "run-hook",
            Self::DeleteHook => "delete-hook",
        }
    }
}

/// One step on one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// To which object.
    pub id: ObjectId,
    /// After which others: steps of a lower barrier come first; prunes go the other way.
    pub barrier: Barrier,
}

/// What is done next, and what waits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order of execution: by barrier, then by id; prunes last and in reverse.
    pub steps: Vec<Step>,
    /// What is not done, and what it waits for.
    pub report: Report,
    /// Deletions that a person let through with this plan, of what left Git or of what is created
    /// anew: to be recorded, because carrying them out may take several passes.
    pub approved: Vec<ObjectId>,
    /// Changes of later waves that may need the approval that is waited for as well: the API server
    /// is asked about them, so that a person is asked once.
    pub untried: Vec<ObjectId>,
}

/// Why objects are not as they should be, although no step is done about them now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// A plan that a person has to let through.
    pub held: Option<Refusal>,
    /// What the next wave waits for, in one line.
    pub wave: Option<String>,
    /// An object that is on its way out and does not go, and why; later deletions wait for it.
    pub removal: Option<String>,
    /// Objects that wait or cannot be touched, with the reason.
    pub objects: BTreeMap<ObjectId, String>,
    /// How many objects differ from the revision, whatever is done about it. A hook that has not
    /// run is a difference too.
    pub out_of_sync: usize,
    /// Which hook is waited for, or what hooks wait for, in one line.
    pub hook: Option<String>,
    /// The hook that failed: the sync does not go on.
    pub failure: Option<Failure>,
    /// The Application that this one waits for.
    pub dependency: Option<dependencies::Blocked>,
    /// When time alone changes the plan, in seconds since the epoch.
    pub due: Option<i64>,
}

/// A hook that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The hook.
    pub id: ObjectId,
    /// When it ran.
    pub phase: Phase,
    /// Its place in the repository.
    pub place: String,
    /// Why, in its own words.
    pub message: String,
    /// When it is tried again, in seconds since the epoch; `None` when it is not.
    pub retry: Option<i64>,
}

impl Failure {
    fn new(id: &ObjectId, phase: Phase, hook: &Hook, message: &str, retry: Option<i64>) -> Self {
        Self {
            id: id.clone(),
            phase,
            place: hook.object.place.clone(),
            message: message.to_owned(),
            retry,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        write!(
            f,
            "{} hook {} failed: {}",
            self.phase, self.id, self.message
        )?;
        match self.phase {
            Phase::PreSync => f.write_str("; nothing of this revision was applied"),
            Phase::Sync => f.write_str("; later waves are not applied"),
            Phase::PostSync | Phase::SyncFail => Ok(()),
        }
    }
}

/// What decides besides the diff.
#[derive(Debug, Clone, Copy)]
pub struct Gate<'a> {
    /// Roll-forward is allowed: automated or asked for, and not suspended.
    pub update: bool,
    /// Drift is undone.
    pub heal: bool,
    /// A sync was asked for: it puts drift back too where self-heal is off.
    pub asked: bool,
    /// Objects that left Git are deleted.
    pub prune: bool,
    /// The hash of a held plan that a person approved.
    pub approved: Option<&'a str>,
    /// The time, in seconds since the epoch.
    pub now: i64,
    /// The sync failed, and is not tried again by itself.
    pub failed: bool,
    /// The sync failed, because what it applied is Degraded and was not Healthy before.
    pub degraded: bool,
    /// Changes that the API server refused, because a field cannot be changed in place.
    pub immutable: &'a Immutable,
}

/// Decides.
pub fn plan(
    diff: &Diff,
    desired: &Desired,
    live: &Live,
    inventory: &Inventory,
    policy: &Policy,
    gate: Gate<'_>,
) -> Plan {
    let mut plan = Plan::default();
    let mut forward: BTreeMap<i32, Vec<Step>> = BTreeMap::new();
    let mut prunes = Vec::new();
    let mut anew = Anew::default();
    for (id, change) in diff {
        let object = desired.objects.get(id);
        if object.is_none() && is_hook(id, desired, inventory) {
            continue;
        }
        let barrier = object.map_or_else(|| recorded_barrier(id, inventory), |o| o.barrier);
        let step = |action| Step {
            action,
            id: id.clone(),
            barrier,
        };
        let wave = object.map_or(0, |o| o.wave);
        // The old generation of a generated ConfigMap or Secret serves the pods that are being
        // replaced: it goes once everything is healthy, and is no difference until then.
        let serves = *change == Change::Prune
            && guard::is_superseded(id, desired, inventory)
            && desired
                .objects
                .values()
                .any(|object| unready(object, live, inventory).is_some());
        if serves {
            continue;
        }
        if !matches!(change, Change::Unchanged) {
            plan.report.out_of_sync += 1;
        }
        match change {
            Change::Unchanged => {}
            // Healing is planned from what is enforced ([`heal`]); a sync that was asked for puts
            // drift back too where self-heal is off.
            Change::Drift if gate.heal || !gate.asked => {}
            Change::Drift => forward.entry(wave).or_default().push(step(Action::Heal)),
            Change::Create => forward.entry(wave).or_default().push(step(Action::Create)),
            Change::Adopt => forward.entry(wave).or_default().push(step(Action::Adopt)),
            Change::Update => {
                let way = object.map_or(Way::InPlace, |object| {
                    recreate::way(object, live, gate.immutable)
                });
                let action = match way {
                    Way::InPlace | Way::Untried | Way::Foreseen => Action::Update,
                    _ => Action::Recreate,
                };
                forward.entry(wave).or_default().push(step(action));
                match (way, object) {
                    (Way::Later(why), _) => {
                        anew.later.insert(id.clone());
                        plan.report.objects.insert(id.clone(), why.into());
                    }
                    (way @ (Way::Asked | Way::Foreseen), Some(object))
                        if !recreate::is_approved(object, &desired.digest, live, inventory) =>
                    {
                        anew.asked.push(object);
                        if way == Way::Asked {
                            anew.refused.insert(id.clone());
                        }
                    }
                    (Way::Untried, _) => anew.untried.push(id.clone()),
                    _ => {}
                }
            }
            Change::Prune => prunes.push(step(Action::Prune)),
            Change::Abandon(_) => prunes.push(step(Action::Abandon)),
            Change::Wait(why) | Change::Unknown(why) => {
                plan.report.objects.insert(id.clone(), why.clone());
            }
            Change::Foreign(owner) => {
                plan.report
                    .objects
                    .insert(id.clone(), format!("it belongs to {owner}"));
            }
        }
    }
    let hooks = hooks::Hooks {
        desired,
        live,
        inventory,
        policy,
        gate,
    };
    plan.report.out_of_sync += hooks.pending();
    let may_prune = may_prune(diff, desired, gate);
    if gate.update {
        let verdict = guard::check(&prunes, desired, live, inventory, policy, gate);
        plan.approved = verdict.approved;
        if let Some(refusal) = verdict.refusal {
            plan.report.held = Some(refusal);
        } else {
            plan.report.held.clone_from(&verdict.unconfirmed);
            let held = anew.held(&mut plan, live, gate);
            let removals = Removals {
                steps: prunes,
                unconfirmed: names(verdict.unconfirmed.as_ref()),
                diff,
                desired,
                live,
                inventory,
                last: policy.options.prune_last,
            };
            let ordinary = phases::Ordinary {
                forward,
                removals: (may_prune && held.is_empty()).then_some(removals),
            };
            phases::advance(&mut plan, ordinary, hooks);
            // They hold their wave and what comes after it, but nothing is done.
            plan.steps.retain(|step| !held.contains(&step.id));
        }
    } else {
        plan.report.failure = hooks.failed();
    }
    let deleted: BTreeSet<ObjectId> = plan.steps.iter().map(|step| step.id.clone()).collect();
    let clean_up = hooks.clean_up(gate.update && may_prune).into_iter();
    plan.steps
        .extend(clean_up.filter(|step| !deleted.contains(&step.id)));
    plan.steps.sort_by(|a, b| order(a).cmp(&order(b)));
    plan
}

/// Objects that are to be created anew, and not yet.
#[derive(Default)]
struct Anew<'a> {
    later: BTreeSet<ObjectId>,
    /// Those that nobody approved yet: what was refused, and what a dry run says will be.
    asked: Vec<&'a DesiredObject>,
    /// Those of them that were refused: the others are written in place until they are.
    refused: BTreeSet<ObjectId>,
    untried: Vec<ObjectId>,
}

impl Anew<'_> {
    /// Those for which nothing may be done now; a plan that a person has to let through is reported.
    fn held(self, plan: &mut Plan, live: &Live, gate: Gate<'_>) -> BTreeSet<ObjectId> {
        let mut held = self.later;
        if !self.refused.is_empty() {
            let hash = recreate::hash(&self.asked, live);
            let names: Vec<ObjectId> = self.asked.iter().map(|o| o.id.clone()).collect();
            if gate.approved == Some(hash.as_str()) {
                plan.approved.extend(names);
            } else {
                held.extend(self.refused);
                plan.untried = self.untried;
                plan.report.held = Some(Refusal::Recreation { names, hash });
            }
        }
        held
    }
}

/// The plan of an Application that is being deleted: everything that `diff` says goes, in order.
/// `approved` is the hash that a person confirmed.
pub fn teardown(diff: &Diff, live: &Live, inventory: &Inventory, approved: Option<&str>) -> Plan {
    let mut plan = Plan::default();
    let steps: Vec<Step> = diff
        .iter()
        .filter_map(|(id, change)| {
            let action = match change {
                Change::Prune => Action::Prune,
                Change::Abandon(_) => Action::Abandon,
                _ => return None,
            };
            Some(Step {
                action,
                id: id.clone(),
                barrier: recorded_barrier(id, inventory),
            })
        })
        .collect();
    let verdict = guard::check_teardown(&steps, live, inventory, approved);
    plan.approved = verdict.approved;
    plan.report.held.clone_from(&verdict.unconfirmed);
    plan.report.out_of_sync = diff.len();
    let removals = Removals {
        steps,
        unconfirmed: names(verdict.unconfirmed.as_ref()),
        diff,
        desired: &Desired::default(),
        live,
        inventory,
        last: false,
    };
    removals.add_to(&mut plan);
    plan.steps.sort_by(|a, b| order(a).cmp(&order(b)));
    plan
}

/// The objects that wait for a confirmation.
fn names(unconfirmed: Option<&Refusal>) -> BTreeSet<ObjectId> {
    match unconfirmed {
        Some(Refusal::Unconfirmed { names, .. }) => names.iter().cloned().collect(),
        _ => BTreeSet::new(),
    }
}

/// Adds the heal steps: objects that do not hold what is enforced, and that the plan does not bring
/// to new content anyway. `drifted` is told of what is enforced, whatever the newest revision says, so
/// that drift is undone while a newer revision is held, waiting or broken.
pub fn heal(plan: &mut Plan, drifted: &BTreeSet<ObjectId>, enforced: &Objects) {
    if drifted.is_empty() {
        return;
    }
    let planned: BTreeSet<ObjectId> = plan.steps.iter().map(|step| step.id.clone()).collect();
    for id in drifted {
        if !planned.contains(id)
            && let Some(object) = enforced.get(id)
        {
            plan.steps.push(Step {
                action: Action::Heal,
                id: id.clone(),
                barrier: object.barrier,
            });
        }
    }
    plan.steps.sort_by(|a, b| order(a).cmp(&order(b)));
}

/// Applies by barrier and id; prunes after all of them, the last barrier first.
fn order(step: &Step) -> (bool, i8, &ObjectId) {
    let barrier = step.barrier as i8;
    match step.action {
        Action::Prune | Action::Abandon => (true, -barrier, &step.id),
        _ => (false, barrier, &step.id),
    }
}

/// Hooks are neither kept nor pruned like objects; what was an object before is one no more.
fn is_hook(id: &ObjectId, desired: &Desired, inventory: &Inventory) -> bool {
    let is_recorded = || inventory.get(id).is_some_and(|entry| entry.hook.is_some());
    desired.hooks.contains_key(id) || is_recorded()
}

/// The first object of a wave that keeps the next one waiting, and why.
fn unready_in(wave: i32, desired: &Desired, live: &Live, inventory: &Inventory) -> Option<String> {
    desired
        .objects
        .values()
        .filter(|object| object.wave == wave)
        .find_map(|object| unready(object, live, inventory))
}

/// Why an object is not done yet; `None` when it is.
fn unready(object: &DesiredObject, live: &Live, inventory: &Inventory) -> Option<String> {
    match live.get(&object.id) {
        _ if object.ignored => None,
        Some(Sighting::Present(seen)) if seen.terminating => {
            Some(format!("{} (it is being deleted)", object.id))
        }
        Some(Sighting::Present(seen)) => match seen.health.status {
            Status::Healthy | Status::Suspended => None,
            status => Some(format!(
                "{} ({}: {})",
                object.id,
                status.as_str(),
                seen.health.message
            )),
        },
        // A finished Job may be gone; the diff has called it unchanged.
        Some(Sighting::Absent) => {
            let entry = inventory.get(&object.id);
            let entry = entry.filter(|entry| entry.hash == object.hash)?;
            match entry.lasting_failure() {
                Some(message) => Some(format!("{} (it failed and is gone: {message})", object.id)),
                // It is healed, which is no step of its wave.
                None if !entry.done && object.id.runs_to_its_end() => {
                    Some(format!("{} (it went before its end)", object.id))
                }
                None => None,
            }
        }
        _ => Some(format!("{} (not seen yet)", object.id)),
    }
}

/// Nothing is pruned while anything is unread, or of a kind whose scope is not known: an object
/// that seems to have left may be one of those.
fn may_prune(diff: &Diff, desired: &Desired, gate: Gate<'_>) -> bool {
    gate.prune
        && desired.waiting().next().is_none()
        && !diff
            .values()
            .any(|change| matches!(change, Change::Unknown(_)))
}

/// The barrier of an object that is not declared any more.
fn recorded_barrier(id: &ObjectId, inventory: &Inventory) -> Barrier {
    let version = inventory.get(id).map_or("", |entry| entry.version.as_str());
    Barrier::of(&crate::object::Gvk::new(&id.group, version, &id.kind))
}

impl fmt::Display for Plan {
    /// One step a line: `create ConfigMap/shop/a`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            match step.action {
                Action::RunHook(phase) => writeln!(f, "run {phase} hook {}", step.id)?,
                Action::DeleteHook => writeln!(f, "delete hook {}", step.id)?,
                action => writeln!(f, "{} {}", action.as_str(), step.id)?,
            }
        }
        if let Some(held) = &self.report.held {
            writeln!(f, "held: {held}")?;
        }
        if let Some(wave) = &self.report.wave {
            writeln!(f, "{wave}")?;
        }
        if let Some(hook) = &self.report.hook {
            writeln!(f, "{hook}")?;
        }
        if let Some(failure) = &self.report.failure {
            writeln!(f, "{failure}")?;
        }
        if let Some(removal) = &self.report.removal {
            writeln!(f, "removal waits: {removal}")?;
        }
        for (id, why) in &self.report.objects {
            writeln!(f, "waits: {id}: {why}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
