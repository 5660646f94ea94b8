//! What is wrong in Git or with it is told, with its place and what to do, and costs nothing: the
//! last good state stays enforced, nothing is deleted, and other Applications do not notice.

use serde_json::json;
use towline_testcluster::{Auth, Fault, GitRepo, GitServer};

use crate::world::manifests::config_map;
use crate::world::{World, condition, wait_for};

const KUSTOMIZATION: &str = "resources:\n  - a.yaml\n  - b.yaml\n";

/// A world with an Application that will break, and one of another repository that will not.
struct Incident {
    world: World<'static>,
    other: (GitRepo, GitServer),
}

impl Incident {
    fn new(name: &str) -> Self {
        let world = World::new(name);
        let other = world.other_repository();
        other
            .0
            .write("well/well.yaml", &config_map("well", "0"))
            .unwrap();
        let commit = other.0.commit("Well").unwrap();
        let mut app = world.application("well", "well");
        app["spec"]["source"]["repoURL"] = other.1.url("repo.git").into();
        world.create(&app);
        world.deploy(
            "shop",
            "shop",
            &[
                ("shop/kustomization.yaml", KUSTOMIZATION),
                ("shop/a.yaml", &config_map("a", "1")),
                ("shop/b.yaml", &config_map("b", "1")),
            ],
        );
        world.synced("well", &commit);
        Self { world, other }
    }

    /// Checks what the Application says, and everything that a mistake must not cost.
    fn is_contained(&self, reason: &str, told: &[&str]) {
        let world = &self.world;
        let message = world.failed("shop", reason);
        for part in told {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
        let mark = world.plane.audit_mark();
        let app = world.app("shop");
        assert_eq!(
            condition(&app, "Healthy")["status"],
            "True",
            "what runs is healthy: {app}"
        );
        world.patch(
            "ConfigMap",
            &world.work,
            "a",
            &json!({"data": {"value": "drift"}}),
        );
        wait_for("the last good content", || world.value("a") == "1");
        world.delete("ConfigMap", &world.work, "b");
        wait_for("the last good object", || world.value("b") == "1");
        self.others_go_on();
        assert_eq!(world.deletes(mark), [""; 0]);
    }

    /// Another Application gets its commits as ever.
    fn others_go_on(&self) {
        let (repo, _) = &self.other;
        let value = repo.head().unwrap();
        repo.write("well/well.yaml", &config_map("well", &value))
            .unwrap();
        let commit = repo.commit("Still well").unwrap();
        self.world.synced("well", &commit);
        assert_eq!(self.world.value("well"), value);
    }
}

#[test]
fn a_git_server_that_is_out_of_order_is_waited_for() {
    let incident = Incident::new("git-down");
    let world = &incident.world;
    world.git.set_fault(Fault::Disconnect);
    incident.is_contained("SourceUnreachable", &[&world.git.url("repo.git")]);
    world.git.set_fault(Fault::Status(503));
    world.refresh("shop");
    world.git.set_fault(Fault::None);
    let commit = world.commit(&[("shop/a.yaml", &config_map("a", "2"))]);
    world.synced("shop", &commit);
    wait_for("the event", || {
        world
            .events("shop")
            .iter()
            .any(|(reason, _)| reason == "Recovered")
    });
}

#[test]
fn a_git_server_that_never_answers_holds_up_nobody_else() {
    let mut incident = Incident::new("git-hangs");
    incident.world.git.set_fault(Fault::Hang);
    incident.world.poke("shop");
    incident.others_go_on();
    let world = &incident.world;
    world.patch(
        "ConfigMap",
        &world.work,
        "a",
        &json!({"data": {"value": "drift"}}),
    );
    wait_for("the last good content", || world.value("a") == "1");
    incident.world.stop_agent();
    incident.world.git.set_fault(Fault::None);
}

#[test]
fn missing_credentials_are_named_and_used_once_they_are_there() {
    let incident = Incident::new("git-401");
    let world = &incident.world;
    let password = "swordfish-4711";
    world.git.set_auth(Auth::Basic {
        user: "towline".into(),
        password: password.into(),
    });
    incident.is_contained(
        "AuthenticationFailed",
        &["towline.dev/secret-type", "repo.git"],
    );
    let secret = |password: &str| {
        json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "credentials", "namespace": world.ns,
                "labels": {"towline.dev/secret-type": "repository"}},
            "stringData": {"url": world.git.url("repo.git"), "username": "towline",
                "password": password}})
    };
    world.apply(&secret("wrong"));
    world.refresh("shop");
    world.failed("shop", "AuthenticationFailed");
    world.apply(&secret(password));
    world.wait_condition("shop", "Ready", "True", "Ready");
    let commit = world.commit(&[("shop/a.yaml", &config_map("a", "2"))]);
    world.synced("shop", &commit);
    assert!(!world.app("shop").to_string().contains(password));
}

#[test]
fn a_branch_that_is_not_there_is_named() {
    let incident = Incident::new("no-branch");
    let world = &incident.world;
    world.change("shop", &json!({"source": {"targetRevision": "mian"}}));
    incident.is_contained("BranchNotFound", &["mian"]);
    world.change("shop", &json!({"source": {"targetRevision": "main"}}));
    world.wait_condition("shop", "Ready", "True", "Ready");
}

#[test]
fn a_branch_that_is_deleted_changes_nothing() {
    let incident = Incident::new("branch-deleted");
    let world = &incident.world;
    world.repo.switch("release").unwrap();
    let commit = world.commit(&[("note.txt", "release")]);
    world.change("shop", &json!({"source": {"targetRevision": "release"}}));
    world.synced("shop", &commit);
    world.repo.delete_branch("release").unwrap();
    world.poke("shop");
    incident.is_contained("BranchNotFound", &["release"]);
}

#[test]
fn a_path_that_is_not_there_is_named() {
    let incident = Incident::new("no-path");
    let world = &incident.world;
    world.repo.git(&["mv", "shop", "moved"]).unwrap();
    world.repo.commit("Moved").unwrap();
    world.poke("shop");
    incident.is_contained("PathNotFound", &["shop"]);
    let commit = world.repo.head().unwrap();
    world.change("shop", &json!({"source": {"path": "moved"}}));
    world.synced("shop", &commit);
}

#[test]
fn broken_yaml_is_told_with_file_and_line() {
    let incident = Incident::new("broken-yaml");
    let world = &incident.world;
    let broken = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n data: {\n";
    let commit = world.commit(&[("shop/a.yaml", broken)]);
    world.poke("shop");
    incident.is_contained("YamlInvalid", &["shop/a.yaml:", "stays enforced"]);
    world.repo.revert(&commit).unwrap();
    world.synced("shop", &world.repo.head().unwrap());
}

#[test]
fn an_unknown_field_of_a_kustomization_is_told_with_file_and_line() {
    let incident = Incident::new("unknown-field");
    let world = &incident.world;
    let wrong = format!("{KUSTOMIZATION}namePrefiks: x-\n");
    let commit = world.commit(&[("shop/kustomization.yaml", &wrong)]);
    world.poke("shop");
    incident.is_contained(
        "UnknownField",
        &["shop/kustomization.yaml:4", "namePrefiks", "stays enforced"],
    );
    world.repo.revert(&commit).unwrap();
    world.synced("shop", &world.repo.head().unwrap());
}

/// Each would cost the agent its memory, or show a file of its machine, if it were believed.
#[test]
fn a_hostile_commit_costs_its_own_application_a_message_and_nobody_anything_else() {
    let incident = Incident::new("hostile-commit");
    let world = &incident.world;
    let good = world.repo.head().unwrap();
    let escape = format!("{KUSTOMIZATION}  - ../../../../../../etc/passwd\n");
    world.commit(&[("shop/kustomization.yaml", &escape)]);
    world.poke("shop");
    let told = ["shop/kustomization.yaml:4", "etc/passwd", "stays enforced"];
    incident.is_contained("PathEscape", &told);
    assert!(!world.app("shop").to_string().contains("root:"));

    let mut bomb = config_map("b", "1") + "x0: &x0 [a, a, a, a, a, a, a, a, a]\n";
    for i in 1..9 {
        let aliases = vec![format!("*x{}", i - 1); 9].join(", ");
        bomb += &format!("x{i}: &x{i} [{aliases}]\n");
    }
    // the other object leaves Git in the same commit, and stays
    world.repo.remove("shop/a.yaml").unwrap();
    let only = [
        ("shop/kustomization.yaml", "resources:\n  - b.yaml\n"),
        ("shop/b.yaml", bomb.as_str()),
    ];
    world.commit(&only);
    world.poke("shop");
    incident.is_contained("LimitExceeded", &["shop/b.yaml:", "anchors and aliases"]);
    world.repo.git(&["checkout", &good, "--", "."]).unwrap();
    world.synced("shop", &world.repo.commit("As it was").unwrap());
}

#[test]
fn a_missing_resource_of_a_kustomization_is_told() {
    let incident = Incident::new("missing-resource");
    let world = &incident.world;
    world.remove(&["shop/b.yaml"]);
    world.poke("shop");
    incident.is_contained("PathNotFound", &["shop/kustomization.yaml", "b.yaml"]);
}

#[test]
fn an_object_that_is_declared_twice_is_told_with_both_places() {
    let incident = Incident::new("declared-twice");
    let world = &incident.world;
    world.remove(&["shop/kustomization.yaml"]);
    world.synced("shop", &world.repo.head().unwrap());
    world.commit(&[("shop/again.yaml", &config_map("a", "2"))]);
    world.poke("shop");
    incident.is_contained(
        "ManifestInvalid",
        &["shop/again.yaml", "shop/a.yaml", "declared twice"],
    );
}
