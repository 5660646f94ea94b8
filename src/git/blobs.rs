//! Small files that were unpacked already: most of them are the same in the next commit, and to
//! unpack them again is a third of the time that a change of one file takes among ten thousand.
//!
//! All repositories of a cache share the space. What does not fit is not kept, and takes nobody's
//! place: who reads more than there is room for, again and again in the same order, would otherwise
//! never find anything. What was not asked for in a while makes room. One large repository may take
//! it all; to the others it is then as if there was none.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gix_hash::ObjectId;

use super::limits::{MAX_KEPT_BYTES, MAX_KEPT_FILE};

/// What the map and the allocator take for a file at most, beside its bytes.
const OVERHEAD: usize = 144;

/// The files of all repositories of a cache.
#[derive(Debug, Default)]
pub(super) struct Blobs {
    state: Mutex<State>,
    owners: AtomicU32,
}

#[derive(Debug, Default)]
struct State {
    kept: HashMap<(u32, ObjectId), Kept>,
    /// Bytes of what is kept.
    bytes: usize,
    /// Bytes of what did not fit since room was made last.
    refused: usize,
}

#[derive(Debug)]
struct Kept {
    bytes: Arc<[u8]>,
    /// Whether it was asked for, or new, since room was made last.
    is_used: bool,
}

/// One repository's part: it finds what it kept itself. Whoever knows the hash of a file in a
/// repository that is closed to them must not get it from another's.
#[derive(Debug, Clone)]
pub(super) struct Share {
    all: Arc<Blobs>,
    owner: u32,
}

impl Blobs {
    /// The part of one more repository.
    pub(super) fn share(self: &Arc<Self>) -> Share {
        Share {
            owner: self.owners.fetch_add(1, Ordering::Relaxed),
            all: Arc::clone(self),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic in between leaves at worst a wrong count.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// The bytes of a file, where they are kept.
    pub(super) fn get(&self, id: ObjectId) -> Option<Arc<[u8]>> {
        let mut state = self.all.state();
        let kept = state.kept.get_mut(&(self.owner, id))?;
        kept.is_used = true;
        Some(Arc::clone(&kept.bytes))
    }

    /// Drops everything of the repository, which nobody knows any more.
    pub(super) fn forget(&self) {
        let mut state = self.all.state();
        state.kept.retain(|(owner, _), _| *owner != self.owner);
        state.count();
    }

    /// Keeps the bytes of a file, where there is room.
    pub(super) fn keep(&self, id: ObjectId, bytes: &Arc<[u8]>) {
        if bytes.len() > MAX_KEPT_FILE {
            return;
        }
        let size = bytes.len() + OVERHEAD;
        let mut state = self.all.state();
        if state.bytes + size > MAX_KEPT_BYTES {
            state.refused += size;
            if state.refused < MAX_KEPT_BYTES {
                return;
            }
            state.make_room();
        }
        if state.bytes + size <= MAX_KEPT_BYTES {
            let kept = Kept {
                bytes: Arc::clone(bytes),
                is_used: true,
            };
            if state.kept.insert((self.owner, id), kept).is_none() {
                state.bytes += size;
            }
        }
    }
}

impl State {
    /// Drops what was not asked for since the last time.
    fn make_room(&mut self) {
        self.kept
            .retain(|_, kept| std::mem::replace(&mut kept.is_used, false));
        self.count();
        self.refused = 0;
    }

    fn count(&mut self) {
        self.kept.shrink_to_fit();
        let sizes = self.kept.values().map(|kept| kept.bytes.len() + OVERHEAD);
        self.bytes = sizes.sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: usize = 1000;
    const ROOM: usize = MAX_KEPT_BYTES / (FILE + OVERHEAD);

    fn id(number: usize) -> ObjectId {
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        ObjectId::from_bytes_or_panic(&bytes)
    }

    /// Reads files as a render does; how many were kept.
    fn read(share: &Share, numbers: std::ops::Range<usize>) -> usize {
        let bytes: Arc<[u8]> = vec![0; FILE].into();
        let found = |number: &usize| {
            let found = share.get(id(*number)).is_some();
            if !found {
                share.keep(id(*number), &bytes);
            }
            found
        };
        numbers.filter(found).count()
    }

    #[test]
    fn what_fits_is_found_again_by_its_repository_only() {
        let blobs = Arc::<Blobs>::default();
        let (ours, theirs) = (blobs.share(), blobs.share());
        assert_eq!(read(&ours, 0..10), 0);
        assert_eq!(read(&ours, 0..10), 10);
        assert_eq!(read(&theirs, 0..10), 0);
        ours.forget();
        assert_eq!(read(&ours, 0..10), 0);
        assert_eq!(read(&theirs, 0..10), 10);
        let large: Arc<[u8]> = vec![0; MAX_KEPT_FILE + 1].into();
        ours.keep(id(99), &large);
        assert_eq!(ours.get(id(99)), None);
    }

    #[test]
    fn more_than_fits_leaves_what_is_there() {
        let share = Arc::<Blobs>::default().share();
        for round in 0..20 {
            let found = read(&share, 0..ROOM * 2);
            assert_eq!(found, if round == 0 { 0 } else { ROOM }, "round {round}");
            assert!(share.all.state().bytes <= MAX_KEPT_BYTES);
        }
    }

    #[test]
    fn what_nobody_asks_for_any_more_makes_room() {
        let share = Arc::<Blobs>::default().share();
        read(&share, 0..ROOM);
        let rounds = (1..10).find(|_| read(&share, ROOM..ROOM * 2) == ROOM);
        assert!(rounds.is_some(), "the first files are kept for ever");
        assert_eq!(share.get(id(0)), None);
        assert!(share.all.state().bytes <= MAX_KEPT_BYTES);
    }
}
