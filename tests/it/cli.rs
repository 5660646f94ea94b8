//! The command line as a process, against a real API server and a running agent.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use towline_testcluster::ControlPlane;

use crate::world::{World, install_crd, manifests::config_map, wait, wait_for};

/// The binary, as the administrator of the test.
fn command(plane: &ControlPlane) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_towline"));
    command
        .env("KUBECONFIG", plane.kubeconfig())
        .env("TERM", "dumb");
    command
}

/// Runs a verb; returns exit code, stdout and stderr.
pub fn towline(plane: &ControlPlane, args: &[&str]) -> (i32, String, String) {
    let output = command(plane).args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let Output {
        status,
        stdout,
        stderr,
    } = output;
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// An Application that only reports until it is asked.
fn manual(world: &World<'_>, name: &str) -> Value {
    let mut application = world.application(name, "app");
    application["spec"]["syncPolicy"] = json!({});
    // Nothing but the request may bring the agent to poll.
    application["spec"]["source"]["interval"] = "1h".into();
    application
}

#[test]
fn a_sync_that_was_asked_for_takes_the_newest_commit_and_waits_for_it() {
    let world = World::new("cli-sync");
    world.commit(&[("app/a.yaml", &config_map("a", "1"))]);
    world.create(&manual(&world, "shop"));
    let sync = ["sync", "shop", "-n", "cli-sync", "--timeout", "60s"];
    let (code, out, err) = towline(world.plane, &sync);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(world.value("a"), "1");
    assert!(
        out.starts_with("Application/cli-sync/shop: ") && out.contains("is applied"),
        "{out}"
    );

    let commit = world.commit(&[("app/a.yaml", &config_map("a", "2"))]);
    let (code, out, err) = towline(world.plane, &sync);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(world.value("a"), "2", "the poll came before the sync");

    let (code, out, _) = towline(world.plane, &["status", "-n", "cli-sync"]);
    assert_eq!(code, 0);
    let line = out.lines().nth(1).unwrap_or_default();
    assert!(
        line.starts_with(&format!("shop   Synced   Healthy   {}", &commit[..8])),
        "{out}"
    );
    let (_, out, _) = towline(
        world.plane,
        &["status", "shop", "-n", "cli-sync", "-o", "json"],
    );
    let application: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(application["status"]["sync"]["revision"], commit.as_str());
    let (_, out, _) = towline(world.plane, &["status", "shop", "-n", "cli-sync"]);
    assert!(
        out.contains("\nReady ") && out.contains("A change of the test"),
        "{out}"
    );

    world.commit(&[("app/a.yaml", "kind: ConfigMap\n")]);
    let (code, _, err) = towline(world.plane, &sync);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("error: Application/cli-sync/shop: "), "{err}");
    assert!(
        err.contains("app/a.yaml"),
        "the message names the file: {err}"
    );
    assert_eq!(world.value("a"), "2");
}

#[test]
fn a_diff_shows_what_a_sync_would_change_and_nothing_else() {
    let world = World::new("cli-diff");
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: hunter2}\n";
    let kept = config_map("kept", "1");
    world.deploy(
        "shop",
        "app",
        &[
            ("app/a.yaml", &config_map("a", "1")),
            ("app/s.yaml", secret),
            ("app/kept.yaml", &kept),
            ("app/left.yaml", &config_map("left", "1")),
        ],
    );
    let dir = world.repo.work_tree().join("app");
    let diff = [
        "diff",
        dir.to_str().unwrap(),
        "--application=shop",
        "-n",
        "cli-diff",
        "--agent-namespace",
        "cli-diff",
    ];
    let (code, out, err) = towline(world.plane, &diff);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""));

    let edit = |file: &str, text: &str| std::fs::write(dir.join(file), text).unwrap();
    edit("a.yaml", &config_map("a", "2"));
    edit("s.yaml", &secret.replace("hunter2", "hunter3"));
    edit("new.yaml", &config_map("new", "1"));
    std::fs::remove_file(dir.join("left.yaml")).unwrap();
    let (code, out, err) = towline(world.plane, &diff);
    assert_eq!(code, 1, "{out}{err}");
    for expected in [
        "--- live/ConfigMap/cli-diff-work/a\n",
        "\n-  value: \"1\"\n+  value: \"2\"\n",
        "+++ desired/ConfigMap/cli-diff-work/new\n",
        "(changed)",
        "ConfigMap/cli-diff-work/left would be pruned",
    ] {
        assert!(out.contains(expected), "{expected} is not in:\n{out}{err}");
    }
    let all = format!("{out}{err}");
    for secret in ["hunter", "aHVudGVy"] {
        assert!(
            !all.contains(secret),
            "a Secret's value is shown: {out}{err}"
        );
    }
    assert!(
        !out.contains("kept") && !out.contains("towline.dev"),
        "{out}"
    );
    assert_eq!(world.value("a"), "1", "nothing was written");

    edit(
        "a.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nnope: 1\n",
    );
    let (code, _, err) = towline(world.plane, &diff);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("error: ConfigMap/cli-diff-work/a: "), "{err}");
}

#[test]
fn what_cannot_be_dry_run_is_shown_as_new() {
    let world = World::idle("cli-dry");
    let dir = tempfile::tempdir().unwrap();
    let text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: cli-dry-new}\n---\n".to_owned()
        + &config_map("a", "1").replace("metadata:\n", "metadata:\n  namespace: cli-dry-new\n");
    std::fs::write(dir.path().join("all.yaml"), text).unwrap();
    let (code, out, err) = towline(world.plane, &["diff", dir.path().to_str().unwrap()]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(
        out.contains("+++ desired/Namespace/cli-dry-new\n") && out.contains("+  value: \"1\"\n"),
        "{out}"
    );
    assert!(
        err.contains("not dry-run: its namespace is not there yet"),
        "{err}"
    );
}

/// Installs and uninstalls, so it has a control plane of its own.
#[test]
fn an_installation_is_accepted_and_can_be_removed_without_loss() {
    let plane = ControlPlane::builder().start().unwrap();
    install_crd(&plane);
    plane.wait_nodes().unwrap();
    let mut world = World::on(&plane, "cli-install");
    for with in [
        "--with=ha",
        "--with=cluster-admin,ha",
        "--with=tenants-only",
    ] {
        let (code, manifests, err) = towline(&plane, &["install", with]);
        assert_eq!(code, 0, "{err}");
        plane.apply(&manifests).unwrap();
    }
    // The image is not run here: the Deployment is scaled down all the same.
    world.start();
    let commit = world.commit(&[("app/a.yaml", &config_map("a", "1"))]);
    let mut application = world.application("shop", "app");
    application["metadata"]["finalizers"] = json!(["towline.dev/prune", "example.com/other"]);
    world.create(&application);
    world.synced("shop", &commit);
    world.stop_agent();

    let (code, out, _) = towline(&plane, &["uninstall"]);
    assert_eq!(code, 0);
    assert!(
        out.contains("would take towline.dev/prune off") && out.contains("would scale towline"),
        "{out}"
    );
    let (code, out, err) = towline(&plane, &["uninstall", "--yes"]);
    assert_eq!(code, 0, "{out}{err}");
    let finalizers = world.app("shop")["metadata"]["finalizers"].clone();
    assert_eq!(finalizers, json!(["example.com/other"]));
    let deployment = world
        .get("Deployment", "towline-system", "towline")
        .unwrap();
    assert_eq!(deployment["spec"]["replicas"], 0);

    world.annotate_finalizers_away("shop");
    let (_, manifests, _) = towline(&plane, &["install"]);
    let file = plane.dir().join("manifests.yaml");
    std::fs::write(&file, manifests).unwrap();
    let file = file.to_str().unwrap();
    plane
        .kubectl(&["delete", "--wait=false", "--ignore-not-found", "-f", file])
        .unwrap();
    wait_for("the end of the CRD", || {
        let name = "applications.towline.dev";
        world.get("CustomResourceDefinition", "", name).is_none()
    });
    assert_eq!(world.value("a"), "1", "what was deployed stays");
}

impl World<'_> {
    /// Takes every finalizer off an Application, as its other owner would.
    fn annotate_finalizers_away(&self, name: &str) {
        let none = json!({"metadata": {"finalizers": null}});
        self.patch("Application", &self.ns, name, &none);
    }
}

#[test]
fn the_agent_gives_its_lease_back_when_it_is_told_to_end() {
    let world = World::idle("cli-agent");
    let mut agent = command(world.plane)
        .args(["agent", "--namespace=cli-agent", "--listen=127.0.0.1:0"])
        .args(["--application-namespaces=cli-agent", "--lease-name=cli"])
        .args(["--log-format=json", "--cache-dir"])
        .arg(tempfile::tempdir().unwrap().path().join("cache"))
        .env_remove("RUST_LOG")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(agent.stderr.take().unwrap()).lines();
    let holds = lines.by_ref().map_while(Result::ok).find(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["message"] == "holds the Lease"
    });
    assert!(holds.is_some(), "the agent ended before it held the Lease");
    let holder = || {
        let lease = world.get("Lease", "cli-agent", "cli").unwrap_or_default();
        lease["spec"]["holderIdentity"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert!(!holder().is_empty());
    let pid = agent.id().to_string();
    assert!(Command::new("kill").arg(pid).status().unwrap().success());
    let status = wait("the end of the agent", || {
        agent
            .try_wait()
            .unwrap()
            .ok_or_else(|| "it runs".to_owned())
    });
    assert_eq!(status.code(), Some(0));
    assert_eq!(holder(), "", "another agent need not wait");
}
