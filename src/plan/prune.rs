//! In which order objects are removed. Never two that depend on each other at once: what comes
//! later waits until what comes first is *gone*, not only deleted.
//!
//! Higher waves first, the reverse of how they came. Inside a wave: custom resources, while the
//! operator that serves their finalizers still runs; then webhooks and API services, before the
//! workloads that answer for them (a webhook without its server refuses other people's requests,
//! and the deletions that follow too: Helm has the same order); then workloads; then what they refer
//! to. CustomResourceDefinitions and Namespaces come after everything else, because they take what
//! is in them along.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::guard::is_superseded;
use super::{Action, Plan, Step, recorded_barrier, unready};
use crate::desired::{Barrier, Desired};
use crate::diff::{Change, Diff};
use crate::inventory::Inventory;
use crate::live::Live;
use crate::object::{ObjectId, is_built_in};

/// What is removed at the same time, inside one wave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    CustomResource,
    Interception,
    Workload,
    Configuration,
    Definition,
    Namespace,
}

/// When an object is removed: in the order of this value.
type Turn = (bool, Reverse<i32>, Stage);

fn turn(id: &ObjectId, inventory: &Inventory) -> Turn {
    let stage = match (id.group.as_str(), id.kind.as_str()) {
        ("", "Namespace") => Stage::Namespace,
        ("apiextensions.k8s.io", "CustomResourceDefinition") => Stage::Definition,
        (group, _) if !is_built_in(group) => Stage::CustomResource,
        _ => match recorded_barrier(id, inventory) {
            Barrier::Interception => Stage::Interception,
            Barrier::Configuration => Stage::Configuration,
            Barrier::Foundation | Barrier::Workload => Stage::Workload,
        },
    };
    if stage >= Stage::Definition {
        return (true, Reverse(0), stage);
    }
    let wave = inventory.get(id).map_or(0, |entry| entry.wave);
    (false, Reverse(wave), stage)
}

/// What is to be removed, and what decides about when.
pub(super) struct Removals<'a> {
    /// Deletions, and records that are dropped.
    pub(super) steps: Vec<Step>,
    /// Those that wait for a confirmation.
    pub(super) unconfirmed: BTreeSet<ObjectId>,
    /// Everything that left, those on their way out too.
    pub(super) diff: &'a Diff,
    pub(super) desired: &'a Desired,
    pub(super) live: &'a Live,
    pub(super) inventory: &'a Inventory,
    /// Nothing is deleted before everything that is declared is healthy.
    pub(super) last: bool,
}

/// What there is of one turn.
#[derive(Default)]
struct Group {
    steps: Vec<Step>,
    /// On their way out, with what they wait for.
    ending: Vec<(ObjectId, String)>,
    /// Deleted later, for a reason that is told elsewhere.
    kept_back: usize,
}

impl Group {
    fn len(&self) -> usize {
        self.steps.len() + self.ending.len() + self.kept_back
    }
}

impl Removals<'_> {
    /// The first object of the revision that is not healthy yet, and why. What this plan still
    /// writes is not, whatever is there now.
    fn unhealthy(&self, plan: &Plan) -> Option<String> {
        if let Some(step) = plan.steps.first() {
            return Some(format!("{} (not applied yet)", step.id));
        }
        let mut declared = self.desired.objects.values();
        declared.find_map(|object| unready(object, self.live, self.inventory))
    }

    /// Adds the steps of the first turn that is not over, and says what the rest waits for.
    pub(super) fn add_to(self, plan: &mut Plan) {
        let is_last = |id: &ObjectId| {
            self.last
                || self.inventory.get(id).is_some_and(|entry| entry.prune_last)
                || is_superseded(id, self.desired, self.inventory)
        };
        let mut deletions = self.steps.iter().filter(|s| s.action == Action::Prune);
        let asks = deletions.any(|step| is_last(&step.id));
        let sick = asks.then(|| self.unhealthy(plan)).flatten();
        let mut groups: BTreeMap<Turn, Group> = BTreeMap::new();
        let mut deferred = 0;
        for step in &self.steps {
            // A record that is dropped deletes nothing.
            if step.action != Action::Prune {
                plan.steps.push(step.clone());
                continue;
            }
            let group = groups.entry(turn(&step.id, self.inventory)).or_default();
            if self.unconfirmed.contains(&step.id) {
                group.kept_back += 1;
            } else if sick.is_some() && is_last(&step.id) {
                group.kept_back += 1;
                deferred += 1;
            } else {
                group.steps.push(step.clone());
            }
        }
        for (id, change) in self.diff {
            if let Change::Wait(why) = change
                && !self.desired.objects.contains_key(id)
            {
                let group = groups.entry(turn(id, self.inventory)).or_default();
                group.ending.push((id.clone(), why.clone()));
            }
        }
        if let (Some(why), true) = (sick, deferred > 0) {
            let deletions = match deferred {
                1 => "1 deletion waits".to_owned(),
                n => format!("{n} deletions wait"),
            };
            plan.report.wave = Some(format!("{deletions} for {why} (PruneLast)"));
        }
        let later: usize = groups.values().skip(1).map(Group::len).sum();
        let Some((_, first)) = groups.into_iter().next() else {
            return;
        };
        plan.steps.extend(first.steps);
        if let Some((id, why)) = first.ending.first() {
            let others = match first.ending.len() {
                1 => String::new(),
                n => format!(" (and {} more)", n - 1),
            };
            let waiting = match later {
                0 => String::new(),
                1 => "; 1 more deletion waits for it".to_owned(),
                n => format!("; {n} more deletions wait for it"),
            };
            plan.report.removal = Some(format!("{id}: {why}{others}{waiting}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served_goes_before_what_serves_it() {
        let inventory = Inventory::default();
        let order = [
            ("example.com", "Widget"),
            (
                "admissionregistration.k8s.io",
                "ValidatingWebhookConfiguration",
            ),
            ("apps", "Deployment"),
            ("rbac.authorization.k8s.io", "ClusterRole"),
            ("apiextensions.k8s.io", "CustomResourceDefinition"),
            ("", "Namespace"),
        ];
        let turns: Vec<Turn> = order
            .iter()
            .map(|(group, kind)| turn(&ObjectId::new(*group, *kind, "", "x"), &inventory))
            .collect();
        assert!(turns.is_sorted_by(|a, b| a < b), "{turns:?}");
        let as_config = turn(&ObjectId::new("", "ConfigMap", "shop", "x"), &inventory);
        assert_eq!(as_config, turns[3]);
    }
}
