use super::*;
use crate::error::{Class, Fault};

fn files() -> MemoryFiles {
    MemoryFiles::default()
        .file("a/b/c.yaml", "c")
        .file("a/d.yaml", "d")
        .file("top.yaml", "top")
        .symlink("link.yaml", "a/b/c.yaml")
        .symlink("dir", "a/b")
        .symlink("a/up", "..")
        .symlink("loop1", "loop2")
        .symlink("loop2", "loop1")
        .symlink("out", "../secret")
        .symlink("a/absolute", "/etc/passwd")
        .symlink("dangling", "nowhere")
        .symlink("a/to-dir", "../dir/c.yaml")
}

fn text(tree: &Tree, path: &str) -> Result<String, ReadError> {
    let bytes = tree.read(path)?;
    Ok(String::from_utf8(bytes.to_vec()).expect("tests use text"))
}

#[test]
fn paths_are_normalised_and_stay_inside() {
    let tree = Tree::new(files());
    assert_eq!(tree.join("a/b", "../d.yaml"), Ok("a/d.yaml".into()));
    assert_eq!(tree.join("", "./a//b/."), Ok("a/b".into()));
    assert_eq!(tree.join("a", ".."), Ok(String::new()));
    for path in ["../x", "a/../../x", "/etc/passwd", "a\0b"] {
        let error = tree.join("", path).expect_err(path);
        assert_eq!(
            (error.reason(), error.class()),
            ("PathEscape", Class::Stalled)
        );
        assert_eq!(tree.read(path), Err(error));
    }
}

#[test]
fn links_are_followed_inside_the_tree_only() {
    let tree = Tree::new(files());
    assert_eq!(text(&tree, "link.yaml"), Ok("c".into()));
    assert_eq!(text(&tree, "dir/c.yaml"), Ok("c".into()));
    assert_eq!(text(&tree, "a/up/a/up/top.yaml"), Ok("top".into()));
    assert_eq!(text(&tree, "a/to-dir"), Ok("c".into()));
    assert_eq!(
        tree.find("dir").map(|found| found.map(|found| found.path)),
        Ok(Some("a/b".into()))
    );
    assert_eq!(tree.kind("dir"), Ok(Some(EntryKind::Directory)));
    assert_eq!(tree.kind("dangling"), Ok(None));
    assert_eq!(
        tree.list("dir"),
        Ok(vec![("c.yaml".into(), EntryKind::File)])
    );
    assert_eq!(
        tree.read("loop1").map_err(|e| e.reason()),
        Err("SymlinkLoop")
    );
    assert_eq!(
        tree.read("loop1/x").map_err(|e| e.reason()),
        Err("SymlinkLoop")
    );
    assert_eq!(
        tree.read("out"),
        Err(ReadError::PathEscape { path: "out".into() })
    );
    assert_eq!(
        tree.read("a/absolute").map_err(|e| e.reason()),
        Err("PathEscape")
    );
}

#[test]
fn absence_kinds_and_sizes_are_told_apart() {
    let tree = Tree::new(files());
    assert_eq!(tree.kind("top.yaml/x"), Ok(None));
    assert_eq!(
        tree.read("x"),
        Err(ReadError::NotFound { path: "x".into() })
    );
    assert_eq!(
        tree.read("a"),
        Err(ReadError::NotAFile { path: "a".into() })
    );
    assert_eq!(
        tree.list("top.yaml"),
        Err(ReadError::NotADirectory {
            path: "top.yaml".into()
        })
    );
    let small = tree.clone().with_file_limit(2);
    assert_eq!(
        small.read("top.yaml").map_err(|e| e.reason()),
        Err("LimitExceeded")
    );
    assert!(small.read("a/d.yaml").is_ok());
    let names: Vec<_> = tree
        .list("")
        .expect("is there")
        .into_iter()
        .map(|(n, _)| n)
        .collect();
    assert!(
        names.is_sorted() && names.contains(&"a".to_owned()),
        "{names:?}"
    );
    assert_eq!(ReadError::Store("x".into()).class(), Class::Retry);
}

#[test]
fn a_closure_notices_exactly_what_was_looked_at() {
    let (tree, recording) = Tree::new(files()).recording();
    assert_eq!(text(&tree, "dir/c.yaml"), Ok("c".into()));
    assert_eq!(tree.kind("a/kustomization.yaml"), Ok(None));
    assert_eq!(tree.kind("a"), Ok(Some(EntryKind::Directory)));
    tree.list("a/b").expect("is there");
    let closure = recording.closure();
    let unchanged = |files: MemoryFiles| closure.unchanged_in(&Tree::new(files));
    assert_eq!(unchanged(files()), Ok(true));
    // Not looked at.
    assert_eq!(
        unchanged(files().file("top.yaml", "new").file("a/new.yaml", "")),
        Ok(true)
    );
    // Content, a target, a listing, and what was not there.
    assert_eq!(unchanged(files().file("a/b/c.yaml", "new")), Ok(false));
    assert_eq!(unchanged(files().symlink("dir", "a")), Ok(false));
    assert_eq!(unchanged(files().file("a/b/new.yaml", "")), Ok(false));
    assert_eq!(
        unchanged(files().file("a/kustomization.yaml", "")),
        Ok(false)
    );
    assert_eq!(unchanged(MemoryFiles::default()), Ok(false));
    let paths: Vec<_> = closure.paths().collect();
    assert_eq!(
        paths,
        [
            "a",
            "a/b",
            "a/b/c.yaml",
            "a/kustomization.yaml",
            "dir",
            "dir/c.yaml"
        ]
    );
}

#[test]
fn a_file_that_becomes_a_link_to_the_same_bytes_is_a_change() {
    let (tree, recording) = Tree::from_memory([("x", "top.yaml")]).recording();
    tree.read("x").expect("is there");
    let linked = MemoryFiles::default()
        .symlink("x", "top.yaml")
        .file("top.yaml", "top.yaml");
    assert_eq!(
        recording.closure().unchanged_in(&Tree::new(linked)),
        Ok(false)
    );
}

#[test]
fn what_failed_to_read_is_never_unchanged() {
    let (tree, recording) = Tree::new(files()).with_file_limit(1).recording();
    assert!(tree.read("top.yaml").is_err());
    assert_eq!(
        recording.closure().unchanged_in(&Tree::new(files())),
        Ok(false)
    );
}

#[cfg(unix)]
#[test]
fn a_directory_is_a_tree() {
    use std::fs;
    use std::os::unix::fs::symlink;

    let root = std::env::temp_dir().join(format!("towline-tree-{}", std::process::id()));
    fs::create_dir_all(root.join("a/b")).expect("a new directory");
    fs::write(root.join("a/b/c.yaml"), "c").expect("writable");
    symlink("a/b", root.join("dir")).expect("writable");
    symlink(root.join("a/b/c.yaml"), root.join("a/absolute")).expect("writable");
    symlink("/etc/hostname", root.join("out")).expect("writable");
    let tree = Tree::from_disk(&root).expect("is there");
    assert_eq!(text(&tree, "dir/c.yaml"), Ok("c".into()));
    assert_eq!(text(&tree, "a/absolute"), Ok("c".into()));
    assert_eq!(tree.read("out").map_err(|e| e.reason()), Err("PathEscape"));
    assert_eq!(tree.kind("a/b/c.yaml/d"), Ok(None));
    assert_eq!(tree.kind("a/b/x"), Ok(None));
    assert_eq!(
        tree.find("dir").map(|found| found.map(|found| found.path)),
        Ok(Some("a/b".into()))
    );
    let (recorded, recording) = tree.recording();
    recorded.read("dir/c.yaml").expect("is there");
    assert_eq!(recording.closure().unchanged_in(&tree), Ok(true));
    fs::write(root.join("a/b/c.yaml"), "changed").expect("writable");
    assert_eq!(recording.closure().unchanged_in(&tree), Ok(false));
    // The root of everything is a tree as well.
    let path = root.join("a/b/c.yaml").canonicalize().expect("is there");
    let path = path
        .to_str()
        .expect("tests use text")
        .trim_start_matches('/')
        .to_owned();
    assert_eq!(
        Tree::from_disk("/").and_then(|all| text(&all, &path)),
        Ok("changed".into())
    );
    fs::remove_dir_all(&root).expect("made above");
    assert!(Tree::from_disk(&root).is_err());
}
