//! Abbreviated commits of a repository on this machine, as `git log --oneline` prints them.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use gix_hash::{ObjectId, Prefix};
use gix_object::Kind;

use super::error::{Cause, Error, Result};
use super::local::Local;
use super::tree::Holder as _;

/// The commit, in 40 digits, that `prefix` is the beginning of in the repository in `path`; none where
/// it is no such beginning, or no commit has it.
///
/// # Errors
/// Where several commits begin so, or the repository cannot be read.
pub fn expand(path: &Path, prefix: &str) -> Result<Option<String>> {
    let is_short = (Prefix::MIN_HEX_LEN..40).contains(&prefix.len());
    let Some(wanted) = Prefix::from_hex(prefix).ok().filter(|_| is_short) else {
        return Ok(None);
    };
    let local = Local::open(path, &format!("file://{}", path.display()))?;
    let reader = local.objects().reader();
    let mut found = HashSet::new();
    reader
        .lookup_prefix(wanted, Some(&mut found))
        .map_err(|error| Error::Unreachable {
            doing: "looking for a commit in",
            remote: local.remote().to_owned(),
            cause: Cause::of(&error),
        })?;
    let found: BTreeSet<ObjectId> = found.into_iter().collect();
    let mut commits = Vec::new();
    for id in found {
        if local.objects().kind(&reader, &id)? == Some(Kind::Commit) {
            commits.push(id.to_string());
        }
    }
    match commits.as_slice() {
        [] => Ok(None),
        [commit] => Ok(Some(commit.clone())),
        several => Err(Error::RevisionInvalid {
            revision: prefix.to_owned(),
            why: format!(
                "it is the beginning of several commits: {}",
                several.join(", ")
            ),
        }),
    }
}
