//! `kubectl delete -k manifests`, without `towline uninstall` before it.

use std::path::PathBuf;

use serde_json::{Value, json};
use towline::agent::Options;
use towline::object::keys;
use towline_testcluster::ControlPlane;

use crate::world::manifests::{config_map, service};
use crate::world::{World, wait_api, wait_for};

const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests");
/// What `manifests/` calls the agent's namespace.
const NAMESPACE: &str = "towline-system";
/// What the agent's rights hang on: kind, namespace, name.
const HELD: [(&str, &str, &str); 3] = [
    ("ServiceAccount", NAMESPACE, keys::AGENT_ACCOUNT),
    ("ClusterRole", "", keys::AGENT_ROLE),
    ("ClusterRoleBinding", "", keys::AGENT_ROLE),
];

/// A cluster in which towline is installed as people install it, with three Applications that want
/// their objects to go with them. What is in `manifests/` is all the agent may do.
fn installed(plane: &ControlPlane) -> World<'_> {
    plane.wait_nodes().unwrap();
    let mut world = World::on(plane, NAMESPACE);
    for document in ["agent", "impersonator", "workloads"] {
        let name = format!("towline-{document}-{NAMESPACE}");
        world.delete("ClusterRoleBinding", "", &name);
    }
    plane
        .kubectl(&[
            "apply",
            "--server-side",
            "--force-conflicts",
            "-k",
            MANIFESTS,
        ])
        .unwrap();
    plane
        .kubectl(&[
            "wait",
            "--for=condition=Established",
            "crd/applications.towline.dev",
        ])
        .unwrap();
    wait_api(plane);
    let options = Options {
        deployment: Some("towline".into()),
        application_namespaces: Vec::new(),
        ..world.options()
    };
    world.start_with(options);
    let commit = world.commit(&[
        ("a/a.yaml", &config_map("a", "1")),
        ("b/b.yaml", &config_map("b", "1")),
        ("b/web.yaml", &service("web", 80)),
        ("c/c.yaml", &config_map("c", "1")),
    ]);
    for name in ["a", "b", "c"] {
        let mut app = world.application(name, name);
        app["metadata"]["finalizers"] = json!([keys::PRUNE_FINALIZER]);
        world.create(&app);
    }
    for name in ["a", "b", "c"] {
        world.synced(name, &commit);
    }
    wait_for("the agent to hold its rights", || {
        HELD.iter()
            .all(|(kind, namespace, name)| is_held(&world, kind, namespace, name))
    });
    world
}

fn is_held(world: &World<'_>, kind: &str, namespace: &str, name: &str) -> bool {
    let object = world.get(kind, namespace, name).unwrap_or_default();
    let all = object
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array);
    all.is_some_and(|all| all.iter().any(|one| one == keys::AGENT_FINALIZER))
}

/// Nothing of towline is left, everything of the user is.
fn assert_gone(world: &World<'_>) {
    let gone = |kind: &str, namespace: &str, name: &str| {
        let what = format!("the end of {kind} {name}");
        wait_for(&what, || world.get(kind, namespace, name).is_none());
    };
    for (kind, namespace, name) in HELD {
        gone(kind, namespace, name);
    }
    gone("CustomResourceDefinition", "", "applications.towline.dev");
    gone("Namespace", "", NAMESPACE);
    for name in ["a", "b", "c"] {
        assert_eq!(world.value(name), "1");
    }
    let web = world.live("Service", "web").unwrap();
    assert_eq!(web["metadata"].get("deletionTimestamp"), None);
}

#[test]
fn deleting_the_installation_deletes_no_user_object_and_leaves_nothing_stuck() {
    let plane = ControlPlane::builder().start().unwrap();
    let world = installed(&plane);
    let mark = plane.audit_mark();
    plane
        .kubectl(&["delete", "--timeout=60s", "-k", MANIFESTS])
        .unwrap();
    assert_gone(&world);
    // Of the agent's own deletes none is of an object of the user's.
    let theirs = |delete: &String| delete.contains(&world.work);
    assert!(
        !world.deletes(mark).iter().any(theirs),
        "{:?}",
        world.deletes(mark)
    );
}

#[test]
fn an_agent_that_is_told_to_end_lets_go_before_it_ends() {
    let plane = ControlPlane::builder().start().unwrap();
    let mut world = installed(&plane);
    // An upgrade: the pod ends, and nothing is being deleted.
    world.stop_agent();
    for (kind, namespace, name) in HELD {
        assert!(is_held(&world, kind, namespace, name), "{kind}");
    }
    let finalizers =
        |world: &World<'_>, name: &str| world.app(name)["metadata"]["finalizers"].clone();
    for name in ["a", "b", "c"] {
        assert_eq!(finalizers(&world, name), json!([keys::PRUNE_FINALIZER]));
    }
    let options = Options {
        deployment: Some("towline".into()),
        application_namespaces: Vec::new(),
        ..world.options()
    };
    // And once more over the same installation, which does not touch what the agent holds.
    plane
        .kubectl(&[
            "apply",
            "--server-side",
            "--force-conflicts",
            "-k",
            MANIFESTS,
        ])
        .unwrap();
    world.start_with(options);
    world.refresh("a");
    for (kind, namespace, name) in HELD {
        assert!(is_held(&world, kind, namespace, name), "{kind}");
    }
    // A namespace that is deleted ends its pods at once, with a grace period.
    plane
        .kubectl(&["delete", "--wait=false", "-k", MANIFESTS])
        .unwrap();
    world.stop_agent();
    assert_gone(&world);
}

#[test]
fn towline_uninstall_lets_go_for_an_agent_that_does_not_run() {
    let plane = ControlPlane::builder().start().unwrap();
    let mut world = installed(&plane);
    world.kill_agent();
    uninstall(&plane);
    plane
        .kubectl(&["delete", "--timeout=60s", "-k", MANIFESTS])
        .unwrap();
    assert_gone(&world);
}

#[test]
fn towline_uninstall_lets_go_of_what_waits_although_the_crd_is_gone() {
    let plane = ControlPlane::builder().start().unwrap();
    let mut world = installed(&plane);
    for name in ["a", "b", "c"] {
        let none = json!({"metadata": {"finalizers": null}});
        world.patch("Application", NAMESPACE, name, &none);
    }
    world.kill_agent();
    plane
        .kubectl(&["delete", "--wait=false", "-k", MANIFESTS])
        .unwrap();
    wait_for("the end of the CRD", || {
        let kind = "CustomResourceDefinition";
        world.get(kind, "", "applications.towline.dev").is_none()
    });
    for (kind, namespace, name) in HELD {
        assert!(is_held(&world, kind, namespace, name), "{kind}");
    }
    let said = uninstall(&plane);
    for part in [
        "took towline.dev/agent off ServiceAccount/towline-system/towline",
        "took towline.dev/agent off ClusterRole/towline-agent",
    ] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    assert_gone(&world);
}

/// Runs `towline uninstall --yes`, and returns what it said.
fn uninstall(plane: &ControlPlane) -> String {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_towline"));
    let output = std::process::Command::new(binary)
        .args(["uninstall", "--yes"])
        .env("KUBECONFIG", plane.kubeconfig())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
