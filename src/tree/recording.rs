//! What was looked at, so that a later revision can be known to change none of it.

use std::collections::BTreeMap;
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

type Notes = Mutex<BTreeMap<String, Seen>>;

/// Notes of everything that is looked at through the tree it was made with.
#[derive(Clone)]
pub struct Recording {
    notes: Arc<Notes>,
}

/// Everything that was looked at, with its content, as it was in one revision.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Closure {
    seen: BTreeMap<String, Seen>,
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

fn lock(notes: &Notes) -> MutexGuard<'_, BTreeMap<String, Seen>> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recording {
    /// Everything that was looked at until now.
    pub fn closure(&self) -> Closure {
        Closure {
            seen: lock(&self.notes).clone(),
        }
    }
}

impl Closure {
    /// The paths that were looked at, sorted, also those where nothing is.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.seen.keys().map(String::as_str)
    }

    /// True if everything that was looked at is the same in `tree`, so that whatever was made of
    /// it would be made again.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn unchanged_in(&self, tree: &Tree) -> Result<bool, ReadError> {
        let files = tree.files.as_ref();
        for (path, seen) in &self.seen {
            let same = match *seen {
                Seen::Kind(kind) => files.kind(path)? == kind,
                Seen::Content(kind, id) => {
                    files.kind(path)? == Some(kind) && content_id(files, path, kind)? == Some(id)
                }
                Seen::Unreadable => false,
            };
            if !same {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Identity of the content. That of a directory is its listing, even where the store knows an
/// identity of everything below it: a change further down is none of what was looked at.
fn content_id(
    files: &dyn Files,
    path: &str,
    kind: EntryKind,
) -> Result<Option<[u8; 32]>, ReadError> {
    match kind {
        EntryKind::Directory => Ok(Some(listing_id(&files.list(path)?))),
        _ => files.id(path),
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
        let all = || {
            let bytes = self.inner.read(path, limit)?;
            Ok((bytes, self.inner.kind(path)?, self.inner.id(path)?))
        };
        let (bytes, kind, id) = all().inspect_err(|_| self.note_failure(path))?;
        let content = kind
            .zip(id)
            .map_or(Seen::Unreadable, |(kind, id)| Seen::Content(kind, id));
        self.note(path, content);
        Ok(bytes)
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
        let id = self
            .inner
            .id(path)
            .inspect_err(|_| self.note_failure(path))?;
        let kind = self.inner.kind(path)?;
        self.note(
            path,
            kind.zip(id)
                .map_or(Seen::Kind(kind), |(k, id)| Seen::Content(k, id)),
        );
        Ok(id)
    }
}
