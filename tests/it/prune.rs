//! What leaves Git leaves the cluster, unless that looks like a mistake.

use serde_json::json;
use towline::object::keys;

use crate::world::manifests::{annotated, config_map};
use crate::world::{World, borrowed, wait_for};

/// A directory of ConfigMaps `c0`, `c1`, ….
fn many(count: usize) -> Vec<(String, String)> {
    (0..count)
        .map(|n| (format!("shop/c{n}.yaml"), config_map(&format!("c{n}"), "1")))
        .collect()
}

fn deploy_many(world: &World<'_>, count: usize) -> String {
    let files = many(count);
    let files = borrowed(&files);
    world.deploy("shop", "shop", &files)
}

fn present(world: &World<'_>) -> usize {
    let all = world.list("ConfigMap", &world.work);
    all.iter()
        .filter(|c| {
            c["metadata"]["name"]
                .as_str()
                .is_some_and(|n| n.starts_with('c'))
        })
        .count()
}

/// The word that approves the plan that is held.
fn approval(held: &serde_json::Value) -> String {
    let held = held.as_str().unwrap_or_default();
    let (_, rest) = held
        .split_once(&format!("{}=", keys::APPROVE_PRUNE))
        .expect(held);
    rest.chars().take_while(char::is_ascii_hexdigit).collect()
}

#[test]
fn what_leaves_git_is_deleted_unless_its_manifest_said_to_keep_it() {
    let world = World::new("prune");
    world.deploy(
        "shop",
        "shop",
        &[
            ("shop/stays.yaml", &config_map("stays", "1")),
            ("shop/leaves.yaml", &config_map("leaves", "1")),
            (
                "shop/kept.yaml",
                &annotated("kept", "1", keys::PRUNE, "disabled"),
            ),
            (
                "shop/argo.yaml",
                &annotated("argo", "1", keys::ARGO_SYNC_OPTIONS, "Prune=false"),
            ),
        ],
    );
    let mark = world.plane.audit_mark();
    let commit = world.remove(&["shop/leaves.yaml", "shop/kept.yaml", "shop/argo.yaml"]);
    let app = world.synced("shop", &commit);
    assert_eq!(world.deletes(mark), ["delete configmaps/leaves"]);
    let values = ["stays", "leaves", "kept", "argo"].map(|name| world.value(name));
    assert_eq!(values, ["1", "", "1", "1"]);
    assert_eq!(
        app["status"]["sync"]["objects"], 1,
        "what is kept is let go"
    );
    world.assert_quiet();
}

#[test]
fn without_prune_what_leaves_git_stays_and_is_reported() {
    let world = World::new("no-prune");
    let files = [
        ("shop/a.yaml", &*config_map("a", "1")),
        ("shop/b.yaml", &*config_map("b", "1")),
    ];
    let mut app = world.application("shop", "shop");
    app["spec"]["syncPolicy"]["automated"]["prune"] = false.into();
    let commit = world.commit(&files);
    world.create(&app);
    world.synced("shop", &commit);
    world.remove(&["shop/b.yaml"]);
    world.refresh("shop");
    world.wait_condition("shop", "Synced", "False", "OutOfSync");
    assert_eq!(world.value("b"), "1");
    world.assert_quiet();
}

#[test]
fn too_many_deletions_wait_for_the_approval_of_exactly_these() {
    let world = World::new("prune-guard");
    deploy_many(&world, 12);
    world.remove(&[
        "shop/c0.yaml",
        "shop/c1.yaml",
        "shop/c2.yaml",
        "shop/c3.yaml",
    ]);
    world.refresh("shop");
    let message = world.failed("shop", "PruneOverLimit");
    assert!(
        message.contains("would delete 4 of 12 objects"),
        "{message}"
    );
    assert!(
        message.contains("ConfigMap/prune-guard-work/c0"),
        "{message}"
    );
    assert_eq!(present(&world), 12);

    world.annotate("shop", keys::APPROVE_PRUNE, Some("0123456789ab"));
    world.refresh("shop");
    assert_eq!(present(&world), 12, "another word approves nothing");

    let four = approval(&world.app("shop")["status"]["sync"]["held"]);
    world.remove(&["shop/c4.yaml"]);
    world.refresh("shop");
    world.annotate("shop", keys::APPROVE_PRUNE, Some(&four));
    world.refresh("shop");
    assert_eq!(present(&world), 12, "an approval of four is none of five");

    let mark = world.plane.audit_mark();
    let five = approval(&world.app("shop")["status"]["sync"]["held"]);
    assert_ne!(four, five);
    world.annotate("shop", keys::APPROVE_PRUNE, Some(&five));
    wait_for("the approved deletions", || present(&world) == 7);
    world.wait_condition("shop", "Ready", "True", "Ready");
    assert_eq!(world.deletes(mark).len(), 5);
    world.assert_quiet();
}

#[test]
fn a_revert_takes_back_what_was_added_whatever_the_count() {
    let world = World::new("prune-revert");
    deploy_many(&world, 3);
    let files: Vec<(String, String)> = many(23).split_off(3);
    let files = borrowed(&files);
    let more = world.commit(&files);
    world.synced("shop", &more);
    assert_eq!(present(&world), 23);
    // The same deletions with something else are no way back.
    for (path, _) in &files {
        world.repo.remove(path).unwrap();
    }
    world.commit(&[("shop/c0.yaml", &config_map("c0", "2"))]);
    world.refresh("shop");
    world.failed("shop", "PruneOverLimit");
    assert_eq!(present(&world), 23);
    let back = world.commit(&[("shop/c0.yaml", &config_map("c0", "1"))]);
    world.synced("shop", &back);
    assert_eq!(present(&world), 3);
}

#[test]
fn an_application_may_say_how_many_deletions_are_too_many() {
    let world = World::new("prune-limit");
    deploy_many(&world, 3);
    world.change("shop", &json!({"prune": {"limit": 0}}));
    // Git may be heard of sooner than the API server.
    world.refresh("shop");
    let commit = world.remove(&["shop/c0.yaml"]);
    world.refresh("shop");
    world.failed("shop", "PruneOverLimit");
    assert_eq!(present(&world), 3);
    world.change("shop", &json!({"prune": {"limit": 1}}));
    world.synced("shop", &commit);
    assert_eq!(present(&world), 2);
}

#[test]
fn a_source_that_renders_nothing_deletes_nothing() {
    let world = World::new("empty-source");
    let kustomization = "resources: [a.yaml]\n";
    world.deploy(
        "shop",
        "shop",
        &[
            ("shop/a.yaml", &config_map("a", "1")),
            ("shop/kustomization.yaml", kustomization),
        ],
    );
    let mark = world.plane.audit_mark();
    let commit = world.commit(&[("shop/kustomization.yaml", "resources: []\n")]);
    world.refresh("shop");
    let message = world.failed("shop", "EmptySource");
    assert!(message.contains("would delete all 1"), "{message}");
    world.patch(
        "ConfigMap",
        &world.work,
        "a",
        &json!({"data": {"value": "drift"}}),
    );
    wait_for("the last good content", || world.value("a") == "1");
    assert_eq!(world.deletes(mark), [""; 0]);
    world.assert_quiet();
    world.change(
        "shop",
        &json!({"syncPolicy": {"automated": {"allowEmpty": true}}}),
    );
    world.synced("shop", &commit);
    assert_eq!(world.live("ConfigMap", "a"), None);
}
