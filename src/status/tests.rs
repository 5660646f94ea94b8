//! What a person reads in each situation.

use super::*;
use crate::health::Status;

const COMMIT: &str = "1234567890123456789012345678901234567890";
const OLDER: &str = "abcdef7890123456789012345678901234567890";

static NOTHING: AuditStatus = AuditStatus {
    repository: String::new(),
    pending: Vec::new(),
    dropped: 0,
    let_through: Vec::new(),
};

static NONE: RollbackStatus = RollbackStatus {
    good: None,
    unproven: false,
    trial: None,
    rolled_back: None,
    quarantine: Vec::new(),
    written_back: None,
};

fn view<'a>(report: Option<&'a Report>, problems: &'a [Problem]) -> View<'a> {
    View {
        generation: 3,
        target: Some((COMMIT, "main")),
        applied: Some(COMMIT),
        enforces: true,
        not_stored: None,
        not_written_back: None,
        audit: &NOTHING,
        not_noted: None,
        report,
        problems,
        worst: None,
        objects: 12,
        manual: false,
        suspended: None,
        blind: None,
        handled: Handled::default(),
        history: Vec::new(),
        rollback: &NONE,
        note: None,
        drift: Vec::new(),
        fight: None,
        yielding: Vec::new(),
    }
}

fn told(view: &View<'_>) -> String {
    let status = derive(
        view,
        &ApplicationStatus::default(),
        jiff::Timestamp::UNIX_EPOCH,
    );
    let ready = &status.conditions[0];
    format!(
        "{} {} {}: {}",
        status.sync.status, ready.status, ready.reason, ready.message
    )
}

#[test]
fn a_synced_application_says_what_is_applied() {
    let report = Report::default();
    let told = told(&view(Some(&report), &[]));
    assert_eq!(
        told,
        "Synced True Ready: main@12345678 is applied: 12 objects"
    );
}

#[test]
fn a_problem_comes_first_and_says_what_stays_enforced() {
    let report = Report {
        out_of_sync: 2,
        ..Report::default()
    };
    let problems = [Problem {
        reason: "RenderFailed".into(),
        message: "base/web.yaml:3: not YAML".into(),
        class: Class::Stalled,
    }];
    let view = View {
        applied: Some(OLDER),
        ..view(Some(&report), &problems)
    };
    let expected =
        "OutOfSync False RenderFailed: base/web.yaml:3: not YAML; abcdef78 stays enforced";
    assert_eq!(told(&view), expected);
}

#[test]
fn a_sick_object_is_named() {
    let report = Report::default();
    let sick = Health::new(Status::Degraded, "CrashLoopBackOff", "back-off restarting");
    let view = View {
        worst: Some(("Pod/shop/a".into(), &sick)),
        ..view(Some(&report), &[])
    };
    let expected = "Synced False Degraded: main@12345678 is applied: 12 objects; Pod/shop/a: back-off restarting";
    assert_eq!(told(&view), expected);
}

#[test]
fn times_stay_while_a_condition_stays() {
    let report = Report::default();
    let view = view(Some(&report), &[]);
    let first = derive(
        &view,
        &ApplicationStatus::default(),
        jiff::Timestamp::UNIX_EPOCH,
    );
    let later = jiff::Timestamp::from_second(500).expect("in range");
    assert_eq!(
        derive(&view, &first, later),
        first,
        "a second pass changes nothing"
    );
    assert!(events(&first, &first, &Summary::default()).is_empty());
}

#[test]
fn messages_are_one_bounded_line() {
    let text = bounded(&"ä\n".repeat(5000));
    assert!(
        text.len() <= MESSAGE_LIMIT && !text.contains('\n'),
        "{}",
        text.len()
    );
}

#[test]
fn drift_is_told_with_field_values_and_manager_and_once() {
    let report = Report {
        out_of_sync: 1,
        ..Report::default()
    };
    let entry = DriftEntry {
        object: "Deployment/shop/web".into(),
        field: "spec.replicas".into(),
        git: Some("2".into()),
        live: Some("5".into()),
        manager: Some("kubectl".into()),
        at: Some("2026-01-02T03:04:05Z".into()),
    };
    let view = View {
        drift: vec![entry; 5],
        ..view(Some(&report), &[])
    };
    let line =
        "Deployment/shop/web: spec.replicas: 5 instead of 2, by kubectl at 2026-01-02T03:04:05Z";
    let expected = format!(
        "OutOfSync False OutOfSync: 1 objects differ (OutOfSync); drift: {line}; {line}; {line} and 2 more"
    );
    assert_eq!(told(&view), expected);
    let nothing = ApplicationStatus::default();
    let status = derive(&view, &nothing, jiff::Timestamp::UNIX_EPOCH);
    let reasons = |previous: &ApplicationStatus| -> Vec<String> {
        let all = events(previous, &status, &Summary::default());
        all.into_iter().map(|event| event.reason).collect()
    };
    assert_eq!(reasons(&nothing), ["Drifted"]);
    assert_eq!(reasons(&status), [""; 0]);
}

#[test]
fn a_fight_names_its_field_and_replicas_left_to_an_autoscaler_are_told() {
    let report = Report::default();
    let fought = View {
        fight: Some("ConfigMap/shop/a: rival sets data.value".into()),
        ..view(Some(&report), &[])
    };
    let expected = "Synced False Fighting: ConfigMap/shop/a: rival sets data.value";
    assert_eq!(told(&fought), expected);
    let yielding = View {
        yielding: vec!["Deployment/shop/web".into(), "Deployment/shop/api".into()],
        ..view(Some(&report), &[])
    };
    let expected = "Synced True Ready: main@12345678 is applied: 12 objects; replicas of \
                    Deployment/shop/web and 1 more are left to an autoscaler";
    assert_eq!(told(&yielding), expected);
}
