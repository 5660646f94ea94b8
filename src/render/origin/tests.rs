use super::places::locate;
use super::*;

const WEB: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 1
  template:
    spec:
      containers:
      - name: web
        image: nginx:1
        env:
        - name: A
          value: one
";

/// `path: file:line` of every field of the object of this kind.
fn traced(files: &[(&str, &str)], dir: &str, kind: &str) -> Vec<String> {
    let tree = Tree::from_memory(files.iter().copied());
    let all = trace(&tree, dir, &Options::default(), kind).expect("renders");
    let (_, fields) = all.first().expect("there");
    let shown = |(path, source): (&FieldPath, &Source)| {
        let line = source.line.map(|line| format!(":{line}"));
        let path = path.join(".").replace(".[", "[");
        format!("{path} {}{}", source.path, line.unwrap_or_default())
    };
    fields.iter().map(shown).collect()
}

fn has(found: &[String], expected: &[&str]) {
    for line in expected {
        assert!(
            found.iter().any(|one| one == line),
            "{line} is not in {found:#?}"
        );
    }
}

#[test]
fn each_field_leads_to_the_last_line_that_set_it() {
    let base = "resources: [web.yaml]\n";
    let overlay = "\
namespace: shop
namePrefix: x-
resources:
- ../base
labels:
- pairs:
    team: a
    tier: front
  includeTemplates: true
commonAnnotations:
  note: hello
images:
- name: nginx
  newName: registry/nginx
  newTag: \"2\"
replicas:
- name: web
  count: 3
patches:
- path: env.yaml
- target: {kind: Deployment}
  patch: |-
    - op: add
      path: /spec/paused
      value: true
";
    let env = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      containers:
      - name: web
        env:
        - name: A
          value: two
";
    let files = [
        ("base/kustomization.yaml", base),
        ("base/web.yaml", WEB),
        ("prod/kustomization.yaml", overlay),
        ("prod/env.yaml", env),
    ];
    let found = traced(&files, "prod", "Deployment");
    has(
        &found,
        &[
            "apiVersion base/web.yaml:1",
            "metadata.name prod/kustomization.yaml:2",
            "metadata.namespace prod/kustomization.yaml:1",
            "metadata.labels.team prod/kustomization.yaml:7",
            "spec.template.metadata.labels.tier prod/kustomization.yaml:8",
            "metadata.annotations.note prod/kustomization.yaml:11",
            "spec.template.spec.containers[name=web].image prod/kustomization.yaml:15",
            "spec.replicas prod/kustomization.yaml:18",
            "spec.template.spec.containers[name=web].name base/web.yaml:10",
            "spec.template.spec.containers[name=web].env[name=A].value prod/env.yaml:11",
            "spec.paused prod/kustomization.yaml:25",
        ],
    );
}

#[test]
fn components_and_the_older_fields_are_followed_too() {
    let overlay = "\
bases: [../base]
components: [../paused]
patchesStrategicMerge:
- more.yaml
commonLabels:
  tier: front
";
    let component = "\
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patchesJson6902:
- target: {group: apps, version: v1, kind: Deployment, name: web}
  path: paused.yaml
";
    let more = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  minReadySeconds: 5
  template:
    spec:
      containers:
      - name: side
        image: side:1
";
    let files = [
        ("base/kustomization.yaml", "resources: [web.yaml]\n"),
        ("base/web.yaml", WEB),
        ("paused/kustomization.yaml", component),
        (
            "paused/paused.yaml",
            "- op: add\n  path: /spec/paused\n  value: true\n",
        ),
        ("prod/kustomization.yaml", overlay),
        ("prod/more.yaml", more),
    ];
    let found = traced(&files, "prod", "Deployment");
    has(
        &found,
        &[
            "spec.paused paused/paused.yaml:3",
            "spec.minReadySeconds prod/more.yaml:5",
            "spec.template.spec.containers[name=side].image prod/more.yaml:10",
            "spec.template.spec.containers[name=web].image base/web.yaml:11",
            "spec.selector.matchLabels.tier prod/kustomization.yaml:6",
        ],
    );
}

#[test]
fn a_generated_object_leads_to_the_literal_or_the_file() {
    let file = "\
configMapGenerator:
- name: settings
  literals:
  - a=1
  - b=2
  files:
  - app.conf
  - key=other.conf
  envs:
  - vars.env
";
    let files = [
        ("prod/kustomization.yaml", file),
        ("prod/app.conf", "x\n"),
        ("prod/other.conf", "y\n"),
        ("prod/vars.env", "# a comment\nC=3\n"),
    ];
    let found = traced(&files, "prod", "ConfigMap");
    has(
        &found,
        &[
            "data.a prod/kustomization.yaml:4",
            "data.b prod/kustomization.yaml:5",
            "data.app.conf prod/app.conf",
            "data.key prod/other.conf",
            "data.C prod/vars.env:2",
            // The hash at the end of the name is nobody's line.
            "metadata.name prod/kustomization.yaml",
        ],
    );
}

#[test]
fn in_a_plain_directory_every_field_is_where_it_stands() {
    let two = format!("kind: ConfigMap\napiVersion: v1\nmetadata:\n  name: a\n---\n{WEB}");
    let found = traced(&[("plain/all.yaml", &two)], "plain", "Deployment");
    has(
        &found,
        &[
            "spec.replicas plain/all.yaml:11",
            "metadata.name plain/all.yaml:9",
        ],
    );
}

#[test]
fn a_line_of_a_patch_counts_only_where_the_value_stands() {
    let leaf = |key: &str, text: &str, line: u32| Leaf {
        path: vec![key.into()],
        text: text.into(),
        line,
    };
    let patch = "a: 1\nb: 1\nb: 2\n";
    assert_eq!(locate(patch, &leaf("b", "2", 3)), Some(3));
    assert_eq!(locate(patch, &leaf("b", "2", 0)), Some(3));
    assert_eq!(locate(patch, &leaf("b", "2", 99)), Some(3));
    assert_eq!(locate(patch, &leaf("c", "1", 0)), None);
}

#[test]
fn what_is_traced_is_what_is_rendered() {
    let files = [
        (
            "prod/kustomization.yaml",
            "resources: [web.yaml]\nnameSuffix: -y\n",
        ),
        ("prod/web.yaml", WEB),
    ];
    let tree = Tree::from_memory(files);
    let traced = trace(&tree, "prod", &Options::default(), "Deployment").expect("renders");
    let rendered = super::super::render(&tree, "prod", &Options::default()).expect("renders");
    let objects: Vec<_> = traced.into_iter().map(|(object, _)| object).collect();
    assert_eq!(objects, rendered.objects);
}
