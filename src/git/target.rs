//! What a `targetRevision` means: a name, a full reference, a range of versions, or a commit.

use std::fmt;

use super::error::{Error, Result};
use super::limits::MAX_REVISION_BYTES;
use super::range::Range;
use super::text::{shown, steers};

/// A validated `targetRevision`.
///
/// Displays as it was written. What is a branch or a tag name is only known once the remote has
/// been asked; a name that is both is an error there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetRevision {
    text: String,
    kind: Kind,
}

/// What a target asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// The remote's default branch.
    Head,
    /// A branch or a tag, by its short name.
    Name(String),
    /// A reference by its full name.
    Reference(String),
    /// The highest version among the tags.
    Range(Range),
    /// A commit, as 40 lower-case digits.
    Commit(String),
}

impl TargetRevision {
    /// Reads `text`: empty or `HEAD`, a branch or tag, `refs/…`, a semantic version range such as
    /// `1.2.*`, `^1.2`, `>=1.2 <2` or `v1.x`, or a commit of 40 hexadecimal digits.
    ///
    /// # Errors
    /// [`Error::RevisionInvalid`] with what is wrong.
    pub fn parse(text: &str) -> Result<Self> {
        let kind = Self::read(text).map_err(|why| Error::RevisionInvalid {
            revision: shown(text, MAX_REVISION_BYTES),
            why,
        })?;
        let text = if text.is_empty() {
            "HEAD".to_owned()
        } else {
            text.to_owned()
        };
        Ok(Self { text, kind })
    }

    /// Whether it names one commit for ever, so that there is nothing to poll.
    #[must_use]
    pub fn is_commit(&self) -> bool {
        matches!(self.kind, Kind::Commit(_))
    }

    pub(super) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The prefixes of references that the remote has to list to tell what this stands for.
    pub(super) fn prefixes(&self) -> Vec<String> {
        match &self.kind {
            Kind::Commit(_) | Kind::Head => Vec::new(),
            Kind::Name(name) => vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")],
            Kind::Reference(name) => vec![name.clone()],
            Kind::Range(_) => vec!["refs/tags/".to_owned()],
        }
    }

    fn read(text: &str) -> std::result::Result<Kind, String> {
        if text.is_empty() || text == "HEAD" {
            return Ok(Kind::Head);
        }
        if text.len() > MAX_REVISION_BYTES {
            return Err(format!("it is longer than {MAX_REVISION_BYTES} bytes"));
        }
        if text.starts_with('-') {
            return Err("it begins with `-`, like a command line option".into());
        }
        if text.chars().any(steers) {
            return Err("it contains control or invisible characters".into());
        }
        if text.bytes().all(|b| b.is_ascii_hexdigit()) {
            match text.len() {
                40 => return Ok(Kind::Commit(text.to_ascii_lowercase())),
                64 => return Err("SHA-256 repositories are not supported".into()),
                _ => {}
            }
        }
        if Range::looks_like(text) {
            return Range::parse(text).map(Kind::Range);
        }
        if text.starts_with("refs/") {
            valid_reference(text)?;
            return Ok(Kind::Reference(text.to_owned()));
        }
        valid_reference(&format!("refs/heads/{text}"))?;
        Ok(Kind::Name(text.to_owned()))
    }
}

/// Whether `name` may be a full reference name, for what a person wrote and for what a server
/// lists alike.
pub(super) fn valid_reference(name: &str) -> std::result::Result<(), String> {
    if name.chars().any(steers) {
        return Err("it contains control or invisible characters".into());
    }
    let short = name
        .trim_start_matches("refs/heads/")
        .trim_start_matches("refs/tags/");
    if short.starts_with('-') {
        return Err("it begins with `-`, like a command line option".into());
    }
    gix_validate::reference::name(name.into())
        .map(|_| ())
        .map_err(|error| format!("it is not a valid reference name: {error}"))
}

impl fmt::Display for TargetRevision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Kind {
        TargetRevision::parse(text)
            .unwrap_or_else(|error| panic!("{error}"))
            .kind
    }

    #[test]
    fn each_form_is_told_from_the_others() {
        assert_eq!(kind(""), Kind::Head);
        assert_eq!(kind("HEAD"), Kind::Head);
        assert_eq!(kind("main"), Kind::Name("main".into()));
        assert_eq!(kind("feature/x-1"), Kind::Name("feature/x-1".into()));
        assert_eq!(kind("v1.2.3"), Kind::Name("v1.2.3".into()));
        assert_eq!(kind("1.2"), Kind::Name("1.2".into()));
        assert_eq!(kind("deadbeef"), Kind::Name("deadbeef".into()));
        assert_eq!(kind("release-1.x"), Kind::Name("release-1.x".into()));
        assert_eq!(
            kind("refs/pull/1/head"),
            Kind::Reference("refs/pull/1/head".into())
        );
        assert_eq!(kind(&"AB".repeat(20)), Kind::Commit("ab".repeat(20)));
        for range in [
            "1.2.*",
            "^1.2",
            "~1",
            ">=1.0 <2.0",
            "v1.x",
            "1.2 - 1.4",
            "*",
            "=1.0.0",
        ] {
            assert!(matches!(kind(range), Kind::Range(_)), "{range}");
        }
    }

    #[test]
    fn names_that_smuggle_are_refused() {
        for text in [
            "--upload-pack=x",
            "-x",
            "refs/heads/../../x",
            "HEAD@{1}",
            "a\u{1b}[31m",
            "a\u{202e}b",
            "a b:c",
            "a.lock",
            "refs/heads/a.lock",
            "a..b",
            "a/",
            "/a",
            "a//b",
            "refs/tags/-x",
            "main:refs/heads/x",
            "a?b",
            "a\\b",
            ">=banana",
            &"a".repeat(300),
            &"ab".repeat(32),
        ] {
            match TargetRevision::parse(text) {
                Err(Error::RevisionInvalid { revision, .. }) => {
                    assert!(!revision.chars().any(steers), "{revision}");
                }
                other => panic!("{text:?}: {other:?}"),
            }
        }
    }
}
