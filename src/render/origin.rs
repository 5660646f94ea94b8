//! Which line of which file set each field of an object: for questions about a render, never for the
//! render itself. Nothing of it is done, and nothing kept, unless it is asked for.
//!
//! After each step of a build the fields are compared with what they were before: what changed was
//! set by that step, the last one wins. A step knows the line of the kustomization, or the patch, that
//! asks for it. A line of another file counts only where the value stands in it; otherwise the file
//! is told without a line.

use std::collections::BTreeMap;

use super::build::Layer;
use super::decode::Step;
use super::error::Error;
use super::generators::GeneratorArgs;
use super::image_name::ImageRule;
use super::load::Loader;
use super::resource::Resource;
use super::resources::Resources;
use super::transform;
use super::{Options, RenderedObject, Source, build, directory, has_kustomization, print};
use crate::tree::Tree;
use crate::yaml::{Mapping, Node, read_documents};

/// The way to a field: names of fields, and for elements of lists what [`element`] says.
pub type FieldPath = Vec<String>;

/// An object, and where each of its fields was set.
pub type Traced = (RenderedObject, BTreeMap<FieldPath, Source>);

/// An element of a list as a step of a [`FieldPath`]: by its `name` where it has one.
pub fn element(name: Option<&str>, index: usize) -> String {
    name.map_or_else(|| format!("[{index}]"), |name| format!("[name={name}]"))
}

/// Renders the directory `dir` of `tree` as [`super::render`] does, and says of every field of the
/// objects of one kind where it was set.
///
/// # Errors
/// As [`super::render`].
pub fn trace(tree: &Tree, dir: &str, options: &Options, kind: &str) -> Result<Vec<Traced>, Error> {
    if !has_kustomization(tree, dir)? {
        let rendered = directory::render_directory(tree, dir, &options.directory)?;
        let objects = rendered.objects.into_iter();
        let objects = objects.filter(|object| object.value["kind"] == kind);
        return Ok(objects.map(|object| of_manifest(tree, object)).collect());
    }
    let (resources, _) = build::build_tracing(tree, dir, options, kind)?;
    let traced = resources.into_iter().filter_map(|mut resource| {
        let fields = resource.trail.fields.take();
        let fields = fields.filter(|_| resource.kind() == kind)?;
        let fields = fields.0.into_iter().map(|(path, set)| (path, set.by));
        let fields: BTreeMap<FieldPath, Source> = fields.collect();
        Some(print(resource).map(|object| (object, fields)))
    });
    traced.collect()
}

/// An object of a plain directory: all of it is in one document.
fn of_manifest(tree: &Tree, object: RenderedObject) -> Traced {
    let source = &object.source;
    let documents = tree.read(&source.path).ok();
    let documents = documents.and_then(|bytes| read_documents(&bytes).ok());
    let mut fields = BTreeMap::new();
    for document in documents.unwrap_or_default() {
        let items = document.get("items").map(Node::items);
        for node in [&document].into_iter().chain(items.into_iter().flatten()) {
            if let Node::Mapping(mapping) = node
                && Some(mapping.line) == source.line
            {
                let found = leaves(mapping).into_iter().map(|leaf| {
                    let line = (leaf.line > 0).then_some(leaf.line);
                    let path = source.path.clone();
                    (leaf.path, Source { path, line })
                });
                fields.extend(found);
            }
        }
    }
    (object, fields)
}

/// Who set each field of an object that is being built.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Fields(BTreeMap<FieldPath, Set>);

/// A field as it was set last.
#[derive(Debug, Clone, PartialEq)]
struct Set {
    text: String,
    by: Source,
}

/// A field with a value and nothing below it.
pub(super) struct Leaf {
    path: FieldPath,
    text: String,
    /// The line in the file that it was read from; 0 where it was not read.
    line: u32,
}

impl Leaf {
    /// The last field name on the way.
    fn key(&self) -> &str {
        let names = self.path.iter().rev().map(String::as_str);
        let mut names = names.filter(|step| !step.starts_with('['));
        names.next().unwrap_or_default()
    }
}

fn leaves(object: &Mapping) -> Vec<Leaf> {
    let mut out = Vec::new();
    for (key, value) in &object.entries {
        walk(
            value,
            key.line,
            &mut vec![key.text.as_str().to_owned()],
            &mut out,
        );
    }
    out
}

fn walk(node: &Node, line: u32, at: &mut FieldPath, out: &mut Vec<Leaf>) {
    match node {
        Node::Mapping(mapping) if !mapping.entries.is_empty() => {
            for (key, value) in &mapping.entries {
                at.push(key.text.as_str().to_owned());
                walk(value, key.line, at, out);
                at.pop();
            }
        }
        Node::Sequence(list) if !list.items.is_empty() => {
            for (index, item) in list.items.iter().enumerate() {
                let name = item.get("name").and_then(Node::as_str);
                at.push(element(name, index));
                walk(item, item.line(), at, out);
                at.pop();
            }
        }
        other => out.push(Leaf {
            path: at.clone(),
            text: other.as_str().unwrap_or_default().to_owned(),
            // The key stands on the line that people mean; a value in a block begins below it.
            line: if line > 0 { line } else { other.line() },
        }),
    }
}

/// Begins to keep who sets the fields of an object. What it has counts as set by the next step.
pub(super) fn begin(resource: &mut Resource) {
    resource.trail.fields = Some(Box::default());
}

/// Begins for the objects of a kind that came by another way: made by a plugin, or made to be of that
/// kind. All they have counts as set where they were declared.
pub(super) fn catch_up(resources: &mut Resources, kind: &str) {
    for resource in resources.iter_mut_keeping_ids() {
        if resource.trail.fields.is_none() && resource.kind() == kind {
            begin(resource);
            let source = resource.source.clone();
            observe_one(resource, &|_, _| source.clone());
        }
    }
}

/// Notes what a step changed: `by` says who set a field, given its value and the one before.
pub(super) fn observe(resources: &mut Resources, by: &dyn Fn(&Leaf, Option<&str>) -> Source) {
    for resource in resources.iter_mut_keeping_ids() {
        observe_one(resource, by);
    }
}

pub(super) fn observe_one(resource: &mut Resource, by: &dyn Fn(&Leaf, Option<&str>) -> Source) {
    let Some(fields) = &mut resource.trail.fields else {
        return;
    };
    let mut next = BTreeMap::new();
    for leaf in leaves(&resource.object) {
        let before = fields.0.remove(&leaf.path);
        let set = match before {
            Some(set) if set.text == leaf.text => set,
            before => Set {
                by: by(&leaf, before.as_ref().map(|set| set.text.as_str())),
                text: leaf.text.clone(),
            },
        };
        next.insert(leaf.path, set);
    }
    fields.0 = next;
}

/// Of a file with objects: the line is where it stands.
pub(super) fn of_file(path: &str) -> impl Fn(&Leaf, Option<&str>) -> Source + '_ {
    move |leaf, _| Source {
        path: path.to_owned(),
        line: (leaf.line > 0).then_some(leaf.line),
    }
}

/// Of something at the end of the build: names with a hash, references, variables.
pub(super) fn of_build(path: &str) -> impl Fn(&Leaf, Option<&str>) -> Source + '_ {
    move |_, _| Source {
        path: path.to_owned(),
        line: None,
    }
}

/// Of a transformer: the line of the kustomization that asks for the value, or of the patch.
pub(super) fn of_step(
    layer: &Layer<'_>,
    step: &transform::Step,
    leaf: &Leaf,
    before: Option<&str>,
) -> Source {
    let file = &layer.file;
    let key = |name: &str| Step::Key(name.into());
    let entry = |index: usize, names: &[&str]| {
        let mut place = vec![key(step.field), Step::Index(index)];
        place.extend(names.iter().map(|name| key(name)));
        at(layer, &place)
    };
    match (step.field, step.index) {
        ("patches", Some(index)) => of_patch(layer, step.field, index, leaf, &file.patches),
        ("patchesJson6902", Some(index)) => {
            of_patch(layer, step.field, index, leaf, &file.patches_json6902)
        }
        ("patchesStrategicMerge", _) => {
            let patches = file.patches_strategic_merge.iter().rev();
            let found = patches.filter_map(|path| in_file(&layer.loader, path, leaf));
            let mut found = found.filter(|source| source.line.is_some());
            found
                .next()
                .unwrap_or_else(|| layer.source(step.field, None))
        }
        ("images", _) => of_image(layer, leaf, before),
        ("replicas", Some(index)) => entry(index, &["count"]),
        ("labels", Some(index)) => entry(index, &["pairs", leaf.key()]),
        ("commonLabels" | "commonAnnotations", _) => at(layer, &[key(step.field), key(leaf.key())]),
        (field, index) => layer.source(field, index),
    }
}

/// A place in the kustomization; of the nearest thing above it where it is not there.
fn at(layer: &Layer<'_>, place: &[Step]) -> Source {
    let line = layer.file.line_at(place);
    Source {
        path: layer.file.path.clone(),
        line: (line > 0).then_some(line),
    }
}

fn of_patch(
    layer: &Layer<'_>,
    field: &'static str,
    index: usize,
    leaf: &Leaf,
    entries: &[super::kustomization::PatchEntry],
) -> Source {
    let whole = || layer.source(field, Some(index));
    let Some(entry) = entries.get(index) else {
        return whole();
    };
    if !entry.path.is_empty() {
        return in_file(&layer.loader, &entry.path, leaf).unwrap_or_else(whole);
    }
    // Inside of a block the lines go on from that of its key.
    let begin = at(
        layer,
        &[
            Step::Key(field.into()),
            Step::Index(index),
            Step::Key("patch".into()),
        ],
    );
    let inner = locate(&entry.patch, leaf);
    Source {
        line: begin
            .line
            .zip(inner)
            .map(|(begin, inner)| begin + inner)
            .or(begin.line),
        path: begin.path,
    }
}

/// The line of a patch file on which the value stands; the file alone where that is not clear.
fn in_file(loader: &Loader<'_>, path: &str, leaf: &Leaf) -> Option<Source> {
    let bytes = loader.peek(path)?;
    let text = String::from_utf8_lossy(&bytes);
    Some(Source {
        path: loader.resolve_name(path),
        line: locate(&text, leaf),
    })
}

/// The rule of `images` that made this image out of the one before: the last that changed it.
fn of_image(layer: &Layer<'_>, leaf: &Leaf, before: Option<&str>) -> Source {
    let whole = || layer.source("images", None);
    let (Some(before), rules) = (before, &layer.file.images) else {
        return whole();
    };
    let mut image = before.to_owned();
    let mut found = None;
    for (index, change) in rules.iter().enumerate() {
        let rule = ImageRule::new(change.clone()).ok();
        if let Some(next) = rule.and_then(|rule| rule.apply(&image)) {
            if next != image {
                found = Some((index, change));
            }
            image = next;
        }
    }
    let Some((index, change)) = found.filter(|_| image == leaf.text) else {
        return whole();
    };
    // Of name and tag in one entry the tag is what changes.
    let part = [
        ("digest", &change.digest),
        ("newTag", &change.new_tag),
        ("tagSuffix", &change.tag_suffix),
        ("newName", &change.new_name),
    ];
    let part = part.iter().find(|(_, text)| !text.is_empty());
    let mut place = vec![Step::Key("images".into()), Step::Index(index)];
    place.extend(part.map(|(name, _)| Step::Key((*name).into())));
    at(layer, &place)
}

/// Of a generator: the literal, the file, or the entry.
pub(super) fn of_generator(
    layer: &Layer<'_>,
    field: &'static str,
    index: usize,
    args: &GeneratorArgs,
    leaf: &Leaf,
) -> Source {
    let entry = |names: &[Step]| {
        let place = [Step::Key(field.into()), Step::Index(index)];
        at(
            layer,
            &place
                .into_iter()
                .chain(names.iter().cloned())
                .collect::<Vec<_>>(),
        )
    };
    let name = leaf.key();
    if let [data, _] = leaf.path.as_slice()
        && matches!(data.as_str(), "data" | "binaryData")
    {
        let begins = |text: &str| {
            text.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('='))
        };
        let literals = &args.sources.literals;
        if let Some(number) = literals.iter().rposition(|text| begins(text)) {
            return entry(&[Step::Key("literals".into()), Step::Index(number)]);
        }
        for file in &args.sources.files {
            let (key, path) = match file.split_once('=') {
                Some((key, path)) => (key, path),
                None => (file.rsplit('/').next().unwrap_or(file), file.as_str()),
            };
            if key == name {
                let path = layer.loader.resolve_name(path);
                return Source { path, line: None };
            }
        }
        for path in &args.sources.envs {
            let text = layer.loader.peek(path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let line = text.lines().position(|line| begins(line.trim_start()));
            if let Some(line) = line {
                return Source {
                    path: layer.loader.resolve_name(path),
                    line: u32::try_from(line + 1).ok(),
                };
            }
        }
    }
    let place: &[&str] = match leaf.path.first().map(String::as_str) {
        Some("metadata") if leaf.path.len() == 2 => &["name"],
        Some("metadata") => &["options"],
        _ => &[],
    };
    let place: Vec<Step> = place.iter().map(|name| Step::Key((*name).into())).collect();
    entry(&place)
}

/// The line of a text on which a field with this value stands: the one it was read from, or the
/// only one that fits. Texts may repeat themselves, and nothing is guessed.
fn locate(text: &str, leaf: &Leaf) -> Option<u32> {
    let first = leaf.text.lines().next().unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let has_value = |line: &str| first.is_empty() || line.contains(first);
    let has_key = |line: &str| line.contains(leaf.key());
    let read = usize::try_from(leaf.line).ok()?;
    if read > 0
        && lines
            .get(read - 1)
            .is_some_and(|line| has_key(line) || has_value(line))
    {
        return Some(leaf.line);
    }
    let only = |fits: &dyn Fn(&str) -> bool| {
        let mut found = (1..).zip(&lines).filter(|(_, line)| fits(line));
        match (found.next(), found.next()) {
            (Some((number, _)), None) => Some(number),
            _ => None,
        }
    };
    only(&|line| has_key(line) && has_value(line))
        .or_else(|| only(&|line| !first.is_empty() && has_value(line)))
}

#[cfg(test)]
mod tests {
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
}
