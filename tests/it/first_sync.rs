//! The first sync: what a commit declares is there, marked, and told.

use std::path::Path;

use serde_json::Value;
use towline::object::keys;

use crate::world::{World, condition, manifests::config_map, wait_for};

/// Copies the examples into the repository of the world, and commits them.
fn commit_examples(world: &World<'_>) -> String {
    fn copy(world: &World<'_>, root: &Path, dir: &Path) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                copy(world, root, &path);
            } else {
                let name = path
                    .strip_prefix(root)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                world
                    .repo
                    .write(&name, &std::fs::read_to_string(&path).unwrap())
                    .unwrap();
            }
        }
    }
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples"));
    copy(world, root, root);
    world.repo.commit("The shop").unwrap()
}

/// An Application of the examples, moved to the world's namespace and repository.
fn example(world: &World<'_>, path: &str) -> String {
    let file = format!("{}/examples/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(file)
        .unwrap()
        .replace("towline-system", &world.ns)
        .replace(
            "https://git.example.com/shop/config.git",
            &world.git.url("repo.git"),
        )
}

#[test]
fn the_example_shop_is_synced_marked_and_told() {
    let world = World::new("first-sync");
    let commit = commit_examples(&world);
    world
        .plane
        .apply(&example(&world, "applications/dev.yaml"))
        .unwrap();
    let app = world.synced("shop-dev", &commit);

    for (kind, name) in [
        ("Deployment", "dev-web"),
        ("Deployment", "dev-api"),
        ("Service", "dev-web"),
        ("Job", "dev-migrate-0001"),
        ("ConfigMap", "dev-feature-flags"),
    ] {
        let object = world
            .get(kind, "shop-dev", name)
            .unwrap_or_else(|| panic!("no {kind} {name}"));
        let metadata = &object["metadata"];
        let group = object["apiVersion"]
            .as_str()
            .unwrap()
            .split_once('/')
            .map_or("", |g| g.0);
        let tracking = format!("{0}/{0}/shop-dev:{group}/{kind}:shop-dev/{name}", world.ns);
        assert_eq!(metadata["annotations"][keys::TRACKING_ID], tracking);
        assert_eq!(metadata["annotations"][keys::REVISION], commit);
        let source = metadata["annotations"][keys::SOURCE]
            .as_str()
            .unwrap_or_default();
        assert!(
            source.starts_with("shop/base/") && source.ends_with(".yaml"),
            "{source}"
        );
        let label = metadata["labels"][keys::APPLICATION_LABEL]
            .as_str()
            .unwrap_or_default();
        assert_eq!(label.len(), 16, "{metadata}");
        let inside = object["spec"].to_string();
        assert!(
            !inside.contains("towline.dev/"),
            "marks are in metadata only: {inside}"
        );
    }

    let label = keys::APPLICATION_LABEL;
    let everything = "deployments,services,configmaps,secrets,jobs,ingresses,poddisruptionbudgets";
    let args = [
        "-n", "shop-dev", "get", everything, "-l", label, "-o", "name",
    ];
    let found = world.plane.kubectl(&args).unwrap().lines().count();
    assert_eq!(app["status"]["sync"]["objects"], found);

    assert_eq!(app["status"]["sync"]["status"], "Synced");
    assert_eq!(app["status"]["sync"]["targetRevision"], commit);
    assert_eq!(app["status"]["history"][0]["revision"], commit);
    assert_eq!(app["status"]["history"][0]["subject"], "The shop");
    assert_eq!(app["status"]["history"][0]["author"], "Test User");
    for kind in ["Ready", "Synced", "Healthy", "DriftDetection"] {
        assert_eq!(condition(&app, kind)["status"], "True", "{kind}: {app}");
        assert_eq!(condition(&app, kind)["observedGeneration"], 1);
    }
    let annotations = &app["metadata"]["annotations"];
    assert_eq!(annotations[keys::SYNC_STATUS], "Synced");
    assert_eq!(annotations[keys::HEALTH], "Healthy");
    assert_eq!(annotations[keys::REVISION], commit);
    assert_eq!(annotations[keys::TARGET_REVISION], commit);
    assert_eq!(
        annotations[keys::MESSAGE],
        condition(&app, "Ready")["message"]
    );

    let row = world
        .plane
        .kubectl(&["-n", &world.ns, "get", "tl", "--no-headers"])
        .unwrap();
    let cells: Vec<&str> = row.split_whitespace().take(4).collect();
    assert_eq!(
        cells,
        ["shop-dev", "Synced", "Healthy", &commit[..8]],
        "{row}"
    );
    wait_for("the event of the first sync", || {
        world
            .events("shop-dev")
            .iter()
            .any(|(reason, _)| reason == "Applied")
    });
    world.change(
        "shop-dev",
        &serde_json::json!({"source": {"interval": "1s"}}),
    );
    world.assert_quiet();
}

#[test]
fn a_plain_directory_is_applied_and_those_below_only_when_asked() {
    let world = World::new("plain-directory");
    let two = format!("{}---\n{}", config_map("a", "1"), config_map("b", "1"));
    let json = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"},
        "data": {"value": "1"}}"#;
    world.deploy(
        "plain",
        "plain",
        &[
            ("plain/two.yaml", &two),
            ("plain/one.json", json),
            ("plain/README.md", "# Not a manifest"),
            ("plain/below/d.yml", &config_map("d", "1")),
        ],
    );
    let values = || ["a", "b", "c", "d"].map(|name| world.value(name));
    assert_eq!(values(), ["1", "1", "1", ""]);
    world.change(
        "plain",
        &serde_json::json!({"source": {"directory": {"recurse": true}}}),
    );
    wait_for("the directory below", || world.value("d") == "1");
    world.assert_quiet();
}

#[test]
fn an_argo_cd_application_needs_only_another_api_version() {
    let world = World::new("from-argo-cd");
    let commit = commit_examples(&world);
    let yaml =
        example(&world, "argocd/shop.yaml").replace("argoproj.io/v1alpha1", "towline.dev/v1alpha1");
    let file = world.repo.work_tree().join("argo.yaml");
    std::fs::write(&file, yaml).unwrap();
    let file = file.to_string_lossy();
    let strict = ["-n", &world.ns, "create", "--validate=strict", "-f", &file];
    world.plane.kubectl(&strict).unwrap();
    // Its autoscaler has no metrics here, so that it is not healthy.
    let app = world.wait_condition("shop", "Synced", "True", "Synced");
    assert_eq!(app["status"]["sync"]["revision"], commit);
    assert!(world.get("Deployment", "shop", "web").is_some());
    let finalizers = &app["metadata"]["finalizers"];
    assert_eq!(
        finalizers[0],
        keys::ARGO_FINALIZER,
        "Argo CD's own word is understood"
    );
}

#[test]
fn a_namespace_is_not_created_unless_asked() {
    let world = World::new("create-namespace");
    world.commit(&[("a/a.yaml", &config_map("a", "1"))]);
    let mut app = world.application("a", "a");
    app["spec"]["destination"]["namespace"] = "create-namespace-later".into();
    world.create(&app);
    let message = world.failed("a", "NamespaceNotFound");
    assert!(message.contains("create-namespace-later"), "{message}");
    assert!(message.contains("a/a.yaml"), "{message}");
    assert!(message.contains("CreateNamespace=true"), "{message}");
    assert_eq!(world.get("Namespace", "", "create-namespace-later"), None);
    let options = serde_json::json!({"syncPolicy": {"syncOptions": ["CreateNamespace=true"]}});
    world.change("a", &options);
    world.wait_condition("a", "Ready", "True", "Ready");
    let live = world
        .get("ConfigMap", "create-namespace-later", "a")
        .unwrap_or(Value::Null);
    assert_eq!(live["data"]["value"], "1");
}
