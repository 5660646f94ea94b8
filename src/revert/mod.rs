//! The commit that takes a revision back: made on top of the newest one, checked, and handed out to
//! be pushed. For the agent (`spec.rollback.writeBack`) and for `towline rollback`.
//!
//! What is put back is what the Application *reads*: every file that rendering looked at, in the
//! good revision or in the bad one, and that differs between the two. Files of other Applications
//! stay as they are, also where one commit changed both. A file that several Applications read,
//! such as one of a shared base, is put back for all of them: there is only one.
//!
//! The result is rendered before anybody sees it. It has to have the digest of the good revision:
//! by that every agent that reads it knows it as the way back, and lifts the quarantine.

mod edits;
mod error;
mod message;

use std::collections::{BTreeMap, BTreeSet};

pub use edits::{Conflict, Files, edits, paths};
pub use error::Error;
pub use message::{Words, cause, message};

use crate::desired::digest;
use crate::git::{self, Author, Changes, CommitDetails, Draft, FileId, Repository, Revision};
use crate::render::{self, Rendered};
use crate::tree::{Closure, Tree};

/// Who towline is in a commit that it makes by itself.
const NAME: &str = "towline";
/// Its address there.
const EMAIL: &str = "towline@towline.dev";

/// What is to be reverted, and how the result is told.
pub struct Revert<'a> {
    /// Where all of it is.
    pub repository: &'a Repository,
    /// The commit that the new one comes on top of.
    pub head: &'a str,
    /// The commit whose files are taken back.
    pub bad: &'a str,
    /// The commit whose files come back.
    pub good: &'a str,
    /// The directory that is rendered.
    pub path: &'a str,
    /// How it is rendered.
    pub options: &'a render::Options,
    /// The namespace of objects that name none: a part of what a revision is.
    pub namespace: &'a str,
    /// Who the commit is by, and when it is made: no earlier than what it comes on top of.
    pub author: &'a Author,
    /// Who commits it, as [`committer`] knows them.
    pub committer: &'a Author,
    /// Why.
    pub words: &'a Words,
    /// A commit that towline wrote is not taken back: two that disagree would do so for ever.
    pub spares_own: bool,
}

/// A revert that is ready to be pushed.
pub struct Prepared {
    /// The commit.
    pub draft: Draft,
    /// For each file what becomes of it: none where it is removed.
    pub edits: BTreeMap<String, Option<FileId>>,
    /// The commits that are taken back, the newest first.
    pub reverted: Vec<CommitDetails>,
    /// What the bad revision renders to.
    pub before: Rendered,
    /// What this one renders to.
    pub rendered: Rendered,
}

impl Revert<'_> {
    /// Makes the commit; none where `head` has the files of the good revision already. `wanted` is
    /// the digest of that, where it is known.
    ///
    /// # Errors
    /// When a file was changed again, when the result would be something else than what was good,
    /// or when something cannot be read.
    pub fn prepare(&self, wanted: Option<&str>) -> Result<Option<Prepared>, Error> {
        self.fetch()?;
        // On another branch, or after history was rewritten, taking it back would take back what
        // nobody looked at, and bring back what was purged.
        self.follows(self.good, self.bad)?;
        self.follows(self.bad, self.head)?;
        let (good, good_read) = self.render_commit(self.good)?;
        let (before, bad_read) = self.render_commit(self.bad)?;
        let looked_at = good_read.paths().chain(bad_read.paths());
        let looked_at = paths(looked_at);
        let at = |commit: &str| {
            let paths = looked_at.iter().map(String::as_str);
            self.repository.files_at(commit, paths)
        };
        let [then, changed, now] = [at(self.good)?, at(self.bad)?, at(self.head)?];
        let edits = edits(&then, &changed, &now).map_err(|conflict| self.conflict(conflict))?;
        let is_submodule = |path: &&String| {
            let mut all = [&then, &changed, &now].into_iter();
            all.any(|files| files.get(*path).is_some_and(FileId::is_submodule))
        };
        if let Some(path) = edits.keys().find(is_submodule) {
            return Err(self.conflict(Conflict::Submodule(path.clone())));
        }
        if edits.is_empty() {
            return Ok(None);
        }
        let Changes { commits, own } = self.changes(&edits)?;
        if let Some(commit) = own.filter(|_| self.spares_own) {
            return Err(Error::Own { commit });
        }
        let reverted = commits;
        // A commit that is older than its parent is taken for damage by some tools, and clocks differ.
        let time = self.repository.commit(self.head)?.time;
        let later = |by: &Author| Author {
            time: by.time.max(time),
            ..by.clone()
        };
        let (author, committer) = (later(self.author), later(self.committer));
        let text = message(self.words, &reverted, self.good);
        let draft = self
            .repository
            .draft(self.head, &edits, &author, &committer, &text)
            .map_err(|error| match error {
                git::Error::WouldBeLost { path, .. } => self.conflict(Conflict::Lost(path)),
                error => error.into(),
            })?;
        let tree = self.repository.draft_tree(&draft)?;
        let (rendered, _) = self.render(&tree, "the revert")?;
        let digest = |rendered: &Rendered| digest(&rendered.objects, self.namespace);
        let wanted = wanted.map_or_else(|| digest(&good), str::to_owned);
        if digest(&rendered) != wanted {
            return Err(Error::Different {
                good: self.good.to_owned(),
            });
        }
        Ok(Some(Prepared {
            draft,
            edits,
            reverted,
            before,
            rendered,
        }))
    }

    fn conflict(&self, conflict: Conflict) -> Error {
        Error::Conflict {
            conflict,
            bad: self.bad.to_owned(),
        }
    }

    /// Sees to it that what was good and what was bad can be read: after a restart only the newest
    /// commit is here.
    fn fetch(&self) -> Result<(), Error> {
        let commits: BTreeSet<&str> = [self.good, self.bad, self.head].into();
        let commits: Vec<Revision> = commits.into_iter().map(Revision::commit).collect();
        self.repository.fetch(&commits)?;
        Ok(())
    }

    /// Sees to it that `newer` has `older` in its history.
    fn follows(&self, older: &str, newer: &str) -> Result<(), Error> {
        if self.past(older, || self.repository.is_ancestor(older, newer))? {
            return Ok(());
        }
        Err(Error::Unrelated {
            older: older.to_owned(),
            newer: newer.to_owned(),
        })
    }

    /// Asks something about the history since `older`, and fetches more and more of that as long as
    /// there is no answer: after a restart only the newest commit is here.
    fn past<T>(&self, older: &str, ask: impl Fn() -> git::Result<Option<T>>) -> Result<T, Error> {
        let mut answer = ask()?;
        for depth in git::limits::DEPTHS {
            if answer.is_some() {
                break;
            }
            let head = Revision::commit(self.head);
            self.repository.fetch_past(&head, depth)?;
            answer = ask()?;
        }
        answer.ok_or_else(|| Error::HistoryUnknown {
            older: older.to_owned(),
            head: self.head.to_owned(),
        })
    }

    /// Who changed what is put back since the good commit. That it was the bad one is no guess that
    /// may stand in Git.
    fn changes(&self, edits: &BTreeMap<String, Option<FileId>>) -> Result<Changes, Error> {
        let paths: Vec<&str> = edits.keys().map(String::as_str).collect();
        self.past(self.good, || {
            self.repository.changes_between(self.good, self.bad, &paths)
        })
    }

    fn render_commit(&self, commit: &str) -> Result<(Rendered, Closure), Error> {
        self.render(&self.repository.tree(commit)?, commit)
    }

    fn render(&self, tree: &Tree, what: &str) -> Result<(Rendered, Closure), Error> {
        let (tree, recording) = tree.recording();
        let path = self.path.trim_matches('/');
        let rendered = render::render(&tree, path, self.options);
        let rendered = rendered.map_err(|error| Error::Unrenderable {
            what: what.to_owned(),
            why: error.to_string(),
        })?;
        Ok((rendered, recording.closure()))
    }
}

/// Who commits what is written back: whom the repository Secret names, else towline.
pub fn committer(repository: &Repository, time: i64) -> Author {
    let (name, email) = repository
        .committer()
        .unwrap_or_else(|| (NAME.to_owned(), EMAIL.to_owned()));
    Author { name, email, time }
}

/// The name of the branch that takes back `bad` when it is not to be pushed to where it came from.
pub fn branch(bad: &str) -> String {
    format!("towline/revert-{}", crate::status::short(bad))
}
