//! What the agent shows to monitoring, and what it shows to nobody.

use serde_json::json;
use towline_testcluster::Auth;

use crate::world::manifests::{config_map, secret};
use crate::world::{World, logs, wait_for};

#[test]
fn probes_and_metrics_answer() {
    let world = World::new("endpoints");
    let agent = world.agent();
    assert_eq!(agent.get("/healthz"), (200, "ok\n".into()));
    wait_for("readiness", || agent.get("/readyz").0 == 200);
    world.deploy("shop", "shop", &[("shop/a.yaml", &config_map("a", "1"))]);
    world.patch(
        "ConfigMap",
        &world.work,
        "a",
        &json!({"data": {"value": "drift"}}),
    );
    wait_for("the heal", || world.value("a") == "1");
    wait_for("the count of heals", || {
        agent.metric("towline_drift_heals_total") == 1.0
    });
    let (status, text) = agent.get("/metrics");
    assert_eq!(status, 200);
    // Nothing was taken back yet.
    let counted = |name: &&(&str, &str, &str)| name.0 != "towline_rollbacks_total";
    for (name, kind, _) in towline::agent::metrics::TABLE.iter().filter(counted) {
        let family = name.trim_end_matches("_total");
        assert!(
            text.contains(&format!("# TYPE {family} {kind}")),
            "{name} is not in\n{text}"
        );
    }
    assert!(agent.metric("towline_writes_total") >= 2.0, "{text}");
    assert_eq!(agent.metric("towline_leader"), 1.0);
    let synced = text
        .lines()
        .find(|line| line.starts_with("towline_applications{"));
    assert!(
        synced.is_some_and(|line| line.contains("Synced") && line.ends_with(" 1")),
        "{text}"
    );
    assert_eq!(agent.get("/nothing").0, 404);
}

#[test]
fn revisions_are_timed_and_rollbacks_counted_by_their_reason() {
    let world = World::new("lead-times");
    let agent = world.agent();
    world.deploy("shop", "shop", &[("shop/a.yaml", &config_map("a", "1"))]);
    let retry = json!({"rollback": {"monitor": "0s"}, "syncPolicy": {"retry": {"limit": 0}}});
    world.change("shop", &retry);
    let times = [
        "commit_to_live",
        "commit_to_healthy",
        "seen_to_live",
        "seen_to_healthy",
    ];
    let count = |time: &str| agent.metric(&format!("towline_{time}_seconds_count"));
    // What was there before the Application was is not new.
    for time in times {
        assert!(count(time) == 0.0, "{time}: {}", count(time));
    }
    let good = world.commit(&[("shop/a.yaml", &config_map("a", "2"))]);
    world.synced("shop", &good);
    wait_for("a good revision", || {
        world.app("shop")["status"]["rollback"]["good"]["revision"] == good
    });
    for time in times {
        assert!(count(time) == 1.0, "{time}: {}", count(time));
        let seconds = agent.metric(&format!("towline_{time}_seconds_sum"));
        assert!((0.0..120.0).contains(&seconds), "{time}: {seconds}");
    }
    let hook = "\
apiVersion: batch/v1
kind: Job
metadata:
  name: smoke
  annotations: {towline.dev/hook: PostSync}
spec:
  backoffLimit: 0
  template:
    metadata:
      labels: {pod-container-running-failed.stage.kwok.x-k8s.io: \"true\"}
    spec:
      restartPolicy: Never
      containers: [{name: main, image: \"busybox:1\"}]
";
    world.commit(&[
        ("shop/a.yaml", &config_map("a", "3")),
        ("shop/smoke.yaml", hook),
    ]);
    world.poke("shop");
    wait_for("the way back", || {
        world.app("shop")["status"]["sync"]["status"] == "RolledBack"
    });
    let counted = agent.metric("towline_rollbacks_total{reason=\"HookFailed\"}");
    assert!(counted == 1.0, "{}", agent.get("/metrics").1);
    assert!(agent.metric("towline_deployments_total{outcome=\"RolledBack\"}") == 1.0);
    // Nor is what comes back.
    assert!(count("seen_to_live") <= 2.0 && count("seen_to_healthy") == 1.0);
}

#[test]
fn values_of_secrets_appear_nowhere() {
    let canary = "canary-5f0c8e";
    // What the API server shows of a value in its refusals may be encoded.
    let encoded = "Y2FuYXJ5LTVmMGM4Z";
    let world = World::new("canary");
    world.git.set_auth(Auth::Basic {
        user: "u".into(),
        password: format!("git-{canary}"),
    });
    world.apply(&json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "credentials", "namespace": world.ns,
            "labels": {"towline.dev/secret-type": "repository"}},
        "stringData": {"url": world.git.url("repo.git"), "username": "u",
            "password": format!("git-{canary}")}}));
    let immutable = secret("fixed", canary) + "immutable: true\n";
    world.deploy(
        "shop",
        "shop",
        &[
            ("shop/db.yaml", &secret("db", canary)),
            ("shop/fixed.yaml", &immutable),
        ],
    );
    // Drift, an update that is refused, and manifests that are none.
    world.patch(
        "Secret",
        &world.work,
        "db",
        &json!({"stringData": {"password": "drift"}}),
    );
    wait_for("the heal", || {
        let live = world.live("Secret", "db").unwrap();
        live["data"]["password"]
            .as_str()
            .is_some_and(|text| text.starts_with(encoded))
    });
    let change = immutable.replace(canary, &format!("{canary}-two"));
    world.commit(&[("shop/fixed.yaml", &change)]);
    world.poke("shop");
    let refused = |reason: &str| {
        wait_for(&format!("{reason} of the Secret"), || {
            let status = world.app("shop")["status"].to_string();
            status.contains("\"Ready\"") && status.contains(reason)
        });
    };
    refused("ImmutableField");
    let broken = [
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: db}}\ndata: {{a: \"{canary}\"}}\n"
        ),
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: db}}\nstringData: {canary}\n"),
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: db}}\nstringData: {{a: [{canary}]}}\n"
        ),
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: db}}\nstringData:\n  a: {canary}\n b: {canary}\n"
        ),
    ];
    let mut said = Vec::new();
    for text in broken {
        world.commit(&[("shop/fixed.yaml", &immutable), ("shop/db.yaml", &text)]);
        let app = world.refresh("shop");
        assert_ne!(
            app["status"]["sync"]["status"], "Synced",
            "{text} was accepted"
        );
        said.push(app.to_string());
    }
    world.git.set_auth(Auth::Basic {
        user: "u".into(),
        password: "another".into(),
    });
    world.poke("shop");
    world.failed("shop", "AuthenticationFailed");
    said.push(world.app("shop").to_string());
    said.extend(world.events("shop").into_iter().map(|(_, message)| message));
    said.push(world.agent().get("/metrics").1);
    said.push(logs());
    for text in said {
        for word in [canary, encoded] {
            let shown = text.lines().find(|line| line.contains(word));
            assert_eq!(shown, None, "a Secret's value is shown");
        }
    }
}
