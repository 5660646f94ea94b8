//! What makes a revision go back besides its hooks and its time: what its containers do.

use serde_json::json;

use super::{crashing, guarded, image, quick, rolled_back, trusted};
use crate::world::manifests::deployment;
use crate::world::World;

#[test]
fn a_container_that_is_killed_for_its_memory_takes_the_revision_back() {
    let world = World::new("rollback-memory");
    let a = world.commit(&[("shop/web.yaml", &deployment("web", Some(1), "nginx:1"))]);
    guarded(&world, &quick());
    trusted(&world, &a);
    let killed = crashing("nginx:2", "").replace(
        "        testcluster.towline.dev/last-words",
        "        testcluster.towline.dev/last-reason: OOMKilled\n        testcluster.towline.dev/last-words",
    );
    let b = world.commit(&[("shop/web.yaml", &killed)]);
    world.poke("shop");
    let told = rolled_back(&world, &a);
    for part in [
        "OOMKilled: Deployment/rollback-memory-work/web: pod `web-",
        "container `web` was killed: out of memory, 4 restarts",
        &b[..8],
    ] {
        assert!(told.contains(part), "{part} is not in: {told}");
    }
    assert_eq!(image(&world), "nginx:1");
    let quarantine = &world.app("shop")["status"]["rollback"]["quarantine"];
    assert_eq!(quarantine[0]["reason"], json!("OOMKilled"));
}
