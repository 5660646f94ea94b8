//! Objects that want more than they should (cases 11, 13 and 15).

use serde_json::{Value, json};
use towline::cluster::{Discovery, Resource};
use towline::desired::{Desired, build};
use towline::error::Diagnostics;
use towline::inventory::Owner;
use towline::object::Scope;
use towline::render::{Options, render};

use super::{CONFIG_MAP, tree};

/// What the cluster would get of one manifest.
fn desired(manifest: &str) -> Result<Desired, Diagnostics> {
    let tree = tree([("a.yaml", manifest)]);
    let rendered = render(&tree, "", &Options::default()).unwrap();
    let known = Resource::known("v1", "ConfigMap", "configmaps", Scope::Namespaced);
    let mut deployments =
        Resource::known("apps/v1", "Deployment", "deployments", Scope::Namespaced);
    deployments.has_status = true;
    let owner = Owner {
        install: "towline-system".into(),
        namespace: "towline-system".into(),
        name: "shop".into(),
    };
    build(
        &rendered.objects,
        &Discovery::from_resources([known, deployments]),
        &owner,
        "shop",
    )
}

/// The only object, and what is noted about it.
fn only(manifest: &str) -> (Value, String) {
    let desired = desired(manifest).unwrap();
    let notes: Vec<String> = desired.notes.iter().map(ToString::to_string).collect();
    let object = desired.objects.values().next().unwrap();
    (object.object().0, notes.join("\n"))
}

#[test]
fn metadata_of_the_server_is_left_out_with_a_word() {
    for (field, value) in [
        ("uid", "0-0-0"),
        ("resourceVersion", "'1'"),
        ("generation", "7"),
        ("creationTimestamp", "2020-01-01T00:00:00Z"),
        ("deletionTimestamp", "2020-01-01T00:00:00Z"),
        ("deletionGracePeriodSeconds", "0"),
        ("selfLink", "/api/v1"),
        ("managedFields", "[{manager: kubectl, operation: Apply}]"),
        (
            "ownerReferences",
            "[{apiVersion: v1, kind: ConfigMap, name: other, uid: 0-0-0, blockOwnerDeletion: true}]",
        ),
    ] {
        let manifest = CONFIG_MAP.replace("  name: a", &format!("  name: a\n  {field}: {value}"));
        let (object, notes) = only(&manifest);
        assert_eq!(object["metadata"].get(field), None, "{object}");
        assert!(
            notes.starts_with("a.yaml:1: ConfigMap/")
                && notes.contains(&format!("`metadata.{field}`")),
            "{field}: {notes}"
        );
    }
}

#[test]
fn a_finalizer_is_kept_and_a_status_is_not() {
    // Finalizers are a field of the owner like others: operators and `kubectl apply` rely on it.
    let manifest = CONFIG_MAP.replace("  name: a", "  name: a\n  finalizers: [example.com/f]");
    let (object, notes) = only(&manifest);
    assert_eq!(object["metadata"]["finalizers"], json!(["example.com/f"]));
    assert_eq!(notes, "");
    let manifest = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: 1}\n\
                    status: {readyReplicas: 1, conditions: [{type: Available, status: 'True'}]}\n";
    assert_eq!(only(manifest).0.get("status"), None);
}

#[test]
fn a_generated_name_is_refused_with_what_to_do() {
    let manifest = CONFIG_MAP.replace("name: a", "generateName: a-");
    let text = desired(&manifest).unwrap_err().to_string();
    assert!(
        text.starts_with("a.yaml:1: ") && text.contains("generateName is for hooks"),
        "{text}"
    );
}

#[test]
fn marks_of_towline_in_git_are_overwritten_by_its_own() {
    let forged = "  name: a\n  labels: {towline.dev/application: other}\n  annotations: \
                  {towline.dev/tracking-id: 'other', towline.dev/source: /etc/passwd}";
    let (object, _) = only(&CONFIG_MAP.replace("  name: a", forged));
    let honest = only(CONFIG_MAP).0;
    assert_eq!(object["metadata"], honest["metadata"]);
}

/// kustomize has no `${VAR}`, and neither has towline: nothing of a Secret or of the environment
/// gets into other objects by it.
#[test]
fn variables_of_a_shell_stay_as_they_are_written() {
    let text = "${HOME} $HOME ${TOKEN:=x} $(HOME) `id` {{ .Values.x }} ${a${b}}";
    let manifest = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  annotations: {{v: '{text}'}}\ndata: {{v: '{text}'}}\n"
    );
    let kustomized = tree([
        (
            "kustomization.yaml",
            "resources: [a.yaml]\nconfigMapGenerator: [{name: g, literals: ['v=${HOME}'], envs: [e]}]\n",
        ),
        ("a.yaml", manifest.as_str()),
        ("e", "HOME\nX=${HOME}\n"),
    ]);
    let rendered = render(&kustomized, "", &Options::default()).unwrap();
    let value = |name: &str| {
        let found = rendered.objects.iter().find(|o| {
            o.value["metadata"]["name"]
                .as_str()
                .is_some_and(|n| n.starts_with(name))
        });
        found.unwrap().value.clone()
    };
    assert_eq!(value("a")["data"]["v"], text);
    assert_eq!(value("a")["metadata"]["annotations"]["v"], text);
    // also a key alone in an env file, which kustomize takes from its environment
    assert_eq!(
        value("g")["data"],
        json!({"v": "${HOME}", "HOME": "", "X": "${HOME}"})
    );
    let plain = render(
        &tree([("a.yaml", manifest.as_str())]),
        "",
        &Options::default(),
    )
    .unwrap();
    assert_eq!(plain.objects[0].value["data"]["v"], text);
}

/// As in kustomize, `namespace` renames Namespaces, and no prefix touches what the cluster knows by
/// name. What it means for objects that then leave Git is the prune guard's to say.
#[test]
fn transformers_spare_the_names_that_the_cluster_knows() {
    let all = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n\
               apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: applications.towline.dev}\n---\n\
               apiVersion: apiregistration.k8s.io/v1\nkind: APIService\nmetadata: {name: v1.example.com}\n";
    let rendered = |text: &str| {
        let kustomization = format!("resources: [all.yaml]\n{text}\n");
        let tree = tree([
            ("kustomization.yaml", kustomization.as_str()),
            ("all.yaml", all),
        ]);
        let rendered = render(&tree, "", &Options::default()).unwrap();
        let mut names: Vec<String> = rendered
            .objects
            .iter()
            .map(|o| {
                format!(
                    "{}/{}",
                    o.value["kind"].as_str().unwrap(),
                    o.value["metadata"]["name"].as_str().unwrap()
                )
            })
            .collect();
        names.sort();
        names.join(" ")
    };
    let kept =
        "APIService/v1.example.com CustomResourceDefinition/applications.towline.dev Namespace/";
    assert_eq!(
        rendered("namePrefix: x-\nnameSuffix: -y"),
        format!("{kept}shop")
    );
    assert_eq!(rendered("namespace: other"), format!("{kept}other"));
}
