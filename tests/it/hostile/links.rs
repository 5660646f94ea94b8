//! Symbolic links (case 4): from Git objects, as the agent reads, and from a directory, as the
//! command line does. What a link outside leads to is in no message.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use towline::git::Credential;
use towline::render::{Options, render};
use towline::tree::Tree;

use crate::world::borrowed;

use super::{CONFIG_MAP, is_refused, linked, refusal};
use crate::git::{Bench, sync};

/// What stands in the files that nobody may see.
const SECRET: &str = "swordfish-4711";

/// Lays the tree of all tests here into a directory: each folder is one case. `outside` holds what
/// must not be read.
fn lay(root: &Path, outside: &Path) {
    let secret = format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: {SECRET}}}\n");
    fs::create_dir_all(outside.join("dir")).unwrap();
    fs::write(outside.join("secret.yaml"), &secret).unwrap();
    fs::write(
        outside.join("dir/kustomization.yaml"),
        "resources: [s.yaml]\n",
    )
    .unwrap();
    fs::write(outside.join("dir/s.yaml"), &secret).unwrap();
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("base/kustomization.yaml", "resources: [a.yaml]\n");
    write("base/a.yaml", CONFIG_MAP);
    write("other/b.yaml", SECRET);
    for name in [
        "absolute",
        "relative",
        "chain",
        "loop",
        "self",
        "proc",
        "neighbour",
        "dangling",
        "long",
    ] {
        write(
            &format!("{name}/kustomization.yaml"),
            "resources: [x.yaml]\n",
        );
    }
    for name in ["base-inside", "base-outside", "base-loop", "base-itself"] {
        write(&format!("{name}/kustomization.yaml"), "resources: [x]\n");
    }
    write(
        "file-outside/kustomization.yaml",
        "configMapGenerator: [{name: g, files: [x]}]\n",
    );
    let up = format!("../{}", "../".repeat(40));
    for (link, target) in [
        (
            "absolute/x.yaml",
            outside.join("secret.yaml").display().to_string(),
        ),
        (
            "relative/x.yaml",
            format!("{up}{}", outside.join("secret.yaml").display()),
        ),
        ("chain/x.yaml", "y.yaml".into()),
        ("chain/y.yaml", "z/secret.yaml".into()),
        ("chain/z", outside.display().to_string()),
        ("loop/x.yaml", "y.yaml".into()),
        ("loop/y.yaml", "x.yaml".into()),
        ("self/x.yaml", "x.yaml".into()),
        ("proc/x.yaml", "/proc/self/environ".into()),
        ("neighbour/x.yaml", "../other/b.yaml".into()),
        ("dangling/x.yaml", "nowhere.yaml".into()),
        ("long/x.yaml", "./".repeat(2_000) + "../base/a.yaml"),
        ("base-inside/x", "../base".into()),
        ("base-outside/x", outside.join("dir").display().to_string()),
        ("base-loop/x", "y/z".into()),
        ("base-loop/y", "x".into()),
        ("base-itself/x", ".".into()),
        (
            "file-outside/x",
            outside.join("secret.yaml").display().to_string(),
        ),
        (
            "plain/x.yaml",
            outside.join("secret.yaml").display().to_string(),
        ),
    ] {
        let link = root.join(link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(target, link).unwrap();
    }
}

/// Checks every case of [`lay`] in a tree.
fn check(tree: &Tree) {
    for (dir, reason) in [
        ("absolute", "PathEscape"),
        ("relative", "PathEscape"),
        ("chain", "PathEscape"),
        ("loop", "PathEscape"),
        ("self", "PathEscape"),
        ("proc", "PathEscape"),
        ("neighbour", "PathEscape"),
        ("dangling", "PathNotFound"),
        ("base-outside", "PathEscape"),
        ("base-loop", "PathEscape"),
        ("base-itself", "Cycle"),
        ("file-outside", "PathEscape"),
        ("plain", "PathEscape"),
    ] {
        let (found, text) = refusal(tree, dir);
        assert_eq!(found, reason, "{dir}: {text}");
        assert!(text.contains(dir), "{dir}: {text}");
        assert!(!text.contains(SECRET), "{dir}: {text}");
    }
    let rendered = render(tree, "base-inside", &Options::default()).unwrap();
    assert_eq!(rendered.objects[0].source.path, "base/a.yaml");
}

#[test]
fn links_in_git_lead_nowhere_but_inside() {
    let bench = Bench::new();
    let repo = bench.repo();
    let outside = bench.served().join("outside");
    lay(repo.work_tree(), &outside);
    repo.commit("Links").unwrap();
    let repository = bench.open(&repo.file_url(), &Credential::none());
    let (revision, _) = sync(&repository, "main").unwrap();
    check(&repository.tree(&revision.commit).unwrap());
}

#[test]
fn links_in_a_directory_lead_nowhere_but_inside() {
    let temporary = tempfile::tempdir().unwrap();
    let root = temporary.path().join("root");
    fs::create_dir(&root).unwrap();
    lay(&root, &temporary.path().join("outside"));
    check(&Tree::from_disk(&root).unwrap());
}

/// A file that is checked and then becomes a link before it is read: nothing that is outside is
/// taken, whoever wins.
#[test]
fn a_file_that_becomes_a_link_is_never_followed_outside() {
    use std::sync::atomic::{AtomicBool, Ordering};

    let temporary = tempfile::tempdir().unwrap();
    let root = temporary.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("kustomization.yaml"), "resources: [x.yaml]\n").unwrap();
    let secret = temporary.path().join("secret.yaml");
    fs::write(&secret, CONFIG_MAP.replace("value", SECRET)).unwrap();
    let good = temporary.path().join("good.yaml");
    fs::write(&good, CONFIG_MAP).unwrap();
    let stop = AtomicBool::new(false);
    let target = root.join("x.yaml");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let staged = root.join("staged");
            while !stop.load(Ordering::Relaxed) {
                fs::copy(&good, &staged).unwrap();
                fs::rename(&staged, &target).unwrap();
                symlink(&secret, &staged).unwrap();
                fs::rename(&staged, &target).unwrap();
            }
        });
        for _ in 0..500 {
            let tree = Tree::from_disk(&root).unwrap();
            if let Ok(rendered) = render(&tree, "", &Options::default()) {
                let text = format!("{:?}", rendered.objects);
                assert!(!text.contains(SECRET), "{text}");
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_link_to_many_links_ends() {
    let links: Vec<(String, String)> = (0..60)
        .map(|i| (format!("l{i}.yaml"), format!("l{}.yaml", i + 1)))
        .collect();
    let links = borrowed(&links);
    let files = [
        ("kustomization.yaml", "resources: [l0.yaml]\n"),
        ("l60.yaml", CONFIG_MAP),
    ];
    is_refused(
        &linked(&files, &links),
        "",
        "PathEscape",
        &["kustomization.yaml:1", "l0.yaml"],
    );
    // each doubles the length of the way
    let links: Vec<(String, String)> = (0..40)
        .map(|i| (format!("d{i}"), format!("d{n}/../d{n}", n = i + 1)))
        .collect();
    let links = borrowed(&links);
    let files = [
        ("kustomization.yaml", "resources: [d0/a.yaml]\n"),
        ("d40/a.yaml", CONFIG_MAP),
    ];
    let _either = super::rendered(&linked(&files, &links), "", &Options::default());
}
