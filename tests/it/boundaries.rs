//! kill -9 at every boundary of a write: the next agent finishes, leaves no orphan and loses nothing.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use towline::object::keys;

use crate::world::boundaries::{Fate, Point, Side};
use crate::world::jobs::job;
use crate::world::manifests::{config_map, deployment};
use crate::world::{World, wait, wait_for};

/// How many lives are lived at a time: they mostly wait.
const AT_ONCE: usize = 4;
/// How often a write of one name is another situation: the first, and one in the middle of others.
const NUMBERS: [usize; 2] = [1, 3];
/// What is only written in a life that takes long enough: a Lease is renewed every other second, and
/// what is enforced is stored again after five seconds at the earliest.
const TIMED: [&str; 2] = ["replace Lease", "replace Secret/towline-last-good"];

/// A hook before the sync, whose Job ends at once.
fn hook() -> String {
    let policy = ("argocd.argoproj.io/hook-delete-policy", "HookSucceeded");
    job("migrate", &[("argocd.argoproj.io/hook", "PreSync"), policy])
}

/// The life of an Application, in which everything happens that an agent writes: it is created, one
/// object changes while one comes and one goes, somebody's change is undone, and it is deleted with
/// all it has. When the agent dies, another one goes on from there.
fn live(world: &mut World<'_>, fate: &Arc<Fate>) {
    let app = |world: &World<'_>| {
        let mut app = world.application("shop", "shop");
        app["metadata"]["finalizers"] = json!([keys::PRUNE_FINALIZER]);
        app["spec"]["prune"] = json!({"limit": 1000});
        app["spec"]["syncPolicy"]["syncOptions"] = json!(["CreateNamespace=true"]);
        app["spec"]["destination"]["namespace"] = world.work.as_str().into();
        app
    };
    world.commit(&[
        ("shop/hook.yaml", &hook()),
        ("shop/a.yaml", &config_map("a", "1")),
        ("shop/b.yaml", &config_map("b", "1")),
        ("shop/c.yaml", &config_map("c", "1")),
        ("shop/web.yaml", &deployment("web", Some(1), "nginx:1")),
    ]);
    let first = world.repo.head().unwrap();
    world.create(&app(world));
    world.start_fated(fate);
    survive(world, fate, "the first revision", |world| {
        is_synced(world, &first)
    });
    world.commit(&[
        ("shop/a.yaml", &config_map("a", "2")),
        ("shop/d.yaml", &config_map("d", "1")),
        ("shop/web.yaml", &deployment("web", Some(1), "nginx:2")),
    ]);
    let second = world.remove(&["shop/b.yaml"]);
    survive(world, fate, "the second revision", |world| {
        is_synced(world, &second)
    });
    let theirs = json!({"data": {"value": "somebody's"}});
    world.patch("ConfigMap", &world.work, "a", &theirs);
    survive(world, fate, "the heal", |world| world.value("a") == "2");
    survive(world, fate, "the end of the heal", |world| {
        is_synced(world, &second)
    });

    assert_eq!(marked(world), ["a", "c", "d"], "no orphan, nothing lost");
    assert!(world.live("Job", "migrate").is_none(), "the hook is over");
    let web = world.live("Deployment", "web").unwrap();
    let image = web.pointer("/spec/template/spec/containers/0/image");
    assert_eq!(image, Some(&json!("nginx:2")));
    assert_eq!(world.app("shop")["status"]["sync"]["objects"], 4);

    world.delete("Application", &world.ns, "shop");
    survive(world, fate, "the deletion", |world| {
        world.get("Application", &world.ns, "shop").is_none()
    });
    assert_eq!(marked(world), [""; 0]);
    wait_for("the Deployment to go", || {
        world.live("Deployment", "web").is_none()
    });
    let is_state = |secret: &&Value| secret["type"] == "towline.dev/state";
    assert_eq!(
        world
            .list("Secret", &world.ns)
            .iter()
            .filter(is_state)
            .count(),
        0
    );
    // Not in good order: one that dies now, with its very last write, would never end.
    world.kill_agent();
}

/// Waits for something that the agent does, or that another one does after its death.
fn survive(world: &mut World<'_>, fate: &Arc<Fate>, what: &str, is: impl Fn(&World<'_>) -> bool) {
    loop {
        // Of those that a fate has it is the first one; another one lives.
        let is_over = |world: &World<'_>| fate.is_dead() && world.agent().is_fated;
        wait(what, || {
            if is_over(world) || is(world) {
                return Ok(());
            }
            let app = world.get("Application", &world.ns, "shop");
            Err(app.map_or_else(String::new, |app| app["status"].to_string()))
        });
        if !is_over(world) {
            return;
        }
        world.kill_agent();
        world.start();
    }
}

fn is_synced(world: &World<'_>, commit: &str) -> bool {
    let app = world.app("shop");
    let ready = crate::world::condition(&app, "Ready");
    ready["status"] == "True" && app["status"]["sync"]["revision"] == commit
}

/// Names of the ConfigMaps that towline made.
fn marked(world: &World<'_>) -> Vec<String> {
    let all = world.list("ConfigMap", &world.work);
    let ours = all
        .iter()
        .filter(|one| one["metadata"]["labels"][keys::APPLICATION_LABEL].is_string());
    ours.filter_map(|one| one["metadata"]["name"].as_str().map(str::to_owned))
        .collect()
}

#[test]
fn an_agent_that_dies_at_any_write_is_followed_by_one_that_finishes() {
    let alive = Arc::new(Fate::default());
    let mut world = World::idle("boundary-none");
    live(&mut world, &alive);
    drop(world);
    let mut points = Vec::new();
    for (name, count) in alive.written() {
        for number in NUMBERS.into_iter().filter(|number| *number <= count) {
            points.extend([Side::Before, Side::After].map(|side| Point {
                name: name.clone(),
                number,
                side,
            }));
        }
    }
    // What every life has to write, or this test would prove less than it says.
    for name in [
        "create Lease",
        "create Secret/towline-inventory",
        "create Secret/towline-last-good",
        "apply ConfigMap",
        "apply Deployment",
        "apply Job",
        "delete ConfigMap",
        "delete Job",
        "delete Secret/towline-inventory",
        "patch Application/status",
    ] {
        assert!(
            points.iter().any(|point| point.name == name),
            "{name}: {points:?}"
        );
    }
    let total = points.len();
    let queue = Mutex::new(points.into_iter().enumerate());
    let missed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some((index, point)) = queue.lock().unwrap().next() else {
                        return;
                    };
                    eprintln!("{index}: {point:?}");
                    let fate = Fate::at(point.clone());
                    let mut world = World::idle(&format!("boundary-{index}"));
                    live(&mut world, &fate);
                    if !fate.is_dead() {
                        missed.lock().unwrap().push(point);
                    }
                }
            });
        }
    });
    // How often a status or an event is written depends on time; everything else does not.
    let missed = missed.into_inner().unwrap();
    assert!(missed.len() * 5 < total, "not reached: {missed:?}");
    assert!(
        missed
            .iter()
            .all(|point| point.number > 1 || TIMED.contains(&point.name.as_str())),
        "not reached: {missed:?}"
    );
}
