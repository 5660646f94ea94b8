//! What leaves the cluster, in which order, and what it waits for.

use super::*;
use crate::api::Removal;

/// A world that declares one healthy Service, so that its source is not empty.
fn world() -> World {
    let mut world = World::default();
    world.declare(
        "v1",
        "Service",
        "web",
        0,
        Change::Unchanged,
        Status::Healthy,
    );
    world
}

/// An object that left Git, of this wave.
fn leave(world: &mut World, api: &str, kind: &str, wave: i32) -> ObjectId {
    let id = world.own_of(api, kind, "old");
    world.inventory.update(&id, |entry| entry.wave = wave);
    world.diff.insert(id.clone(), Change::Prune);
    id
}

fn gone(world: &mut World, id: &ObjectId) {
    world.inventory.remove(id);
    world.live.remove(id);
    world.diff.remove(id);
}

/// Every plan until nothing is left to remove, as if each object went at once.
fn all_plans(world: &mut World, gate: Gate<'_>) -> Vec<String> {
    let mut plans = Vec::new();
    loop {
        let plan = world.plan(gate);
        if plan.steps.is_empty() {
            return plans;
        }
        for step in &plan.steps {
            gone(world, &step.id);
        }
        plans.push(plan.to_string().replace('\n', " ").trim().to_owned());
    }
}

#[test]
fn each_stage_waits_until_the_one_before_it_is_gone() {
    let mut world = world();
    let crd = "apiextensions.k8s.io/v1";
    let mut ids = Vec::new();
    for (api, kind) in [
        ("v1", "ConfigMap"),
        ("apps/v1", "Deployment"),
        ("example.com/v1", "Widget"),
        (
            "admissionregistration.k8s.io/v1",
            "ValidatingWebhookConfiguration",
        ),
        ("v1", "Namespace"),
        (crd, "CustomResourceDefinition"),
    ] {
        ids.push(leave(&mut world, api, kind, 0));
    }
    for id in &ids {
        world.inventory.update(id, |entry| entry.approved = true);
    }
    assert_eq!(
        all_plans(&mut world, GATE),
        [
            "prune Widget/shop/old",
            "prune ValidatingWebhookConfiguration/shop/old",
            "prune Deployment/shop/old",
            "prune ConfigMap/shop/old",
            "prune CustomResourceDefinition/shop/old",
            "prune Namespace/shop/old",
        ]
    );
}

#[test]
fn higher_waves_go_first() {
    let mut world = world();
    leave(&mut world, "v1", "ConfigMap", 5);
    leave(&mut world, "apps/v1", "Deployment", 0);
    leave(&mut world, "v1", "Secret", -1);
    assert_eq!(
        all_plans(&mut world, GATE),
        [
            "prune ConfigMap/shop/old",
            "prune Deployment/shop/old",
            "prune Secret/shop/old"
        ]
    );
}

#[test]
fn what_does_not_go_is_named_with_what_it_waits_for() {
    let mut world = world();
    let widget = leave(&mut world, "example.com/v1", "Widget", 0);
    leave(&mut world, "apps/v1", "Deployment", 0);
    let why = "being deleted since 2026-01-02T03:04:05Z, waiting for finalizer example.com/a";
    world.diff.insert(widget, Change::Wait(why.into()));
    let plan = world.plan(GATE);
    let expected = format!(
        "removal waits: Widget/shop/old: {why}; 1 more deletion waits for it\nwaits: Widget/shop/old: {why}\n"
    );
    assert_eq!(plan.to_string(), expected);
}

#[test]
fn a_deletion_that_wants_a_word_waits_alone_and_what_depends_on_it_waits_too() {
    let mut world = world();
    let widget = leave(&mut world, "example.com/v1", "Widget", 0);
    world
        .inventory
        .update(&widget, |entry| entry.confirm = true);
    leave(&mut world, "example.com/v1", "Gadget", 0);
    leave(&mut world, "apps/v1", "Deployment", 0);
    let plan = world.plan(GATE);
    let held = plan.report.held.clone().expect("held");
    assert_eq!(held.reason(), "PruneUnconfirmed");
    assert_eq!(plan.steps.len(), 1, "{plan}");
    assert_eq!(plan.steps[0].id.kind, "Gadget");
    let gadget = plan.steps[0].id.clone();
    gone(&mut world, &gadget);
    assert!(world.plan(GATE).steps.is_empty());

    let confirmed = Gate {
        approved: Some(held.hash()),
        ..GATE
    };
    let plan = world.plan(confirmed);
    assert_eq!((plan.steps.len(), plan.approved), (1, vec![widget.clone()]));
    // The record of it is what counts from then on.
    world
        .inventory
        .update(&widget, |entry| entry.approved = true);
    assert_eq!(
        all_plans(&mut world, GATE),
        ["prune Widget/shop/old", "prune Deployment/shop/old"]
    );
}

#[test]
fn what_was_approved_stays_approved_while_it_is_carried_out() {
    let mut world = world();
    for kind in ["ConfigMap", "Deployment", "Secret", "Job", "Widget"] {
        leave(&mut world, "v1", kind, 0);
    }
    let held = world.plan(GATE).report.held.expect("5 of 5");
    assert_eq!(held.reason(), "PruneOverLimit");
    let plan = world.plan(Gate {
        approved: Some(held.hash()),
        ..GATE
    });
    assert_eq!(plan.approved.len(), 5);
    for id in &plan.approved {
        world.inventory.update(id, |entry| entry.approved = true);
    }
    gone(&mut world, &plan.steps[0].id);
    assert_eq!(world.plan(GATE).report.held, None);
}

#[test]
fn going_back_takes_back_what_was_added_whatever_the_count() {
    let mut world = world();
    world.desired.digest = "00000000000000aa".repeat(4);
    world.depart("ConfigMap", 40);
    let ids: Vec<ObjectId> = world.inventory.iter().map(|(id, _)| id.clone()).collect();
    for before in [None, Some(0xbb), Some(0xaa)] {
        for id in &ids {
            world.inventory.update(id, |entry| entry.before = before);
        }
        let plan = world.plan(GATE);
        let is_free = before == Some(0xaa);
        assert_eq!(plan.report.held.is_none(), is_free, "{before:?}");
        assert_eq!(plan.steps.len(), if is_free { 40 } else { 0 });
    }
}

#[test]
fn prune_last_waits_for_the_health_of_everything() {
    let mut world = world();
    world.declare(
        "apps/v1",
        "Deployment",
        "web",
        0,
        Change::Unchanged,
        Status::Progressing,
    );
    let id = leave(&mut world, "v1", "ConfigMap", 0);
    assert_eq!(world.plan(GATE).to_string(), "prune ConfigMap/shop/old\n");
    world.inventory.update(&id, |entry| entry.prune_last = true);
    assert_eq!(
        world.plan(GATE).to_string(),
        "1 deletion waits for Deployment/shop/web (Progressing: rolling out) (PruneLast)\n"
    );
    let web = ObjectId::new("apps", "Deployment", "shop", "web");
    world.see(&web, Status::Healthy);
    assert_eq!(world.plan(GATE).to_string(), "prune ConfigMap/shop/old\n");
    // What is healthy is not the new one yet.
    world.diff.insert(web, Change::Update);
    assert_eq!(
        world.plan(GATE).to_string(),
        "update Deployment/shop/web\n1 deletion waits for Deployment/shop/web (not applied yet) (PruneLast)\n"
    );
}

#[test]
fn a_stateful_set_is_guarded_unless_it_is_known_to_have_no_claims() {
    for (claims, reason) in [
        (None, Some("PruneOfClass")),
        (Some(true), Some("PruneOfClass")),
        (Some(false), None),
    ] {
        let mut world = world();
        let id = leave(&mut world, "apps/v1", "StatefulSet", 0);
        world.inventory.update(&id, |entry| entry.claims = claims);
        let held = world.plan(GATE).report.held;
        assert_eq!(held.map(|held| held.reason()), reason, "{claims:?}");
    }
}

#[test]
fn the_end_of_an_application_asks_only_for_what_wants_a_word() {
    let mut world = World::default();
    world.depart("ConfigMap", 60);
    let claim = leave(&mut world, "v1", "PersistentVolumeClaim", 0);
    world.inventory.update(&claim, |entry| {
        entry.on_deletion = Some(Removal::Confirm);
    });
    let inventory = world.inventory.for_deletion();
    let first = teardown(&world.diff, &world.live, &inventory, None);
    assert_eq!(first.steps.len(), 60);
    let held = first.report.held.expect("the claim is held");
    let confirmed = teardown(&world.diff, &world.live, &inventory, Some(held.hash()));
    assert_eq!(
        (confirmed.steps.len(), confirmed.approved),
        (61, vec![claim])
    );
}
