//! Taking in what steps did, and saying what they could not do.

use super::application::Application;
use super::drift::blows;
use super::ended;
use crate::apply::{Effect, Outcome};
use crate::desired::{Desired, Recreation};
use crate::error::{Class, Fault as _};
use crate::health::{self, Health};
use crate::inventory::{Phase, State};
use crate::live::{Observed, Sighting};
use crate::object::{Lockstep, ObjectId};
use crate::plan::{Action, Step};
use crate::status::Problem;

impl Application {
    /// Takes in what a step did.
    pub(super) fn take(&mut self, outcome: Outcome, desired: &Desired, now: i64) {
        let Outcome { step, result } = outcome;
        let effect = match result {
            Ok(effect) => effect,
            Err(error) => {
                if self.needs_recreation(&step, &error, desired) {
                    return;
                }
                let mut problem = self.refused(&error, Some(&step.id));
                if step.action == Action::Prune && problem.class == Class::Stalled {
                    problem = not_pruned(problem);
                }
                // Hooks that run after all of it was applied, or because it failed, leave nothing
                // half done.
                let is_written = matches!(
                    step.action,
                    Action::Create
                        | Action::Adopt
                        | Action::Update
                        | Action::Recreate
                        | Action::RunHook(Phase::PreSync | Phase::Sync)
                );
                if is_written && problem.class == Class::Stalled {
                    self.court.refused = Some((step.id.clone(), problem.clone()));
                }
                // The live state is not known any more: it is read before the next try.
                if problem.class != Class::Stalled {
                    self.live.remove(&step.id);
                }
                return self.problems.push(problem);
            }
        };
        if matches!(step.action, Action::RunHook(_) | Action::DeleteHook) {
            return self.take_hook(&step, effect, desired, now);
        }
        let inventory = self.inventory.get_or_insert_default();
        match effect {
            Effect::Applied {
                object,
                changed,
                undone,
            } => {
                let from_goal = step.action != Action::Heal;
                let source = if from_goal {
                    desired.objects.get(&step.id)
                } else {
                    None
                };
                let declared = source.or_else(|| self.enforced.get(&step.id)).cloned();
                let mut seen: Observed = self.mailbox.observe(&object, now);
                let expires = seen.expires;
                if let Some(declared) = declared {
                    seen.holds = Some(declared.hash);
                    inventory.update(&step.id, |entry| {
                        entry.state = State::Owned {
                            uid: seen.uid.clone(),
                        };
                        entry.hash = declared.hash;
                        entry.version.clone_from(&declared.gvk.version);
                        declared.describe(entry);
                        entry.done = false;
                        entry.failure = None;
                        entry.expires = expires;
                        entry.hook = None;
                    });
                    self.enforced.insert(step.id.clone(), declared);
                }
                // A heal that changed nothing was a suspicion: other versions, other writers.
                let was_there = self
                    .live
                    .get(&step.id)
                    .and_then(Sighting::present)
                    .is_some();
                let undid = !undone.is_empty() || !was_there;
                if changed && (from_goal || undid) {
                    self.shared.metrics.write(step.action);
                    self.summary.count(step.action);
                }
                if changed && undid && !from_goal {
                    self.fights
                        .healed(&step.id, blows(&undone), self.born.elapsed());
                    self.heals.add(step.id.to_string(), undone);
                }
                self.immutable.forget(&step.id);
                self.live.insert(step.id, Sighting::Present(Box::new(seen)));
            }
            Effect::Removed { terminating } => {
                self.shared.metrics.write(step.action);
                self.summary.count(step.action);
                // What it was is not to come back, whoever looks at the record next.
                inventory.update(&step.id, |entry| {
                    entry.hash = 0;
                    entry.done = false;
                    entry.failure = None;
                    entry.expires = None;
                });
                self.enforced.remove(&step.id);
                self.immutable.forget(&step.id);
                match self.live.get_mut(&step.id) {
                    Some(Sighting::Present(seen)) if terminating => seen.terminating = true,
                    _ => {
                        self.live.insert(step.id, Sighting::Absent);
                    }
                }
            }
            Effect::Gone | Effect::Forgotten => {
                // It may have been an autoscaler.
                self.scaled.clear();
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
                // What it waits for is told by the watch.
                if let Some(Sighting::Present(seen)) = self.live.get_mut(&step.id) {
                    seen.terminating = true;
                }
            }
        }
    }

    /// Whether the server refused a change because of a field that cannot be changed in place, and
    /// the object may be created anew: the next plan does that.
    fn needs_recreation(
        &mut self,
        step: &Step,
        error: &crate::cluster::Error,
        desired: &Desired,
    ) -> bool {
        let object = desired.objects.get(&step.id);
        let seen = self.live.get(&step.id).and_then(Sighting::present);
        let (Some(object), Some(seen)) = (object, seen) else {
            return false;
        };
        let applies = step.action == Action::Update
            && error.reason() == "ImmutableField"
            && object.recreation != Recreation::Never;
        if applies {
            self.immutable.note(&step.id, &seen.uid, object.hash);
        }
        applies
    }

    /// The worst object of the revision that is enforced, or that it lacks because the object is
    /// somebody else's.
    pub(super) fn worst(&self) -> Option<(String, Health)> {
        let mut live = Lockstep::of(&self.live);
        // Nearly all are healthy, and one of those stands for the others.
        let mut has_healthy = false;
        let enforced = self.enforced.keys().filter_map(|id| {
            let seen = live.get(id);
            let healthy = |seen: &Sighting| {
                let health = seen.present().map(|seen| seen.health.status);
                health == Some(health::Status::Healthy)
            };
            if seen.is_some_and(healthy) && std::mem::replace(&mut has_healthy, true) {
                return None;
            }
            let done = self.inventory.as_ref().and_then(|i| i.get(id));
            let health = match seen {
                Some(Sighting::Present(seen)) => seen.health.clone(),
                Some(Sighting::Absent) => match done {
                    Some(entry) if entry.done => match entry.lasting_failure() {
                        Some(message) => ended::failed(message),
                        None => Health::new(health::Status::Healthy, "", ""),
                    },
                    _ => Health::missing(),
                },
                Some(Sighting::Unknown(why)) => Health::unknown(why),
                None => Health::unknown("not read yet"),
            };
            Some((id.to_string(), health))
        });
        let assessed: Vec<(String, Health)> = enforced
            .chain(self.running_hooks())
            .chain(self.lacking())
            .collect();
        let worst = health::worst(assessed.iter().map(|(_, health)| health))?.clone();
        assessed.into_iter().find(|(_, health)| *health == worst)
    }

    /// What the newest revision declares and the Application has not: because it cannot be touched,
    /// or because nothing of the revision is there yet. Others are on their way, and counted as out of
    /// sync.
    fn lacking(&self) -> impl Iterator<Item = (String, Health)> {
        let goal = self.goal.as_ref().map(|goal| &goal.desired.objects);
        goal.into_iter().flatten().filter_map(|(id, object)| {
            if object.ignored || self.enforced.contains_key(id) {
                return None;
            }
            let barred = self.report.as_ref().and_then(|r| r.objects.get(id));
            let health = match (barred, self.live.get(id)) {
                (Some(why), _) => Health::new(health::Status::Missing, "NotApplied", why),
                (None, Some(Sighting::Absent)) if self.enforced.is_empty() => Health::missing(),
                _ => return None,
            };
            Some((id.to_string(), health))
        })
    }

    /// A refusal of the API server, with the object's place in the repository and the remedy.
    pub(super) fn refused(&self, error: &crate::cluster::Error, id: Option<&ObjectId>) -> Problem {
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
    pub(super) fn place(&self, id: &ObjectId) -> String {
        let declared = self.goal.as_ref().and_then(|goal| {
            let hook = goal.desired.hooks.get(id).map(|hook| &hook.object);
            goal.desired.objects.get(id).or(hook)
        });
        declared
            .map(|object| format!("{}: ", object.place))
            .unwrap_or_default()
    }
}

/// An object that could not be deleted is not forgotten for it.
fn not_pruned(problem: Problem) -> Problem {
    Problem {
        reason: "PruneFailed".into(),
        message: format!("{}; it stays recorded, and is tried again", problem.message),
        ..problem
    }
}
