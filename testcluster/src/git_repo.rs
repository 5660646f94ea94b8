//! A work tree that pushes to a bare repository, for tests that play the user.

use crate::error::{Context, Error, Result};
use crate::reaper;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

/// A bare repository that servers serve, and a work tree to change it with. Every change is
/// committed and pushed in one go. Nothing of the user's own Git configuration is read.
pub struct GitRepo {
    bare: PathBuf,
    work: PathBuf,
}

impl GitRepo {
    /// Creates the bare repository `dir` (such as `<root of a server>/shop.git`), empty and with
    /// the branch `main`. The work tree is a temporary directory.
    pub fn init(dir: impl AsRef<Path>) -> Result<Self> {
        let bare = std::path::absolute(dir.as_ref()).doing(|| "resolving a path".into())?;
        fs::create_dir_all(&bare).doing(|| format!("creating {}", bare.display()))?;
        let work = tempfile::Builder::new()
            .prefix("towline-testcluster-git-")
            .tempdir()
            .doing(|| "creating a work tree".into())?;
        reaper::remove_at_exit(work.path())?;
        let repo = Self {
            bare,
            work: work.keep(),
        };
        repo.run(&repo.bare, &["init", "--quiet", "--bare", "-b", "main"])?;
        // Tests push to it over HTTP as well, force-push and delete the current branch.
        repo.config("http.receivepack", "true")?;
        repo.config("receive.denyDeleteCurrent", "ignore")?;
        repo.git(&["init", "--quiet", "-b", "main"])?;
        repo.git(&["remote", "add", "origin", &repo.bare.to_string_lossy()])?;
        Ok(repo)
    }

    /// The bare repository.
    pub fn bare(&self) -> &Path {
        &self.bare
    }

    /// The work tree.
    pub fn work_tree(&self) -> &Path {
        &self.work
    }

    /// The `file://` URL of the bare repository.
    pub fn file_url(&self) -> String {
        format!("file://{}", self.bare.display())
    }

    /// Sets an option of the bare repository, such as `uploadpack.allowFilter`.
    pub fn config(&self, key: &str, value: &str) -> Result<()> {
        self.run(&self.bare, &["config", key, value]).map(drop)
    }

    /// Writes a file of the work tree, with its directories. Nothing is committed yet.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        let file = self.inside(path)?;
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).doing(|| format!("creating {}", parent.display()))?;
        }
        fs::write(&file, text).doing(|| format!("writing {}", file.display()))
    }

    /// Removes a file or directory of the work tree. Nothing is committed yet.
    pub fn remove(&self, path: &str) -> Result<()> {
        let file = self.inside(path)?;
        let removed = if file.is_dir() {
            fs::remove_dir_all(&file)
        } else {
            fs::remove_file(&file)
        };
        removed.doing(|| format!("removing {}", file.display()))
    }

    /// Commits all changes (or none) to the current branch, pushes, and returns the commit.
    pub fn commit(&self, message: &str) -> Result<String> {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message])?;
        self.git(&["push", "--quiet", "origin", "HEAD"])?;
        self.head()
    }

    /// Reverts a commit with `git revert`, pushes, and returns the new commit.
    pub fn revert(&self, commit: &str) -> Result<String> {
        self.git(&["revert", "--no-edit", commit])?;
        self.git(&["push", "--quiet", "origin", "HEAD"])?;
        self.head()
    }

    /// Resets the current branch to a commit and force-pushes it.
    pub fn force_push(&self, commit: &str) -> Result<()> {
        self.git(&["reset", "--quiet", "--hard", commit])?;
        self.git(&["push", "--quiet", "--force", "origin", "HEAD"])
            .map(drop)
    }

    /// Changes to a branch, creating it at the current commit when it is new.
    pub fn switch(&self, branch: &str) -> Result<()> {
        let known = self
            .git(&["rev-parse", "--verify", &format!("refs/heads/{branch}")])
            .is_ok();
        let args: &[&str] = if known { &[] } else { &["-c"] };
        self.git(&[&["switch", "--quiet"], args, &[branch]].concat())
            .map(drop)
    }

    /// Deletes a branch of the bare repository. The work tree keeps its own.
    pub fn delete_branch(&self, branch: &str) -> Result<()> {
        self.git(&[
            "push",
            "--quiet",
            "origin",
            &format!(":refs/heads/{branch}"),
        ])
        .map(drop)
    }

    /// Tags the current commit (an annotated tag) and pushes the tag; an existing one is moved.
    pub fn tag(&self, name: &str) -> Result<()> {
        self.git(&["tag", "--force", "-m", name, name])?;
        let refspec = format!("+refs/tags/{name}");
        self.git(&["push", "--quiet", "origin", &refspec]).map(drop)
    }

    /// The current commit of the work tree.
    pub fn head(&self) -> Result<String> {
        self.git(&["rev-parse", "HEAD"])
    }

    /// Takes over what others pushed to the current branch.
    pub fn pull(&self) -> Result<String> {
        let branch = self.git(&["symbolic-ref", "--short", "HEAD"])?;
        self.git(&["fetch", "--quiet", "origin", &branch])?;
        self.git(&["reset", "--quiet", "--hard", "FETCH_HEAD"])?;
        self.head()
    }

    /// Any git command in the work tree; returns what it printed, without the last line break.
    pub fn git(&self, args: &[&str]) -> Result<String> {
        self.run(&self.work, args)
    }

    fn run(&self, dir: &Path, args: &[&str]) -> Result<String> {
        let what = || format!("running git {} in {}", args.join(" "), dir.display());
        let mut command = Command::new("git");
        let output = isolate(&mut command)
            .args(args)
            .current_dir(dir)
            .output()
            .map_err(|e| {
                Error::new(format!(
                    "{}: {e}: git must be installed and in PATH",
                    what()
                ))
            })?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            return Err(Error::new(format!("{} failed: {}", what(), stderr.trim())));
        }
        Ok(String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned())
    }

    fn inside(&self, path: &str) -> Result<PathBuf> {
        let relative = Path::new(path);
        if relative
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
        {
            return Ok(self.work.join(relative));
        }
        Err(Error::new(format!(
            "{path} is not a path inside of the work tree"
        )))
    }
}

impl Drop for GitRepo {
    fn drop(&mut self) {
        if fs::remove_dir_all(&self.work).is_ok() {
            reaper::keep(&self.work);
        }
    }
}

/// Keeps the user's and the machine's Git configuration, and any outer repository, out of it.
pub(crate) fn isolate(command: &mut Command) -> &mut Command {
    let git_variables = std::env::vars_os().filter(|(name, _)| {
        name.to_str()
            .is_some_and(|name| name.starts_with("GIT_") && name != "GIT_EXEC_PATH")
    });
    for (name, _) in git_variables {
        command.env_remove(name);
    }
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        // Repositories may belong to another user, in CI for example.
        .env("GIT_CONFIG_COUNT", "2")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("GIT_CONFIG_KEY_1", "gc.auto")
        .env("GIT_CONFIG_VALUE_1", "0")
        .env("GIT_AUTHOR_NAME", "Test User")
        .env("GIT_AUTHOR_EMAIL", "user@example.com")
        .env("GIT_COMMITTER_NAME", "Test User")
        .env("GIT_COMMITTER_EMAIL", "user@example.com")
}
