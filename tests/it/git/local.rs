//! Repositories in directories of this machine, without the `git` program.

use towline::git::{Credential, Error, expand};

use super::{Bench, file, sync, target, targets};

#[test]
fn bare_and_work_tree_directories_are_read_in_place() {
    let bench = Bench::new();
    let repo = bench.repo();
    let first = repo.head().expect("a head");
    repo.tag("v1.0.0").expect("an annotated tag");
    // Neither of these may be looked at.
    repo.config("core.fsmonitor", "/bin/false")
        .expect("an option");
    repo.config("include.path", "/nowhere").expect("an option");
    let work = repo.work_tree().display().to_string();
    for url in [repo.file_url(), format!("file://{work}"), work.clone()] {
        let repository = bench.open(&url, &Credential::none());
        let synced = repository
            .poll_and_fetch(&targets(&["", "main", "v1.0.0", "^1", &first, "nowhere"]))
            .expect("a poll");
        for text in ["", "main", "v1.0.0", "^1", &first] {
            let revision = synced.revisions[&target(text)].as_ref().expect(text);
            assert_eq!(revision.commit, first, "{url} {text}");
            assert_eq!(file(&repository, revision, "app/config.yaml"), "a: 1\n");
        }
        let missing = &synced.revisions[&target("nowhere")];
        assert!(
            matches!(missing, Err(Error::BranchNotFound { .. })),
            "{missing:?}"
        );
        assert!(repository.remote().local_path().is_some());
    }
}

#[test]
fn changes_show_also_after_packing() {
    let bench = Bench::new();
    let repo = bench.repo();
    let first = repo.head().expect("a head");
    let repository = bench.open(&repo.file_url(), &Credential::none());
    let (old, _) = sync(&repository, "main").expect("a poll");
    let tree = repository.tree(&old.commit).expect("a tree");
    repo.write("app/config.yaml", "a: 2\n").expect("a file");
    let second = repo.commit("second").expect("a commit");
    let gc = std::process::Command::new("git")
        .args(["-C", &repo.bare().display().to_string(), "gc", "--quiet"])
        .status()
        .expect("git");
    assert!(gc.success());
    let (new, _) = sync(&repository, "main").expect("a poll");
    assert_eq!(new.commit, second);
    assert_eq!(file(&repository, &new, "app/config.yaml"), "a: 2\n");
    assert_eq!(
        tree.read("app/config.yaml").expect("a file").as_ref(),
        b"a: 1\n"
    );
    assert_eq!(repository.is_ancestor(&first, &second), Ok(Some(true)));
    assert_eq!(repository.is_ancestor(&second, &first), Ok(Some(false)));
}

#[test]
fn what_is_no_repository_is_told() {
    let bench = Bench::new();
    let plain = bench.root.path().join("plain");
    std::fs::create_dir(&plain).expect("a directory");
    for path in [plain, bench.root.path().join("nowhere")] {
        let repository = bench.open(&format!("file://{}", path.display()), &Credential::none());
        let error = sync(&repository, "main").expect_err("no repository");
        assert!(
            matches!(error, Error::RepositoryNotFound { .. }),
            "{error:?}"
        );
    }
    let empty = towline_testcluster::GitRepo::init(bench.served().join("e.git")).expect("a repo");
    let repository = bench.open(&empty.file_url(), &Credential::none());
    let error = sync(&repository, "main").expect_err("empty");
    assert!(matches!(error, Error::RepositoryEmpty { .. }), "{error:?}");
}

#[test]
fn the_first_digits_of_a_commit_are_enough_here() {
    let bench = Bench::new();
    let repo = bench.repo();
    let first = repo.head().expect("a head");
    let found = |prefix: &str| expand(repo.work_tree(), prefix).expect("it can be read");
    assert_eq!(found(&first[..12]).as_deref(), Some(first.as_str()));
    // A tree, which is no commit; too few digits; all of them; no digits.
    let tree = repo.git(&["rev-parse", "HEAD^{tree}"]).expect("a tree");
    for other in [&tree[..12], &first[..3], first.as_str(), "main"] {
        assert_eq!(found(other), None, "{other}");
    }
    assert!(expand(std::path::Path::new("/nowhere"), &first[..12]).is_err());
}

#[test]
fn a_path_of_many_directories_is_followed_as_far_as_it_leads() {
    let bench = Bench::new();
    let repo = bench.repo();
    let deep = vec!["d"; 40].join("/");
    repo.write(&format!("{deep}/there.yaml"), "a: 1\n")
        .expect("a file");
    repo.commit("deep").expect("a commit");
    let repository = bench.open(&repo.file_url(), &Credential::none());
    let (revision, _) = sync(&repository, "main").expect("a poll");
    let tree = repository.tree(&revision.commit).expect("a tree");
    let there = tree.read(&format!("{deep}/there.yaml")).expect("a file");
    assert_eq!(&*there, b"a: 1\n");
    // As long as a kustomization can write it, on the small stack of a thread.
    for start in ["nowhere/", "d/", "app/config.yaml/"] {
        let long = format!("{start}{}x", "d/".repeat(100_000));
        let tree = tree.clone();
        let look = move || tree.kind(&long);
        let stack = std::thread::Builder::new().stack_size(256 * 1024);
        let found = stack.spawn(look).expect("a thread").join();
        assert_eq!(found.expect("no overflow").expect("a look"), None);
    }
}
