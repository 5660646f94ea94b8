//! Reading Git objects of one repository, whoever's it is: our cache, or a local directory.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gix_hash::{Kind as Hash, ObjectId, oid};
use gix_object::{CommitRef, Find as _, Kind};
use gix_odb::Header as _;

use super::error::{Cause, Error, Result};
use super::limits;

/// The object database of one repository, read-only, to be shared between threads.
pub(super) struct Objects {
    store: Arc<gix_odb::Store>,
    /// Lists the commits whose parents were not fetched.
    shallow: PathBuf,
    remote: String,
    /// What is done, or to be done, about damage.
    remedy: &'static str,
    /// Set once something that must be there was not, or was broken.
    damaged: AtomicBool,
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Objects")
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}

/// One thread's access to [`Objects`].
pub(super) type Reader = gix_odb::HandleArc;

/// Why an object could not be had.
#[derive(Debug)]
pub(super) enum Failure {
    /// It is not there.
    Missing,
    /// It is there, but larger than asked for.
    TooLarge(u64),
    /// It is there, but not of the kind asked for.
    WrongKind(Kind),
    /// The database cannot be read.
    Broken(Cause),
}

/// What a walk into the past found.
#[derive(Debug, Default)]
struct Walk {
    /// The commit that was looked for.
    found: bool,
    /// Whether it went as far as it could.
    whole: bool,
    seen: BTreeSet<ObjectId>,
    /// Commits whose past is not here.
    ends: BTreeSet<ObjectId>,
}

impl Objects {
    /// The database in `directory`, whose packs may come and go while it is open.
    pub(super) fn open(
        directory: PathBuf,
        shallow: PathBuf,
        remote: &str,
        remedy: &'static str,
    ) -> Result<Self> {
        let options = gix_odb::store::init::Options {
            // Fixed for the lifetime of the store, so for the packs to come too.
            slots: gix_odb::store::init::Slots::AsNeededByDiskState {
                multiplier: 2.0,
                minimum: limits::MAX_PACKS_EVER * 2,
            },
            use_multi_pack_index: true,
            alloc_limit_bytes: Some(limits::MAX_OBJECT_BYTES),
            // Only used to make the directory absolute, which it is.
            current_dir: Some(PathBuf::from("/")),
            ..Default::default()
        };
        let store =
            gix_odb::Store::at_opts(directory, Hash::Sha1, &mut std::iter::empty(), options)
                .map_err(|error| Error::Cache {
                    doing: "opening",
                    remote: remote.to_owned(),
                    cause: Cause::of(&error),
                })?;
        let remote = remote.to_owned();
        Ok(Self {
            store: Arc::new(store),
            shallow,
            remote,
            remedy,
            damaged: AtomicBool::new(false),
        })
    }

    /// Access for one thread.
    pub(super) fn reader(&self) -> Reader {
        let mut reader = self.store.to_cache_arc();
        // Neighbours in a pack are deltas of each other.
        reader.set_pack_cache(|| Box::new(gix_pack::cache::lru::StaticLinkedList::<64>::default()));
        reader
    }

    /// What is done, or to be done, about damage.
    pub(super) fn remedy(&self) -> &'static str {
        self.remedy
    }

    /// Notes that something is broken, so that the owner starts anew.
    pub(super) fn note_damage(&self) {
        self.damaged.store(true, Ordering::Relaxed);
    }

    /// Whether something was found broken.
    pub(super) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    /// The bytes of `id`, which must be a `kind`, into `buffer`.
    pub(super) fn read(
        &self,
        reader: &Reader,
        id: &oid,
        kind: Kind,
        limit: usize,
        buffer: &mut Vec<u8>,
    ) -> std::result::Result<(), Failure> {
        let broken = |error: gix_error::Error| Failure::Broken(Cause::of(&error));
        let header = reader
            .try_header(id)
            .map_err(broken)?
            .ok_or(Failure::Missing)?;
        if header.kind() != kind {
            return Err(Failure::WrongKind(header.kind()));
        }
        if header.size() > limit as u64 {
            return Err(Failure::TooLarge(header.size()));
        }
        reader
            .try_find(id, buffer)
            .map_err(broken)?
            .ok_or(Failure::Missing)?;
        Ok(())
    }

    /// The kind of `id`, or none where it is not there.
    pub(super) fn kind(&self, reader: &Reader, id: &oid) -> Result<Option<Kind>> {
        let header = reader
            .try_header(id)
            .map_err(|error| self.broken(Cause::of(&error)))?;
        Ok(header.map(|header| header.kind()))
    }

    /// Calls `act` with the commit `id`, or not where it is not there.
    pub(super) fn commit<T>(
        &self,
        reader: &Reader,
        id: &oid,
        act: impl FnOnce(&CommitRef<'_>) -> T,
    ) -> Result<Option<T>> {
        let mut buffer = Vec::new();
        match self.read(
            reader,
            id,
            Kind::Commit,
            limits::MAX_COMMIT_BYTES,
            &mut buffer,
        ) {
            Ok(()) => {}
            Err(Failure::Missing | Failure::WrongKind(_)) => return Ok(None),
            Err(Failure::TooLarge(_)) => {
                return Err(Error::TooLarge {
                    doing: "reading",
                    remote: self.remote.clone(),
                    what: "a commit message",
                    limit: limits::MAX_COMMIT_BYTES as u64,
                });
            }
            Err(Failure::Broken(cause)) => return Err(self.broken(cause)),
        }
        match CommitRef::from_bytes(&buffer, Hash::Sha1) {
            Ok(commit) => Ok(Some(act(&commit))),
            Err(error) => Err(self.broken(Cause::of(&error))),
        }
    }

    /// What `id` marks in the end, if it is a tag: the commit that people mean by it.
    pub(super) fn peeled(&self, reader: &Reader, id: ObjectId) -> Result<ObjectId> {
        let mut id = id;
        let mut buffer = Vec::new();
        // A tag of a tag of a tag is as far as anyone goes.
        for _ in 0..8 {
            match self.read(
                reader,
                &id,
                Kind::Tag,
                limits::MAX_COMMIT_BYTES,
                &mut buffer,
            ) {
                Ok(()) => {
                    let target = gix_object::TagRefIter::from_bytes(&buffer, Hash::Sha1)
                        .target_id()
                        .map_err(|error| self.broken(Cause::of(&error)))?;
                    id = target;
                }
                Err(Failure::Broken(cause)) => return Err(self.broken(cause)),
                Err(_) => break,
            }
        }
        Ok(id)
    }

    /// Whether `ancestor` is `commit` or one of its ancestors; none if the history that is here
    /// does not tell.
    pub(super) fn is_ancestor(
        &self,
        reader: &Reader,
        ancestor: ObjectId,
        commit: ObjectId,
    ) -> Result<Option<bool>> {
        let walk = self.walk(reader, commit, Some(ancestor))?;
        if walk.found {
            return Ok(Some(true));
        }
        if walk.ends.is_empty() && walk.whole {
            return Ok(Some(false));
        }
        // What lies beyond the ends of what was fetched is not known. But an end that is in the
        // past of `ancestor` cannot have it in its own past.
        let past = self.walk(reader, ancestor, None)?;
        Ok((walk.whole && walk.ends.is_subset(&past.seen)).then_some(false))
    }

    /// `commit` and its ancestors, as far as they are here.
    pub(super) fn past(&self, reader: &Reader, commit: ObjectId) -> Result<BTreeSet<ObjectId>> {
        Ok(self.walk(reader, commit, None)?.seen)
    }

    /// Walks from `start` into the past until `wanted` is found or what is here ends.
    fn walk(&self, reader: &Reader, start: ObjectId, wanted: Option<ObjectId>) -> Result<Walk> {
        let shallow = self.shallow()?;
        let mut next = VecDeque::from([start]);
        let mut walk = Walk {
            whole: true,
            ..Walk::default()
        };
        walk.seen.insert(start);
        while let Some(id) = next.pop_front() {
            if Some(id) == wanted {
                walk.found = true;
                break;
            }
            if walk.seen.len() > limits::MAX_ANCESTRY_WALK {
                walk.whole = false;
                break;
            }
            if shallow.contains(&id) {
                walk.ends.insert(id);
                continue;
            }
            match self.commit(reader, &id, |commit| commit.parents().collect::<Vec<_>>())? {
                Some(parents) => {
                    next.extend(
                        parents
                            .into_iter()
                            .filter(|parent| walk.seen.insert(*parent)),
                    );
                }
                // Past the end of what was fetched, though nothing says that it ends there.
                None => {
                    walk.ends.insert(id);
                }
            }
        }
        Ok(walk)
    }

    /// Up to `limit` commits that are here, from `tip` backwards.
    pub(super) fn recent(
        &self,
        reader: &Reader,
        tip: ObjectId,
        limit: usize,
    ) -> Result<Vec<ObjectId>> {
        let shallow = self.shallow()?;
        let mut found = Vec::new();
        let mut next = VecDeque::from([tip]);
        while let Some(id) = next.pop_front() {
            if found.len() >= limit || found.contains(&id) {
                continue;
            }
            let parents =
                self.commit(reader, &id, |commit| commit.parents().collect::<Vec<_>>())?;
            let Some(parents) = parents else { continue };
            found.push(id);
            if !shallow.contains(&id) {
                next.extend(parents);
            }
        }
        Ok(found)
    }

    fn shallow(&self) -> Result<BTreeSet<ObjectId>> {
        let commits =
            gix_shallow::read(&self.shallow).map_err(|error| self.broken(Cause::of(&error)))?;
        Ok(commits.into_iter().flatten().collect())
    }

    fn broken(&self, cause: Cause) -> Error {
        self.note_damage();
        Error::Cache {
            doing: "reading",
            remote: self.remote.clone(),
            cause,
        }
    }
}
