//! Which commits changed some files.

use super::commit::CommitDetails;
use super::error::Result;
use super::limits;
use super::repository::Repository;

impl Repository {
    /// The commits after `good` up to `bad` that changed one of `paths`, the newest first. A merge
    /// counts as one commit, as for `git revert -m 1`. None if the history that is here does not
    /// lead from one to the other, or is longer than is looked at.
    ///
    /// # Errors
    /// As for [`Repository::tree`].
    pub fn changes_between(
        &self,
        good: &str,
        bad: &str,
        paths: &[&str],
    ) -> Result<Option<Vec<CommitDetails>>> {
        let mut found = Vec::new();
        let mut at = self.commit(bad)?;
        let mut files = self.files_at(bad, paths.iter().copied())?;
        for _ in 0..limits::MAX_REVERTED {
            if at.commit == good {
                return Ok(Some(found));
            }
            // A commit that was fetched without its history has a parent that is not here.
            let parent = at.parents.first().map(|parent| self.commit(parent));
            let Some(Ok(parent)) = parent else {
                return Ok(None);
            };
            let before = self.files_at(&parent.commit, paths.iter().copied())?;
            if before != files {
                found.push(at);
            }
            files = before;
            at = parent;
        }
        Ok(None)
    }
}
