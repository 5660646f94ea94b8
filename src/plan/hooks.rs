//! How far each hook of the revision is, and what is done about it next. Pure: what ran is in the
//! inventory, what runs is in the cluster.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, Failure, Gate, Step};
use crate::api::Policy;
use crate::desired::{DeletePolicy, Desired, Hook};
use crate::diff::is_ours;
use crate::error::Class;
use crate::health::Status;
use crate::inventory::{Entry, HookRun, Inventory, Outcome, Phase, State};
use crate::live::{Live, Observed, Sighting};
use crate::object::ObjectId;

/// How many hex digits of a revision's digest stand in the record of a hook.
const DIGEST_LENGTH: usize = 16;

/// The phases that a sync must have gone through.
const NEEDED: [Phase; 3] = [Phase::PreSync, Phase::Sync, Phase::PostSync];

/// What the hooks of one wave do next.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// What is done now.
    pub(super) steps: Vec<Step>,
    /// What is waited for.
    pub(super) waits: Option<String>,
    /// What failed.
    pub(super) failure: Option<Failure>,
    /// When something is due, in seconds since the epoch.
    pub(super) due: Option<i64>,
    /// Objects in the way, and why: nobody tells when they are gone.
    pub(super) foreign: Vec<(ObjectId, String)>,
}

impl Progress {
    /// Every hook of the wave succeeded.
    pub(super) fn is_done(&self) -> bool {
        self.steps.is_empty() && self.waits.is_none() && self.failure.is_none()
    }

    fn wait(&mut self, why: String) {
        self.waits.get_or_insert(why);
    }
}

/// The hooks of a revision.
#[derive(Clone, Copy)]
pub(super) struct Hooks<'a> {
    pub(super) desired: &'a Desired,
    pub(super) live: &'a Live,
    pub(super) inventory: &'a Inventory,
    pub(super) policy: &'a Policy,
    pub(super) gate: Gate<'a>,
}

impl<'a> Hooks<'a> {
    /// How many hooks of the revision have not succeeded yet.
    pub(super) fn pending(&self) -> usize {
        let is_done = |(id, hook): &(&ObjectId, &Hook)| {
            hook.phases
                .iter()
                .filter(|phase| NEEDED.contains(phase))
                .all(|phase| self.outcome(id, *phase) == Some(&Outcome::Succeeded))
        };
        self.desired
            .hooks
            .iter()
            .filter(|one| !is_done(one))
            .count()
    }

    /// The waves of a phase that has hooks.
    pub(super) fn waves(&self, phase: Phase) -> BTreeSet<i32> {
        self.of(phase).map(|(_, hook)| hook.object.wave).collect()
    }

    /// A hook of another revision that still runs: nothing is begun before its end, and it is not
    /// killed. Its deadline bounds the wait. A hook for a sync that failed is no part of it, and keeps
    /// nothing from taking the place of what failed.
    pub(super) fn of_others(&self) -> Option<(String, i64)> {
        let digest = short(&self.desired.digest);
        self.inventory.iter().find_map(|(id, entry)| {
            let run = entry.hook.as_ref()?;
            let running = run.running.as_ref()?;
            if running.phase == Phase::SyncFail {
                return None;
            }
            let is_there = match self.live.get(id)? {
                Sighting::Absent => false,
                Sighting::Present(seen) => is_ours(seen, Some(entry)),
                Sighting::Unknown(_) => true,
            };
            let waits = is_there && run.digest != digest && self.gate.now < running.deadline;
            let line = format!("waits for hook {id} of {}", run.commit);
            waits.then_some((line, running.deadline))
        })
    }

    /// What the hooks of one wave of a phase do next.
    pub(super) fn wave(&self, phase: Phase, wave: i32) -> Progress {
        let mut progress = Progress::default();
        let all: Vec<_> = self
            .of(phase)
            .filter(|(_, hook)| hook.object.wave == wave)
            .collect();
        for (id, hook) in &all {
            self.one(phase, id, hook, &mut progress);
        }
        if progress.failure.as_ref().is_some_and(|f| f.retry.is_none()) {
            // The others of the wave are not begun any more.
            progress.steps.clear();
        }
        progress
    }

    /// Deletes the objects that a policy wants gone, and the hooks that left Git. `may_prune`
    /// says whether what left Git may be deleted.
    pub(super) fn clean_up(&self, may_prune: bool) -> Vec<Step> {
        let mut steps = Vec::new();
        for (id, entry) in self.inventory.iter() {
            let Some(run) = &entry.hook else { continue };
            if self.desired.objects.contains_key(id) {
                continue;
            }
            let declared = self.desired.hooks.get(id);
            let step = |action| self.step(action, id);
            match self.live.get(id) {
                Some(Sighting::Present(seen)) if is_ours(seen, Some(entry)) => {
                    let running = run.running.as_ref();
                    let runs = running.is_some_and(|running| self.gate.now < running.deadline);
                    let unwanted = match declared {
                        Some(hook) => running.is_none() && is_unwanted(hook, run),
                        None => !entry.keep && (may_prune || self.is_superseded(entry)),
                    };
                    if unwanted && !runs && !seen.terminating {
                        steps.push(step(Action::DeleteHook));
                    }
                }
                // Gone, or another object of its name: only the record is left.
                Some(Sighting::Present(_) | Sighting::Absent) if declared.is_none() => {
                    steps.push(step(Action::Abandon));
                }
                _ => {}
            }
        }
        steps
    }

    /// The first hook that failed: it is told also while nothing may be done about it.
    pub(super) fn failed(&self) -> Option<Failure> {
        NEEDED.iter().find_map(|phase| {
            self.of(*phase).find_map(|(id, hook)| {
                let Some(Outcome::Failed { message, .. }) = self.outcome(id, *phase) else {
                    return None;
                };
                Some(Failure::new(id, *phase, hook, message, None))
            })
        })
    }

    fn of(&self, phase: Phase) -> impl Iterator<Item = (&'a ObjectId, &'a Hook)> {
        let hooks = &self.desired.hooks;
        hooks
            .iter()
            .filter(move |(_, hook)| hook.phases.contains(&phase))
    }

    /// The record of a hook in this revision.
    fn run(&self, id: &ObjectId) -> Option<&'a HookRun> {
        let run = self.inventory.get(id)?.hook.as_ref()?;
        (run.digest == short(&self.desired.digest)).then_some(run)
    }

    fn outcome(&self, id: &ObjectId, phase: Phase) -> Option<&'a Outcome> {
        self.run(id)?.ended.get(&phase)
    }

    fn step(&self, action: Action, id: &ObjectId) -> Step {
        let declared = self.desired.hooks.get(id);
        Step {
            action,
            id: id.clone(),
            barrier: declared.map_or_else(
                || super::recorded_barrier(id, self.inventory),
                |hook| hook.object.barrier,
            ),
        }
    }

    fn one(&self, phase: Phase, id: &ObjectId, hook: &Hook, progress: &mut Progress) {
        match self.outcome(id, phase) {
            Some(Outcome::Succeeded) => return,
            Some(Outcome::Failed { at, message }) => {
                let retry = self.retry(id, phase, *at);
                if retry.is_none_or(|due| due > self.gate.now) {
                    progress.due = progress.due.or(retry);
                    let failure = Failure::new(id, phase, hook, message, retry);
                    progress.failure.get_or_insert(failure);
                    return;
                }
            }
            None => {}
        }
        self.begin(phase, id, hook, progress);
    }

    /// When a hook that failed at this time is tried again.
    fn retry(&self, id: &ObjectId, phase: Phase, at: i64) -> Option<i64> {
        if phase == Phase::SyncFail {
            return None;
        }
        let tried = self.run(id).map_or(1, |run| run.attempts);
        let wait = self
            .policy
            .backoff
            .wait(tried.saturating_sub(1), Class::Stalled)?;
        Some(at.saturating_add(i64::try_from(wait.as_secs()).unwrap_or(i64::MAX)))
    }

    /// Creates the hook, once nothing is in its way; or waits for what runs.
    fn begin(&self, phase: Phase, id: &ObjectId, hook: &Hook, progress: &mut Progress) {
        if hook.object.resource().is_none() {
            let kind = &hook.object.gvk;
            return progress.wait(format!("{phase} hook {id} (kind {kind} is not served)"));
        }
        let entry = self.inventory.get(id);
        let run = self.run(id);
        match self.live.get(id) {
            None => progress.wait(format!("{phase} hook {id} (not read yet)")),
            Some(Sighting::Unknown(why)) => progress.wait(format!("{phase} hook {id} ({why})")),
            Some(Sighting::Absent) => progress.steps.push(self.step(Action::RunHook(phase), id)),
            Some(Sighting::Present(seen)) => {
                let is_own = is_ours(seen, entry) && entry.is_some_and(|entry| !entry.adopted);
                if !is_own {
                    let why = "an object of its name is there that towline did not create: delete it, or rename the hook";
                    progress.wait(format!("{phase} hook {id} ({why})"));
                    progress.foreign.push((id.clone(), why.into()));
                } else if let Some(running) = run.and_then(|run| run.running.as_ref()) {
                    let phase = running.phase;
                    let (status, why) = (seen.health.status.as_str(), &seen.health.message);
                    progress.wait(format!("{phase} hook {id} ({status}: {why})"));
                } else if seen.terminating {
                    progress.wait(format!("{phase} hook {id} (the last one is being deleted)"));
                } else if let Some((line, due)) = self.last_run(id) {
                    progress.wait(line);
                    progress.due = progress.due.or(Some(due));
                } else {
                    progress.steps.push(self.step(Action::DeleteHook, id));
                }
            }
        }
    }

    /// What a hook still does for another revision, and until when: it is not killed.
    fn last_run(&self, id: &ObjectId) -> Option<(String, i64)> {
        let run = self.inventory.get(id)?.hook.as_ref()?;
        let deadline = run.running.as_ref()?.deadline;
        let line = format!("hook {id} of {}", run.commit);
        (self.gate.now < deadline).then_some((line, deadline))
    }

    /// A hook of a generated name, of an older revision: the next one replaces it.
    fn is_superseded(&self, entry: &Entry) -> bool {
        entry.generated.is_some()
            && self
                .desired
                .hooks
                .values()
                .any(|hook| hook.prefix == entry.generated)
    }
}

/// Whether the policy of a hook wants its object gone, now that its last phase has ended.
fn is_unwanted(hook: &Hook, run: &HookRun) -> bool {
    match run.ended.last_key_value() {
        Some((_, Outcome::Succeeded)) => hook.delete.contains(&DeletePolicy::HookSucceeded),
        Some((_, Outcome::Failed { .. })) => hook.delete.contains(&DeletePolicy::HookFailed),
        None => false,
    }
}

/// The start of a revision's digest, as records have it.
fn short(digest: &str) -> &str {
    digest.get(..DIGEST_LENGTH).unwrap_or(digest)
}

/// The sync that a hook begins in.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a> {
    /// The digest of its revision.
    pub digest: &'a str,
    /// The first hex digits of its commit.
    pub commit: &'a str,
    /// Identity of the request that it answers; empty without one.
    pub token: &'a str,
    /// The time, in seconds since the epoch.
    pub now: i64,
    /// An object that was created before is not the hook's.
    pub since: i64,
}

/// The record of a hook that is about to be created, to be stored before it is.
pub fn begun(hook: &Hook, entry: Option<&Entry>, phase: Phase, start: Start<'_>) -> Entry {
    let digest = short(start.digest);
    let known = entry.and_then(|entry| entry.hook.clone());
    let mut run = known
        .filter(|run| run.digest == digest)
        .unwrap_or_else(|| HookRun::new(digest, start.commit, start.token));
    run.begin(phase, start.now.saturating_add(hook.bound));
    let mut next = Entry::intended(&hook.object.gvk, hook.object.hash, start.since);
    hook.object.describe(&mut next);
    next.generated.clone_from(&hook.prefix);
    next.hook = Some(run);
    next
}

/// The records that a request to sync changes. It makes a revision whose hooks are done, or whose
/// sync failed, run once more; one that is under way it joins, so that nothing runs twice.
pub fn asked(desired: &Desired, inventory: &Inventory, token: &str) -> Vec<(ObjectId, Entry)> {
    let digest = short(&desired.digest);
    let records = || {
        desired.hooks.iter().filter_map(|(id, hook)| {
            let entry = inventory.get(id)?;
            let run = entry.hook.as_ref().filter(|run| run.digest == digest)?;
            Some((id, hook, entry, run))
        })
    };
    if records().all(|(.., run)| run.token == token) {
        return Vec::new();
    }
    let is_done = |(id, hook): (&ObjectId, &Hook)| {
        let run = records()
            .find(|(known, ..)| *known == id)
            .map(|(.., run)| run);
        let mut needed = hook.phases.iter().filter(|phase| NEEDED.contains(phase));
        needed.all(|phase| run.and_then(|run| run.ended.get(phase)) == Some(&Outcome::Succeeded))
    };
    let succeeded = desired.hooks.iter().all(is_done);
    let failed = records().any(|(.., run)| {
        let mut ends = run.ended.values();
        ends.any(|end| matches!(end, Outcome::Failed { .. }))
    });
    records()
        .map(|(id, _, entry, _)| {
            let mut entry = entry.clone();
            if let Some(run) = &mut entry.hook {
                run.token = token.to_owned();
                if succeeded || failed {
                    run.ended.clear();
                }
            }
            (id.clone(), entry)
        })
        .collect()
}

/// What was seen last of finished objects that are gone: a TTL may be shorter than a look.
pub type Last = BTreeMap<ObjectId, Observed>;

/// The records that change by what was seen: hooks that ended, hooks that are gone, and hooks whose
/// record was lost.
pub fn seen(
    desired: &Desired,
    inventory: &Inventory,
    live: &Live,
    last: &Last,
    now: i64,
) -> Vec<(ObjectId, Entry)> {
    let ended = inventory.iter().filter_map(|(id, entry)| {
        entry.hook.as_ref()?.running.as_ref()?;
        let end = outcome(id, entry, live.get(id)?, last.get(id), now)?;
        let mut next = entry.clone();
        next.hook.as_mut()?.end(end);
        Some((id.clone(), next))
    });
    let lost = desired.hooks.iter().filter_map(|(id, hook)| {
        let seen = live.get(id)?.present()?;
        let is_lost = inventory.get(id).is_none()
            && seen.claim == crate::inventory::Claim::Ours
            && seen.applied_by_us;
        let run = HookRun::from_mark(&seen.hook_run, seen.created.saturating_add(hook.bound));
        let run = run.filter(|_| is_lost)?;
        let mut entry = Entry::intended(&hook.object.gvk, hook.object.hash, 0);
        entry.state = State::Owned {
            uid: seen.uid.clone(),
        };
        entry.generated.clone_from(&hook.prefix);
        entry.hook = Some(run);
        Some((id.clone(), entry))
    });
    ended.chain(lost).collect()
}

/// How a running hook ended, if it did.
fn outcome(
    id: &ObjectId,
    entry: &Entry,
    sighting: &Sighting,
    last: Option<&Observed>,
    now: i64,
) -> Option<Outcome> {
    // One that is written down and not owned was never created, or that is not known yet.
    let uid = entry.uid()?;
    if let Some(end) = last
        .filter(|seen| seen.uid == uid)
        .and_then(|seen| end(id, seen, now))
    {
        return Some(end);
    }
    let failed = |message: &str| {
        Some(Outcome::Failed {
            at: now,
            message: message.into(),
        })
    };
    match sighting {
        Sighting::Unknown(_) => None,
        Sighting::Absent if entry.expires.is_some() => failed(
            "it was deleted before its end was seen, by its ttlSecondsAfterFinished or by hand: a longer one leaves time to look",
        ),
        Sighting::Absent => failed("it was deleted before its end was seen"),
        Sighting::Present(seen) if seen.uid != uid => {
            failed("it was deleted, and another object of its name was created")
        }
        Sighting::Present(seen) => end(id, seen, now),
    }
}

/// A Job or Pod ends when it says so; of any other kind, healthy and degraded are the ends.
fn end(id: &ObjectId, seen: &Observed, now: i64) -> Option<Outcome> {
    let succeeded = match seen.health.status {
        _ if id.runs_to_its_end() => seen.finished.then_some(seen.succeeded)?,
        Status::Healthy => true,
        Status::Degraded => false,
        _ => return None,
    };
    Some(if succeeded {
        Outcome::Succeeded
    } else {
        Outcome::Failed {
            at: now,
            message: seen.health.message.clone(),
        }
    })
}
