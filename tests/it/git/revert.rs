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
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: config}}\ndata: {{a: \"{value}\"}}\n"
    )
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

#[test]
fn after_a_restart_the_history_is_fetched_to_name_what_is_taken_back() {
    let bench = Bench::new();
    let repo = bench.repo();
    let server = GitServer::start_http(bench.served()).unwrap();
    let good = commit(&repo, "good");
    repo.write("README.md", "other\n").unwrap();
    repo.commit("unrelated").unwrap();
    commit(&repo, "first");
    let bad = commit(&repo, "second");
    repo.write("README.md", "newer\n").unwrap();
    let head = repo.commit("newest").unwrap();
    // Only the newest commit is here.
    let repository = bench.open(&server.url("shop.git"), &Credential::none());
    sync(&repository, "main").unwrap();
    let prepared = prepare(&repository, [&good, &bad, &head]).unwrap().unwrap();
    assert_eq!(subjects(&prepared), ["second", "first"]);
    assert_eq!(prepared.edits.len(), 1);
    // And the next poll goes on from there.
    let next = commit(&repo, "third");
    let (revision, _) = sync(&repository, "main").unwrap();
    assert_eq!(revision.commit, next);
    assert_eq!(repository.is_ancestor(&good, &next).unwrap(), Some(true));
}

#[test]
fn a_history_that_cannot_be_had_is_no_reason_to_guess() {
    let bench = Bench::new();
    let repo = bench.repo();
    let good = commit(&repo, "good");
    commit(&repo, "first");
    let bad = commit(&repo, "second");
    // Somebody's own clone, without what lies between.
    let clone = bench.served().join("clone");
    let to = clone.display().to_string();
    repo.git(&["clone", "--quiet", "--depth=1", &repo.file_url(), &to])
        .unwrap();
    let fetch = ["-C", &to, "fetch", "--quiet", "--depth=1", "origin", &good];
    repo.git(&fetch).unwrap();
    let repository = bench.open(&format!("file://{to}"), &Credential::none());
    sync(&repository, "main").unwrap();
    let found = error(&repository, [&good, &bad, &bad]);
    assert!(matches!(found, Error::HistoryUnknown { .. }), "{found}");
    assert_eq!(found.reason(), "RevertUnrelated");
    assert!(found.to_string().contains("by hand"), "{found}");
}

#[test]
fn what_towline_wrote_is_found_in_what_a_merge_brought_in() {
    for (_bench, repo, _server, repository) in benches() {
        let before = commit(&repo, "before");
        let good = commit(&repo, "good");
        // Another Application or cluster took `good` back, on a branch; a person merged that.
        repo.git(&["switch", "--quiet", "-c", "towline/revert-1"])
            .unwrap();
        repo.write("app/config.yaml", &map("before")).unwrap();
        repo.commit("Revert \"good\"\n\nTowline-Reason: test")
            .unwrap();
        repo.git(&["switch", "--quiet", "main"]).unwrap();
        repo.write("README.md", "meanwhile\n").unwrap();
        repo.commit("meanwhile").unwrap();
        let merge = [
            "merge",
            "--quiet",
            "--no-ff",
            "-m",
            "Merged",
            "towline/revert-1",
        ];
        repo.git(&merge).unwrap();
        let bad = repo.commit("nothing").unwrap();
        sync(&repository, "main").unwrap();
        let found = error(&repository, [&good, &bad, &bad]);
        assert!(matches!(found, Error::Own { .. }), "{found}");
        // A merge of people is one commit, as for Git.
        repo.force_push(&before).unwrap();
        repo.git(&["switch", "--quiet", "-c", "feature"]).unwrap();
        commit(&repo, "one");
        commit(&repo, "two");
        repo.git(&["switch", "--quiet", "main"]).unwrap();
        let merge = ["merge", "--quiet", "--no-ff", "-m", "Feature", "feature"];
        repo.git(&merge).unwrap();
        let bad = repo.commit("nothing").unwrap();
        sync(&repository, "main").unwrap();
        let prepared = prepare(&repository, [&before, &bad, &bad]).unwrap();
        assert_eq!(subjects(&prepared.unwrap()), ["Feature"]);
    }
}

#[test]
fn a_submodule_is_left_to_people_and_spoils_nothing() {
    for (_bench, repo, _server, repository) in benches() {
        let good = commit(&repo, "good");
        repo.write("app/more/a.yaml", &map("more")).unwrap();
        repo.commit("more").unwrap();
        repo.git(&["rm", "-r", "--quiet", "app/config.yaml"])
            .unwrap();
        let other = "1234567890123456789012345678901234567890";
        let link = format!("160000,{other},app/config.yaml");
        repo.git(&["update-index", "--add", "--cacheinfo", &link])
            .unwrap();
        repo.git(&["commit", "--quiet", "-m", "a submodule"])
            .unwrap();
        repo.git(&["push", "--quiet", "origin", "HEAD"]).unwrap();
        let bad = repo.head().unwrap();
        sync(&repository, "main").unwrap();
        for commits in [[&good, &bad, &bad], [&bad, &bad, &bad]] {
            let _ = prepare(&repository, commits.map(String::as_str));
        }
        let found = error(&repository, [&good, &bad, &bad]);
        assert_eq!(found.reason(), "RevertConflict", "{found}");
        assert!(found.to_string().contains("submodule"), "{found}");
        // What was fetched is still there.
        assert!(repository.commit(&bad).is_ok());
        let (_, synced) = sync(&repository, "main").unwrap();
        assert!(!synced.fetched.transferred);
    }
}

#[test]
fn a_revert_is_no_older_than_what_it_comes_on_top_of() {
    let bench = Bench::new();
    let repo = bench.repo();
    let repository = bench.open(&repo.file_url(), &Credential::none());
    let (good, bad) = (commit(&repo, "good"), commit(&repo, "bad"));
    sync(&repository, "main").unwrap();
    let prepared = prepare(&repository, [&good, &bad, &bad]).unwrap().unwrap();
    repository
        .push(&prepared.draft, "refs/heads/main", false)
        .unwrap();
    let head = repo.pull().unwrap();
    let times = repo.git(&["log", "-2", "--format=%at %ct", &head]).unwrap();
    let times: Vec<Vec<i64>> = times
        .lines()
        .map(|line| line.split(' ').map(|time| time.parse().unwrap()).collect())
        .collect();
    // The clock of whoever made it is years behind.
    assert_eq!(times[0], [times[1][1], times[1][1]]);
}
