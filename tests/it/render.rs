//! Rendering, against what the real kustomize prints.
//!
//! Each folder of `fixtures/render` is one case: `input/` is the repository, `expected.yaml` what
//! `scripts/bless-render.sh` got from kustomize v5.8.1 for it, or `error.txt` what towline says of
//! a mistake that kustomize refuses too. `UPDATE=1` rewrites towline's own texts.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use towline::render::{
    DirectoryOptions, FieldPath, LoadRestrictor, Options, RenderedObject, Reorder, element, render,
    render_kustomization, render_text, trace, write_yaml,
};
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

/// The paths of all scalars of an object, as a trace has them.
fn leaves(value: &Value, at: &mut FieldPath, out: &mut Vec<FieldPath>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                at.push(key.clone());
                leaves(value, at, out);
                at.pop();
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for (index, value) in list.iter().enumerate() {
                at.push(element(value["name"].as_str(), index));
                leaves(value, at, out);
                at.pop();
            }
        }
        _ => out.push(at.clone()),
    }
}

/// How many fields were traced, how many of them to a line, and which of them to nothing.
#[derive(Default)]
struct Traced {
    fields: usize,
    lines: usize,
    unknown: Vec<String>,
}

impl Traced {
    /// Traces what was rendered: the same objects come out, and no line is named that is not there.
    fn check(&mut self, tree: &Tree, dir: &str, options: &Options, objects: &[RenderedObject]) {
        let kind = |object: &RenderedObject| object.value["kind"].as_str().unwrap().to_owned();
        let kinds: BTreeSet<String> = objects.iter().map(kind).collect();
        for wanted in kinds {
            let traced = trace(tree, dir, options, &wanted).unwrap();
            let same: Vec<_> = objects.iter().filter(|one| kind(one) == wanted).collect();
            assert_eq!(traced.iter().map(|(one, _)| one).collect::<Vec<_>>(), same);
            for (object, origins) in &traced {
                let mut all = Vec::new();
                leaves(&object.value, &mut Vec::new(), &mut all);
                for path in all {
                    let place = format!("{}: {wanted} {}", object.source.path, path.join("."));
                    self.fields += 1;
                    let Some(source) = origins.get(&path) else {
                        self.unknown.push(place);
                        continue;
                    };
                    let Some(line) = source.line else { continue };
                    self.lines += 1;
                    let text = tree.read(&source.path).expect(&place);
                    let count = String::from_utf8_lossy(&text).lines().count();
                    assert!(line as usize <= count, "{place}: {}:{line}", source.path);
                }
            }
        }
    }
}

#[test]
fn every_field_of_the_fixtures_leads_to_a_line_that_is_there() {
    let options = Options::default();
    let mut all = Traced::default();
    for case in cases() {
        let tree = Tree::from_disk(case.join("input")).unwrap();
        if let Ok(rendered) = render(&tree, "", &options) {
            all.check(&tree, "", &options, &rendered.objects);
        }
    }
    assert!(all.fields > 500, "only {} fields were traced", all.fields);
    // kubectl makes `true` of the key `yes`, and a trace has keys as they are written.
    all.unknown.retain(|place| !place.contains("data.true"));
    assert_eq!(all.unknown, [""; 0], "of {}", all.fields);
    let (lines, fields) = (all.lines, all.fields);
    assert!(lines * 10 > fields * 8, "{lines} of {fields} have a line");
}

/// Where the time goes must not depend on the square of the number of objects.
#[test]
fn twice_the_objects_take_about_twice_the_time() {
    let tree = |count: usize| {
        let service = |i| {
            format!("apiVersion: v1\nkind: Service\nmetadata: {{name: svc-{i}}}\nspec: {{}}\n---\n")
        };
        let services: String = (0..count).map(service).collect();
        let kustomization = "resources: [all.yaml]\nnamePrefix: p-\nnamespace: shop\n";
        let files = [
            ("kustomization.yaml", kustomization),
            ("all.yaml", services.as_str()),
        ];
        Tree::from_memory(files)
    };
    let time = |tree: &Tree, count: usize| {
        let start = std::time::Instant::now();
        let rendered = render(tree, "", &Options::default()).expect("a good repository");
        assert_eq!(rendered.objects.len(), count);
        start.elapsed()
    };
    let (few, many) = (tree(1_000), tree(8_000));
    // By turns, so that whatever else the machine does slows down both.
    let times = (0..5).map(|_| (time(&few, 1_000), time(&many, 8_000)));
    let (small, large) = times
        .reduce(|best, next| (best.0.min(next.0), best.1.min(next.1)))
        .expect("five runs");
    // 8 times as many; the rest is room for a busy machine, and far below 64
    assert!(
        large < small * 24,
        "1,000 services take {small:?}, 8,000 take {large:?}"
    );
}

/// A render is a function of its tree: nothing is kept that another one could see.
#[test]
fn renders_at_the_same_time_give_the_same_bytes() {
    let cases = cases();
    let all = || cases.iter().map(|case| outcome(case)).collect::<Vec<_>>();
    let alone = all();
    std::thread::scope(|scope| {
        let others: Vec<_> = (0..8).map(|_| scope.spawn(all)).collect();
        for other in others {
            let other = other.join().expect("no render panics");
            assert!(other == alone, "a render saw another one");
        }
    });
}

#[test]
fn the_text_of_a_render_is_that_of_its_objects() {
    for case in cases() {
        let (file, text) = outcome(&case);
        if file == "expected.yaml" && !case.to_string_lossy().contains("recurse") {
            let tree = Tree::from_disk(case.join("input")).expect("a case has an input");
            let rendered = render_text(&tree, "", &Options::default()).expect("it renders");
            assert_eq!(rendered.pieces.concat(), text, "{}", case.display());
        }
    }
}

/// A corpus of cases from elsewhere, in the folder that this variable names: each has `input/`,
/// `case.json` (the `target` below it, the `args` of `kustomize build`, and whether to `expect` `ok`
/// or `error`) and, where it is `ok`, `expected.yaml`.
const CORPUS: &str = "TOWLINE_CONFORMANCE";

#[test]
fn the_conformance_corpus_renders_as_kustomize_does() {
    let Some(corpus) = std::env::var_os(CORPUS).map(PathBuf::from) else {
        eprintln!("skipped: {CORPUS} names no folder with cases");
        return;
    };
    let entries = fs::read_dir(&corpus).expect("the corpus can be read");
    let mut cases: Vec<_> = entries.map(|e| e.expect("an entry").path()).collect();
    cases.retain(|case| case.join("case.json").is_file());
    cases.sort();
    assert!(!cases.is_empty(), "no case in {}", corpus.display());
    let (mut wrong, mut traced) = (Vec::new(), Traced::default());
    for case in &cases {
        let text = fs::read_to_string(case.join("case.json")).expect("a case is described");
        let facts: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        if facts["reproduces"] == false {
            continue;
        }
        let arguments: Vec<&str> = facts["args"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|argument| argument.as_str())
            .collect();
        let given = |argument: &str| arguments.contains(&argument);
        let options = Options {
            load_restrictor: if given("LoadRestrictionsNone") {
                LoadRestrictor::None
            } else {
                LoadRestrictor::RootOnly
            },
            reorder: if given("none") {
                Reorder::None
            } else {
                Reorder::Legacy
            },
            managed_by_label: given("--enable-managedby-label"),
            ..Options::default()
        };
        let input = copy_of(case, &facts);
        let tree = Tree::from_disk(input.path()).expect("the copy is there");
        let target = facts["target"].as_str().unwrap_or_default();
        let rendered = render_kustomization(&tree, target, &options).ok().map(|r| {
            traced.check(&tree, target, &options, &r.objects);
            let mut out = String::new();
            write_yaml(&r.objects, &mut out);
            out
        });
        let expected = if facts["expect"] == "error" {
            None
        } else {
            Some(fs::read_to_string(case.join("expected.yaml")).expect("what kustomize prints"))
        };
        if rendered != expected {
            wrong.push(case.display().to_string());
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cases differ:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    let (unknown, fields) = (traced.unknown.len(), traced.fields);
    // Texts that are no YAML keys, such as numbers and merge keys, are printed otherwise.
    assert!(
        unknown * 100 < fields,
        "{unknown} of {fields}: {:#?}",
        traced.unknown
    );
}

/// The input of a case, with the empty directories that a corpus in Git cannot have.
fn copy_of(case: &Path, facts: &serde_json::Value) -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let target = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy(&entry.path(), &target)?;
            } else {
                fs::copy(entry.path(), target)?;
            }
        }
        Ok(())
    }
    let copied = tempfile::tempdir().expect("a directory");
    let input = case.join("input");
    if input.is_dir() {
        copy(&input, copied.path()).expect("the input can be copied");
    }
    for dir in facts["empty_dirs"].as_array().into_iter().flatten() {
        let dir = copied.path().join(dir.as_str().unwrap_or_default());
        fs::create_dir_all(dir).expect("a directory can be made");
    }
    copied
}
