//! Notes on commits: what towline writes and what the real `git notes` does are one and the same.

use std::collections::BTreeMap;

use towline::error::Fault as _;
use towline::git::{Author, Credential, NOTES, Note, Repository};
use towline_testcluster::{Auth, GitRepo, GitServer};

use super::{Bench, sync};

fn author() -> Author {
    Author {
        name: "towline".into(),
        email: "towline@example.com".into(),
        time: 1_700_000_000,
    }
}

fn note(commit: &str, line: &str) -> Note {
    Note {
        commit: commit.into(),
        line: line.into(),
    }
}

/// Git in the bare repository.
fn git(repo: &GitRepo, args: &[&str]) -> String {
    let dir = format!("--git-dir={}", repo.bare().display());
    let who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"];
    repo.git(&[&[dir.as_str()][..], &who, args].concat())
        .unwrap()
}

/// The note of a commit, as Git has it.
fn shown(repo: &GitRepo, commit: &str) -> Vec<String> {
    let said = git(repo, &["notes", "--ref=towline", "show", commit]);
    said.lines().map(str::to_owned).collect()
}

fn all(repository: &Repository) -> BTreeMap<String, String> {
    let mut found = BTreeMap::<String, String>::new();
    let mut take = |commit: &str, text: Option<&str>| {
        found
            .entry(commit.into())
            .or_default()
            .push_str(text.unwrap_or("too large"));
    };
    repository.read_notes(&mut take).unwrap();
    found
}

fn is_sound(repo: &GitRepo) {
    let said = git(repo, &["fsck", "--full", "--strict", "--no-dangling"]);
    assert_eq!(said, "");
}

#[test]
fn lines_are_added_over_https_and_read_by_git() {
    let bench = Bench::new();
    let repo = bench.repo();
    let auth = Auth::Basic {
        user: "u".into(),
        password: "hunter22".into(),
    };
    let server = GitServer::builder(bench.served()).tls(true).auth(auth);
    let server = server.start().unwrap();
    let credential = Credential::basic("u", "hunter22").with_ca(server.ca_pem().unwrap());
    let repository = bench.open(&server.url("shop.git"), &credential);
    let (head, _) = sync(&repository, "main").unwrap();
    let head = head.commit;
    assert!(!repository.read_notes(&mut |_, _| {}).unwrap());
    let lines = [note(&head, "1 a"), note(&head, "2 b"), note(&head, "1 a")];
    assert!(
        repository
            .append_notes(&lines, &author())
            .unwrap()
            .is_empty()
    );
    assert_eq!(shown(&repo, &head), ["1 a", "2 b"]);
    // What is there is not sent again, whoever asks.
    let pushes = server.counters().receive_packs;
    repository.append_notes(&lines, &author()).unwrap();
    let other = Bench::new();
    let fresh = other.open(&server.url("shop.git"), &credential);
    fresh.append_notes(&lines, &author()).unwrap();
    assert_eq!(server.counters().receive_packs, pushes);
    fresh
        .append_notes(&[note(&head, "3 c")], &author())
        .unwrap();
    repository
        .append_notes(&[note(&head, "4 d")], &author())
        .unwrap();
    assert_eq!(shown(&repo, &head), ["1 a", "2 b", "3 c", "4 d"]);
    is_sound(&repo);
    // The branch is where it was, and so is what polls know of it.
    assert_eq!(git(&repo, &["rev-parse", "main"]), head);
    assert_eq!(sync(&repository, "main").unwrap().0.commit, head);
    assert_eq!(all(&repository)[&head], "1 a\n2 b\n3 c\n4 d\n");
    let log = git(
        &repo,
        &["log", "--notes=towline", "-1", "--format=%N", "main"],
    );
    assert!(log.contains("3 c"), "{log}");
}

#[test]
fn what_others_noted_is_kept_in_each_layout() {
    let bench = Bench::new();
    let repo = bench.repo();
    let server = GitServer::start_ssh(bench.served()).unwrap();
    let credential = Credential::ssh(server.private_key(), server.known_hosts());
    let repository = bench.open(&server.url("shop.git"), &credential);
    let (head, _) = sync(&repository, "main").unwrap();
    let head = head.commit;
    // A file that is no note, somebody's words, and so many of theirs that Git fans them out.
    let file = "commit refs/notes/towline\ncommitter Ann <ann@example.com> 1700000000 +0000\n\
                data 4\nfile\nM 644 inline README\ndata 6\nhello\n\n";
    fed(&repo, &["fast-import", "--quiet"], file);
    git(
        &repo,
        &[
            "notes",
            "--ref=towline",
            "add",
            "-m",
            "Reviewed-by: Ann",
            &head,
        ],
    );
    repository
        .append_notes(&[note(&head, "1 a")], &author())
        .unwrap();
    assert_eq!(shown(&repo, &head), ["Reviewed-by: Ann", "1 a"]);
    let spread = |i: usize| format!("{:02x}{i:038x}", i % 256);
    let pairs: String = (0..400)
        .map(|i| format!("{head} {}\n", spread(i)))
        .collect();
    fed(
        &repo,
        &["notes", "--ref=towline", "copy", "--stdin"],
        &pairs,
    );
    let tree = git(&repo, &["ls-tree", "--name-only", NOTES]);
    assert!(tree.lines().any(|name| name.len() == 2), "{tree}");
    let others = |of: &str| {
        let list = git(&repo, &["notes", "--ref=towline", "list"]);
        let mut lines: Vec<String> = list.lines().map(str::to_owned).collect();
        lines.retain(|line| !line.ends_with(of));
        lines.sort();
        lines
    };
    let before = others(&head);
    assert_eq!(before.len(), 400);
    let new = "f".repeat(40);
    let lines = [
        note(&head, "2 b"),
        note(&new, "3 c"),
        note(&spread(7), "4 d"),
    ];
    repository.append_notes(&lines, &author()).unwrap();
    assert_eq!(shown(&repo, &head), ["Reviewed-by: Ann", "1 a", "2 b"]);
    assert_eq!(all(&repository).len(), 402);
    assert_eq!(all(&repository)[&new], "3 c\n");
    assert_eq!(all(&repository)[&spread(7)], "Reviewed-by: Ann\n1 a\n4 d\n");
    let list = git(&repo, &["notes", "--ref=towline", "list"]);
    assert_eq!(list.lines().count(), 402, "Git sees each once");
    let kept = { before.iter() }.filter(|line| !line.ends_with(&spread(7)));
    assert!(kept.clone().count() == 399 && { kept }.all(|line| list.contains(line.as_str())));
    assert_eq!(git(&repo, &["show", &format!("{NOTES}:README")]), "hello");
    is_sound(&repo);
    // And Git goes on with what towline wrote.
    git(
        &repo,
        &["notes", "--ref=towline", "append", "-m", "5 e", &head],
    );
    assert_eq!(shown(&repo, &head).last().unwrap(), "5 e");
    repository
        .append_notes(&[note(&head, "6 f")], &author())
        .unwrap();
    assert_eq!(shown(&repo, &head).last().unwrap(), "6 f");
}

/// Git in the bare repository, with something to read.
fn fed(repo: &GitRepo, args: &[&str], text: &str) {
    let path = repo.bare().join("fed");
    std::fs::write(&path, text).unwrap();
    let mut git = std::process::Command::new("git");
    git.arg(format!("--git-dir={}", repo.bare().display()));
    git.args(["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]);
    let done = git.args(args).stdin(std::fs::File::open(&path).unwrap());
    assert!(done.status().unwrap().success());
}

#[test]
fn notes_that_went_apart_are_merged_by_git() {
    let bench = Bench::new();
    let repo = bench.repo();
    let repository = bench.open(&repo.file_url(), &Credential::none());
    let head = repo.head().unwrap();
    let line = |hour: u32| format!("2026-01-01T0{hour}:00:00Z cluster=a outcome=Applied");
    let add = |hour| repository.append_notes(&[note(&head, &line(hour))], &author());
    add(1).unwrap();
    let fetch = |to: &str| {
        let refspec = format!("{NOTES}:{to}");
        repo.git(&["fetch", "--quiet", "origin", &refspec]).unwrap();
    };
    fetch(NOTES);
    repo.git(&["notes", "--ref=towline", "append", "-m", &line(2), &head])
        .unwrap();
    add(3).unwrap();
    fetch("refs/notes/theirs");
    let merge = ["notes", "--ref=towline", "merge", "-s", "cat_sort_uniq"];
    repo.git(&[&merge[..], &["refs/notes/theirs"]].concat())
        .unwrap();
    let merged = repo
        .git(&["notes", "--ref=towline", "show", &head])
        .unwrap();
    assert_eq!(merged, (1..4).map(line).collect::<Vec<_>>().join("\n"));
}

#[test]
fn more_than_one_push_takes_is_written_in_several() {
    let bench = Bench::new();
    let repo = bench.repo();
    let repository = bench.open(&repo.file_url(), &Credential::none());
    let of = |i: usize| format!("{i:040x}");
    let long = "x".repeat(3 << 20);
    let lines: Vec<Note> = (0..24).map(|i| note(&of(i), &long)).collect();
    repository.append_notes(&lines, &author()).unwrap();
    let count = git(&repo, &["rev-list", "--count", NOTES]);
    assert_eq!(count, "2");
    let list = git(&repo, &["notes", "--ref=towline", "list"]);
    assert_eq!(list.lines().count(), 24);
}

#[test]
fn many_notes_of_towline_alone_are_fanned_out_as_git_reads_them() {
    let bench = Bench::new();
    let repo = bench.repo();
    let repository = bench.open(&repo.file_url(), &Credential::none());
    let of = |i: usize| format!("{:02x}{i:038x}", i % 7);
    for round in 0..4 {
        let lines = (0..100).map(|i| note(&of(round * 100 + i), &format!("{round} {i}")));
        let lines: Vec<Note> = lines.collect();
        repository.append_notes(&lines, &author()).unwrap();
    }
    let list = git(&repo, &["notes", "--ref=towline", "list"]);
    assert_eq!(list.lines().count(), 400);
    assert_eq!(all(&repository).len(), 400);
    let tree = git(&repo, &["ls-tree", "--name-only", NOTES]);
    assert!(tree.lines().any(|name| name.len() == 2), "{tree}");
    // One of the first goes on where it is.
    repository
        .append_notes(&[note(&of(3), "again")], &author())
        .unwrap();
    assert_eq!(all(&repository)[&of(3)], "0 3\nagain\n");
    assert_eq!(
        git(&repo, &["notes", "--ref=towline", "list"])
            .lines()
            .count(),
        400
    );
    is_sound(&repo);
}

#[test]
fn of_many_that_write_at_once_no_line_is_lost() {
    let bench = Bench::new();
    let repo = bench.repo();
    let server = GitServer::start_http(bench.served()).unwrap();
    let head = repo.head().unwrap();
    let writers = 4;
    std::thread::scope(|scope| {
        for writer in 0..writers {
            let (url, head) = (server.url("shop.git"), head.clone());
            scope.spawn(move || {
                let bench = Bench::new();
                let repository = bench.open(&url, &Credential::none());
                for i in 0..5 {
                    let line = note(&head, &format!("{writer} {i}"));
                    // As the agent does: it comes again later.
                    while let Err(error) =
                        repository.append_notes(std::slice::from_ref(&line), &author())
                    {
                        assert_eq!(error.reason(), "BranchMoved", "{error}");
                    }
                }
            });
        }
    });
    let mut lines = shown(&repo, &head);
    lines.sort();
    let expected = (0..writers).flat_map(|w| (0..5).map(move |i| format!("{w} {i}")));
    assert_eq!(lines, expected.collect::<Vec<_>>());
    is_sound(&repo);
}

#[test]
fn notes_are_signed_as_other_commits_are() {
    let bench = Bench::new();
    let repo = bench.repo();
    let server = GitServer::start_ssh(bench.served()).unwrap();
    let credential = Credential::ssh(server.private_key(), server.known_hosts());
    let credential = credential.with_signing_key(server.private_key());
    let repository = bench.open(&server.url("shop.git"), &credential);
    let head = repo.head().unwrap();
    repository
        .append_notes(&[note(&head, "1 a")], &author())
        .unwrap();
    let key = russh::keys::PrivateKey::from_openssh(server.private_key()).unwrap();
    let key = key.public_key().to_openssh().unwrap();
    let allowed = bench.served().join("allowed");
    std::fs::write(&allowed, format!("towline@example.com {key}\n")).unwrap();
    let option = format!("gpg.ssh.allowedSignersFile={}", allowed.display());
    let said = git(&repo, &["-c", &option, "log", "-1", "--format=%G?", NOTES]);
    assert_eq!(said, "G");
}

#[test]
fn a_note_that_cannot_grow_keeps_no_other_from_it() {
    let bench = Bench::new();
    let repo = bench.repo();
    let repository = bench.open(&repo.file_url(), &Credential::none());
    let (big, small) = ("a".repeat(40), "b".repeat(40));
    let huge = "x".repeat(5 << 20);
    let lines = [
        note(&big, &huge),
        note(&small, "1 a"),
        note("../main", "no commit"),
    ];
    let full = repository.append_notes(&lines, &author()).unwrap();
    assert_eq!(full.into_iter().collect::<Vec<_>>(), ["../main", &big]);
    assert_eq!(all(&repository)[&small], "1 a\n");
    // One that Git has, and that is too large to be read, keeps no other from being read.
    let head = git(&repo, &["rev-parse", "main"]);
    fed(
        &repo,
        &["notes", "--ref=towline", "add", "-F", "-", &head],
        &huge,
    );
    let all = all(&repository);
    assert_eq!(
        (all[&small].as_str(), all[&head].as_str()),
        ("1 a\n", "too large")
    );
}
