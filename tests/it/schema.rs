//! What the API server itself says to an Application: a field is honoured or refused by name.

use serde_json::{Value, json};

use crate::world::World;

/// What creating this Application would be answered, as `kubectl create` sends it.
fn answer(world: &World<'_>, change: impl FnOnce(&mut Value)) -> (u16, String) {
    let mut app = world.application("shop", "shop");
    change(&mut app["spec"]);
    let (status, answer) = world.try_create(&app, "&dryRun=All");
    (
        status,
        answer["message"].as_str().unwrap_or_default().to_owned(),
    )
}

#[test]
fn what_towline_does_not_do_is_refused_by_name() {
    let world = World::idle("schema");
    for (pointer, value, said) in [
        (
            "/source/helm",
            json!({"releaseName": "x"}),
            "spec.source.helm is not supported",
        ),
        (
            "/source/chart",
            json!("nginx"),
            "spec.source.chart is not supported",
        ),
        (
            "/source/plugin",
            json!({"name": "x"}),
            "spec.source.plugin is not supported",
        ),
        (
            "/source/kustomize",
            json!({"namePrefix": "x"}),
            "spec.source.kustomize is not supported",
        ),
        (
            "/source/ref",
            json!("values"),
            "spec.source.ref is not supported",
        ),
        (
            "/sources",
            json!([{"repoURL": "x"}]),
            "spec.sources is not supported",
        ),
        (
            "/ignoreDifferences",
            json!([{"kind": "x", "jqPathExpressions": [".spec"]}]),
            "spec.ignoreDifferences[].jqPathExpressions is not supported",
        ),
        (
            "/ignoreDifferences",
            json!([{"kind": "x"}]),
            "jsonPointers or managedFieldsManagers must name something",
        ),
        ("/project", json!("team-a"), "spec.project: only `default`"),
        (
            "/destination/server",
            json!("https://10.0.0.1"),
            "spec.destination.server: only",
        ),
        (
            "/destination/name",
            json!("prod"),
            "spec.destination.name: only `in-cluster`",
        ),
        (
            "/syncPolicy/syncOptions",
            json!(["Validate=false"]),
            "spec.syncPolicy.syncOptions: supported is Validate=true: a server-side apply always validates",
        ),
        (
            "/syncPolicy/syncOptions",
            json!(["Prune=confirm"]),
            "Prune is not supported here: it is for an object",
        ),
        (
            "/syncPolicy/syncOptions",
            json!(["PruneLats=true"]),
            "an option is unknown; known are ApplyOutOfSyncOnly=true|false",
        ),
        (
            "/syncPolicy/managedNamespaceMetadata",
            json!({"labels": {}}),
            "managedNamespaceMetadata",
        ),
        (
            "/source/directory",
            json!({"jsonnet": {}}),
            "spec.source.directory.jsonnet",
        ),
    ] {
        let (status, message) = answer(&world, |spec| {
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            spec.pointer_mut(parent).unwrap()[field] = value.clone();
        });
        assert_eq!(status, 422, "{pointer}: {message}");
        assert!(message.contains(said), "{pointer}: {message}");
    }
}

#[test]
fn a_misspelt_field_is_refused_by_name() {
    let world = World::idle("schema-strict");
    let (status, message) = answer(&world, |spec| spec["syncPolicy"]["automatd"] = json!({}));
    assert_eq!(status, 400, "{message}");
    assert!(
        message.contains("unknown field \"spec.syncPolicy.automatd\""),
        "{message}"
    );
    let (status, message) = answer(&world, |spec| spec["source"]["repoURL"] = json!(""));
    assert_eq!(status, 422, "{message}");
    let (status, message) = answer(&world, |_| {});
    assert_eq!(status, 201, "{message}");
}

#[test]
fn the_manifests_pass_the_api_server() {
    let world = World::idle("schema-manifests");
    let manifests = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests");
    let render = ["kustomize", manifests];
    let text = world
        .plane
        .kubectl(&render)
        .unwrap()
        .replace("towline-system", &world.ns);
    let file = world.repo.work_tree().join("all.yaml");
    std::fs::write(&file, text).unwrap();
    let file = file.to_string_lossy();
    let args = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--dry-run=server",
        "-f",
        &file,
    ];
    let said = world.plane.kubectl(&args).unwrap();
    assert!(said.contains("deployment.apps/towline"), "{said}");
}
