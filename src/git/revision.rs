//! A commit, and the name it was found under.

use std::fmt;

/// What a target stood for when the remote was last asked.
///
/// Displays as `main@sha1:<hex>`, and without a name as `sha1:<hex>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision {
    /// The commit, as 40 lower-case hexadecimal digits.
    pub commit: String,
    /// The branch or tag without its `refs/heads/` or `refs/tags/`, any other reference in full,
    /// and empty where a commit was asked for.
    pub name: String,
    /// The full name of the reference, empty where a commit was asked for.
    pub reference: String,
}

impl Revision {
    /// `commit` under the reference `reference`, which is a full name.
    #[must_use]
    pub fn new(commit: impl Into<String>, reference: impl Into<String>) -> Self {
        let reference = reference.into();
        let name = reference
            .strip_prefix("refs/heads/")
            .or_else(|| reference.strip_prefix("refs/tags/"))
            .unwrap_or(&reference)
            .to_owned();
        Self {
            commit: commit.into(),
            name,
            reference,
        }
    }

    /// `commit` itself, asked for by its hash.
    #[must_use]
    pub fn commit(commit: impl Into<String>) -> Self {
        Self {
            commit: commit.into(),
            name: String::new(),
            reference: String::new(),
        }
    }

    /// The first 7 digits of the commit, for a column or a sentence.
    #[must_use]
    pub fn short(&self) -> &str {
        self.commit.get(..7).unwrap_or(&self.commit)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() {
            write!(f, "sha1:{}", self.commit)
        } else {
            write!(f, "{}@sha1:{}", self.name, self.commit)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_shows_its_short_name() {
        let hex = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(
            Revision::new(hex, "refs/heads/a/b").to_string(),
            format!("a/b@sha1:{hex}")
        );
        assert_eq!(
            Revision::new(hex, "refs/tags/v1").to_string(),
            format!("v1@sha1:{hex}")
        );
        let pull = Revision::new(hex, "refs/pull/1/head");
        assert_eq!(pull.to_string(), format!("refs/pull/1/head@sha1:{hex}"));
        assert_eq!(Revision::commit(hex).to_string(), format!("sha1:{hex}"));
        assert_eq!(pull.short(), "0123456");
    }
}
