//! Commits roll out, one object at a time where one changes, and roll back.

use serde_json::json;
use towline::object::keys;

use crate::world::manifests::{annotated, config_map, deployment};
use crate::world::{World, condition, wait_for};

fn revision(world: &World<'_>, name: &str) -> String {
    let live = world.live("ConfigMap", name).unwrap();
    live["metadata"]["annotations"][keys::REVISION]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn a_commit_writes_only_what_it_changes() {
    let world = World::new("one-change");
    let first = world.deploy(
        "shop",
        "shop",
        &[
            ("shop/a.yaml", &config_map("a", "1")),
            ("shop/b.yaml", &config_map("b", "1")),
            ("shop/web.yaml", &deployment("web", Some(1), "nginx:1")),
        ],
    );
    world.assert_quiet();
    let mark = world.plane.audit_mark();
    let second = world.commit(&[("shop/a.yaml", &config_map("a", "2"))]);
    let app = world.synced("shop", &second);
    assert_eq!(world.object_writes(mark), ["patch configmaps/a"]);
    assert_eq!(
        (world.value("a"), world.value("b")),
        ("2".into(), "1".into())
    );
    assert_eq!(
        (revision(&world, "a"), revision(&world, "b")),
        (second, first)
    );
    assert_eq!(app["status"]["history"].as_array().map(Vec::len), Some(2));
    assert_eq!(app["status"]["history"][0]["changed"], 1);
    world.assert_quiet();
}

#[test]
fn a_commit_that_renders_the_same_writes_no_object() {
    let world = World::new("same-render");
    world.deploy("shop", "shop", &[("shop/a.yaml", &config_map("a", "1"))]);
    let mark = world.plane.audit_mark();
    let commit = world.commit(&[("README.md", "Nothing to deploy")]);
    world.synced("shop", &commit);
    assert_eq!(world.object_writes(mark), [""; 0]);
    world.assert_quiet();
}

#[test]
fn git_revert_brings_the_old_content_back() {
    let world = World::new("revert");
    let old = [
        ("shop/a.yaml", config_map("a", "1")),
        ("shop/b.yaml", config_map("b", "1")),
    ];
    let old: Vec<(&str, &str)> = old
        .iter()
        .map(|(path, text)| (*path, text.as_str()))
        .collect();
    world.deploy("shop", "shop", &old);
    world.repo.remove("shop/b.yaml").unwrap();
    let bad = world.commit(&[
        ("shop/a.yaml", &config_map("a", "2")),
        ("shop/c.yaml", &config_map("c", "2")),
    ]);
    world.synced("shop", &bad);
    let values = || ["a", "b", "c"].map(|name| world.value(name));
    assert_eq!(values(), ["2", "", "2"]);
    let reverted = world.repo.revert(&bad).unwrap();
    world.synced("shop", &reverted);
    assert_eq!(values(), ["1", "1", ""]);
    world.assert_quiet();
}

#[test]
fn another_path_is_another_set_of_objects() {
    let world = World::new("other-path");
    let files = [
        ("one/a.yaml", &*config_map("a", "1")),
        ("two/b.yaml", &*config_map("b", "2")),
    ];
    let commit = world.deploy("shop", "one", &files);
    world.change("shop", &json!({"source": {"path": "two"}}));
    wait_for("the other object", || world.value("b") == "2");
    // The commit is the same: that it is applied says nothing yet.
    wait_for("the end of the first one", || world.value("a").is_empty());
    world.synced("shop", &commit);
    world.assert_quiet();
}

#[test]
fn a_namespace_comes_before_what_is_in_it() {
    let world = World::new("namespace-in-git");
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: namespace-in-git-new\n";
    let inside = config_map("a", "1").replace(
        "metadata:\n",
        "metadata:\n  namespace: namespace-in-git-new\n",
    );
    world.deploy(
        "shop",
        "shop",
        &[("shop/a.yaml", &inside), ("shop/z.yaml", namespace)],
    );
    assert!(
        world
            .get("ConfigMap", "namespace-in-git-new", "a")
            .is_some()
    );
    world.assert_quiet();
}

#[test]
fn of_many_commits_the_last_one_counts() {
    let world = World::new("many-commits");
    world.deploy("shop", "shop", &[("shop/a.yaml", &config_map("a", "0"))]);
    let mut last = String::new();
    for number in 1..=15 {
        last = world.commit(&[
            ("shop/a.yaml", &config_map("a", &number.to_string())),
            (
                "shop/web.yaml",
                &deployment("web", Some(1), &format!("nginx:{number}")),
            ),
        ]);
        world.poke("shop");
    }
    let app = world.synced("shop", &last);
    assert_eq!(world.value("a"), "15");
    let live = world.live("Deployment", "web").unwrap();
    assert_eq!(
        live["spec"]["template"]["spec"]["containers"][0]["image"],
        "nginx:15"
    );
    assert!(
        app["status"]["history"]
            .as_array()
            .is_some_and(|all| all.len() <= 10),
        "{app}"
    );
    world.assert_quiet();
}

#[test]
fn a_changed_setting_is_a_new_name_and_the_old_one_goes() {
    let world = World::new("generated");
    let kustomization = "\
resources: [web.yaml]
configMapGenerator:
  - name: settings
    literals: [LEVEL=info]
";
    let web = deployment("web", Some(1), "nginx:1")
        + "          envFrom: [{configMapRef: {name: settings}}]\n";
    world.deploy(
        "shop",
        "shop",
        &[
            ("shop/web.yaml", &web),
            ("shop/kustomization.yaml", kustomization),
        ],
    );
    let used = || {
        let live = world.live("Deployment", "web").unwrap();
        let from = &live["spec"]["template"]["spec"]["containers"][0]["envFrom"][0];
        from["configMapRef"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let old = used();
    assert!(
        old.starts_with("settings-") && world.live("ConfigMap", &old).is_some(),
        "{old}"
    );
    let commit = world.commit(&[(
        "shop/kustomization.yaml",
        &kustomization.replace("info", "debug"),
    )]);
    world.synced("shop", &commit);
    assert_ne!(used(), old);
    assert_eq!(
        world.live("ConfigMap", &used()).unwrap()["data"]["LEVEL"],
        "debug"
    );
    wait_for("the end of the old one", || {
        world.live("ConfigMap", &old).is_none()
    });
    world.assert_quiet();
}

#[test]
fn a_force_push_is_followed() {
    let world = World::new("force-push");
    let first = world.deploy("shop", "shop", &[("shop/a.yaml", &config_map("a", "1"))]);
    let second = world.commit(&[("shop/a.yaml", &config_map("a", "2"))]);
    world.synced("shop", &second);
    world.repo.force_push(&first).unwrap();
    world.synced("shop", &first);
    assert_eq!(world.value("a"), "1");
}

#[test]
fn without_automated_nothing_is_written_until_it_is_asked_for() {
    let world = World::new("manual");
    world.commit(&[("shop/a.yaml", &config_map("a", "1"))]);
    let mut app = world.application("shop", "shop");
    app["spec"]["syncPolicy"] = json!({});
    world.create(&app);
    let message = world.failed("shop", "OutOfSync");
    assert!(message.contains("1 objects differ"), "{message}");
    assert!(
        message.contains(keys::SYNC),
        "the message says what to do: {message}"
    );
    assert_eq!(world.live("ConfigMap", "a"), None);

    let app = world.sync("shop");
    assert_eq!(world.value("a"), "1");
    assert_eq!(condition(&app, "Ready")["status"], "True", "{app}");
    // The word is spent: the next commit waits again.
    let commit = world.commit(&[("shop/a.yaml", &config_map("a", "2"))]);
    let app = world.refresh("shop");
    assert_eq!(app["status"]["sync"]["targetRevision"], commit);
    world.failed("shop", "OutOfSync");
    world.assert_quiet();
    assert_eq!(world.value("a"), "1");
}

#[test]
fn suspend_freezes_updates_and_drift_is_still_undone() {
    let world = World::new("suspend");
    let first = world.deploy("shop", "shop", &[("shop/a.yaml", &config_map("a", "1"))]);
    world.annotate("shop", keys::SUSPEND, Some("stocktaking"));
    // Git may be heard of sooner than the API server.
    world.refresh("shop");
    let second = world.commit(&[("shop/a.yaml", &config_map("a", "2"))]);
    world.refresh("shop");
    let message = world.failed("shop", "UpdatesSuspended");
    assert!(message.contains("stocktaking"), "{message}");
    assert_eq!(world.value("a"), "1");

    world.patch(
        "ConfigMap",
        &world.work,
        "a",
        &json!({"data": {"value": "drift"}}),
    );
    wait_for("the old content", || world.value("a") == "1");
    assert_eq!(
        revision(&world, "a"),
        first,
        "a heal keeps the mark of the commit it restores"
    );

    world.annotate("shop", keys::SUSPEND, None);
    world.synced("shop", &second);
    assert_eq!(world.value("a"), "2");
}

#[test]
fn a_wave_waits_until_the_one_before_is_healthy() {
    let world = World::new("waves");
    let slow = deployment("slow", Some(1), "nginx:1").replace(
        "      labels:\n",
        "      annotations:\n        testcluster.towline.dev/ready-after: 1h\n      labels:\n",
    );
    world.commit(&[
        ("shop/slow.yaml", &slow),
        (
            "shop/late.yaml",
            &annotated("late", "1", keys::SYNC_WAVE, "1"),
        ),
    ]);
    world.create(&world.application("shop", "shop"));
    let message = world.failed("shop", "WaitingForWave");
    assert!(message.contains("Deployment/waves-work/slow"), "{message}");
    world.refresh("shop");
    assert_eq!(world.live("ConfigMap", "late"), None);
    let commit = world.commit(&[("shop/slow.yaml", &deployment("slow", Some(1), "nginx:1"))]);
    world.synced("shop", &commit);
    assert_eq!(world.value("late"), "1");
    world.assert_quiet();
}
