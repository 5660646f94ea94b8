use std::time::Duration;

use super::*;

pub(super) const POLICY: RollbackPolicy = RollbackPolicy {
    timeout: Duration::from_secs(300),
    monitor: Duration::from_secs(60),
    grace: Duration::from_secs(10),
    restarts: None,
    failure_threshold: 3,
    write_back: crate::api::WriteBack::None,
};

fn good() -> RollbackStatus {
    RollbackStatus {
        good: Some(RevisionId {
            revision: "a".repeat(40),
            digest: "A".into(),
        }),
        ..RollbackStatus::default()
    }
}

/// Revision B, written and on its way.
fn facts(now: i64) -> Facts {
    Facts {
        revision: "b".repeat(40),
        digest: "B".into(),
        began: true,
        applied: true,
        unready: Some("Deployment/shop/web: 0 of 1 are ready".into()),
        last_healthy: Some(990),
        now,
        ..Facts::default()
    }
}

fn healthy(now: i64) -> Facts {
    Facts {
        healthy: true,
        unready: None,
        ..facts(now)
    }
}

fn sick(now: i64) -> Facts {
    let web = ObjectId::new("apps", "Deployment", "shop", "web");
    let said = ("CrashLoopBackOff".to_owned(), "exit 1".to_owned());
    Facts {
        sick: [(web, said)].into(),
        ..facts(now)
    }
}

fn reason(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Back(cause) => &cause.reason,
        _ => "",
    }
}

#[test]
fn what_stays_healthy_for_its_monitoring_time_is_trusted() {
    let (mut state, mut watchman) = (good(), Watchman::default());
    let mut judge = |facts: &Facts| watchman.judge(&mut state, facts, POLICY);
    assert_eq!(judge(&facts(1_000)), Verdict::Wait(Some(1_300)));
    assert_eq!(judge(&healthy(1_020)), Verdict::Wait(Some(1_080)));
    assert_eq!(judge(&healthy(1_079)), Verdict::Wait(Some(1_080)));
    assert_eq!(judge(&healthy(1_080)), Verdict::Trust);
    assert!(trust(&mut state));
    assert_eq!(state.good.expect("good").digest, "B");
}

#[test]
fn what_is_not_healthy_in_time_goes() {
    let (mut state, mut watchman) = (good(), Watchman::default());
    let mut judge = |facts: &Facts| watchman.judge(&mut state, facts, POLICY);
    judge(&facts(1_000));
    assert_eq!(judge(&facts(1_299)), Verdict::Wait(Some(1_300)));
    let verdict = judge(&facts(1_300));
    assert_eq!(reason(&verdict), "NotHealthyInTime");
    // Not what it changed.
    let others = Facts {
        unready: None,
        ..facts(2_000)
    };
    assert_eq!(judge(&others), Verdict::Wait(None));
}

#[test]
fn what_turns_bad_while_it_is_monitored_goes() {
    let (mut state, mut watchman) = (good(), Watchman::default());
    let mut judge = |facts: &Facts| watchman.judge(&mut state, facts, POLICY);
    judge(&healthy(1_000));
    assert_eq!(judge(&sick(1_050)), Verdict::Wait(Some(1_060)));
    // A moment of it is no failure, and the monitoring time begins anew.
    assert_eq!(judge(&healthy(1_055)), Verdict::Wait(Some(1_115)));
    assert_eq!(judge(&sick(1_100)), Verdict::Wait(Some(1_110)));
    assert_eq!(reason(&judge(&sick(1_110))), "CrashLoopBackOff");
}

#[test]
fn what_crashes_now_and_then_goes_although_it_is_healthy_in_between() {
    let policy = RollbackPolicy {
        restarts: Some(crate::api::RestartPolicy {
            limit: 3,
            within: Duration::from_secs(300),
        }),
        ..POLICY
    };
    let restarted = |count, now| {
        let pod = crate::health::Restarted {
            pod: "web-1".into(),
            uid: "1".into(),
            count,
            message: "container `web` exited with 1".into(),
        };
        let web = Workload {
            restarted: Some(vec![pod]),
            ..Workload::default()
        };
        let web = (ObjectId::new("apps", "Deployment", "shop", "web"), web);
        Facts {
            workloads: [web].into(),
            ..healthy(now)
        }
    };
    let (mut state, mut watchman) = (good(), Watchman::default());
    let mut judge = |facts: &Facts| watchman.judge(&mut state, facts, policy);
    judge(&restarted(1, 1_000));
    assert_eq!(judge(&restarted(4, 1_020)), Verdict::Wait(Some(1_060)));
    assert_eq!(reason(&judge(&restarted(5, 1_030))), "TooManyRestarts");
    // Another revision begins anew, and so does this one when a person tries it again.
    state.trial = None;
    let mut judge = |facts: &Facts| watchman.judge(&mut state, facts, policy);
    assert_eq!(judge(&restarted(9, 1_040)), Verdict::Wait(Some(1_100)));
    // Where there is nothing better, it is trusted in its time.
    let (mut state, mut watchman) = (RollbackStatus::default(), Watchman::default());
    let mut judge = |facts: &Facts| watchman.judge(&mut state, facts, policy);
    judge(&restarted(1, 1_000));
    assert_eq!(judge(&restarted(9, 1_020)), Verdict::Wait(Some(1_060)));
    assert_eq!(judge(&restarted(10, 1_060)), Verdict::Trust);
}

#[test]
fn what_is_healthy_by_turns_goes_unless_it_stays_so_for_once() {
    let unwell = |now| {
        let web = Workload {
            unwell: Some("0 of 1 are ready".into()),
            ..Workload::default()
        };
        let web = (ObjectId::new("apps", "Deployment", "shop", "web"), web);
        Facts {
            workloads: [web].into(),
            ..facts(now)
        }
    };
    let well = |now| Facts {
        workloads: [(
            ObjectId::new("apps", "Deployment", "shop", "web"),
            Workload::default(),
        )]
        .into(),
        ..healthy(now)
    };
    let (mut state, mut watchman) = (good(), Watchman::default());
    let mut judge = |facts: &Facts| watchman.judge(&mut state, facts, POLICY);
    for round in [1_000, 1_100, 1_200] {
        assert_eq!(reason(&judge(&unwell(round))), "");
        assert_eq!(judge(&well(round + 50)), Verdict::Wait(Some(round + 110)));
    }
    assert_eq!(reason(&judge(&unwell(1_300))), "Flapping");
}

#[test]
fn what_waits_for_others_has_all_the_time_it_needs() {
    let (mut state, mut watchman) = (good(), Watchman::default());
    let mut judge = |facts: &Facts| watchman.judge(&mut state, facts, POLICY);
    let waits = |now| Facts {
        waits: true,
        applied: false,
        ..facts(now)
    };
    judge(&facts(1_000));
    assert_eq!(judge(&waits(1_100)), Verdict::Wait(None));
    assert_eq!(judge(&waits(9_000)), Verdict::Wait(None));
    assert_eq!(judge(&facts(9_001)), Verdict::Wait(Some(9_301)));
    assert_eq!(reason(&judge(&facts(9_301))), "NotHealthyInTime");
}

#[test]
fn nothing_is_gone_back_to_that_was_not_better() {
    let cases = [
        (RollbackStatus::default(), Some(990), "no earlier"),
        (good(), None, "not healthy either"),
        (good(), Some(1_000 - 3_601), "not healthy either"),
    ];
    for (mut state, last_healthy, told) in cases {
        let mut watchman = Watchman::default();
        let failed = Facts {
            failed: Some(("HookFailed".into(), "no".into())),
            last_healthy,
            ..facts(1_000)
        };
        match watchman.judge(&mut state, &failed, POLICY) {
            Verdict::Stay { why, .. } => assert!(why.contains(told), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    // The good one itself has nothing to prove.
    let (mut state, mut watchman) = (good(), Watchman::default());
    let back = Facts {
        digest: "A".into(),
        ..sick(5_000)
    };
    assert_eq!(
        watchman.judge(&mut state, &back, POLICY),
        Verdict::Wait(None)
    );
}

#[test]
fn quarantine_is_by_what_is_rendered_and_a_revert_lifts_it() {
    let b = RevisionId {
        revision: "b".repeat(40),
        digest: "B".into(),
    };
    let cause = Cause {
        reason: "OOMKilled".into(),
        message: "web".into(),
    };
    let mut state = good();
    take_back(&mut state, &b, &cause, 1_000);
    assert_eq!(state.quarantined("B").expect("there").reason, "OOMKilled");
    // Another revision is taken, and B stays where it is.
    let mut fixed = state.clone();
    assert_eq!(move_on(&mut fixed, "C").as_deref(), Some(&*b.revision));
    assert!(fixed.quarantined("B").is_some());
    // The one before is a revert of B.
    let mut reverted = state.clone();
    assert!(move_on(&mut reverted, "A").is_some());
    assert!(reverted.quarantined("B").is_none());
    // A person wants it to be tried again.
    assert!(retry(&mut state, "bbbbbbb"));
    assert!(state.quarantine.is_empty() && state.rolled_back.is_none());
    assert!(!retry(&mut state, "bbbbbbb"));
}

/// B is in quarantine.
fn away(unproven: bool) -> RollbackStatus {
    let mut state = RollbackStatus { unproven, ..good() };
    let cause = Cause {
        reason: "CrashLoopBackOff".into(),
        message: "exit 1".into(),
    };
    let b = RevisionId {
        revision: "b".repeat(40),
        digest: "B".into(),
    };
    take_back(&mut state, &b, &cause, 1_000);
    state
}

#[test]
fn who_takes_the_rules_away_lets_through_what_they_kept_away() {
    let mut state = away(false);
    let_through(&mut state, true);
    assert!(state.quarantined("B").is_none() && state.rolled_back.is_none());
    // What is refused half way after that stays away.
    let b = away(true);
    state.quarantine.clone_from(&b.quarantine);
    state.rolled_back.clone_from(&b.rolled_back);
    let_through(&mut state, true);
    assert!(state.quarantined("B").is_some() && state.rolled_back.is_some());
    // Until nothing is put back any more; what was not seen healthy is not trusted later.
    let_through(&mut state, false);
    assert!(state.rolled_back.is_none() && state.good.is_none() && !state.unproven);
    let_through(&mut state, true);
    assert!(state.quarantined("B").is_none());
    // What was seen healthy is kept for rules that come back.
    let mut state = away(false);
    let_through(&mut state, false);
    assert!(state.good.is_some() && state.rolled_back.is_none());
}

#[test]
fn what_was_applied_after_all_is_not_gone_back_from_later() {
    let entry = |digest: &str, outcome: &str| HistoryEntry {
        digest: digest.into(),
        outcome: outcome.into(),
        ..HistoryEntry::default()
    };
    let (bad, fine) = (outcome::ROLLED_BACK, outcome::APPLIED);
    let mut state = away(false);
    forget_applied(
        &mut state,
        &[entry("A", fine), entry("B", bad), entry("B", fine)],
    );
    assert!(state.quarantined("B").is_some() && state.rolled_back.is_some());
    forget_applied(&mut state, &[]);
    assert!(state.quarantined("B").is_some());
    forget_applied(&mut state, &[entry("B", fine), entry("B", bad)]);
    assert!(state.quarantined("B").is_none() && state.rolled_back.is_none());
}
