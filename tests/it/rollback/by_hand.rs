//! `towline rollback`: the way back from a terminal.

use serde_json::json;
use towline::object::keys;
use towline_testcluster::{Auth, GitServer};

use crate::cli::towline;
use crate::world::World;
use crate::world::manifests::{config_map, secret};

/// A and B, both healthy, of an Application of another URL of the repository.
fn two(world: &World<'_>, url: &str) -> (String, String) {
    let mut app = world.application("shop", "shop");
    app["spec"]["source"]["repoURL"] = url.into();
    world.create(&app);
    let a = world.commit(&[
        ("shop/kept.yaml", &config_map("kept", "1")),
        ("shop/key.yaml", &secret("key", "hunter-1")),
        ("bank/a.yaml", &config_map("bank", "1")),
    ]);
    healthy(world, &a);
    let b = world.commit(&[
        ("shop/kept.yaml", &config_map("kept", "2")),
        ("shop/key.yaml", &secret("key", "hunter-2")),
        ("shop/added.yaml", &config_map("added", "2")),
        ("bank/a.yaml", &config_map("bank", "2")),
    ]);
    healthy(world, &b);
    (a, b)
}

fn healthy(world: &World<'_>, commit: &str) {
    world.synced("shop", commit);
    crate::world::wait_for("the history to say so", || {
        let entry = &world.app("shop")["status"]["history"][0];
        entry["revision"] == commit && entry["outcome"] == "Healthy"
    });
}

fn main(world: &World<'_>) -> String {
    let dir = format!("--git-dir={}", world.repo.bare().display());
    world.repo.git(&[&dir, "rev-parse", "main"]).unwrap()
}

/// Runs it for the Application of this world.
fn rollback(world: &World<'_>, flags: &[&str]) -> (i32, String, String) {
    let line = ["rollback", "shop", "-n", world.ns.as_str()];
    towline(world.plane, &[&line, flags].concat())
}

#[test]
fn with_the_secret_of_the_agent() {
    let world = World::new("by-hand");
    let root = world.repo.bare().parent().unwrap();
    let auth = Auth::Basic {
        user: "towline".into(),
        password: "token-1".into(),
    };
    let server = GitServer::builder(root).tls(true).auth(auth);
    let server = server.start().unwrap();
    world.apply(&json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "credentials", "namespace": world.ns,
            "labels": {keys::SECRET_TYPE_LABEL: keys::SECRET_TYPE_REPO_CREDS}},
        "stringData": {"url": server.url(""), "username": "towline", "password": "token-1",
            "ca.crt": server.ca_pem()}}));
    let (a, b) = two(&world, &server.url("repo.git"));

    // Nobody is asked, so nothing is done; but it is shown.
    let (code, out, err) = rollback(&world, &[]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(err.contains("--yes"), "{err}");
    let (code, shown, err) = rollback(&world, &["--dry-run"]);
    assert_eq!(code, 0, "{shown}{err}");
    for line in [
        &format!("  takes back {} A change of the test (Test User)", &b[..8]),
        "  restores shop/kept.yaml",
        "  removes shop/added.yaml",
        "--- now/ConfigMap/kept",
        "-  value: \"2\"",
        "+  value: \"1\"",
    ] {
        assert!(
            shown.lines().any(|l| l == line),
            "{line} is not in: {shown}"
        );
    }
    assert!(
        !shown.contains("bank") && shown.contains(&a[..8]),
        "{shown}"
    );
    for secret in ["hunter-1", "hunter-2", "token-1"] {
        assert!(!shown.contains(secret) && !err.contains(secret), "{shown}");
    }
    assert_eq!(main(&world), b);

    let flags = ["--yes", "--reason", "checkout is slow"];
    let (code, out, err) = rollback(
        &world,
        &[&flags[..], &["--author", "Ann <ann@x.org>"]].concat(),
    );
    assert_eq!(code, 0, "{out}{err}");
    let r = main(&world);
    assert!(
        out.contains(&format!("pushed {} to main", &r[..8])),
        "{out}"
    );
    world.poke("shop");
    let app = world.synced("shop", &r);
    assert_eq!(app["status"]["history"][0]["reverts"], json!([b]));
    assert_eq!(world.value("kept"), "1");
    world.repo.pull().unwrap();
    let told = world
        .repo
        .git(&["log", "-1", "--format=%an <%ae>%n%B"])
        .unwrap();
    for line in [
        "Ann <ann@x.org>",
        "Revert \"A change of the test\"",
        &format!("Reverts: {b}"),
        "Towline-Reason: checkout is slow",
    ] {
        assert!(told.lines().any(|l| l == line), "{line} is not in: {told}");
    }
    assert_eq!(
        world
            .repo
            .git(&["diff", "--stat", &a, &r, "--", "shop"])
            .unwrap(),
        ""
    );
    assert_eq!(
        world
            .repo
            .git(&["diff", "--stat", &b, &r, "--", "bank"])
            .unwrap(),
        ""
    );
    // There is no third one to go back to; but forth, when it is named.
    let (code, _, err) = rollback(&world, &["--yes"]);
    assert_eq!(code, 1);
    assert!(err.contains("--to"), "{err}");
    let (code, out, err) = rollback(&world, &["--to", &b[..8], "--branch", "--yes"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        out.contains(&format!("towline/revert-{}", &r[..8])),
        "{out}"
    );
    assert_eq!(main(&world), r);
}

#[test]
fn in_a_clone_of_ones_own() {
    let world = World::new("by-hand-clone");
    let (a, b) = two(&world, &world.git.url("repo.git"));
    let clone = world.repo.work_tree().display().to_string();
    let (code, out, err) = rollback(&world, &["--repo", &clone, "--yes"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(main(&world), b);
    let branch = format!("towline/revert-{}", &b[..8]);
    let command = format!("  git -C {clone} push origin {branch}:main");
    assert!(out.lines().any(|line| line == command), "{out}");
    assert_eq!(world.repo.git(&["status", "--porcelain"]).unwrap(), "");
    // The branch is there: it is not overwritten.
    let made = world.repo.git(&["rev-parse", &branch]).unwrap();
    let again = ["--repo", &clone, "--yes", "--reason", "another one"];
    let (code, out, err) = rollback(&world, &again);
    assert_eq!(code, 1, "{out}{err}");
    assert!(err.contains("is there already"), "{err}");
    assert_eq!(world.repo.git(&["rev-parse", &branch]).unwrap(), made);
    let refspec = format!("{branch}:main");
    world
        .repo
        .git(&["push", "--quiet", "origin", &refspec])
        .unwrap();
    let r = main(&world);
    world.poke("shop");
    let app = world.synced("shop", &r);
    assert_eq!(app["status"]["history"][0]["reverts"], json!([b]));
    assert_eq!(
        world
            .repo
            .git(&["diff", "--stat", &a, &r, "--", "shop"])
            .unwrap(),
        ""
    );
}

#[test]
fn in_a_clone_the_branch_of_the_remote_comes_before_what_is_checked_out() {
    let world = World::new("by-hand-head");
    let (_, b) = two(&world, &world.git.url("repo.git"));
    world.change("shop", &json!({"source": {"targetRevision": "HEAD"}}));
    let git = |args: &[&str]| world.repo.git(args).unwrap();
    git(&["fetch", "--quiet", "origin"]);
    git(&["switch", "--quiet", "-c", "feature"]);
    world.repo.write("README.md", "not pushed\n").unwrap();
    git(&["add", "README.md"]);
    git(&["commit", "--quiet", "-m", "not pushed"]);
    let clone = world.repo.work_tree().display().to_string();
    let flags = ["--repo", &clone, "--yes"];
    // A clone that does not know better is told from one that does.
    let dry = [&flags[..], &["--dry-run"]].concat();
    let (code, out, err) = rollback(&world, &dry);
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        err.contains("builds on feature") && err.contains("set-head"),
        "{err}"
    );
    git(&["remote", "set-head", "origin", "main"]);
    let (code, out, err) = rollback(&world, &flags);
    assert_eq!(code, 0, "{out}{err}");
    assert!(!err.contains("builds on"), "{err}");
    let branch = format!("towline/revert-{}", &b[..8]);
    assert_eq!(git(&["rev-parse", &format!("{branch}^")]), b);
    let command = format!("  git -C {clone} push origin {branch}:main");
    assert!(out.lines().any(|line| line == command), "{out}");
}
