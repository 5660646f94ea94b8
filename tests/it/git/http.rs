//! What a healthy server gives.

use std::io::Read as _;
use std::time::Instant;

use towline::git::{AdvanceKind, Credential, Error, limits};
use towline_testcluster::GitServer;

use super::{Bench, file, sync, target, targets};

#[test]
fn a_branch_is_polled_fetched_and_followed() {
    let bench = Bench::new();
    let repo = bench.repo();
    let server = GitServer::start_http(bench.served()).expect("a server");
    let repository = bench.open(&server.url("shop.git"), &Credential::none());

    let (first, synced) = sync(&repository, "main").expect("a first sync");
    assert_eq!(first.commit, repo.head().expect("a head"));
    assert_eq!(first.to_string(), format!("main@sha1:{}", first.commit));
    assert_eq!(synced.fetched.advances[0].kind, AdvanceKind::First);
    assert_eq!(file(&repository, &first, "app/config.yaml"), "a: 1\n");

    // Nothing new: one request, nothing fetched.
    let before = server.counters();
    let (again, synced) = sync(&repository, "main").expect("a quiet poll");
    assert_eq!(again, first);
    assert!(!synced.fetched.transferred);
    assert_eq!(server.counters().requests - before.requests, 1);

    // Two commits at once: ls-refs and fetch, and the history in between is known.
    repo.write("app/config.yaml", "a: 2\n").expect("a file");
    let middle = repo.commit("second").expect("a commit");
    repo.write("app/config.yaml", "a: 3\n").expect("a file");
    repo.commit("third \u{1b}[31m\n\nbody").expect("a commit");
    let before = server.counters();
    let (second, synced) = sync(&repository, "main").expect("an incremental sync");
    assert_eq!(server.counters().requests - before.requests, 2);
    assert_eq!(synced.fetched.advances[0].kind, AdvanceKind::Forward);
    assert_eq!(
        synced.fetched.advances[0].from.as_deref(),
        Some(first.commit.as_str())
    );
    assert!(
        synced.fetched.bytes < 4096,
        "{} bytes",
        synced.fetched.bytes
    );
    assert_eq!(file(&repository, &second, "app/config.yaml"), "a: 3\n");
    assert_eq!(file(&repository, &first, "app/config.yaml"), "a: 1\n");
    assert_eq!(
        repository.is_ancestor(&middle, &second.commit),
        Ok(Some(true))
    );
    assert_eq!(
        repository.is_ancestor(&second.commit, &first.commit),
        Ok(Some(false))
    );
    let details = repository.commit(&second.commit).expect("details");
    assert_eq!(details.subject, "third \\u{1b}[31m");
    assert_eq!(details.parents, [middle]);
    assert!(details.time > 1_600_000_000, "{}", details.time);
}

#[test]
fn a_revert_brings_back_files_from_before_the_clone() {
    let bench = Bench::new();
    let repo = bench.repo();
    repo.write("app/config.yaml", "a: 2\n").expect("a file");
    let bad = repo.commit("second").expect("a commit");
    let server = GitServer::start_http(bench.served()).expect("a server");
    let repository = bench.open(&server.url("shop.git"), &Credential::none());
    sync(&repository, "main").expect("a first sync, shallow");
    repo.revert(&bad).expect("a revert");
    let (reverted, synced) = sync(&repository, "main").expect("an incremental sync");
    assert_eq!(synced.fetched.advances[0].kind, AdvanceKind::Forward);
    assert_eq!(file(&repository, &reverted, "app/config.yaml"), "a: 1\n");
}

#[test]
fn a_force_push_is_noticed() {
    let bench = Bench::new();
    let repo = bench.repo();
    let first = repo.head().expect("a head");
    let server = GitServer::start_http(bench.served()).expect("a server");
    let repository = bench.open(&server.url("shop.git"), &Credential::none());
    sync(&repository, "main").expect("a first sync");
    repo.write("app/config.yaml", "a: 2\n").expect("a file");
    let old = repo.commit("to be dropped").expect("a commit");
    sync(&repository, "main").expect("an incremental sync");

    // Elsewhere from a common ancestor.
    repo.git(&["reset", "--quiet", "--hard", &first])
        .expect("a reset");
    repo.write("app/config.yaml", "a: other\n").expect("a file");
    repo.git(&["commit", "--quiet", "-am", "instead"])
        .expect("a commit");
    let instead = repo.head().expect("a head");
    repo.force_push(&instead).expect("a force-push");
    let (revision, synced) = sync(&repository, "main").expect("a sync");
    let rewritten: Vec<_> = synced.fetched.rewritten().collect();
    assert_eq!(rewritten.len(), 1);
    assert_eq!(rewritten[0].from.as_deref(), Some(old.as_str()));
    assert_eq!(
        file(&repository, &revision, "app/config.yaml"),
        "a: other\n"
    );

    // Back to an old commit, which is here already.
    let before = server.counters();
    repo.force_push(&first).expect("a force-push");
    let (revision, synced) = sync(&repository, "main").expect("a sync");
    assert_eq!(revision.commit, first);
    assert_eq!(synced.fetched.rewritten().count(), 1);
    assert_eq!(server.counters().requests - before.requests, 1);

    // History older than the shallow clone.
    let older = Bench::new();
    let repo = older.repo();
    let first = repo.head().expect("a head");
    repo.write("x", "x\n").expect("a file");
    repo.commit("second").expect("a commit");
    let server = GitServer::start_http(older.served()).expect("a server");
    let repository = older.open(&server.url("shop.git"), &Credential::none());
    sync(&repository, "main").expect("a first sync");
    repo.force_push(&first).expect("a force-push");
    let (revision, synced) = sync(&repository, "main").expect("a sync");
    assert_eq!(revision.commit, first);
    assert_eq!(
        synced.fetched.rewritten().count(),
        1,
        "{:?}",
        synced.fetched
    );
}

#[test]
fn one_poll_serves_every_kind_of_target() {
    let bench = Bench::new();
    let repo = bench.repo();
    let first = repo.head().expect("a head");
    repo.tag("v1.0.0").expect("a tag");
    repo.write("app/config.yaml", "a: 2\n").expect("a file");
    let second = repo.commit("second").expect("a commit");
    repo.tag("v1.1.0").expect("a tag");
    repo.git(&[
        "push",
        "--quiet",
        "origin",
        &format!("{first}:refs/custom/one"),
    ])
    .expect("a ref");
    repo.git(&[
        "push",
        "--quiet",
        "origin",
        &format!("{first}:refs/heads/main2"),
    ])
    .expect("a ref");
    let server = GitServer::start_http(bench.served()).expect("a server");
    let repository = bench.open(&server.url("shop.git"), &Credential::none());
    let wanted = targets(&[
        "",
        "main",
        "refs/heads/main",
        "main2",
        "v1.0.0",
        "^1",
        "~1.0",
        "refs/custom/one",
        &first,
        "nowhere",
        "^7",
    ]);
    let polled = repository.poll(&wanted).expect("a poll");
    assert_eq!(server.counters().requests, 2, "who are you, and ls-refs");
    let synced = repository.poll_and_fetch(&wanted).expect("a sync");
    for (text, commit) in [
        ("", &second),
        ("main", &second),
        ("refs/heads/main", &second),
        ("main2", &first),
        ("v1.0.0", &first),
        ("^1", &second),
        ("~1.0", &first),
        ("refs/custom/one", &first),
        (first.as_str(), &first),
    ] {
        let revision = synced.revisions[&target(text)].as_ref().expect(text);
        assert_eq!(&revision.commit, commit, "{text}");
        assert_eq!(polled[&target(text)].as_ref(), Ok(revision), "{text}");
        let wanted = if *commit == first { "a: 1\n" } else { "a: 2\n" };
        assert_eq!(
            file(&repository, revision, "app/config.yaml"),
            wanted,
            "{text}"
        );
    }
    assert!(matches!(
        synced.revisions[&target("nowhere")],
        Err(Error::BranchNotFound { .. })
    ));
    assert!(matches!(
        synced.revisions[&target("^7")],
        Err(Error::RevisionNotFound { .. })
    ));
}

#[test]
fn a_commit_is_fetched_once_and_never_polled() {
    let bench = Bench::new();
    let repo = bench.repo();
    let first = repo.head().expect("a head");
    repo.write("x", "x\n").expect("a file");
    repo.commit("second").expect("a commit");
    let server = GitServer::start_http(bench.served()).expect("a server");
    let repository = bench.open(&server.url("shop.git"), &Credential::none());
    let (revision, _) = sync(&repository, &first).expect("a pinned commit");
    assert_eq!(revision.to_string(), format!("sha1:{first}"));
    assert_eq!(file(&repository, &revision, "app/config.yaml"), "a: 1\n");
    let before = server.counters();
    sync(&repository, &first).expect("the same again");
    assert_eq!(server.counters().requests, before.requests);

    // One that is nowhere spoils nothing else.
    let missing = "0123456789012345678901234567890123456789";
    let synced = repository
        .poll_and_fetch(&targets(&[missing, "main"]))
        .expect("a sync");
    assert!(synced.revisions[&target("main")].is_ok());
    match &synced.revisions[&target(missing)] {
        Err(Error::RevisionNotFound { .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_tag_that_moves_or_marks_no_commit_is_told() {
    let bench = Bench::new();
    let repo = bench.repo();
    repo.tag("stable").expect("a tag");
    repo.git(&["tag", "blob", "HEAD:README.md"])
        .expect("a tag of a file");
    repo.git(&["push", "--quiet", "origin", "refs/tags/blob"])
        .expect("a push");
    let server = GitServer::start_http(bench.served()).expect("a server");
    let repository = bench.open(&server.url("shop.git"), &Credential::none());
    sync(&repository, "stable").expect("a tag");
    repo.write("x", "x\n").expect("a file");
    let second = repo.commit("second").expect("a commit");
    repo.tag("stable").expect("the tag, moved");
    let (revision, synced) = sync(&repository, "stable").expect("the tag");
    assert_eq!(revision.commit, second);
    assert_eq!(synced.fetched.advances[0].kind, AdvanceKind::Forward);
    let error = sync(&repository, "blob").expect_err("no commit");
    assert!(matches!(error, Error::RevisionNotFound { .. }), "{error:?}");
    assert!(error.to_string().contains("not a commit"), "{error}");
}

/// Writes some 150 MB.
#[test]
#[ignore = "takes a while"]
fn a_jump_too_big_to_follow_is_fetched_alone() {
    let bench = Bench::new();
    let repo = bench.repo();
    let server = GitServer::start_http(bench.served()).expect("a server");
    let repository = bench.open(&server.url("shop.git"), &Credential::none());
    sync(&repository, "main").expect("a first sync");
    let mut random = std::fs::File::open("/dev/urandom").expect("randomness");
    for part in 0..2 {
        let mut file =
            std::fs::File::create(repo.work_tree().join(format!("big{part}"))).expect("a file");
        let half = limits::MAX_INCREMENTAL_BYTES / 2 + 1_000_000;
        std::io::copy(&mut random.by_ref().take(half), &mut file).expect("a big file");
        repo.commit("big").expect("a commit");
    }
    // What was big is gone again: only the way there is.
    repo.remove("big0").expect("a removal");
    repo.remove("big1").expect("a removal");
    repo.write("app/config.yaml", "a: 2\n").expect("a file");
    repo.commit("small").expect("a commit");
    let (revision, synced) = sync(&repository, "main").expect("a sync");
    assert_eq!(file(&repository, &revision, "app/config.yaml"), "a: 2\n");
    assert_eq!(synced.fetched.rewritten().count(), 1);
    assert!(synced.fetched.bytes < 100_000, "{}", synced.fetched.bytes);
    repo.write("app/config.yaml", "a: 3\n").expect("a file");
    repo.commit("after").expect("a commit");
    let (_, synced) = sync(&repository, "main").expect("a sync");
    assert_eq!(synced.fetched.advances[0].kind, AdvanceKind::Forward);
}

/// Figures for the report; run with `--ignored --nocapture`.
#[test]
#[ignore = "prints figures"]
#[allow(clippy::print_stderr, reason = "printing is what it is for")]
fn figures() {
    let bench = Bench::new();
    let repo = bench.repo();
    for n in 0..2000 {
        repo.write(
            &format!("apps/a{n}/config.yaml"),
            &format!("n: {n}\n{}", "k: v\n".repeat(100)),
        )
        .expect("a file");
    }
    repo.commit("2000 files").expect("a commit");
    let server = GitServer::start_http(bench.served()).expect("a server");
    let repository = bench.open(&server.url("shop.git"), &Credential::none());
    let start = Instant::now();
    let (first, synced) = sync(&repository, "main").expect("a first sync");
    eprintln!(
        "first sync {:?}, {} bytes",
        start.elapsed(),
        synced.fetched.bytes
    );
    let mut polls = Vec::new();
    for _ in 0..50 {
        let start = Instant::now();
        sync(&repository, "main").expect("a poll");
        polls.push(start.elapsed());
    }
    polls.sort();
    eprintln!(
        "poll p50 {:?} min {:?} max {:?}",
        polls[25], polls[0], polls[49]
    );
    let mut fetches = Vec::new();
    let mut bytes = 0;
    for n in 0..30 {
        repo.write("apps/a7/config.yaml", &format!("n: {n}\n"))
            .expect("a file");
        repo.commit("next").expect("a commit");
        let start = Instant::now();
        let (_, synced) = sync(&repository, "main").expect("a sync");
        fetches.push(start.elapsed());
        bytes = synced.fetched.bytes;
    }
    fetches.sort();
    eprintln!(
        "poll+fetch p50 {:?} min {:?} max {:?}, {bytes} bytes",
        fetches[15], fetches[0], fetches[29]
    );
    let start = Instant::now();
    let tree = repository.tree(&first.commit).expect("a tree");
    let mut total = 0;
    for (name, _) in tree.list("apps").expect("a listing") {
        total += tree
            .read(&format!("apps/{name}/config.yaml"))
            .expect("a file")
            .len();
    }
    eprintln!("reading 2000 files, {total} bytes: {:?}", start.elapsed());
    let start = Instant::now();
    let listed = std::process::Command::new("git")
        .args(["ls-remote", &server.url("shop.git"), "main"])
        .output()
        .expect("git");
    eprintln!("git ls-remote: {:?} ({})", start.elapsed(), listed.status);
}
