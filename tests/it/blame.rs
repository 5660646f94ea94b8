//! `towline blame` leads from a live field to the line that set it and to the commit of that line, or
//! to whoever changed it in the cluster.

use serde_json::{Value, json};

use crate::cli::towline;
use crate::world::World;
use crate::world::manifests::{config_map, deployment, secret};

const OVERLAY: &str = "\
resources:
- ../base
labels:
- pairs:
    team: payments
images:
- name: nginx
  newTag: \"1\"
patches:
- path: limits.yaml
";

const LIMITS: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  template:
    spec:
      containers:
      - name: web
        resources:
          limits:
            memory: 64Mi
";

/// The lines of the answer by field: who, and where.
fn blame(world: &World<'_>, args: &[&str]) -> Vec<(String, String, String)> {
    let to = ["-n", &world.work, "-o", "json"];
    let (code, out, err) = towline(world.plane, &[&["blame"], args, &to[..]].concat());
    assert_eq!(code, 0, "{out}{err}");
    let list: Value = serde_json::from_str(&out).unwrap();
    let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let lines = list.as_array().unwrap().iter();
    lines
        .map(|line| (text(line, "field"), text(line, "by"), text(line, "place")))
        .collect()
}

fn has(told: &[(String, String, String)], field: &str, who: &str, place: &str) {
    let found = told.iter().find(|(one, ..)| one == field);
    let found = found.unwrap_or_else(|| panic!("{field} is not in {told:#?}"));
    assert_eq!(
        (found.1.as_str(), found.2.as_str()),
        (who, place),
        "{told:#?}"
    );
}

#[test]
fn a_field_leads_to_the_commit_of_the_line_that_set_it() {
    let world = World::new("blame");
    let short = |commit: &str| commit[..8].to_owned();
    let mut commits = Vec::new();
    let mut commit = |files: &[(&str, &str)]| {
        commits.push(world.commit(files));
        short(commits.last().unwrap())
    };
    let first = commit(&[
        ("base/kustomization.yaml", "resources: [web.yaml]\n"),
        ("base/web.yaml", &deployment("web", Some(1), "nginx")),
        ("prod/kustomization.yaml", OVERLAY),
        ("prod/limits.yaml", LIMITS),
        ("prod/other.yaml", &config_map("other", "1")),
    ]);
    let tag = commit(&[(
        "prod/kustomization.yaml",
        &OVERLAY.replace("newTag: \"1\"", "newTag: \"2\""),
    )]);
    let limit = commit(&[("prod/limits.yaml", &LIMITS.replace("64Mi", "128Mi"))]);
    // Lines that move are the lines that they were.
    let moved = OVERLAY
        .replace("newTag: \"1\"", "newTag: \"2\"")
        .replace("resources:\n", "# the shop\nnamePrefix: x-\nresources:\n");
    let prefix = commit(&[("prod/kustomization.yaml", &moved)]);
    let newest = commit(&[("unrelated.txt", "1")]);

    let full = commits.last().unwrap().clone();
    let mut app = world.application("shop", "prod");
    app["spec"]["syncPolicy"]["automated"]["selfHeal"] = false.into();
    world.create(&app);
    world.synced("shop", &full);

    let told = blame(&world, &["deployment/x-web"]);
    let web = "spec.template.spec.containers[name=\"web\"]";
    has(
        &told,
        &format!("{web}.image"),
        &tag,
        "prod/kustomization.yaml:10",
    );
    has(
        &told,
        &format!("{web}.resources.limits.memory"),
        &limit,
        "prod/limits.yaml:12",
    );
    has(
        &told,
        "metadata.labels.team",
        &first,
        "prod/kustomization.yaml:7",
    );
    has(&told, "metadata.name", &prefix, "prod/kustomization.yaml:2");
    has(&told, "spec.replicas", &first, "base/web.yaml:6");
    has(
        &told,
        "metadata.namespace",
        "towline",
        "spec of Application/blame/shop",
    );
    has(
        &told,
        "spec.revisionHistoryLimit",
        "default of the API server",
        "",
    );

    // What somebody changes in the cluster is theirs from then on.
    world.kubectl(&["scale", "deployment/x-web", "--replicas=2"]);
    world.wait_drift("shop", "spec.replicas");
    let told = blame(&world, &["deploy/x-web", "--field", "spec.replicas"]);
    assert_eq!(told.len(), 1, "{told:?}");
    has(&told, "spec.replicas", "kubectl (Update, scale)", "");

    // With too little of the history it is only known when it was so at the latest.
    let args = ["deploy/x-web", "--field", "metadata.labels", "--depth=1"];
    let told = blame(&world, &args);
    let late = format!("at or before {newest}");
    has(
        &told,
        "metadata.labels.team",
        &late,
        "prod/kustomization.yaml:7",
    );

    let line = ["blame", "deploy/x-web", "-n", &world.work, "--field", web];
    let (code, out, err) = towline(world.plane, &line);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let image = out.lines().find(|line| line.contains(".image ")).unwrap();
    assert!(
        image.contains("\"nginx:2\"")
            && image.contains(&tag)
            && image.ends_with("prod/kustomization.yaml:10"),
        "{out}"
    );
}

#[test]
fn a_secret_is_blamed_without_its_values() {
    let world = World::new("blame-secret");
    let commit = world.deploy("shop", "app", &[("app/s.yaml", &secret("s", "hunter2"))]);
    let line = ["blame", "secret/s", "-n", &world.work];
    let (code, out, err) = towline(world.plane, &line);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let key = out
        .lines()
        .find(|line| line.starts_with("data.password "))
        .unwrap();
    assert!(
        key.contains("***") && key.contains(&commit[..8]) && key.ends_with("app/s.yaml:6"),
        "{out}"
    );
    assert!(
        !out.contains("hunter") && !out.contains("aHVudGVy"),
        "{out}"
    );
}

#[test]
fn what_no_application_owns_has_field_managers_only() {
    let world = World::idle("blame-other");
    let fields = json!({"data": {"k": "v"}});
    world.apply_as("controller", "v1", "ConfigMap", "a", &fields);
    let line = ["blame", "cm/a", "-n", &world.work, "--field", "data"];
    let (code, out, err) = towline(world.plane, &line);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("controller (Apply)"), "{out}");
    assert!(err.contains("no Application owns it"), "{err}");
    let (code, _, err) = towline(
        world.plane,
        &["blame", "cm/a", "-n", &world.work, "--field", "nope"],
    );
    assert_eq!(code, 1);
    assert!(err.contains("has no field `nope`"), "{err}");
}
