use serde_json::json;

use super::*;
use crate::cluster::{Discovery, Resource};
use crate::desired::{build, restore};
use crate::inventory::Owner;
use crate::object::Scope;

fn discovery() -> Discovery {
    Discovery::from_resources([
        Resource::known("v1", "ConfigMap", "configmaps", Scope::Namespaced),
        Resource::known("v1", "Secret", "secrets", Scope::Namespaced),
    ])
}

fn owner() -> Owner {
    Owner {
        install: "towline-system".into(),
        namespace: "towline-system".into(),
        name: "shop".into(),
    }
}

fn desired(values: impl IntoIterator<Item = Value>) -> Vec<DesiredObject> {
    let rendered: Vec<RenderedObject> = values
        .into_iter()
        .map(|value| RenderedObject {
            value,
            source: Source {
                path: "base/all.yaml".into(),
                line: Some(7),
            },
            generated: Some(Generated {
                base_name: "settings".into(),
            }),
        })
        .collect();
    let built = build(&rendered, &discovery(), &owner(), "shop").expect("valid");
    built
        .objects
        .into_values()
        .map(|object| (*object).clone())
        .collect()
}

fn config_map(number: usize, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap",
           "metadata": {"name": format!("c{number:05}")}, "data": {"value": value}})
}

/// Text that does not compress.
fn noise(seed: usize, bytes: usize) -> String {
    let mut text = String::new();
    for block in 0..bytes.div_ceil(64) {
        text.push_str(&hex::encode(Sha256::digest(format!("{seed}/{block}"))));
    }
    text
}

/// As in production, but small.
const LIMITS: Limits = Limits {
    chunk: 4096,
    secret: 10_000,
    total: 1_000_000,
};

fn laid(objects: &[DesiredObject], stored: &BTreeMap<String, Chunk>) -> Layout {
    let pairs: Vec<(&DesiredObject, &str)> = objects.iter().map(|o| (o, "c0ffee")).collect();
    layout(&pairs, stored, LIMITS).expect("small enough")
}

fn index(layout: &Layout) -> BTreeMap<String, Chunk> {
    let chunks = layout.chunks.iter().cloned();
    chunks.map(|chunk| (chunk.digest.clone(), chunk)).collect()
}

#[test]
fn an_object_that_was_stored_is_what_it_was() {
    let objects = desired([
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s",
            "labels": {"app": "web"}, "annotations": {"towline.dev/sync-wave": "3"}},
            "stringData": {"password": "hunter2"}}),
        config_map(1, "1"),
        // What an empty map is must not make another content of it.
        json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "empty", "annotations": {}, "labels": {}}}),
        json!({"apiVersion": "example.com/v1", "kind": "Widget",
            "metadata": {"name": "w", "namespace": "shop"}}),
    ]);
    let layout = laid(&objects, &BTreeMap::new());
    let mut restored = Vec::new();
    for chunk in &layout.chunks {
        for accepted in decode(&layout.new[&chunk.digest], &chunk.digest).expect("just written") {
            assert_eq!(accepted.revision, "c0ffee");
            let object = restore(accepted, &discovery(), &owner(), "".into()).expect("valid");
            restored.push((*object).clone());
        }
    }
    restored.sort_by(|a, b| a.id.cmp(&b.id));
    let mut expected = objects.clone();
    for object in &mut expected {
        object.rendered = None;
    }
    assert_eq!(restored, expected);
    assert_eq!(
        decode_index(&encode_index(&layout.index())),
        Ok(layout.index())
    );
}

#[test]
fn one_changed_object_changes_one_chunk() {
    let values = |changed: usize| {
        (0..60).map(move |n| {
            let more = if n == changed { "x" } else { "" };
            config_map(n, &(noise(n, 300) + more))
        })
    };
    let before = laid(&desired(values(usize::MAX)), &BTreeMap::new());
    assert!(before.chunks.len() > 4, "{}", before.chunks.len());
    let largest = before.new.values().map(Vec::len).max();
    assert!(largest.is_some_and(|bytes| bytes < LIMITS.chunk));
    let same = laid(&desired(values(usize::MAX)), &index(&before));
    assert!(same.new.is_empty(), "nothing changed");
    let after = laid(&desired(values(20)), &index(&before));
    assert_eq!(
        (after.chunks.len(), after.new.len()),
        (before.chunks.len(), 1)
    );
    // One more is one chunk too, or the two halves of one.
    let grown = laid(
        &desired(values(usize::MAX).chain([config_map(9999, "1")])),
        &index(&before),
    );
    assert!((1..=2).contains(&grown.new.len()), "{}", grown.new.len());
    // A mark that changed is stored as well.
    let objects = desired([config_map(1, "1")]);
    let marked = |mark| layout(&[(&objects[0], mark)], &BTreeMap::new(), LIMITS).expect("small");
    assert_ne!(marked("a").chunks, marked("b").chunks);
}

#[test]
fn what_is_too_large_is_refused_with_its_name_and_without_its_content() {
    let objects = desired((0..8).map(|n| config_map(n, &noise(n, 1000))));
    let pairs: Vec<(&DesiredObject, &str)> = objects.iter().map(|o| (o, "")).collect();
    let small = Limits {
        total: 3000,
        ..LIMITS
    };
    let error = layout(&pairs, &BTreeMap::new(), small).expect_err("over the limit");
    assert_eq!(error.reason(), "LastGoodTooLarge");
    let text = error.to_string();
    assert!(
        text.contains("more than the 3000 that are stored"),
        "{text}"
    );
    assert!(layout(&pairs, &BTreeMap::new(), LIMITS).is_ok());

    let huge = desired([config_map(5, &noise(5, 30_000))]);
    let error =
        layout(&[(&huge[0], "")], &BTreeMap::new(), LIMITS).expect_err("no Secret holds it");
    let text = error.to_string();
    assert!(
        text.contains("ConfigMap/shop/c00005") && text.len() < 300,
        "{text}"
    );
}

#[test]
fn rubbish_and_newer_formats_are_told_apart_and_nothing_of_them_is_shown() {
    let reason = |bytes: &[u8]| decode_index(bytes).expect_err("no index").to_string();
    assert!(reason(b"rubbish").contains("does not decompress"));
    assert!(reason(&[]).contains("does not decompress"));
    assert!(reason(&compress("something else\n")).contains("does not begin with its format"));
    assert_eq!(
        reason(&compress("towline-last-good 2\n{\"other\": 1}\n")),
        "format 2 is newer than this agent; upgrade it"
    );
    let text = "towline-last-good 1\n{\"hash\": \"hunter2\"}\n";
    let error = decode(&compress(text), &digest(text)).expect_err("no object");
    assert_eq!(error.to_string(), "its line 2 is broken");
    assert!(
        decode(&compress(text), "0123").is_err(),
        "named after something else"
    );
}
