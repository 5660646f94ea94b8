//! What an unhealthy server gives: each its own reason, and what was fetched stays readable.

use std::time::Duration;

use towline::error::{Class, Fault as _};
use towline::git::{Credential, Error};
use towline_testcluster::{Fault, GitRepo, GitServer};

use super::{Bench, file, sync};

#[test]
fn every_failure_has_its_own_reason_and_keeps_what_is_here() {
    let bench = Bench::new();
    let repo = bench.repo();
    let server = GitServer::start_http(bench.served()).expect("a server");
    let other = GitServer::start_http(bench.served()).expect("another server");
    let repository = bench.open(&server.url("shop.git"), &Credential::none());
    let (revision, _) = sync(&repository, "main").expect("a first sync");
    for (fault, reason, class) in [
        (Fault::Status(401), "AuthenticationFailed", Class::Stalled),
        (Fault::Status(403), "AuthenticationFailed", Class::Stalled),
        (Fault::Status(404), "RepositoryNotFound", Class::Stalled),
        (
            Fault::Status(429),
            "Throttled",
            Class::Wait(Duration::from_secs(60)),
        ),
        (Fault::Status(500), "SourceUnreachable", Class::Retry),
        (Fault::Status(503), "SourceUnreachable", Class::Retry),
        (Fault::Html, "NotAGitServer", Class::Stalled),
        (
            Fault::Redirect(other.url("")),
            "RedirectRefused",
            Class::Stalled,
        ),
        (Fault::Disconnect, "SourceUnreachable", Class::Retry),
    ] {
        let name = format!("{fault:?}");
        server.set_fault(fault);
        // With what the server said of itself in the cache, and without.
        for _ in 0..2 {
            let error = sync(&repository, "main").expect_err(&name);
            assert_eq!(error.reason(), reason, "{name}: {error:?}");
            assert_eq!(error.class(), class, "{name}: {error:?}");
            assert!(error.to_string().contains("shop.git"), "{error}");
        }
        assert_eq!(file(&repository, &revision, "app/config.yaml"), "a: 1\n");
    }
    assert_eq!(
        other.counters().requests,
        0,
        "a redirect to another host was followed"
    );
    server.set_fault(Fault::None);
    repo.write("app/config.yaml", "a: 2\n").expect("a file");
    repo.commit("second").expect("a commit");
    let (revision, _) = sync(&repository, "main").expect("a sync after all that");
    assert_eq!(file(&repository, &revision, "app/config.yaml"), "a: 2\n");
    let url = server.url("shop.git");
    drop(server);
    let error = sync(&bench.open(&url, &Credential::none()), "main").expect_err("no server");
    assert_eq!(error.reason(), "SourceUnreachable", "{error:?}");
}

#[test]
fn what_is_not_there_is_told_apart() {
    let bench = Bench::new();
    let repo = bench.repo();
    GitRepo::init(bench.served().join("empty.git")).expect("an empty repository");
    let server = GitServer::start_http(bench.served()).expect("a server");
    let empty = bench.open(&server.url("empty.git"), &Credential::none());
    let error = sync(&empty, "main").expect_err("empty");
    assert!(matches!(error, Error::RepositoryEmpty { .. }), "{error:?}");
    let nowhere = bench.open(&server.url("nowhere.git"), &Credential::none());
    let error = sync(&nowhere, "main").expect_err("nowhere");
    assert!(
        matches!(error, Error::RepositoryNotFound { .. }),
        "{error:?}"
    );

    let shop = bench.open(&server.url("shop.git"), &Credential::none());
    repo.switch("feature").expect("a branch");
    repo.write("x", "x\n").expect("a file");
    repo.commit("on the branch").expect("a commit");
    let (revision, _) = sync(&shop, "feature").expect("a branch");
    repo.switch("main").expect("a branch");
    repo.delete_branch("feature").expect("a deletion");
    let error = sync(&shop, "feature").expect_err("a deleted branch");
    assert!(matches!(error, Error::BranchNotFound { .. }), "{error:?}");
    assert!(
        error.to_string().contains("default branch is `main`"),
        "{error}"
    );
    assert_eq!(file(&shop, &revision, "x"), "x\n");
    repo.tag("main").expect("a tag with the name of a branch");
    let error = sync(&shop, "main").expect_err("ambiguous");
    assert!(
        matches!(error, Error::RevisionAmbiguous { .. }),
        "{error:?}"
    );
}

/// Takes as long as the limits: half a minute each.
#[test]
#[ignore = "waits for timeouts"]
fn a_silent_server_is_given_up() {
    let bench = Bench::new();
    bench.repo();
    for fault in [Fault::Hang, Fault::Stall] {
        let server = GitServer::start_http(bench.served()).expect("a server");
        let repository = bench.open(&server.url("shop.git"), &Credential::none());
        let name = format!("{fault:?}");
        server.set_fault(fault);
        let start = std::time::Instant::now();
        let error = sync(&repository, "main").expect_err(&name);
        assert_eq!(error.reason(), "Timeout", "{name}: {error:?}");
        assert!(
            start.elapsed() < Duration::from_secs(55),
            "{name}: {:?}",
            start.elapsed()
        );
    }
}
