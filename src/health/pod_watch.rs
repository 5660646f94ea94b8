//! Which workloads deserve that their pods are watched, and from when to when. In steady state none
//! does: pods are many and change often.
//!
//! One that is on its way gets some patience first: most rollouts need no explanation. It keeps its
//! watch until it has arrived, also while it is Degraded because of its pods, so that their recovery
//! is seen. One that was sick and is on its way again at the same generation is a container that
//! crashes now and then: it is asked at once, so that it does not seem well in between.

use std::collections::{BTreeMap, BTreeSet};

use super::Unsettled;
use crate::object::ObjectId;

/// How long a workload may be on its way before its pods are asked, in milliseconds.
const PATIENCE: u64 = 3_000;

/// What decides about one workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rollout {
    /// Its generation: another one may be another template.
    pub generation: i64,
    /// It failed in the end, and its pods can only tell why: they are looked at once.
    pub failed: bool,
    /// It is Degraded by what its pods say.
    pub sick: bool,
}

impl Rollout {
    /// What decides about an object; `None` when its pods have nothing to add. `degraded` is what
    /// became of it in the light of its pods.
    pub fn of(unsettled: &Unsettled, degraded: bool) -> Option<Self> {
        let workload = unsettled.workload()?;
        Some(Self {
            generation: workload.generation(),
            failed: workload.has_failed(),
            sick: degraded && !workload.has_failed(),
        })
    }
}

/// Since when workloads are on their way, and which of them were sick.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patience {
    since: BTreeMap<ObjectId, u64>,
    /// The generation at which a workload was Degraded by its pods.
    sick: BTreeMap<ObjectId, i64>,
}

/// What to do now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// Whose pods are watched. All other watches are closed.
    pub watch: BTreeSet<ObjectId>,
    /// Whose pods are listed, if they are not known yet.
    pub once: BTreeSet<ObjectId>,
    /// When to ask again, if nothing happens before.
    pub next: Option<u64>,
}

impl Patience {
    /// Decides at `now`, in milliseconds: `rollouts` has the workloads whose pods have something to
    /// add, `is_there` says of all others whether they are still in the cluster.
    pub fn look(
        &mut self,
        rollouts: &BTreeMap<ObjectId, Rollout>,
        is_there: impl Fn(&ObjectId) -> bool,
        now: u64,
    ) -> Look {
        self.since.retain(|id, _| rollouts.contains_key(id));
        self.sick.retain(|id, generation| match rollouts.get(id) {
            Some(rollout) => rollout.generation == *generation,
            None => is_there(id),
        });
        let mut look = Look::default();
        for (id, rollout) in rollouts {
            if rollout.sick {
                self.sick.insert(id.clone(), rollout.generation);
            }
            let since = *self.since.entry(id.clone()).or_insert(now);
            let at = if self.sick.contains_key(id) {
                since
            } else {
                since.saturating_add(PATIENCE)
            };
            if rollout.failed {
                look.once.insert(id.clone());
            } else if at <= now {
                look.watch.insert(id.clone());
            } else {
                look.next = Some(look.next.map_or(at, |next| next.min(at)));
            }
        }
        look
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> ObjectId {
        ObjectId::new("apps", "Deployment", "shop", name)
    }

    fn rollout(generation: i64) -> Rollout {
        Rollout {
            generation,
            failed: false,
            sick: false,
        }
    }

    fn of(rollout: Rollout) -> BTreeMap<ObjectId, Rollout> {
        [(id("web"), rollout)].into()
    }

    /// Whether `web` is watched, and when to ask again.
    fn ask(
        patience: &mut Patience,
        rollouts: &BTreeMap<ObjectId, Rollout>,
        now: u64,
    ) -> (bool, Option<u64>) {
        let look = patience.look(rollouts, |_| true, now);
        (look.watch.contains(&id("web")), look.next)
    }

    #[test]
    fn a_rollout_is_watched_after_three_seconds_and_until_it_has_arrived() {
        let mut patience = Patience::default();
        assert_eq!(
            ask(&mut patience, &of(rollout(1)), 1_000),
            (false, Some(4_000))
        );
        assert_eq!(
            ask(&mut patience, &of(rollout(1)), 3_999),
            (false, Some(4_000))
        );
        assert_eq!(ask(&mut patience, &of(rollout(1)), 4_000), (true, None));
        // A new commit while it is on its way: the watch stays.
        assert_eq!(ask(&mut patience, &of(rollout(2)), 5_000), (true, None));
        let sick = Rollout {
            sick: true,
            ..rollout(2)
        };
        assert_eq!(ask(&mut patience, &of(sick), 6_000), (true, None));
        assert_eq!(ask(&mut patience, &BTreeMap::new(), 7_000), (false, None));
        assert_eq!(patience.since, BTreeMap::new());
    }

    #[test]
    fn one_that_goes_back_and_forth_is_asked_at_once_until_its_template_changes() {
        let mut patience = Patience::default();
        ask(&mut patience, &of(rollout(1)), 0);
        let sick = Rollout {
            sick: true,
            ..rollout(1)
        };
        ask(&mut patience, &of(sick), 4_000);
        ask(&mut patience, &BTreeMap::new(), 5_000);
        assert_eq!(ask(&mut patience, &of(rollout(1)), 9_000), (true, None));
        ask(&mut patience, &BTreeMap::new(), 10_000);
        assert_eq!(
            ask(&mut patience, &of(rollout(2)), 20_000),
            (false, Some(23_000))
        );
    }

    #[test]
    fn nothing_is_remembered_of_what_is_gone() {
        let mut patience = Patience::default();
        let sick = Rollout {
            sick: true,
            ..rollout(1)
        };
        ask(&mut patience, &of(sick), 0);
        patience.look(&BTreeMap::new(), |_| false, 1);
        assert_eq!(patience, Patience::default());
    }

    #[test]
    fn of_one_that_failed_the_pods_are_looked_at_once() {
        let failed = Rollout {
            failed: true,
            ..rollout(1)
        };
        let look = Patience::default().look(&of(failed), |_| true, 0);
        assert_eq!((look.once.len(), look.watch.len(), look.next), (1, 0, None));
    }
}
