//! Which commits changed some files.

use std::collections::{BTreeSet, VecDeque};

use super::commit::CommitDetails;
use super::error::{Error, Result};
use super::limits;
use super::repository::Repository;

/// What was done to some files between two commits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The commits that did it, the newest first. A merge is one of them, as for `git revert -m`.
    pub commits: Vec<CommitDetails>,
    /// One that towline wrote: among those, or among what a merge brought in.
    pub own: Option<String>,
}

impl Repository {
    /// The commits after `good` up to `bad` that changed one of `paths`. None if the history that is
    /// here does not tell, or is longer than is looked at.
    ///
    /// # Errors
    /// As for [`Repository::tree`].
    pub fn changes_between(
        &self,
        good: &str,
        bad: &str,
        paths: &[&str],
    ) -> Result<Option<Changes>> {
        let mut found = Changes::default();
        let mut at = self.commit(bad)?;
        let mut files = self.files_at(bad, paths.iter().copied())?;
        for _ in 0..limits::MAX_REVERTED {
            if at.commit == good {
                return Ok(Some(found));
            }
            let Some(parent) = self.towards(good, &at)? else {
                return Ok(None);
            };
            let before = self.files_at(&parent.commit, paths.iter().copied())?;
            if before != files {
                let own = self.own(&at, &parent.commit, paths)?;
                let Some(own) = own else { return Ok(None) };
                found.own = found.own.or(own);
                found.commits.push(at);
            }
            files = before;
            at = parent;
        }
        Ok(None)
    }

    /// The parent of `at` that has `good` in its past: of a merge the first such. None if that is
    /// not known.
    fn towards(&self, good: &str, at: &CommitDetails) -> Result<Option<CommitDetails>> {
        let is_merge = at.parents.len() > 1;
        for parent in &at.parents {
            if is_merge {
                match self.is_ancestor(good, parent)? {
                    Some(true) => {}
                    Some(false) => continue,
                    None => return Ok(None),
                }
            }
            return self.known(parent);
        }
        Ok(None)
    }

    /// What towline wrote of what `at` brought to `before`, if anything; none if that is not known.
    fn own(
        &self,
        at: &CommitDetails,
        before: &str,
        paths: &[&str],
    ) -> Result<Option<Option<String>>> {
        if at.is_by_towline {
            return Ok(Some(Some(at.commit.clone())));
        }
        let mut next: VecDeque<&String> = at.parents.iter().filter(|p| *p != before).collect();
        if next.is_empty() {
            return Ok(Some(None));
        }
        let past = self.past_of(before)?;
        let mut next: VecDeque<String> = next.drain(..).cloned().collect();
        let mut seen = BTreeSet::new();
        while let Some(commit) = next.pop_front() {
            if past.contains(&self.id(&commit)?) || !seen.insert(commit.clone()) {
                continue;
            }
            let known = self.known(&commit)?;
            let Some(commit) = known.filter(|_| seen.len() <= limits::MAX_REVERTED) else {
                return Ok(None);
            };
            if commit.is_by_towline && self.touches(&commit, paths)? {
                return Ok(Some(Some(commit.commit)));
            }
            next.extend(commit.parents);
        }
        Ok(Some(None))
    }

    /// Whether a commit changed one of `paths`, as far as that is known.
    fn touches(&self, commit: &CommitDetails, paths: &[&str]) -> Result<bool> {
        let parent = commit.parents.first().map(|parent| self.known(parent));
        let Some(parent) = parent.transpose()?.flatten() else {
            return Ok(true);
        };
        let at = |commit: &str| self.files_at(commit, paths.iter().copied());
        Ok(at(&parent.commit)? != at(&commit.commit)?)
    }

    /// A commit, if it is here: one that was fetched without its history has parents that are not.
    pub(super) fn known(&self, commit: &str) -> Result<Option<CommitDetails>> {
        match self.commit(commit) {
            Ok(commit) => Ok(Some(commit)),
            Err(Error::RevisionNotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
