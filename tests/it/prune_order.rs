//! Hard case 14: what is served goes before what serves it, each stage waits until the one before
//! it is gone, and what hangs says why.

use serde_json::{Value, json};
use towline::object::keys;

use crate::world::manifests::{annotated, config_map, deployment, service, widget, widget_crd};
use crate::world::{World, condition, wait, wait_for};

const VERBS: [&str; 7] = [
    "get", "list", "watch", "create", "patch", "update", "delete",
];

/// A world with a kind of its own, which its agent may write; the CRD is not the agent's.
fn with_widgets(name: &str) -> (World<'static>, String) {
    let world = World::new(name);
    let group = format!("{name}.example.com");
    world.plane.apply(&widget_crd(&group)).unwrap();
    let rules = json!([{"apiGroups": [group], "resources": ["widgets"], "verbs": VERBS}]);
    world.allow("widgets", &world.ns, "towline", &rules);
    (world, group)
}

/// A widget that has to be let go by a controller which does not run.
fn held_widget(world: &World<'_>, group: &str, finalizers: &Value) {
    let patch = json!({"metadata": {"finalizers": finalizers}}).to_string();
    let name = format!("widgets.{group}/one");
    world.kubectl(&[
        "patch",
        &name,
        "--type=merge",
        "--field-manager=widget-operator",
        "-p",
        &patch,
    ]);
}

fn message(world: &World<'_>, kind: &str) -> String {
    let app = world.app("shop");
    condition(&app, kind)["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn custom_resources_go_before_their_operator_and_say_which_finalizer_keeps_them() {
    let (world, group) = with_widgets("prune-order");
    let files = [
        ("shop/stays.yaml", &*config_map("stays", "1")),
        ("shop/widget.yaml", &*widget(&group, "one")),
        (
            "shop/operator.yaml",
            &*deployment("operator", Some(1), "nginx:1"),
        ),
        ("shop/settings.yaml", &*config_map("settings", "1")),
    ];
    world.deploy("shop", "shop", &files);
    held_widget(&world, &group, &json!(["example.com/held"]));
    let mark = world.plane.audit_mark();
    let commit = world.remove(&[
        "shop/widget.yaml",
        "shop/operator.yaml",
        "shop/settings.yaml",
    ]);
    world.poke("shop");
    world.wait_condition("shop", "Synced", "False", "WaitingForDeletion");
    let said = wait("the finalizer to be named", || {
        let said = message(&world, "Synced");
        if said.contains("example.com/held") {
            Ok(said)
        } else {
            Err(said)
        }
    });
    for part in [
        "Widget/prune-order-work/one",
        "waiting for finalizer example.com/held (set by widget-operator: is it running?)",
        "since 20",
        "2 more deletions wait for it",
    ] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    assert_eq!(world.deletes(mark), ["delete widgets/one"]);
    assert!(world.live("Deployment", "operator").is_some());
    world.assert_quiet();

    held_widget(&world, &group, &json!([]));
    world.synced("shop", &commit);
    assert_eq!(
        world.deletes(mark),
        [
            "delete widgets/one",
            "delete deployments/operator",
            "delete configmaps/settings"
        ]
    );
    world.assert_quiet();
}

#[test]
fn the_end_of_an_application_has_the_same_order_and_says_the_same() {
    let (world, group) = with_widgets("end-order");
    let commit = world.commit(&[
        ("shop/widget.yaml", &widget(&group, "one")),
        (
            "shop/operator.yaml",
            &deployment("operator", Some(1), "nginx:1"),
        ),
    ]);
    let mut app = world.application("shop", "shop");
    app["metadata"]["finalizers"] = json!([keys::PRUNE_FINALIZER]);
    world.create(&app);
    world.synced("shop", &commit);
    held_widget(&world, &group, &json!(["example.com/held"]));
    let mark = world.plane.audit_mark();
    world.delete("Application", &world.ns, "shop");
    world.wait_condition("shop", "Ready", "False", "WaitingForDeletion");
    let said = wait("the finalizer to be named", || {
        let said = message(&world, "Ready");
        if said.contains("widget-operator") {
            Ok(said)
        } else {
            Err(said)
        }
    });
    assert!(said.contains("Widget/end-order-work/one"), "{said}");
    assert!(said.contains("1 more deletion waits for it"), "{said}");
    assert_eq!(world.deletes(mark), ["delete widgets/one"]);
    held_widget(&world, &group, &json!([]));
    wait_for("the end of the Application", || {
        world.get("Application", &world.ns, "shop").is_none()
    });
    assert_eq!(
        world.deletes(mark),
        ["delete widgets/one", "delete deployments/operator"]
    );
}

#[test]
fn higher_waves_go_first_and_a_restart_between_them_changes_nothing() {
    let mut world = World::new("prune-waves");
    let wave = |name: &str, wave: &str| annotated(name, "1", keys::SYNC_WAVE, wave);
    world.deploy(
        "shop",
        "shop",
        &[
            ("shop/stays.yaml", &config_map("stays", "1")),
            ("shop/first.yaml", &wave("first", "-1")),
            ("shop/second.yaml", &wave("second", "3")),
            ("shop/third.yaml", &wave("third", "7")),
        ],
    );
    world.stop_agent();
    let mark = world.plane.audit_mark();
    let commit = world.remove(&["shop/first.yaml", "shop/second.yaml", "shop/third.yaml"]);
    world.start();
    world.synced("shop", &commit);
    assert_eq!(
        world.deletes(mark),
        [
            "delete configmaps/third",
            "delete configmaps/second",
            "delete configmaps/first"
        ]
    );
}

#[test]
fn an_object_that_comes_back_while_it_is_being_deleted_is_created_once_it_is_gone() {
    let (world, group) = with_widgets("comes-back");
    world.deploy(
        "shop",
        "shop",
        &[("shop/widget.yaml", &widget(&group, "one"))],
    );
    held_widget(&world, &group, &json!(["example.com/held"]));
    let uid = || {
        let args = [
            "get",
            &format!("widgets.{group}/one"),
            "-o",
            "jsonpath={.metadata.uid}",
        ];
        world.kubectl(&args)
    };
    let before = uid();
    let name = format!("widgets.{group}/one");
    world.kubectl(&["delete", &name, "--wait=false"]);
    let said = wait("the finalizer to be named", || {
        let said = message(&world, "Ready");
        if said.contains("example.com/held") {
            Ok(said)
        } else {
            Err(said)
        }
    });
    assert!(said.contains("created again once it is gone"), "{said}");
    world.assert_quiet();
    held_widget(&world, &group, &json!([]));
    wait_for("another widget of the same name", || {
        let text = world.kubectl(&[
            "get",
            &name,
            "--ignore-not-found",
            "-o",
            "jsonpath={.metadata.uid}",
        ]);
        !text.is_empty() && text != before
    });
    world.wait_condition("shop", "Ready", "True", "Ready");
}

/// Refuses deletes of ConfigMaps of a namespace that have the label `keep`.
fn forbid_deletes(world: &World<'_>) -> String {
    let name = format!("{}-keep", world.ns);
    let policy = json!({"apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"],
                "operations": ["DELETE"], "resources": ["configmaps"]}]},
            "validations": [{"expression": "false", "message": "records are kept"}]}});
    let binding = json!({"apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name}, "spec": {
            "policyName": name, "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels":
                {"kubernetes.io/metadata.name": world.work}}}}});
    world.plane.apply(&policy.to_string()).unwrap();
    world.plane.apply(&binding.to_string()).unwrap();
    wait_for("the policy to be in force", || {
        let args = [
            "--namespace",
            &world.work,
            "delete",
            "configmap",
            "probe",
            "--dry-run=server",
        ];
        let denied = world.plane.kubectl(&args).err();
        denied.is_some_and(|error| error.to_string().contains("records are kept"))
    });
    name
}

#[test]
fn an_object_whose_delete_is_refused_stays_recorded_and_is_named() {
    let world = World::new("prune-refused");
    let files = [
        ("shop/stays.yaml", &*config_map("stays", "1")),
        ("shop/record.yaml", &*config_map("record", "1")),
        ("shop/service.yaml", &*service("web", 80)),
    ];
    world.deploy("shop", "shop", &files);
    world.kubectl(&["create", "configmap", "probe"]);
    let policy = forbid_deletes(&world);
    let commit = world.remove(&["shop/record.yaml", "shop/service.yaml"]);
    world.poke("shop");
    let said = world.failed("shop", "PruneFailed");
    for part in [
        "ConfigMap/prune-refused-work/record",
        "records are kept",
        "stays recorded",
    ] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    assert_eq!(world.value("record"), "1");
    assert!(
        world.live("Service", "web").is_none(),
        "what came before it is gone"
    );
    world.kubectl(&["delete", "validatingadmissionpolicybinding", &policy]);
    wait_for("the policy to be out of force", || {
        let args = [
            "--namespace",
            &world.work,
            "delete",
            "configmap",
            "probe",
            "--dry-run=server",
        ];
        world.plane.kubectl(&args).is_ok()
    });
    world.synced("shop", &commit);
    assert_eq!(world.value("record"), "");
}
