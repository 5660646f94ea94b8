//! The last words of a container that failed, without what Secrets gave it.

use std::collections::BTreeSet;

use base64::Engine as _;
use serde_json::Value;

use super::finding::Finding;
use crate::cluster::{Cluster, Identity, LogTail, Resource, Target};
use crate::diff::HIDDEN;
use crate::live::shown;
use crate::object::{Object, Scope};

/// How many lines are told, and how long each may be.
const LINES: usize = 10;
const LINE_LIMIT: usize = 400;
/// How many Secrets of one pod are read to be hidden.
const SECRETS: usize = 20;
/// Shorter values are no secrets, and would hide half of a log.
const SHORTEST: usize = 4;

/// What may not be shown, although a container says it.
#[derive(Debug, Default)]
pub(super) struct Hidden(Vec<String>);

impl Hidden {
    /// The values of the Secrets that a pod uses, as far as the person may read them: who may not,
    /// sees what `kubectl logs` shows.
    pub(super) async fn of(cluster: &dyn Cluster, pod: &Object) -> Self {
        let resource = Resource::known("v1", "Secret", "secrets", Scope::Namespaced);
        let mut values = BTreeSet::new();
        for name in secrets(pod).into_iter().take(SECRETS) {
            let target = Target::new(&resource, pod.namespace(), name);
            if let Ok(Some(secret)) = cluster.get(&Identity::Agent, &target).await {
                collect(&secret, &mut values);
            }
        }
        let mut values: Vec<String> = values.into_iter().collect();
        // One that contains another is replaced as a whole.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self(values)
    }

    /// What two pods may not say.
    pub(super) fn add(&mut self, other: Self) {
        self.0.extend(other.0);
        self.0.sort_by_key(|value| std::cmp::Reverse(value.len()));
    }

    /// Findings without them, whoever quotes them.
    pub(super) fn hide_in(&self, findings: &mut [Finding]) {
        for finding in findings {
            finding.message = self.hide(&finding.message);
        }
    }

    /// The text without them.
    pub(super) fn hide(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, value| text.replace(value, HIDDEN))
    }
}

/// The values of a Secret in clear, in base64, and line by line.
fn collect(secret: &Object, values: &mut BTreeSet<String>) {
    let data = secret.0.get("data").and_then(Value::as_object);
    for encoded in data.into_iter().flatten().filter_map(|(_, v)| v.as_str()) {
        let decoded = base64::engine::general_purpose::STANDARD.decode(encoded);
        let text = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.unwrap_or_default();
        let lines = text.lines().chain([text.as_str(), encoded]).map(str::trim);
        values.extend(
            lines
                .filter(|value| value.len() >= SHORTEST)
                .map(str::to_owned),
        );
    }
}

/// The names of the Secrets that a pod uses.
fn secrets(pod: &Object) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    if let Some(spec) = pod.0.get("spec") {
        find(spec, &mut names);
    }
    names
}

fn find(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let name = match key.as_str() {
                    "secretKeyRef" | "secretRef" => value.get("name"),
                    "secret" => value.get("secretName").or_else(|| value.get("name")),
                    _ => None,
                };
                names.extend(name.and_then(Value::as_str).map(str::to_owned));
                find(value, names);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| find(value, names)),
        _ => {}
    }
}

/// What a container said last, under a line that says which, where one of the pod failed or is not
/// ready.
pub(super) async fn last_words(
    cluster: &dyn Cluster,
    pod: &Object,
    hidden: &Hidden,
) -> Option<(String, Vec<String>)> {
    let tail = failing(pod)?;
    let run = match tail.previous {
        true => ", before its last restart",
        false => "",
    };
    let mut head = format!(
        "last lines of container `{}` of pod `{}`{run}",
        tail.container,
        pod.name()
    );
    let resource = Resource::known("v1", "Pod", "pods", Scope::Namespaced);
    let target = Target::new(&resource, pod.namespace(), pod.name());
    match cluster.log(&Identity::Agent, &target, &tail).await {
        Ok(text) => {
            let all: Vec<&str> = text.lines().collect();
            let last = all.iter().skip(all.len().saturating_sub(LINES));
            let lines: Vec<String> = last
                .map(|line| shown::value(&hidden.hide(line), LINE_LIMIT))
                .collect();
            if lines.is_empty() {
                head.push_str(": it said nothing");
            }
            Some((head, lines))
        }
        Err(error) => Some((format!("{head}: {error}"), Vec::new())),
    }
}

/// The container that is in the way, and whether its last run or this one tells why. None where no
/// container ran: the pod's own message says all there is.
fn failing(pod: &Object) -> Option<LogTail> {
    let list = |field: &str| {
        let list = pod.0.pointer(&format!("/status/{field}"));
        list.and_then(Value::as_array).into_iter().flatten()
    };
    let candidates = list("initContainerStatuses").chain(list("containerStatuses"));
    let mut candidates = candidates.filter(|status| status["ready"] != true);
    candidates.find_map(|status| {
        let is_there = |pointer: &str| status.pointer(pointer).is_some_and(Value::is_object);
        let failed = |pointer: &str| {
            let end = status.pointer(pointer);
            end.is_some_and(|end| end["exitCode"] != 0 || end["reason"] == "OOMKilled")
        };
        let previous = if failed("/state/terminated") || is_there("/state/running") {
            false
        } else if is_there("/lastState/terminated") {
            true
        } else {
            return None;
        };
        // One that just began has said nothing yet: why it was restarted is in the run before.
        let previous = previous || (is_there("/state/running") && failed("/lastState/terminated"));
        Some(LogTail {
            container: status["name"].as_str()?.to_owned(),
            previous,
            lines: LINES,
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::fake::FakeCluster;

    fn pod(statuses: Value) -> Object {
        Object(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "web-1", "namespace": "shop"},
            "spec": {"containers": [{"name": "web",
                "env": [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "db", "key": "p"}}}],
                "envFrom": [{"secretRef": {"name": "more"}}]}],
                "volumes": [{"secret": {"secretName": "files"}},
                    {"projected": {"sources": [{"secret": {"name": "parts"}}]}}]},
            "status": {"containerStatuses": statuses}}))
    }

    #[test]
    fn every_secret_that_a_pod_uses_is_found() {
        let names: Vec<String> = secrets(&pod(json!([]))).into_iter().collect();
        assert_eq!(names, ["db", "files", "more", "parts"]);
    }

    #[tokio::test]
    async fn a_container_that_crashes_says_its_last_words_without_secrets() {
        let pod = pod(json!([
            {"name": "side", "ready": true, "state": {"running": {}}},
            {"name": "web", "ready": false, "restartCount": 4,
             "state": {"waiting": {"reason": "CrashLoopBackOff"}},
             "lastState": {"terminated": {"exitCode": 1}}}]));
        let cluster = FakeCluster::new([]);
        // "hunter22" and a key of two lines.
        cluster.put(Object(json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "db", "namespace": "shop"},
            "data": {"p": "aHVudGVyMjI=", "key": "Zmlyc3QtbGluZQpzZWNvbmQtbGluZQ==", "n": "MQ=="}})));
        let mut log: String = (0..20).map(|n| format!("line {n}\n")).collect();
        log.push_str("login with hunter22 (aHVudGVyMjI=) failed\u{1b}[31m: second-line 1\n");
        cluster.says("previous log of web in Pod/shop/web-1", log);
        let hidden = Hidden::of(&cluster, &pod).await;
        let (head, lines) = last_words(&cluster, &pod, &hidden).await.expect("it ran");
        assert_eq!(
            head,
            "last lines of container `web` of pod `web-1`, before its last restart"
        );
        assert_eq!(lines.len(), LINES);
        assert_eq!(
            lines.last().map(String::as_str),
            Some("login with *** (***) failed\\u{1b}[31m: *** 1")
        );
    }

    #[tokio::test]
    async fn what_never_ran_has_no_words() {
        let cluster = FakeCluster::new([]);
        let pod = pod(json!([{"name": "web", "ready": false,
            "state": {"waiting": {"reason": "ImagePullBackOff"}}}]));
        assert_eq!(last_words(&cluster, &pod, &Hidden::default()).await, None);
        assert_eq!(cluster.requests(), [""; 0]);
    }

    #[tokio::test]
    async fn one_that_runs_and_is_not_ready_is_heard_as_it_runs() {
        let cluster = FakeCluster::new([]);
        let pod = pod(json!([{"name": "web", "ready": false, "state": {"running": {}}}]));
        cluster.fail("log of web in Pod/shop/web-1", 403);
        let (head, lines) = last_words(&cluster, &pod, &Hidden::default())
            .await
            .expect("it runs");
        assert!(head.ends_with(": scripted failure"), "{head}");
        assert_eq!(lines, [""; 0]);
    }
}
