//! Rules about the source tree that no compiler checks: what each folder may touch, how long a
//! file may be, and names that say nothing. ARCHITECTURE.md states them as invariants.

use std::path::{Path, PathBuf};

/// The longest file, in lines before its tests.
const MAX_LINES: usize = 600;

/// Folders that are pure, and what they therefore never mention.
const PURE: &[&str] = &[
    "object",
    "yaml",
    "render",
    "desired",
    "diff",
    "plan",
    "health",
    "status",
    "inventory",
    "live",
];
const EFFECTS: &[&str] = &[
    "std::fs",
    "std::env",
    "std::net",
    "std::process",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "tokio::",
    "println!",
    "eprintln!",
];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &[
    "util", "utils", "common", "misc", "helper", "helpers", "manager",
];

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of src") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source file");
                found.push((path, text));
            }
        }
    }
    found.sort();
    assert!(found.len() > 50, "the walk found the sources");
    found
}

/// The part of a file before its unit tests, without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| *line != "#[cfg(test)]" || !text.contains("\nmod tests {"))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(n, line)| (n + 1, line))
}

fn is_test(path: &Path) -> bool {
    path.file_stem()
        .is_some_and(|stem| stem == "tests" || stem == "arbitrary")
}

#[test]
fn pure_folders_touch_nothing() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let pure = PURE
            .iter()
            .any(|folder| path.components().any(|c| c.as_os_str() == *folder));
        let in_a_door = path.components().any(|c| {
            ["git", "agent", "cluster", "cli"]
                .iter()
                .any(|d| c.as_os_str() == *d)
        });
        if !pure || in_a_door || is_test(&path) {
            continue;
        }
        for (number, line) in code(&text) {
            if let Some(effect) = EFFECTS.iter().find(|effect| line.contains(**effect)) {
                wrong.push(format!("{}:{number}: {effect}", path.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "a pure folder touches the world:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn nothing_is_executed() {
    for (path, text) in sources() {
        for (number, line) in code(&text) {
            assert!(
                !line.contains("process::Command"),
                "{}:{number}: towline starts no program",
                path.display()
            );
        }
    }
}

#[test]
fn files_have_one_subject() {
    for (path, text) in sources() {
        let lines = if is_test(&path) {
            0
        } else {
            code(&text).last().map_or(0, |(n, _)| n)
        };
        assert!(
            lines <= MAX_LINES,
            "{} has {lines} lines: is it two subjects?",
            path.display()
        );
        let stem = path
            .file_stem()
            .and_then(|s| s.to_str())
            .unwrap_or_default();
        assert!(
            !EMPTY_NAMES.contains(&stem),
            "{}: a name that says nothing",
            path.display()
        );
    }
}
