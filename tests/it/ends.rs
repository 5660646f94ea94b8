//! What ends by itself, and may be gone a moment later, while something is in the way of seeing that.

use std::sync::Arc;

use towline::object::keys;
use towline_testcluster::AuditMark;

use crate::world::boundaries::{Fate, Fault};
use crate::world::manifests::config_map;
use crate::world::{World, wait_for};

/// A Job of the first wave that goes the moment it has finished.
fn job(name: &str, key: &str, value: &str) -> String {
    format!(
        "\
apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
  annotations:
    {key}: \"{value}\"
spec:
  ttlSecondsAfterFinished: 0
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: main
          image: busybox:1
"
    )
}

fn first_wave(name: &str) -> String {
    job(name, keys::SYNC_WAVE, "-1")
}

fn hook(name: &str) -> String {
    job(name, keys::HOOK, "PreSync")
}

/// How often a Job was created since `mark`.
fn created(world: &World<'_>, mark: AuditMark, job: &str) -> usize {
    let is_creation = |event: &&towline_testcluster::AuditEvent| {
        event.resource == "jobs" && event.name == job && event.code == 201
    };
    world.requests(mark).iter().filter(is_creation).count()
}

#[test]
fn nothing_that_ends_by_itself_is_created_before_its_end_would_be_seen() {
    for (name, manifest) in [
        ("ends-watch-job", first_wave("migrate")),
        ("ends-watch-hook", hook("migrate")),
    ] {
        let mut world = World::idle(name);
        let mark = world.plane.audit_mark();
        let fate = Arc::new(Fate::default());
        // It opens late, at the very moment at which nothing else is left to wait for.
        let stored = "create Secret/towline-inventory";
        fate.fault("watch Job", Fault::WaitsFor(stored));
        world.start_fated(&fate);
        let files = [
            ("shop/migrate.yaml", &*manifest),
            ("shop/a.yaml", &*config_map("a", "1")),
        ];
        world.deploy("shop", "shop", &files);
        let journal = fate.journal();
        let at = |what: &str| journal.iter().position(|done| done == what);
        let (listed, sent) = (at("listed Job"), at("apply Job"));
        assert!(listed.is_some() && listed < sent, "{name}: {journal:?}");
        assert_eq!(created(&world, mark, "migrate"), 1, "{name}");
    }
}

#[test]
fn what_may_not_be_watched_is_created_all_the_same() {
    let mut world = World::idle("ends-forbidden");
    let mark = world.plane.audit_mark();
    let team = "ends-forbidden-team";
    world.make_namespace(team);
    let mut options = world.options();
    options.application_namespaces.push(team.into());
    world.start_with(options);
    world.create(
        &serde_json::json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "deployer", "namespace": team}}),
    );
    let rules = serde_json::json!([
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "create", "patch"]},
    ]);
    world.allow("deployer", team, "deployer", &rules);
    world.commit(&[("shop/migrate.yaml", &first_wave("migrate"))]);
    let mut app = world.application("shop", "shop");
    app["metadata"]["namespace"] = team.into();
    app["spec"]["serviceAccountName"] = "deployer".into();
    world.create(&app);
    wait_for("the Job", || created(&world, mark, "migrate") == 1);
}
