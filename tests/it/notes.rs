//! The full record as Git notes: it is there for everybody who reads the repository, nothing of
//! anybody is lost, and nothing waits for it.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::{Value, json};
use towline::status::Record;

use crate::cli::towline;
use crate::world::manifests::{config_map, deployment, secret};
use crate::world::{World, borrowed, condition, logs, wait, wait_for};

const NOTES: &str = "refs/notes/towline";

/// An Application of `path` that keeps the record.
fn recorded(world: &World<'_>, name: &str, path: &str) -> Value {
    let mut app = world.application(name, path);
    app["spec"]["audit"] = json!({"notes": true});
    app
}

/// Git in the bare repository.
fn git(world: &World<'_>, args: &[&str]) -> String {
    let dir = format!("--git-dir={}", world.repo.bare().display());
    let who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"];
    world
        .repo
        .git(&[&[dir.as_str()][..], &who, args].concat())
        .unwrap()
}

/// The note of a commit as Git shows it; empty where there is none.
fn note(world: &World<'_>, commit: &str) -> String {
    let dir = format!("--git-dir={}", world.repo.bare().display());
    let show = [dir.as_str(), "notes", "--ref=towline", "show", commit];
    world.repo.git(&show).unwrap_or_default()
}

/// The records of a commit.
fn records(world: &World<'_>, commit: &str) -> Vec<Record> {
    note(world, commit)
        .lines()
        .filter_map(Record::parse)
        .collect()
}

fn outcomes(world: &World<'_>, commit: &str, application: &str) -> Vec<String> {
    let records = records(world, commit);
    let application = format!("{}/{application}", world.ns);
    let own = records
        .iter()
        .filter(|one| one.get("application") == Some(&application));
    own.filter_map(|one| one.get("outcome").map(str::to_owned))
        .collect()
}

/// Waits until the note of a commit says exactly this of an Application, and nothing waits.
fn noted(world: &World<'_>, commit: &str, application: &str, expected: &[&str]) {
    wait(&format!("the note of {application}"), || {
        let status = world.app(application)["status"].clone();
        if outcomes(world, commit, application) == expected && status["audit"].is_null() {
            Ok(())
        } else {
            Err(format!("{}\n{status}", note(world, commit)))
        }
    });
}

/// Runs `towline history shop --notes`.
fn history(world: &World<'_>, flags: &[&str]) -> (i32, String, String) {
    let line = ["history", "shop", "--notes", "-n", world.ns.as_str()];
    towline(world.plane, &[&line, flags].concat())
}

/// A hook of the repository.
fn hook(world: &World<'_>, name: &str, script: &str) -> std::path::PathBuf {
    let path = world.repo.bare().join("hooks").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn what_was_deployed_and_taken_back_stands_in_the_notes() {
    let world = World::new("notes");
    let mut app = recorded(&world, "shop", "shop");
    // Less than what is waited for: a pod that crashes may be left over from the first try, and tells
    // nothing new in the second.
    app["spec"]["rollback"] = json!({"timeout": "25s", "monitor": "0s", "grace": "1s"});
    world.create(&app);
    let a = world.commit(&[
        ("shop/web.yaml", &deployment("web", Some(1), "nginx:1")),
        ("shop/key.yaml", &secret("key", "hunter-1")),
    ]);
    world.synced("shop", &a);
    noted(&world, &a, "shop", &["Applied", "Healthy"]);
    // Somebody's own words are between the lines of towline.
    git(
        &world,
        &[
            "notes",
            "--ref=towline",
            "append",
            "-m",
            "Reviewed-by: Ann",
            &a,
        ],
    );
    let crashing = deployment("web", Some(1), "nginx:2").replace(
        "        app: web\n    spec",
        "        app: web\n        testcluster.towline.dev/waiting: CrashLoopBackOff\n    spec",
    );
    let crashing = crashing.replace(
        "  template:\n    metadata:\n",
        "  template:\n    metadata:\n      annotations:\n        \
         testcluster.towline.dev/last-words: 'password hunter-2'\n",
    );
    let b = world.commit(&[
        ("shop/web.yaml", &crashing),
        ("shop/key.yaml", &secret("key", "hunter-2")),
    ]);
    world.poke("shop");
    noted(&world, &b, "shop", &["Applied", "RolledBack"]);
    // Who tries it again is recorded too.
    world.annotate("shop", towline::object::keys::RETRY, Some(&b[..8]));
    let twice = ["Applied", "RolledBack", "Applied", "RolledBack"];
    noted(&world, &b, "shop", &twice);
    let back = world.repo.revert(&b).unwrap();
    world.synced("shop", &back);
    noted(&world, &back, "shop", &["Applied", "Healthy"]);
    assert!(note(&world, &a).contains("Reviewed-by: Ann"));
    assert_eq!(records(&world, &a).len(), 2);

    let of = |commit: &str, key: &str| -> Vec<String> {
        let records = records(&world, commit);
        records
            .iter()
            .map(|one| one.get(key).unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(of(&a, "cluster"), [world.ns.as_str(); 2]);
    assert_eq!(of(&a, "author"), ["Test User", ""]);
    assert_eq!(of(&a, "changed"), ["2", ""]);
    assert_eq!(of(&b, "back_to"), ["", &a[..8], "", &a[..8]]);
    assert_eq!(of(&b, "retried"), ["", "", &b[..8], ""]);
    assert_eq!(of(&back, "reverts"), [&b[..8], ""]);
    let why = &of(&b, "why")[1];
    assert!(why.starts_with("CrashLoopBackOff: Deployment/"), "{why}");
    for commit in [&a, &b, &back] {
        let told = note(&world, commit);
        assert!(
            !told.contains("hunter") && !told.contains("password"),
            "{told}"
        );
    }
    // Git reads it, and nothing else of the repository is another one.
    let log = git(&world, &["log", "--notes=towline", "--format=%N", "main"]);
    assert!(log.contains("outcome=RolledBack"), "{log}");
    assert_eq!(git(&world, &["rev-parse", "main"]), back);
    let refs = git(&world, &["for-each-ref", "--format=%(refname)"]);
    assert_eq!(refs, "refs/heads/main\nrefs/notes/towline");
    assert_eq!(
        git(&world, &["fsck", "--full", "--strict", "--no-dangling"]),
        ""
    );
    world.assert_quiet();

    let flags = ["--allow-scheme", "http"];
    let (code, out, err) = history(&world, &flags);
    assert_eq!(code, 0, "{out}{err}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 9, "{out}");
    assert!(lines[0].starts_with("TIME"), "{out}");
    for part in [
        "RolledBack",
        "CrashLoopBackOff: Deployment/",
        &b[..8],
        &world.ns,
    ] {
        assert!(
            lines.iter().any(|line| line.contains(part)),
            "{part}: {out}"
        );
    }
    let (code, out, err) = history(&world, &[&flags[..], &["-o", "json"]].concat());
    assert_eq!(code, 0, "{out}{err}");
    let all: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 8);
    assert!(
        all.as_array()
            .unwrap()
            .iter()
            .any(|one| one["revision"] == b.as_str())
    );
}

#[test]
fn an_approval_is_recorded_with_the_manager_that_gave_it() {
    let world = World::new("notes-approved");
    let objects = |n: usize| -> Vec<(String, String)> {
        let one = |i| (format!("shop/{i}.yaml"), config_map(&format!("c{i}"), "1"));
        (0..n).map(one).collect()
    };
    let all = objects(8);
    let files = borrowed(&all);
    let a = world.commit(&files);
    world.create(&recorded(&world, "shop", "shop"));
    noted(&world, &a, "shop", &["Applied", "Healthy"]);
    let gone: Vec<&str> = files.iter().skip(2).map(|(path, _)| *path).collect();
    let b = world.remove(&gone);
    let told = world.failed("shop", "PruneOverLimit");
    let hash = told.split("approve-prune=").nth(1).unwrap();
    let hash: String = hash
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect();
    let key = towline::object::keys::APPROVE_PRUNE;
    world.annotate("shop", key, Some(&hash));
    noted(&world, &b, "shop", &["Applied", "Healthy"]);
    let records = records(&world, &b);
    let approved = records[0].get("approved").unwrap_or_default();
    assert!(approved.starts_with(&format!("{hash} by ")), "{approved}");
    assert!(approved.len() > hash.len() + 4, "{approved}");
}

#[test]
fn of_applications_that_write_at_once_no_line_is_lost() {
    let world = World::new("notes-race");
    let names: Vec<String> = (0..6).map(|i| format!("app-{i}")).collect();
    for (i, name) in names.iter().enumerate() {
        let mut app = recorded(&world, name, name);
        // Half of them read the repository by another way: nothing in the agent brings those
        // together with the others.
        if i % 2 == 0 {
            app["spec"]["source"]["repoURL"] = world.repo.file_url().into();
        }
        world.create(&app);
    }
    // And on the first push somebody is faster.
    hook(
        &world,
        "update",
        "test \"$1\" = refs/notes/towline || exit 0\n\
         test ! -e told || exit 0\n\
         touch told\n\
         unset GIT_QUARANTINE_PATH\n\
         git -c user.name=Ann -c user.email=a@b notes --ref=towline append -m faster main",
    );
    let mut commits = Vec::new();
    for round in 0..4 {
        let files: Vec<(String, String)> = { names.iter() }
            .map(|name| {
                (
                    format!("{name}/a.yaml"),
                    config_map(name, &round.to_string()),
                )
            })
            .collect();
        let files = borrowed(&files);
        let commit = world.commit(&files);
        for name in &names {
            world.synced(name, &commit);
        }
        commits.push(commit);
    }
    for commit in &commits {
        for name in &names {
            noted(&world, commit, name, &["Applied", "Healthy"]);
            assert_eq!(condition(&world.app(name), "NotesNotWritten"), Value::Null);
        }
        let lines = records(&world, commit).len();
        assert_eq!(lines, 2 * names.len());
    }
    let all: String = commits.iter().map(|commit| note(&world, commit)).collect();
    assert!(all.contains("faster"), "{all}");
    assert_eq!(
        git(&world, &["fsck", "--full", "--strict", "--no-dangling"]),
        ""
    );
}

#[test]
fn a_repository_that_may_only_be_read_stops_nothing_and_says_what_to_do() {
    let mut world = World::new("notes-denied");
    world.repo.config("http.receivepack", "false").unwrap();
    world.create(&recorded(&world, "shop", "shop"));
    // The test itself pushes by the file system.
    let a = world.commit(&[("shop/a.yaml", &config_map("a", "1"))]);
    world.synced("shop", &a);
    let app = world.wait_condition("shop", "NotesNotWritten", "True", "PushDenied");
    let told = condition(&app, "NotesNotWritten")["message"].to_string();
    for part in ["the right to push", "spec.audit.notes: false", NOTES] {
        assert!(told.contains(part), "{part} is not in: {told}");
    }
    let b = world.commit(&[("shop/a.yaml", &config_map("a", "2"))]);
    let app = world.synced("shop", &b);
    assert_eq!(condition(&app, "Ready")["status"], "True");
    let pending = |world: &World<'_>| {
        let app = world.app("shop");
        app["status"]["audit"]["pending"]
            .as_array()
            .map_or(0, Vec::len)
    };
    wait_for("all of it to wait", || pending(&world) == 4);
    world.wait_event("shop", "PushDenied");
    let events = world.events("shop");
    let count = events.iter().filter(|(reason, _)| reason == "PushDenied");
    assert_eq!(count.count(), 1, "{events:?}");
    // What waits survives a restart, and is made up for.
    world.kill_agent();
    world.repo.config("http.receivepack", "true").unwrap();
    world.start();
    noted(&world, &a, "shop", &["Applied", "Healthy"]);
    noted(&world, &b, "shop", &["Applied", "Healthy"]);
    wait_for("the condition to go", || {
        condition(&world.app("shop"), "NotesNotWritten") == Value::Null
    });
}

#[test]
fn who_does_not_want_it_any_more_is_told_nothing() {
    let world = World::new("notes-off");
    world.repo.config("http.receivepack", "false").unwrap();
    world.create(&recorded(&world, "shop", "shop"));
    world.commit(&[("shop/a.yaml", &config_map("a", "1"))]);
    world.wait_condition("shop", "NotesNotWritten", "True", "PushDenied");
    world.change("shop", &json!({"audit": {"notes": false}}));
    wait_for("the condition and what waits to go", || {
        let app = world.app("shop");
        condition(&app, "NotesNotWritten") == Value::Null && app["status"]["audit"].is_null()
    });
    // What was on its way has ended.
    world.wait_polls(3.0);
    // Nothing is tried again, although it would be let in now, and nobody wakes up for it.
    world.repo.config("http.receivepack", "true").unwrap();
    // Longer than the wait before that retry was.
    world.wait_polls(12.0);
    world.assert_quiet();
    assert!(!world.repo.bare().join(NOTES).exists());
    // And it is wanted again: the next revision is written.
    world.change("shop", &json!({"audit": {"notes": true}}));
    let b = world.commit(&[("shop/a.yaml", &config_map("a", "2"))]);
    noted(&world, &b, "shop", &["Applied", "Healthy"]);
}

#[test]
fn the_record_outlives_the_application_and_the_cluster() {
    let world = World::new("notes-again");
    let a = world.commit(&[("shop/a.yaml", &config_map("a", "1"))]);
    world.create(&recorded(&world, "shop", "shop"));
    noted(&world, &a, "shop", &["Applied", "Healthy"]);
    let before = records(&world, &a);
    world.delete_application("shop");
    let b = world.commit(&[("shop/a.yaml", &config_map("a", "2"))]);
    world.create(&recorded(&world, "shop", "shop"));
    noted(&world, &b, "shop", &["Applied", "Healthy"]);
    assert_eq!(records(&world, &a), before);
    let (code, out, err) = history(&world, &["--allow-scheme", "http"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains(&a[..8]) && out.contains(&b[..8]), "{out}");
    // In a clone, with no cluster at all.
    world.delete_application("shop");
    let clone = world.repo.work_tree().display().to_string();
    let flags = ["--repo", clone.as_str()];
    let (code, out, err) = history(&world, &flags);
    assert_eq!(code, 1, "{out}{err}");
    assert!(err.contains("git fetch origin refs/notes/towline"), "{err}");
    let refspec = format!("{NOTES}:{NOTES}");
    world
        .repo
        .git(&["fetch", "--quiet", "origin", &refspec])
        .unwrap();
    let nowhere =
        without_a_cluster(&[&["history", "shop", "--notes", "-n", &world.ns][..], &flags].concat());
    assert!(
        nowhere.contains(&a[..8]) && nowhere.contains(&b[..8]),
        "{nowhere}"
    );
}

/// Runs a verb with no kubeconfig.
fn without_a_cluster(args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_towline"));
    let done = command
        .args(args)
        .env("KUBECONFIG", "/dev/null")
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn an_agent_that_is_killed_before_it_hears_of_its_push_adds_no_line_twice() {
    let mut world = World::new("notes-killed");
    let gate = world.repo.bare().join("gate");
    assert!(
        Command::new("mkfifo")
            .arg(&gate)
            .status()
            .unwrap()
            .success()
    );
    // The notes are there, and the answer is not.
    let hook = hook(
        &world,
        "post-receive",
        "grep -q refs/notes/towline || exit 0\ncat gate > opened",
    );
    let a = world.commit(&[("shop/a.yaml", &config_map("a", "1"))]);
    world.create(&recorded(&world, "shop", "shop"));
    let opened = world.repo.bare().join("opened");
    wait_for("the hook of the first push", || opened.exists());
    assert!(!records(&world, &a).is_empty());
    world.kill_agent();
    std::fs::remove_file(hook).unwrap();
    std::fs::write(&gate, "").unwrap();
    let status = world.app("shop")["status"].clone();
    assert!(status["audit"]["pending"].is_array(), "{status}");
    world.start();
    noted(&world, &a, "shop", &["Applied", "Healthy"]);
}

/// How many agents die at some moment.
const DEATHS: u64 = 12;

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "no condition: the instant is what is tested"
)]
fn agents_that_are_killed_at_any_instant_add_no_line_twice() {
    let world = World::idle("notes-instants");
    world.create(&recorded(&world, "shop", "shop"));
    let mut commits = Vec::new();
    for round in 0..DEATHS {
        commits.push(world.commit(&[("shop/a.yaml", &config_map("a", &round.to_string()))]));
        let agent = world.spawn(None);
        std::thread::sleep(std::time::Duration::from_millis(400 + round * 97 % 900));
        agent.kill();
    }
    let _agent = world.spawn(None);
    let last = world.commit(&[("shop/a.yaml", &config_map("a", "last"))]);
    world.synced("shop", &last);
    noted(&world, &last, "shop", &["Applied", "Healthy"]);
    for commit in &commits {
        let found = outcomes(&world, commit, "shop");
        let mut once = found.clone();
        once.dedup();
        assert_eq!(found, once, "{}", note(&world, commit));
        assert!(found.len() <= 2, "{found:?}");
    }
    // What the history has, the notes have.
    let history = world.app("shop")["status"]["history"].clone();
    for entry in history.as_array().unwrap() {
        let commit = entry["revision"].as_str().unwrap();
        let found = outcomes(&world, commit, "shop");
        assert_eq!(
            found.first().map(String::as_str),
            Some("Applied"),
            "{commit}"
        );
    }
}

#[test]
fn what_waits_is_bounded_and_what_is_dropped_is_told() {
    let mut world = World::idle("notes-bounded");
    world.create(&recorded(&world, "shop", "shop"));
    let a = world.commit(&[("shop/a.yaml", &config_map("a", "1"))]);
    // As an agent left it for which the Git server was out of order.
    let own = format!("{}/shop", world.ns);
    let line =
        |i: usize| format!("2026-01-01T00:00:{i:02}Z cluster=c application={own} outcome=Old");
    let pending = |i| json!({"revision": "a".repeat(40), "line": line(i)});
    let mut pending: Vec<Value> = (0..50).map(pending).collect();
    // And what no agent wrote: nothing of it is ever pushed.
    pending.push(json!({"revision": "a".repeat(40), "line": "2026-01-01T00:00:00Z looks good"}));
    pending.push(json!({"revision": "../main", "line": line(3)}));
    let url = world.git.url("repo.git");
    tell(
        &world,
        &json!({"audit": {"repository": url, "pending": pending}}),
    );
    world.repo.config("http.receivepack", "false").unwrap();
    world.start();
    world.synced("shop", &a);
    let app = world.wait_condition("shop", "NotesNotWritten", "True", "PushDenied");
    wait_for("the oldest to be given up", || {
        let audit = world.app("shop")["status"]["audit"].clone();
        audit["dropped"] == 2 && audit["pending"].as_array().map(Vec::len) == Some(50)
    });
    wait_for("the log to have them", || {
        logs().contains(&line(0)) && logs().contains(&line(1))
    });
    assert!(!logs().contains(&line(2)), "{app}");
}

#[test]
fn a_note_without_room_costs_no_line_of_another_commit() {
    let mut world = World::idle("notes-full");
    world.create(&recorded(&world, "shop", "shop"));
    let a = world.commit(&[("shop/a.yaml", &config_map("a", "1"))]);
    let huge = world.repo.bare().join("huge");
    std::fs::write(&huge, "x".repeat(5 << 20)).unwrap();
    let huge = huge.display().to_string();
    git(&world, &["notes", "--ref=towline", "add", "-F", &huge, &a]);
    let b = world.commit(&[("shop/a.yaml", &config_map("a", "2"))]);
    // As an agent left it that ended before it wrote them: they are sent together.
    let own = format!("{}/shop", world.ns);
    let waiting = |commit: &str, second: usize| {
        let line = format!("2026-01-01T00:00:0{second}Z application={own} outcome=Old");
        json!({"revision": commit, "line": line})
    };
    let pending = json!([waiting(&a, 1), waiting(&b, 2), waiting(&a, 3)]);
    let url = world.git.url("repo.git");
    tell(
        &world,
        &json!({"audit": {"repository": url, "pending": pending}}),
    );
    world.start();
    wait_for("what has room to be written", || {
        outcomes(&world, &b, "shop") == ["Old", "Applied", "Healthy"]
    });
    let app = world.wait_condition("shop", "NotesNotWritten", "True", "NoteTooLarge");
    let told = condition(&app, "NotesNotWritten")["message"].to_string();
    assert!(
        told.contains("2 lines of the record were given up") && told.contains(&a),
        "{told}"
    );
    // What is not kept is told, and what is kept is not said to be lost.
    let log = logs();
    let lost: Vec<String> = { log.lines() }
        .filter(|line| line.contains("not known to be kept") && line.contains(&world.ns))
        .map(str::to_owned)
        .collect();
    assert_eq!(lost.len(), 2, "{lost:?}");
    assert!(lost.iter().all(|line| line.contains(&a)), "{lost:?}");
    // The others are read without it.
    let (code, out, err) = history(&world, &["--allow-scheme", "http"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains(&b[..8]) && err.contains(&a), "{out}{err}");
    // And it goes on.
    let c = world.commit(&[("shop/a.yaml", &config_map("a", "3"))]);
    noted(&world, &c, "shop", &["Applied", "Healthy"]);
}

/// Writes into the status of `shop`, as an agent does.
fn tell(world: &World<'_>, status: &Value) {
    let patch = json!({"status": status}).to_string();
    let args = [
        "-n",
        &world.ns,
        "patch",
        "application",
        "shop",
        "--subresource=status",
    ];
    let args = [&args[..], &["--type=merge", "-p", &patch]].concat();
    world.plane.kubectl(&args).unwrap();
}
