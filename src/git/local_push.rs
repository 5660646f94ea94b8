//! Taking a commit into a repository in a directory of this machine, as `git-receive-pack` would.

use gix_hash::ObjectId;
use gix_object::Write as _;
use gix_ref::Target;
use gix_ref::file::transaction::PackedRefs;
use gix_ref::transaction::{Change, LogChange, PreviousValue, RefEdit};

use super::error::{Cause, Error, Result};
use super::local::Local;
use super::packing::Item;

impl Local {
    /// Writes `items` and moves `reference` from `old`, or from nothing where that is the null id,
    /// to `new`.
    pub(super) fn receive(
        &self,
        reference: &str,
        old: ObjectId,
        new: ObjectId,
        items: &[Item],
    ) -> Result<()> {
        let branch = reference.strip_prefix("refs/heads/").unwrap_or(reference);
        let refused = |why: String| Error::PushRefused {
            remote: self.remote().to_owned(),
            branch: branch.to_owned(),
            why,
        };
        if self.is_checked_out(reference) {
            // Whoever works there would find their files changed under their hands.
            return Err(refused("it is checked out there".into()));
        }
        let failed = |error: gix_error::Error| Error::Cache {
            doing: "writing",
            remote: self.remote().to_owned(),
            cause: Cause::of(&error),
        };
        let loose = gix_odb::loose::Store::at(self.objects_directory(), gix_hash::Kind::Sha1);
        for (kind, bytes) in items {
            loose.write_buf(*kind, bytes).map_err(failed)?;
        }
        let name = gix_ref::FullName::try_from(reference);
        let name = name.map_err(|error| refused(format!("it is no name of a branch: {error}")))?;
        let references = self.references();
        let known = references.try_find(name.as_ref()).ok().flatten();
        if known.is_some_and(|known| known.target == Target::Object(new)) {
            return Ok(());
        }
        // What has nothing to do with where the branch is stays so however often it is tried.
        let there = |name: &str| references.try_find(name).ok().flatten().is_some();
        let above = reference.match_indices('/').skip(2);
        let mut above = above.filter_map(|(end, _)| reference.get(..end));
        if let Some(other) = above.find(|name| there(name)) {
            let why = format!("`{other}` is there, beside which Git cannot have it");
            return Err(refused(why));
        }
        let edit = RefEdit {
            change: Change::Update {
                log: LogChange::default(),
                expected: if old.is_null() {
                    PreviousValue::MustNotExist
                } else {
                    PreviousValue::MustExistAndMatch(Target::Object(old))
                },
                new: Target::Object(new),
            },
            name,
            deref: false,
        };
        let moved = |error: gix_error::Error| Error::BranchMoved {
            remote: self.remote().to_owned(),
            branch: branch.to_owned(),
            why: Cause::of(&error).to_string(),
        };
        let transaction = references
            .transaction()
            .packed_refs(PackedRefs::DeletionsOnly)
            // Not to wait for a lock that somebody holds: it is tried again.
            .prepare(Some(edit), Default::default(), Default::default())
            .map_err(moved)?;
        transaction.commit(None).map_err(moved)?;
        Ok(())
    }
}
