use std::sync::atomic::Ordering;

use towline_testcluster::GitRepo;

use super::*;
use crate::desired::digest;
use crate::git::{AllowedSchemes, Cache, Credential, RemoteUrl, Scheme};

/// A repository in a directory, and how it is read.
struct Bench {
    repo: GitRepo,
    repository: Repository,
    _cache: Cache,
    _root: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let repo = GitRepo::init(root.path().join("shop.git")).expect("a repository");
        let cache = Cache::new(root.path().join("cache")).expect("a cache");
        let schemes = AllowedSchemes::with([Scheme::File]);
        let remote = RemoteUrl::parse(&repo.file_url(), &schemes).expect("a URL");
        let opened = cache.repository(&remote, &Credential::none());
        Self {
            repository: opened.expect("a repository"),
            repo,
            _cache: cache,
            _root: root,
        }
    }

    /// A commit of another content of the Application.
    fn commit(&self, value: &str) -> String {
        let text = format!("kind: ConfigMap\nmetadata: {{name: a}}\ndata: {{a: \"{value}\"}}\n");
        let text = format!("apiVersion: v1\n{text}");
        self.repo.write("app/a.yaml", &text).expect("a file");
        self.repo.commit(value).expect("a commit")
    }

    /// What a branch is at.
    fn at(&self, branch: &str) -> String {
        let dir = format!("--git-dir={}", self.repo.bare().display());
        let found = self.repo.git(&[&dir, "rev-parse", branch]);
        found.expect("a branch")
    }

    fn job(&self, mode: WriteBack, good: &[&str], bad: &str) -> Job {
        let head = Revision::new(bad, "refs/heads/main");
        self.repository
            .fetch(std::slice::from_ref(&head))
            .expect("the newest commit");
        let tree = self.repository.tree(good[0]).expect("files");
        let options = render::Options::default();
        let rendered = render::render(&tree, "app", &options).expect("objects");
        Job {
            repository: self.repository.clone(),
            mode,
            head,
            target: "main".into(),
            bad: bad.into(),
            quarantined: Time(jiff::Timestamp::UNIX_EPOCH),
            good: good.iter().map(|good| (*good).to_owned()).collect(),
            digest: digest(&rendered.objects, "test"),
            path: "app".into(),
            options,
            namespace: "test".into(),
            words: Words {
                reason: "test".into(),
                cluster: "test".into(),
                application: "test/shop".into(),
            },
            by: Author {
                name: "towline".into(),
                email: "towline@example.com".into(),
                time: 1_700_000_000,
            },
            stop: Arc::default(),
        }
    }
}

#[test]
fn what_was_withdrawn_is_not_pushed() {
    let bench = Bench::new();
    let (good, bad) = (bench.commit("good"), bench.commit("bad"));
    for (mode, place) in [
        (WriteBack::Branch, branch(&bad)),
        (WriteBack::Revert, "main".to_owned()),
    ] {
        let job = bench.job(mode, &[&good], &bad);
        job.stop.store(true, Ordering::SeqCst);
        assert_eq!(job.run().expect("no error"), None);
        assert_eq!(bench.at("main"), bad);
        job.stop.store(false, Ordering::SeqCst);
        let written = job.run().expect("no error").expect("a commit");
        assert_eq!(written.branch, place);
        assert_eq!(bench.at(&place), written.commit);
        assert_eq!(written.quarantined, Some(job.quarantined.clone()));
    }
}

#[test]
fn a_branch_that_says_something_else_is_no_success() {
    let bench = Bench::new();
    let (good, bad) = (bench.commit("good"), bench.commit("bad"));
    // Somebody goes on with the bad revision on the branch that is for the revert.
    let place = branch(&bad);
    let git = |args: &[&str]| bench.repo.git(args).expect("git works");
    git(&["switch", "--quiet", "-c", &place]);
    let theirs = bench.commit("worse");
    let job = bench.job(WriteBack::Branch, &[&good], &bad);
    let error = job.run().expect_err("a conflict");
    assert!(matches!(error, Error::Conflict { .. }), "{error}");
    assert_eq!(bench.at(&place), theirs);
    // What has the files of the good one needs nothing more.
    let back = bench.commit("good");
    let written = job.run().expect("no error").expect("a commit");
    assert_eq!(written.commit, back);
}

#[test]
fn after_a_force_push_the_good_commit_is_one_that_the_bad_one_follows() {
    let bench = Bench::new();
    let (good, bad) = (bench.commit("good"), bench.commit("bad"));
    let reverted = bench.commit("good");
    bench.repo.force_push(&bad).expect("a force push");
    let job = bench.job(WriteBack::Revert, &[&reverted, &good], &bad);
    let written = job.run().expect("no error").expect("a commit");
    assert_eq!(bench.at("main"), written.commit);
    assert_eq!(bench.at("main^"), bad);
    // Without one there is no way that is known.
    bench.repo.force_push(&bad).expect("a force push");
    let job = bench.job(WriteBack::Revert, &[&reverted], &bad);
    let error = job.run().expect_err("no relation");
    assert!(matches!(error, Error::Unrelated { .. }), "{error}");
}
