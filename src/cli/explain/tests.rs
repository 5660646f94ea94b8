//! What is printed, and the exit code.

use serde_json::{Value, json};

use super::*;
use crate::cluster::Resource;
use crate::cluster::fake::FakeCluster;
use crate::object::{Scope, keys};

fn cluster() -> FakeCluster {
    let known = |version: &str, kind: &str, plural: &str| {
        Resource::known(version, kind, plural, Scope::Namespaced)
    };
    FakeCluster::new([
        known("apps/v1", "Deployment", "deployments"),
        known("apps/v1", "ReplicaSet", "replicasets"),
        known("v1", "Pod", "pods"),
        known("v1", "ConfigMap", "configmaps"),
        known("towline.dev/v1alpha1", "Application", "applications"),
    ])
}

async fn explain(cluster: &FakeCluster, line: &[&str]) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut screen = Screen::new(&mut out, &mut err, false);
    let line = ["towline", "explain"].iter().chain(line);
    let cli = <super::super::Cli as clap::Parser>::try_parse_from(line).expect("valid");
    let super::super::Verb::Explain(args) = cli.verb else {
        panic!("another verb")
    };
    let code = run(&args, cluster, "shop", &mut screen)
        .await
        .expect("explained");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (code, text(out), text(err))
}

fn application(name: &str, synced: (&str, &str, &str), health: (&str, &str)) -> Object {
    let (status, reason, message) = synced;
    let condition = |kind: &str| {
        json!({"type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": "2026-05-01T11:00:00Z"})
    };
    Object(
        json!({"apiVersion": "towline.dev/v1alpha1", "kind": "Application",
        "metadata": {"name": name, "namespace": "team-a"},
        "status": {"observedGeneration": 1, "conditions": [condition("Ready"), condition("Synced")],
            "sync": {"status": if status == "True" { "Synced" } else { "OutOfSync" }},
            "health": {"status": health.0, "message": health.1}}}),
    )
}

/// A Deployment of the Application `shop` whose pod crashes.
fn crashing(cluster: &FakeCluster) {
    let meta = |name: &str, more: Value| {
        let mut meta = json!({"name": name, "namespace": "shop", "uid": name, "generation": 1,
            "labels": {"app": "web", "pod-template-hash": "1"}});
        for (key, value) in more.as_object().into_iter().flatten() {
            meta[key] = value.clone();
        }
        meta
    };
    let marks = json!({"annotations": {keys::SOURCE: "prod/web.yaml", keys::REVISION: "c".repeat(40),
        keys::TRACKING_ID: "towline-system/team-a/shop:apps/Deployment:shop/web"}});
    let of = |kind: &str, name: &str| {
        json!({"ownerReferences": [{"apiVersion": "apps/v1", "kind": kind, "name": name,
            "uid": name, "controller": true}]})
    };
    cluster.put(Object(json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": meta("web", marks),
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}},
        "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1,
            "unavailableReplicas": 1, "conditions": [
                {"type": "Available", "status": "False", "lastTransitionTime": "2026-05-01T11:30:00Z"},
                {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated",
                 "message": "ReplicaSet \"web-1\" is progressing."}]}})));
    cluster.put(Object(
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": meta("web-1", of("Deployment", "web"))}),
    ));
    cluster.put(Object(json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": meta("web-1-x", of("ReplicaSet", "web-1")),
        "spec": {"containers": [{"name": "web"}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "web", "ready": false,
            "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 1, "message": "no such table"}}}]}})));
    cluster.says(
        "previous log of web in Pod/shop/web-1-x",
        "starting\nno such table: users\n",
    );
}

#[tokio::test]
async fn one_that_is_fine_says_so_in_a_line() {
    let cluster = cluster();
    let message = "main@aaaaaaaa is applied: 3 objects";
    cluster.put(application(
        "shop",
        ("True", "Synced", message),
        ("Healthy", ""),
    ));
    let (code, out, err) = explain(&cluster, &["shop", "-n", "team-a"]).await;
    assert_eq!((code, err.as_str()), (FINE, ""));
    assert_eq!(
        out,
        "Application/team-a/shop: Synced and Healthy: main@aaaaaaaa is applied: 3 objects\n"
    );
}

#[tokio::test]
async fn that_no_agent_is_there_is_said_before_all_else() {
    let cluster = cluster();
    let message = "main@aaaaaaaa is applied: 3 objects";
    cluster.put(application(
        "shop",
        ("True", "Synced", message),
        ("Healthy", ""),
    ));
    let lease = |renewed: &str| {
        cluster.put(Object(
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "towline", "namespace": "towline-system"},
            "spec": {"renewTime": renewed, "leaseDurationSeconds": 15}}),
        ));
    };
    lease("2026-01-01T00:00:00.000000Z");
    let (_, _, err) = explain(&cluster, &["shop", "-n", "team-a"]).await;
    assert!(
        err.starts_with(
            "warning: no agent has renewed its Lease in towline-system since 2026-01-01"
        ),
        "{err}"
    );
    lease(&Timestamp::now().to_string());
    let (_, _, err) = explain(&cluster, &["shop", "-n", "team-a"]).await;
    assert_eq!(err, "");
}

#[tokio::test]
async fn a_crash_comes_first_with_the_last_words_and_then_what_waits_for_it() {
    let cluster = cluster();
    crashing(&cluster);
    let waits = "wave 1 waits for Deployment/shop/web";
    let health = ("Degraded", "Deployment/shop/web: pod `web-1-x`: …");
    cluster.put(application(
        "shop",
        ("False", "WaitingForWave", waits),
        health,
    ));
    let (code, out, _) = explain(&cluster, &["shop", "-n", "team-a"]).await;
    assert_eq!(code, NOT_FINE);
    let root = "Deployment/shop/web: CrashLoopBackOff: pod `web-1-x`: container `web` exited with 1, 4 restarts: no such table\n";
    assert!(out.starts_with(root), "{out}");
    for expected in [
        "  since: 2026-05-01T11:30:00Z (",
        "  file:  prod/web.yaml\n",
        "  next:  kubectl describe pod web-1-x -n shop\n",
        "  log:   last lines of container `web` of pod `web-1-x`, before its last restart\n    | starting\n    | no such table: users\n",
        "Application/team-a/shop: WaitingForWave\n  why:   wave 1 waits for Deployment/shop/web\n",
    ] {
        assert!(out.contains(expected), "{expected} is not in:\n{out}");
    }
}

#[tokio::test]
async fn without_the_right_to_read_what_it_owns_the_worst_object_is_explained() {
    let cluster = cluster();
    crashing(&cluster);
    cluster.fail("list secrets in towline-system", 403);
    let health = ("Degraded", "Deployment/shop/web: pod `web-1-x`: …");
    cluster.put(application("shop", ("True", "Synced", ""), health));
    let (code, out, err) = explain(&cluster, &["shop", "-n", "team-a"]).await;
    assert_eq!(code, NOT_FINE);
    assert!(
        out.starts_with("Deployment/shop/web: CrashLoopBackOff: "),
        "{out}"
    );
    assert!(
        err.starts_with("only the worst object is explained: "),
        "{err}"
    );
}

#[tokio::test]
async fn what_a_pod_may_not_say_is_hidden_where_it_is_quoted() {
    let cluster = cluster();
    crashing(&cluster);
    let resource = Resource::known("v1", "Pod", "pods", Scope::Namespaced);
    let target = Target::new(&resource, "shop", "web-1-x");
    let found = cluster.get(&Identity::Agent, &target).await.expect("read");
    let mut pod = found.expect("there");
    pod.0["spec"]["containers"][0]["envFrom"] = json!([{"secretRef": {"name": "db"}}]);
    cluster.put(pod);
    cluster.put(Object(json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "db", "namespace": "shop"}, "data": {"t": "dXNlcnM="}})));
    let waits = "wave 1 waits for Deployment/shop/web: no such table: users";
    let health = ("Degraded", "Deployment/shop/web: pod");
    cluster.put(application(
        "shop",
        ("False", "WaitingForWave", waits),
        health,
    ));
    let (_, out, _) = explain(&cluster, &["shop", "-n", "team-a"]).await;
    assert!(
        !out.contains("users") && out.contains("no such table: ***"),
        "{out}"
    );
}

#[tokio::test]
async fn a_pod_leads_to_what_git_declares() {
    let cluster = cluster();
    crashing(&cluster);
    let health = ("Degraded", "Deployment/shop/web: pod");
    cluster.put(application("shop", ("True", "Synced", ""), health));
    let (code, out, _) = explain(&cluster, &["po/web-1-x"]).await;
    assert_eq!(code, NOT_FINE);
    for expected in [
        "Pod/shop/web-1-x: CrashLoopBackOff: container `web` exited with 1",
        "Deployment/shop/web: declared\n  why:   of ReplicaSet/shop/web-1, of Deployment/shop/web, owned by Application/team-a/shop, changed last by commit cccccccc\n  file:  prod/web.yaml\n  next:  towline explain shop -n team-a\n",
    ] {
        assert!(out.contains(expected), "{expected} is not in:\n{out}");
    }
}

#[tokio::test]
async fn a_chain_of_dependencies_ends_at_its_root() {
    let cluster = cluster();
    let waits = |name: &str, needs: &str| {
        let said = format!("waits for Application {needs}");
        let mut app = application(
            name,
            ("False", "WaitingForDependency", &said),
            ("Healthy", ""),
        );
        app.0["spec"] = json!({"dependsOn": [{"name": needs}]});
        cluster.put(app);
    };
    waits("web", "api");
    waits("api", "db");
    let message = "prod/db.yaml:3: no such field";
    cluster.put(application(
        "db",
        ("False", "RenderFailed", message),
        ("Healthy", ""),
    ));
    let (code, out, _) = explain(&cluster, &["web", "-n", "team-a"]).await;
    assert_eq!(code, NOT_FINE);
    assert!(
        out.starts_with("Application/team-a/db: RenderFailed: prod/db.yaml:3: no such field\n"),
        "{out}"
    );
    assert!(out.contains("next:  towline explain db -n team-a"), "{out}");
    assert!(out.contains("why:   waits for Application api"), "{out}");
}

#[tokio::test]
async fn an_object_that_hangs_names_its_finalizer() {
    let cluster = cluster();
    cluster.put(Object(json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "shop", "deletionTimestamp": "2026-05-01T11:00:00Z",
            "finalizers": ["example.com/hold"], "managedFields": [{"manager": "holder",
                "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
                "fieldsV1": {"f:metadata": {"f:finalizers": {"v:\"example.com/hold\"": {}}}}}]}})));
    let (code, out, _) = explain(&cluster, &["cm/a", "-n", "shop"]).await;
    assert_eq!(code, NOT_FINE);
    assert!(
        out.starts_with("ConfigMap/shop/a: Terminating: being deleted since 2026-05-01T11:00:00Z, waiting for finalizer example.com/hold (set by holder: is it running?)\n"),
        "{out}"
    );
    assert!(out.contains("no Application owns it"), "{out}");
}

#[tokio::test]
async fn what_is_not_there_is_missing_only_if_somebody_misses_it() {
    let cluster = cluster();
    let health = ("Missing", "ConfigMap/shop/a: not in the cluster");
    cluster.put(application(
        "shop",
        ("False", "OutOfSync", "1 objects differ"),
        health,
    ));
    let (code, out, _) = explain(&cluster, &["configmap/a"]).await;
    assert_eq!(code, NOT_FINE);
    assert!(out.contains("Application/team-a/shop: Missing"), "{out}");
}
