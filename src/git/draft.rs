//! A commit that is made here and nowhere else yet: a few files of its parent put in the place of
//! others. It can be read like any other, and is not written anywhere until it is pushed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use gix_hash::ObjectId;
use gix_object::Kind;

use super::edit::{FileId, Trees};
use super::error::{Error, Result};
use super::limits;
use super::packing::Item;
use super::repository::Repository;
use super::signing::signed;
use super::tree::CommitFiles;
use crate::tree::Tree;

/// Who a commit is by, and when it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The name.
    pub name: String,
    /// The mail address.
    pub email: String,
    /// Seconds since 1970.
    pub time: i64,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Draft {
    pub(super) id: ObjectId,
    pub(super) parent: ObjectId,
    root: ObjectId,
    commit: Vec<u8>,
    /// Directories that the parent does not have.
    trees: Arc<BTreeMap<ObjectId, Vec<u8>>>,
    /// Files that the parent may not have.
    blobs: BTreeSet<ObjectId>,
    is_empty: bool,
}

impl Draft {
    /// Its id, as 40 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> String {
        self.id.to_string()
    }

    /// Whether it changes nothing of its parent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }
}

impl Repository {
    /// The files and symbolic links of `commit`, which must have been fetched, at these paths;
    /// those where none is are left out.
    ///
    /// # Errors
    /// As for [`Repository::tree`].
    pub fn files_at<'p>(
        &self,
        commit: &str,
        paths: impl IntoIterator<Item = &'p str>,
    ) -> Result<BTreeMap<String, FileId>> {
        let holder = self.holder()?;
        let root = self.root(holder.objects(), commit)?;
        let mut trees = Trees::new(holder.objects(), self.shown());
        let mut found = BTreeMap::new();
        for path in paths {
            if let Some(file) = trees.find(root, path)? {
                found.insert(path.to_owned(), file);
            }
        }
        Ok(found)
    }

    /// Who commits to it: name and mail address, where its credentials have them.
    #[must_use]
    pub fn committer(&self) -> Option<(String, String)> {
        self.committing().committer.clone()?.ok()
    }

    /// A commit on top of `parent`, which must have been fetched, in which each of these paths has
    /// the file given, or none. Signed, where the credentials have a key for that.
    ///
    /// # Errors
    /// As for [`Repository::tree`]; [`Error::CredentialInvalid`] when that key, or who commits by the
    /// credentials, cannot be used.
    pub fn draft(
        &self,
        parent: &str,
        edits: &BTreeMap<String, Option<FileId>>,
        author: &Author,
        committer: &Author,
        message: &str,
    ) -> Result<Draft> {
        let holder = self.holder()?;
        let before = self.root(holder.objects(), parent)?;
        let mut trees = Trees::new(holder.objects(), self.shown());
        let listed: Vec<_> = edits.iter().map(|(path, f)| (path.as_str(), *f)).collect();
        let root = trees.edit(Some(before), &listed)?;
        let parent = self.id(parent)?;
        let commit = text(root, Some(parent), author, committer, message);
        let commit = self.sealed(commit)?;
        Ok(Draft {
            id: trees.hash(Kind::Commit, commit.as_bytes())?,
            parent,
            root,
            commit: commit.into_bytes(),
            trees: Arc::new(trees.fresh),
            blobs: edits.values().flatten().map(|file| file.id).collect(),
            is_empty: root == before,
        })
    }

    /// A commit as it is pushed: signed, where the credentials have a key for that.
    ///
    /// # Errors
    /// [`Error::CredentialInvalid`] when that key, or who commits by the credentials, cannot be used.
    pub(super) fn sealed(&self, commit: String) -> Result<String> {
        if let Some(Err(why)) = self.committing().committer {
            return Err(Error::CredentialInvalid {
                remote: self.shown().to_owned(),
                why: why.to_owned(),
            });
        }
        match &self.committing().signing_key {
            Some(key) => signed(&commit, key, self.shown()),
            None => Ok(commit),
        }
    }

    /// The files of a commit that is not written anywhere yet.
    ///
    /// # Errors
    /// [`Error::Cache`] if the cache is broken.
    pub fn draft_tree(&self, draft: &Draft) -> Result<Tree> {
        let files = CommitFiles::new(draft.id(), draft.root, self.holder()?);
        Ok(Tree::new(files.with_fresh(Arc::clone(&draft.trees))))
    }

    /// Everything of a commit that its parent may not have.
    pub(super) fn items(&self, draft: &Draft) -> Result<Vec<Item>> {
        let holder = self.holder()?;
        let trees = Trees::new(holder.objects(), self.shown());
        let mut items = vec![(Kind::Commit, draft.commit.clone())];
        items.extend(draft.trees.values().map(|tree| (Kind::Tree, tree.clone())));
        items.extend(trees.blobs(&draft.blobs, limits::MAX_PUSH_BYTES)?);
        Ok(items)
    }
}

/// A commit as Git stores it; the first one of its reference has no parent.
pub(super) fn text(
    root: ObjectId,
    parent: Option<ObjectId>,
    author: &Author,
    committer: &Author,
    message: &str,
) -> String {
    // What would end the line or the name early is no part of one.
    let plain = |text: &str| -> String {
        let harmless = |c: &char| !c.is_control() && !matches!(c, '<' | '>');
        text.trim().chars().filter(harmless).collect()
    };
    let mut out = format!("tree {root}\n");
    if let Some(parent) = parent {
        // Writing to a string does not fail.
        let _ = writeln!(out, "parent {parent}");
    }
    for (role, by) in [("author", author), ("committer", committer)] {
        let (name, email) = (plain(&by.name), plain(&by.email));
        let _ = writeln!(out, "{role} {name} <{email}> {} +0000", by.time.max(0));
    }
    let message = message.replace('\0', "");
    let _ = write!(out, "\n{}\n", message.trim_end());
    out
}
