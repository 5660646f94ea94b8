//! When a rollback is not written back to Git, or once more.

use serde_json::{Value, json};
use towline::object::keys;

use super::{crashing, image, quick, rolled_back, trusted};
use crate::world::manifests::deployment;
use crate::world::{World, condition, wait, wait_for};

fn guarded(world: &World<'_>, mode: &str) {
    let mut rollback = quick();
    rollback["writeBack"] = mode.into();
    super::guarded(world, &rollback);
}

fn web(image: &str) -> String {
    deployment("web", Some(1), image)
}

/// What the branch is at.
fn main(world: &World<'_>) -> String {
    let dir = format!("--git-dir={}", world.repo.bare().display());
    world.repo.git(&[&dir, "rev-parse", "main"]).unwrap()
}

/// Waits for a commit on the branch after `before`, and returns it.
fn moved(world: &World<'_>, before: &str) -> String {
    wait("a commit of towline", || match main(world) {
        head if head == before => Err(world.app("shop")["status"].to_string()),
        head => Ok(head),
    })
}

#[test]
fn an_outage_that_going_back_does_not_end_is_nobodys_commit() {
    for mode in ["Revert", "Branch"] {
        let world = World::new(&format!("no-write-{}", mode.to_lowercase()));
        let db = deployment("db", Some(1), "postgres:1");
        let a = world.commit(&[("shop/web.yaml", &web("nginx:1")), ("shop/db.yaml", &db)]);
        guarded(&world, mode);
        trusted(&world, &a);
        // A node is gone: what was there before does not work any more either.
        let pods = world.list("Pod", &world.work);
        let named = |pod: &&Value| {
            let name = pod["metadata"]["name"].as_str();
            name.is_some_and(|name| name.starts_with("db-"))
        };
        let pod = pods.iter().find(named).unwrap();
        let pod = pod["metadata"]["name"].as_str().unwrap().to_owned();
        let status = json!({"status": {"conditions": [{"type": "Ready", "status": "False",
            "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
        world.patch("Pod", &world.work, &format!("{pod}/status"), &status);
        // Seen before the commit comes, or going back might help before that.
        wait_for("the outage", || {
            world.app("shop")["status"]["health"]["status"] != "Healthy"
        });
        let b = world.commit(&[("shop/web.yaml", &crashing("nginx:2", "no route"))]);
        world.poke("shop");
        wait("the way back", || {
            let status = world.app("shop")["status"].clone();
            let is_back = status["sync"]["status"] == "RolledBack"
                && status["sync"]["revision"] == a
                && status["health"]["status"] != "Healthy";
            if is_back {
                Ok(())
            } else {
                Err(status.to_string())
            }
        });
        assert_eq!(image(&world), "nginx:1");
        world.wait_polls(4.0);
        let branches = || {
            let dir = format!("--git-dir={}", world.repo.bare().display());
            let list = [&dir, "for-each-ref", "--format=%(objectname)", "refs/heads"];
            world.repo.git(&list).unwrap()
        };
        assert_eq!(branches(), b);
        // It is over: now it is known that the commit does not work.
        world.kubectl(&["delete", "pod", &pod, "--wait=false", "--force"]);
        wait_for("the revert", || branches() != b);
    }
}

#[test]
fn nothing_is_written_while_updates_are_suspended() {
    let world = World::new("no-write-suspended");
    guarded(&world, "None");
    let a = world.commit(&[("shop/web.yaml", &web("nginx:1"))]);
    trusted(&world, &a);
    let b = world.commit(&[("shop/web.yaml", &crashing("nginx:2", "boom"))]);
    world.poke("shop");
    rolled_back(&world, &a);
    world.annotate("shop", keys::SUSPEND, Some("an incident"));
    world.change("shop", &json!({"rollback": {"writeBack": "Revert"}}));
    world.wait_polls(4.0);
    assert_eq!(main(&world), b);
    world.annotate("shop", keys::SUSPEND, None);
    let r = moved(&world, &b);
    world.synced("shop", &r);
}

#[test]
fn who_brings_it_back_with_a_force_push_has_it_written_back_again() {
    let world = World::new("no-write-forced");
    guarded(&world, "Revert");
    let a = world.commit(&[("shop/web.yaml", &web("nginx:1"))]);
    trusted(&world, &a);
    let b = world.commit(&[("shop/web.yaml", &crashing("nginx:2", "boom"))]);
    world.poke("shop");
    let r = moved(&world, &b);
    world.synced("shop", &r);
    world.repo.force_push(&b).unwrap();
    world.poke("shop");
    let again = moved(&world, &b);
    let app = world.synced("shop", &again);
    assert_eq!(app["status"]["rollback"]["quarantine"], Value::Null);
    assert_eq!(condition(&app, "NotWrittenBack"), Value::Null);
    assert_eq!(image(&world), "nginx:1");
}
