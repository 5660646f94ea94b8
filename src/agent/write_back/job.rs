//! One attempt to write a rollback back: the commit, its checks, and the push. It blocks, and knows
//! nothing of the Application.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::{WriteBack, WrittenBack};
use crate::error::Fault as _;
use crate::git::{self, Author, Repository, Revision, TargetRevision};
use crate::render;
use crate::revert::{Error, Prepared, Revert, Words, branch};

/// What became of a revert.
enum Put {
    /// It is on its branch: the commit.
    Pushed(String),
    /// The branch has the files of the good revision.
    Needless,
    /// Nobody wants it any more.
    Withdrawn,
}

/// Everything that an attempt needs.
pub(super) struct Job {
    pub(super) repository: Repository,
    pub(super) mode: WriteBack,
    pub(super) head: Revision,
    /// As the Application has it.
    pub(super) target: String,
    pub(super) bad: String,
    /// When that was gone back from.
    pub(super) quarantined: Time,
    /// The commits that rendered to what is gone back to, the newest first.
    pub(super) good: Vec<String>,
    pub(super) digest: String,
    pub(super) path: String,
    pub(super) options: render::Options,
    pub(super) namespace: String,
    pub(super) words: Words,
    pub(super) by: Author,
    /// Set when it is not wanted any more.
    pub(super) stop: Arc<AtomicBool>,
}

impl Job {
    /// Makes the commit, checks it, and pushes it; none where it was withdrawn before that.
    pub(super) fn run(&self) -> Result<Option<WrittenBack>, Error> {
        match self.mode {
            WriteBack::Branch => self.to_own_branch(),
            _ => self.to_tracked_branch(),
        }
    }

    fn to_tracked_branch(&self) -> Result<Option<WrittenBack>, Error> {
        if !self.head.reference.starts_with("refs/heads/") {
            return Err(Error::Pinned {
                revision: self.target.clone(),
                what: pinned(&self.head),
            });
        }
        let (head, reference) = (&self.head.commit, &self.head.reference);
        match self.put(head, reference, false)? {
            Put::Pushed(commit) => Ok(Some(self.written(&commit, reference))),
            Put::Withdrawn => Ok(None),
            // The newest commit has the files of the good one, and does not render to the same.
            Put::Needless => Err(self.different()),
        }
    }

    /// A branch that is there is taken as it is, or gets one more commit, where another Application
    /// began it.
    fn to_own_branch(&self) -> Result<Option<WrittenBack>, Error> {
        let reference = format!("refs/heads/{}", branch(&self.bad));
        let target = TargetRevision::parse(&reference)?;
        let mut synced = self
            .repository
            .poll_and_fetch(&BTreeSet::from([target.clone()]))?;
        let there = match synced.revisions.remove(&target) {
            Some(Ok(there)) => Some(there.commit),
            Some(Err(error)) if error.reason() != "BranchNotFound" => return Err(error.into()),
            _ => None,
        };
        let base = there.as_ref().unwrap_or(&self.head.commit);
        let put = self.put(base, &reference, there.is_none())?;
        match (put, &there) {
            (Put::Pushed(commit), _) => Ok(Some(self.written(&commit, &reference))),
            (Put::Withdrawn, _) => Ok(None),
            (Put::Needless, Some(there)) => Ok(Some(self.written(there, &reference))),
            (Put::Needless, None) => Err(self.different()),
        }
    }

    /// Puts the revert on top of `head`.
    fn put(&self, head: &str, reference: &str, is_new: bool) -> Result<Put, Error> {
        let Some(prepared) = self.prepare(head)? else {
            return Ok(Put::Needless);
        };
        if self.stop.load(Ordering::SeqCst) {
            tracing::info!(
                revision = self.bad,
                "withdrawn: the rollback is not written back"
            );
            return Ok(Put::Withdrawn);
        }
        self.repository.push(&prepared.draft, reference, is_new)?;
        Ok(Put::Pushed(prepared.draft.id()))
    }

    /// Makes the commit that goes back to one of those that rendered to the same: the newest that
    /// the bad one comes after. After a force push that need not be the one that was healthy last,
    /// which may not even be there any more.
    fn prepare(&self, head: &str) -> Result<Option<Prepared>, Error> {
        let mut candidates = Vec::new();
        for good in &self.good {
            let is_known = self.repository.is_ancestor(good, &self.bad)? == Some(true);
            candidates.push((!is_known, good));
        }
        // Those that are known to lead there first.
        candidates.sort_by_key(|(is_doubtful, _)| *is_doubtful);
        let mut first = None;
        for (_, good) in candidates {
            let revert = Revert {
                repository: &self.repository,
                head,
                bad: &self.bad,
                good,
                path: &self.path,
                options: &self.options,
                namespace: &self.namespace,
                author: &self.by,
                committer: &self.by,
                words: &self.words,
                spares_own: true,
            };
            match revert.prepare(Some(&self.digest)) {
                Err(
                    error @ (Error::Unrelated { .. }
                    | Error::Git(git::Error::RevisionNotFound { .. })),
                ) => {
                    first.get_or_insert(error);
                }
                prepared => return prepared,
            }
        }
        Err(first.unwrap_or_else(|| self.different()))
    }

    fn different(&self) -> Error {
        Error::Different {
            good: self.good.first().cloned().unwrap_or_default(),
        }
    }

    fn written(&self, commit: &str, reference: &str) -> WrittenBack {
        let branch = reference.strip_prefix("refs/heads/");
        WrittenBack {
            commit: commit.to_owned(),
            branch: branch.unwrap_or(reference).to_owned(),
            reverts: self.bad.clone(),
            quarantined: Some(self.quarantined.clone()),
        }
    }
}

/// What a revision is that is no branch.
fn pinned(revision: &Revision) -> &'static str {
    match revision.reference.as_str() {
        "" => "a commit",
        name if name.starts_with("refs/tags/") => "a tag, or a range of tags",
        _ => "no branch",
    }
}

#[cfg(test)]
mod tests;
