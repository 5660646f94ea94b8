//! What a revert looks at before it is made: how the commits follow each other, and what it would
//! take back.

use towline::error::Fault as _;
use towline::git::{Author, Credential, Repository};
use towline::render::Options;
use towline::revert::{Error, Prepared, Revert, Words};
use towline_testcluster::{GitRepo, GitServer};

use super::{Bench, sync};

/// A revert of the Application in `app`, by whom it may be.
fn prepare(
    repository: &Repository,
    [good, bad, head]: [&str; 3],
) -> Result<Option<Prepared>, Error> {
    let by = Author {
        name: "towline".into(),
        email: "towline@example.com".into(),
        time: 1_700_000_000,
    };
    let words = Words {
        reason: "test".into(),
        cluster: "test".into(),
        application: "test/shop".into(),
    };
    let revert = Revert {
        repository,
        head,
        bad,
        good,
        path: "app",
        options: &Options::default(),
        namespace: "test",
        author: &by,
        committer: &by,
        words: &words,
        spares_own: true,
    };
    revert.prepare(None)
}

fn error(repository: &Repository, commits: [&str; 3]) -> Error {
    match prepare(repository, commits) {
        Err(error) => error,
        Ok(prepared) => panic!("it was prepared: {}", prepared.is_some()),
    }
}

fn map(value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: config}}\ndata: {{a: \"{value}\"}}\n")
}

/// A commit of another content of the Application.
fn commit(repo: &GitRepo, value: &str) -> String {
    repo.write("app/config.yaml", &map(value)).unwrap();
    repo.commit(value).unwrap()
}

/// The subjects of what is taken back.
fn subjects(prepared: &Prepared) -> Vec<&str> {
    let all = prepared.reverted.iter();
    all.map(|commit| commit.subject.as_str()).collect()
}

/// A repository, and as it is seen over a server or in a directory.
fn benches() -> impl Iterator<Item = (Bench, GitRepo, Option<GitServer>, Repository)> {
    [false, true].into_iter().map(|is_served| {
        let bench = Bench::new();
        let repo = bench.repo();
        let server = is_served.then(|| GitServer::start_http(bench.served()).unwrap());
        let url = server.as_ref().map(|server| server.url("shop.git"));
        let url = url.unwrap_or_else(|| repo.file_url());
        let repository = bench.open(&url, &Credential::none());
        (bench, repo, server, repository)
    })
}

#[test]
fn nothing_is_put_back_on_another_branch_or_after_a_force_push() {
    for (_bench, repo, _server, repository) in benches() {
        let good = commit(&repo, "good");
        let bad = commit(&repo, "bad");
        sync(&repository, "main").unwrap();
        assert!(prepare(&repository, [&good, &bad, &bad]).unwrap().is_some());
        // The commit that went bad is purged; then somebody has the same objects again.
        repo.force_push(&good).unwrap();
        repo.write("README.md", "purged\n").unwrap();
        let head = commit(&repo, "bad");
        sync(&repository, "main").unwrap();
        let found = error(&repository, [&good, &bad, &head]);
        assert!(matches!(found, Error::Unrelated { .. }), "{found}");
        assert_eq!(found.reason(), "RevertUnrelated");
        assert!(found.to_string().contains("by hand"), "{found}");
        // What was good is on a branch that is not tracked any more.
        repo.git(&["checkout", "--quiet", "--orphan", "other"])
            .unwrap();
        repo.write("README.md", "other\n").unwrap();
        let other = repo.commit("other").unwrap();
        sync(&repository, "other").unwrap();
        let found = error(&repository, [&good, &other, &other]);
        assert!(matches!(found, Error::Unrelated { .. }), "{found}");
    }
}
