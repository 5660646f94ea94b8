//! Argo CD's sync options: each does what it says, or is refused by name.

use serde_json::json;
use towline::object::keys;

use crate::world::manifests::{annotated, config_map, deployment};
use crate::world::{World, wait_for};

/// A ConfigMap with these options in Argo CD's annotation.
fn with_options(name: &str, options: &str) -> String {
    annotated(name, "1", keys::ARGO_SYNC_OPTIONS, options)
}

/// The hash in the message of a held plan.
fn hash(world: &World<'_>) -> String {
    let held = world.app("shop")["status"]["sync"]["held"].to_string();
    let (_, rest) = held
        .split_once(&format!("{}=", keys::APPROVE_PRUNE))
        .expect(&held);
    rest.chars().take_while(char::is_ascii_hexdigit).collect()
}

/// A Deployment whose pods take an hour to become ready.
fn slow(name: &str) -> String {
    deployment(name, Some(1), "nginx:1").replace(
        "      labels:\n",
        "      annotations:\n        testcluster.towline.dev/ready-after: 1h\n      labels:\n",
    )
}

#[test]
fn prune_false_keeps_what_leaves_git_and_delete_false_what_its_application_leaves() {
    let world = World::new("fates");
    let commit = world.commit(&[
        ("shop/prune.yaml", &with_options("prune", "Prune=false")),
        ("shop/delete.yaml", &with_options("delete", "Delete=false")),
        (
            "shop/both.yaml",
            &annotated("both", "1", keys::PRUNE, "disabled"),
        ),
        ("shop/plain.yaml", &config_map("plain", "1")),
        ("shop/prune-2.yaml", &with_options("prune-2", "Prune=false")),
        (
            "shop/delete-2.yaml",
            &with_options("delete-2", "Delete=false"),
        ),
    ]);
    let mut app = world.application("shop", "shop");
    app["metadata"]["finalizers"] = json!([keys::PRUNE_FINALIZER]);
    world.create(&app);
    world.synced("shop", &commit);
    let commit = world.remove(&["shop/prune-2.yaml", "shop/delete-2.yaml"]);
    world.synced("shop", &commit);
    assert_eq!(
        ["prune-2", "delete-2"].map(|name| world.value(name)),
        ["1", ""]
    );
    world.delete_application("shop");
    let values = ["prune", "delete", "both", "plain"].map(|name| world.value(name));
    assert_eq!(values, ["", "1", "1", ""]);
}

#[test]
fn prune_confirm_waits_for_a_word_and_holds_nothing_else() {
    let world = World::new("prune-confirm");
    let files = [
        ("shop/stays.yaml", &*config_map("stays", "1")),
        (
            "shop/ledger.yaml",
            &*with_options("ledger", "Prune=confirm"),
        ),
        ("shop/other.yaml", &*config_map("other", "1")),
    ];
    world.deploy("shop", "shop", &files);
    world.repo.remove("shop/ledger.yaml").unwrap();
    world.repo.remove("shop/other.yaml").unwrap();
    let commit = world.commit(&[("shop/stays.yaml", &config_map("stays", "2"))]);
    world.poke("shop");
    let said = world.failed("shop", "PruneUnconfirmed");
    assert!(
        said.contains("ConfigMap/prune-confirm-work/ledger"),
        "{said}"
    );
    wait_for("everything else", || {
        world.value("stays") == "2" && world.value("other").is_empty()
    });
    assert_eq!(world.value("ledger"), "1");
    world.assert_quiet();
    world.annotate("shop", keys::APPROVE_PRUNE, Some(&hash(&world)));
    world.synced("shop", &commit);
    assert_eq!(world.value("ledger"), "");
}

#[test]
fn delete_confirm_holds_the_end_of_the_application() {
    let world = World::new("delete-confirm");
    let commit = world.commit(&[
        (
            "shop/ledger.yaml",
            &with_options("ledger", "Delete=confirm"),
        ),
        ("shop/other.yaml", &config_map("other", "1")),
    ]);
    let mut app = world.application("shop", "shop");
    app["metadata"]["finalizers"] = json!([keys::PRUNE_FINALIZER]);
    world.create(&app);
    world.synced("shop", &commit);
    world.delete("Application", &world.ns, "shop");
    let said = world.failed("shop", "PruneUnconfirmed");
    assert!(
        said.contains("ConfigMap/delete-confirm-work/ledger"),
        "{said}"
    );
    wait_for("the other object to go", || world.value("other").is_empty());
    assert_eq!(world.value("ledger"), "1");
    world.annotate("shop", keys::APPROVE_PRUNE, Some(&hash(&world)));
    wait_for("the end of the Application", || {
        world.get("Application", &world.ns, "shop").is_none()
    });
    assert_eq!(world.value("ledger"), "");
}

#[test]
fn prune_last_waits_until_everything_is_healthy() {
    let world = World::new("prune-last");
    let files = [
        ("shop/stays.yaml", &*config_map("stays", "1")),
        ("shop/last.yaml", &*with_options("last", "PruneLast=true")),
        ("shop/plain.yaml", &*config_map("plain", "1")),
    ];
    world.deploy("shop", "shop", &files);
    world.repo.remove("shop/last.yaml").unwrap();
    world.repo.remove("shop/plain.yaml").unwrap();
    world.commit(&[("shop/slow.yaml", &slow("slow"))]);
    world.poke("shop");
    wait_for("the plain one to go", || world.value("plain").is_empty());
    let app = world.wait_condition("shop", "Synced", "False", "WaitingForWave");
    assert!(
        app.to_string()
            .contains("1 deletion waits for Deployment/prune-last-work/slow")
    );
    assert_eq!(world.value("last"), "1");
    let commit = world.commit(&[("shop/slow.yaml", &deployment("slow", Some(1), "nginx:1"))]);
    world.synced("shop", &commit);
    assert_eq!(world.value("last"), "");
}

#[test]
fn the_propagation_policy_decides_about_dependants() {
    let world = World::new("propagation");
    let files = [
        ("shop/stays.yaml", &*config_map("stays", "1")),
        ("shop/web.yaml", &*deployment("web", Some(1), "nginx:1")),
    ];
    world.deploy("shop", "shop", &files);
    world.change(
        "shop",
        &json!({"syncPolicy": {"syncOptions": ["PrunePropagationPolicy=orphan"]}}),
    );
    // Git may be heard of sooner than the API server.
    world.refresh("shop");
    let commit = world.remove(&["shop/web.yaml"]);
    world.synced("shop", &commit);
    assert!(world.live("Deployment", "web").is_none());
    let sets = world.list("ReplicaSet", &world.work);
    assert_eq!(sets.len(), 1, "its ReplicaSet stays");
    wait_for("it to belong to nobody", || {
        let sets = world.list("ReplicaSet", &world.work);
        sets[0]["metadata"]["ownerReferences"].is_null()
    });
}

#[test]
fn an_option_that_cannot_work_is_refused_with_its_line_and_the_reason() {
    let world = World::new("bad-options");
    world.commit(&[(
        "shop/a.yaml",
        &with_options("a", "Validate=false,Prnue=false"),
    )]);
    world.create(&world.application("shop", "shop"));
    let said = world.failed("shop", "ManifestInvalid");
    for part in [
        "shop/a.yaml",
        "`Validate=false`: supported is Validate=true: a server-side apply always validates",
        "`Prnue=false` is unknown; known are Delete=true|false|confirm",
    ] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
}
