//! Of several agents one acts.

use std::time::{Duration, Instant};

use towline::agent::{Options, Timing};

use crate::world::manifests::config_map;
use crate::world::{Agent, World, wait_for};

/// Long enough that giving the Lease back is told from letting it expire, and that a machine which
/// stands still for a moment costs no agent its Lease.
const TIMING: Timing = Timing {
    duration: Duration::from_secs(15),
    renew_deadline: Duration::from_secs(12),
    retry: Duration::from_millis(300),
};

fn replica(world: &World<'_>, identity: &str) -> Options {
    Options {
        identity: identity.into(),
        timing: TIMING,
        ..world.options()
    }
}

/// Two agents; the first leads.
fn two(name: &str) -> World<'static> {
    let mut world = World::idle(name);
    world.start_with(replica(&world, "first"));
    wait_for("the first to lead", || world.agents[0].leads());
    world.start_with(replica(&world, "second"));
    world
}

fn holder(world: &World<'_>) -> String {
    let lease = world.get("Lease", &world.ns, "towline").unwrap();
    lease["spec"]["holderIdentity"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn a_second_agent_waits_and_takes_over_when_the_first_dies() {
    let mut world = two("leases");
    world.deploy("shop", "shop", &[("shop/a.yaml", &config_map("a", "1"))]);
    wait_for("who waits to be ready", || {
        world.agents[1].get("/readyz").0 == 200
    });
    assert!(!world.agents[1].leads());
    assert_eq!(world.agents[1].polls(), 0.0, "who waits does nothing");
    assert_eq!(holder(&world), "first");

    world.kill_agent();
    let commit = world.commit(&[("shop/a.yaml", &config_map("a", "2"))]);
    wait_for("the second to lead", || world.agents[0].leads());
    world.synced("shop", &commit);
    assert_eq!(holder(&world), "second");
    world.assert_quiet();
}

#[test]
fn an_agent_that_is_stopped_gives_the_lease_back() {
    let mut world = two("lease-release");
    let lead = |agents: &[Agent]| agents.iter().filter(|agent| agent.leads()).count();
    assert_eq!(lead(&world.agents), 1);
    world.stop_agent();
    assert_ne!(holder(&world), "first", "it is given back at the end");
    let stopped = Instant::now();
    wait_for("the second to lead", || world.agents[0].leads());
    assert!(
        stopped.elapsed() < TIMING.duration,
        "{:?}",
        stopped.elapsed()
    );
    world.stop_agent();
    assert_eq!(holder(&world), "");
}
