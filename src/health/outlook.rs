//! What the health of an object hangs on besides the object: time, a fact that stands elsewhere in
//! the cluster, and its pods. An object that is Healthy and stays so has nothing of this.

use super::workload_pods::{PodSeen, Pods, Workload, with_pods};
use super::{Health, ObservationRules, Status, assess, rule_of};
use crate::object::{Gvk, Object, is_built_in};

/// How far ahead is looked, in seconds: above every time that a rule waits.
const HORIZON: u64 = 3600;

/// What becomes of an object by time alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// When, in seconds since 1970.
    pub at: u64,
    /// What it is from then on.
    pub health: Health,
}

/// What has to be known of something else to tell the health of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// Does the StorageClass of this name bind a claim only when a pod uses it
    /// (`volumeBindingMode: WaitForFirstConsumer`)?
    BindsLate(String),
    /// Does the CRD of this kind declare `status.observedGeneration` or `status.conditions` at this
    /// version?
    DeclaresStatus(Gvk),
}

/// A question, and the health if the answer is yes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    question: Question,
    health: Health,
    turn: Option<Turn>,
}

/// What may change the health of an object without the object being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsettled {
    itself: Health,
    turn: Option<Turn>,
    asked: Option<Asked>,
    workload: Option<Workload>,
}

/// The health of an object by what it says itself, and what else it hangs on.
pub fn outlook(object: &Object, now: u64) -> (Health, Option<Box<Unsettled>>) {
    let rules = ObservationRules::default();
    let (health, turn) = ahead(object, now, &rules);
    let asked = question(object, &health).and_then(|(question, rules)| {
        let (then, turn) = ahead(object, now, &rules);
        (then.status != health.status).then_some(Asked {
            question,
            health: then,
            turn,
        })
    });
    let workload = Workload::of(object, &health);
    if turn.is_none() && asked.is_none() && workload.is_none() {
        return (health, None);
    }
    let unsettled = Unsettled {
        itself: health.clone(),
        turn,
        asked,
        workload,
    };
    (health, Some(Box::new(unsettled)))
}

impl Unsettled {
    /// The question to ask, if there is one.
    pub fn question(&self) -> Option<&Question> {
        self.asked.as_ref().map(|asked| &asked.question)
    }

    /// The workload, if its pods have more to say.
    pub fn workload(&self) -> Option<&Workload> {
        self.workload.as_ref()
    }

    /// The health at `now`: what the object says, the answer to its question, and what its pods say,
    /// where those are known. Then the time at which it has to be asked again, if there is one.
    pub fn health(
        &self,
        now: u64,
        answer: impl Fn(&Question) -> bool,
        pods: Option<&Pods>,
    ) -> (Health, Option<u64>) {
        let (mut health, mut turn) = (&self.itself, &self.turn);
        if let Some(asked) = &self.asked
            && answer(&asked.question)
        {
            (health, turn) = (&asked.health, &asked.turn);
        }
        let mut next = None;
        match turn {
            Some(turn) if turn.at <= now => health = &turn.health,
            Some(turn) => next = Some(turn.at),
            None => {}
        }
        let (Some(workload), Some(pods)) = (&self.workload, pods) else {
            return (health.clone(), next);
        };
        let turns = pods.iter().filter_map(|pod| PodSeen::turns_after(pod, now));
        let next = turns.chain(next).min();
        (with_pods(workload, health.clone(), pods, now), next)
    }
}

/// The health, and what becomes of it by time. Rules wait for one moment at most, so that there is
/// one turn: it is searched for, and no rule has to say when it is.
pub(super) fn ahead(object: &Object, now: u64, rules: &ObservationRules) -> (Health, Option<Turn>) {
    let health = assess(object, now, rules);
    // Nothing that is done, failed or suspended becomes something else by time.
    let at = |seconds| assess(object, now.saturating_add(seconds), rules);
    if health.status != Status::Progressing || at(HORIZON) == health {
        return (health, None);
    }
    let (mut same, mut other) = (0, HORIZON);
    while other - same > 1 {
        let middle = u64::midpoint(same, other);
        if at(middle) == health {
            same = middle;
        } else {
            other = middle;
        }
    }
    let turn = Turn {
        at: now.saturating_add(other),
        health: at(other),
    };
    (health, Some(turn))
}

/// What would have to be known, and the rules under a yes.
fn question(object: &Object, health: &Health) -> Option<(Question, ObservationRules)> {
    if object.kind() == "PersistentVolumeClaim" {
        let class = object.0.pointer("/spec/storageClassName")?.as_str()?;
        let pending = health.status == Status::Progressing && !class.is_empty();
        let rules = ObservationRules {
            waits_for_first_consumer: true,
            ..ObservationRules::default()
        };
        return pending.then(|| (Question::BindsLate(class.into()), rules));
    }
    let gvk = object.gvk();
    // The group of a CRD has a dot in it.
    let custom = rule_of(&gvk).is_none() && gvk.group.contains('.') && !is_built_in(&gvk.group);
    let rules = ObservationRules {
        declared: true,
        ..ObservationRules::default()
    };
    custom.then_some((Question::DeclaresStatus(gvk), rules))
}

#[cfg(test)]
mod tests;
