use std::sync::atomic::Ordering;
use std::time::Duration;

use towline_testcluster::{Fault, GitRepo, GitServer, wait_until};

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
        Self::read_at(|repo| repo.file_url())
    }

    fn read_at(url: impl FnOnce(&GitRepo) -> String) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let repo = GitRepo::init(root.path().join("shop.git")).expect("a repository");
        let cache = Cache::new(root.path().join("cache")).expect("a cache");
        let schemes = AllowedSchemes::with([Scheme::File, Scheme::Http]);
        let remote = RemoteUrl::parse(&url(&repo), &schemes).expect("a URL");
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

#[test]
fn what_is_withdrawn_while_the_server_is_asked_is_not_pushed() {
    let mut server = None;
    let bench = Bench::read_at(|repo| {
        let root = repo.bare().parent().expect("a directory");
        let started = server.insert(GitServer::start_http(root).expect("a server"));
        started.url("shop.git")
    });
    let server = server.expect("started");
    let good = bench.commit("good");
    let head = Revision::new(good.as_str(), "refs/heads/main");
    bench.repository.fetch(&[head]).expect("the good commit");
    let bad = bench.commit("bad");
    let job = bench.job(WriteBack::Branch, &[&good], &bad);
    server.set_fault(Fault::Hang);
    let before = server.counters();
    std::thread::scope(|scope| {
        let run = scope.spawn(|| job.run());
        wait_until("the job to ask the server", Duration::from_secs(60), || {
            let asked = server.counters().requests > before.requests;
            asked.then_some(()).ok_or("not yet".to_owned())
        })
        .expect("a request");
        job.stop.store(true, Ordering::SeqCst);
        server.set_fault(Fault::None);
        let ended = run.join().expect("no panic");
        assert_eq!(ended.expect("no error"), None);
    });
    assert_eq!(server.counters().receive_packs, 0);
    // Nobody takes it back again, and so it is pushed.
    job.stop.store(false, Ordering::SeqCst);
    assert!(job.run().expect("no error").is_some());
    assert_eq!(server.counters().receive_packs, 1);
}
