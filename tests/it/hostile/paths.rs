//! Paths that lead out of where a kustomization may read (cases 1 to 3 and 6).

use towline::error::Fault as _;
use towline::render::{LoadRestrictor, Options, render};
use towline::tree::Tree;

use super::{CONFIG_MAP, is_refused, refusal, tree, with_object};

/// Every field that names a file or directory, with `PATH` in its place.
const FIELDS: &[(&str, &str)] = &[
    ("resources", "resources: [PATH]"),
    ("bases", "bases: [PATH]"),
    ("components", "components: [PATH]"),
    (
        "patches",
        "patches: [{path: PATH, target: {kind: ConfigMap}}]",
    ),
    ("patchesStrategicMerge", "patchesStrategicMerge: [PATH]"),
    (
        "patchesJson6902",
        "patchesJson6902: [{path: PATH, target: {version: v1, kind: ConfigMap, name: a}}]",
    ),
    (
        "configMapGenerator files",
        "configMapGenerator: [{name: g, files: [PATH]}]",
    ),
    (
        "configMapGenerator key",
        "configMapGenerator: [{name: g, files: ['k=PATH']}]",
    ),
    (
        "configMapGenerator env",
        "configMapGenerator: [{name: g, env: PATH}]",
    ),
    (
        "configMapGenerator envs",
        "configMapGenerator: [{name: g, envs: [PATH]}]",
    ),
    (
        "secretGenerator files",
        "secretGenerator: [{name: g, files: [PATH]}]",
    ),
    (
        "secretGenerator envs",
        "secretGenerator: [{name: g, envs: [PATH]}]",
    ),
    ("replacements", "replacements: [{path: PATH}]"),
    ("openapi", "openapi: {path: PATH}"),
    ("configurations", "configurations: [PATH]"),
    ("crds", "crds: [PATH]"),
    ("generators", "generators: [PATH]"),
    ("transformers", "transformers: [PATH]"),
    ("validators", "validators: [PATH]"),
    (
        "a generator that a plugin configures",
        "generators: ['{apiVersion: builtin, kind: ConfigMapGenerator, metadata: {name: g}, files: [PATH]}']",
    ),
    (
        "a patch that a plugin configures",
        "transformers: ['{apiVersion: builtin, kind: PatchTransformer, metadata: {name: g}, path: PATH, target: {kind: ConfigMap}}']",
    ),
    (
        "replacements that a plugin configures",
        "transformers: ['{apiVersion: builtin, kind: ReplacementTransformer, metadata: {name: g}, replacements: [{path: PATH}]}']",
    ),
];

/// A tree whose kustomization at `app/` names `path` in a field; the target would be good for all.
fn naming(field: &str, path: &str) -> Tree {
    let text = format!("resources: [a.yaml]\n{}\n", field.replace("PATH", path));
    let text = match field.split(':').next() {
        Some("resources") => field.replace("PATH", path),
        _ => text,
    };
    tree([
        ("app/kustomization.yaml", text.as_str()),
        ("app/a.yaml", CONFIG_MAP),
        ("secret.yaml", "swordfish: {k: v}\n"),
        ("apps/secret.yaml", "swordfish: {k: v}\n"),
    ])
}

#[test]
fn no_field_reads_a_file_outside_of_the_repository() {
    let outside = [
        "../../etc/passwd",
        "../../../../../../../../etc/passwd",
        "/etc/passwd",
        "/proc/self/environ",
        "/var/run/secrets/kubernetes.io/serviceaccount/token",
        "./x/../../../etc/passwd",
        "a.yaml/../../../etc/passwd",
    ];
    for (name, field) in FIELDS {
        for path in outside {
            let (reason, text) = refusal(&naming(field, path), "app");
            assert_eq!(reason, "PathEscape", "{name} {path}: {text}");
            assert!(
                text.starts_with("app/kustomization.yaml:") && text.contains(path),
                "{name} {path}: {text}"
            );
        }
    }
}

#[test]
fn no_field_reads_a_file_of_a_neighbour() {
    for (name, field) in FIELDS {
        for path in [
            "../secret.yaml",
            "../apps/secret.yaml",
            "./../app/../secret.yaml",
        ] {
            let (reason, text) = refusal(&naming(field, path), "app");
            // a component is a directory or nothing
            let expected = if *name == "components" {
                "PathNotFound"
            } else {
                "PathEscape"
            };
            assert_eq!(reason, expected, "{name} {path}: {text}");
            assert!(!text.contains("swordfish"), "{name} {path}: {text}");
            assert!(
                text.starts_with("app/kustomization.yaml:"),
                "{name} {path}: {text}"
            );
        }
    }
}

#[test]
fn a_base_may_be_beside_and_not_beyond_the_repository() {
    let base = |path: &str| {
        let kustomization = format!("resources: [{path}]\n");
        tree([
            ("team/prod/kustomization.yaml", kustomization.as_str()),
            ("base/kustomization.yaml", "resources: [a.yaml]\n"),
            ("base/a.yaml", CONFIG_MAP),
        ])
    };
    let rendered = render(&base("../../base"), "team/prod", &Options::default()).unwrap();
    assert_eq!(rendered.objects[0].source.path, "base/a.yaml");
    is_refused(
        &base("../../../base"),
        "team/prod",
        "PathEscape",
        &[
            "team/prod/kustomization.yaml:1",
            "leads out of the repository",
        ],
    );
    // and the load restrictor that allows files of neighbours allows none outside
    let options = Options {
        load_restrictor: LoadRestrictor::None,
        ..Options::default()
    };
    let neighbour = naming("resources: [PATH]", "../apps/ok.yaml");
    let error = render(&neighbour, "app", &options).unwrap_err();
    assert_eq!(error.reason(), "PathNotFound", "{error}");
    let error = render(
        &naming("resources: [PATH]", "../../x.yaml"),
        "app",
        &options,
    );
    assert_eq!(error.unwrap_err().reason(), "PathEscape");
}

#[test]
fn a_path_is_taken_literally() {
    // None of these is decoded, expanded or taken for another system's path.
    for path in [
        "~/a.yaml",
        "~root/a.yaml",
        "$HOME/a.yaml",
        "%2e%2e/a.yaml",
        "..%2fa.yaml",
        "..\\\\a.yaml",
        "C:\\\\a.yaml",
        "c:/a.yaml",
        "\\\\\\\\server\\\\share\\\\a.yaml",
        "*.yaml",
        "a.yaml ",
        "A.YAML",
        "ａ.yaml",
    ] {
        let tree = with_object(&format!("resources: [\"{path}\"]\n"));
        let (reason, text) = refusal(&tree, "");
        assert_eq!(reason, "PathNotFound", "{path}: {text}");
        assert!(text.starts_with("kustomization.yaml:1: "), "{path}: {text}");
    }
    // and where a file is called so, it is that file
    for path in ["%2e%2e", "~", "..\\a.yaml", "C:a.yaml"] {
        let kustomization = format!("resources: ['{path}']\n");
        let tree = tree([
            ("kustomization.yaml", kustomization.as_str()),
            (path, CONFIG_MAP),
        ]);
        let rendered = render(&tree, "", &Options::default()).unwrap();
        assert_eq!(rendered.objects[0].source.path, path);
    }
}

#[test]
fn a_nul_and_an_endless_name_are_refused_on_one_line() {
    is_refused(
        &with_object("resources: [\"a.yaml\\0.png\"]\n"),
        "",
        "PathEscape",
        &["kustomization.yaml:1"],
    );
    let long = format!("resources: [{}]\n", "x".repeat(100_000));
    let (reason, text) = refusal(&with_object(&long), "");
    assert_eq!(reason, "PathNotFound");
    assert!(
        text.len() < 2_000 && !text.contains('\n'),
        "{} bytes",
        text.len()
    );
    let dotted = format!("resources: [{}a.yaml]\n", "./".repeat(50_000));
    assert!(render(&with_object(&dotted), "", &Options::default()).is_ok());
    let escapes = "resources: [\"\\e[2J\\u202e\\nx.yaml\"]\n";
    let (_, text) = refusal(&with_object(escapes), "");
    assert!(
        !text.contains(|c: char| c.is_control() || c == '\u{202e}'),
        "{text:?}"
    );
}

#[test]
fn nothing_is_fetched_from_elsewhere() {
    for url in [
        "https://example.com/o/r//p?ref=x",
        "http://169.254.169.254/latest/meta-data",
        "https://user:swordfish@example.com/o/r",
        "github.com/o/r//p?ref=x",
        "github.com:o/r",
        "gh:o/r",
        "git::ssh://git@example.com/o/r",
        "git::file:///etc",
        "git@example.com:o/r",
        "ssh://git@example.com/o/r",
        "file:///etc",
        "s3::https://s3.example.com/b/k",
        "oci://example.com/c",
        "hg::https://example.com/r",
    ] {
        for field in [
            "resources",
            "bases",
            "components",
            "generators",
            "transformers",
        ] {
            let tree = with_object(&format!("resources: [a.yaml]\n{field}:\n- '{url}'\n"));
            let tree = if field == "resources" {
                with_object(&format!("resources:\n- '{url}'\n"))
            } else {
                tree
            };
            let (reason, text) = refusal(&tree, "");
            assert_eq!(reason, "RemoteBaseForbidden", "{field} {url}: {text}");
            assert!(
                text.starts_with("kustomization.yaml:"),
                "{field} {url}: {text}"
            );
            assert!(!text.contains("swordfish"), "{text}");
        }
    }
    // files behind a URL: nothing of them is a path
    for field in [
        "patches: [{path: URL}]",
        "configMapGenerator: [{name: g, files: [URL]}]",
        "configMapGenerator: [{name: g, envs: [URL]}]",
        "openapi: {path: URL}",
        "crds: [URL]",
        "configurations: [URL]",
        "replacements: [{path: URL}]",
    ] {
        let text = field.replace("URL", "https://example.com/x.yaml");
        let tree = with_object(&format!("resources: [a.yaml]\n{text}\n"));
        is_refused(&tree, "", "RemoteBaseForbidden", &["kustomization.yaml:2"]);
    }
}
