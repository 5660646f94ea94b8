//! Many Applications in one repository: a commit costs what it touches.

use towline_testcluster::AuditEvent;

use crate::world::manifests::config_map;
use crate::world::{World, borrowed, condition, wait_for};

const APPLICATIONS: usize = 20;

#[test]
fn a_commit_is_fetched_once_and_rendered_by_those_that_it_touches() {
    let world = World::new("monorepo");
    let name = |n: usize| format!("app{n:02}");
    let mut files = vec![("base/base.yaml".to_owned(), config_map("base", "1"))];
    files.push((
        "base/kustomization.yaml".into(),
        "resources: [base.yaml]\n".into(),
    ));
    for n in 0..APPLICATIONS {
        let own = config_map("own", "1");
        let (dir, suffix) = (name(n), name(n));
        // The last two share a base.
        let base = if n >= APPLICATIONS - 2 {
            ", ../base"
        } else {
            ""
        };
        let kustomization = format!("resources: [own.yaml{base}]\nnameSuffix: -{suffix}\n");
        files.push((format!("{dir}/own.yaml"), own));
        files.push((format!("{dir}/kustomization.yaml"), kustomization));
    }
    let files = borrowed(&files);
    let first = world.commit(&files);
    for n in 0..APPLICATIONS {
        let mut app = world.application(&name(n), &name(n));
        // Only what the test asks for is polled.
        app["spec"]["source"]["interval"] = "1h".into();
        world.create(&app);
    }
    let all_at = |commit: &str| {
        for n in 0..APPLICATIONS {
            wait_for(&format!("{} at {commit}", name(n)), || {
                let app = world.app(&name(n));
                condition(&app, "Ready")["status"] == "True"
                    && app["status"]["sync"]["revision"] == commit
            });
        }
    };
    all_at(&first);
    let renders = || world.agent().metric("towline_renders_total");
    let skipped = || world.agent().metric("towline_renders_skipped_total");
    let fetched = || world.git.counters().upload_packs;
    assert!(
        (renders() - APPLICATIONS as f64).abs() < 0.5,
        "{}",
        renders()
    );
    let history = world.app(&name(4))["status"]["history"].clone();
    world.refresh(&name(0));

    // (what is committed, how many Applications it concerns)
    let own = config_map("own", "2");
    let base = config_map("base", "2");
    let cases: [(&[(&str, &str)], usize); 4] = [
        (&[("app03/own.yaml", &own)], 1),
        (&[("README.md", "Nobody reads this")], 0),
        (&[("app05/notes.txt", "beside, and not listed")], 0),
        (&[("base/base.yaml", &base)], 2),
    ];
    for (files, concerned) in cases {
        let before = (renders(), skipped(), fetched(), world.agent().polls());
        let mark = world.plane.audit_mark();
        let commit = world.commit(files);
        world.poke(&name(0));
        all_at(&commit);
        let polls = world.agent().polls() - before.3;
        let figures = [renders() - before.0, skipped() - before.1, polls];
        let others = (APPLICATIONS - concerned) as f64;
        assert_eq!(figures, [concerned as f64, others, 1.0], "{files:?}");
        // One question and one fetch.
        assert_eq!(fetched() - before.2, 2, "{files:?}");
        let writes = world.object_writes(mark);
        assert_eq!(writes.len(), concerned, "{writes:?}");
    }
    assert_eq!(world.value("own-app03"), "2");
    assert_eq!(
        (world.value("base-app18"), world.value("base-app19")),
        ("2".into(), "2".into())
    );
    let app = world.app(&name(4));
    assert_eq!(
        app["status"]["history"], history,
        "nothing of it was applied anew"
    );
}

#[test]
fn a_commit_that_leaves_a_mistake_as_it_is_does_not_hide_it() {
    let world = World::new("monorepo-broken");
    let kustomization = "resources: [a.yaml]\n";
    let files = [
        ("shop/a.yaml", &*config_map("a", "1")),
        ("shop/kustomization.yaml", kustomization),
    ];
    world.deploy("shop", "shop", &files);
    let broken = world.commit(&[("shop/a.yaml", "kind: [\n")]);
    world.refresh("shop");
    world.failed("shop", "YamlInvalid");
    let renders = world.agent().metric("towline_renders_total");
    let unrelated = world.commit(&[("README.md", "Something else")]);
    let app = world.refresh("shop");
    assert_eq!(app["status"]["sync"]["targetRevision"], unrelated);
    world.failed("shop", "YamlInvalid");
    let after = world.agent().metric("towline_renders_total");
    assert!((after - renders).abs() < 0.5, "{renders} {after}");
    // A file that was missing counts as much as one that was read.
    let second = world.commit(&[("shop/kustomization.yml", kustomization)]);
    let app = world.refresh("shop");
    assert_eq!(app["status"]["sync"]["targetRevision"], second);
    let message = condition(&app, "Ready")["message"].to_string();
    assert!(
        message.contains("kustomization"),
        "two of them are a mistake: {message}"
    );
    world.remove(&["shop/kustomization.yml"]);
    let mended = world.repo.revert(&broken).unwrap();
    world.synced("shop", &mended);
    assert_eq!(world.value("a"), "1");
}

#[test]
fn what_others_wait_for_is_told_at_once_however_many_a_commit_moves() {
    let world = World::new("monorepo-told");
    // More than are told at once where nobody waits for it.
    let names: Vec<String> = (0..40).map(|n| format!("app{n:02}")).collect();
    let files: Vec<(String, String)> = names
        .iter()
        .map(|name| (format!("{name}/own.yaml"), config_map(name, "1")))
        .collect();
    let files = borrowed(&files);
    world.commit(&files);
    for name in &names {
        let mut app = world.application(name, name);
        app["spec"]["source"]["interval"] = "1h".into();
        if name == "app39" {
            app["spec"]["dependsOn"] = serde_json::json!([{"name": "app00"}]);
        }
        world.create(&app);
    }
    let ready = |name: &str| condition(&world.app(name), "Ready")["status"] == "True";
    names.iter().for_each(|name| wait_for(name, || ready(name)));
    // A spec that changes nothing in the cluster is looked at nevertheless: a parent, and whoever
    // runs `kubectl wait`, go by the generation.
    let mark = world.plane.audit_mark();
    for name in &names {
        world.change(name, &serde_json::json!({"retry": {"limit": 7}}));
    }
    let is_seen = |name: &str| {
        let app = world.app(name);
        app["status"]["observedGeneration"] == app["metadata"]["generation"]
    };
    names
        .iter()
        .for_each(|name| wait_for(name, || is_seen(name)));
    let requests = world.requests(mark);
    let is_told = |event: &&AuditEvent| event.name == "app20" && event.is_write();
    let statuses = requests.iter().filter(is_told).count();
    assert!(statuses <= 4, "{statuses} writes for one change");
    // What an Application depends on has looked at a commit that is not its own before others are
    // told that it was there.
    let commit = world.commit(&[("app39/own.yaml", &config_map("app39", "2"))]);
    world.poke("app39");
    wait_for("the dependent one", || world.value("app39") == "2");
    world.synced("app39", &commit);
    // In the end all have.
    names.iter().for_each(|name| {
        wait_for(name, || {
            world.app(name)["status"]["sync"]["revision"] == commit
        });
    });
}
