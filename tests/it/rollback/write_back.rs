//! A rollback is written back to Git: to the branch that is tracked, or to one of its own; and what
//! is in the way of that is in the way of nothing else.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use towline::object::keys;
use towline_testcluster::{Auth, GitServer};

use super::{crashing, guarded, image, known, quick, rolled_back, trusted};
use crate::world::manifests::{config_map, deployment};
use crate::world::{World, condition, wait, wait_for};

fn writing(mode: &str) -> Value {
    let mut rollback = quick();
    rollback["writeBack"] = mode.into();
    rollback
}

/// An Application of `shop` from another URL of the repository, that writes reverts.
fn guarded_at(world: &World<'_>, url: &str, mode: &str) {
    let mut app = world.application("shop", "shop");
    app["spec"]["rollback"] = writing(mode);
    app["spec"]["source"]["repoURL"] = url.into();
    world.create(&app);
}

/// The repository Secret of the Application.
fn secret(world: &World<'_>, fields: &Value) {
    world.apply(&json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "credentials", "namespace": world.ns,
            "labels": {keys::SECRET_TYPE_LABEL: keys::SECRET_TYPE_REPOSITORY}},
        "stringData": fields}));
}

fn web(image: &str) -> String {
    deployment("web", Some(1), image)
}

/// Git in the bare repository.
fn git(world: &World<'_>, args: &[&str]) -> String {
    let dir = format!("--git-dir={}", world.repo.bare().display());
    world.repo.git(&[&[dir.as_str()], args].concat()).unwrap()
}

fn served(world: &World<'_>) -> std::path::PathBuf {
    world.repo.bare().parent().unwrap().to_owned()
}

/// Waits until towline wrote to the branch, and returns the commit.
fn written(world: &World<'_>, branch: &str) -> String {
    wait(&format!("a commit of towline on {branch}"), || {
        let name = format!("refs/heads/{branch}");
        let said = git(
            world,
            &[
                "for-each-ref",
                "--format=%(authorname) %(objectname)",
                &name,
            ],
        );
        match said.split_once(' ') {
            Some(("towline", commit)) => Ok(commit.to_owned()),
            _ => Err(format!("{said}; {}", world.app("shop")["status"])),
        }
    })
}

/// Good A; then B, which does not work, and in the same commit changes what is of others.
fn story(world: &World<'_>) -> (String, String) {
    let a = world.commit(&[
        ("shop/web.yaml", &web("nginx:1")),
        ("shop/kept.yaml", &config_map("kept", "1")),
        ("shop/removed.yaml", &config_map("removed", "1")),
        ("bank/a.yaml", &config_map("bank", "1")),
    ]);
    wait_for("the Application", || {
        world.app("shop")["status"]["sync"]["revision"] == a
    });
    trusted(world, &a);
    world.repo.remove("shop/removed.yaml").unwrap();
    let b = world.commit(&[
        ("shop/web.yaml", &crashing("nginx:2", "secret words")),
        ("shop/kept.yaml", &config_map("kept", "2")),
        ("shop/added.yaml", &config_map("added", "2")),
        ("bank/a.yaml", &config_map("bank", "2")),
    ]);
    world.poke("shop");
    (a, b)
}

/// That `r` takes `b` back, in Git and as the Application knows it.
fn is_the_way_back(world: &World<'_>, a: &str, b: &str, r: &str) {
    let app = world.synced("shop", r);
    let status = &app["status"];
    assert_eq!(status["rollback"]["quarantine"], Value::Null);
    assert_eq!(status["rollback"]["rolledBack"], Value::Null);
    assert_eq!(status["rollback"]["good"]["revision"], r);
    assert_eq!(status["history"][0]["revision"], r);
    assert_eq!(status["history"][0]["reverts"], json!([b]));
    assert_eq!(status["history"][1]["outcome"], "RolledBack");
    assert_eq!(condition(&app, "NotWrittenBack"), Value::Null);
    assert_eq!(image(world), "nginx:1");
    assert_eq!(git(world, &["rev-parse", &format!("{r}^")]), b);
    let told = git(world, &["log", "-1", "--format=%B", r]);
    for line in [
        "Revert \"A change of the test\"",
        &format!("This reverts commit {b}."),
        &format!("Reverts: {b}"),
        &format!("Towline-Cluster: {}", world.ns),
    ] {
        assert!(told.lines().any(|l| l == line), "{line} is not in: {told}");
    }
    let reason = "Towline-Reason: CrashLoopBackOff: Deployment/";
    assert!(
        told.contains(reason) && !told.contains("secret words"),
        "{told}"
    );
    assert_eq!(
        git(world, &["fsck", "--full", "--strict", "--no-dangling"]),
        ""
    );
    assert_eq!(git(world, &["diff", "--stat", a, r, "--", "shop"]), "");
    // What is of others stays as it was committed.
    assert_eq!(git(world, &["diff", "--stat", b, r, "--", "bank"]), "");
}

#[test]
fn the_revert_is_on_the_branch_and_lifts_the_quarantine() {
    let world = World::new("write-back");
    let auth = Auth::Basic {
        user: "towline".into(),
        password: "token-1".into(),
    };
    let server = GitServer::builder(served(&world)).tls(true).auth(auth);
    let server = server.start().unwrap();
    let url = server.url("repo.git");
    let fields = json!({"url": url, "username": "towline", "password": "token-1",
        "ca.crt": server.ca_pem()});
    secret(&world, &fields);
    guarded_at(&world, &url, "Revert");
    let (a, b) = story(&world);
    let r = written(&world, "main");
    is_the_way_back(&world, &a, &b, &r);
    // A poll may find the commit before the push that brought it has its answer.
    let mut told = wait("what is written back to be told", || {
        let status = world.app("shop")["status"].clone();
        let told = status["rollback"]["writtenBack"].clone();
        let is_told = !told.is_null();
        is_told.then_some(told).ok_or(status.to_string())
    });
    assert!(told["quarantined"].take().is_string(), "{told}");
    let expected = json!({"commit": r, "branch": "main", "reverts": b, "quarantined": null});
    assert_eq!(told, expected);
    wait_for("the event", || {
        let told = format!("{} on branch main takes {} back", &r[..8], &b[..8]);
        world.events("shop").contains(&("WrittenBack".into(), told))
    });
    // Nothing more is pushed, and nothing more is done.
    let pushes = server.counters().receive_packs;
    world.refresh("shop");
    world.wait_polls(5.0);
    assert_eq!(git(&world, &["rev-parse", "main"]), r);
    assert_eq!(server.counters().receive_packs, pushes);
    // Who brings it back means it: it is tried again, and reverted again, once.
    world.repo.pull().unwrap();
    let d = world.repo.revert(&r).unwrap();
    world.poke("shop");
    let again = wait("the second revert", || {
        let head = git(&world, &["rev-parse", "main"]);
        if head == d || head == r {
            Err(head)
        } else {
            Ok(head)
        }
    });
    world.synced("shop", &again);
    assert_eq!(git(&world, &["rev-parse", &format!("{again}^")]), d);
    assert_eq!(git(&world, &["diff", "--stat", &r, &again]), "");
}

#[test]
fn over_ssh_too() {
    let world = World::new("write-back-ssh");
    let server = GitServer::start_ssh(served(&world)).unwrap();
    let url = server.url("repo.git");
    let fields = json!({"url": url, "sshPrivateKey": server.private_key(),
        "known_hosts": server.known_hosts()});
    secret(&world, &fields);
    guarded_at(&world, &url, "Revert");
    let (a, b) = story(&world);
    let r = written(&world, "main");
    is_the_way_back(&world, &a, &b, &r);
}

#[test]
fn a_branch_of_its_own_waits_for_people() {
    let mut world = World::new("write-back-branch");
    guarded(&world, &writing("Branch"));
    let (a, b) = story(&world);
    let branch = format!("towline/revert-{}", &b[..8]);
    let r = written(&world, &branch);
    assert_eq!(git(&world, &["rev-parse", "main"]), b);
    wait_for("the message", || rolled_back(&world, &a).contains(&branch));
    // It is written once: no poll, restart or other commit writes it again.
    let unrelated = world.commit(&[("README.md", "unrelated")]);
    world.refresh("shop");
    known(&world);
    world.kill_agent();
    world.start();
    world.refresh("shop");
    assert!(rolled_back(&world, &a).contains(&unrelated[..8]));
    world.wait_polls(3.0);
    assert_eq!(git(&world, &["rev-parse", &branch]), r);
    assert_eq!(git(&world, &["rev-parse", "main"]), unrelated);
    // A person merges it.
    world.repo.git(&["fetch", "--quiet", "origin"]).unwrap();
    let remote = format!("origin/{branch}");
    world
        .repo
        .git(&["merge", "--quiet", "--no-edit", &remote])
        .unwrap();
    let merged = world.repo.commit("Merged").unwrap();
    let app = world.synced("shop", &merged);
    assert_eq!(app["status"]["rollback"]["quarantine"], Value::Null);
    assert_eq!(image(&world), "nginx:1");
}

#[test]
fn two_applications_that_one_commit_breaks_share_the_branch() {
    let world = World::new("write-back-shared");
    let other = format!("{}-other", world.ns);
    world.make_namespace(&other);
    let a = world.commit(&[
        ("shop/web.yaml", &web("nginx:1")),
        ("bank/web.yaml", &web("nginx:1")),
    ]);
    for (name, namespace) in [("shop", world.work.as_str()), ("bank", other.as_str())] {
        let mut app = world.application(name, name);
        app["spec"]["destination"]["namespace"] = namespace.into();
        app["spec"]["rollback"] = writing("Branch");
        world.create(&app);
        wait_for("both to be good", || {
            world.app(name)["status"]["rollback"]["good"]["revision"] == a
        });
    }
    let b = world.commit(&[
        ("shop/web.yaml", &crashing("nginx:2", "boom")),
        ("bank/web.yaml", &crashing("nginx:2", "boom")),
    ]);
    world.poke("shop");
    let branch = format!("towline/revert-{}", &b[..8]);
    for name in ["shop", "bank"] {
        wait_for("both to be written back", || {
            world.app(name)["status"]["rollback"]["writtenBack"]["branch"] == branch
        });
    }
    assert_eq!(git(&world, &["diff", "--stat", &a, &branch]), "");
    let range = format!("{b}..{branch}");
    assert_eq!(git(&world, &["rev-list", "--count", &range]), "2");
    assert_eq!(git(&world, &["rev-parse", "main"]), b);
}

/// A hook of the repository, which asks before it lets a push in.
fn hook(world: &World<'_>, script: &str) -> std::path::PathBuf {
    let path = world.repo.bare().join("hooks/pre-receive");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn somebodys_commit_that_comes_in_between_is_not_lost() {
    let world = World::new("write-back-race");
    guarded(&world, &writing("Revert"));
    let a = world.commit(&[("shop/web.yaml", &web("nginx:1"))]);
    trusted(&world, &a);
    // The test's own push is let in; on the next, somebody is faster, once.
    hook(
        &world,
        "read old new name\n\
         test \"$(git log -1 --format=%an $new)\" = towline || exit 0\n\
         rm hooks/pre-receive\n\
         unset GIT_QUARANTINE_PATH\n\
         git update-ref refs/heads/main \
         $(GIT_AUTHOR_NAME=Ann GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=Ann GIT_COMMITTER_EMAIL=a@b \
         git commit-tree -p $old -m faster $old^{tree}) $old",
    );
    let b = world.commit(&[("shop/web.yaml", &crashing("nginx:2", "boom"))]);
    world.poke("shop");
    let r = written(&world, "main");
    let app = world.synced("shop", &r);
    assert_eq!(app["status"]["history"][0]["reverts"], json!([b]));
    let subjects = git(&world, &["log", "--format=%s", "main"]);
    assert_eq!(
        subjects.lines().collect::<Vec<_>>(),
        [
            "Revert \"A change of the test\"",
            "faster",
            "A change of the test",
            "A change of the test",
        ]
    );
    assert_eq!(condition(&app, "NotWrittenBack"), Value::Null);
}

#[test]
fn of_two_that_race_one_writes_and_both_are_healed() {
    let world = World::new("write-back-two");
    let other = format!("{}-other", world.ns);
    world.make_namespace(&other);
    let a = world.commit(&[("shop/web.yaml", &web("nginx:1"))]);
    for (name, namespace) in [("shop", world.work.as_str()), ("other", other.as_str())] {
        let mut app = world.application(name, "shop");
        app["spec"]["destination"]["namespace"] = namespace.into();
        app["spec"]["rollback"] = writing("Revert");
        world.create(&app);
        wait_for("both to be good", || {
            world.app(name)["status"]["rollback"]["good"]["revision"] == a
        });
    }
    let b = world.commit(&[("shop/web.yaml", &crashing("nginx:2", "boom"))]);
    world.poke("shop");
    let r = written(&world, "main");
    for name in ["shop", "other"] {
        let app = world.synced(name, &r);
        assert_eq!(app["status"]["rollback"]["quarantine"], Value::Null);
        assert_eq!(condition(&app, "NotWrittenBack"), Value::Null);
    }
    world.wait_polls(5.0);
    assert_eq!(git(&world, &["rev-parse", "main"]), r);
    assert_eq!(git(&world, &["rev-parse", "main^"]), b);
}

#[test]
fn a_push_that_is_refused_stops_nothing_and_is_made_up_for_after_a_restart() {
    let mut world = World::new("write-back-refused");
    guarded(&world, &writing("Revert"));
    let a = world.commit(&[
        ("shop/web.yaml", &web("nginx:1")),
        ("shop/kept.yaml", &config_map("kept", "1")),
    ]);
    trusted(&world, &a);
    // Before the commit, which may be taken back at once: what is not of towline is let in.
    let hook = hook(
        &world,
        "read old new name\n\
         test \"$(git log -1 --format=%an $new)\" = towline || exit 0\n\
         echo 'main is frozen until Monday' >&2; exit 1",
    );
    let b = world.commit(&[("shop/web.yaml", &crashing("nginx:2", "boom"))]);
    world.poke("shop");
    rolled_back(&world, &a);
    let told = wait("the refusal", || {
        let app = world.app("shop");
        let told = condition(&app, "NotWrittenBack");
        if told["reason"] == "PushRefused" {
            Ok(told["message"].as_str().unwrap_or_default().to_owned())
        } else {
            Err(app["status"].to_string())
        }
    });
    assert!(
        told.contains("main is frozen until Monday") && told.contains("`main`"),
        "{told}"
    );
    world.wait_event("shop", "PushRefused");
    // What is there is healed.
    let drift = json!({"data": {"value": "drift"}});
    world.patch("ConfigMap", &world.work, "kept", &drift);
    wait_for("the drift to be undone", || world.value("kept") == "1");
    assert_eq!(git(&world, &["rev-parse", "main"]), b);
    // An agent that starts anew knows what is left to do.
    known(&world);
    world.kill_agent();
    std::fs::remove_file(hook).unwrap();
    world.start();
    let r = written(&world, "main");
    let app = world.synced("shop", &r);
    assert_eq!(app["status"]["rollback"]["quarantine"], Value::Null);
    assert_eq!(condition(&app, "NotWrittenBack"), Value::Null);
}

#[test]
fn a_file_that_was_changed_again_is_left_to_people() {
    let world = World::new("write-back-conflict");
    let mut app = world.application("shop", "shop");
    app["spec"]["rollback"] = quick();
    world.create(&app);
    let a = world.commit(&[("shop/web.yaml", &web("nginx:1"))]);
    trusted(&world, &a);
    let bad = crashing("nginx:2", "boom");
    world.commit(&[("shop/web.yaml", &bad)]);
    world.poke("shop");
    rolled_back(&world, &a);
    // The same objects: still in quarantine. But somebody's words are in the file.
    let c = world.commit(&[("shop/web.yaml", &format!("# do not lose this\n{bad}"))]);
    world.refresh("shop");
    world.change("shop", &json!({"rollback": {"writeBack": "Revert"}}));
    let app = world.wait_condition("shop", "NotWrittenBack", "True", "RevertConflict");
    let told = condition(&app, "NotWrittenBack")["message"].to_string();
    assert!(told.contains("shop/web.yaml"), "{told}");
    assert_eq!(git(&world, &["rev-parse", "main"]), c);
    assert_eq!(image(&world), "nginx:1");
}

#[test]
fn a_pinned_source_has_no_branch_to_write_to() {
    let world = World::new("write-back-pinned");
    let a = world.commit(&[("shop/web.yaml", &web("nginx:1"))]);
    world.repo.tag("v1.0.0").unwrap();
    let mut app = world.application("shop", "shop");
    app["spec"]["rollback"] = writing("Revert");
    app["spec"]["source"]["targetRevision"] = "^1".into();
    world.create(&app);
    trusted(&world, &a);
    let b = world.commit(&[("shop/web.yaml", &crashing("nginx:2", "boom"))]);
    world.repo.tag("v1.1.0").unwrap();
    world.poke("shop");
    rolled_back(&world, &a);
    let app = world.wait_condition("shop", "NotWrittenBack", "True", "SourcePinned");
    let told = condition(&app, "NotWrittenBack")["message"].to_string();
    assert!(told.contains("`^1`") && told.contains("Branch"), "{told}");
    world.kubectl(&["scale", "deployment/web", "--replicas=3"]);
    wait_for("the scale to be undone", || {
        world.live("Deployment", "web").unwrap()["spec"]["replicas"] == 1
    });
    world.wait_event("shop", "SourcePinned");
    world.wait_polls(6.0);
    let events = world.events("shop");
    let count = events.iter().filter(|(reason, _)| reason == "SourcePinned");
    assert_eq!(count.count(), 1, "{events:?}");
    assert_eq!(git(&world, &["rev-parse", "main"]), b);
    // A branch of its own it may have.
    world.change("shop", &json!({"rollback": {"writeBack": "Branch"}}));
    let r = written(&world, &format!("towline/revert-{}", &b[..8]));
    assert_eq!(git(&world, &["rev-parse", &format!("{r}^")]), b);
    wait_for("the condition to go", || {
        condition(&world.app("shop"), "NotWrittenBack") == Value::Null
    });
}
