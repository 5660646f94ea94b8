//! Nothing is written and nothing is listed while nothing happens.

use crate::world::manifests::{config_map, deployment, service};
use crate::world::{World, describe, wait_for};

const POLLS: u32 = 100;
/// How often a hundred of them are tried.
const ATTEMPTS: u32 = 3;

#[test]
fn a_hundred_polls_without_a_change_ask_the_api_server_nothing() {
    let world = World::new("hundred-polls");
    let commit = world.commit(&[
        ("shop/web.yaml", &deployment("web", Some(2), "nginx:1")),
        ("shop/service.yaml", &service("web", 80)),
        ("shop/settings.yaml", &config_map("settings", "1")),
        (
            "shop/kustomization.yaml",
            "resources: [web.yaml, service.yaml, settings.yaml]\n",
        ),
    ]);
    // A file is polled when something is touched beside its branches, so that this takes seconds.
    let mut app = world.application("shop", "shop");
    app["spec"]["source"]["repoURL"] = world.repo.file_url().into();
    app["spec"]["source"]["interval"] = "1h".into();
    world.create(&app);
    world.synced("shop", &commit);

    let touched = world.repo.bare().join("refs/touched");
    let poll = |number: u32| {
        let before = world.agent().polls();
        std::fs::write(&touched, number.to_string()).unwrap();
        std::fs::remove_file(&touched).unwrap();
        wait_for("a poll of the file", || world.agent().polls() > before);
    };
    // What is still said about pods that start is waited out.
    let mut before = world.plane.audit_mark();
    for number in 0.. {
        (0..5).for_each(poll);
        if world.requests(before).is_empty() {
            break;
        }
        assert!(number < 100, "the agent does not come to rest");
        before = world.plane.audit_mark();
    }
    // So is what was to be written or stored later; what polls cause does not end.
    for attempt in 1.. {
        let mark = world.plane.audit_mark();
        let status = world.app("shop")["status"].clone();
        (0..POLLS).for_each(poll);
        let asked: Vec<String> = world
            .requests(mark)
            .iter()
            .filter(|event| event.verb != "watch")
            .map(describe)
            .collect();
        if asked.is_empty() {
            assert_eq!(world.app("shop")["status"], status);
            break;
        }
        assert!(attempt < ATTEMPTS, "{asked:?}");
    }
}

#[test]
fn a_refresh_costs_one_write_of_the_status_and_nothing_else() {
    let world = World::new("refreshes");
    world.deploy(
        "shop",
        "shop",
        &[
            ("shop/a.yaml", &config_map("a", "1")),
            ("shop/b.yaml", &config_map("b", "1")),
        ],
    );
    world.assert_quiet();
    let mark = world.plane.audit_mark();
    for _ in 0..5 {
        world.refresh("shop");
    }
    let asked = || -> Vec<String> {
        let requests = world.requests(mark);
        let requests = requests.iter().filter(|event| event.verb != "watch");
        requests.map(describe).collect()
    };
    // What a write did is seen before it stands in the audit log.
    wait_for("the last of them", || asked().len() >= 5);
    assert_eq!(asked(), ["patch applications/shop/status"; 5]);
}
