//! Workloads that come and go: their containers are restarted now and then, or they are Healthy and
//! not Healthy by turns. A look at any one moment finds nothing that lasts.

use std::collections::{BTreeMap, VecDeque};

use super::{Cause, whole};
use crate::api::{RestartPolicy, RollbackPolicy};
use crate::health::Restarted;
use crate::object::ObjectId;

/// What a look found of a workload that the revision changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workload {
    /// What it says where it is not Healthy.
    pub unwell: Option<String>,
    /// Its generation, where it is on its way: another one is another rollout.
    pub generation: Option<i64>,
    /// Its pods whose containers were restarted; `None` while they are not known.
    pub restarted: Option<Vec<Restarted>>,
}

/// What is remembered of the workloads of one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Unrest {
    workloads: BTreeMap<ObjectId, Record>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Record {
    /// It was Healthy at the last look.
    well: bool,
    /// The generation that it was on its way to last.
    generation: Option<i64>,
    /// How often it stopped being Healthy.
    falls: u32,
    /// What it said then.
    said: String,
    /// How often each pod had been restarted at the last look, by UID; `None` before the first.
    known: Option<BTreeMap<String, i64>>,
    /// When how many restarts were seen, in seconds since the epoch, the oldest first.
    restarts: VecDeque<(i64, i64)>,
    /// Which pod was restarted last, and how its container had ended.
    restarted: String,
}

impl Unrest {
    /// Takes in a look at the workloads of the revision.
    pub(super) fn see(&mut self, workloads: &BTreeMap<ObjectId, Workload>, now: i64) {
        self.workloads.retain(|id, _| workloads.contains_key(id));
        for (id, seen) in workloads {
            let record = self.workloads.entry(id.clone()).or_default();
            record.see_health(seen);
            if let Some(pods) = &seen.restarted {
                record.see_restarts(pods, now);
            }
        }
    }

    /// Containers that were restarted more often than is allowed.
    pub(super) fn restarts(&self, policy: RollbackPolicy, now: i64) -> Option<Cause> {
        let RestartPolicy { limit, within } = policy.restarts?;
        let counted = self.workloads.iter().map(|(id, record)| {
            let recent = record.restarts.iter();
            let recent = recent.filter(|(at, _)| now.saturating_sub(*at) < whole(within));
            (id, record, recent.map(|(_, count)| count).sum::<i64>())
        });
        let (id, record, count) = { counted }.find(|(_, _, count)| *count > limit)?;
        Some(Cause {
            reason: "TooManyRestarts".into(),
            message: format!(
                "{id}: containers were restarted {count} times within {within:?}, more than {limit}; \
                 {}",
                record.restarted
            ),
        })
    }

    /// A workload that did not stay Healthy too often in a row.
    pub(super) fn falls(&self, policy: RollbackPolicy) -> Option<Cause> {
        let most = policy.failure_threshold;
        let mut fallen = { self.workloads.iter() }.filter(|(_, record)| !record.well);
        let (id, record) = fallen.find(|(_, record)| most > 0 && record.falls >= most)?;
        Some(Cause {
            reason: "Flapping".into(),
            message: format!(
                "{id}: stopped being Healthy {} times in a row: {}",
                record.falls, record.said
            ),
        })
    }
}

impl Record {
    fn see_health(&mut self, seen: &Workload) {
        let Some(said) = &seen.unwell else {
            self.well = true;
            return;
        };
        // One of another generation is rolled out or scaled, and was not Healthy for that.
        let is_anew = seen.generation.is_some()
            && self.generation.is_some()
            && seen.generation != self.generation;
        if std::mem::take(&mut self.well) && !is_anew {
            self.falls = self.falls.saturating_add(1);
            self.said.clone_from(said);
        }
        self.generation = seen.generation.or(self.generation);
    }

    /// What was restarted before the first look is not counted: pods may be older than the revision.
    fn see_restarts(&mut self, pods: &[Restarted], now: i64) {
        let is_first = self.known.is_none();
        let known = self.known.take().unwrap_or_default();
        let mut count = 0_i64;
        for pod in pods {
            let before = known.get(&pod.uid).copied().unwrap_or(0);
            let new = pod.count.saturating_sub(before).max(0);
            if !is_first && new > 0 {
                count = count.saturating_add(new);
                self.restarted = format!("pod `{}`: {}", pod.pod, pod.message);
            }
        }
        if count > 0 {
            self.restarts.push_back((now, count));
        }
        let counts = pods.iter().map(|pod| (pod.uid.clone(), pod.count));
        self.known = Some(counts.collect());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::POLICY;
    use super::*;

    fn web() -> ObjectId {
        ObjectId::new("apps", "Deployment", "shop", "web")
    }

    fn pod(uid: &str, count: i64) -> Restarted {
        Restarted {
            pod: format!("web-{uid}"),
            uid: uid.to_owned(),
            count,
            message: "container `web` exited with 1".into(),
        }
    }

    fn counted(unrest: &mut Unrest, pods: &[Restarted], now: i64) -> Option<String> {
        let policy = RollbackPolicy {
            restarts: Some(RestartPolicy {
                limit: 2,
                within: Duration::from_secs(60),
            }),
            ..POLICY
        };
        let seen = Workload {
            restarted: Some(pods.to_vec()),
            ..Workload::default()
        };
        unrest.see(&[(web(), seen)].into(), now);
        assert_eq!(unrest.restarts(POLICY, now), None, "without a limit");
        unrest.restarts(policy, now).map(|cause| cause.to_string())
    }

    #[test]
    fn restarts_of_all_pods_count_from_the_first_look_on_and_for_a_time() {
        let mut unrest = Unrest::default();
        let mut see = |pods: &[Restarted], now| counted(&mut unrest, pods, now);
        assert_eq!(see(&[pod("old", 9)], 1_000), None);
        assert_eq!(see(&[pod("old", 10)], 1_010), None);
        assert_eq!(see(&[pod("old", 10), pod("a", 1)], 1_020), None);
        // The first is past when the third comes; what is gone stays counted.
        assert_eq!(see(&[pod("b", 1)], 1_070), None);
        assert_eq!(
            see(&[pod("b", 2)], 1_079).as_deref(),
            Some(
                "TooManyRestarts: Deployment/shop/web: containers were restarted 3 times within 60s, \
                 more than 2; pod `web-b`: container `web` exited with 1"
            )
        );
        assert_eq!(see(&[pod("b", 2)], 1_080), None);
    }

    #[test]
    fn pods_that_are_not_known_were_not_restarted() {
        let mut unrest = Unrest::default();
        unrest.see(&[(web(), Workload::default())].into(), 1_000);
        assert_eq!(counted(&mut unrest, &[pod("a", 7)], 1_001), None);
    }

    fn fall(unrest: &mut Unrest, generation: Option<i64>) -> Option<String> {
        let unwell = Workload {
            unwell: Some("0 of 1 updated replicas are available".into()),
            generation,
            restarted: None,
        };
        unrest.see(&[(web(), unwell)].into(), 1_000);
        unrest.falls(POLICY).map(|cause| cause.to_string())
    }

    fn rise(unrest: &mut Unrest) {
        unrest.see(&[(web(), Workload::default())].into(), 1_000);
        assert_eq!(unrest.falls(POLICY), None, "while it is Healthy");
    }

    #[test]
    fn what_is_healthy_and_not_by_turns_fails_the_third_time() {
        let mut unrest = Unrest::default();
        // The rollout itself.
        assert_eq!(fall(&mut unrest, Some(2)), None);
        for _ in 0..2 {
            rise(&mut unrest);
            assert_eq!(fall(&mut unrest, Some(2)), None);
            assert_eq!(fall(&mut unrest, Some(2)), None, "the same one");
        }
        rise(&mut unrest);
        assert_eq!(
            fall(&mut unrest, Some(2)).as_deref(),
            Some(
                "Flapping: Deployment/shop/web: stopped being Healthy 3 times in a row: \
                 0 of 1 updated replicas are available"
            )
        );
        let never = RollbackPolicy {
            failure_threshold: 0,
            ..POLICY
        };
        assert_eq!(unrest.falls(never), None);
    }

    #[test]
    fn what_is_scaled_again_and_again_does_not_fall() {
        let mut unrest = Unrest::default();
        for generation in 2..9 {
            assert_eq!(fall(&mut unrest, Some(generation)), None);
            rise(&mut unrest);
        }
        // It failed in the end by what it says itself.
        assert_eq!(fall(&mut unrest, None), None);
    }
}
