//! Which requests a plan becomes, on the recording fake.

use serde_json::json;

use super::*;
use crate::cluster::fake::FakeCluster;
use crate::desired::{Barrier, Placement};
use crate::inventory::Owner;
use crate::live::{Ignore, Sighting, observe};

fn config_maps() -> Resource {
    Resource::known("v1", "ConfigMap", "configmaps", Scope::Namespaced)
}

fn object(name: &str) -> Object {
    Object(json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-of-{name}")}}))
}

fn desired(name: &str) -> (ObjectId, Arc<DesiredObject>) {
    let object = object(name);
    let id = object.id();
    let desired = DesiredObject {
        id: id.clone(),
        gvk: object.gvk(),
        placement: Placement::Served(config_maps()),
        manifest: crate::object::Manifest::of(&object),
        hash: 1,
        ignore: Ignore::default(),
        wave: 0,
        barrier: Barrier::Configuration,
        options: crate::api::ObjectOptions::default(),
        replaces: false,
        recreation: crate::desired::Recreation::Never,
        ignored: false,
        place: String::new(),
        generated: None,
        claims: None,
        rendered: None,
    };
    (id, Arc::new(desired))
}

fn step(action: Action, name: &str, barrier: Barrier) -> Step {
    Step {
        action,
        id: object(name).id(),
        barrier,
    }
}

/// Runs a plan on a fake that holds `old`, with failures as scripted; returns the requests.
fn requests(steps: Vec<Step>, failing: &[&str], preempted: bool) -> Vec<String> {
    let cluster = FakeCluster::new([config_maps()]);
    cluster.put(object("old"));
    for request in failing {
        cluster.fail(*request, 422);
    }
    let owner = Owner {
        install: "i".into(),
        namespace: "n".into(),
        name: "a".into(),
    };
    let seen = Sighting::Present(Box::new(observe(
        &object("old"),
        &owner,
        &Ignore::default(),
        0,
    )));
    let live = [(object("old").id(), seen)].into();
    let desired: BTreeMap<_, _> = ["a", "b", "c", "old"].into_iter().map(desired).collect();
    let recorded = [(object("old").id(), config_maps())].into();
    let context = Context {
        cluster: &cluster,
        who: &Identity::ServiceAccount {
            namespace: "n".into(),
            name: "deployer".into(),
        },
        desired: &desired,
        enforced: &desired,
        live: &live,
        recorded: &recorded,
        unscaled: &BTreeSet::new(),
        revision: "0123",
        propagation: Propagation::Background,
        preempted: &move || preempted,
    };
    let plan = Plan {
        steps,
        ..Plan::default()
    };
    futures::executor::block_on(apply(context, &plan, |_| {}));
    let suffix = " as system:serviceaccount:n:deployer";
    let requests = cluster.requests();
    requests
        .iter()
        .map(|r| {
            r.strip_suffix(suffix)
                .unwrap_or("as another identity")
                .into()
        })
        .collect()
}

fn roll_forward() -> Vec<Step> {
    vec![
        step(Action::Create, "a", Barrier::Foundation),
        step(Action::Heal, "b", Barrier::Configuration),
        step(Action::Update, "c", Barrier::Workload),
        step(Action::Prune, "old", Barrier::Workload),
    ]
}

#[test]
fn every_request_is_made_as_the_applications_identity() {
    let expected = [
        "apply ConfigMap/shop/a",
        "get ConfigMap/shop/b",
        "apply ConfigMap/shop/b",
        "apply ConfigMap/shop/c",
        "delete ConfigMap/shop/old",
    ];
    assert_eq!(requests(roll_forward(), &[], false), expected);
}

#[test]
fn a_failure_stops_later_barriers_and_prunes_but_not_healing() {
    let failing = ["apply ConfigMap/shop/a as system:serviceaccount:n:deployer"];
    let expected = [
        "apply ConfigMap/shop/a",
        "get ConfigMap/shop/b",
        "apply ConfigMap/shop/b",
    ];
    assert_eq!(requests(roll_forward(), &failing, false), expected);
}

#[test]
fn nothing_is_begun_once_a_newer_revision_is_there() {
    assert_eq!(requests(roll_forward(), &[], true), [""; 0]);
}

#[test]
fn an_object_is_deleted_to_be_created_anew_only_after_a_dry_run_under_another_name() {
    let steps = || vec![step(Action::Recreate, "old", Barrier::Workload)];
    let trial = "dry-run ConfigMap/shop/old-towline-trial";
    let expected = [trial, "delete ConfigMap/shop/old"];
    assert_eq!(requests(steps(), &[], false), expected);
    let refused = format!("{trial} as system:serviceaccount:n:deployer");
    assert_eq!(requests(steps(), &[refused.as_str()], false), [trial]);
}
