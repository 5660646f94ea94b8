//! A rollback is being written back when somebody wants something else, or another agent acts.

use serde_json::{Value, json};
use towline::object::keys;
use towline_testcluster::Fault;

use super::{crashing, image, known, quick, rolled_back, trusted};
use crate::world::manifests::deployment;
use crate::world::{World, logs, wait_for};

/// Brings a write-back to where it asks the server for its branch, which does not answer. Returns
/// the bad commit.
fn in_the_middle(world: &World<'_>) -> String {
    let mut app = world.application("shop", "shop");
    // Nothing else asks the server meanwhile.
    app["spec"]["source"]["interval"] = "1h".into();
    app["spec"]["rollback"] = quick();
    app["spec"]["rollback"]["writeBack"] = "Branch".into();
    // It goes back when the test says so.
    app["spec"]["rollback"]["grace"] = "1h".into();
    let a = world.commit(&[("shop/web.yaml", &deployment("web", Some(1), "nginx:1"))]);
    world.create(&app);
    trusted(world, &a);
    known(world);
    let b = world.commit(&[("shop/web.yaml", &crashing("nginx:2", "boom"))]);
    // The poll has ended, and no other one begins.
    world.refresh("shop");
    wait_for("the bad revision to be there", || image(world) == "nginx:2");
    let before = world.git.counters().requests;
    world.git.set_fault(Fault::Hang);
    world.change("shop", &json!({"rollback": {"grace": "1s"}}));
    rolled_back(world, &a);
    wait_for("the write-back to ask the server", || {
        world.git.counters().requests > before
    });
    b
}

/// Lets the server answer, and waits until the write-back has ended without a push.
fn is_withdrawn(world: &World<'_>, bad: &str) {
    world.git.set_fault(Fault::None);
    wait_for("the write-back to end", || {
        let mut lines = logs().lines().map(str::to_owned).collect::<Vec<_>>();
        lines.retain(|line| line.contains("withdrawn") && line.contains(bad));
        !lines.is_empty()
    });
    assert_eq!(world.git.counters().receive_packs, 0);
    assert_eq!(branches(world), "refs/heads/main");
}

fn branches(world: &World<'_>) -> String {
    let dir = format!("--git-dir={}", world.repo.bare().display());
    let list = [&dir, "for-each-ref", "--format=%(refname)", "refs/heads"];
    world.repo.git(&list).unwrap()
}

#[test]
fn a_retry_takes_back_what_is_on_its_way() {
    let world = World::new("withdrawn-retry");
    let b = in_the_middle(&world);
    // It is given more time than the test takes.
    let patient = json!({"timeout": "1h", "grace": "1h", "failureThreshold": 0});
    world.change("shop", &json!({"rollback": patient}));
    world.annotate("shop", keys::RETRY, Some(&b));
    wait_for("the retry", || {
        let status = world.app("shop")["status"].clone();
        status["handled"]["retry"] == b.as_str() && status["rollback"]["rolledBack"].is_null()
    });
    is_withdrawn(&world, &b);
    wait_for("the revision to be tried again", || {
        image(&world) == "nginx:2"
    });
    let status = world.refresh("shop")["status"].clone();
    assert_eq!(status["rollback"]["writtenBack"], Value::Null);
    assert_eq!(branches(&world), "refs/heads/main");
}

#[test]
fn an_agent_that_lost_the_lease_pushes_nothing_and_makes_up_for_it_when_it_has_it_again() {
    let world = World::new("withdrawn-lease");
    let b = in_the_middle(&world);
    let renew = || {
        let lease = json!({"spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 15,
            "renewTime": format!("{:.6}", jiff::Timestamp::now())}});
        world.patch("Lease", &world.ns, "towline", &lease);
    };
    renew();
    wait_for("the agent to stop acting", || !world.agent().leads());
    // The agent does not come back while it is looked at.
    renew();
    is_withdrawn(&world, &b);
    // Nobody renews it.
    let branch = format!("refs/heads/towline/revert-{}", &b[..8]);
    wait_for("the revert", || branches(&world).contains(&branch));
    assert_eq!(world.git.counters().receive_packs, 1);
}
