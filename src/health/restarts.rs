//! How often the containers of pods were restarted. A pod that crashes now and then is Ready in
//! between, so that its health does not tell.

use super::ObservationRules;
use super::pod::Container;
use super::subject::Subject;
use crate::object::{Object, ObjectId};

/// A pod whose containers were restarted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restarted {
    /// Its name.
    pub pod: String,
    /// Its UID: another pod may get its name.
    pub uid: String,
    /// How often, all its containers together.
    pub count: i64,
    /// Which container was restarted most, and how it ended last.
    pub message: String,
}

/// The same with what tells whose pod it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counted {
    restarted: Restarted,
    /// The hash of its template.
    hash: String,
    /// The name of its controller.
    owner: String,
}

impl Counted {
    /// Counts; `None` where there is nothing to count. `hash` is that of its template, `owner` the
    /// name of its controller.
    pub(super) fn of(pod: &Object, hash: &str, owner: &str) -> Option<Self> {
        let subject = Subject {
            object: pod,
            now: 0,
            rules: &ObservationRules::default(),
        };
        let all = || Container::all(&subject);
        let count = all().map(|container| container.restarts()).sum();
        let most = all()
            .max_by_key(Container::restarts)
            .filter(|_| count > 0)?;
        Some(Self {
            restarted: Restarted {
                pod: pod.name().to_owned(),
                uid: pod.uid().to_owned(),
                count,
                message: most.last_words(),
            },
            hash: hash.to_owned(),
            owner: owner.to_owned(),
        })
    }

    /// What was counted, if it is a pod of this workload, made from the template with this hash.
    /// Selectors may overlap.
    pub(super) fn for_workload(&self, id: &ObjectId, hash: &str) -> Option<&Restarted> {
        let rest = self.owner.strip_prefix(id.name.as_str());
        let is_owned = match id.kind.as_str() {
            _ if self.owner.is_empty() => true,
            // By its ReplicaSet.
            "Deployment" => rest.and_then(|rest| rest.strip_prefix('-')) == Some(&self.hash),
            _ => rest == Some(""),
        };
        (is_owned && self.hash == hash).then_some(&self.restarted)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Pods;
    use super::*;

    /// A pod of the ReplicaSet `web-<hash>`, whose containers were restarted so often.
    fn pod(name: &str, hash: &str, created: &str, counts: [u32; 2]) -> Object {
        let status = |name: &str, count: u32| {
            json!({"name": name, "ready": true, "restartCount": count,
                "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}})
        };
        Object(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "uid": name, "creationTimestamp": created,
                "labels": {"pod-template-hash": hash},
                "ownerReferences": [{"controller": true, "uid": "rs", "name": format!("web-{hash}")}]},
            "status": {"phase": "Running",
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [status("main", counts[0]), status("proxy", counts[1])]}}))
    }

    #[test]
    fn restarts_count_of_ready_pods_and_of_the_newest_template_only() {
        let web = ObjectId::new("apps", "Deployment", "shop", "web");
        let other = ObjectId::new("apps", "Deployment", "shop", "other");
        let mut pods = Pods::default();
        pods.put(&pod("old", "1", "2026-01-01T00:00:00Z", [9, 9]), 0);
        let counts = |pods: &Pods| -> Vec<(String, i64)> {
            let all = pods.restarted(&web).into_iter();
            all.map(|one| (one.pod, one.count)).collect()
        };
        assert_eq!(counts(&pods), [("old".to_owned(), 18)]);
        pods.put(&pod("new", "2", "2026-01-02T00:00:00Z", [0, 0]), 0);
        assert_eq!(counts(&pods), []);
        let restarted = pod("new", "2", "2026-01-02T00:00:00Z", [1, 2]);
        pods.put(&restarted, 0);
        assert_eq!(counts(&pods), [("new".to_owned(), 3)]);
        assert_eq!(
            pods.restarted(&web)[0].message,
            "container `proxy` was killed: out of memory, 2 restarts"
        );
        assert_eq!(pods.restarted(&other), []);
        pods.gone(&restarted);
        assert_eq!(counts(&pods), []);
    }
}
