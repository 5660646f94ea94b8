//! Merges of whole objects. The expectations are what kustomize 5.8.1 prints for the same input.

use super::{Schema, merge};
use crate::yaml::{Duplicates, Node, Resolver, read_documents, resolve, to_string};

fn read(text: &str) -> Node {
    let mut documents = read_documents(text.as_bytes()).expect("the test's YAML is valid");
    documents.remove(0)
}

fn merged(target: &str, patch: &str) -> Result<Option<String>, String> {
    let result =
        merge(&read(patch), read(target), &Schema::builtin()).map_err(|e| e.to_string())?;
    Ok(result.map(|node| {
        let value = resolve(&node, Resolver::Kustomize, Duplicates::Error);
        to_string(&value.expect("the merged object has a value"))
    }))
}

const HEAD: &str = "apiVersion: apps/v1\nkind: Deployment\nspec:\n";

/// Merges two `spec`s of a Deployment, given and returned without their indent.
fn spec(target: &str, patch: &str) -> String {
    let indent = |text: &str| -> String { text.lines().map(|l| format!("  {l}\n")).collect() };
    let whole = |text: &str| format!("{HEAD}{}", indent(text));
    let result = merged(&whole(target), &whole(patch)).expect("the patch fits");
    let text = result.expect("the object is there");
    let spec = text.strip_prefix(HEAD).expect("the head is kept");
    spec.lines()
        .map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or(line)))
        .collect()
}

/// The same for a pod's `spec` in the template.
fn pod(target: &str, patch: &str) -> String {
    let head = "template:\n  spec:\n";
    let indent = |text: &str| -> String { text.lines().map(|l| format!("    {l}\n")).collect() };
    let whole = |text: &str| format!("{head}{}", indent(text));
    let result = spec(&whole(target), &whole(patch));
    let inner = result.strip_prefix(head).unwrap_or(&result);
    inner
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or(line)))
        .collect()
}

#[test]
fn mappings_merge_and_null_deletes() {
    assert_eq!(
        spec("a: 1\nb: {c: 1, d: 2}\n", "b: {d: null, e: 3}\nx: null\n"),
        "a: 1\nb:\n  c: 1\n  e: 3\n"
    );
}

#[test]
fn nulls_of_the_object_stay_unless_nothing_is_written() {
    assert_eq!(
        spec("a: null\nb: ~\nc:\nd: 1\n", "d: 2\n"),
        "a: null\nb: null\nd: 2\n"
    );
}

#[test]
fn a_scalar_keeps_the_style_of_the_object() {
    assert_eq!(
        spec("a: \"4\"\nb: 4\nc: x\n", "a: 5\nb: \"5\"\nc: yes\n"),
        "a: \"5\"\nb: \"5\"\nc: \"yes\"\n"
    );
}

#[test]
fn keyed_lists_are_the_patch_first_then_the_rest() {
    let target = "containers:\n- {name: a, image: a:1}\n- {name: b, image: b:1}\n";
    let patch = "containers:\n- {name: new, image: n:1}\n- {name: b, image: b:2}\n";
    let want = "containers:\n- image: n:1\n  name: new\n- image: b:2\n  name: b\n- image: a:1\n  name: a\n";
    assert_eq!(pod(target, patch), want);
}

#[test]
fn other_lists_are_replaced() {
    assert_eq!(
        pod("tolerations: [{key: a}]\n", "tolerations: [{key: b}]\n"),
        "tolerations:\n- key: b\n"
    );
    let custom = "apiVersion: e.com/v1\nkind: X\nspec: {containers: [{name: a}]}\n";
    let patch = custom.replace("name: a", "name: b");
    assert_eq!(
        merged(custom, &patch).expect("fits"),
        merged(&patch, &patch).expect("fits")
    );
}

#[test]
fn ports_need_protocols_on_both_sides_or_none() {
    let ports = |target: &str, patch: &str| {
        let whole = |ports: &str| format!("containers:\n- name: a\n  ports: {ports}\n");
        let text = pod(&whole(target), &whole(patch));
        text.strip_prefix("containers:\n- name: a\n")
            .unwrap_or(&text)
            .to_owned()
    };
    // Neither side has one.
    assert_eq!(
        ports(
            "[{containerPort: 1, name: x}]",
            "[{containerPort: 1, name: y}, {containerPort: 2}]"
        ),
        "  ports:\n  - containerPort: 1\n    name: \"y\"\n  - containerPort: 2\n"
    );
    // The patch's element is lost.
    assert_eq!(
        ports(
            "[{containerPort: 1, protocol: TCP}]",
            "[{containerPort: 1, name: y}]"
        ),
        "  ports:\n  - containerPort: 1\n    protocol: TCP\n"
    );
}

#[test]
fn finalizers_are_a_set() {
    let object =
        |list: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  finalizers: {list}\n");
    let text = merged(&object("[a, b]"), &object("[c, b]"))
        .expect("fits")
        .expect("is there");
    assert!(
        text.ends_with("finalizers:\n  - c\n  - b\n  - a\n"),
        "{text}"
    );
}

#[test]
fn patch_directives() {
    assert_eq!(spec("a: {b: 1}\nc: 1\n", "a: {$patch: delete}\n"), "c: 1\n");
    assert_eq!(
        spec("a: {b: 1}\n", "a: {$patch: replace, d: 1}\n"),
        "a:\n  d: 1\n"
    );
    let target = "containers:\n- {name: a, image: a:1}\n- {name: b, image: b:1}\n";
    let rest = "containers:\n- image: a:1\n  name: a\n";
    assert_eq!(
        pod(
            target,
            "containers: [{name: b, $patch: delete}, {name: no, $patch: delete}]\n"
        ),
        rest
    );
    assert_eq!(
        pod(target, "containers: [{$patch: replace}, {name: c}]\n"),
        "containers:\n- name: c\n"
    );
    // Inside a keyed element it does nothing.
    assert_eq!(
        pod(
            "containers: [{name: a, image: a:1}]\n",
            "containers: [{name: a, $patch: replace, tty: true}]\n"
        ),
        rest
    );
}

#[test]
fn an_object_can_be_deleted() {
    let object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    assert_eq!(
        merged(object, &format!("{object}$patch: delete\n")),
        Ok(None)
    );
}

#[test]
fn what_does_not_fit_is_an_error_with_its_place() {
    for (target, patch, want) in [
        (
            "a: {b: 1}",
            "a: [1]",
            "cannot merge a list into the mapping at `spec.a`",
        ),
        (
            "a: {b: 1}",
            "a: {$patch: drop}",
            "unknown `$patch: drop`: it must be `delete`, `replace` or `merge`",
        ),
        (
            "template: {spec: {containers: [a]}}",
            "template: {spec: {containers: [{name: a}]}}",
            "the list at `spec.template.spec.containers` is merged by `name`, but an element is a scalar",
        ),
    ] {
        let object = |spec: &str| read(&format!("{HEAD}  {spec}\n"));
        let error = merge(&object(patch), object(target), &Schema::builtin());
        let error = error.expect_err("the patch does not fit");
        assert_eq!(error.to_string(), want);
        assert!(error.line.is_none_or(|line| line == 4), "{want}");
    }
}

#[test]
fn an_element_without_its_key_empties_the_list() {
    assert_eq!(
        pod("containers: [{name: a}]\n", "containers: [{image: x}]\n"),
        "containers: []\n"
    );
    assert_eq!(
        pod("containers: [{name: a}]\n", "containers: []\n"),
        "containers:\n- name: a\n"
    );
    assert_eq!(
        pod(
            "dnsPolicy: x\ncontainers: [{name: a}]\n",
            "containers: null\n"
        ),
        "dnsPolicy: x\n"
    );
}
