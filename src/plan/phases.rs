//! The order of a sync, as Argo CD has it: phases, and waves inside each of them.
//!
//! PreSync hooks; then the objects and the Sync hooks, wave by wave; then the prunes; then, when
//! everything is healthy, the PostSync hooks. A plan holds what can be done of the first part that
//! is not done, and its report says what that waits for.

use std::collections::{BTreeMap, BTreeSet};

use super::hooks::{Hooks, Progress};
use super::prune::Removals;
use super::{Plan, Step, unready, unready_in};
use crate::desired::Barrier;
use crate::inventory::Phase;

/// What the ordinary objects need.
pub(super) struct Ordinary<'a> {
    /// Applies, by wave.
    pub(super) forward: BTreeMap<i32, Vec<Step>>,
    /// Deletes of what left Git, if those may be done.
    pub(super) removals: Option<Removals<'a>>,
}

/// Adds the steps of the first part of the sync that is not done.
pub(super) fn advance(plan: &mut Plan, ordinary: Ordinary<'_>, hooks: Hooks<'_>) {
    if let Some((line, due)) = hooks.of_others() {
        plan.report.hook = Some(line);
        plan.report.due = Some(due);
        return;
    }
    // What fails again with these steps says so again.
    let unfinished = !ordinary.forward.is_empty() || hooks.pending() > 0;
    if (hooks.gate.failed && unfinished) || hooks.gate.degraded {
        fail(plan, hooks);
    }
    in_order(plan, ordinary, hooks);
    let is_final = |failure: &super::Failure| failure.retry.is_none();
    if plan.report.failure.as_ref().is_some_and(is_final) {
        fail(plan, hooks);
    }
}

fn in_order(plan: &mut Plan, mut ordinary: Ordinary<'_>, hooks: Hooks<'_>) {
    for wave in hooks.waves(Phase::PreSync) {
        if !take(plan, hooks.wave(Phase::PreSync, wave)) {
            return;
        }
    }
    if !waves(plan, &mut ordinary.forward, hooks) {
        return;
    }
    if let Some(removals) = ordinary.removals {
        let before = plan.steps.len();
        removals.add_to(plan);
        if plan.steps.len() > before {
            // What was planned before them comes first; what runs after everything waits for them.
            if hooks.pending() > 0 {
                plan.report.hook = Some("hooks wait for what left Git to be gone".into());
            }
            return;
        }
    }
    for wave in hooks.waves(Phase::PostSync) {
        let progress = hooks.wave(Phase::PostSync, wave);
        if progress.is_done() {
            continue;
        }
        if !plan.steps.is_empty() {
            plan.report.hook = Some("PostSync hooks wait for the objects to be applied".into());
        } else if let Some(reason) = unsettled(plan, hooks) {
            plan.report.hook = Some(format!("PostSync hooks wait for {reason}"));
        } else {
            take(plan, progress);
        }
        return;
    }
}

/// The waves of the objects and of the Sync hooks. Returns true when what comes after them may be
/// planned: everything is applied or in this very plan.
fn waves(plan: &mut Plan, forward: &mut BTreeMap<i32, Vec<Step>>, hooks: Hooks<'_>) -> bool {
    let of_hooks = hooks.waves(Phase::Sync);
    let objects = hooks.desired.objects.values();
    let waves: BTreeSet<i32> = objects
        .map(|object| object.wave)
        .chain(of_hooks.iter().copied())
        .collect();
    for wave in waves {
        let steps = forward.remove(&wave).unwrap_or_default();
        let progress = hooks.wave(Phase::Sync, wave);
        let later = |wave: &&i32| !hooks.wave(Phase::Sync, **wave).is_done();
        let next_hook = of_hooks.range(wave + 1..).find(later);
        let next = forward.keys().chain(next_hook).min().copied();
        if !steps.is_empty() || !progress.is_done() {
            let applies = !steps.is_empty();
            plan.steps.extend(steps);
            let settled = take(plan, progress);
            if let (true, Some(next)) = (applies, next) {
                plan.report.wave = Some(format!("wave {next} waits for wave {wave} to be applied"));
            }
            return settled && next.is_none();
        }
        if let Some(next) = next
            && let Some(reason) = unready_in(wave, hooks.desired, hooks.live, hooks.inventory)
        {
            plan.report.wave = Some(format!("wave {next} waits for {reason}"));
            return false;
        }
    }
    true
}

/// Why the sync of the objects is not over, although nothing of it is left to plan.
fn unsettled(plan: &Plan, hooks: Hooks<'_>) -> Option<String> {
    let objects = hooks.desired.objects.values();
    let sick = { objects.into_iter() }.find_map(|o| unready(o, hooks.live, hooks.inventory));
    let waiting = || {
        let (id, why) = plan.report.objects.iter().next()?;
        Some(format!("{id} ({why})"))
    };
    sick.or_else(waiting)
}

/// The hooks for a sync that failed.
fn fail(plan: &mut Plan, hooks: Hooks<'_>) {
    for wave in hooks.waves(Phase::SyncFail) {
        let progress = hooks.wave(Phase::SyncFail, wave);
        let done = progress.steps.is_empty() && progress.waits.is_none();
        // Before anything that may fail; the failure that is told is that of the sync.
        plan.steps
            .extend(progress.steps.into_iter().map(|step| Step {
                barrier: Barrier::Foundation,
                ..step
            }));
        if let Some(waits) = progress.waits {
            plan.report.hook = Some(format!("waits for {waits}"));
        }
        if !done {
            return;
        }
    }
}

/// Adds what the hooks of a wave do next. Returns true when they are done.
fn take(plan: &mut Plan, progress: Progress) -> bool {
    let done = progress.is_done();
    plan.steps.extend(progress.steps);
    plan.report.hook = plan.report.hook.take().or_else(|| {
        let waits = progress.waits?;
        Some(format!("waits for {waits}"))
    });
    plan.report.failure = plan.report.failure.take().or(progress.failure);
    plan.report.due = plan.report.due.or(progress.due);
    plan.report.objects.extend(progress.foreign);
    done
}

#[cfg(test)]
mod tests;
