//! What goes over a limit is refused with the limit in the message (case 14), within bounded time
//! and memory.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};

use towline::render::{Options, limits, render};
use towline::tree::{FILE_LIMIT, Tree};
use towline::yaml;

use super::{CONFIG_MAP, is_refused, plain, refusal_with, tree, with_object};

/// Checks that going over a limit is told with its number.
#[track_caller]
fn names_limit(tree: &Tree, options: &Options, limit: usize) {
    let (reason, text) = refusal_with(tree, "", options);
    assert!(
        matches!(reason, "LimitExceeded" | "TooDeep"),
        "{reason}: {text}"
    );
    assert!(
        text.contains(&limit.to_string()),
        "{limit} is not in: {text}"
    );
}

#[test]
fn every_limit_of_one_file_is_named() {
    let file = |text: String| Tree::from_memory([("m.yaml", text)]);
    let nested = format!("a: {}{}\n", "[".repeat(300), "]".repeat(300));
    names_limit(&file(nested), &plain(), yaml::limits::DEPTH);
    let aliases = format!(
        "a: &a [{}]\nb: [{}]\n",
        "x, ".repeat(1_000),
        "*a, ".repeat(101)
    );
    names_limit(&file(aliases), &plain(), yaml::limits::EXPANSION);
    let long = format!(
        "a: &a {}\nb: [{}]\n",
        "x".repeat(1 << 20),
        "*a, ".repeat(17)
    );
    names_limit(&file(long), &plain(), yaml::limits::EXPANSION_BYTES);
    let documents = "a: 1\n---\n".repeat(yaml::limits::DOCUMENTS + 2);
    names_limit(&file(documents), &plain(), yaml::limits::DOCUMENTS);
    let large = "#".repeat(FILE_LIMIT + 1);
    names_limit(&file(large), &plain(), FILE_LIMIT);
    let mut lists = String::from("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}");
    for _ in 0..limits::MAX_NESTED_LISTS + 2 {
        lists = format!("{{apiVersion: v1, kind: AList, items: [{lists}]}}");
    }
    let kustomized = [
        ("kustomization.yaml", "resources: [m.yaml]\n".to_owned()),
        ("m.yaml", lists),
    ];
    names_limit(
        &Tree::from_memory(kustomized),
        &plain(),
        limits::MAX_NESTED_LISTS,
    );
}

#[test]
fn every_limit_of_a_transformer_is_named() {
    let elements = limits::MAX_MERGED_ELEMENTS + 1;
    let list = |kind: &str| {
        let containers: String = (0..elements).map(|i| format!("{{name: c{i}}}, ")).collect();
        format!(
            "apiVersion: v1\nkind: {kind}\nmetadata: {{name: a}}\nspec: {{containers: [{containers}]}}\n"
        )
    };
    let kustomization = "resources: [a.yaml]\npatches: [{path: p.yaml}]\n";
    let files = [
        ("kustomization.yaml", kustomization.to_owned()),
        ("a.yaml", list("Pod")),
        (
            "p.yaml",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: x}]}\n"
                .into(),
        ),
    ];
    names_limit(
        &Tree::from_memory(files),
        &Options::default(),
        limits::MAX_MERGED_ELEMENTS,
    );

    let with = |text: String| with_object(&format!("resources: [a.yaml]\n{text}\n"));
    let none = Options::default();
    let pattern = "(a)".repeat(limits::MAX_PATTERN_CHARS);
    let patch = format!("patches: [{{target: {{name: '{pattern}'}}, patch: '[]'}}]");
    names_limit(&with(patch), &none, limits::MAX_PATTERN_CHARS);
    let patch = "patches: [{target: {name: '(((a{99}){99}){99}){99}'}, patch: '[]'}]";
    names_limit(&with(patch.into()), &none, limits::MAX_PATTERN_BYTES);
    let path = vec!["x"; limits::MAX_PATH_ELEMENTS + 1];
    let replacement = format!(
        "replacements: [{{sourceValue: x, targets: [{{select: {{kind: ConfigMap}}, fieldPaths: ['{}']}}]}}]",
        path.join(".")
    );
    names_limit(&with(replacement), &none, limits::MAX_PATH_ELEMENTS);
    let value_add = format!(
        "transformers: ['{{apiVersion: builtin, kind: ValueAddTransformer, metadata: {{name: v}}, value: x, \
         targets: [{{fieldPath: {}, selector: {{kind: ConfigMap}}}}]}}']",
        path.join("/")
    );
    names_limit(&with(value_add), &none, limits::MAX_PATH_ELEMENTS);
    names_limit(
        &with(format!(
            "namespace: {}",
            "n".repeat(limits::MAX_NAMESPACE_CHARS + 1)
        )),
        &none,
        limits::MAX_NAMESPACE_CHARS,
    );

    let configured = |config: String| {
        Tree::from_memory([
            (
                "kustomization.yaml",
                "resources: [a.yaml]\nnamePrefix: p-\nconfigurations: [c.yaml]\n".to_owned(),
            ),
            ("a.yaml", CONFIG_MAP.to_owned()),
            ("c.yaml", config),
        ])
    };
    let deep = format!("namePrefix: [{{path: {}, create: true}}]\n", path.join("/"));
    names_limit(&configured(deep), &none, limits::MAX_PATH_ELEMENTS);
    let many: String = (0..=limits::MAX_FIELD_SPECS)
        .map(|i| format!("- path: f{i}\n"))
        .collect();
    names_limit(
        &configured(format!("namePrefix:\n{many}")),
        &none,
        limits::MAX_FIELD_SPECS,
    );
}

#[test]
fn the_work_of_a_render_is_limited() {
    // what a pattern costs is counted by its length and by that of the name it is held against
    let name = "a".repeat(limits::MAX_MATCHED_BYTES - 10);
    let objects: String = (0..400)
        .map(|i| format!("{{apiVersion: v1, kind: A, metadata: {{name: {name}{i}}}}}\n---\n"))
        .collect();
    let pattern = format!("{}.*", "b".repeat(limits::MAX_PATTERN_CHARS - 10));
    let step = format!("- {{target: {{name: {pattern}}}, patch: '- {{op: remove, path: /x}}'}}\n");
    let steps = step.repeat(20);
    let kustomization = format!("resources: [a.yaml]\npatches:\n{steps}");
    let files = [
        ("kustomization.yaml", kustomization.as_str()),
        ("a.yaml", &objects),
    ];
    let tree = tree(files);
    let before = super::busy();
    let error = render(&tree, "", &Options::default()).err();
    let error = error.map_or_else(String::new, |e| e.to_string());
    assert!(error.contains(&limits::MAX_WORK.to_string()), "{error}");
    let took = super::busy().saturating_sub(before);
    assert!(took < super::SOON / 2, "{took:?}");
}

#[test]
fn objects_and_files_are_counted() {
    let large = CONFIG_MAP.replace("value", &"x".repeat(limits::MAX_OBJECT_BYTES));
    let kustomized = [
        ("kustomization.yaml", "resources: [a.yaml]\n"),
        ("a.yaml", &large),
    ];
    names_limit(
        &tree(kustomized),
        &Options::default(),
        limits::MAX_OBJECT_BYTES,
    );
    is_refused(
        &tree([("a.yaml", large.as_str())]),
        "",
        "LimitExceeded",
        &["a.yaml:1", "the object"],
    );

    let mut deep = String::new();
    for _ in 0..limits::MAX_DEPTH + 3 {
        deep.push_str("d/");
    }
    let path = format!("{deep}a.yaml");
    let depth = limits::MAX_DEPTH;
    names_limit(&tree([(path.as_str(), CONFIG_MAP)]), &plain(), depth);

    let names: Vec<String> = (0..=limits::MAX_FILES)
        .map(|i| format!("{i}.yaml"))
        .collect();
    let files = Tree::from_memory(names.iter().map(|name| (name.as_str(), "")));
    names_limit(&files, &plain(), limits::MAX_FILES);
}

/// Where memory must be bounded, the render is a process with a bound. What it may have is far more
/// than it needs, and far less than what the input asks for.
fn bounded_render(dir: &Path) -> Output {
    let command = "ulimit -v 3000000 && ulimit -t 120 && exec \"$0\" render \"$1\" --recurse";
    Command::new("sh")
        .args(["-c", command, env!("CARGO_BIN_EXE_towline")])
        .arg(dir)
        .output()
        .unwrap()
}

#[track_caller]
fn told_by_process(dir: &Path) -> String {
    let output = bounded_render(dir);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.len() < 10_000, "{} bytes", text.len());
    text
}

#[test]
fn huge_input_is_refused_before_it_fills_the_memory() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = dir.path().join("a.yaml");
    // a gigabyte, and what has no end
    File::create(&manifest).unwrap().set_len(1 << 30).unwrap();
    let text = told_by_process(dir.path());
    assert!(
        text.contains("a.yaml") && text.contains(&FILE_LIMIT.to_string()),
        "{text}"
    );
    fs::write(
        dir.path().join("kustomization.yaml"),
        "configMapGenerator: [{name: g, files: [a.yaml]}]\n",
    )
    .unwrap();
    let text = told_by_process(dir.path());
    assert!(
        text.contains("kustomization.yaml:1") && text.contains(&FILE_LIMIT.to_string()),
        "{text}"
    );
    fs::remove_file(dir.path().join("kustomization.yaml")).unwrap();

    // as much as one file may have, of the smallest values there are
    let mut list = String::from("a: [");
    while list.len() < FILE_LIMIT - 8 {
        list.push_str("a,");
    }
    list.push_str("]\n");
    fs::write(&manifest, &list).unwrap();
    let text = told_by_process(dir.path());
    assert!(
        text.contains("a.yaml:1") && text.contains(&yaml::limits::NODES.to_string()),
        "{text}"
    );

    // thousands of files that are nothing each
    let mut bomb = String::from("x0: &x0 [a, a, a, a, a, a, a, a, a, a]\n");
    for i in 1..4 {
        let aliases = vec![format!("*x{}", i - 1); 10].join(", ");
        writeln!(bomb, "x{i}: &x{i} [{aliases}]").unwrap();
    }
    fs::remove_file(&manifest).unwrap();
    for i in 0..2_000 {
        let text = format!("apiVersion: v1\nkind: A\nmetadata: {{name: a{i}}}\n{bomb}");
        fs::write(dir.path().join(format!("{i}.yaml")), text).unwrap();
    }
    let text = told_by_process(dir.path());
    assert!(text.contains(&limits::MAX_NODES.to_string()), "{text}");
}

#[test]
fn fifty_thousand_objects_are_rendered() {
    let objects: String = (0..50_000)
        .map(|i| {
            format!(
                "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a{i}}}\ndata: {{k: v}}\n"
            )
        })
        .collect();
    let (one, two) = objects.split_at(objects.len() / 2);
    let cut = two.find("---\n").unwrap();
    let one = format!("{one}{}", &two[..cut]);
    let files = [
        (
            "kustomization.yaml",
            "resources: [1.yaml, 2.yaml]\nnamePrefix: p-\n",
        ),
        ("1.yaml", one.as_str()),
        ("2.yaml", &two[cut..]),
    ];
    let rendered = render(&tree(files), "", &Options::default()).unwrap();
    assert_eq!(rendered.objects.len(), 50_000);
}
