//! Renders by several threads: what comes out, and what is told of a mistake, is what one thread
//! gives. There are more objects than one thread takes at a time.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use towline::render::{Options, render, render_text, trace};
use towline::tree::{EntryKind, Files, ReadError, Tree};

/// Three objects each, one of them generated.
const SERVICES: usize = 400;

fn by(threads: usize) -> Options {
    Options {
        threads,
        ..Options::default()
    }
}

/// A base of many services, and an overlay with everything that overlays do.
fn services(more: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut base = String::from("resources:\n");
    let mut generators = String::from("configMapGenerator:\n");
    for i in 0..SERVICES {
        let objects = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: s{i}, labels: {{app: s{i}}}}}\n\
             spec:\n  replicas: 1\n  selector: {{matchLabels: {{app: s{i}}}}}\n  template:\n    \
             metadata: {{labels: {{app: s{i}}}}}\n    spec:\n      containers:\n      - name: c\n        \
             image: shop/app:{i}\n        envFrom: [{{configMapRef: {{name: c{i}}}}}]\n\
             ---\napiVersion: v1\nkind: Service\nmetadata: {{name: s{i}}}\n\
             spec: {{selector: {{app: s{i}}}}}\n"
        );
        files.push((format!("base/s{i}.yaml"), objects));
        writeln!(base, "- s{i}.yaml").unwrap();
        writeln!(generators, "- {{name: c{i}, literals: [a={i}]}}").unwrap();
    }
    files.push(("base/kustomization.yaml".into(), base + &generators));
    let overlay = "resources: [../base]\nnamespace: shop\nnamePrefix: p-\nnameSuffix: -s\n\
                   labels: [{pairs: {env: prod}, includeSelectors: true}, {pairs: {tier: web}}]\n\
                   commonAnnotations: {owner: shop}\nimages: [{name: shop/app, newTag: '2'}]\n\
                   replicas: [{name: s7, count: 3}]\npatches:\n- target: {kind: Deployment}\n  patch: |-\n    \
                   - {op: add, path: /metadata/annotations/patched, value: 'yes'}\n";
    files.push((
        "prod/kustomization.yaml".into(),
        format!("{overlay}{more}\n"),
    ));
    files
}

#[test]
fn what_comes_out_is_the_same_whoever_made_it() {
    let tree = Tree::from_memory(services(""));
    let text = |threads| {
        let rendered = render_text(&tree, "prod", &by(threads)).expect("it renders");
        rendered.pieces.concat()
    };
    let alone = text(0);
    assert!(alone.contains("name: p-s399-s\n") && alone.contains("image: shop/app:2\n"));
    for threads in [1, 2, 4] {
        assert!(
            text(threads) == alone,
            "{threads} threads gave another text"
        );
    }
    // Whoever asks where fields come from has one transformer after the other.
    let rendered = render(&tree, "prod", &by(4)).expect("it renders");
    let deployments = rendered.objects.into_iter().map(|object| object.value);
    let deployments: Vec<_> = deployments.filter(|o| o["kind"] == "Deployment").collect();
    let traced = trace(&tree, "prod", &by(4), "Deployment").expect("it renders");
    let traced: Vec<_> = traced.into_iter().map(|(object, _)| object.value).collect();
    assert_eq!(deployments.len(), SERVICES);
    assert!(deployments == traced);
}

/// What is told of a tree, the same by so many threads.
fn told(files: &[(String, String)], threads: &[usize]) -> String {
    let tree = Tree::from_memory(files.iter().cloned());
    let refused = |threads| {
        let error = render(&tree, "prod", &by(threads)).expect_err("a mistake");
        error.to_string()
    };
    let alone = refused(0);
    for threads in threads {
        assert_eq!(refused(*threads), alone, "{threads} threads");
    }
    alone
}

#[test]
fn the_first_mistake_is_told_whoever_met_it() {
    let mut files = services("");
    for i in [130, 200, 350] {
        files[i].1 = format!("kind: [not, {i}\n");
    }
    assert!(told(&files, &[1, 2, 4, 4]).contains("base/s130.yaml:"));

    let mut files = services("");
    for i in [90, 350] {
        // Labels cannot be set in a text; images not in a mapping.
        files[i].1 = files[i]
            .1
            .replace("metadata: {labels:", "metadata: {labels: x, y:");
    }
    files[40].1 = files[40].1.replace("image: shop", "image: {a: b} #");
    let told = told(&files, &[1, 2, 4, 4]);
    let expected = "base/s90.yaml:1: Deployment/shop/p-s90-s: cannot set `env`:";
    assert!(told.starts_with(expected), "{told}");
}

#[test]
fn a_limit_is_told_without_whoever_met_it() {
    let text = "x".repeat(1 << 20);
    let files = services(&format!("commonLabels: {{long: {text}}}"));
    let told = told(&files, &[4]);
    assert!(
        told.contains("more than the limit of"),
        "{}",
        &told[..200.min(told.len())]
    );
    assert!(
        !told.contains("Deployment") && !told.contains("base/"),
        "{told}"
    );
}

/// Files that count how often one is read.
struct Counting {
    inner: Tree,
    reads: Arc<AtomicUsize>,
}

impl Files for Counting {
    fn kind(&self, path: &str) -> Result<Option<EntryKind>, ReadError> {
        self.inner.kind(path)
    }

    fn read(&self, path: &str, _: usize) -> Result<Arc<[u8]>, ReadError> {
        if path.ends_with("bad.yaml") {
            self.reads.fetch_add(1, Ordering::SeqCst);
        }
        self.inner.read(path)
    }

    fn list(&self, path: &str) -> Result<Vec<(String, EntryKind)>, ReadError> {
        self.inner.list(path)
    }
}

#[test]
fn nothing_is_read_behind_a_mistake() {
    let entries = "- bad.yaml\n".repeat(3_000);
    let inner = Tree::from_memory([
        ("kustomization.yaml", format!("resources:\n{entries}")),
        ("bad.yaml", "a: [\n".to_owned()),
    ]);
    for threads in [0, 4] {
        let reads = Arc::new(AtomicUsize::new(0));
        let tree = Tree::new(Counting {
            inner: inner.clone(),
            reads: reads.clone(),
        });
        render(&tree, "", &by(threads)).expect_err("the file is broken");
        // Each thread may have been about to read one.
        let reads = reads.load(Ordering::SeqCst);
        assert!(
            reads <= threads.max(1),
            "{reads} reads by {threads} threads"
        );
    }
}
