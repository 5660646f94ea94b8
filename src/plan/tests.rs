//! Plans as a person reads them.

use serde_json::json;

use super::*;
use crate::desired::{DesiredObject, Placement};
use crate::inventory::{Entry, State};
use crate::live::Observed;
use crate::object::{Gvk, Manifest, Scope};

/// One Application's world: what is declared, what is there, what is recorded.
#[derive(Default)]
struct World {
    desired: Desired,
    live: Live,
    inventory: Inventory,
    diff: Diff,
}

static NOTHING: Immutable = Immutable::none();

const GATE: Gate<'_> = Gate {
    update: true,
    heal: true,
    asked: false,
    prune: true,
    approved: None,
    now: 0,
    failed: false,
    degraded: false,
    immutable: &NOTHING,
};

fn policy() -> Policy {
    let spec = serde_json::from_value(json!({
        "source": {"repoURL": "https://git.example.com/a.git"}, "destination": {},
        "syncPolicy": {"automated": {"prune": true, "selfHeal": true}}}));
    Policy::from_spec(&spec.expect("valid")).expect("valid")
}

impl World {
    fn declare(
        &mut self,
        api: &str,
        kind: &str,
        name: &str,
        wave: i32,
        change: Change,
        status: Status,
    ) {
        let gvk = Gvk::from_api_version(api, kind);
        let id = ObjectId::new(gvk.group.as_str(), kind, "shop", name);
        let resource = crate::cluster::Resource::known(api, kind, "things", Scope::Namespaced);
        let object = DesiredObject {
            id: id.clone(),
            barrier: Barrier::of(&gvk),
            gvk,
            placement: Placement::Served(resource),
            manifest: Manifest::default(),
            hash: 1,
            ignore: crate::live::Ignore::default(),
            wave,
            options: crate::api::ObjectOptions::default(),
            replaces: false,
            recreation: crate::desired::Recreation::Never,
            ignored: false,
            place: String::new(),
            generated: None,
            claims: None,
            rendered: None,
        };
        self.desired
            .objects
            .insert(id.clone(), std::sync::Arc::new(object));
        self.see(&id, status);
        self.diff.insert(id, change);
    }

    fn see(&mut self, id: &ObjectId, status: Status) {
        let seen = Observed {
            uid: format!("uid-{}", id.name),
            version: 1,
            fingerprint: None,
            health: crate::health::Health::new(status, "", "rolling out"),
            unsettled: None,
            terminating: false,
            finished: false,
            succeeded: false,
            expires: None,
            claim: crate::inventory::Claim::Ours,
            created: 1,
            applied_by_us: true,
            replaced: false,
            revision: String::new(),
            yielded_to: None,
            hook_run: String::new(),
            replicas: None,
            set_aside: false,
            holds: Some(1),
        };
        self.live
            .insert(id.clone(), Sighting::Present(Box::new(seen)));
    }

    fn own(&mut self, kind: &str, name: &str) -> ObjectId {
        self.own_of("v1", kind, name)
    }

    fn own_of(&mut self, api: &str, kind: &str, name: &str) -> ObjectId {
        let gvk = Gvk::from_api_version(api, kind);
        let id = ObjectId::new(gvk.group.as_str(), kind, "shop", name);
        let mut entry = Entry::intended(&gvk, 1, 0);
        entry.state = State::Owned {
            uid: format!("uid-{name}"),
        };
        self.inventory.intend(&id, entry);
        self.see(&id, Status::Healthy);
        id
    }

    fn depart(&mut self, kind: &str, count: usize) {
        for n in 0..count {
            let id = self.own(kind, &format!("gone-{n:03}"));
            self.diff.insert(id, Change::Prune);
        }
    }

    fn plan(&self, gate: Gate<'_>) -> Plan {
        let mut plan = plan(
            &self.diff,
            &self.desired,
            &self.live,
            &self.inventory,
            &policy(),
            gate,
        );
        if gate.heal {
            let drifted =
                |(id, change): (&ObjectId, &Change)| (*change == Change::Drift).then(|| id.clone());
            let drifted = self.diff.iter().filter_map(drifted).collect();
            heal(&mut plan, &drifted, &self.desired.objects);
        }
        plan
    }
}

mod recreation;
mod removal;

#[test]
fn barriers_order_applies_and_prunes_go_in_reverse() {
    let mut world = World::default();
    world.declare(
        "apps/v1",
        "Deployment",
        "web",
        0,
        Change::Create,
        Status::Healthy,
    );
    world.declare("v1", "Secret", "db", 0, Change::Create, Status::Healthy);
    for kind in ["ConfigMap", "Service"] {
        let id = world.own(kind, "old");
        world.diff.insert(id, Change::Prune);
    }
    let expected = "create Secret/shop/db\ncreate Deployment/shop/web\nprune Service/shop/old\n";
    assert_eq!(world.plan(GATE).to_string(), expected);
}

#[test]
fn a_later_wave_waits_for_health_and_healing_waits_for_nothing() {
    let mut world = World::default();
    world.declare(
        "apps/v1",
        "Deployment",
        "db",
        0,
        Change::Unchanged,
        Status::Progressing,
    );
    world.declare(
        "apps/v1",
        "Deployment",
        "web",
        1,
        Change::Update,
        Status::Healthy,
    );
    world.declare("v1", "Service", "web", 1, Change::Drift, Status::Healthy);
    let departed = world.own("ConfigMap", "old");
    world.diff.insert(departed, Change::Prune);
    assert_eq!(
        world.plan(GATE).to_string(),
        "heal Service/shop/web\nwave 1 waits for Deployment/shop/db (Progressing: rolling out)\n"
    );
    let suspended = Gate {
        update: false,
        ..GATE
    };
    assert_eq!(world.plan(suspended).to_string(), "heal Service/shop/web\n");
}

#[test]
fn the_prune_guard_holds_by_this_table() {
    for (pruned, owned, held) in [
        (1, 1, false),
        (3, 3, false),
        (3, 100, false),
        (4, 12, true),
        (4, 13, true),
        (4, 14, false),
        (30, 100, false),
        (31, 100, true),
        (50, 1000, false),
        (51, 1000, true),
    ] {
        assert_eq!(
            guard::is_over_limit(pruned, owned),
            held,
            "{pruned} of {owned}"
        );
    }
}

#[test]
fn a_held_plan_goes_on_with_its_own_hash_only() {
    let mut world = World::default();
    world.declare(
        "v1",
        "Service",
        "web",
        0,
        Change::Unchanged,
        Status::Healthy,
    );
    world.depart("ConfigMap", 5);
    let held = world.plan(GATE);
    let refusal = held.report.held.clone().expect("5 of 5 is held");
    assert_eq!((refusal.reason(), held.steps.len()), ("PruneOverLimit", 0));
    let approved = Gate {
        approved: Some(refusal.hash()),
        ..GATE
    };
    assert_eq!(world.plan(approved).steps.len(), 5);
    let other = Gate {
        approved: Some("000000000000"),
        ..GATE
    };
    assert_eq!(world.plan(other).report.held, Some(refusal));
}

#[test]
fn an_empty_source_and_guarded_kinds_are_held_whatever_the_count() {
    let mut world = World::default();
    world.depart("ConfigMap", 1);
    assert_eq!(
        world.plan(GATE).report.held.expect("held").reason(),
        "EmptySource"
    );
    world.declare(
        "v1",
        "Service",
        "web",
        0,
        Change::Unchanged,
        Status::Healthy,
    );
    assert_eq!(world.plan(GATE).report.held, None);
    let claim = world.own("PersistentVolumeClaim", "data");
    world.diff.insert(claim, Change::Prune);
    assert_eq!(
        world.plan(GATE).report.held.expect("held").reason(),
        "PruneOfClass"
    );
}

#[test]
fn nothing_is_pruned_while_anything_is_unread() {
    let mut world = World::default();
    world.declare(
        "v1",
        "Service",
        "web",
        0,
        Change::Unknown("timeout".into()),
        Status::Healthy,
    );
    world.depart("ConfigMap", 1);
    assert_eq!(
        world.plan(GATE).to_string(),
        "waits: Service/shop/web: timeout\n"
    );
}

#[test]
fn an_old_generation_goes_when_everything_is_healthy_and_is_no_difference_before() {
    for (status, expected, out_of_sync) in [
        (Status::Progressing, "", 0),
        (Status::Healthy, "prune ConfigMap/shop/settings-1\n", 1),
    ] {
        let mut world = World::default();
        world.declare("apps/v1", "Deployment", "web", 0, Change::Unchanged, status);
        world.declare(
            "v1",
            "ConfigMap",
            "settings-2",
            0,
            Change::Unchanged,
            Status::Healthy,
        );
        for object in world.desired.objects.values_mut() {
            std::sync::Arc::make_mut(object).generated = Some("settings".into());
        }
        let old = world.own("ConfigMap", "settings-1");
        world
            .inventory
            .update(&old, |entry| entry.generated = Some("settings".into()));
        world.diff.insert(old, Change::Prune);
        let plan = world.plan(GATE);
        assert_eq!(
            (plan.to_string().as_str(), plan.report.out_of_sync),
            (expected, out_of_sync)
        );
    }
}
