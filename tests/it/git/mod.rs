//! `towline::git` against real Git servers: smart HTTP by `git http-backend`, ssh by OpenSSH's
//! sshd, and directories.

mod clone;
mod failures;
mod http;
mod local;
mod notes;
mod push;
mod revert;
mod script;
mod scripted;
mod ssh;
mod tls;

use std::collections::BTreeSet;

use towline::git::{
    AllowedSchemes, Cache, Credential, Error, RemoteUrl, Repository, Revision, Scheme, Synced,
    TargetRevision,
};
use towline_testcluster::GitRepo;

/// A cache directory of its own, and what goes with it.
pub(crate) struct Bench {
    root: tempfile::TempDir,
    cache: Cache,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let cache = Cache::new(root.path().join("cache")).expect("a cache");
        Self { root, cache }
    }

    /// Where servers serve from.
    pub(crate) fn served(&self) -> std::path::PathBuf {
        self.root.path().join("served")
    }

    /// A repository `shop.git` with one commit.
    pub(crate) fn repo(&self) -> GitRepo {
        let repo = GitRepo::init(self.served().join("shop.git")).expect("a repository");
        repo.write("app/config.yaml", "a: 1\n").expect("a file");
        repo.write("README.md", "shop\n").expect("a file");
        repo.commit("first").expect("a commit");
        repo
    }

    pub(crate) fn open(&self, url: &str, credential: &Credential) -> Repository {
        self.cache
            .repository(&remote(url), credential)
            .expect("a repository")
    }
}

fn remote(url: &str) -> RemoteUrl {
    RemoteUrl::parse(url, &AllowedSchemes::with([Scheme::Http, Scheme::File])).expect("a URL")
}

fn target(text: &str) -> TargetRevision {
    TargetRevision::parse(text).expect("a target revision")
}

fn targets(texts: &[&str]) -> BTreeSet<TargetRevision> {
    texts.iter().map(|text| target(text)).collect()
}

/// Polls and fetches one target.
pub(crate) fn sync(repository: &Repository, text: &str) -> Result<(Revision, Synced), Error> {
    let mut synced = repository.poll_and_fetch(&targets(&[text]))?;
    let revision = synced
        .revisions
        .remove(&target(text))
        .expect("an answer for the target")?;
    Ok((revision, synced))
}

fn file(repository: &Repository, revision: &Revision, path: &str) -> String {
    let tree = repository.tree(&revision.commit).expect("a tree");
    let bytes = tree.read(path).expect("a file");
    String::from_utf8(bytes.to_vec()).expect("text")
}
