//! `towline diff` of a commit: what a merge would do, before it is merged.

use serde_json::{Value, json};
use towline::object::keys;
use towline_testcluster::Auth;

use crate::cli::towline;
use crate::world::World;
use crate::world::manifests::{config_map, deployment, secret};

/// A Deployment that is created anew when its selector changes.
fn forced(app: &str) -> String {
    deployment("web", Some(1), "nginx:1")
        .replace("app: web", &format!("app: {app}"))
        .replacen(
            "metadata:\n",
            &format!("metadata:\n  annotations:\n    {}: enabled\n", keys::FORCE),
            1,
        )
}

/// A world whose Application stays at its first commit; and that commit and the next.
fn world(name: &str) -> (World<'static>, String, String) {
    let world = World::new(name);
    let first = world.deploy(
        "shop",
        "app",
        &[
            ("app/a.yaml", &config_map("a", "1")),
            ("app/same.yaml", &config_map("same", "1")),
            ("app/left.yaml", &config_map("left", "1")),
            ("app/s.yaml", &secret("s", "hunter2")),
            ("app/web.yaml", &forced("web")),
        ],
    );
    world.annotate("shop", keys::SUSPEND, Some("the test"));
    // Nothing is committed before the agent knows.
    world.refresh("shop");
    world.kubectl(&["create", "configmap", "there", "--from-literal=value=0"]);
    world.repo.remove("app/left.yaml").unwrap();
    let next = world.commit(&[
        ("app/a.yaml", &config_map("a", "2")),
        ("app/new.yaml", &config_map("new", "1")),
        ("app/s.yaml", &secret("s", "hunter3")),
        ("app/there.yaml", &config_map("there", "1")),
        ("app/web.yaml", &forced("other")),
    ]);
    (world, first, next)
}

fn diff(world: &World<'_>, args: &[&str]) -> (i32, String, String) {
    let (ns, agent) = (&world.ns, &world.ns);
    let to = ["--application=shop", "-n", ns, "--agent-namespace", agent];
    towline(world.plane, &[&["diff"], args, &to[..]].concat())
}

#[test]
fn a_commit_of_the_applications_own_repository_is_marked_object_by_object() {
    let (world, first, next) = world("diff-commit");
    let (code, out, err) = diff(&world, &["--revision", &first]);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""));
    for revision in [next.as_str(), "main"] {
        let (code, out, err) = diff(&world, &["--revision", revision]);
        assert_eq!(code, 1, "{out}{err}");
        for expected in [
            "\n-  value: \"1\"\n+  value: \"2\"\n",
            "+++ desired/ConfigMap/diff-commit-work/new\n",
            "ConfigMap/diff-commit-work/there: it would be adopted: it is there already, and nobody's\n--- live/",
            "Deployment/diff-commit-work/web: it would be deleted and created anew: ",
            "ConfigMap/diff-commit-work/left would be pruned",
            "(changed)",
        ] {
            assert!(out.contains(expected), "{expected} is not in:\n{out}{err}");
        }
        let all = format!("{out}{err}");
        assert!(!all.contains("hunter") && !out.contains("/same"), "{all}");
    }
    assert_eq!(world.value("a"), "1", "nothing was written");

    let (code, _, err) = diff(&world, &["--revision", "nowhere"]);
    assert_eq!(code, 2);
    assert!(err.contains("error: ") && err.contains("nowhere"), "{err}");
    let (code, _, err) = diff(&world, &["--revision", &first[..7]]);
    assert_eq!(code, 2);
    assert!(err.contains("all 40 digits"), "{err}");
}

#[test]
fn a_private_repository_is_read_as_the_agent_reads_it() {
    let (world, first, _) = world("diff-private");
    world.git.set_auth(Auth::Basic {
        user: "ci".into(),
        password: "hunter2".into(),
    });
    let (code, _, err) = diff(&world, &["--revision", &first]);
    assert_eq!(code, 2);
    assert!(err.contains("credentials"), "{err}");
    world.create(&json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "repo", "namespace": world.ns,
            "labels": {keys::SECRET_TYPE_LABEL: keys::SECRET_TYPE_REPOSITORY}},
        "stringData": {"url": world.git.url("repo.git"), "username": "ci", "password": "hunter2"}}));
    let (code, out, err) = diff(&world, &["--revision", &first]);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""));
}

#[test]
fn a_commit_of_a_clone_is_compared_whatever_is_checked_out() {
    let (world, first, next) = world("diff-clone");
    let dir = world.repo.work_tree().join("app");
    let dir = dir.to_str().unwrap();
    // As `git log --oneline` prints it, too.
    for revision in [first.as_str(), &first[..7]] {
        let (code, out, err) = diff(&world, &[dir, "--revision", revision]);
        assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""));
    }
    std::fs::remove_file(format!("{dir}/a.yaml")).unwrap();
    let (code, out, err) = diff(&world, &[dir, "--revision", &next, "-o", "json"]);
    assert_eq!(code, 1, "{err}");
    let list: Value = serde_json::from_str(&out).unwrap();
    let mut changes: Vec<(&str, &str)> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let text = |key: &str| entry[key].as_str().unwrap();
            (text("object"), text("change"))
        })
        .collect();
    changes.sort_unstable();
    assert_eq!(
        changes,
        [
            ("ConfigMap/diff-clone-work/a", "update"),
            ("ConfigMap/diff-clone-work/left", "prune"),
            ("ConfigMap/diff-clone-work/new", "create"),
            ("ConfigMap/diff-clone-work/there", "adopt"),
            ("Deployment/diff-clone-work/web", "recreate"),
            ("Secret/diff-clone-work/s", "update"),
        ]
    );
}

#[test]
fn a_comment_on_a_pull_request_has_a_table_and_no_secrets() {
    let (world, _, next) = world("diff-page");
    let (code, out, err) = diff(&world, &["--revision", &next, "--markdown"]);
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    let title = format!("### towline diff: `diff-page/shop` at `{}`\n", &next[..8]);
    assert!(out.starts_with(&title), "{out}");
    for expected in [
        "\n**1 same, 1 create, 2 update, 1 adopt, 1 recreate, 1 prune**.\n",
        "\n| update | `ConfigMap/diff-page-work/a` | `app/a.yaml:1` |  |\n",
        "\n| prune | `ConfigMap/diff-page-work/left` |  | `left Git` |\n",
        "\n| recreate | `Deployment/diff-page-work/web` | `app/web.yaml:1` | `it would be deleted",
        "<details><summary>update <code>Secret/diff-page-work/s</code></summary>\n\n```diff\n",
        "+  password: (changed)\n",
    ] {
        assert!(out.contains(expected), "{expected} is not in:\n{out}");
    }
    assert!(
        !out.contains("hunter") && !out.contains("aHVudGVy"),
        "{out}"
    );
    assert!(out.chars().count() <= 65_536);
}
