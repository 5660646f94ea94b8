//! Who wrote a line, and when: the newest commit at which it became what it is.
//!
//! Version is compared with version, from a commit back. A line that a parent has is the parent's;
//! one that none has was written by the commit. A file that was renamed counts as written by the
//! commit that gave it its name.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use similar::{DiffOp, TextDiff};

use super::commit::CommitDetails;
use super::error::Result;
use super::repository::Repository;
use crate::tree::ReadError;

/// How many commits are looked at for one file.
const COMMITS: usize = 20_000;
/// A file with more lines than this is not compared: that takes time in the square of what differs.
const LINES: usize = 20_000;
/// How long two versions are compared before it is done roughly: a line may then seem newer.
const COMPARISON: Duration = Duration::from_secs(2);

/// The commit that a line is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineOrigin {
    /// The commit.
    pub commit: CommitDetails,
    /// Its past was not fetched: the line may be older.
    pub at_or_before: bool,
}

/// Lines of one version that are asked for: their number there, and what they were asked for as.
type Wanted = BTreeMap<usize, Vec<u32>>;

impl Repository {
    /// The origin of some lines, counted from 1, of the file `path` as `commit` has it. Lines that
    /// the file does not have are left out.
    ///
    /// # Errors
    /// When the commit or its files cannot be read.
    pub fn line_origins(
        &self,
        commit: &str,
        path: &str,
        lines: impl IntoIterator<Item = u32>,
    ) -> Result<BTreeMap<u32, LineOrigin>> {
        let mut found = BTreeMap::new();
        let Some(text) = self.version(commit, path)? else {
            return Ok(found);
        };
        let count = text.lines().count();
        let mut wanted = Wanted::new();
        for line in lines {
            let index = usize::try_from(line).unwrap_or(usize::MAX).wrapping_sub(1);
            if index < count {
                wanted.entry(index).or_default().push(line);
            }
        }
        let mut next = VecDeque::from([(commit.to_owned(), text, wanted)]);
        let mut looked = 0;
        while let Some((commit, text, mut wanted)) = next.pop_front() {
            let details = self.commit(&commit)?;
            let mut at_or_before = false;
            looked += 1;
            for parent in &details.parents {
                if wanted.is_empty() {
                    break;
                }
                // A commit at the end of what was fetched names its parents all the same.
                if looked > COMMITS || self.known(parent)?.is_none() {
                    at_or_before = true;
                    continue;
                }
                let Some(before) = self.version(parent, path)? else {
                    continue;
                };
                let passed = pass(&before, &text, &mut wanted);
                if !passed.is_empty() {
                    next.push_back((parent.clone(), before, passed));
                }
            }
            let origin = LineOrigin {
                commit: details,
                at_or_before,
            };
            let here = wanted.into_values().flatten();
            found.extend(here.map(|line| (line, origin.clone())));
        }
        Ok(found)
    }

    /// The file as a commit has it, if it does.
    fn version(&self, commit: &str, path: &str) -> Result<Option<String>> {
        match self.tree(commit)?.read(path) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(ReadError::Store(why)) => Err(super::error::Error::Cache {
                doing: "reading",
                remote: self.remote().to_string(),
                cause: super::error::Cause::new(&why),
            }),
            // Something else was there then, or nothing.
            Err(_) => Ok(None),
        }
    }
}

/// Takes those of the wanted lines of `text` out that are in `before` too, with their numbers there.
fn pass(before: &str, text: &str, wanted: &mut Wanted) -> Wanted {
    if before == text {
        return std::mem::take(wanted);
    }
    let mut passed = Wanted::new();
    if before.lines().count().max(text.lines().count()) > LINES {
        return passed;
    }
    let diff = TextDiff::configure()
        .timeout(COMPARISON)
        .diff_lines(before, text);
    for op in diff.ops() {
        let DiffOp::Equal {
            old_index,
            new_index,
            len,
        } = *op
        else {
            continue;
        };
        for offset in 0..len {
            if let Some(asked) = wanted.remove(&(new_index + offset)) {
                passed.insert(old_index + offset, asked);
            }
        }
    }
    passed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(lines: &[usize]) -> Wanted {
        let line = |index: &usize| (*index, vec![u32::try_from(index + 1).expect("small")]);
        lines.iter().map(line).collect()
    }

    #[test]
    fn what_a_parent_has_is_passed_on_with_its_number_there() {
        let mut lines = wanted(&[0, 1, 2, 3]);
        let passed = pass("a\nb\nc\n", "new\na\nB\nc\n", &mut lines);
        assert_eq!(passed, BTreeMap::from([(0, vec![2]), (2, vec![4])]));
        assert_eq!(lines, wanted(&[0, 2]));
        let mut lines = wanted(&[1]);
        assert_eq!(pass("a\nb\n", "a\nb\n", &mut lines), wanted(&[1]));
        assert!(lines.is_empty());
    }
}
