//! Objects that a field keeps from being changed in place.

use super::*;
use crate::desired::Recreation;
use crate::plan::{approval, withdrawn};

/// A world with one object to update, which the server refused to change.
fn refused(api: &str, kind: &str, recreation: Recreation) -> (World, Immutable, ObjectId) {
    let mut world = World::default();
    world.declare(api, kind, "x", 0, Change::Update, Status::Healthy);
    world.declare(
        "v1",
        "ConfigMap",
        "later",
        1,
        Change::Create,
        Status::Healthy,
    );
    let id = ObjectId::new(&Gvk::from_api_version(api, kind).group, kind, "shop", "x");
    let object = world.desired.objects.get_mut(&id).expect("declared");
    std::sync::Arc::make_mut(object).recreation = recreation;
    let mut immutable = Immutable::none();
    immutable.note(&id, "uid-x", 1);
    (world, immutable, id)
}

#[test]
fn what_the_server_refused_is_created_anew_where_that_is_wanted() {
    let waits = "wave 1 waits for wave 0 to be applied\n";
    for (recreation, action) in [
        (Recreation::Never, "update"),
        (Recreation::AtOnce, "recreate"),
    ] {
        let (world, immutable, _) = refused("apps/v1", "Deployment", recreation);
        let gate = Gate {
            immutable: &immutable,
            ..GATE
        };
        let expected = format!("{action} Deployment/shop/x\n{waits}");
        assert_eq!(world.plan(gate).to_string(), expected);
    }
    // Another object of the name, or another change: it is tried anew.
    let (world, mut immutable, id) = refused("apps/v1", "Deployment", Recreation::AtOnce);
    for (uid, hash) in [("uid-y", 1), ("uid-x", 2)] {
        immutable.note(&id, uid, hash);
        let gate = Gate {
            immutable: &immutable,
            ..GATE
        };
        assert!(world.plan(gate).to_string().starts_with("update "));
    }
}

#[test]
fn a_running_job_is_waited_for_and_holds_its_wave_and_the_prunes() {
    let (mut world, immutable, id) = refused("batch/v1", "Job", Recreation::WhenFinished);
    world.depart("ConfigMap", 1);
    let gate = Gate {
        immutable: &immutable,
        ..GATE
    };
    let plan = world.plan(gate);
    assert!(plan.steps.is_empty(), "{plan}");
    assert!(
        plan.report.objects[&id].contains("until it has finished"),
        "{plan}"
    );
    if let Some(Sighting::Present(seen)) = world.live.get_mut(&id) {
        seen.finished = true;
    }
    assert_eq!(world.plan(gate).steps[0].action, Action::Recreate);
}

#[test]
fn what_holds_data_is_created_anew_only_when_exactly_that_was_approved() {
    let (world, immutable, id) = refused("apps/v1", "StatefulSet", Recreation::AtOnce);
    let gate = Gate {
        immutable: &immutable,
        ..GATE
    };
    let plan = world.plan(gate);
    let held = plan.report.held.clone().expect("held");
    assert_eq!(
        (held.reason(), plan.steps.len()),
        ("RecreationUnapproved", 0)
    );
    assert!(held.to_string().contains("StatefulSet/shop/x"), "{held}");
    let approved = Gate {
        approved: Some(held.hash()),
        ..gate
    };
    let plan = world.plan(approved);
    assert_eq!((plan.steps.len(), &plan.steps[0].id), (1, &id));
}

fn gate(immutable: &Immutable) -> Gate<'_> {
    Gate { immutable, ..GATE }
}

#[test]
fn one_approval_is_enough_for_every_wave_and_for_nothing_that_comes_later() {
    let (mut world, mut immutable, first) = refused("apps/v1", "StatefulSet", Recreation::AtOnce);
    let declare = |world: &mut World, name: &str, wave| {
        let (api, kind) = ("apps/v1", "StatefulSet");
        let id = world.own_of(api, kind, name);
        world.declare(api, kind, name, wave, Change::Update, Status::Healthy);
        let object = world.desired.objects.get_mut(&id).expect("declared");
        std::sync::Arc::make_mut(object).recreation = Recreation::AtOnce;
        id
    };
    world.own_of("apps/v1", "StatefulSet", "x");
    world.desired.digest = "r".into();
    let second = declare(&mut world, "y", 2);
    // The server was not asked about the one of the later wave yet.
    let plan = world.plan(gate(&immutable));
    assert_eq!(plan.untried, std::slice::from_ref(&second));
    immutable.note_dry_run(&second, "uid-y", 1, false);
    assert_eq!(world.plan(gate(&immutable)).untried, []);
    immutable.note_dry_run(&second, "uid-y", 1, true);
    let plan = world.plan(gate(&immutable));
    let held = plan.report.held.expect("held");
    assert!(held.to_string().contains("/y"), "{held}");
    let approved = Gate {
        approved: Some(held.hash()),
        ..gate(&immutable)
    };
    let plan = world.plan(approved);
    assert_eq!(plan.approved, [first.clone(), second.clone()]);
    assert_eq!(plan.steps.len(), 1, "{plan}");
    for id in [&first, &second] {
        world
            .inventory
            .update(id, |entry| entry.recreate = Some(approval(1, "r")));
    }

    // Another revision needs another approval, and takes this one back.
    assert!(withdrawn(&world.desired, &world.inventory).is_empty());
    world.desired.digest = "other".into();
    let void = withdrawn(&world.desired, &world.inventory);
    assert_eq!(void, [first.clone(), second.clone()]);
    assert!(world.plan(gate(&immutable)).report.held.is_some());
    world.desired.digest = "r".into();

    // The first wave is done, and the approval is of a plan that nobody makes any more.
    world.diff.insert(first, Change::Unchanged);
    let later = ObjectId::new("", "ConfigMap", "shop", "later");
    world.diff.insert(later, Change::Unchanged);
    let plan = world.plan(gate(&immutable));
    // A dry run deletes nothing: only a write that is refused does.
    assert_eq!(plan.to_string(), "update StatefulSet/shop/y\n");
    immutable.note(&second, "uid-y", 1);
    let plan = world.plan(gate(&immutable));
    assert_eq!(plan.to_string(), "recreate StatefulSet/shop/y\n");
    // What is added is not covered, nor the same object with another UID or content.
    let third = declare(&mut world, "z", 2);
    immutable.note(&third, "uid-z", 1);
    let plan = world.plan(gate(&immutable));
    assert_eq!(plan.steps.len(), 1, "{plan}");
    assert!(
        matches!(&plan.report.held, Some(Refusal::Recreation { names, .. }) if *names == [third.clone()]),
        "{plan}"
    );
    world
        .inventory
        .update(&third, |entry| entry.recreate = Some(approval(2, "r")));
    assert!(world.plan(gate(&immutable)).report.held.is_some());
    world.inventory.update(&third, |entry| {
        entry.recreate = Some(approval(1, "r"));
        entry.state = State::Owned {
            uid: "uid-other".into(),
        };
    });
    assert!(world.plan(gate(&immutable)).report.held.is_some());
}

#[test]
fn what_only_a_dry_run_refused_is_written_in_place_and_holds_nothing() {
    let (world, mut immutable, id) = refused("apps/v1", "StatefulSet", Recreation::AtOnce);
    immutable.note_dry_run(&id, "uid-x", 1, true);
    let plan = world.plan(gate(&immutable));
    assert_eq!(plan.report.held, None);
    assert_eq!(plan.steps[0].action, Action::Update, "{plan}");
}

#[test]
fn a_wave_is_not_done_while_an_object_of_it_is_on_its_way_out() {
    let (mut world, _, id) = refused("batch/v1", "Job", Recreation::AtOnce);
    world
        .diff
        .insert(id.clone(), Change::Wait("being deleted".into()));
    if let Some(Sighting::Present(seen)) = world.live.get_mut(&id) {
        seen.terminating = true;
    }
    let plan = world.plan(GATE).to_string();
    assert!(
        plan.starts_with("wave 1 waits for Job/shop/x (it is being deleted)"),
        "{plan}"
    );
}
