//! What was looked at, so that a later revision can be known to change none of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{EntryKind, Files, ReadError, Tree, listing_id};

/// What is known of one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// What it is, or that nothing is there; not what is in it.
    Kind(Option<EntryKind>),
    /// Its content: of a file, of a link, or the listing of a directory.
    Content(EntryKind, [u8; 32]),
    /// It could not be read: nothing can be said of a later revision.
    Unreadable,
}

type Notes = Mutex<HashMap<String, Seen>>;

/// Notes of everything that is looked at through the tree it was made with.
#[derive(Clone)]
pub struct Recording {
    notes: Arc<Notes>,
}

/// Everything that was looked at, with its content, as it was in one revision.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Closure {
    /// By path.
    seen: Box<[(Box<str>, Seen)]>,
}

/// Files that note what is asked of them.
struct RecordingFiles {
    inner: Arc<dyn Files>,
    notes: Arc<Notes>,
}

/// The same files with notes.
pub(super) fn record(inner: Arc<dyn Files>) -> (Arc<dyn Files>, Recording) {
    let notes = Arc::new(Notes::default());
    (
        Arc::new(RecordingFiles {
            inner,
            notes: notes.clone(),
        }),
        Recording { notes },
    )
}

fn lock(notes: &Notes) -> MutexGuard<'_, HashMap<String, Seen>> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recording {
    /// Everything that was looked at until now.
    pub fn closure(&self) -> Closure {
        let notes = lock(&self.notes);
        let seen = notes
            .iter()
            .map(|(path, seen)| (path.as_str().into(), *seen));
        let mut seen: Vec<(Box<str>, Seen)> = seen.collect();
        seen.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Closure { seen: seen.into() }
    }
}

impl Closure {
    /// The paths that were looked at, sorted, also those where nothing is.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.seen.iter().map(|(path, _)| &**path)
    }

    /// True if everything that was looked at is the same in `tree`, so that whatever was made of
    /// it would be made again.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn unchanged_in(&self, tree: &Tree) -> Result<bool, ReadError> {
        let files = tree.files.as_ref();
        for (path, seen) in &*self.seen {
            let same = match *seen {
                Seen::Kind(kind) => files.kind(path)? == kind,
                // Its listing, even where the store knows an identity of all that is below: a
                // change further down is none of what was looked at.
                Seen::Content(EntryKind::Directory, id) => {
                    let is_there = files.kind(path)? == Some(EntryKind::Directory);
                    is_there && listing_id(&files.list(path)?) == id
                }
                Seen::Content(kind, id) => files.known(path)? == Some((kind, Some(id))),
                Seen::Unreadable => false,
            };
            if !same {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl RecordingFiles {
    fn note(&self, path: &str, seen: Seen) {
        let mut notes = lock(&self.notes);
        match notes.get_mut(path) {
            // Content is more than a kind; what could not be read once is never known.
            Some(old) => {
                if matches!(old, Seen::Kind(_)) {
                    *old = seen;
                }
            }
            None => {
                notes.insert(path.into(), seen);
            }
        }
    }

    fn note_failure(&self, path: &str) {
        lock(&self.notes).insert(path.into(), Seen::Unreadable);
    }
}

impl Files for RecordingFiles {
    fn kind(&self, path: &str) -> Result<Option<EntryKind>, ReadError> {
        let kind = self
            .inner
            .kind(path)
            .inspect_err(|_| self.note_failure(path))?;
        self.note(path, Seen::Kind(kind));
        Ok(kind)
    }

    fn read(&self, path: &str, limit: usize) -> Result<Arc<[u8]>, ReadError> {
        let content = self
            .inner
            .content(path, limit)
            .inspect_err(|_| self.note_failure(path))?;
        let seen = match content.known {
            Some((kind, Some(id))) => Seen::Content(kind, id),
            _ => Seen::Unreadable,
        };
        self.note(path, seen);
        Ok(content.bytes)
    }

    fn list(&self, path: &str) -> Result<Vec<(String, EntryKind)>, ReadError> {
        let entries = self
            .inner
            .list(path)
            .inspect_err(|_| self.note_failure(path))?;
        self.note(
            path,
            Seen::Content(EntryKind::Directory, listing_id(&entries)),
        );
        Ok(entries)
    }

    fn id(&self, path: &str) -> Result<Option<[u8; 32]>, ReadError> {
        let known = self
            .inner
            .known(path)
            .inspect_err(|_| self.note_failure(path))?;
        let seen = match known {
            Some((kind, Some(id))) => Seen::Content(kind, id),
            known => Seen::Kind(known.map(|(kind, _)| kind)),
        };
        self.note(path, seen);
        Ok(known.and_then(|(_, id)| id))
    }
}
