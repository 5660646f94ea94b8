//! What the pods of a workload say about it, so that a rollout that cannot succeed fails with the
//! pod's own message and not at its deadline.

use std::collections::BTreeMap;

use serde_json::Value;

use super::outlook::{Turn, ahead};
use super::restarts::{Counted, Restarted};
use super::{AWAITS_OBSERVATION, Health, ObservationRules, Status, selector};
use crate::object::{Object, ObjectId};

/// The most pods that are remembered of one workload.
const POD_LIMIT: usize = 100;

/// What a Job counts itself and tries again, up to its `backoffLimit`. An image that cannot be
/// pulled or a pod that finds no node is counted by nobody.
const COUNTED_BY_JOBS: &[&str] = &[
    "CrashLoopBackOff",
    "OOMKilled",
    "PostStartHookError",
    "RunContainerError",
];

/// A workload whose pods have more to say than it does, reduced to what tells which pods count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    kind: Kind,
    name: String,
    uid: String,
    /// It is not on its way any more, and failed: its pods can only tell why.
    failed: bool,
    generation: i64,
    selector: String,
    newest: Newest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Deployment,
    StatefulSet,
    DaemonSet,
    ReplicaSet,
    Job,
}

/// Which pods are of the newest template. Others do not count: a rollout away from a revision that
/// crashes has them.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Newest {
    /// None yet: what is there is of an older template.
    Nothing,
    /// All of them.
    All,
    /// Those with this hash.
    Hash(String),
    /// Those with the hash of the pod that was made last.
    OfLastPod,
}

/// What there is to know of one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PodSeen {
    name: String,
    created: String,
    /// The hash of its template.
    hash: String,
    /// UID and name of its controller.
    owner: (String, String),
    health: Health,
    turn: Option<Turn>,
    /// Ended or gone: its controller makes another one.
    ended: bool,
}

/// The pods of one workload, as a watch tells of them: those that say something, and those that were
/// restarted, at most 100 of either.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pods {
    seen: BTreeMap<String, PodSeen>,
    /// Pods whose containers were restarted.
    restarted: BTreeMap<String, Counted>,
    /// Creation and template's hash of the pod that was made last.
    last: (String, String),
}

impl Workload {
    /// The workload, if `health` is not all there is to say about it: it is on its way, or failed in
    /// the end.
    pub fn of(object: &Object, health: &Health) -> Option<Self> {
        let failed = matches!(health.reason, "JobFailed" | "ProgressDeadlineExceeded");
        if object.is_terminating() || !(failed || health.status == Status::Progressing) {
            return None;
        }
        let kind = match (object.gvk().group.as_str(), object.kind()) {
            ("apps", "Deployment") => Kind::Deployment,
            ("apps", "StatefulSet") => Kind::StatefulSet,
            ("apps", "DaemonSet") => Kind::DaemonSet,
            ("apps", "ReplicaSet") => Kind::ReplicaSet,
            ("batch", "Job") => Kind::Job,
            _ => return None,
        };
        let newest = if health.reason == AWAITS_OBSERVATION || health.reason == "NotObserved" {
            Newest::Nothing
        } else {
            newest(object, kind)
        };
        Some(Self {
            kind,
            name: object.name().to_owned(),
            uid: object.uid().to_owned(),
            failed,
            generation: number(object, "/metadata/generation"),
            selector: selector_of(object)?,
            newest,
        })
    }

    /// What selects its pods.
    pub fn selector(&self) -> &str {
        &self.selector
    }

    /// Its generation: another one may be another template.
    pub fn generation(&self) -> i64 {
        self.generation
    }

    /// Selectors may overlap: whether a pod is of this workload, and of no other.
    fn owns(&self, pod: &PodSeen) -> bool {
        let (uid, name) = &pod.owner;
        match self.kind {
            _ if uid.is_empty() => true,
            // Its ReplicaSet does.
            Kind::Deployment => name
                .strip_prefix(self.name.as_str())
                .and_then(|rest| rest.strip_prefix('-'))
                .is_some_and(|hash| hash == pod.hash),
            _ => *uid == self.uid,
        }
    }

    /// It failed in the end: one look at its pods is enough.
    pub fn has_failed(&self) -> bool {
        self.failed
    }
}

/// What selects the pods of a workload, as the API server takes it; `None` where nothing does.
pub fn selector_of(workload: &Object) -> Option<String> {
    selector::text(workload.0.pointer("/spec/selector")?)
}

fn newest(object: &Object, kind: Kind) -> Newest {
    match kind {
        Kind::ReplicaSet | Kind::Job => Newest::All,
        Kind::Deployment if number(object, "/status/updatedReplicas") == 0 => Newest::Nothing,
        Kind::Deployment => replica_set(object).map_or(Newest::OfLastPod, Newest::Hash),
        Kind::DaemonSet if number(object, "/status/updatedNumberScheduled") == 0 => Newest::Nothing,
        // Its controller makes pods of the newest template only.
        Kind::DaemonSet => Newest::OfLastPod,
        Kind::StatefulSet => match text(object, "/status/updateRevision") {
            "" => Newest::OfLastPod,
            revision => Newest::Hash(revision.to_owned()),
        },
    }
}

/// The hash of a Deployment's newest ReplicaSet, which its condition names: `ReplicaSet
/// "web-5d4f8c7b9d" is progressing.` Without a progress deadline there is no such condition.
fn replica_set(object: &Object) -> Option<String> {
    let conditions = object.0.pointer("/status/conditions")?.as_array()?;
    let progressing = conditions.iter().find(|c| c["type"] == "Progressing")?;
    let name = progressing["message"].as_str()?.split('"').nth(1)?;
    let hash = name.strip_prefix(object.name())?.strip_prefix('-')?;
    Some(hash.to_owned())
}

impl PodSeen {
    /// Reduces a pod.
    fn of(pod: &Object, now: u64) -> Self {
        let (health, turn) = ahead(pod, now, &ObservationRules::default());
        let hash = ["pod-template-hash", "controller-revision-hash"]
            .iter()
            .find_map(|label| pod.label(label));
        Self {
            name: pod.name().to_owned(),
            created: text(pod, "/metadata/creationTimestamp").to_owned(),
            hash: hash.unwrap_or_default().to_owned(),
            owner: controller(pod),
            ended: matches!(text(pod, "/status/phase"), "Failed" | "Succeeded"),
            health,
            turn,
        }
    }

    fn health_at(&self, now: u64) -> &Health {
        match &self.turn {
            Some(turn) if turn.at <= now => &turn.health,
            _ => &self.health,
        }
    }

    /// When its health changes by time alone, if that is still to come.
    pub(super) fn turns_after(&self, now: u64) -> Option<u64> {
        let turn = self.turn.as_ref()?;
        (turn.at > now).then_some(turn.at)
    }

    #[cfg(test)]
    pub(super) fn reason(&self) -> &'static str {
        self.health.reason
    }

    /// Pods without trouble are as if they were not there.
    fn says_something(&self) -> bool {
        self.health.status != Status::Healthy && !self.health.message.is_empty()
    }
}

impl Pods {
    /// A pod is, or became, this.
    pub fn put(&mut self, pod: &Object, now: u64) {
        if pod.is_terminating() {
            return self.gone(pod);
        }
        let seen = PodSeen::of(pod, now);
        if seen.created > self.last.0 {
            self.last = (seen.created.clone(), seen.hash.clone());
        }
        match Counted::of(pod, &seen.hash, &seen.owner.1) {
            None => drop(self.restarted.remove(pod.name())),
            Some(counted) => {
                let is_known = self.restarted.contains_key(pod.name());
                if is_known || self.restarted.len() < POD_LIMIT {
                    self.restarted.insert(seen.name.clone(), counted);
                }
            }
        }
        if !seen.says_something() {
            self.seen.remove(pod.name());
            return;
        }
        let is_known = self.seen.contains_key(pod.name());
        if is_known || self.seen.len() < POD_LIMIT || self.make_room(&seen) {
            self.seen.insert(seen.name.clone(), seen);
        }
    }

    /// A pod is gone. One of a Job is remembered, because it is the only one to know why: a Job that
    /// gives up deletes its pods before it says so.
    pub fn gone(&mut self, pod: &Object) {
        self.restarted.remove(pod.name());
        let labels = ["batch.kubernetes.io/job-name", "job-name"];
        let of_job = labels.iter().any(|label| pod.label(label).is_some());
        match self.seen.get_mut(pod.name()) {
            Some(seen) if of_job && seen.says_something() => seen.ended = true,
            _ => {
                self.seen.remove(pod.name());
            }
        }
    }

    /// Forgets all: a new list begins.
    pub fn clear(&mut self) {
        self.seen.clear();
        self.restarted.clear();
    }

    /// The pods of the newest template of this workload whose containers were restarted. An older
    /// one's are not the doing of who changed it.
    pub fn restarted(&self, workload: &ObjectId) -> Vec<Restarted> {
        let all = self.restarted.values();
        all.filter_map(|counted| counted.for_workload(workload, &self.last.1))
            .cloned()
            .collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &PodSeen> {
        self.seen.values()
    }

    /// Drops a pod that matters less, if there is one.
    fn make_room(&mut self, pod: &PodSeen) -> bool {
        let least = self.seen.values().min_by_key(|seen| seen.health.status);
        match least {
            Some(least) if least.health.status < pod.health.status => {
                let name = least.name.clone();
                self.seen.remove(&name);
                true
            }
            _ => false,
        }
    }
}

/// The health of a workload in the light of its pods: one that is Progressing is Degraded as soon
/// as a pod of its newest template is, with that pod's reason and message. The message of a pod
/// that is on its way, or that ended, is added to that of the workload.
pub(super) fn with_pods(workload: &Workload, health: Health, pods: &Pods, now: u64) -> Health {
    let hash = match &workload.newest {
        Newest::Nothing => return health,
        Newest::All => None,
        Newest::Hash(hash) => Some(hash),
        Newest::OfLastPod => Some(&pods.last.1),
    };
    let is_newest = |pod: &&PodSeen| hash.is_none_or(|hash| pod.hash == *hash);
    let ours = || pods.iter().filter(|pod| workload.owns(pod));
    if let Some(pod) = worst(ours().filter(is_newest), now) {
        return with_pod(workload, health, pod, now);
    }
    // A StatefulSet replaces no pod before the ones after it are ready, not even one that never can
    // be (kubernetes#67250): an older template's pod is in its way.
    if workload.kind == Kind::StatefulSet
        && let Some(pod) = worst(ours().filter(|pod| !is_newest(pod)), now)
        && pod.health_at(now).status == Status::Degraded
    {
        let message = format!(
            "pod `{}` of an older template is in the way, delete it if it does not recover: {}",
            pod.name,
            pod.health_at(now).message
        );
        return add(&health, &message);
    }
    health
}

/// The worst first, those that are still there before those that ended, then by name, so that the
/// message stays the same from pass to pass.
fn worst<'a>(pods: impl Iterator<Item = &'a PodSeen>, now: u64) -> Option<&'a PodSeen> {
    pods.filter(|pod| pod.says_something()).min_by_key(|pod| {
        (
            pod.ended,
            std::cmp::Reverse(pod.health_at(now).status),
            &pod.name,
        )
    })
}

fn with_pod(workload: &Workload, health: Health, pod: &PodSeen, now: u64) -> Health {
    let said = pod.health_at(now);
    let message = format!("pod `{}`: {}", pod.name, said.message);
    let counted = workload.kind == Kind::Job && COUNTED_BY_JOBS.contains(&said.reason);
    let dooms = said.status == Status::Degraded && !pod.ended && !counted;
    if dooms && !workload.failed {
        Health::degraded(said.reason, message)
    } else {
        add(&health, &message)
    }
}

fn add(health: &Health, message: &str) -> Health {
    let said = health.message.trim_end_matches('.');
    Health::new(health.status, health.reason, format!("{said}; {message}"))
}

/// UID and name of the controller of a pod; empty without one.
fn controller(pod: &Object) -> (String, String) {
    let owners = pod.0.pointer("/metadata/ownerReferences");
    let owner = owners
        .and_then(Value::as_array)
        .and_then(|all| all.iter().find(|owner| owner["controller"] == true));
    let text = |key: &str| {
        let value = owner.and_then(|owner| owner.get(key)?.as_str());
        value.unwrap_or_default().to_owned()
    };
    (text("uid"), text("name"))
}

fn text<'a>(object: &'a Object, pointer: &str) -> &'a str {
    let value = object.0.pointer(pointer);
    value.and_then(Value::as_str).unwrap_or_default()
}

fn number(object: &Object, pointer: &str) -> i64 {
    let value = object.0.pointer(pointer);
    value.and_then(Value::as_i64).unwrap_or_default()
}
