//! Rendering, against what the real kustomize prints.
//!
//! Each folder of `fixtures/render` is one case: `input/` is the repository, `expected.yaml` what
//! `scripts/bless-render.sh` got from kustomize v5.8.1 for it, or `error.txt` what towline says of
//! a mistake that kustomize refuses too. `UPDATE=1` rewrites towline's own texts.

use std::fs;
use std::path::{Path, PathBuf};

use towline::render::{DirectoryOptions, Options, render, write_yaml};
use towline::tree::Tree;

/// Cases whose expectation kustomize has no say in: its folder is named so.
const PLAIN: &str = "plain-";

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/render");
    let entries = fs::read_dir(root).expect("the fixtures are there");
    let mut cases: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    cases.retain(|path| path.is_dir());
    cases.sort();
    cases
}

/// What towline makes of a case: the file of the expectation, and its text.
fn outcome(case: &Path) -> (&'static str, String) {
    let tree = Tree::from_disk(case.join("input")).expect("a case has an input");
    let recurse = case.to_string_lossy().contains("recurse");
    let directory = DirectoryOptions {
        recurse,
        ..DirectoryOptions::default()
    };
    let options = Options {
        directory,
        ..Options::default()
    };
    match render(&tree, "", &options) {
        Ok(rendered) => {
            let mut out = String::new();
            write_yaml(&rendered.objects, &mut out);
            ("expected.yaml", out)
        }
        Err(error) => ("error.txt", format!("{error}\n")),
    }
}

#[test]
fn render_prints_what_kustomize_prints() {
    let mut wrong = Vec::new();
    for case in cases() {
        let (file, text) = outcome(&case);
        let name = case
            .file_name()
            .expect("a folder has a name")
            .to_string_lossy();
        let own = name.starts_with(PLAIN) || file == "error.txt";
        let has_other = ["expected.yaml", "error.txt"]
            .iter()
            .any(|other| *other != file && case.join(other).exists());
        if own && !has_other && std::env::var_os("UPDATE").is_some() {
            fs::write(case.join(file), &text).expect("the expectation can be written");
        }
        match fs::read_to_string(case.join(file)) {
            Ok(expected) if expected == text => {}
            Ok(expected) => wrong.push(format!("{name}: expected\n{expected}got\n{text}")),
            Err(_) => wrong.push(format!("{name}: no {file}, but got\n{text}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Where the time goes must not depend on the square of the number of objects.
#[test]
fn twice_the_objects_take_about_twice_the_time() {
    let time = |count: usize| {
        let service = |i| {
            format!("apiVersion: v1\nkind: Service\nmetadata: {{name: svc-{i}}}\nspec: {{}}\n---\n")
        };
        let services: String = (0..count).map(service).collect();
        let kustomization = "resources: [all.yaml]\nnamePrefix: p-\nnamespace: shop\n";
        let files = [
            ("kustomization.yaml", kustomization),
            ("all.yaml", services.as_str()),
        ];
        let tree = Tree::from_memory(files);
        let run = || {
            let start = std::time::Instant::now();
            let rendered = render(&tree, "", &Options::default()).expect("a good repository");
            assert_eq!(rendered.objects.len(), count);
            start.elapsed()
        };
        (0..3).map(|_| run()).min().expect("three runs")
    };
    let (small, large) = (time(1_000), time(8_000));
    // 8 times as many; the rest is room for a busy machine, and far below 64
    assert!(
        large < small * 24,
        "1,000 services take {small:?}, 8,000 take {large:?}"
    );
}
