//! Hard case 27: what server-side apply refuses and Argo CD's users have is written whole.

use serde_json::json;
use towline::object::keys;

use crate::world::manifests::{config_map, deployment};
use crate::world::{World, wait_for};

/// A Deployment with a variable that is there twice: the last one counts.
fn twice(value: &str) -> String {
    let variables = format!(
        "          env:\n            - {{name: MODE, value: first}}\n            - {{name: MODE, value: {value}}}\n          ports:\n"
    );
    deployment("web", Some(1), "nginx:1").replace("          ports:\n", &variables)
}

fn replaced(manifest: &str, key: &str, value: &str) -> String {
    let annotations = format!("metadata:\n  annotations:\n    {key}: \"{value}\"\n");
    manifest.replacen("metadata:\n", &annotations, 1)
}

fn last_value(world: &World<'_>) -> String {
    let live = world.live("Deployment", "web").unwrap_or_default();
    let list = &live["spec"]["template"]["spec"]["containers"][0]["env"];
    let last = list.as_array().and_then(|list| list.last()).cloned();
    last.unwrap_or_default()["value"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn a_variable_that_is_there_twice_is_refused_by_apply_and_written_by_replace() {
    let mut world = World::new("replace");
    world.commit(&[("shop/web.yaml", &twice("second"))]);
    world.create(&world.application("shop", "shop"));
    let said = world.failed("shop", "ManifestInvalid");
    assert!(said.contains("MODE"), "{said}");

    let enabled = |value: &str| replaced(&twice(value), keys::REPLACE, "enabled");
    let commit = world.commit(&[("shop/web.yaml", &enabled("second"))]);
    world.synced("shop", &commit);
    assert_eq!(last_value(&world), "second");
    let live = world.live("Deployment", "web").unwrap();
    let entries = live["metadata"]["managedFields"].as_array().unwrap();
    let ours: Vec<_> = entries
        .iter()
        .filter(|e| e["manager"] == "towline")
        .collect();
    assert_eq!(ours.len(), 1);
    assert_eq!(ours[0]["operation"], "Update");
    world.assert_quiet();

    let commit = world.commit(&[("shop/web.yaml", &enabled("third"))]);
    world.synced("shop", &commit);
    assert_eq!(last_value(&world), "third");
    world.assert_quiet();

    // Drift is seen and undone, what kubectl adds too.
    let args = ["set", "image", "deployment/web", "web=nginx:9"];
    world.kubectl(&args);
    let image = |world: &World<'_>| {
        let live = world.live("Deployment", "web").unwrap_or_default();
        live["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    };
    wait_for("the image of Git", || image(&world) == "nginx:1");
    world.wait_condition("shop", "Ready", "True", "Ready");
    world.assert_quiet();

    // So it is after a restart.
    world.stop_agent();
    world.kubectl(&args);
    world.start();
    wait_for("the image of Git", || image(&world) == "nginx:1");
    world.wait_condition("shop", "Ready", "True", "Ready");
    world.assert_quiet();

    // Back to apply: what Git drops is dropped.
    let plain = deployment("web", Some(1), "nginx:2");
    let commit = world.commit(&[("shop/web.yaml", &plain)]);
    world.synced("shop", &commit);
    let live = world.live("Deployment", "web").unwrap();
    assert_eq!(
        live["spec"]["template"]["spec"]["containers"][0]["env"],
        json!(null)
    );
    world.assert_quiet();
    world.repo.remove("shop/web.yaml").unwrap();
    let commit = world.commit(&[("shop/a.yaml", &config_map("a", "1"))]);
    world.synced("shop", &commit);
    assert!(world.live("Deployment", "web").is_none());
}

#[test]
fn an_application_may_ask_for_replace_and_what_argo_cd_calls_it_is_the_same() {
    let world = World::new("replace-all");
    let mut app = world.application("shop", "shop");
    app["spec"]["syncPolicy"]["syncOptions"] = json!(["Replace=true"]);
    let commit = world.commit(&[("shop/web.yaml", &twice("second"))]);
    world.create(&app);
    world.synced("shop", &commit);
    assert_eq!(last_value(&world), "second");
    let other = World::new("replace-argo");
    let argo = replaced(
        &twice("second"),
        keys::ARGO_SYNC_OPTIONS,
        "Force=true,Replace=true",
    );
    other.deploy("shop", "shop", &[("shop/web.yaml", &argo)]);
    assert_eq!(last_value(&other), "second");
}

#[test]
fn what_a_replace_would_be_refused_for_is_found_out_before_the_first_write() {
    let world = World::new("replace-preflight");
    let mut app = world.application("shop", "shop");
    app["spec"]["preflight"] = true.into();
    let enabled = |manifest: &str| replaced(manifest, keys::REPLACE, "enabled");
    // An apply would be refused for the variable that is there twice: that is no reason.
    let commit = world.commit(&[
        ("shop/a.yaml", &config_map("a", "1")),
        ("shop/web.yaml", &enabled(&twice("second"))),
    ]);
    world.create(&app);
    world.synced("shop", &commit);
    assert_eq!(last_value(&world), "second");
    let commit = world.commit(&[
        ("shop/a.yaml", &config_map("a", "2")),
        ("shop/web.yaml", &enabled(&twice("third"))),
    ]);
    world.synced("shop", &commit);
    assert_eq!(last_value(&world), "third");

    let mark = world.plane.audit_mark();
    let wrong = enabled(&twice("third")).replace("app: web", "app: other");
    world.commit(&[
        ("shop/a.yaml", &config_map("a", "3")),
        ("shop/web.yaml", &wrong),
    ]);
    world.poke("shop");
    let said = world.failed("shop", "PreflightFailed");
    assert!(said.contains("spec.selector: field is immutable"), "{said}");
    assert_eq!(world.object_writes(mark), [""; 0]);
    assert_eq!(world.value("a"), "2");
}
