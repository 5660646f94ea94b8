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
    let rules = ObservationRules {
        declared: is("declared"),
        changed_at: None,
        waits_for_first_consumer: is("waitsForFirstConsumer"),
    };
    let object = Object(value);
    let pods: Vec<Object> = pods
        .as_array()
        .into_iter()
        .flatten()
        .cloned()
        .map(Object)
        .collect();
    with_pods(&object, assess(&object, NOON, &rules), &pods, NOON)
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
            changed_at: Some(0),
            waits_for_first_consumer: true,
        };
        let object = Object(object);
        let health = assess(&object, NOON, &rules);
        with_pods(&object, health, std::slice::from_ref(&object), NOON);
    }
}
