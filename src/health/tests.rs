//! Every file under `fixtures/health` is a test: its folder is the kind, its name the expected
//! status and reason (`degraded-image-pull-back-off--why.yaml`). `x-observed` and `x-pods` in it are
//! what is known from elsewhere. It is always noon on 2026-01-01.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::*;
use crate::live::arbitrary::Random;
use crate::yaml::{Duplicates, Resolver, read_first_document, resolve};

const NOON: u64 = 1_767_268_800;

fn fixtures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/health");
    let list = |path: &Path| -> Vec<PathBuf> {
        let entries = path.read_dir().expect("a folder of fixtures");
        entries
            .map(|entry| entry.expect("readable").path())
            .collect()
    };
    let mut files: Vec<PathBuf> = list(&root).iter().flat_map(|kind| list(kind)).collect();
    files.sort();
    files
}

fn yaml(text: &str) -> Value {
    let node = read_first_document(text.as_bytes())
        .expect("yaml")
        .expect("a document");
    resolve(&node, Resolver::Kubectl, Duplicates::Error).expect("values")
}

/// The status and reason of an object, as a file name has them.
fn kebab(health: &Health) -> String {
    let mut out = health.status.as_str().to_lowercase();
    let mut before = '-';
    let mut letters = health.reason.chars().peekable();
    while let Some(letter) = letters.next() {
        let starts = letter.is_uppercase()
            && (before.is_lowercase() || letters.peek().is_some_and(|next| next.is_lowercase()));
        if starts || before == '-' {
            out.push('-');
        }
        out.extend(letter.to_lowercase());
        before = letter;
    }
    out.replace("--", "-")
}

fn assess_fixture(mut value: Value) -> Health {
    let map = value.as_object_mut().expect("a map");
    let observed = map.remove("x-observed").unwrap_or_default();
    let pods = map.remove("x-pods").unwrap_or_default();
    let is = |name| {
        observed
            .get(name)
            .and_then(Value::as_bool)
            .unwrap_or_default()
    };
    let object = Object(value);
    let (health, unsettled) = outlook(&object, NOON);
    let Some(unsettled) = unsettled else {
        return health;
    };
    let mut known = Pods::default();
    let pods = pods.as_array().map(|all| {
        all.iter()
            .for_each(|pod| known.put(&Object(pod.clone()), NOON));
        &known
    });
    let answer = |question: &Question| match question {
        Question::BindsLate(_) => is("waitsForFirstConsumer"),
        Question::DeclaresStatus(_) => is("declared"),
    };
    unsettled.health(NOON, answer, pods).0
}

#[test]
fn every_fixture_is_what_its_name_says() {
    let mut wrong = Vec::new();
    for file in fixtures() {
        let name = file
            .file_stem()
            .and_then(|name| name.to_str())
            .expect("a name");
        let expected = name.split("--").next().unwrap_or_default();
        let text = std::fs::read_to_string(&file).expect("readable");
        let health = assess_fixture(yaml(&text));
        if kebab(&health) != expected {
            wrong.push(format!(
                "{}: {} ({})",
                file.display(),
                kebab(&health),
                health.message
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_kind_has_fixtures() {
    let folders: BTreeSet<String> = fixtures()
        .iter()
        .filter_map(|file| Some(file.parent()?.file_name()?.to_str()?.replace('-', "")))
        .collect();
    for (_, kind, _) in KINDS
        .iter()
        .filter(|(_, kind, _)| *kind != "ReplicationController")
    {
        assert!(
            folders.contains(&kind.to_lowercase()),
            "no fixtures for {kind}"
        );
    }
}

#[test]
fn the_worst_is_the_last_in_the_order_of_argo_cd() {
    let all = Status::ALL.map(|status| Health::new(status, "X", ""));
    assert!(Status::ALL.is_sorted());
    assert_eq!(
        worst(&all).map(|health| health.status),
        Some(Status::Unknown)
    );
    assert_eq!(
        worst(&all[..3]).map(|health| health.status),
        Some(Status::Progressing)
    );
    assert_eq!(worst([]), None);
    let first = Health::degraded("A", "");
    assert_eq!(worst([&first, &Health::degraded("B", "")]), Some(&first));
    assert_eq!("Degraded".parse(), Ok(Status::Degraded));
    assert_eq!("degraded".parse::<Status>(), Err(()));
}

#[test]
fn metrics_never_cause_a_rollback() {
    assert!(Health::degraded("CrashLoopBackOff", "").may_cause_rollback());
    assert!(!Health::degraded("MetricsUnavailable", "").may_cause_rollback());
    assert!(!Health::progressing("Updating", "").may_cause_rollback());
}

#[test]
fn the_pod_says_why() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Running",
        "containerStatuses": [{"name": "web", "ready": false, "restartCount": 5,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error",
                "message": "panic:\n  no such\u{1b}[31m table\n"}}}]}});
    let health = assess(&Object(pod), NOON, &ObservationRules::default());
    assert_eq!(
        health.message,
        "container `web` exited with 1, 5 restarts: panic: no such\\u{1b}[31m table"
    );
}

/// The message of a fixture.
fn message(fixture: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/health");
    let text = std::fs::read_to_string(root.join(fixture)).expect("readable");
    assess_fixture(yaml(&text)).message
}

#[test]
fn a_workload_says_what_its_pods_say() {
    for (fixture, expected) in [
        (
            "deployment/degraded-crash-loop-back-off--condition-names-the-replica-set.yaml",
            "pod `web-new-1`: container `web` exited with 1, 4 restarts: no such table",
        ),
        (
            "deployment/degraded-progress-deadline-exceeded--pod-says-why.yaml",
            "ReplicaSet \"web-new\" has timed out progressing; pod `web-new-1`: container `web` exited with 1, 4 restarts: no such table",
        ),
        (
            "deployment/progressing-updating--evicted-pod-is-replaced.yaml",
            "1 of 3 new replicas are updated; pod `web-new-1`: The node was low on resource",
        ),
        (
            "daemon-set/degraded-oom-killed--pod-of-the-newest-template.yaml",
            "pod `web-b`: container `web` was killed: out of memory, 3 restarts",
        ),
        (
            "replica-set/degraded-create-container-config-error.yaml",
            "pod `web-a`: container `web`: CreateContainerConfigError: secret \"db\" not found",
        ),
        (
            "stateful-set/progressing-not-ready--pod-of-an-older-revision-is-in-the-way.yaml",
            "2 of 3 pods are ready; pod `web-2` of an older template is in the way, delete it if it does not recover: container `web` exited with 1, 4 restarts: no such table",
        ),
        (
            "job/degraded-job-failed--pod-says-why.yaml",
            "BackoffLimitExceeded: Job has reached the specified backoff limit; pod `web-a`: container `web` exited with 1: no such table",
        ),
        (
            "job/progressing-running--it-counts-its-crashes.yaml",
            "0 pods succeeded, 1 active, 1 failed; pod `web-a`: container `web` exited with 1: no such table",
        ),
    ] {
        assert_eq!(message(fixture), expected, "{fixture}");
    }
}

fn pod(name: &str, status: Value) -> Object {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"batch.kubernetes.io/job-name": "migrate"}}});
    pod["status"] = status;
    Object(pod)
}

fn waiting(reason: &str) -> Value {
    json!({"phase": "Pending", "containerStatuses": [
        {"name": "web", "ready": false, "state": {"waiting": {"reason": reason}}}]})
}

#[test]
fn of_many_pods_those_that_say_most_are_remembered() {
    let mut pods = Pods::default();
    for number in 0..300 {
        pods.put(
            &pod(
                &format!("ok-{number}"),
                json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}),
            ),
            NOON,
        );
    }
    assert_eq!(pods.iter().count(), 0);
    for number in 0..150 {
        pods.put(
            &pod(&format!("new-{number}"), waiting("ContainerCreating")),
            NOON,
        );
    }
    assert_eq!(pods.iter().count(), 100);
    for number in 0..150 {
        pods.put(
            &pod(&format!("sick-{number}"), waiting("ImagePullBackOff")),
            NOON,
        );
    }
    assert_eq!(
        pods.iter()
            .filter(|pod| pod.reason() == "ImagePullBackOff")
            .count(),
        100
    );
    let well = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    pods.put(&pod("sick-1", well), NOON);
    assert_eq!(pods.iter().count(), 99);
}

#[test]
fn a_job_that_gives_up_deletes_its_pods_and_their_last_words_stay() {
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}}, "status": {"startTime": "2026-01-01T11:00:00Z"}});
    let mut pods = Pods::default();
    let crashed = pod(
        "migrate-a",
        json!({"phase": "Running", "containerStatuses": [{"name": "web",
        "restartCount": 6, "state": {"terminated": {"exitCode": 1, "message": "no such table"}}}]}),
    );
    pods.put(&crashed, NOON);
    let mut ending = crashed.clone();
    ending.0["metadata"]["deletionTimestamp"] = json!("2026-01-01T12:00:00Z");
    pods.put(&ending, NOON);
    pods.gone(&ending);
    job["status"]["conditions"] =
        json!([{"type": "Failed", "status": "True", "message": "gave up"}]);
    let (_, unsettled) = outlook(&Object(job), NOON);
    let (health, _) = unsettled
        .expect("it failed")
        .health(NOON, |_| true, Some(&pods));
    assert_eq!(
        health.message,
        "gave up; pod `migrate-a`: container `web` exited with 1, 6 restarts: no such table"
    );
}

#[test]
fn messages_are_bounded() {
    assert_eq!(
        Health::unknown("x".repeat(9999)).message.chars().count(),
        MESSAGE_LIMIT + 1
    );
}

const WORDS: &[&str] = &[
    "metadata",
    "status",
    "spec",
    "conditions",
    "type",
    "reason",
    "message",
    "generation",
    "observedGeneration",
    "replicas",
    "phase",
    "containerStatuses",
    "state",
    "waiting",
    "terminated",
    "lastState",
    "exitCode",
    "updateStrategy",
    "rollingUpdate",
    "partition",
    "annotations",
    "managedFields",
    "time",
    "creationTimestamp",
    "lastTransitionTime",
    "restartCount",
    "deletionTimestamp",
    "2026-01-01T12:00:00Z",
    "finalizers",
    "loadBalancer",
    "ingress",
    "health",
];

/// Objects made of the words that the rules look for, with values of every sort in every place.
#[test]
fn no_object_makes_a_rule_panic() {
    let mut random = Random(1);
    for round in 0..4000 {
        let (group, kind, _) = KINDS[round % KINDS.len()];
        let mut object = json!({"metadata": random.value(WORDS, 3), "spec": random.value(WORDS, 3), "status": random.value(WORDS, 5)});
        object["apiVersion"] = json!(if group.is_empty() {
            "v1".into()
        } else {
            format!("{group}/v1")
        });
        object["kind"] = json!(kind);
        let rules = ObservationRules {
            declared: true,
            waits_for_first_consumer: true,
        };
        let object = Object(object);
        assess(&object, NOON, &rules);
        let (_, unsettled) = outlook(&object, NOON);
        let mut pods = Pods::default();
        pods.put(&object, NOON);
        unsettled.map(|unsettled| unsettled.health(NOON, |_| true, Some(&pods)));
    }
}
