//! Pushing one new commit to one branch, and only if the branch is where it is believed to be.

use gix_hash::ObjectId;

use super::draft::Draft;
use super::error::{Error, Result};
use super::packing::{Item, pack};
use super::receive::Update;
use super::repository::Repository;
use super::store::cache_error;

impl Repository {
    /// Puts `draft` on `branch`, a full name such as `refs/heads/main`: on top of its parent,
    /// which must be what the branch is at, or as a new branch, which must not be there. The server
    /// compares before it swaps, so that a commit of somebody else is never lost.
    ///
    /// # Errors
    /// [`Error::BranchMoved`] when the branch is elsewhere; [`Error::PushDenied`] and
    /// [`Error::PushRefused`] when the server does not want it; whatever stands in the way of
    /// reaching it.
    pub fn push(&self, draft: &Draft, branch: &str, is_new: bool) -> Result<()> {
        if draft.is_empty() {
            return Err(Error::Unsupported {
                doing: "pushing to",
                remote: self.shown().to_owned(),
                what: "a commit that changes nothing",
            });
        }
        let items = self.items(draft)?;
        let old = if is_new {
            ObjectId::null(gix_hash::Kind::Sha1)
        } else {
            draft.parent
        };
        self.place(branch, old, draft.id, &items)
    }

    /// Moves `reference` from `old`, or from nothing where that is the null id, to the commit `new`,
    /// which with all that is new of it is among `items`.
    pub(super) fn place(
        &self,
        reference: &str,
        old: ObjectId,
        new: ObjectId,
        items: &[Item],
    ) -> Result<()> {
        if self.is_local() {
            return self.open_local()?.receive(reference, old, new, items);
        }
        let pack = pack(items).map_err(|error| cache_error("packing", self.shown(), &error))?;
        let update = Update {
            reference,
            old,
            new,
            pack: &pack,
        };
        self.talk_apart(|line| line.push(&update))
    }
}
