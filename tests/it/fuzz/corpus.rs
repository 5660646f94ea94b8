//! What mutation starts from: the input of the render fixtures, the examples, and what is known to
//! be hostile.

use std::fs;
use std::path::Path;

use super::Input;

const HOSTILE: &[&str] = &[
    "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    "a: &a {k: 1}\nb: {<<: *a, <<: [*a, {l: 2}]}\n",
    "? [complex]\n: {flow: [1, {a: b}]}\n",
    "a: |2-\n   indented\n\n  text\nb: >+\n folded\n\n  more\n\n",
    "%TAG ! tag:example.com,2000:\n---\n!foo {a: !!binary aGk=, b: !!float 1}\n...\n--- x\n",
    "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {t: 2001-01-01, n: no, f: .5, o: 0o7}}\n",
    "resources: [../x, /etc/passwd, https://example.com/x, \"a\\0b\", ., ~]\n",
    "namePrefix: \"\\e[2J\"\npatches: [{target: {name: '(a+)+$'}, patch: '[{op: copy, from: \"\", path: /x}]'}]\n",
];

/// All of it: each folder of a fixture or example is one input.
pub(super) fn all() -> Vec<Input> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all: Vec<Input> = HOSTILE
        .iter()
        .map(|text| [("kustomization.yaml".to_owned(), text.as_bytes().to_vec())].into())
        .collect();
    let mut folders: Vec<_> = fs::read_dir(root.join("fixtures/render"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join("input"))
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders.push(root.join("examples"));
    for folder in folders {
        let mut input = Input::new();
        read(&folder, "", &mut input);
        all.push(input);
    }
    all
}

fn read(folder: &Path, below: &str, input: &mut Input) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{below}{}", path.file_name().unwrap().to_string_lossy());
        if path.is_dir() {
            read(&path, &format!("{name}/"), input);
        } else if path.metadata().unwrap().len() < 64 << 10 {
            input.insert(name, fs::read(path).unwrap());
        }
    }
}
