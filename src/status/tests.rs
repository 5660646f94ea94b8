//! What a person reads in each situation.

use super::*;
use crate::health::Status;

const COMMIT: &str = "1234567890123456789012345678901234567890";
const OLDER: &str = "abcdef7890123456789012345678901234567890";

fn view<'a>(report: Option<&'a Report>, problems: &'a [Problem]) -> View<'a> {
    View {
        generation: 3,
        target: Some((COMMIT, "main")),
        applied: Some(COMMIT),
        enforces: true,
        not_stored: None,
        report,
        problems,
        worst: None,
        objects: 12,
        manual: false,
        suspended: None,
        blind: None,
        handled: Handled::default(),
        history: Vec::new(),
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
