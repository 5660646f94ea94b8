//! Names that no checkout would survive (case 5), in tree objects that no `git add` would make.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use towline::git::Credential;
use towline::render::{Options, limits, render};
use towline::tree::{EntryKind, Files, ReadError, Tree};
use towline_testcluster::GitServer;

use super::{CONFIG_MAP, refusal_with};
use crate::git::{Bench, sync};

/// A `git` command in a repository, with something to read.
fn git(dir: &Path, args: &[&str], input: &[u8]) -> String {
    let mut child = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_AUTHOR_NAME", "Test")
        .env("GIT_AUTHOR_EMAIL", "test@example.com")
        .env("GIT_COMMITTER_NAME", "Test")
        .env("GIT_COMMITTER_EMAIL", "test@example.com")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "git {args:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A tree object of whatever is wanted: modes, names and ids.
fn tree_object(bare: &Path, entries: &[(&str, &[u8], &str)]) -> String {
    let mut bytes = Vec::new();
    for (mode, name, id) in entries {
        bytes.extend(format!("{mode} ").bytes());
        bytes.extend(*name);
        bytes.push(0);
        let pairs = id.as_bytes().chunks(2);
        bytes.extend(pairs.map(|hex| {
            let hex = std::str::from_utf8(hex).unwrap();
            u8::from_str_radix(hex, 16).unwrap()
        }));
    }
    git(
        bare,
        &["hash-object", "-t", "tree", "-w", "--stdin", "--literally"],
        &bytes,
    )
}

/// Every name below `root`, and what is in the files.
fn listing(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                all.push((path.display().to_string(), fs::read(&path).unwrap()));
            }
        }
    }
    all.sort();
    all
}

#[test]
fn hostile_names_are_refused_and_become_no_path_of_this_machine() {
    let bench = Bench::new();
    let repo = bench.repo();
    let bare = repo.bare().to_owned();
    let blob = git(
        &bare,
        &["hash-object", "-w", "--stdin"],
        CONFIG_MAP.as_bytes(),
    );
    let below = tree_object(&bare, &[("100644", b"evil.yaml", &blob)]);
    let file = "100644";
    let hostile: Vec<(&str, &[u8])> = vec![
        ("40000", b".."),
        ("40000", b"."),
        ("40000", b".git"),
        ("40000", b".GIT"),
        ("40000", b".Git"),
        ("40000", b"git~1"),
        ("40000", b"GIT~1"),
        ("40000", b".git "),
        ("40000", b".git."),
        ("40000", b".git::$INDEX_ALLOCATION"),
        (file, b"../../escaped.yaml"),
        (file, b"/etc/cron.d/escaped"),
        (file, b"a/b.yaml"),
    ];
    let mut roots = Vec::new();
    for (i, (mode, name)) in hostile.iter().enumerate() {
        let id = if *mode == file { &blob } else { &below };
        roots.push((format!("d{i:02}"), tree_object(&bare, &[(mode, name, id)])));
    }
    let twice = [
        (file, &b"a.yaml"[..], &*blob),
        (file, &b"a.yaml"[..], &*blob),
    ];
    roots.push(("d50".into(), tree_object(&bare, &twice)));
    let latin: [(&str, &[u8], &str); 1] = [(file, b"caf\xe9.yaml", &blob)];
    roots.push(("d51".into(), tree_object(&bare, &latin)));
    // names that are only odd are files like others
    let odd: [(&str, &[u8], &str); 3] = [
        (file, b"CON", &blob),
        (file, b"a\\b.txt", &blob),
        (file, b"nul.yaml", &blob),
    ];
    roots.push(("odd".into(), tree_object(&bare, &odd)));
    let root: Vec<_> = roots
        .iter()
        .map(|(name, id)| ("40000", name.as_bytes(), id.as_str()))
        .collect();
    let root = tree_object(&bare, &root);
    let commit = git(&bare, &["commit-tree", &root, "-m", "Hostile"], b"");
    git(&bare, &["update-ref", "refs/heads/main", &commit], b"");

    let server = GitServer::start_http(bench.served()).unwrap();
    let before = listing(&bench.served());
    for url in [repo.file_url(), server.url("shop.git")] {
        let repository = bench.open(&url, &Credential::none());
        let (revision, _) = sync(&repository, "main").unwrap();
        let tree = repository.tree(&revision.commit).unwrap();
        for (name, _) in roots.iter().filter(|(name, _)| name != "odd") {
            let (reason, text) = refusal_with(&tree, name, &super::plain());
            assert_eq!(reason, "TreeUnreadable", "{name}: {text}");
        }
        let rendered = render(&tree, "odd", &Options::default()).unwrap();
        assert_eq!(rendered.objects[0].source.path, "odd/nul.yaml");
    }
    assert_eq!(
        listing(&bench.served()),
        before,
        "nothing is written beside the cache"
    );
    assert!(!Path::new("/etc/cron.d/escaped").exists());
}

/// A tree of 10¹² directories, which in Git are thirteen objects.
struct Nested;

impl Files for Nested {
    fn kind(&self, _: &str) -> Result<Option<EntryKind>, ReadError> {
        Ok(Some(EntryKind::Directory))
    }

    fn read(&self, path: &str, _: usize) -> Result<Arc<[u8]>, ReadError> {
        Err(ReadError::NotAFile { path: path.into() })
    }

    fn list(&self, path: &str) -> Result<Vec<(String, EntryKind)>, ReadError> {
        let count = if path.matches('/').count() < 12 {
            10
        } else {
            0
        };
        Ok((0..count)
            .map(|i| (format!("d{i}"), EntryKind::Directory))
            .collect())
    }
}

#[test]
fn a_tree_of_trees_of_trees_ends() {
    let (reason, text) = refusal_with(&Tree::new(Nested), "", &super::plain());
    assert_eq!(reason, "LimitExceeded");
    assert!(text.contains(&limits::MAX_ENTRIES.to_string()), "{text}");
}
