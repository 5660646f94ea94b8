//! The Git server, and the config repository on it: this package's `examples/`.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use towline_testcluster::{GitRepo, GitServer};

use crate::cluster::Cluster;

/// The examples of this checkout.
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
/// The repository that the example manifests name.
const PLACEHOLDER: &str = "https://git.example.com/shop/config.git";
/// What the demo's Application follows.
pub const OVERLAY: &str = "shop/overlays/dev/kustomization.yaml";

/// A config repository with a work tree, and the server it is pushed to.
pub struct Repository {
    server: GitServer,
    repo: GitRepo,
    _root: tempfile::TempDir,
}

impl Repository {
    /// Serves a copy of the examples over smart HTTP.
    pub fn create(cluster: &Cluster) -> anyhow::Result<Self> {
        let root = tempfile::tempdir()?;
        let server = GitServer::start_http(root.path())?;
        let repo = GitRepo::init(root.path().join("config.git"))?;
        let repository = Self {
            server,
            repo,
            _root: root,
        };
        for directory in ["shop", "applications"] {
            repository.copy(cluster, &Path::new(EXAMPLES).join(directory))?;
        }
        repository.repo.commit("The shop")?;
        Ok(repository)
    }

    fn copy(&self, cluster: &Cluster, directory: &Path) -> anyhow::Result<()> {
        let what = || format!("reading {}", directory.display());
        for entry in fs::read_dir(directory).with_context(what)? {
            let path = entry.with_context(what)?.path();
            if path.is_dir() {
                self.copy(cluster, &path)?;
                continue;
            }
            let text = fs::read_to_string(&path).with_context(what)?;
            let text = cluster.localise(&text.replace(PLACEHOLDER, &self.url()));
            let name = path.strip_prefix(EXAMPLES)?.to_string_lossy().into_owned();
            self.repo.write(&name, &text)?;
        }
        Ok(())
    }

    /// What goes into `repoURL`.
    pub fn url(&self) -> String {
        self.server.url("config.git")
    }

    /// Where a person edits.
    pub fn work_tree(&self) -> String {
        self.repo.work_tree().display().to_string()
    }

    /// A file of the work tree.
    pub fn read(&self, path: &str) -> anyhow::Result<String> {
        let file = self.repo.work_tree().join(path);
        fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))
    }

    /// Replaces text in a file of the work tree. The text must be there.
    pub fn edit(&self, path: &str, from: &str, to: &str) -> anyhow::Result<()> {
        let text = self.read(path)?;
        anyhow::ensure!(
            text.contains(from),
            "{path} has no `{}`: adapt the demo",
            from.trim()
        );
        Ok(self.repo.write(path, &text.replace(from, to))?)
    }

    /// Removes a file of the work tree.
    pub fn remove(&self, path: &str) -> anyhow::Result<()> {
        Ok(self.repo.remove(path)?)
    }

    /// Commits everything and pushes. Returns the commit and when it was pushed.
    pub fn commit(&self, message: &str) -> anyhow::Result<(String, Instant)> {
        let commit = self.repo.commit(message)?;
        Ok((commit, Instant::now()))
    }

    /// `git revert` and push. Returns the new commit and when it was pushed.
    pub fn revert(&self, commit: &str) -> anyhow::Result<(String, Instant)> {
        let commit = self.repo.revert(commit)?;
        Ok((commit, Instant::now()))
    }

    /// The newest commit.
    pub fn head(&self) -> anyhow::Result<String> {
        Ok(self.repo.head()?)
    }

    /// A git command that only reads.
    pub fn git(&self, args: &[&str]) -> anyhow::Result<String> {
        Ok(self.repo.git(args)?)
    }
}
