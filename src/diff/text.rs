//! The text of a difference, as `kubectl diff` prints it.

use serde_json::{Map, Value};
use similar::TextDiff;

use super::mask::mask;
use crate::live::shown;
use crate::object::keys::{self, Writer};

/// Lines around a change, as in `diff -u`.
const CONTEXT: usize = 3;
/// Lines, of both versions together, above which no text is made: comparing takes time in the
/// square of what differs.
const LINE_LIMIT: usize = 20_000;

/// Metadata that only the server sets.
const NOISE: &[&str] = &[
    "creationTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// The unified diff of two versions of an object as YAML; empty where they are the same. `None` is
/// an object that is not there: its counterpart is added or removed as a whole. `name` stands in
/// the header, `yaml` writes a value.
///
/// Left out is what nobody declares: status, metadata of the server, towline's own marks. Secret
/// values are masked, control characters escaped.
pub fn unified(
    name: &str,
    old: Option<&Value>,
    new: Option<&Value>,
    yaml: &dyn Fn(&Value) -> String,
) -> String {
    let mut old = old.map(declared).unwrap_or_default();
    let mut new = new.map(declared).unwrap_or_default();
    mask(&mut old, &mut new);
    let (old, new) = (lines(&old, yaml), lines(&new, yaml));
    if old == new {
        return String::new();
    }
    let name = shown::line(name, 256);
    let (from, to) = (format!("live/{name}"), format!("desired/{name}"));
    let count = old.lines().count() + new.lines().count();
    if count > LINE_LIMIT {
        return format!("--- {from}\n+++ {to}\n{count} lines are too many to compare\n");
    }
    TextDiff::from_lines(&old, &new)
        .unified_diff()
        .context_radius(CONTEXT)
        .header(&from, &to)
        .to_string()
}

/// The object without what nobody declares.
fn declared(object: &Value) -> Value {
    let mut object = object.clone();
    let Some(map) = object.as_object_mut() else {
        return object;
    };
    map.remove("status");
    let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) else {
        return object;
    };
    for field in NOISE {
        metadata.remove(*field);
    }
    for field in ["annotations", "labels"] {
        let Some(entries) = metadata.get_mut(field).and_then(Value::as_object_mut) else {
            continue;
        };
        drop_marks(entries);
        if entries.is_empty() {
            metadata.remove(field);
        }
    }
    object
}

/// Drops what the agent writes; requests and switches are people's and stay.
fn drop_marks(entries: &mut Map<String, Value>) {
    for (key, writer, _) in keys::TABLE {
        if matches!(writer, Writer::MarkOnObject | Writer::StatusOnApplication) {
            entries.remove(*key);
        }
    }
}

/// The YAML of a value with control characters escaped, line by line; nothing for null.
fn lines(value: &Value, yaml: &dyn Fn(&Value) -> String) -> String {
    if value.is_null() {
        return String::new();
    }
    yaml(value)
        .lines()
        .map(|line| shown::escaped(line) + "\n")
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::yaml::{self, Duplicates, Resolver};

    /// One line for each scalar, as good as YAML for these tests.
    fn flat(value: &Value) -> String {
        fn walk(path: &str, value: &Value, out: &mut String) {
            match value {
                Value::Object(map) if !map.is_empty() => {
                    for (key, value) in map {
                        walk(&format!("{path}.{key}"), value, out);
                    }
                }
                Value::String(text) => out.extend([path, ": ", text, "\n"]),
                value => out.extend([path, ": ", &value.to_string(), "\n"]),
            }
        }
        let mut out = String::new();
        walk("", value, &mut out);
        out
    }

    #[test]
    fn shows_what_changed_with_context_and_without_noise() {
        let live = json!({"kind": "Deployment", "metadata": {"name": "web", "uid": "u", "generation": 4,
            "annotations": {"towline.dev/revision": "abc"}, "managedFields": [{}]},
            "spec": {"replicas": 5}, "status": {"replicas": 5}});
        let desired = json!({"kind": "Deployment", "metadata": {"name": "web",
            "annotations": {"towline.dev/revision": "def"}}, "spec": {"replicas": 3}});
        assert_eq!(
            unified("Deployment/shop/web", Some(&live), Some(&desired), &flat),
            "--- live/Deployment/shop/web\n+++ desired/Deployment/shop/web\n@@ -1,3 +1,3 @@\n \
             .kind: Deployment\n .metadata.name: web\n-.spec.replicas: 5\n+.spec.replicas: 3\n"
        );
        assert_eq!(unified("x", Some(&live), Some(&live), &flat), "");
        assert_eq!(unified("x", None, None, &flat), "");
    }

    #[test]
    fn creation_and_deletion_show_the_whole_object() {
        let object = json!({"kind": "ConfigMap", "data": {"a": "b"}});
        let created = unified("x", None, Some(&object), &flat);
        assert!(
            created.ends_with("@@ -0,0 +1,2 @@\n+.data.a: b\n+.kind: ConfigMap\n"),
            "{created}"
        );
        let deleted = unified("x", Some(&object), None, &flat);
        assert!(
            deleted.ends_with("@@ -1,2 +0,0 @@\n-.data.a: b\n-.kind: ConfigMap\n"),
            "{deleted}"
        );
    }

    #[test]
    fn a_secret_shows_its_keys_only() {
        let live = json!({"kind": "Secret", "data": {"a": "b25l", "b": "b25l"}});
        let desired = json!({"kind": "Secret", "data": {"a": "dHdv", "b": "b25l", "c": "b25l"}});
        let text = unified("Secret/shop/db", Some(&live), Some(&desired), &flat);
        assert!(
            text.contains("-.data.a: ***\n+.data.a: (changed)\n .data.b: ***\n+.data.c: (added)\n")
        );
        assert!(!text.contains("b25l") && !text.contains("dHdv"), "{text}");
    }

    #[test]
    fn a_terminal_is_not_steered() {
        let object = json!({"data": {"a": "\u{1b}[2J\u{202e}"}});
        let text = unified("x\ny", None, Some(&object), &flat);
        assert!(text.contains("+.data.a: \\u{1b}[2J\\u{202e}\n"), "{text}");
        assert!(text.starts_with("--- live/x y\n"));
    }

    /// Each folder under `fixtures/diff` holds `live.yaml`, `desired.yaml` (either may be missing)
    /// and what is printed, `diff.txt`. `UPDATE=1 cargo test` writes the last.
    #[test]
    fn every_fixture_prints_its_diff() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/diff");
        let entries = root.read_dir().expect("a folder of fixtures");
        let mut folders: Vec<_> = entries
            .map(|entry| entry.expect("readable").path())
            .collect();
        folders.sort();
        let mut wrong = Vec::new();
        for folder in &folders {
            let (live, desired) = (
                read(&folder.join("live.yaml")),
                read(&folder.join("desired.yaml")),
            );
            let text = unified("object", live.as_ref(), desired.as_ref(), &yaml::to_string);
            let golden = folder.join("diff.txt");
            if std::env::var_os("UPDATE").is_some() {
                fs::write(&golden, &text).expect("writable");
            }
            if fs::read_to_string(&golden).unwrap_or_default() != text {
                wrong.push(format!("{}:\n{text}", folder.display()));
            }
        }
        assert!(
            !folders.is_empty() && wrong.is_empty(),
            "{}",
            wrong.join("\n")
        );
    }

    fn read(file: &Path) -> Option<Value> {
        let bytes = fs::read(file).ok()?;
        let node = yaml::read_first_document(&bytes)
            .expect("yaml")
            .expect("a document");
        Some(yaml::resolve(&node, Resolver::Kubectl, Duplicates::Error).expect("values"))
    }

    #[test]
    fn what_is_too_large_is_not_compared() {
        let object = |from: usize| -> Value {
            (from..from + LINE_LIMIT)
                .map(|i| (i.to_string(), json!(i)))
                .collect::<Map<_, _>>()
                .into()
        };
        let text = unified("x", Some(&object(0)), Some(&object(LINE_LIMIT)), &flat);
        assert!(
            text.ends_with("40000 lines are too many to compare\n"),
            "{text}"
        );
    }
}
