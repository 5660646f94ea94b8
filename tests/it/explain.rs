//! `towline explain` says what is the matter, and the commands that it prints help.

use serde_json::json;
use towline::object::keys;
use towline_testcluster::ControlPlane;

use crate::cli::towline;
use crate::world::manifests::{config_map, deployment, secret, widget};
use crate::world::{World, install_crd, wait, wait_for};

/// Runs it in the agent's namespace of this world; returns the exit code and what is printed.
fn explain(world: &World<'_>, what: &str, namespace: &str) -> (i32, String) {
    let flags = ["-n", namespace, "--agent-namespace", &world.ns];
    let (code, out, err) = towline(world.plane, &[&["explain", what], &flags[..]].concat());
    assert!(code < 2, "{out}{err}");
    (code, out)
}

/// Explains the Application until `told` is in what is printed.
pub fn told(world: &World<'_>, name: &str, told: &[&str]) -> String {
    wait(&format!("an explanation of {name} with {told:?}"), || {
        let (code, out) = explain(world, name, &world.ns);
        let missing = told.iter().find(|text| !out.contains(**text));
        match missing {
            None if code == 1 => Ok(out),
            missing => Err(format!("{code}, without {missing:?}:\n{out}")),
        }
    })
}

/// The arguments of the command that is printed as a next step, from the word `begin` on.
fn command(out: &str, begin: &str) -> Vec<String> {
    let line = out.lines().find(|line| line.contains(begin)).expect(out);
    let (_, rest) = line.split_once(begin).expect("it is in it");
    rest.split_whitespace().map(str::to_owned).collect()
}

fn fine(world: &World<'_>, name: &str) {
    wait(&format!("{name} to be fine"), || {
        let (code, out) = explain(world, name, &world.ns);
        let line = format!("Application/{}/{name}: Synced and Healthy: main@", world.ns);
        if code == 0 && out.starts_with(&line) && out.lines().count() == 1 {
            Ok(())
        } else {
            Err(out)
        }
    });
}

/// A Deployment `web` that crashes, whose container has a Secret in its environment.
fn crashing(words: &str) -> String {
    let env = "          env: [{name: P, valueFrom: {secretKeyRef: {name: db, key: password}}}]\n";
    let labels = "        testcluster.towline.dev/waiting: CrashLoopBackOff\n";
    deployment("web", Some(1), "nginx:2")
        .replace(
            "        app: web\n    spec",
            &format!("        app: web\n{labels}    spec"),
        )
        .replace(
            "  template:\n    metadata:\n",
            &format!(
                "  template:\n    metadata:\n      annotations:\n        testcluster.towline.dev/last-words: '{words}'\n"
            ),
        )
        .replace("          ports:", &format!("{env}          ports:"))
}

#[test]
fn a_crash_is_explained_by_its_pod_without_its_password() {
    let world = World::new("explain-crash");
    world.commit(&[
        ("shop/web.yaml", &crashing("login with hunter22 refused")),
        ("shop/db.yaml", &secret("db", "hunter22")),
    ]);
    world.create(&world.application("shop", "shop"));
    let out = told(&world, "shop", &["login with *** refused"]);
    let root = "Deployment/explain-crash-work/web: CrashLoopBackOff: pod `web-";
    assert!(out.starts_with(root), "{out}");
    for expected in [
        "container `web` exited with 1, 4 restarts",
        "  since: 20",
        "  file:  shop/web.yaml\n",
        "  next:  kubectl describe pod web-",
        // No kubelet runs here: what the API server says of that is told.
        "  log:   last lines of container `web` of pod `web-",
        "before its last restart: failed to read the log of Pod/explain-crash-work/web-",
    ] {
        assert!(out.contains(expected), "{expected} is not in:\n{out}");
    }
    assert!(!out.contains("hunter22"), "{out}");

    let pods = world.list("Pod", &world.work);
    let pod = pods[0]["metadata"]["name"].as_str().unwrap();
    let (code, out) = explain(&world, &format!("pod/{pod}"), &world.work);
    assert_eq!(code, 1, "{out}");
    for expected in [
        "of Deployment/explain-crash-work/web, owned by Application/explain-crash/shop, changed last by commit ",
        "  next:  towline explain shop -n explain-crash\n",
    ] {
        assert!(out.contains(expected), "{expected} is not in:\n{out}");
    }

    world.commit(&[("shop/web.yaml", &deployment("web", Some(1), "nginx:3"))]);
    world.poke("shop");
    fine(&world, "shop");
    let (code, out) = explain(&world, "deploy/web", &world.work);
    assert_eq!(code, 0, "{out}");
    assert!(
        out.starts_with("Deployment/explain-crash-work/web: Healthy, as Application/"),
        "{out}"
    );
}

/// The kubelet is the node's, so it has a control plane of its own.
#[test]
fn the_last_lines_of_a_container_that_crashes_are_told_without_its_password() {
    let plane = ControlPlane::builder().start().unwrap();
    install_crd(&plane);
    plane.wait_nodes().unwrap();
    let log = "connecting\nno access for hunter22\u{1b}[0m\npanic: goodbye\n";
    let logs = plane.serve_logs("node-1", log).unwrap();
    let mut world = World::on(&plane, "explain-log");
    world.start();
    world.commit(&[
        ("shop/web.yaml", &crashing("goodbye")),
        ("shop/db.yaml", &secret("db", "hunter22")),
    ]);
    world.create(&world.application("shop", "shop"));
    let end = "before its last restart\n    | connecting\n    | no access for ***\\u{1b}[0m\n    | panic: goodbye\n";
    told(&world, "shop", &[end]);
    let asked = logs.asked();
    let last = asked.last().unwrap();
    assert!(
        last.starts_with("/containerLogs/explain-log-work/web-"),
        "{last}"
    );
    for part in ["/web?", "previous=true", "tailLines=10", "limitBytes=65536"] {
        assert!(last.contains(part), "{part} is not in {last}");
    }
}

#[test]
fn what_is_held_suspended_or_hangs_comes_with_the_command_that_helps() {
    let world = World::new("explain-held");
    let names: Vec<String> = (0..10).map(|n| format!("shop/c{n}.yaml")).collect();
    let texts: Vec<String> = (0..10).map(|n| config_map(&format!("c{n}"), "1")).collect();
    let files: Vec<(&str, &str)> = names
        .iter()
        .zip(&texts)
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    world.deploy("shop", "shop", &files);
    fine(&world, "shop");

    let gone: Vec<&str> = names.iter().take(5).map(String::as_str).collect();
    world.remove(&gone);
    world.poke("shop");
    let out = told(&world, "shop", &["PruneOverLimit: held: "]);
    assert!(
        out.starts_with("Application/explain-held/shop: PruneOverLimit: held: "),
        "{out}"
    );
    let args = command(&out, "check what would go, then: kubectl ");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    world.plane.kubectl(&args).unwrap();
    wait_for("the deletions that were approved", || {
        world.value("c0").is_empty()
    });
    fine(&world, "shop");

    let suspend = [
        "suspend",
        "shop",
        "-n",
        &world.ns,
        "--reason",
        "stocktaking",
    ];
    assert_eq!(towline(world.plane, &suspend).0, 0);
    // Nothing is committed before the agent knows.
    world.refresh("shop");
    world.commit(&[("shop/c9.yaml", &config_map("c9", "2"))]);
    world.poke("shop");
    let out = told(
        &world,
        "shop",
        &["UpdatesSuspended: updates are suspended: stocktaking"],
    );
    let args = command(&out, "next:  towline ");
    assert_eq!(args, ["resume", "shop", "-n", "explain-held"]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    assert_eq!(towline(world.plane, &args).0, 0);
    wait_for("the update", || world.value("c9") == "2");
    fine(&world, "shop");

    // A finalizer that nobody serves keeps what is pruned.
    let hold = json!({"metadata": {"finalizers": ["example.com/hold"]}});
    world.apply_as("holder", "v1", "ConfigMap", "c8", &hold);
    world.remove(&["shop/c8.yaml"]);
    world.poke("shop");
    let out = told(
        &world,
        "shop",
        &[
            "ConfigMap/explain-held-work/c8",
            "example.com/hold (set by holder: is it running?)",
        ],
    );
    assert!(
        out.starts_with("ConfigMap/explain-held-work/c8: Terminating: being deleted since "),
        "{out}"
    );
    let (code, out) = explain(&world, "configmap/c8", &world.work);
    assert_eq!(code, 1, "{out}");
    let free = json!({"metadata": {"finalizers": null}});
    world.patch("ConfigMap", &world.work, "c8", &free);
    fine(&world, "shop");
}

#[test]
fn a_revision_in_quarantine_says_why_and_how_it_is_tried_again() {
    let world = World::new("explain-back");
    let good = world.commit(&[
        ("shop/web.yaml", &deployment("web", Some(1), "nginx:1")),
        ("shop/db.yaml", &secret("db", "hunter22")),
    ]);
    let mut app = world.application("shop", "shop");
    app["spec"]["rollback"] = json!({"timeout": "60s", "monitor": "0s", "grace": "1s"});
    world.create(&app);
    wait(&format!("{good} to be good"), || {
        let status = world.app("shop")["status"].clone();
        match status["rollback"]["good"]["revision"] == good.as_str() {
            true => Ok(()),
            false => Err(status.to_string()),
        }
    });
    let bad = world.commit(&[("shop/web.yaml", &crashing("no such table: users"))]);
    world.poke("shop");
    let retry = format!("towline retry shop -n explain-back {}", &bad[..8]);
    let out = told(
        &world,
        "shop",
        &[
            "is in quarantine",
            "no such table: users",
            &retry,
            &format!("git revert {bad}"),
        ],
    );
    assert!(
        out.starts_with("Application/explain-back/shop: RolledBack: "),
        "{out}"
    );
}

#[test]
fn what_waits_for_another_ends_at_the_kind_that_is_missing_there() {
    let world = World::new("explain-waits");
    world.commit(&[
        ("db/widget.yaml", &widget("explain.example.com", "w")),
        ("web/a.yaml", &config_map("a", "1")),
    ]);
    world.create(&world.application("db", "db"));
    let mut web = world.application("web", "web");
    web["spec"]["dependsOn"] = json!([{"name": "db"}]);
    world.create(&web);
    let out = told(&world, "web", &["KindNotServed", "WaitingForDependency"]);
    let first = out.lines().next().unwrap_or_default();
    assert!(
        first.starts_with("Application/explain-waits/db: KindNotServed: ")
            && first.contains("db/widget.yaml"),
        "{out}"
    );
    assert!(out.contains("towline explain db -n explain-waits"), "{out}");
}

#[test]
fn drift_that_stays_names_who_and_how_to_end_it() {
    let world = World::new("explain-drift");
    let web = deployment("web", Some(1), "nginx:1");
    let commit = world.commit(&[("shop/web.yaml", &web)]);
    let mut app = world.application("shop", "shop");
    app["spec"]["syncPolicy"]["automated"]["selfHeal"] = false.into();
    world.create(&app);
    world.synced("shop", &commit);
    world.kubectl(&["scale", "deployment/web", "--replicas=2"]);
    world.wait_drift("shop", "spec.replicas");
    let said = "Drifted: spec.replicas: 2 instead of 1, by kubectl";
    for (what, namespace) in [("shop", &world.ns), ("deployment/web", &world.work)] {
        let (code, out) = explain(&world, what, namespace);
        assert_eq!(code, 1, "{out}");
        let flat = out.replace("\n  why:   ", ": ");
        assert!(flat.contains(said), "{out}");
    }
    let args = ["sync", "shop", "-n", &world.ns];
    assert_eq!(towline(world.plane, &args).0, 0);
    fine(&world, "shop");
    world.annotate("shop", keys::REFRESH, None);
}
