//! Small input that transformers would make large, and patches that go where they should not
//! (cases 10 and 12).

use std::fmt::Write as _;

use serde_json::json;
use towline::error::Fault as _;
use towline::render::{Options, limits, render};

use super::{CONFIG_MAP, is_refused, refusal, rendered, tree, with_object};

/// A kustomization with one JSON patch of the ConfigMap.
fn patched(operations: &str) -> towline::tree::Tree {
    // in front of a bracket, a space makes YAML of it and not JSON
    let space = if operations.starts_with('[') { " " } else { "" };
    let operations = format!("{space}{operations}");
    let kustomization =
        "resources: [a.yaml]\npatches: [{path: p.yaml, target: {kind: ConfigMap}}]\n";
    tree([
        ("kustomization.yaml", kustomization),
        ("a.yaml", CONFIG_MAP),
        ("p.yaml", &operations),
    ])
}

#[test]
fn a_json_patch_that_does_not_fit_is_refused() {
    for operations in [
        "[{op: add, path: /data/list/999999999, value: 1}]",
        "[{op: add, path: /l, value: [1]}, {op: add, path: /l/999999999, value: 1}]",
        "[{op: add, path: /l, value: [1]}, {op: add, path: /l/-999999999, value: 1}]",
        "[{op: add, path: /l, value: [1]}, {op: add, path: /l/99999999999999999999, value: 1}]",
        "[{op: add, path: /l, value: [1]}, {op: replace, path: /l/-9223372036854775808, value: 1}]",
        "[{op: remove, path: /spec/containers/0}]",
        "[{op: move, from: /data, path: /data/x}]",
        "[{op: test, path: /data/key, value: other}]",
        "[{op: replace, path: '', value: 5}]",
        "[{op: remove, path: ''}]",
        "[{op: exec, path: /data}]",
        "[{op: add}]",
    ] {
        is_refused(
            &patched(operations),
            "",
            "RenderFailed",
            &["kustomization.yaml:2", "JSON patch"],
        );
    }
    is_refused(
        &patched("[{op: add, path: /kind, value: 1}, 5]"),
        "",
        "RenderFailed",
        &["p.yaml"],
    );
}

/// Whoever judges objects judges what comes out: a patch may change identity where JSON patches
/// can, and the result counts as exactly what it says.
#[test]
fn a_patch_that_changes_identity_shows_in_the_result() {
    let tree = patched(
        "[{op: replace, path: /kind, value: ClusterRole}, {op: replace, path: /metadata/name, value: b},\n \
         {op: add, path: /metadata/namespace, value: kube-system},\n \
         {op: replace, path: /apiVersion, value: rbac.authorization.k8s.io/v1}]",
    );
    let rendered = render(&tree, "", &Options::default()).unwrap();
    let value = &rendered.objects[0].value;
    assert_eq!(value["kind"], "ClusterRole");
    assert_eq!(value["apiVersion"], "rbac.authorization.k8s.io/v1");
    assert_eq!(
        value["metadata"],
        json!({"name": "b", "namespace": "kube-system"})
    );
    // a strategic merge without leave changes none of these
    let strategic = "resources: [a.yaml]\npatches:\n- target: {kind: ConfigMap}\n  patch: |\n    \
                     {apiVersion: v2, kind: Role, metadata: {name: b, namespace: c}, data: {k: v}}\n";
    let rendered = render(&with_object(strategic), "", &Options::default()).unwrap();
    let value = &rendered.objects[0].value;
    assert_eq!(
        (&value["kind"], &value["metadata"]["name"]),
        (&json!("ConfigMap"), &json!("a"))
    );
    // an object that is left without identity is none
    for operations in [
        "[{op: remove, path: /metadata}]",
        "[{op: replace, path: '', value: []}]",
    ] {
        if let Ok(rendered) = rendered_or_refused(operations) {
            let desired = towline::desired::build(
                &rendered.objects,
                &towline::cluster::Discovery::from_resources([]),
                &owner(),
                "shop",
            );
            let text = desired.unwrap_err().to_string();
            assert!(
                text.contains("a.yaml") && text.contains("missing"),
                "{text}"
            );
        }
    }
}

fn rendered_or_refused(
    operations: &str,
) -> Result<towline::render::Rendered, towline::render::Error> {
    rendered(&patched(operations), "", &Options::default())
}

fn owner() -> towline::inventory::Owner {
    towline::inventory::Owner {
        install: "i".into(),
        namespace: "n".into(),
        name: "a".into(),
    }
}

#[test]
fn what_doubles_itself_is_stopped() {
    let growth = limits::MAX_GROWTH.to_string();
    // copied into itself, 60 times
    let mut copies = String::from("- {op: add, path: /x, value: [one, two, three]}\n");
    for i in 0..60 {
        writeln!(copies, "- {{op: copy, from: /x, path: /y{i}}}").unwrap();
        writeln!(copies, "- {{op: copy, from: /y{i}, path: /x/-}}").unwrap();
    }
    let (reason, text) = refusal(&patched(&copies), "");
    assert_eq!(reason, "LimitExceeded", "{text}");
    // deeper with every operation, and twice as deep
    let deeper: String = (0..300)
        .map(|i| format!("- {{op: add, path: {}, value: {{}}}}\n", "/x".repeat(i + 1)))
        .collect();
    is_refused(
        &patched(&deeper),
        "",
        "LimitExceeded",
        &["levels", "ConfigMap"],
    );
    let mut twice = String::from("- {op: add, path: /x, value: {}}\n");
    for i in 0..20 {
        writeln!(
            twice,
            "- {{op: copy, from: /x, path: {}}}",
            "/x".repeat((1 << i) + 1)
        )
        .unwrap();
    }
    is_refused(&patched(&twice), "", "LimitExceeded", &["levels"]);
    // a field that a replacement puts into itself
    let into = |path: &str, times: usize| {
        let one = format!(
            "- source: {{kind: ConfigMap, fieldPath: data}}\n  targets: [{{select: {{kind: ConfigMap}}, \
             fieldPaths: ['{path}'], options: {{create: true}}}}]\n"
        );
        with_object(&format!(
            "resources: [a.yaml]\nreplacements:\n{}",
            one.repeat(times)
        ))
    };
    let mut doubling = String::from("resources: [a.yaml]\nreplacements:\n");
    for i in 0..60 {
        write!(
            doubling,
            "- source: {{kind: ConfigMap, fieldPath: data}}\n  targets: [{{select: {{kind: ConfigMap}}, \
             fieldPaths: [data.k{i}], options: {{create: true}}}}]\n"
        )
        .unwrap();
    }
    let (reason, text) = refusal(&with_object(&doubling), "");
    assert_eq!(reason, "LimitExceeded", "{text}");
    is_refused(
        &into(&vec!["x"; 250].join("."), 1),
        "",
        "LimitExceeded",
        &["levels"],
    );
    // text into text, between delimiters
    let text = "- source: {kind: ConfigMap, fieldPath: data.key}\n  targets: [{select: {kind: ConfigMap}, \
                fieldPaths: [data.key], options: {delimiter: '/', index: 99999}}]\n";
    let tree = with_object(&format!(
        "resources: [a.yaml]\nreplacements:\n{}",
        text.repeat(60)
    ));
    // no bound on the time: without optimisation, a quarter of a gigabyte takes its own
    let error = render(&tree, "", &Options::default()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("kustomization.yaml:2") && text.contains(&growth),
        "{text}"
    );
}

#[test]
fn a_little_for_each_of_many_is_counted() {
    let objects: String = (0..2_000)
        .map(|i| {
            format!(
                "{}---\n",
                CONFIG_MAP.replace("name: a", &format!("name: a{i}"))
            )
        })
        .collect();
    let long = "x".repeat(300_000);
    for (field, text) in [
        ("namespace", format!("namespace: {long}\n")),
        ("commonLabels", format!("commonLabels: {{a: {long}}}\n")),
        (
            "commonAnnotations",
            format!("commonAnnotations: {{a: {long}}}\n"),
        ),
        (
            "replacements",
            format!(
                "replacements: [{{sourceValue: {long}, targets: [{{select: {{kind: ConfigMap}}, fieldPaths: [data.key]}}]}}]\n"
            ),
        ),
    ] {
        let kustomization = format!("resources: [all.yaml]\n{text}");
        let tree = tree([
            ("kustomization.yaml", kustomization.as_str()),
            ("all.yaml", &objects),
        ]);
        let error = render(&tree, "", &Options::default()).unwrap_err();
        let (reason, message) = (error.reason(), error.to_string());
        assert_eq!(reason, "LimitExceeded", "{field}: {message}");
        assert!(message.len() < 5_000, "{field}: {} bytes", message.len());
    }
}

#[test]
fn vars_do_not_multiply_without_end() {
    let uses = "$(A)".repeat(100_000);
    let object = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: a, annotations: {{v: {}}}}}\nspec: {{containers: [{{name: c, \
         image: i, args: ['{uses}']}}]}}\n",
        "x".repeat(10_000)
    );
    let kustomization = "resources: [a.yaml]\nvars: [{name: A, objref: {apiVersion: v1, kind: Pod, name: a}, \
                         fieldref: {fieldpath: metadata.annotations.v}}]\n";
    let tree = tree([("kustomization.yaml", kustomization), ("a.yaml", &object)]);
    let limit = limits::MAX_OBJECT_BYTES.to_string();
    is_refused(&tree, "", "LimitExceeded", &["a.yaml", &limit]);
}

#[test]
fn no_expression_takes_more_than_linear_time() {
    let name = format!("{}!", "a".repeat(200));
    let object = CONFIG_MAP.replace("name: a", &format!("name: {name}"));
    for pattern in [
        "(a+)+",
        "(a*)*b",
        "(a|aa)+",
        "(.*)(.*)(.*)(.*)x",
        "(a?){200}a{200}",
        "(?:a|a)*",
    ] {
        let kustomization = format!(
            "resources: [a.yaml]\npatches: [{{target: {{kind: ConfigMap, name: '{pattern}'}}, \
             patch: '- {{op: add, path: /x, value: y}}'}}]\n"
        );
        let tree = tree([
            ("kustomization.yaml", kustomization.as_str()),
            ("a.yaml", &object),
        ]);
        let rendered = rendered(&tree, "", &Options::default()).unwrap();
        assert_eq!(rendered.objects[0].value["x"], json!(null), "{pattern}");
    }
    let bytes = limits::MAX_PATTERN_BYTES.to_string();
    for (pattern, reason, told) in [
        ("a{1000}{1000}{1000}", "LimitExceeded", bytes.as_str()),
        ("(((a{100}){100}){100}){100}", "LimitExceeded", &bytes),
        ("[", "RenderFailed", "regular expression"),
        ("(?P<n", "RenderFailed", "regular expression"),
    ] {
        let kustomization = format!(
            "resources: [a.yaml]\npatches: [{{target: {{name: \"{pattern}\"}}, patch: '[]'}}]\n"
        );
        is_refused(
            &with_object(&kustomization),
            "",
            reason,
            &["kustomization.yaml:2", told],
        );
    }
}

#[test]
fn a_count_without_sense_is_left_to_the_server() {
    let deployment =
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: 1}\n";
    let count = |count: &str| {
        let kustomization =
            format!("resources: [a.yaml]\nreplicas: [{{name: a, count: {count}}}]\n");
        tree([
            ("kustomization.yaml", kustomization.as_str()),
            ("a.yaml", deployment),
        ])
    };
    // the API server says what is wrong with these, naming object and field
    for number in ["2147483648", "-1", "9223372036854775807"] {
        let rendered = render(&count(number), "", &Options::default()).unwrap();
        assert_eq!(
            rendered.objects[0].value["spec"]["replicas"].to_string(),
            number
        );
    }
    for number in ["9223372036854775808", "ten", "[1]", ".inf"] {
        let (_, text) = refusal(&count(number), "");
        assert!(text.starts_with("kustomization.yaml:2"), "{number}: {text}");
    }
}
