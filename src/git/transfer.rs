//! Deciding what to ask for: nothing that is here, one commit where nothing is known, and
//! everything in between where something is.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use gix_hash::ObjectId;
use gix_object::Kind;

use super::clone::Clone;
use super::error::{Error, Result};
use super::fetched::{Advance, AdvanceKind, Fetched};
use super::limits;
use super::line::Line;
use super::revision::Revision;
use super::store::Store;
use super::tree::Holder as _;
use super::wire::Depth;

/// A fetch of some revisions over one line into one clone.
pub(super) struct Transfer<'a, 'b> {
    pub(super) clone: &'a Clone,
    pub(super) line: &'a mut Line<'b>,
    pub(super) remote: &'a str,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Transferred {
    pub(super) fetched: Fetched,
    /// What could not be had, though the remote is well.
    pub(super) failed: BTreeMap<Revision, Error>,
}

impl Transfer<'_, '_> {
    /// Makes every one of `revisions` readable.
    pub(super) fn bring(mut self, revisions: &BTreeSet<Revision>) -> Result<Transferred> {
        let store = self.clone.current()?;
        let mut out = Transferred::default();
        let mut onwards = BTreeSet::new();
        let mut alone = BTreeSet::new();
        let mut commits = Vec::new();
        for revision in revisions {
            let id = self.id(revision)?;
            if store.has(id)? {
                continue;
            }
            if revision.reference.is_empty() {
                commits.push((revision, id));
            } else if store.tip(revision).is_some() {
                onwards.insert(id);
            } else {
                alone.insert(id);
            }
        }
        let mut cut = BTreeSet::new();
        if !onwards.is_empty() {
            out.fetched.transferred = true;
            match self.fetch(
                &store,
                &onwards,
                Depth::Onwards,
                limits::MAX_INCREMENTAL_BYTES,
            ) {
                Ok(bytes) => {
                    out.fetched.bytes += bytes;
                    self.drop_reached(&store, &onwards, &mut alone)?;
                }
                Err(Error::TooLarge { .. }) => {
                    tracing::info!(remote = %self.remote, "fetching the new commit without history");
                    cut.clone_from(&onwards);
                    alone.append(&mut onwards);
                }
                Err(error) => return Err(error),
            }
        }
        if !alone.is_empty() {
            out.fetched.transferred = true;
            out.fetched.bytes +=
                self.fetch(&store, &alone, Depth::Alone, limits::MAX_PACK_BYTES)?;
        }
        // One by one: a commit that the server does not have must not spoil the others.
        for (revision, id) in commits {
            out.fetched.transferred = true;
            let wants = BTreeSet::from([id]);
            match self.fetch(&store, &wants, Depth::Alone, limits::MAX_PACK_BYTES) {
                Ok(bytes) => out.fetched.bytes += bytes,
                Err(error @ Error::RevisionNotFound { .. }) => {
                    out.failed.insert(revision.clone(), error);
                }
                Err(error) => return Err(error),
            }
        }
        self.conclude(&store, revisions, &cut, &mut out)?;
        if !out.fetched.transferred && self.clone.wants_renewal() {
            self.renew(revisions);
        }
        Ok(out)
    }

    /// Makes a revision readable together with the commits before it, so many in a row.
    pub(super) fn bring_past(mut self, revision: &Revision, depth: u32) -> Result<()> {
        let store = self.clone.current()?;
        let id = self.id(revision)?;
        let depth = Depth::Past(NonZeroU32::new(depth).unwrap_or(NonZeroU32::MIN));
        let wants = BTreeSet::from([id]);
        self.fetch(&store, &wants, depth, limits::MAX_PACK_BYTES)?;
        match store.objects().kind(&store.objects().reader(), &id)? {
            Some(Kind::Commit) => store.record([(revision, id)]),
            found => Err(self.not_a_commit(revision, found)),
        }
    }

    /// Takes out of `alone` what came with the history of `fetched`.
    fn drop_reached(
        &self,
        store: &Store,
        fetched: &BTreeSet<ObjectId>,
        alone: &mut BTreeSet<ObjectId>,
    ) -> Result<()> {
        let objects = store.objects();
        let reader = objects.reader();
        for id in alone.clone() {
            for tip in fetched {
                if objects.is_ancestor(&reader, id, *tip)? == Some(true) {
                    alone.remove(&id);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Checks that all is here, notes it, and says how it follows what was here before.
    fn conclude(
        &self,
        store: &Store,
        revisions: &BTreeSet<Revision>,
        cut: &BTreeSet<ObjectId>,
        out: &mut Transferred,
    ) -> Result<()> {
        let reader = store.objects().reader();
        let mut kept = Vec::new();
        for revision in revisions {
            if out.failed.contains_key(revision) {
                continue;
            }
            let id = self.id(revision)?;
            let from = store.tip(revision);
            // Nothing new, nothing to look up.
            if from != Some(id) {
                match store.objects().kind(&reader, &id)? {
                    Some(Kind::Commit) => {}
                    found => {
                        let error = self.not_a_commit(revision, found);
                        out.failed.insert(revision.clone(), error);
                        continue;
                    }
                }
            }
            let kind = match from {
                None => AdvanceKind::First,
                Some(from) if from == id => AdvanceKind::Unchanged,
                Some(_) if cut.contains(&id) => AdvanceKind::Rewritten,
                Some(from) => match store.objects().is_ancestor(&reader, from, id)? {
                    Some(true) => AdvanceKind::Forward,
                    Some(false) => AdvanceKind::Rewritten,
                    None => AdvanceKind::Unknown,
                },
            };
            out.fetched.advances.push(Advance {
                revision: revision.clone(),
                from: from.map(|id| id.to_string()),
                kind,
            });
            kept.push((revision, id));
        }
        store.record(kept)
    }

    fn fetch(
        &mut self,
        store: &Store,
        wants: &BTreeSet<ObjectId>,
        depth: Depth,
        limit: u64,
    ) -> Result<u64> {
        let wants: Vec<ObjectId> = wants.iter().copied().collect();
        self.line.fetch(store, &wants, depth, limit)
    }

    /// Clones anew in a quiet moment. Failing is no harm: the old clone is still good.
    fn renew(&mut self, revisions: &BTreeSet<Revision>) {
        match self.try_renew(revisions) {
            Ok(()) => tracing::debug!(remote = %self.remote, "the cached repository was renewed"),
            Err(error) => {
                tracing::info!(remote = %self.remote, %error, "renewing the cache failed");
                self.clone.renewal_failed();
            }
        }
    }

    fn try_renew(&mut self, revisions: &BTreeSet<Revision>) -> Result<()> {
        let store = self.clone.begin()?;
        let ids = revisions
            .iter()
            .map(|revision| self.id(revision))
            .collect::<Result<Vec<_>>>()?;
        let wants: BTreeSet<ObjectId> = ids.iter().copied().collect();
        let fetched = self
            .fetch(&store, &wants, Depth::Alone, limits::MAX_PACK_BYTES)
            .and_then(|_| store.record(revisions.iter().zip(ids)));
        match fetched {
            Ok(()) => {
                self.clone.replace(store);
                Ok(())
            }
            Err(error) => {
                store.supersede();
                Err(error)
            }
        }
    }

    fn id(&self, revision: &Revision) -> Result<ObjectId> {
        ObjectId::from_hex(revision.commit.as_bytes()).map_err(|_| Error::RevisionInvalid {
            revision: super::text::shown(&revision.commit, 64),
            why: "it is not a commit of 40 hexadecimal digits".to_owned(),
        })
    }

    fn not_a_commit(&self, revision: &Revision, found: Option<Kind>) -> Error {
        let found = found.map_or("nothing".to_owned(), |kind| format!("a {kind}"));
        Error::RevisionNotFound {
            doing: "fetching",
            remote: self.remote.to_owned(),
            why: format!("`{revision}` is {found}, not a commit; correct targetRevision"),
        }
    }
}
