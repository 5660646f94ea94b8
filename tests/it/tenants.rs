//! Applications of teams act as their team's ServiceAccount, and as nothing else.

use serde_json::{Value, json};

use crate::world::manifests::{config_map, deployment, service};
use crate::world::{World, logs, wait_for};

/// A world whose agent also honours the Applications of a team's namespace.
fn with_team(name: &str) -> (World<'static>, String) {
    let mut world = World::idle(name);
    let team = format!("{name}-team");
    world.make_namespace(&team);
    let mut options = world.options();
    options.application_namespaces.push(team.clone());
    world.start_with(options);
    (world, team)
}

/// An Application in the team's namespace, which deploys into it.
fn team_application(world: &World<'_>, team: &str) -> Value {
    let mut app = world.application("shop", "shop");
    app["metadata"]["namespace"] = team.into();
    app["spec"]["destination"]["namespace"] = team.into();
    app
}

fn status(world: &World<'_>, team: &str) -> Value {
    world
        .get("Application", team, "shop")
        .map(|app| app["status"].clone())
        .unwrap_or_default()
}

/// The Role and the account of `manifests/components/tenant`, cut to what is needed.
fn make_deployer(world: &World<'_>, team: &str) {
    let verbs = json!([
        "get", "list", "watch", "create", "patch", "update", "delete"
    ]);
    let rbac = "rbac.authorization.k8s.io";
    let at = json!({"name": "deployer", "namespace": team});
    world.apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": at}));
    world.apply(
        &json!({"apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": at,
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}]}),
    );
    world.apply(
        &json!({"apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": at,
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "deployer"},
        "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": team}]}),
    );
}

fn value(world: &World<'_>, team: &str, name: &str) -> String {
    let live = world.get("ConfigMap", team, name).unwrap_or_default();
    live["data"]["value"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn an_application_of_a_team_needs_an_account_and_acts_as_it() {
    let (world, team) = with_team("team");
    world.commit(&[("shop/a.yaml", &config_map("a", "1"))]);
    let mark = world.plane.audit_mark();
    world.create(&team_application(&world, &team));
    wait_for("the refusal", || {
        status(&world, &team)["conditions"][0]["reason"] == "IdentityRequired"
    });
    let said = status(&world, &team).to_string();
    assert!(
        said.contains("spec.serviceAccountName") && said.contains(&team),
        "{said}"
    );
    let about_team = |event: &towline_testcluster::AuditEvent| {
        event.namespace == team && event.resource != "applications" && event.resource != "events"
    };
    let asked: Vec<_> = world
        .requests(mark)
        .into_iter()
        .filter(about_team)
        .collect();
    assert!(
        asked.iter().all(|event| event.resource == "secrets"),
        "only its credentials: {asked:?}"
    );

    make_deployer(&world, &team);
    let spec = json!({"spec": {"serviceAccountName": "deployer"}});
    world.patch("Application", &team, "shop", &spec);
    wait_for("the sync as the account", || {
        value(&world, &team, "a") == "1"
    });
    wait_for("the status", || {
        status(&world, &team)["conditions"][0]["status"] == "True"
    });
    // The account may watch in its own namespace only, and drift is seen all the same.
    let patch = json!({"data": {"value": "drift"}});
    world.patch("ConfigMap", &team, "a", &patch);
    wait_for("the content of Git", || value(&world, &team, "a") == "1");
    let account = format!("system:serviceaccount:{team}:deployer");
    let of_objects = |event: &towline_testcluster::AuditEvent| event.resource == "configmaps";
    let asked: Vec<_> = world
        .requests(mark)
        .into_iter()
        .filter(of_objects)
        .collect();
    assert!(asked.len() > 2, "{asked:?}");
    assert!(
        asked.iter().all(|event| event.impersonated == account),
        "{asked:?}"
    );
}

#[test]
fn an_account_limits_what_a_commit_can_do() {
    let (world, team) = with_team("team-limit");
    make_deployer(&world, &team);
    let elsewhere = config_map("b", "1").replace(
        "metadata:\n",
        &format!("metadata:\n  namespace: {}\n", world.work),
    );
    world.commit(&[
        ("shop/a.yaml", &config_map("a", "1")),
        ("shop/b.yaml", &elsewhere),
        ("shop/service.yaml", &service("web", 80)),
    ]);
    let mut app = team_application(&world, &team);
    app["spec"]["serviceAccountName"] = "deployer".into();
    world.create(&app);
    wait_for("the refusal", || {
        status(&world, &team)["conditions"][0]["reason"] == "Forbidden"
    });
    assert_eq!(world.live("ConfigMap", "b"), None);
    assert_eq!(world.get("Service", &team, "web"), None);
}

#[test]
fn an_account_that_may_not_see_pods_still_has_the_health_of_its_workloads() {
    let (world, team) = with_team("team-pods");
    make_deployer(&world, &team);
    let rbac = "rbac.authorization.k8s.io";
    let at = json!({"name": "deployments", "namespace": team});
    world.apply(
        &json!({"apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": at,
        "rules": [{"apiGroups": ["apps"], "resources": ["deployments"],
            "verbs": ["get", "list", "watch", "create", "patch", "update", "delete"]}]}),
    );
    world.apply(
        &json!({"apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": at,
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "deployments"},
        "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": team}]}),
    );
    let crashes =
        "        app: web\n        testcluster.towline.dev/waiting: CrashLoopBackOff\n    spec";
    let manifest =
        deployment("web", Some(1), "nginx:1").replace("        app: web\n    spec", crashes);
    world.commit(&[("shop/web.yaml", &manifest)]);
    let mark = world.plane.audit_mark();
    let mut app = team_application(&world, &team);
    app["spec"]["serviceAccountName"] = "deployer".into();
    world.create(&app);
    let account = format!("system:serviceaccount:{team}:deployer");
    let of_pods = || -> Vec<_> {
        let requests = world.requests(mark).into_iter();
        requests.filter(|event| event.resource == "pods").collect()
    };
    wait_for("the refusal to list pods", || {
        of_pods().iter().any(|event| event.code == 403)
    });
    wait_for("the health of the workload", || {
        let health = status(&world, &team)["health"].clone();
        let message = health["message"].as_str().unwrap_or_default();
        health["status"] == "Progressing"
            && message.contains("0 of 1 updated replicas are available")
    });
    world.wait_polls(3.0);
    let asked = of_pods();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].impersonated, account);
    let notes = || {
        let is_it =
            |line: &&str| line.contains("pods may not be watched") && line.contains(&account);
        logs().lines().filter(is_it).count()
    };
    // Said, and closed, after the answer.
    wait_for("the end of the watch", || {
        notes() > 0 && world.agent().metric("towline_pod_watches") == 0.0
    });
    assert_eq!(notes(), 1);
}

#[test]
fn an_application_of_a_namespace_that_is_not_honoured_is_left_alone() {
    let world = World::new("not-honoured");
    world.commit(&[("shop/a.yaml", &config_map("a", "1"))]);
    world.create(&team_application(&world, &world.work));
    let commit = world.commit(&[("own/own.yaml", &config_map("own", "1"))]);
    world.create(&world.application("own", "own"));
    world.synced("own", &commit);
    assert_eq!(status(&world, &world.work), Value::Null);
    assert_eq!(world.value("a"), "");
}
