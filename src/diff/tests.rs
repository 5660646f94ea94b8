//! The presence matrix, row by row.

use serde_json::json;

use super::*;
use crate::desired::{Barrier, Placement};
use crate::health::{Health, Status};
use crate::object::{Gvk, Manifest, Scope};

fn policy(adopt: Adopt) -> Policy {
    let spec = serde_json::from_value(json!({
        "source": {"repoURL": "https://git.example.com/a.git"}, "destination": {},
        "syncPolicy": {"automated": {"prune": true, "selfHeal": true}}}));
    let mut policy = Policy::from_spec(&spec.expect("valid")).expect("valid");
    policy.adopt = adopt;
    policy
}

fn id() -> ObjectId {
    ObjectId::new("", "ConfigMap", "shop", "a")
}

fn gvk() -> Gvk {
    Gvk::from_api_version("v1", "ConfigMap")
}

fn desired(hash: u64) -> Desired {
    let resource =
        crate::cluster::Resource::known("v1", "ConfigMap", "configmaps", Scope::Namespaced);
    let object = DesiredObject {
        id: id(),
        gvk: gvk(),
        placement: Placement::Served(resource),
        manifest: Manifest::default(),
        hash,
        ignore: crate::live::Ignore::default(),
        wave: 0,
        barrier: Barrier::Configuration,
        options: crate::api::ObjectOptions::default(),
        replaces: false,
        recreation: crate::desired::Recreation::Never,
        ignored: false,
        place: "a.yaml:1".into(),
        generated: None,
        claims: None,
        rendered: None,
    };
    Desired {
        objects: [(id(), std::sync::Arc::new(object))].into(),
        ..Desired::default()
    }
}

fn seen(uid: &str, claim: Claim, holds: Option<u64>) -> Sighting {
    Sighting::Present(Box::new(Observed {
        uid: uid.into(),
        version: 1,
        fingerprint: None,
        health: Health::new(Status::Healthy, "", ""),
        unsettled: None,
        terminating: false,
        finished: false,
        succeeded: false,
        expires: None,
        applied_by_us: claim == Claim::Ours,
        replaced: false,
        claim,
        created: 100,
        revision: String::new(),
        yielded_to: None,
        hook_run: String::new(),
        replicas: None,
        set_aside: false,
        holds,
    }))
}

fn owned(uid: &str) -> Inventory {
    let mut inventory = Inventory::default();
    let mut entry = Entry::intended(&gvk(), 1, 90);
    entry.state = State::Owned { uid: uid.into() };
    inventory.intend(&id(), entry);
    inventory
}

fn intended(since: i64) -> Inventory {
    let mut inventory = Inventory::default();
    inventory.intend(&id(), Entry::intended(&gvk(), 1, since));
    inventory
}

fn change(
    desired: &Desired,
    sighting: Option<Sighting>,
    inventory: &Inventory,
    accepted: Option<u64>,
) -> Change {
    let live = sighting.map(|s| (id(), s)).into_iter().collect();
    let at = |hash| DesiredObject {
        hash,
        ..desired.objects[&id()].as_ref().clone()
    };
    let accepted = accepted
        .map(|hash| (id(), at(hash).into()))
        .into_iter()
        .collect();
    diff(
        desired,
        &live,
        inventory,
        &accepted,
        &policy(Adopt::IfUnowned),
    )[&id()]
        .clone()
}

#[test]
fn declared_objects() {
    let none = Inventory::default();
    let want = desired(1);
    for (what, sighting, inventory, accepted, expected) in [
        (
            "absent",
            Some(Sighting::Absent),
            &none,
            None,
            Change::Create,
        ),
        (
            "ours and equal",
            Some(seen("u", Claim::Ours, Some(1))),
            &owned("u"),
            Some(1),
            Change::Unchanged,
        ),
        (
            "ours and of another revision",
            Some(seen("u", Claim::Ours, Some(2))),
            &owned("u"),
            Some(2),
            Change::Update,
        ),
        (
            "ours and changed by hand",
            Some(seen("u", Claim::Ours, None)),
            &owned("u"),
            Some(1),
            Change::Drift,
        ),
        (
            "ours and deleted by hand",
            Some(Sighting::Absent),
            &owned("u"),
            Some(1),
            Change::Drift,
        ),
        (
            "nobody's",
            Some(seen("u", Claim::Nobody, None)),
            &none,
            None,
            Change::Adopt,
        ),
        (
            "recreated by hand",
            Some(seen("v", Claim::Nobody, None)),
            &owned("u"),
            Some(1),
            Change::Adopt,
        ),
        (
            "another's",
            Some(seen("u", Claim::Other("x".into()), None)),
            &none,
            None,
            Change::Foreign("x".into()),
        ),
        (
            "unreadable",
            Some(Sighting::Unknown("403".into())),
            &owned("u"),
            Some(1),
            Change::Unknown("403".into()),
        ),
        (
            "created, not yet recorded",
            Some(seen("u", Claim::Ours, Some(1))),
            &intended(90),
            None,
            Change::Unchanged,
        ),
    ] {
        assert_eq!(
            change(&want, sighting, inventory, accepted),
            expected,
            "{what}"
        );
    }
}

#[test]
fn departed_objects_are_pruned_only_with_the_recorded_uid() {
    let none = Desired::default();
    let kept = |change: Change| matches!(change, Change::Abandon(_));
    let ours = seen("u", Claim::Ours, None);
    assert_eq!(
        change(&none, Some(ours.clone()), &owned("u"), None),
        Change::Prune
    );
    assert!(kept(change(
        &none,
        Some(ours.clone()),
        &owned("other"),
        None
    )));
    assert_eq!(
        change(&none, Some(ours.clone()), &intended(100), None),
        Change::Prune
    );
    assert!(
        kept(change(&none, Some(ours), &intended(101), None)),
        "older than our intention"
    );
    let taken = seen("u", Claim::Other("the Helm release `web`".into()), None);
    assert!(
        kept(change(&none, Some(taken), &owned("u"), None)),
        "somebody else claims it by now"
    );
    let unknown = Sighting::Unknown("timeout".into());
    assert_eq!(
        change(&none, Some(unknown), &owned("u"), None),
        Change::Unknown("timeout".into())
    );
    let mut adopted = owned("u");
    adopted.update(&id(), |entry| entry.adopted = true);
    assert!(kept(change(
        &none,
        Some(seen("u", Claim::Ours, None)),
        &adopted,
        None
    )));
}

#[test]
fn a_finished_job_that_was_cleaned_up_is_not_missing() {
    let mut done = owned("u");
    done.update(&id(), |entry| entry.done = true);
    assert_eq!(
        change(&desired(1), Some(Sighting::Absent), &done, Some(1)),
        Change::Unchanged
    );
    assert_eq!(
        change(&desired(2), Some(Sighting::Absent), &done, Some(1)),
        Change::Create
    );
}
