//! An agent that starts knows what was accepted before: it is healed without Git, and whatever the
//! newest commit is like. Nothing is deleted, and the status says what is going on.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use towline::inventory::last_good::{decode, decode_index};
use towline::object::keys;
use towline_testcluster::Fault;

use crate::world::manifests::{config_map, deployment, secret};
use crate::world::{World, borrowed, condition, wait_for};

const PREFIX: &str = "towline-last-good-";

/// The Secrets of last-good, by name.
fn secrets(world: &World<'_>) -> BTreeMap<String, Value> {
    let name = |secret: &Value| secret["metadata"]["name"].as_str().map(str::to_owned);
    world
        .list("Secret", &world.ns)
        .into_iter()
        .filter_map(|secret| Some((name(&secret)?, secret)))
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect()
}

fn content(secret: &Value) -> Vec<u8> {
    let text = secret["data"]["objects"].as_str().unwrap_or_default();
    STANDARD.decode(text).unwrap()
}

/// The index, by its name without a digest.
fn index(world: &World<'_>) -> Option<(String, Value)> {
    let is_index = |name: &String| name.matches('-').count() == PREFIX.matches('-').count();
    secrets(world).into_iter().find(|(name, _)| is_index(name))
}

/// Names and values of the ConfigMaps that are stored.
fn stored(world: &World<'_>) -> BTreeMap<String, String> {
    let all = secrets(world);
    let Some((name, index)) = index(world) else {
        return BTreeMap::new();
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut values = BTreeMap::new();
    for (_, chunk) in decode_index(&content(&index)).unwrap().all() {
        // It may be replaced at this moment.
        let Some(secret) = all.get(&format!("{name}-{}", chunk.digest)) else {
            return BTreeMap::new();
        };
        for accepted in decode(&content(secret), &chunk.digest).unwrap() {
            let value = accepted.rendered().value;
            if value["kind"] == "ConfigMap" {
                values.insert(
                    text(&value["metadata"]["name"]),
                    text(&value["data"]["value"]),
                );
            }
        }
    }
    values
}

fn wait_stored(world: &World<'_>, expected: &[(&str, &str)]) {
    let expected: BTreeMap<String, String> = expected
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    wait_for("last-good to be stored", || stored(world) == expected);
}

/// Starts an agent whose cache of Git is empty, as in a new pod.
fn start_anew(world: &mut World<'_>) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::SeqCst);
    let mut options = world.options();
    options.cache_dir = options.cache_dir.join(format!("anew-{number}"));
    world.start_with(options);
}

fn drift(world: &World<'_>, name: &str) {
    let patch = json!({"data": {"value": "drift"}});
    world.patch("ConfigMap", &world.work, name, &patch);
}

fn files() -> Vec<(&'static str, String)> {
    vec![
        ("shop/a.yaml", config_map("a", "1")),
        ("shop/b.yaml", config_map("b", "1")),
        ("shop/web.yaml", deployment("web", Some(1), "nginx:1")),
        ("shop/secret.yaml", secret("hidden", "swordfish-25")),
    ]
}

/// A world whose Application is synced, and known to a successor.
fn settled(name: &str) -> (World<'static>, String) {
    let world = World::new(name);
    let files = files();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (*path, text.as_str()))
        .collect();
    let commit = world.deploy("shop", "shop", &files);
    wait_stored(&world, &[("a", "1"), ("b", "1")]);
    (world, commit)
}

#[test]
fn an_agent_that_starts_while_git_is_down_heals_to_what_was_accepted() {
    let (mut world, commit) = settled("last-good-down");
    world.kill_agent();
    world.git.set_fault(Fault::Disconnect);
    let mark = world.plane.audit_mark();
    // While nobody looks, and while somebody does.
    drift(&world, "a");
    world.delete("ConfigMap", &world.work, "b");
    start_anew(&mut world);
    let values = || ["a", "b"].map(|name| world.value(name));
    wait_for("the accepted objects", || values() == ["1", "1"]);
    world.kubectl(&["scale", "deployment/web", "--replicas=3"]);
    let replicas = || world.live("Deployment", "web").unwrap()["spec"]["replicas"].clone();
    wait_for("the accepted replicas", || replicas() == 1);
    world.kubectl(&[
        "patch",
        "secret",
        "hidden",
        "-p",
        r#"{"stringData": {"password": "x"}}"#,
    ]);
    wait_for("the accepted Secret", || {
        world.live("Secret", "hidden").unwrap()["data"]["password"]
            == STANDARD.encode("swordfish-25")
    });

    let message = world.failed("shop", "SourceUnreachable");
    let told = format!("{} stays enforced", &commit[..8]);
    assert!(message.contains(&told), "{message}");
    world.wait_condition("shop", "Healthy", "True", "Healthy");
    let app = world.app("shop");
    let sync = &app["status"]["sync"];
    assert_eq!(
        sync["status"], "Unknown",
        "whether Git has more is not known: {app}"
    );
    assert_eq!(sync["revision"], commit);
    assert_eq!(sync["targetRevision"], commit, "the newest that was seen");
    assert_eq!(sync["objects"], 4);
    let since = condition(&app, "Ready")["lastTransitionTime"].clone();
    assert!(since.is_string(), "{app}");
    assert_eq!(world.deletes(mark), [""; 0]);

    // Another restart changes nothing of that.
    world.kill_agent();
    drift(&world, "b");
    start_anew(&mut world);
    wait_for("the accepted object", || world.value("b") == "1");
    let app = world.refresh("shop");
    assert_eq!(
        condition(&app, "Ready")["lastTransitionTime"],
        since,
        "{app}"
    );
    assert_eq!(world.deletes(mark), [""; 0]);

    world.git.set_fault(Fault::None);
    let commit = world.commit(&[("shop/a.yaml", &config_map("a", "2"))]);
    world.synced("shop", &commit);
    wait_stored(&world, &[("a", "2"), ("b", "1")]);
    assert_eq!(world.value("a"), "2");
    let commit = world.remove(&["shop/b.yaml"]);
    world.synced("shop", &commit);
    assert_eq!(world.value("b"), "", "what is pruned is still known");
    wait_stored(&world, &[("a", "2")]);
    let app = world.app("shop").to_string();
    assert!(!app.contains("swordfish-25") && !crate::world::logs().contains("swordfish-25"));
    world.assert_quiet();
}

#[test]
fn an_agent_that_starts_while_git_hangs_does_not_wait_for_it() {
    let (mut world, _) = settled("last-good-hang");
    world.kill_agent();
    world.git.set_fault(Fault::Hang);
    drift(&world, "a");
    world.delete("ConfigMap", &world.work, "b");
    start_anew(&mut world);
    wait_for("the accepted object", || world.value("a") == "1");
    wait_for("the other one", || world.value("b") == "1");
    drift(&world, "a");
    wait_for("the accepted object again", || world.value("a") == "1");
    let polls = world.agent().polls();
    assert!(polls < 1.0, "Git has not answered: {polls}");
    world.stop_agent();
    world.git.set_fault(Fault::None);
}

#[test]
fn after_a_restart_a_commit_that_cannot_be_rendered_costs_no_healing() {
    let (mut world, commit) = settled("last-good-broken");
    world.commit(&[("shop/a.yaml", "kind: ConfigMap\nmetadata: {\n")]);
    world.refresh("shop");
    world.failed("shop", "YamlInvalid");
    world.kill_agent();
    let mark = world.plane.audit_mark();
    drift(&world, "a");
    world.delete("ConfigMap", &world.work, "b");
    start_anew(&mut world);
    wait_for("the accepted object", || world.value("a") == "1");
    wait_for("the other one", || world.value("b") == "1");
    drift(&world, "a");
    wait_for("the accepted object again", || world.value("a") == "1");
    let message = world.failed("shop", "YamlInvalid");
    let told = format!("{} stays enforced", &commit[..8]);
    assert!(message.contains(&told), "{message}");
    assert_eq!(world.deletes(mark), [""; 0]);
    let commit = world.commit(&[("shop/a.yaml", &config_map("a", "3"))]);
    world.synced("shop", &commit);
    assert_eq!(world.value("a"), "3");
}

#[test]
fn after_a_restart_a_held_commit_costs_no_healing() {
    let mut world = World::new("last-good-held");
    let files: Vec<(String, String)> = (0..8)
        .map(|n| (format!("shop/c{n}.yaml"), config_map(&format!("c{n}"), "1")))
        .collect();
    let files = borrowed(&files);
    world.deploy("shop", "shop", &files);
    wait_for("last-good to be stored", || stored(&world).len() == 8);
    world
        .repo
        .write("shop/c0.yaml", &config_map("c0", "2"))
        .unwrap();
    world.remove(&[
        "shop/c3.yaml",
        "shop/c4.yaml",
        "shop/c5.yaml",
        "shop/c6.yaml",
        "shop/c7.yaml",
    ]);
    world.refresh("shop");
    world.failed("shop", "PruneOverLimit");
    world.kill_agent();
    let mark = world.plane.audit_mark();
    // One that the held commit changes, one that it removes, one that it leaves.
    for name in ["c0", "c3", "c1"] {
        drift(&world, name);
    }
    world.delete("ConfigMap", &world.work, "c4");
    start_anew(&mut world);
    for name in ["c0", "c3", "c1", "c4"] {
        wait_for("the accepted object", || world.value(name) == "1");
    }
    world.failed("shop", "PruneOverLimit");
    assert_eq!(world.deletes(mark), [""; 0]);
    world.assert_quiet();
    assert_eq!(world.value("c0"), "1");
}

#[test]
fn after_a_restart_a_suspended_application_is_healed_to_what_was_accepted() {
    let (mut world, _) = settled("last-good-suspend");
    world.annotate("shop", keys::SUSPEND, Some("stocktaking"));
    // Nothing is committed before the agent knows.
    world.refresh("shop");
    let newer = world.commit(&[("shop/a.yaml", &config_map("a", "2"))]);
    world.refresh("shop");
    world.failed("shop", "UpdatesSuspended");
    world.kill_agent();
    drift(&world, "a");
    start_anew(&mut world);
    wait_for("the accepted object", || world.value("a") == "1");
    world.failed("shop", "UpdatesSuspended");
    drift(&world, "a");
    wait_for("the accepted object again", || world.value("a") == "1");
    world.assert_quiet();
    world.annotate("shop", keys::SUSPEND, None);
    world.synced("shop", &newer);
    assert_eq!(world.value("a"), "2");
}

#[test]
fn last_good_that_cannot_be_read_is_told_and_costs_nothing_but_healing() {
    let (mut world, _) = settled("last-good-rubbish");
    let newer = {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"towline-last-good 2\n").unwrap();
        gzip.finish().unwrap()
    };
    for (round, (bytes, told)) in [
        (b"rubbish".to_vec(), "does not decompress"),
        (newer, "format 2 is newer than this agent"),
    ]
    .into_iter()
    .enumerate()
    {
        world.kill_agent();
        world.git.set_fault(Fault::Disconnect);
        let (name, _) = index(&world).unwrap();
        let patch = json!({"data": {"objects": STANDARD.encode(&bytes)}});
        world.patch("Secret", &world.ns, &name, &patch);
        let mark = world.plane.audit_mark();
        start_anew(&mut world);
        world.failed("shop", "SourceUnreachable");
        let app = world.wait_condition("shop", "LastGoodNotStored", "True", "LastGoodUnreadable");
        let message = condition(&app, "LastGoodNotStored")["message"].to_string();
        assert!(
            message.contains(told) && message.contains(&name),
            "{message}"
        );
        let ready = condition(&app, "Ready")["message"].to_string();
        assert!(!ready.contains("stays enforced"), "nothing is: {ready}");

        world.git.set_fault(Fault::None);
        let value = format!("after {round}");
        let commit = world.commit(&[("shop/a.yaml", &config_map("a", &value))]);
        world.synced("shop", &commit);
        drift(&world, "b");
        wait_for("the content of Git", || world.value("b") == "1");
        assert_eq!(world.deletes(mark), [""; 0]);
        if round == 0 {
            // Rubbish is replaced.
            wait_stored(&world, &[("a", &value), ("b", "1")]);
            wait_for("the condition to go", || {
                condition(&world.app("shop"), "LastGoodNotStored").is_null()
            });
        } else {
            // What a newer agent wrote is left to it.
            world.assert_quiet();
            assert_eq!(content(&index(&world).unwrap().1), bytes);
            let told = condition(&world.app("shop"), "LastGoodNotStored");
            assert_eq!(told["reason"], "LastGoodUnreadable", "{told}");
        }
    }
}

#[test]
fn what_was_written_after_last_good_was_stored_is_not_taken_back() {
    let (mut world, _) = settled("last-good-behind");
    world.kill_agent();
    world.git.set_fault(Fault::Disconnect);
    // As an agent leaves it that ends right after its write: nothing of it is recorded yet.
    let newer =
        json!({"metadata": {"annotations": {keys::REVISION: "c0ffee"}}, "data": {"value": "2"}});
    world.patch("ConfigMap", &world.work, "a", &newer);
    drift(&world, "b");
    start_anew(&mut world);
    wait_for("the accepted object", || world.value("b") == "1");
    world.failed("shop", "SourceUnreachable");
    assert_eq!(world.value("a"), "2");
    world.git.set_fault(Fault::None);
    let commit = world.commit(&[("shop/a.yaml", &config_map("a", "2"))]);
    world.synced("shop", &commit);
    assert_eq!(
        (world.value("a"), world.value("b")),
        ("2".into(), "1".into())
    );
}

#[test]
fn nothing_is_stored_again_that_did_not_change() {
    let mut world = World::new("last-good-quiet");
    // Text that does not compress, of about 1.2 MB in all: several chunks.
    let noise = |n: u64| -> String {
        let mut state = n;
        (0..1000)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                format!("{state:016x}")
            })
            .collect()
    };
    let files: Vec<(String, String)> = (0..72)
        .map(|n| {
            (
                format!("shop/c{n}.yaml"),
                config_map(&format!("c{n}"), &noise(n)),
            )
        })
        .collect();
    let files = borrowed(&files);
    world.deploy("shop", "shop", &files);
    wait_for("last-good to be stored", || stored(&world).len() == 72);
    world.assert_quiet();
    let versions = |world: &World<'_>| -> BTreeMap<String, String> {
        secrets(world)
            .into_iter()
            .map(|(name, secret)| (name, secret["metadata"]["resourceVersion"].to_string()))
            .collect()
    };
    let before = versions(&world);
    assert!(before.len() > 3, "an index and several chunks: {before:?}");

    // Another commit, a heal and a restart are no news.
    let commit = world.commit(&[("README.md", "Nothing")]);
    world.synced("shop", &commit);
    drift(&world, "c5");
    wait_for("the content of Git", || world.value("c5") == noise(5));
    world.stop_agent();
    world.start();
    world.wait_polls(2.0);
    world.assert_quiet();
    assert_eq!(versions(&world), before);

    // One object that changed is one chunk.
    let commit = world.commit(&[("shop/c7.yaml", &config_map("c7", "small"))]);
    world.synced("shop", &commit);
    wait_for("last-good to be stored", || {
        stored(&world)
            .get("c7")
            .is_some_and(|value| value == "small")
    });
    wait_for("the chunk before to go", || {
        versions(&world).len() == before.len()
    });
    world.assert_quiet();
    let after = versions(&world);
    let new: Vec<_> = after
        .keys()
        .filter(|name| !before.contains_key(*name))
        .collect();
    assert_eq!((new.len(), after.len()), (1, before.len()), "{new:?}");

    // A chunk that somebody deletes is back after a restart at the latest.
    world.delete("Secret", &world.ns, new[0]);
    world.stop_agent();
    world.start();
    wait_for("the chunk to be back", || {
        secrets(&world).contains_key(new[0])
    });
}

#[test]
fn an_application_that_goes_leaves_no_last_good() {
    let (world, _) = settled("last-good-delete");
    assert!(secrets(&world).len() >= 2);
    world.delete_application("shop");
    wait_for("last-good to go", || secrets(&world).is_empty());
    assert_eq!(
        world.value("a"),
        "1",
        "without a finalizer the objects stay"
    );
}
