//! The API server or something behind it is out of order: nothing is taken for absent, requests
//! stay bounded, others go on, and everything converges by itself.

use std::net::TcpListener;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use towline::agent::{Options, Timing};
use towline_testcluster::{AuditEvent, Builder, Component, ControlPlane, wait_until};

use crate::world::manifests::config_map;
use crate::world::{Link, World, borrowed, condition, describe, install_crd, logs, wait, wait_for};

/// A CRD of the group that will break.
const CRD: &str = "\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.fragile.example.com}
spec:
  group: fragile.example.com
  names: {kind: Thing, plural: things}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";
const THING: &str = "apiVersion: fragile.example.com/v1\nkind: Thing\nmetadata: {name: t}\n";

#[test]
fn a_broken_aggregated_api_prunes_nothing_and_stops_no_other_kind() {
    let plane = ControlPlane::builder()
        .with_kwok(false)
        .with_controllers(false)
        .start()
        .unwrap();
    install_crd(&plane);
    let mut world = World::on(&plane, "aggregated");
    let everything =
        json!([{"apiGroups": ["fragile.example.com"], "resources": ["things"], "verbs": ["*"]}]);
    world.allow("things", "aggregated", "towline", &everything);
    plane.apply(CRD).unwrap();
    world.start();
    world.deploy(
        "shop",
        "shop",
        &[
            ("shop/thing.yaml", THING),
            ("shop/a.yaml", &config_map("a", "1")),
            ("shop/b.yaml", &config_map("b", "1")),
        ],
    );
    let served = "/apis/fragile.example.com/v1/namespaces/aggregated-work/things/t";

    // The group is now served by a service that nobody answers for, and the next agent has not
    // seen it otherwise.
    world.stop_agent();
    let api_service = "/apis/apiregistration.k8s.io/v1/apiservices/v1.fragile.example.com";
    let broken = json!({
        "metadata": {"labels": {"kube-aggregator.kubernetes.io/automanaged": null}},
        "spec": {"service": {"name": "none", "namespace": "aggregated"}, "insecureSkipTLSVerify": true},
    });
    let (status, answer) = plane.request("PATCH", api_service, &broken).unwrap();
    assert!(status < 300, "{answer}");
    wait("the group to break", || {
        match plane.request("GET", served, &json!(null)) {
            Ok((503, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let mark = plane.audit_mark();
    world.repo.remove("shop/thing.yaml").unwrap();
    world.repo.remove("shop/b.yaml").unwrap();
    world.commit(&[("shop/c.yaml", &config_map("c", "1"))]);
    world.start();
    wait_for("what is not broken", || world.value("c") == "1");
    world.wait_polls(3.0);
    assert_eq!(
        world.deletes(mark),
        [""; 0],
        "nothing is known of the Thing"
    );
    assert_eq!(world.value("b"), "1");
    // The status is written after the objects.
    wait_for("it to be told", || {
        condition(&world.app("shop"), "Ready")["status"] == "False"
    });
    assert_eq!(world.deletes(mark), [""; 0]);

    // Mended, nobody tells the agent of it: it looks itself, and ends what it had begun. The API
    // server makes the entry of a CRD's group anew; one that is only changed back stays stale in
    // its discovery.
    let (status, answer) = plane.request("DELETE", api_service, &json!(null)).unwrap();
    assert!(status < 300, "{answer}");
    wait("the prune that was held", || {
        let gone = matches!(plane.request("GET", served, &json!(null)), Ok((404, _)));
        if gone && world.value("b").is_empty() {
            Ok(())
        } else {
            Err(format!("{gone} {} {}", world.value("b"), world.app("shop")))
        }
    });
}

#[test]
fn what_changes_while_no_watch_tells_is_undone_afterwards() {
    let plane = ControlPlane::builder()
        .with_kwok(false)
        .with_controllers(false)
        .start()
        .unwrap();
    install_crd(&plane);
    let world = World::on(&plane, "gone");
    let agent = world.spawn(None);
    world.deploy(
        "shop",
        "shop",
        &[
            ("shop/a.yaml", &config_map("a", "1")),
            ("shop/b.yaml", &config_map("b", "1")),
        ],
    );
    // While the agent hears nothing, its objects change. Whether its watches go on where they were, or
    // are too old and begin anew, is up to the API server.
    agent.signal("STOP");
    world.delete("ConfigMap", &world.work, "a");
    world.patch(
        "ConfigMap",
        &world.work,
        "b",
        &json!({"data": {"value": "2"}}),
    );
    plane.kill(Component::ApiServer).unwrap();
    plane.restart(Component::ApiServer).unwrap();
    agent.signal("CONT");
    both_are_undone(&world);
}

#[test]
fn that_drift_is_seen_again_is_told_after_an_outage_of_the_network() {
    let mut world = World::idle("blind");
    let link = Link::to(world.plane);
    world.start_behind(&link, patient(&world));
    world.deploy("shop", "shop", &[("shop/a.yaml", &config_map("a", "1"))]);
    // Other agents may lose theirs meanwhile: then this shows less, and is true nevertheless.
    let failures = || logs().matches("watch failed").count();
    let before = failures();
    link.cut();
    wait_for("watches to fail", || failures() > before + 3);
    link.mend();
    world.refresh("shop");
    world.wait_condition("shop", "DriftDetection", "True", "Watching");
    let drift = json!({"data": {"value": "2"}});
    world.patch("ConfigMap", &world.work, "a", &drift);
    wait_for("the drift to be undone", || world.value("a") == "1");
}

#[test]
fn a_watch_that_is_too_old_for_the_api_server_begins_anew_and_misses_nothing() {
    let plane = ControlPlane::builder();
    begins_anew(plane, "too-old", Compacted::No);
}

#[test]
fn a_watch_whose_past_etcd_has_compacted_away_begins_anew_and_misses_nothing() {
    // The API server asks etcd for what was, as it has no memory of its own.
    let plane = ControlPlane::builder().apiserver_arg("--watch-cache=false");
    begins_anew(plane, "compacted", Compacted::Yes);
}

#[derive(PartialEq)]
enum Compacted {
    Yes,
    No,
}

/// Of an agent that keeps its Lease while it is cut off: one that lost it would begin anew anyway.
fn patient(world: &World<'_>) -> Options {
    Options {
        timing: Timing {
            duration: Duration::from_secs(120),
            renew_deadline: Duration::from_secs(110),
            ..Timing::default()
        },
        ..world.options()
    }
}

/// The agent is cut off, and what it would have to be told next is thrown away meanwhile: 410 Gone.
fn begins_anew(plane: Builder, name: &str, compacted: Compacted) {
    let plane = plane
        .with_kwok(false)
        .with_controllers(false)
        .start()
        .unwrap();
    install_crd(&plane);
    let mut world = World::on(&plane, name);
    let link = Link::to(&plane);
    world.start_behind(&link, patient(&world));
    let files = ["a", "b", "c"].map(|name| (format!("shop/{name}.yaml"), config_map(name, "1")));
    let files = files.each_ref().map(|(p, t)| (p.as_str(), t.as_str()));
    world.deploy("shop", "shop", &files);
    world.assert_quiet();

    link.cut();
    let kept = uid(&world, "c");
    world.delete("ConfigMap", &world.work, "a");
    let other = json!({"data": {"value": "2"}});
    world.patch("ConfigMap", &world.work, "b", &other);
    if compacted == Compacted::Yes {
        plane.compact().unwrap();
    }
    plane.restart(Component::ApiServer).unwrap();
    let mark = plane.audit_mark();
    link.mend();
    both_are_undone(&world);
    world.assert_quiet();

    // It did go on from where it was, and that is what the API server answered.
    let requests = world.requests(mark);
    let resumed = requests.iter().find(|event| {
        let version = event.uri.split("resourceVersion=").nth(1);
        let is_past = version.is_some_and(|text| !text.starts_with("0") && !text.starts_with("&"));
        event.verb == "watch" && event.resource == "configmaps" && is_past
    });
    let resumed = resumed.expect("the watch of ConfigMaps did not go on from where it was");
    let (_, answer) = plane.request("GET", &resumed.uri, &json!(null)).unwrap();
    assert_eq!(answer["type"], "ERROR", "{}: {answer}", resumed.uri);
    assert_eq!(answer["object"]["code"], 410, "{answer}");
    let lists = |resource: &str| {
        let is_list = |event: &&AuditEvent| event.verb == "list" && event.resource == resource;
        requests.iter().filter(is_list).count()
    };
    assert_eq!(lists("configmaps"), 1, "it is listed anew once");
    let asked: Vec<String> = requests.iter().map(describe).collect();
    assert!(asked.len() < 40, "{asked:?}");
    // Nothing but what drifted was written.
    assert_eq!(
        world.object_writes(mark),
        ["patch configmaps/a", "patch configmaps/b"]
    );
    assert_eq!(world.deletes(mark), [""; 0]);
    assert_eq!(uid(&world, "c"), kept);
}

fn uid(world: &World<'_>, name: &str) -> String {
    world.live("ConfigMap", name).unwrap()["metadata"]["uid"].to_string()
}

/// How long a token may be used from memory, and time for what follows.
const TOKEN_LIMIT: Duration = Duration::from_secs(120);

#[test]
fn a_token_that_is_not_good_any_more_is_read_anew_from_its_file() {
    let plane = ControlPlane::builder()
        .with_kwok(false)
        .with_controllers(false)
        .start()
        .unwrap();
    install_crd(&plane);
    let world = World::on(&plane, "token");
    // As in a pod: the token is in a file that somebody renews.
    let file = plane.dir().join("token");
    let renew = || {
        let token = plane.service_account_token("token", "towline").unwrap();
        std::fs::write(&file, token).unwrap();
    };
    renew();
    let kubeconfig = plane.dir().join("kubeconfig-token-file");
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": plane.server_url(),
            "certificate-authority-data": STANDARD.encode(plane.ca_pem())}}],
        "users": [{"name": "u", "user": {"tokenFile": file}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    });
    std::fs::write(&kubeconfig, text.to_string()).unwrap();
    let agent = world.spawn(Some(&kubeconfig));
    world.deploy("shop", "shop", &[("shop/a.yaml", &config_map("a", "1"))]);
    // Another account of the same name: the old token is refused from now on.
    let mark = plane.audit_mark();
    world.delete("ServiceAccount", "token", "towline");
    wait_for("the account to go", || {
        world.get("ServiceAccount", "token", "towline").is_none()
    });
    renew();
    world.commit(&[("shop/b.yaml", &config_map("b", "1"))]);
    world.delete("ConfigMap", &world.work, "a");
    wait_until("the agent with its new token", TOKEN_LIMIT, || {
        let values = (world.value("a"), world.value("b"));
        if values == ("1".into(), "1".into()) {
            Ok(())
        } else {
            Err(format!("{values:?}"))
        }
    })
    .unwrap();
    assert_eq!(world.deletes(mark), [""; 0]);
    agent.kill();
}

#[test]
fn a_throttled_api_server_is_asked_again_and_not_hammered() {
    const OBJECTS: usize = 150;
    let plane = ControlPlane::builder()
        .with_kwok(false)
        .with_controllers(false)
        .apiserver_arg("--enable-priority-and-fairness=false")
        .apiserver_arg("--max-mutating-requests-inflight=1")
        .start()
        .unwrap();
    install_crd(&plane);
    let mut world = World::on(&plane, "throttled");
    world.start();
    let mark = plane.audit_mark();
    let files: Vec<(String, String)> = (0..OBJECTS)
        .map(|n| (format!("shop/c{n}.yaml"), config_map(&format!("c{n}"), "1")))
        .collect();
    let files = borrowed(&files);
    world.deploy("shop", "shop", &files);
    let applies: Vec<_> = world
        .requests(mark)
        .into_iter()
        .filter(|e| e.verb == "patch" && e.resource == "configmaps")
        .collect();
    let refused = applies.iter().filter(|e| e.code == 429).count();
    assert!(refused > 0, "nothing was throttled");
    assert!(
        applies.len() < OBJECTS * 4,
        "{} requests for {OBJECTS} objects",
        applies.len()
    );
    assert_eq!(
        world.object_writes(mark).len(),
        OBJECTS,
        "each is written once"
    );
    assert_eq!(world.deletes(mark), [""; 0]);
}

#[test]
fn a_slow_admission_webhook_is_named_and_holds_up_nobody_else() {
    let world = World::new("slow-webhook");
    let (repo, git) = world.other_repository();
    let other = "slow-webhook-other";
    world.make_namespace(other);
    repo.write("well/well.yaml", &config_map("well", "0"))
        .unwrap();
    let commit = repo.commit("Well").unwrap();
    let mut app = world.application("well", "well");
    app["spec"]["source"]["repoURL"] = git.url("repo.git").into();
    app["spec"]["destination"]["namespace"] = other.into();
    world.create(&app);
    world.synced("well", &commit);
    world.deploy("shop", "shop", &[("shop/a.yaml", &config_map("a", "1"))]);

    // Accepts connections, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    let webhook = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "slow-webhook"},
        "webhooks": [{
            "name": "slow.example.com",
            "clientConfig": {"url": url},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": world.work}},
            "timeoutSeconds": 5,
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }],
    });
    let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    let (status, answer) = world.plane.request("POST", path, &webhook).unwrap();
    assert!(status < 300, "{answer}");
    wait("the webhook to be in force", || {
        let probe = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe", "namespace": world.work}});
        match world.try_create(&probe, "&dryRun=All") {
            (500, _) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let mark = world.plane.audit_mark();
    let commit = world.commit(&[("shop/a.yaml", &config_map("a", "2"))]);
    world.poke("shop");
    // While that hangs, another Application is as fast as ever.
    repo.write("well/well.yaml", &config_map("well", "1"))
        .unwrap();
    let well = repo.commit("Still well").unwrap();
    world.synced("well", &well);
    assert_eq!(
        world.get("ConfigMap", other, "well").unwrap()["data"]["value"],
        "1"
    );
    let message = wait("the webhook to be named", || {
        let ready = condition(&world.app("shop"), "Ready");
        let message = ready["message"].as_str().unwrap_or_default().to_owned();
        if message.contains("slow.example.com") && message.contains("shop/a.yaml") {
            Ok(message)
        } else {
            Err(ready.to_string())
        }
    });
    assert!(!message.contains('\n'), "{message}");
    assert_eq!(world.deletes(mark), [""; 0]);

    let (status, answer) = world
        .plane
        .request("DELETE", &format!("{path}/slow-webhook"), &json!(null))
        .unwrap();
    assert!(status < 300, "{answer}");
    world.synced("shop", &commit);
    assert_eq!(world.value("a"), "2");
}

/// Waits until what was done to both ConfigMaps meanwhile is undone.
fn both_are_undone(world: &World<'_>) {
    wait("what was missed", || {
        let values = (world.value("a"), world.value("b"));
        if values == ("1".into(), "1".into()) {
            Ok(())
        } else {
            Err(format!("{values:?}"))
        }
    });
}
