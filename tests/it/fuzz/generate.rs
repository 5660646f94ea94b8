//! Kustomizations and patches made from nothing: every field, with values that are mostly possible.

use std::fmt::Write as _;

use super::random::Random;

const NAMES: &[&str] = &[
    "a",
    "b",
    "web",
    "p-a",
    "a-s",
    "default",
    "kube-system",
    "x.y/z",
    "é",
    "",
];
const KINDS: &[&str] = &[
    "ConfigMap",
    "Secret",
    "Deployment",
    "Service",
    "Namespace",
    "RoleBinding",
    "CustomResourceDefinition",
    "Pod",
    "List",
    "Thing",
];
const PATTERNS: &[&str] = &[
    "a", "a.*", "(a|b)", ".*", "^a$", "[", "(a+)+$", "w.b", "", "\\\\d",
];
const FILES: &[&str] = &[
    "a.yaml",
    "b.yaml",
    "p.yaml",
    "j.yaml",
    "r.yaml",
    "c.yaml",
    "env",
    "base",
    "comp",
    "../a.yaml",
    "nowhere",
    ".",
    "",
];
const POINTERS: &[&str] = &[
    "/data",
    "/data/k",
    "/metadata",
    "/metadata/name",
    "/metadata/labels/a",
    "/metadata/annotations",
    "/spec",
    "/spec/template/spec/containers/0",
    "/spec/template/spec/containers/-",
    "/spec/replicas",
    "/kind",
    "",
    "/",
    "/x/y",
    "/spec/template/spec/containers/999999999",
    "/spec/template/spec/containers/-1",
    "/data/a~1b",
    "/x/~",
    "/metadata/annotations/x.y~1z",
];
const FIELD_PATHS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "data.k",
    "data.[k]",
    "spec.replicas",
    "spec.template.spec.containers.0.image",
    "spec.template.spec.containers.[name=web].image",
    "spec.template.spec.containers.*.image",
    "metadata.labels.*",
    "metadata.annotations.[x.y/z]",
    "data.json.a.b",
    "spec",
    "data",
    "x.y.z",
    "x.-.y",
    "x.0",
    "[=a]",
    "a.[b",
    "",
    "spec.template.spec.containers.[name=(w|b).*].env.0.value",
];
const VALUES: &[&str] = &[
    "v",
    "5",
    "null",
    "{a: b}",
    "[1, 2]",
    "'5'",
    "\"x\\ny\"",
    "{}",
    "[]",
    "true",
    "$(V)",
    "1e3",
    "~",
    "{k: {k: {k: k}}}",
];

/// A JSON patch.
pub(super) fn json_patch(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..=random.below(5) {
        let op = random.pick(&["add", "remove", "replace", "move", "copy", "test", "nope"]);
        let (path, from) = (random.pick(POINTERS), random.pick(POINTERS));
        let value = random.pick(VALUES);
        writeln!(
            text,
            "- {{op: {op}, path: '{path}', from: '{from}', value: {value}}}"
        )
        .unwrap();
    }
    text
}

/// A strategic merge patch.
pub(super) fn strategic_patch(random: &mut Random) -> String {
    let (kind, name) = (random.pick(KINDS), random.pick(NAMES));
    let mut text = format!(
        "apiVersion: {}\nkind: {kind}\nmetadata: {{name: '{name}'}}\n",
        api_version(kind)
    );
    for _ in 0..random.below(4) {
        let field = random.pick(&[
            "data: {k: VALUE}",
            "data: null",
            "$patch: delete",
            "$patch: replace",
            "spec: {replicas: VALUE}",
            "spec: {template: {spec: {containers: [{name: web, image: VALUE}]}}}",
            "spec: {template: {spec: {containers: [{name: web, $patch: delete}, {name: new}]}}}",
            "spec: {template: {spec: {containers: [{$patch: replace}, {name: x}]}}}",
            "spec: {ports: [{port: 80, protocol: TCP, name: VALUE}, {port: 80}]}",
            "spec: {template: {spec: {containers: VALUE}}}",
            "metadata: {labels: {a: VALUE}}",
        ]);
        writeln!(text, "{}", field.replace("VALUE", random.pick(VALUES))).unwrap();
    }
    text
}

fn api_version(kind: &str) -> &str {
    match kind {
        "Deployment" => "apps/v1",
        "RoleBinding" => "rbac.authorization.k8s.io/v1",
        "CustomResourceDefinition" => "apiextensions.k8s.io/v1",
        _ => "v1",
    }
}

fn selector(random: &mut Random) -> String {
    let mut fields = Vec::new();
    for (field, of) in [
        ("kind", KINDS),
        ("name", PATTERNS),
        ("namespace", NAMES),
        ("labelSelector", PATTERNS),
    ] {
        if random.once_in(2) {
            fields.push(format!("{field}: \"{}\"", random.pick(of)));
        }
    }
    format!("{{{}}}", fields.join(", "))
}

/// One replacement.
pub(super) fn replacement(random: &mut Random) -> String {
    let source = if random.once_in(3) {
        format!("sourceValue: {}", random.pick(VALUES))
    } else {
        format!(
            "source: {{kind: {}, name: '{}', fieldPath: \"{}\"}}",
            random.pick(KINDS),
            random.pick(NAMES),
            random.pick(FIELD_PATHS)
        )
    };
    let options = random.pick(&[
        "",
        ", options: {create: true}",
        ", options: {delimiter: '-', index: 1}",
        ", options: {delimiter: '', index: -1}",
    ]);
    format!(
        "{{{source}, targets: [{{select: {}, reject: [{}], fieldPaths: [\"{}\"]{options}}}]}}",
        selector(random),
        selector(random),
        random.pick(FIELD_PATHS),
    )
}

/// A kustomization file with some of all fields.
pub(super) fn kustomization(random: &mut Random) -> String {
    let mut text = String::from("resources: [a.yaml, b.yaml]\n");
    for _ in 0..1 + random.below(5) {
        let (name, file) = (random.pick(NAMES), random.pick(FILES));
        let field = match random.below(22) {
            0 => format!("namePrefix: '{name}'"),
            1 => format!("nameSuffix: '{name}'"),
            2 => format!("namespace: '{name}'"),
            3 => format!("commonLabels: {{'{name}': '{}'}}", random.pick(NAMES)),
            4 => format!("labels: [{{pairs: {{a: '{name}'}}, includeSelectors: true}}]"),
            5 => format!("commonAnnotations: {{'{name}': {}}}", random.pick(VALUES)),
            6 => format!(
                "images: [{{name: {name}, newName: '{}', newTag: {}}}]",
                random.pick(NAMES),
                random.pick(VALUES)
            ),
            7 => format!("replicas: [{{name: '{name}', count: {}}}]", random.below(9)),
            8 => format!(
                "configMapGenerator: [{{name: '{name}', behavior: {}, literals: [k={name}], files: [{file}], envs: [env]}}]",
                random.pick(&["create", "merge", "replace", "x"])
            ),
            9 => format!(
                "secretGenerator: [{{name: '{name}', literals: [k=v], type: {}}}]",
                random.pick(VALUES)
            ),
            10 => format!(
                "patches: [{{path: '{file}', target: {}}}]",
                selector(random)
            ),
            11 => format!(
                "patches:\n- target: {}\n  patch: |\n{}",
                selector(random),
                indented(&json_patch(random))
            ),
            12 => format!(
                "patches:\n- patch: |\n{}",
                indented(&strategic_patch(random))
            ),
            13 => format!(
                "patches:\n- target: {}\n  options: {{allowNameChange: true, allowKindChange: true}}\n  patch: |\n{}",
                selector(random),
                indented(&strategic_patch(random))
            ),
            14 => format!("replacements: [{}]", replacement(random)),
            15 => "replacements: [{path: r.yaml}]".to_owned(),
            16 => format!(
                "vars: [{{name: V, objref: {{apiVersion: v1, kind: {}, name: '{name}'}}}}]",
                random.pick(KINDS)
            ),
            17 => format!("components: ['{file}']"),
            18 => format!("configurations: ['{file}']"),
            19 => format!(
                "buildMetadata: [{}]",
                random.pick(&[
                    "originAnnotations",
                    "transformerAnnotations",
                    "managedByLabel",
                    "x"
                ])
            ),
            20 => format!(
                "sortOptions: {{order: {}}}",
                random.pick(&["fifo", "legacy", "x"])
            ),
            _ => format!(
                "transformers: ['{{apiVersion: builtin, kind: {}, metadata: {{name: t}}, prefix: p-, value: v, \
                 fieldSpecs: [{{path: metadata/name}}], targets: [{{fieldPath: data/k}}]}}']",
                random.pick(&[
                    "PrefixTransformer",
                    "ValueAddTransformer",
                    "HashTransformer",
                    "NamespaceTransformer",
                    "X"
                ])
            ),
        };
        let key = field.split(':').next().unwrap_or_default().to_owned();
        if !text
            .lines()
            .any(|line| line.starts_with(&format!("{key}:")))
        {
            text.push_str(&field);
            text.push('\n');
        }
    }
    text
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

/// What the names of [`kustomization`] refer to.
pub(super) const AROUND: &[(&str, &str)] = &[
    (
        "a.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels: {a: b}\ndata:\n  k: v\n  json: '{\"a\": {\"b\": 1}}'\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 80, protocol: TCP}]}\n",
    ),
    (
        "b.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 1\n  selector: {matchLabels: {app: web}}\n  \
         template:\n    metadata: {labels: {app: web}}\n    spec:\n      containers:\n      - name: web\n        image: web:1\n        \
         envFrom: [{configMapRef: {name: a}}]\n        args: ['$(V)']\n      - name: b\n        image: b@sha256:0\n---\n\
         apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n",
    ),
    ("env", "A=1\n# no\nB=$(V)\n"),
    (
        "c.yaml",
        "nameReference:\n- kind: ConfigMap\n  fieldSpecs: [{kind: Thing, path: spec/ref}]\nnamePrefix: [{path: metadata/name}]\n",
    ),
    ("base/kustomization.yaml", "resources: [x.yaml]\n"),
    (
        "base/x.yaml",
        "apiVersion: v1\nkind: Thing\nmetadata: {name: b}\nspec: {ref: a}\n",
    ),
    (
        "comp/kustomization.yaml",
        "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnameSuffix: -s\n",
    ),
];
