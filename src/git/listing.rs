//! What a remote's references were at one moment, and which revision a target is among them.

use std::collections::BTreeMap;

use gix_hash::ObjectId;

use super::error::{Error, Result};
use super::revision::Revision;
use super::target::{Kind, TargetRevision, valid_reference};

/// The references that a remote listed, tags peeled to what they mark.
#[derive(Debug, Default)]
pub(super) struct Listing {
    references: BTreeMap<String, ObjectId>,
    head: Head,
    /// Whether it holds every reference, so that being empty says something.
    complete: bool,
}

/// Where the remote's `HEAD` points.
#[derive(Debug, Default, Clone)]
pub(super) enum Head {
    /// Not listed.
    #[default]
    Missing,
    /// At a branch without commits.
    Unborn,
    /// At a branch.
    Branch(String, ObjectId),
    /// At a commit.
    Detached(ObjectId),
}

impl Listing {
    /// Adds a reference. Names that no target can ask for are left out.
    pub(super) fn insert(&mut self, name: &str, object: ObjectId) {
        if valid_reference(name).is_ok() {
            self.references.insert(name.to_owned(), object);
        }
    }

    /// Says where `HEAD` points.
    pub(super) fn set_head(&mut self, head: Head) {
        self.head = head;
    }

    /// Says that every reference of the remote was inserted.
    pub(super) fn set_complete(&mut self) {
        self.complete = true;
    }

    /// Whether an answer to "is the repository empty" needs a full listing.
    pub(super) fn may_be_empty(&self) -> bool {
        !self.complete
            && self.references.is_empty()
            && matches!(self.head, Head::Missing | Head::Unborn)
    }

    fn is_empty(&self) -> bool {
        self.complete
            && self.references.is_empty()
            && matches!(self.head, Head::Missing | Head::Unborn)
    }

    /// The revision that `target` stands for.
    ///
    /// # Errors
    /// [`Error::RepositoryEmpty`], [`Error::BranchNotFound`], [`Error::RevisionNotFound`] or
    /// [`Error::RevisionAmbiguous`]; `remote` is for their texts.
    pub(super) fn resolve(&self, target: &TargetRevision, remote: &str) -> Result<Revision> {
        if let Kind::Commit(commit) = target.kind() {
            return Ok(Revision::commit(commit));
        }
        if self.is_empty() {
            return Err(Error::RepositoryEmpty {
                remote: remote.to_owned(),
            });
        }
        match target.kind() {
            Kind::Commit(commit) => Ok(Revision::commit(commit)),
            Kind::Head => match &self.head {
                Head::Branch(name, id) => Ok(Revision::new(id.to_string(), name.as_str())),
                Head::Detached(id) => Ok(Revision::new(id.to_string(), "HEAD")),
                Head::Missing | Head::Unborn => Err(self.not_found("HEAD", remote)),
            },
            Kind::Reference(name) => match self.references.get(name) {
                Some(id) => Ok(Revision::new(id.to_string(), name.as_str())),
                None => Err(self.not_found(name, remote)),
            },
            Kind::Name(name) => {
                let full = [format!("refs/heads/{name}"), format!("refs/tags/{name}")];
                let [branch, tag] = full.each_ref().map(|full| self.references.get(full));
                match (branch, tag) {
                    (Some(_), Some(_)) => Err(Error::RevisionAmbiguous {
                        remote: remote.to_owned(),
                        name: name.clone(),
                    }),
                    (Some(id), None) => Ok(Revision::new(id.to_string(), full[0].as_str())),
                    (None, Some(id)) => Ok(Revision::new(id.to_string(), full[1].as_str())),
                    (None, None) => Err(self.not_found(name, remote)),
                }
            }
            Kind::Range(range) => {
                let tags = self
                    .references
                    .keys()
                    .filter_map(|name| name.strip_prefix("refs/tags/"));
                let Some(tag) = range.highest(tags) else {
                    return Err(Error::RevisionNotFound {
                        doing: "polling",
                        remote: remote.to_owned(),
                        why: format!("no tag is a version in `{target}`; push one, or widen it"),
                    });
                };
                let full = format!("refs/tags/{tag}");
                let id = self
                    .references
                    .get(&full)
                    .expect("the tag came from this map");
                Ok(Revision::new(id.to_string(), full))
            }
        }
    }

    fn not_found(&self, name: &str, remote: &str) -> Error {
        let hint = match &self.head {
            Head::Branch(head, _) => {
                let head = head.strip_prefix("refs/heads/").unwrap_or(head);
                format!("the default branch is `{head}`; correct targetRevision or push it")
            }
            _ => "correct targetRevision or push it".to_owned(),
        };
        Error::BranchNotFound {
            remote: remote.to_owned(),
            name: name.to_owned(),
            hint,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Fault;

    fn id(byte: u8) -> ObjectId {
        ObjectId::from_bytes_or_panic(&[byte; 20])
    }

    fn resolved(listing: &Listing, target: &str) -> String {
        let target = TargetRevision::parse(target).unwrap_or_else(|error| panic!("{error}"));
        match listing.resolve(&target, "r") {
            Ok(revision) => revision.reference,
            Err(error) => error.reason().to_owned(),
        }
    }

    #[test]
    fn targets_are_told_apart_by_what_is_there() {
        let mut listing = Listing::default();
        for (name, byte) in [
            ("refs/heads/main", 1),
            ("refs/heads/both", 2),
            ("refs/tags/both", 3),
            ("refs/tags/v1.0.0", 4),
            ("refs/tags/v1.1.0", 5),
            ("refs/heads/main2", 6),
            ("refs/heads/-x", 7),
        ] {
            listing.insert(name, id(byte));
        }
        listing.set_head(Head::Branch("refs/heads/main".into(), id(1)));
        for (target, reference) in [
            ("", "refs/heads/main"),
            ("main", "refs/heads/main"),
            ("v1.0.0", "refs/tags/v1.0.0"),
            ("^1", "refs/tags/v1.1.0"),
            ("refs/tags/both", "refs/tags/both"),
            ("both", "RevisionAmbiguous"),
            ("mai", "BranchNotFound"),
            ("^2", "RevisionNotFound"),
            ("0123456789012345678901234567890123456789", ""),
        ] {
            assert_eq!(resolved(&listing, target), reference, "{target}");
        }
        let target = TargetRevision::parse("master").expect("a name");
        let text = listing
            .resolve(&target, "r")
            .expect_err("not there")
            .to_string();
        assert!(text.contains("default branch is `main`"), "{text}");
    }

    #[test]
    fn only_a_full_listing_says_empty() {
        let mut listing = Listing::default();
        assert!(listing.may_be_empty());
        assert_eq!(resolved(&listing, "main"), "BranchNotFound");
        listing.set_complete();
        assert_eq!(resolved(&listing, "main"), "RepositoryEmpty");
        listing.insert("refs/heads/other", id(1));
        assert_eq!(resolved(&listing, "main"), "BranchNotFound");
    }
}
