//! Shapes that never end or grow without bound (cases 8 and 9).

use std::fmt::Write as _;

use towline::render::{Options, limits, render};
use towline::tree::Tree;
use towline::yaml;

use super::{CONFIG_MAP, is_refused, plain, refusal_with, rendered, tree, with_object};

#[test]
fn a_cycle_of_bases_is_named() {
    let cycle = tree([
        ("a/kustomization.yaml", "resources: [../b]\n"),
        ("b/kustomization.yaml", "resources: [../c]\n"),
        ("c/kustomization.yaml", "resources: [../a]\n"),
    ]);
    is_refused(&cycle, "a", "Cycle", &["c/kustomization.yaml:1", "`../a`"]);
    for own in [
        "[.]",
        "[..]",
        "[./]",
        "['../app']",
        "[x/..]",
        "[../app/x/..]",
    ] {
        for field in ["resources", "components", "generators", "transformers"] {
            let kustomization = format!("{field}: {own}\nnamePrefix: p-\n");
            let files = [
                ("app/kustomization.yaml", kustomization.as_str()),
                ("app/x/a.yaml", CONFIG_MAP),
                ("kustomization.yaml", "resources: [app]\n"),
            ];
            is_refused(&tree(files), "app", "Cycle", &["app/kustomization.yaml:1"]);
        }
    }
}

#[test]
fn a_chain_of_ten_thousand_overlays_is_too_deep() {
    let mut files = Vec::new();
    for i in 0..10_000 {
        files.push((
            format!("l{i}/kustomization.yaml"),
            format!("resources: [../l{}]\n", i + 1),
        ));
    }
    let limit = limits::MAX_DEPTH.to_string();
    is_refused(
        &Tree::from_memory(files),
        "l0",
        "TooDeep",
        &["/kustomization.yaml:1", &limit],
    );
}

/// Each layer uses the next one twice.
fn diamond(layers: usize, kustomization: impl Fn(usize, char) -> String) -> Tree {
    let mut files = vec![(
        "top/kustomization.yaml".to_owned(),
        "resources: [../a0, ../b0]\n".to_owned(),
    )];
    for i in 0..layers {
        for side in ['a', 'b'] {
            files.push((
                format!("{side}{i}/kustomization.yaml"),
                kustomization(i, side),
            ));
        }
    }
    for side in ['a', 'b'] {
        files.push((
            format!("{side}{layers}/kustomization.yaml"),
            "resources: [a.yaml]\n".into(),
        ));
        files.push((format!("{side}{layers}/a.yaml"), CONFIG_MAP.into()));
    }
    Tree::from_memory(files)
}

#[test]
fn a_diamond_of_many_layers_ends() {
    // the same object over and over: refused where it comes up twice
    let twice = diamond(60, |i, _| {
        format!("resources: [../a{n}, ../b{n}]\n", n = i + 1)
    });
    is_refused(&twice, "top", "RenderFailed", &["two objects"]);
    // another name on each way
    let renamed = diamond(60, |i, side| {
        format!(
            "resources: [../a{n}, ../b{n}]\nnamePrefix: {side}-\n",
            n = i + 1
        )
    });
    let _either = rendered(&renamed, "top", &Options::default());
    // nothing at all, 2⁶⁰ times
    let mut files = Vec::new();
    for i in 0..60 {
        let text = format!("resources: [../a{n}, ../b{n}]\n", n = i + 1);
        for side in ['a', 'b'] {
            files.push((format!("{side}{i}/kustomization.yaml"), text.clone()));
        }
    }
    for side in ['a', 'b'] {
        files.push((
            format!("{side}60/kustomization.yaml"),
            "namePrefix: p-\n".to_owned(),
        ));
    }
    let limit = limits::MAX_KUSTOMIZATIONS.to_string();
    is_refused(
        &Tree::from_memory(files),
        "a0",
        "LimitExceeded",
        &["/kustomization.yaml:1", &limit],
    );
    // a small one is none
    let small = diamond(3, |i, side| {
        format!(
            "resources: [../{side}{n}]\nnamePrefix: {side}-\n",
            n = i + 1
        )
    });
    assert_eq!(
        render(&small, "top", &Options::default())
            .unwrap()
            .objects
            .len(),
        2
    );
}

#[test]
fn types_that_contain_each_other_end() {
    let mut properties = String::new();
    for i in 0..10 {
        write!(properties, "f{i}: {{$ref: a.T}}, ").unwrap();
    }
    let types = format!(
        "a.T: {{schema: {{properties: {{kind: {{}}, apiVersion: {{}}, metadata: {{}}, {properties}}}}}}}\n"
    );
    let files = [
        (
            "kustomization.yaml",
            "resources: [a.yaml]\ncrds: [types.yaml]\n",
        ),
        ("types.yaml", types.as_str()),
        ("a.yaml", CONFIG_MAP),
    ];
    let limit = limits::MAX_TYPE_FIELDS.to_string();
    is_refused(&tree(files), "", "LimitExceeded", &["types.yaml", &limit]);
}

/// A ConfigMap whose `data` is some text.
fn data(text: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {text}\n")
}

fn laughs() -> String {
    let mut text = String::from("x0: &x0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]\n");
    for i in 1..9 {
        let aliases = vec![format!("*x{}", i - 1); 9].join(", ");
        writeln!(text, "x{i}: &x{i} [{aliases}]").unwrap();
    }
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\n{text}")
}

/// What is refused wherever it stands: reason, what is told, and the text.
fn bad_yaml() -> Vec<(&'static str, &'static str, String)> {
    let deep = |open: &str, close: &str| {
        data(&format!("{}1{}", open.repeat(10_000), close.repeat(10_000)))
    };
    let merges = (0..600)
        .map(|i| format!("m{n}: &m{n} {{<<: *m{i}, k{n}: 1}}\n", n = i + 1))
        .collect::<String>();
    vec![
        ("LimitExceeded", "anchors and aliases", laughs()),
        ("LimitExceeded", "nested deeper", deep("[", "]")),
        ("LimitExceeded", "nested deeper", deep("{a: ", "}")),
        ("YamlInvalid", "", data(&"- ".repeat(10_000))),
        (
            "LimitExceeded",
            "anchors and aliases",
            format!("m0: &m0 {{k0: 1}}\n{merges}"),
        ),
        ("YamlInvalid", "contains itself", data("&a {x: *a}")),
        ("YamlInvalid", "contains itself", data("&a {<<: *a}")),
        ("YamlInvalid", "no anchor", data("*nowhere")),
        (
            "YamlInvalid",
            "is already set in line",
            data("\n  k: 1\n  k: 2"),
        ),
        (
            "YamlInvalid",
            "`<<` is there twice",
            data("\n  <<: {a: b}\n  <<: {c: d}"),
        ),
        ("YamlInvalid", "the value of `<<`", data("{<<: 5}")),
        ("YamlInvalid", "`.inf` and `.nan`", data("{k: .nan}")),
        ("YamlInvalid", "`.inf` and `.nan`", data("{k: -.inf}")),
        ("YamlInvalid", "cannot be a key", data("{[a, b]: c}")),
        (
            "YamlInvalid",
            "does not fit its tag",
            data("{k: !!int ten}"),
        ),
        ("YamlInvalid", "base64", data("{k: !!binary '***'}")),
        ("YamlInvalid", "", data("\n\tk: v")),
        ("YamlInvalid", "", data("{k: \"\\q\"}")),
        ("YamlInvalid", "", data("{k: 'a\0b'}")),
        ("YamlInvalid", "", "%YAML 9.9\n---\n%%\n{{{".to_owned()),
    ]
}

#[test]
fn yaml_bombs_and_mischief_are_refused_wherever_they_stand() {
    for (reason, told, text) in bad_yaml() {
        let kustomized = [
            ("kustomization.yaml", "resources: [m.yaml]\n"),
            ("m.yaml", &text),
        ];
        let directory = [("m.yaml", text.as_str())];
        for files in [&kustomized[..], &directory[..]] {
            let tree = tree(files.iter().copied());
            let (found, message) = refusal_with(&tree, "", &plain());
            assert_eq!(found, reason, "{message}");
            assert!(message.starts_with("m.yaml:"), "{message}");
            assert!(message.contains(told), "{told} is not in: {message}");
        }
        // as a kustomization file itself, a patch and a configuration
        let _either = rendered(&tree([("kustomization.yaml", text.as_str())]), "", &plain());
        for field in [
            "patches: [{path: m.yaml}]",
            "configurations: [m.yaml]",
            "openapi: {path: m.yaml}",
        ] {
            let kustomization = format!("resources: [a.yaml]\n{field}\n");
            let files = [
                ("kustomization.yaml", kustomization.as_str()),
                ("m.yaml", text.as_str()),
                ("a.yaml", CONFIG_MAP),
            ];
            let _either = rendered(&tree(files), "", &plain());
        }
    }
}

/// Thousands of documents, each within the limits of one.
#[test]
fn many_small_bombs_are_one() {
    let bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\n\
                c: [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\n---\n";
    let error = yaml::read_documents(bomb.repeat(1_000).as_bytes()).unwrap_err();
    assert!(
        error.limit && error.to_string().contains("anchors and aliases"),
        "{error}"
    );
}

#[test]
fn words_of_other_types_stay_what_they_are_written_as() {
    // `no` is Norway for kustomize and false for kubectl; tags of others' programs mean nothing.
    let text = data("{a: no, b: !!python/object:os.system ls, c: !custom 5, d: 1_000, e: 0o14}");
    let value = |files: &[(&str, &str)]| {
        let tree = tree(files.iter().copied());
        let rendered = render(&tree, "", &Options::default()).unwrap();
        rendered.objects[0].value["data"].clone()
    };
    let kustomized = value(&[
        ("kustomization.yaml", "resources: [m.yaml]\n"),
        ("m.yaml", &text),
    ]);
    assert_eq!(kustomized["a"], "no");
    let directory = value(&[("m.yaml", &text)]);
    assert_eq!(directory["a"], false);
    for data in [kustomized, directory] {
        assert_eq!(
            (data["b"].as_str(), data["c"].as_str()),
            (Some("ls"), Some("5"))
        );
    }
}

#[test]
fn text_of_other_encodings_is_refused_or_read() {
    let utf16: Vec<u8> = "\u{feff}a: b\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let latin = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: caf\xe9}\n";
    for bytes in [&utf16[..], &latin[..]] {
        let tree = Tree::from_memory([("m.yaml", bytes)]);
        is_refused(&tree, "", "YamlInvalid", &["m.yaml", "UTF-8"]);
    }
    let marked = format!("\u{feff}{CONFIG_MAP}").replace('\n', "\r\n");
    let tree = tree([("m.yaml", marked.as_str())]);
    assert_eq!(
        render(&tree, "", &Options::default())
            .unwrap()
            .objects
            .len(),
        1
    );
}

/// What would take the square of its length, or more.
#[test]
fn long_input_takes_time_in_proportion_to_its_length() {
    let anchors = format!("x: [{}]\n", "&a b, ".repeat(20_000));
    let keys: String = (0..20_000).map(|i| format!("k{i}: v\n")).collect();
    let unknown = format!("{}: 1\n", "k".repeat(1 << 20));
    for (name, text) in [
        ("anchors", anchors),
        ("unknown keys", keys),
        ("a long unknown key", unknown),
        ("the same key", "namePrefix: p\n".repeat(20_000)),
        ("brackets", "[".repeat(1 << 16)),
        ("dashes", "- ".repeat(1 << 16)),
        ("question marks", "? ".repeat(1 << 16)),
        ("quotes", "\"".repeat(1 << 16)),
        ("documents", "---\n".repeat(1 << 16)),
        ("comments", "#\n".repeat(1 << 16)),
        ("a long line", format!("a: {}\n", "x ".repeat(1 << 16))),
        ("a block", format!("a: |\n{}", " x\n".repeat(1 << 16))),
    ] {
        let tree = tree([("kustomization.yaml", text.as_str())]);
        match rendered(&tree, "", &Options::default()) {
            // kustomize takes the last of several equal keys.
            Ok(_) => assert_eq!(name, "the same key"),
            Err(error) => {
                let message = error.to_string();
                assert!(message.len() < 200_000, "{name}: {} bytes", message.len());
                assert!(message.contains("kustomization.yaml"), "{name}: {message}");
            }
        }
        let _either = rendered(&super::tree([("m.yaml", text.as_str())]), "", &plain());
    }
}

#[test]
fn a_kustomization_tells_no_more_mistakes_than_one_reads() {
    let keys: String = (0..1_000).map(|i| format!("k{i}: v\n")).collect();
    let (reason, message) = super::refusal(&with_object(&keys), "");
    assert_eq!(reason, "UnknownField");
    assert_eq!(message.lines().count(), limits::MAX_MISTAKES);
}
