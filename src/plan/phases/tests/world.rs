//! The world of one Application, in which tests carry plans out as the agent does it.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use crate::api::{ObjectOptions, Policy};
use crate::cluster::Resource;
use crate::desired::{Barrier, DeletePolicy, Desired, DesiredObject, Hook, Placement, Recreation};
use crate::diff::{Change, Diff};
use crate::health::{Health, Status};
use crate::inventory::{Claim, Inventory, Phase, State};
use crate::live::{Ignore, Live, Observed, Sighting};
use crate::object::{Gvk, Manifest, ObjectId, Scope};
use crate::plan::hooks::Last;
use crate::plan::{Action, Gate, Immutable, Plan, hooks, plan};

static NOTHING: Immutable = Immutable::none();

/// An Application's world, in which plans are carried out as the agent does it.
pub(super) struct World {
    pub(super) desired: Desired,
    pub(super) live: Live,
    pub(super) last: Last,
    pub(super) inventory: Inventory,
    pub(super) diff: Diff,
    pub(super) policy: Policy,
    pub(super) now: i64,
    pub(super) uids: u32,
    pub(super) commit: &'static str,
    pub(super) token: &'static str,
}

pub(super) fn object(kind: &str, name: &str, wave: i32) -> DesiredObject {
    let api = match kind {
        "Job" => "batch/v1",
        "Deployment" => "apps/v1",
        _ => "v1",
    };
    let gvk = Gvk::from_api_version(api, kind);
    let resource = Resource::known(api, kind, "things", Scope::Namespaced);
    DesiredObject {
        id: ObjectId::new(gvk.group.as_str(), kind, "shop", name),
        barrier: Barrier::of(&gvk),
        gvk,
        placement: Placement::Served(resource),
        manifest: Manifest::default(),
        hash: 1,
        wave,
        ignore: Ignore::default(),
        options: ObjectOptions::default(),
        replaces: false,
        recreation: Recreation::Never,
        ignored: false,
        place: format!("{name}.yaml:1"),
        generated: None,
        claims: None,
        rendered: None,
    }
}

pub(super) fn seen(uid: String, status: Status) -> Observed {
    Observed {
        uid,
        version: 1,
        fingerprint: None,
        health: Health::new(status, "", status.as_str().to_lowercase()),
        unsettled: None,
        terminating: false,
        finished: status != Status::Progressing,
        succeeded: status == Status::Healthy,
        expires: None,
        claim: Claim::Ours,
        created: 100,
        applied_by_us: true,
        replaced: false,
        replicas: None,
        set_aside: false,
        revision: String::new(),
        hook_run: String::new(),
        yielded_to: None,
        holds: Some(1),
    }
}

impl World {
    pub(super) fn new() -> Self {
        let spec = serde_json::from_value(json!({
            "source": {"repoURL": "https://git.example.com/a.git"}, "destination": {},
            "syncPolicy": {"automated": {"prune": true, "selfHeal": true},
                "retry": {"limit": 1, "backoff": {"duration": "10s"}}}}));
        let mut world = Self {
            desired: Desired::default(),
            live: Live::new(),
            last: Last::new(),
            inventory: Inventory::default(),
            diff: Diff::new(),
            policy: Policy::from_spec(&spec.expect("valid")).expect("valid"),
            now: 100,
            uids: 0,
            commit: "",
            token: "",
        };
        world.revision("aaaaaaaa");
        world
    }

    /// The next revision, without objects or hooks yet.
    pub(super) fn revision(&mut self, commit: &'static str) {
        self.desired = Desired {
            digest: commit.repeat(8),
            ..Desired::default()
        };
        self.diff.clear();
        self.commit = commit;
    }

    pub(super) fn object(
        &mut self,
        kind: &str,
        name: &str,
        wave: i32,
        change: Change,
        status: Status,
    ) {
        let object = object(kind, name, wave);
        let id = object.id.clone();
        if change != Change::Create {
            self.see(&id, status);
        }
        self.desired.objects.insert(id.clone(), Arc::new(object));
        self.diff.insert(id, change);
    }

    pub(super) fn hook(
        &mut self,
        name: &str,
        phases: &[Phase],
        wave: i32,
        delete: &[DeletePolicy],
    ) {
        let object = object("Job", name, wave);
        self.live
            .entry(object.id.clone())
            .or_insert(Sighting::Absent);
        let hook = Hook {
            phases: phases.iter().copied().collect(),
            delete: delete.iter().copied().collect::<BTreeSet<_>>(),
            prefix: None,
            bound: 3600,
            object: Arc::new(object),
        };
        self.desired.hooks.insert(hook.object.id.clone(), hook);
    }

    pub(super) fn see(&mut self, id: &ObjectId, status: Status) {
        self.uids += 1;
        let seen = seen(format!("uid-{}", self.uids), status);
        self.live
            .insert(id.clone(), Sighting::Present(Box::new(seen)));
    }

    pub(super) fn gate(&self) -> Gate<'static> {
        Gate {
            update: true,
            heal: true,
            asked: false,
            prune: true,
            approved: None,
            now: self.now,
            failed: false,
            degraded: false,
            immutable: &NOTHING,
        }
    }

    pub(super) fn plan(&self) -> Plan {
        self.plan_by(self.gate())
    }

    pub(super) fn plan_by(&self, gate: Gate<'_>) -> Plan {
        let World {
            diff,
            desired,
            live,
            inventory,
            policy,
            ..
        } = self;
        plan(diff, desired, live, inventory, policy, gate)
    }

    pub(super) fn job(&self, name: &str) -> ObjectId {
        ObjectId::new("batch", "Job", "shop", name)
    }

    /// Carries a plan out: created hooks run, deleted objects are gone, applied ones are healthy.
    pub(super) fn act(&mut self) -> String {
        let plan = self.plan();
        for step in &plan.steps {
            match step.action {
                Action::RunHook(phase) => {
                    self.write_ahead(&step.id, phase);
                    self.see(&step.id, Status::Progressing);
                    let uid = self.live[&step.id].present().expect("seen").uid.clone();
                    self.inventory
                        .update(&step.id, |entry| entry.state = State::Owned { uid });
                }
                Action::DeleteHook => {
                    self.live.insert(step.id.clone(), Sighting::Absent);
                }
                _ => {
                    self.diff.insert(step.id.clone(), Change::Unchanged);
                    self.see(&step.id, Status::Healthy);
                }
            }
        }
        plan.to_string()
    }

    pub(super) fn write_ahead(&mut self, id: &ObjectId, phase: Phase) {
        let hook = self.desired.hooks[id].clone();
        let start = hooks::Start {
            digest: &self.desired.digest,
            commit: self.commit,
            token: self.token,
            now: self.now,
            since: self.now - 60,
        };
        let entry = hooks::begun(&hook, self.inventory.get(id), phase, start);
        self.inventory.write_down(id, entry);
        assert!(self.inventory.must_store(), "before the hook is created");
    }

    /// A hook comes to its end, and the agent sees that.
    pub(super) fn end(&mut self, name: &str, status: Status) {
        let id = self.job(name);
        let Some(Sighting::Present(live)) = self.live.get_mut(&id) else {
            panic!("{name} does not run");
        };
        live.health = Health::new(status, "", "exit code");
        live.finished = true;
        live.succeeded = status == Status::Healthy;
        self.look();
    }

    pub(super) fn look(&mut self) {
        for (id, entry) in hooks::seen(
            &self.desired,
            &self.inventory,
            &self.live,
            &self.last,
            self.now,
        ) {
            self.inventory.write_down(&id, entry);
        }
    }

    pub(super) fn ask(&mut self, token: &'static str) {
        self.token = token;
        for (id, entry) in hooks::asked(&self.desired, &self.inventory, token) {
            self.inventory.write_down(&id, entry);
        }
    }
}
