//! Hard case 32: fields that the API server does not change.

use serde_json::{Value, json};
use towline::object::keys;

use crate::world::manifests::{config_map, deployment, widget};
use crate::world::{World, borrowed, condition, wait, wait_for};

/// A manifest with one annotation more in its own metadata.
fn annotate(manifest: &str, key: &str, value: &str) -> String {
    let annotations = format!("metadata:\n  annotations:\n    {key}: \"{value}\"\n");
    manifest.replacen("metadata:\n", &annotations, 1)
}

/// A Job that runs this image; its pod succeeds at once.
fn job(name: &str, image: &str) -> String {
    format!(
        "\
apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: migrate
          image: {image}
"
    )
}

/// A Deployment with another selector.
fn selecting(app: &str) -> String {
    deployment("web", Some(1), "nginx:1").replace("app: web", &format!("app: {app}"))
}

fn uid(world: &World<'_>, kind: &str, name: &str) -> String {
    let live = world.live(kind, name).unwrap_or_default();
    live["metadata"]["uid"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// Waits until a Job has run to its end.
fn finish(world: &World<'_>, name: &str) {
    wait_for("the Job to be finished", || {
        let live = world.live("Job", name).unwrap_or_default();
        let done = |c: &Value| c["type"] == "Complete" && c["status"] == "True";
        live["status"]["conditions"]
            .as_array()
            .is_some_and(|all| all.iter().any(done))
    });
}

fn hash(message: &str) -> String {
    let (_, rest) = message
        .split_once(&format!("{}=", keys::APPROVE_PRUNE))
        .expect(message);
    rest.chars().take_while(char::is_ascii_hexdigit).collect()
}

#[test]
fn a_changed_selector_is_refused_with_the_field_and_the_way_to_opt_in() {
    let world = World::new("immutable-fail");
    world.deploy("shop", "shop", &[("shop/web.yaml", &selecting("web"))]);
    let before = uid(&world, "Deployment", "web");
    world.commit(&[("shop/web.yaml", &selecting("other"))]);
    world.poke("shop");
    let said = world.failed("shop", "ImmutableField");
    for part in [
        "shop/web.yaml",
        "Deployment/immutable-fail-work/web",
        "spec.selector: field is immutable",
        keys::FORCE,
        "spec.immutableFields",
    ] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    assert_eq!(uid(&world, "Deployment", "web"), before);
}

#[test]
fn with_force_an_object_is_created_anew_after_a_dry_run() {
    let world = World::new("immutable-force");
    let forced = |app: &str| annotate(&selecting(app), keys::FORCE, "enabled");
    world.deploy("shop", "shop", &[("shop/web.yaml", &forced("web"))]);
    let before = uid(&world, "Deployment", "web");
    // A new object that would be refused is found out before the old one is deleted.
    let mark = world.plane.audit_mark();
    let wrong = forced("other").replace("image: nginx:1", "tty: true");
    world.commit(&[("shop/web.yaml", &wrong)]);
    world.poke("shop");
    wait("the refusal", || {
        let app = world.app("shop");
        let ready = condition(&app, "Ready");
        if ready["status"] == "False" && ready["message"].to_string().contains("image") {
            Ok(())
        } else {
            Err(ready.to_string())
        }
    });
    assert_eq!(world.deletes(mark), [""; 0]);
    assert_eq!(uid(&world, "Deployment", "web"), before);

    let commit = world.commit(&[("shop/web.yaml", &forced("other"))]);
    let app = world.synced("shop", &commit);
    assert_ne!(uid(&world, "Deployment", "web"), before);
    assert_eq!(world.deletes(mark), ["delete deployments/web"]);
    let live = world.live("Deployment", "web").unwrap();
    assert_eq!(live["spec"]["selector"]["matchLabels"]["app"], "other");
    assert_eq!(app["status"]["sync"]["objects"], 1);
    assert!(world.live("Deployment", "web-towline-trial").is_none());
    // The record is of the new object: it goes when it leaves Git.
    world.remove(&["shop/web.yaml"]);
    let commit = world.commit(&[("shop/a.yaml", &config_map("a", "1"))]);
    world.synced("shop", &commit);
    assert!(world.live("Deployment", "web").is_none());
    world.assert_quiet();
}

#[test]
fn a_migration_job_of_each_revision_is_created_anew_once_the_last_one_has_finished() {
    let world = World::new("immutable-jobs");
    let mut app = world.application("shop", "shop");
    app["spec"]["immutableFields"] = "RecreateJobs".into();
    let first = annotate(&job("migrate", "migrate:1"), keys::SYNC_WAVE, "-1");
    let commit = world.commit(&[
        ("shop/job.yaml", &first),
        ("shop/a.yaml", &config_map("a", "1")),
    ]);
    world.create(&app);
    world.synced("shop", &commit);
    finish(&world, "migrate");
    let before = uid(&world, "Job", "migrate");
    let second = annotate(&job("migrate", "migrate:2"), keys::SYNC_WAVE, "-1");
    let commit = world.commit(&[
        ("shop/job.yaml", &second),
        ("shop/a.yaml", &config_map("a", "2")),
    ]);
    world.synced("shop", &commit);
    let live = world.live("Job", "migrate").unwrap();
    assert_ne!(live["metadata"]["uid"], before.as_str());
    assert_eq!(
        live["spec"]["template"]["spec"]["containers"][0]["image"],
        "migrate:2"
    );
    assert_eq!(world.value("a"), "2");
    world.assert_quiet();
}

#[test]
fn a_running_job_is_not_killed_unless_its_manifest_says_so() {
    let world = World::new("immutable-running");
    let endless = |image: &str| {
        job("migrate", image).replace(
            "  template:\n    spec:\n",
            "  template:\n    metadata:\n      annotations:\n        testcluster.towline.dev/ready-after: 1h\n    spec:\n",
        )
    };
    let mut app = world.application("shop", "shop");
    app["spec"]["immutableFields"] = "Recreate".into();
    world.commit(&[(
        "shop/job.yaml",
        &endless("migrate:1").replace("  template:\n", "  suspend: true\n  template:\n"),
    )]);
    world.create(&app);
    wait_for("the Job", || world.live("Job", "migrate").is_some());
    world.wait_condition("shop", "Synced", "True", "Synced");
    let before = uid(&world, "Job", "migrate");
    let running =
        |image: &str| endless(image).replace("  template:\n", "  completions: 2\n  template:\n");
    world.commit(&[("shop/job.yaml", &running("migrate:2"))]);
    world.poke("shop");
    let app = world.wait_condition("shop", "Synced", "False", "WaitingForObjects");
    let said = condition(&app, "Synced")["message"].to_string();
    assert!(
        said.contains("Job/immutable-running-work/migrate"),
        "{said}"
    );
    assert!(said.contains("until it has finished"), "{said}");
    assert_eq!(uid(&world, "Job", "migrate"), before);
    let forced = annotate(&running("migrate:2"), keys::FORCE, "enabled");
    world.commit(&[("shop/job.yaml", &forced)]);
    world.poke("shop");
    wait_for("another Job", || {
        let now = uid(&world, "Job", "migrate");
        !now.is_empty() && now != before
    });
}

#[test]
fn a_claim_is_created_anew_only_when_that_was_approved() {
    let world = World::new("immutable-claim");
    let claim = |mode: &str| {
        format!(
            "\
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: data
  annotations:
    {}: enabled
spec:
  accessModes: [{mode}]
  storageClassName: none
  resources: {{requests: {{storage: 1Gi}}}}
",
            keys::FORCE
        )
    };
    let commit = world.commit(&[("shop/claim.yaml", &claim("ReadWriteOnce"))]);
    world.create(&world.application("shop", "shop"));
    wait("the claim", || {
        let app = world.app("shop");
        let done = app["status"]["sync"]["revision"] == commit.as_str();
        if done {
            Ok(())
        } else {
            Err(app["status"].to_string())
        }
    });
    let live = || -> Value {
        let args = ["get", "pvc", "data", "--ignore-not-found", "-o", "json"];
        serde_json::from_str(&world.kubectl(&args)).unwrap_or_default()
    };
    let before = live()["metadata"]["uid"].clone();
    let mark = world.plane.audit_mark();
    world.commit(&[("shop/claim.yaml", &claim("ReadWriteMany"))]);
    world.poke("shop");
    let said = world.failed("shop", "RecreationUnapproved");
    let id = "PersistentVolumeClaim/immutable-claim-work/data";
    assert!(said.contains(id), "{said}");
    assert_eq!(world.deletes(mark), [""; 0]);
    world.annotate("shop", keys::APPROVE_PRUNE, Some(&hash(&said)));
    wait_for("another claim", || {
        let now = live();
        now["metadata"]["uid"].is_string() && now["metadata"]["uid"] != before
    });
    assert_eq!(live()["spec"]["accessModes"], json!(["ReadWriteMany"]));
}

/// A StatefulSet without claims whose `serviceName` cannot be changed in place.
fn stateful(name: &str, service: &str, wave: &str) -> String {
    let manifest = deployment(name, Some(1), "nginx:1")
        .replace("kind: Deployment", "kind: StatefulSet")
        .replace(
            "  selector:\n",
            &format!("  serviceName: {service}\n  selector:\n"),
        );
    let manifest = annotate(&manifest, keys::FORCE, "enabled");
    let wave = format!("annotations:\n    {}: \"{wave}\"\n", keys::SYNC_WAVE);
    manifest.replacen("annotations:\n", &wave, 1)
}

#[test]
fn one_approval_covers_the_recreations_of_every_wave_and_no_other() {
    let mut world = World::new("immutable-waves");
    let sets = |one: &str, two: &str| {
        [
            ("shop/one.yaml".to_owned(), stateful("one", one, "0")),
            ("shop/two.yaml".to_owned(), stateful("two", two, "2")),
        ]
    };
    let commit = |world: &World<'_>, one: &str, two: &str, middle: &str| {
        let sets = sets(one, two);
        let middle = annotate(&config_map("middle", middle), keys::SYNC_WAVE, "1");
        world.commit(&[
            (&sets[0].0, &sets[0].1),
            (&sets[1].0, &sets[1].1),
            ("shop/middle.yaml", &middle),
        ])
    };
    let uids = |world: &World<'_>| ["one", "two"].map(|name| uid(world, "StatefulSet", name));
    let first = commit(&world, "a", "a", "1");
    world.create(&world.application("shop", "shop"));
    world.synced("shop", &first);
    let before = uids(&world);

    let mark = world.plane.audit_mark();
    let second = commit(&world, "b", "b", "2");
    world.poke("shop");
    let said = world.failed("shop", "RecreationUnapproved");
    for id in ["one", "two"] {
        let id = format!("StatefulSet/immutable-waves-work/{id}");
        assert!(said.contains(&id), "{said}");
    }
    assert_eq!(world.deletes(mark), [""; 0]);
    assert_eq!(world.value("middle"), "1", "its wave waits");
    world.annotate("shop", keys::APPROVE_PRUNE, Some(&hash(&said)));
    world.synced("shop", &second);
    let deleted = ["delete statefulsets/one", "delete statefulsets/two"];
    assert_eq!(world.deletes(mark), deleted);
    let after = uids(&world);
    assert!(after[0] != before[0] && after[1] != before[1], "{after:?}");

    // An approval of less is none of more.
    let mark = world.plane.audit_mark();
    commit(&world, "c", "b", "2");
    world.refresh("shop");
    let said = world.failed("shop", "RecreationUnapproved");
    assert!(!said.contains("/two"), "{said}");
    let third = commit(&world, "c", "c", "3");
    world.refresh("shop");
    world.annotate("shop", keys::APPROVE_PRUNE, Some(&hash(&said)));
    world.refresh("shop");
    let said = world.failed("shop", "RecreationUnapproved");
    assert!(said.contains("/one") && said.contains("/two"), "{said}");
    assert_eq!(world.deletes(mark), [""; 0]);

    // What was approved is known to an agent that comes after the first wave.
    let hold = |world: &World<'_>, finalizers: Value| {
        let patch = json!({"metadata": {"finalizers": finalizers}});
        world.patch("StatefulSet", &world.work, "one", &patch);
    };
    hold(&world, json!(["example.com/held"]));
    world.annotate("shop", keys::APPROVE_PRUNE, Some(&hash(&said)));
    wait_for("the deletion to begin", || {
        let live = world.live("StatefulSet", "one").unwrap();
        live["metadata"]["deletionTimestamp"].is_string()
    });
    world.kill_agent();
    world.annotate("shop", keys::APPROVE_PRUNE, None);
    hold(&world, Value::Null);
    world.start();
    world.synced("shop", &third);
    assert_eq!(world.deletes(mark), deleted);
    assert_eq!(world.value("middle"), "3");
    world.assert_quiet();
}

#[test]
fn an_approval_deletes_nothing_that_is_left_to_others_and_changed_in_place() {
    let world = World::new("immutable-ignored");
    let mut app = world.application("shop", "shop");
    app["spec"]["ignoreDifferences"] = json!([{"group": "apps", "kind": "StatefulSet",
        "name": "two", "jsonPointers": ["/spec/serviceName"]}]);
    let commit = |service: &str, image: &str| {
        let two = stateful("two", service, "1").replace("nginx:1", image);
        let one = stateful("one", service, "0");
        world.commit(&[("shop/one.yaml", &*one), ("shop/two.yaml", &*two)])
    };
    let first = commit("a", "nginx:1");
    world.create(&app);
    world.synced("shop", &first);
    let mark = world.plane.audit_mark();
    let second = commit("b", "nginx:2");
    world.poke("shop");
    let said = world.failed("shop", "RecreationUnapproved");
    assert!(!said.contains("/two"), "{said}");
    world.annotate("shop", keys::APPROVE_PRUNE, Some(&hash(&said)));
    world.synced("shop", &second);
    assert_eq!(world.deletes(mark), ["delete statefulsets/one"]);
}

#[test]
fn an_agent_that_dies_between_the_deletion_and_the_creation_is_followed_by_one_that_creates() {
    let mut world = World::new("immutable-crash");
    let group = "immutable-crash.example.com";
    let crd = crate::world::manifests::widget_crd(group).replace(
        "                size: {type: integer}\n",
        "                size:\n                  type: integer\n                  x-kubernetes-validations:\n                    - {rule: self == oldSelf, message: field is immutable}\n",
    );
    world.plane.apply(&crd).unwrap();
    let verbs = json!([
        "get", "list", "watch", "create", "patch", "update", "delete"
    ]);
    let rules = json!([{"apiGroups": [group], "resources": ["widgets"], "verbs": verbs}]);
    world.allow("widgets", &world.ns, "towline", &rules);
    let sized = |size: u8| {
        annotate(&widget(group, "one"), keys::FORCE, "enabled")
            .replace("size: 1", &format!("size: {size}"))
    };
    world.deploy("shop", "shop", &[("shop/widget.yaml", &sized(1))]);
    // A finalizer holds the deletion, so that the agent can be killed in the middle of it.
    let name = format!("widgets.{group}/one");
    let hold = |world: &World<'_>, finalizers: &str| {
        let patch = format!("{{\"metadata\":{{\"finalizers\":{finalizers}}}}}");
        // Not as kubectl, whose additions are undone as soon as they are seen.
        let args = [
            "patch",
            &name,
            "--field-manager=holder",
            "--type=merge",
            "-p",
        ];
        world.kubectl(&[&args[..], &[&patch]].concat());
    };
    hold(&world, "[\"example.com/held\"]");
    let commit = world.commit(&[("shop/widget.yaml", &sized(2))]);
    world.poke("shop");
    wait_for("the deletion to begin", || {
        let args = ["get", &name, "-o", "jsonpath={.metadata.deletionTimestamp}"];
        !world.kubectl(&args).is_empty()
    });
    world.kill_agent();
    hold(&world, "[]");
    wait_for("the old one to be gone", || {
        world
            .kubectl(&["get", &name, "--ignore-not-found", "-o", "name"])
            .is_empty()
    });
    world.start();
    world.synced("shop", &commit);
    let size = world.kubectl(&["get", &name, "-o", "jsonpath={.spec.size}"]);
    assert_eq!(size, "2");
    world.repo.remove("shop/widget.yaml").unwrap();
    let commit = world.commit(&[("shop/a.yaml", &config_map("a", "1"))]);
    world.synced("shop", &commit);
    assert!(
        world
            .kubectl(&["get", &name, "--ignore-not-found", "-o", "name"])
            .is_empty()
    );
}

#[test]
fn an_approval_of_what_is_replaced_whole_covers_later_waves_too() {
    let world = World::new("immutable-replaced");
    let commit = |service: &str| {
        let files = [("one", "0"), ("two", "1")].map(|(name, wave)| {
            let manifest = annotate_more(&stateful(name, service, wave), keys::REPLACE);
            (format!("shop/{name}.yaml"), manifest)
        });
        let files: Vec<_> = borrowed(&files);
        world.commit(&files)
    };
    let first = commit("a");
    world.create(&world.application("shop", "shop"));
    world.synced("shop", &first);
    let mark = world.plane.audit_mark();
    let second = commit("b");
    world.poke("shop");
    let said = world.failed("shop", "RecreationUnapproved");
    for id in ["one", "two"] {
        let id = format!("StatefulSet/immutable-replaced-work/{id}");
        assert!(said.contains(&id), "{said}");
    }
    assert_eq!(world.deletes(mark), [""; 0]);
    world.annotate("shop", keys::APPROVE_PRUNE, Some(&hash(&said)));
    world.synced("shop", &second);
    let deleted = ["delete statefulsets/one", "delete statefulsets/two"];
    assert_eq!(world.deletes(mark), deleted);
    world.assert_quiet();
}

/// A manifest that has annotations, with one more that is enabled.
fn annotate_more(manifest: &str, key: &str) -> String {
    let one = format!("annotations:\n    {key}: enabled\n");
    manifest.replacen("annotations:\n", &one, 1)
}
