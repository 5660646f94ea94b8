//! What is in the way of going back: a restart, Git that is down, data, the API server, an outage.

use serde_json::json;
use towline::object::keys;
use towline_testcluster::Fault;

use super::{crashing, guarded, image, known, quick, rolled_back, trusted};
use crate::world::manifests::{config_map, deployment};
use crate::world::{World, borrowed, wait, wait_for};

/// A world whose good revision has `web` and more.
fn settled(name: &str, more: &[(&str, &str)]) -> (World<'static>, String) {
    let world = World::new(name);
    let web = deployment("web", Some(1), "nginx:1");
    let files: Vec<(&str, &str)> = [("shop/web.yaml", web.as_str())]
        .into_iter()
        .chain(more.iter().copied())
        .collect();
    let good = world.commit(&files);
    guarded(&world, &quick());
    trusted(&world, &good);
    (world, good)
}

#[test]
fn an_agent_that_starts_in_the_middle_goes_back_without_git() {
    let (mut world, good) = settled("rollback-restart", &[]);
    known(&world);
    let grace = |world: &World<'_>, text: &str| {
        world.change("shop", &json!({"rollback": {"grace": text}}));
    };
    // It goes back when the test says so.
    grace(&world, "1h");
    world.refresh("shop");
    world.commit(&[
        ("shop/web.yaml", &crashing("nginx:2", "boom")),
        ("shop/added.yaml", &config_map("added", "1")),
    ]);
    world.poke("shop");
    wait_for("the bad revision", || {
        image(&world) == "nginx:2" && world.live("ConfigMap", "added").is_some()
    });
    wait_for("its trial to be told", || {
        world.app("shop")["status"]["rollback"]["trial"].is_object()
    });
    world.kill_agent();
    let mut options = world.options();
    options.cache_dir = options.cache_dir.join("anew");
    world.start_with(options);
    wait_for("the successor", || {
        world.agent().leads() && world.agent().polls() > 0.0
    });
    world.git.set_fault(Fault::Disconnect);
    grace(&world, "1s");
    wait(&format!("the way back to {good}"), || {
        let status = world.app("shop")["status"].clone();
        let is_back = image(&world) == "nginx:1" && world.live("ConfigMap", "added").is_none();
        if is_back {
            Ok(())
        } else {
            Err(status.to_string())
        }
    });
    // The next one begins without Git, and knows what it must not do.
    world.kill_agent();
    world.kubectl(&["scale", "deployment/web", "--replicas=2"]);
    world.start();
    wait_for("the drift to be undone", || {
        world.live("Deployment", "web").unwrap()["spec"]["replicas"] == 1
    });
    assert_eq!(image(&world), "nginx:1");
    world.git.set_fault(Fault::None);
    world.refresh("shop");
    rolled_back(&world, &good);
}

#[test]
fn data_that_would_be_lost_is_found_before_anything_is_written() {
    let claim = "\
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: data
spec:
  accessModes: [ReadWriteOnce]
  resources:
    requests:
      storage: 1Gi
";
    let (world, good) = settled("rollback-claim", &[]);
    world.commit(&[
        ("shop/web.yaml", &crashing("nginx:2", "boom")),
        ("shop/claim.yaml", claim),
    ]);
    world.poke("shop");
    let told = world.failed("shop", "RollbackBlocked");
    assert!(
        told.contains("PersistentVolumeClaim") && told.contains("boom"),
        "{told}"
    );
    assert_eq!(image(&world), "nginx:2");
    let hash = told
        .split(&format!("{}=", keys::APPROVE_PRUNE))
        .nth(1)
        .unwrap();
    let hash: String = hash.chars().take_while(char::is_ascii_hexdigit).collect();
    world.annotate("shop", keys::APPROVE_PRUNE, Some(&hash));
    rolled_back(&world, &good);
    assert!(
        world
            .live("PersistentVolumeClaim", "data")
            .is_none_or(|claim| { claim["metadata"]["deletionTimestamp"].is_string() })
    );
}

#[test]
fn what_the_api_server_would_refuse_is_found_before_anything_is_written() {
    let (world, _) = settled(
        "rollback-immutable",
        &[("shop/a.yaml", &config_map("a", "1"))],
    );
    let frozen = format!("{}immutable: true\n", config_map("a", "2"));
    world.commit(&[
        ("shop/web.yaml", &crashing("nginx:2", "boom")),
        ("shop/a.yaml", &frozen),
    ]);
    world.poke("shop");
    let told = world.failed("shop", "RollbackBlocked");
    assert!(
        told.contains("immutable") && told.contains("ConfigMap"),
        "{told}"
    );
    assert_eq!(image(&world), "nginx:2");
}

#[test]
fn many_objects_that_came_with_it_go_with_it() {
    let (world, good) = settled("rollback-many", &[]);
    let many: String = (0..60)
        .map(|i| format!("{}---\n", config_map(&format!("many-{i}"), "1")))
        .collect();
    world.commit(&[
        ("shop/web.yaml", &crashing("nginx:2", "boom")),
        ("shop/many.yaml", &many),
    ]);
    world.poke("shop");
    rolled_back(&world, &good);
    assert!(world.live("ConfigMap", "many-7").is_none());
}

#[test]
fn an_outage_does_not_roll_everything_back() {
    let world = World::new("rollback-outage");
    let names = ["one", "two", "three", "four", "five"];
    let commit = |text: &dyn Fn(&str) -> String| {
        let files: Vec<(String, String)> = names
            .iter()
            .map(|name| (format!("{name}/web.yaml"), text(name)))
            .collect();
        let files = borrowed(&files);
        world.commit(&files)
    };
    let named = |manifest: String, name: &str| {
        manifest
            .replace("name: web\nspec", &format!("name: {name}\nspec"))
            .replace("app: web", &format!("app: {name}"))
    };
    let good = commit(&|name| named(deployment("web", Some(1), "nginx:1"), name));
    for name in names {
        let mut app = world.application(name, name);
        app["spec"]["rollback"] = quick();
        world.create(&app);
    }
    let status = |name: &str| world.app(name)["status"].clone();
    wait_for("all to be good", || {
        names
            .iter()
            .all(|n| status(n)["rollback"]["good"]["revision"] == good)
    });
    commit(&|name| named(crashing("nginx:2", "the registry is gone"), name));
    let reasons = || -> Vec<String> {
        names
            .iter()
            .map(|name| {
                let ready = crate::world::condition(&world.app(name), "Ready");
                ready["reason"].as_str().unwrap_or_default().to_owned()
            })
            .collect()
    };
    let count = |all: &[String], word: &str| all.iter().filter(|reason| *reason == word).count();
    wait("three to be rolled back and two to be held", || {
        let all = reasons();
        if count(&all, "RolledBack") == 3 && count(&all, "RollbackHeld") == 2 {
            Ok(())
        } else {
            Err(format!("{all:?}"))
        }
    });
    world.wait_polls(5.0);
    assert_eq!(count(&reasons(), "RollbackHeld"), 2);
}

#[test]
fn with_preflight_nothing_is_written_of_a_revision_that_would_be_refused() {
    let world = World::new("preflight");
    let mut app = world.application("shop", "shop");
    app["spec"]["preflight"] = json!(true);
    let a = world.commit(&[("shop/a.yaml", &config_map("a", "1"))]);
    world.create(&app);
    world.synced("shop", &a);
    let refused = deployment("web", Some(1), "nginx:1")
        .replace("containerPort: 8080", "containerPort: 99999");
    world.commit(&[
        ("shop/a.yaml", &config_map("a", "2")),
        ("shop/web.yaml", &refused),
    ]);
    world.poke("shop");
    let told = world.failed("shop", "PreflightFailed");
    assert!(
        told.contains("shop/web.yaml") && told.contains("99999"),
        "{told}"
    );
    assert_eq!(world.value("a"), "1");
    // What is there is healed all the same.
    world.patch(
        "ConfigMap",
        &world.work,
        "a",
        &json!({"data": {"value": "drift"}}),
    );
    wait_for("the drift to be undone", || world.value("a") == "1");
    // The namespace comes with the revision: that is no refusal.
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: preflight-other}\n";
    let other =
        config_map("b", "1").replace("  name: b\n", "  name: b\n  namespace: preflight-other\n");
    let c = world.commit(&[
        ("shop/web.yaml", &deployment("web", Some(1), "nginx:1")),
        ("shop/namespace.yaml", namespace),
        ("shop/b.yaml", &other),
    ]);
    world.synced("shop", &c);
    assert_eq!(world.value("a"), "2");
}
