//! towline's own installation is out of reach of an Application that is not meant to manage it.

use serde_json::json;
use towline::object::keys;

use crate::world::World;
use crate::world::manifests::config_map;

/// A Namespace and a Deployment that a `namespace:` and a `namePrefix:` make towline's.
fn captured(world: &World<'_>) -> String {
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: anything\n";
    let kustomization = format!("namespace: {}\nresources: [ns.yaml, a.yaml]\n", world.ns);
    world.commit(&[
        ("shop/ns.yaml", namespace),
        ("shop/a.yaml", &config_map("a", "2")),
        ("shop/kustomization.yaml", &kustomization),
    ])
}

#[test]
fn a_namespace_transformer_does_not_capture_the_agents_namespace() {
    let world = World::new("self-captured");
    world.deploy(
        "shop",
        "shop",
        &[
            ("shop/a.yaml", &config_map("a", "1")),
            ("shop/kustomization.yaml", "resources: [a.yaml]\n"),
        ],
    );
    let before = world.get("Namespace", "", &world.ns).unwrap();
    let mark = world.plane.audit_mark();
    captured(&world);
    world.poke("shop");
    let said = world.failed("shop", "SelfManagedObject");
    for part in [
        "shop/ns.yaml",
        "Namespace/self-captured",
        "part of towline's own installation",
        keys::SELF_MANAGEMENT,
    ] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    assert_eq!(world.object_writes(mark), [""; 0]);
    assert_eq!(world.value("a"), "1", "the last good revision is enforced");
    let after = world.get("Namespace", "", &world.ns).unwrap();
    assert_eq!(
        before["metadata"]["resourceVersion"],
        after["metadata"]["resourceVersion"]
    );
}

#[test]
fn an_application_that_is_meant_to_may_manage_towline_and_never_deletes_it() {
    let world = World::idle("self-managed");
    let mut world = world;
    world.start();
    let namespace = format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {}\n  labels: {{owner: git}}\n",
        world.ns
    );
    let commit = world.commit(&[
        ("shop/ns.yaml", &namespace),
        ("shop/a.yaml", &config_map("a", "1")),
    ]);
    let mut app = world.application("shop", "shop");
    app["metadata"]["annotations"] = json!({keys::SELF_MANAGEMENT: "enabled"});
    app["spec"]["adopt"] = "Own".into();
    world.create(&app);
    world.synced("shop", &commit);
    let live = world.get("Namespace", "", &world.ns).unwrap();
    assert_eq!(live["metadata"]["labels"]["owner"], "git");
    let mark = world.plane.audit_mark();
    let commit = world.remove(&["shop/ns.yaml"]);
    let app = world.synced("shop", &commit);
    assert_eq!(world.deletes(mark), [""; 0]);
    assert_eq!(app["status"]["sync"]["objects"], 1, "it is let go");
}
