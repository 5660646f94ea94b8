//! The files of one commit, read from the object database as they are asked for: no checkout, so
//! nothing in a repository ever becomes a path, a link or an attribute on our disk.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use gix_hash::{Kind as Hash, ObjectId};
use gix_object::Kind;
use gix_object::tree::EntryKind as Mode;

use super::blobs::Share;
use super::limits;
use super::objects::{Failure, Objects, Reader};
use super::text::shown;
use crate::tree::{Content, EntryKind, Files, Known, ReadError, above};

/// How many readers wait for the next file. Each remembers what it has unpacked.
const READERS: usize = 4;

/// The files of one commit.
pub(super) struct CommitFiles {
    commit: String,
    root: ObjectId,
    /// Keeps the clone on disk for as long as this is read from.
    objects: Arc<dyn Holder>,
    /// Directories that are not in the object database yet, of a commit that was made here.
    fresh: Arc<BTreeMap<ObjectId, Vec<u8>>>,
    state: Mutex<State>,
    /// For files, which several threads read at once: those that none of them has.
    readers: Mutex<Vec<Reader>>,
    /// Files that were read of earlier commits.
    blobs: Option<Share>,
}

/// Whatever owns the object database.
pub(super) trait Holder: Send + Sync {
    /// It.
    fn objects(&self) -> &Objects;
}

struct State {
    reader: Reader,
    directories: BTreeMap<String, Arc<Directory>>,
}

/// A directory's entries by name; bytes, because only what is asked for need be text.
type Directory = HashMap<Box<[u8]>, (EntryKind, ObjectId)>;

impl CommitFiles {
    pub(super) fn new(commit: String, root: ObjectId, objects: Arc<dyn Holder>) -> Self {
        let reader = objects.objects().reader();
        let state = Mutex::new(State {
            reader,
            directories: BTreeMap::new(),
        });
        Self {
            commit,
            root,
            objects,
            fresh: Arc::default(),
            state,
            readers: Mutex::default(),
            blobs: None,
        }
    }

    /// The same, with a share in what is kept from commit to commit.
    pub(super) fn keeping(mut self, blobs: Share) -> Self {
        self.blobs = Some(blobs);
        self
    }

    /// The same, with directories that are not in the object database.
    pub(super) fn with_fresh(mut self, fresh: Arc<BTreeMap<ObjectId, Vec<u8>>>) -> Self {
        self.fresh = fresh;
        self
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        // A panic in between leaves at worst a directory unremembered.
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn failed(&self, path: &str, why: &str) -> ReadError {
        let path = shown(path, limits::MAX_SHOWN_CHARS);
        ReadError::Store(format!("{why} in `{path}` of commit {}", self.commit))
    }

    /// The error for an object that the commit refers to and that cannot be had.
    fn unreadable(&self, path: &str, failure: Failure) -> ReadError {
        let why = match failure {
            Failure::TooLarge(size) => {
                return self.failed(path, &format!("{size} bytes are more than is taken"));
            }
            Failure::Missing => "an object is missing".to_owned(),
            Failure::WrongKind(kind) => format!("a {kind} is in place of another object"),
            Failure::Broken(cause) => cause.to_string(),
        };
        let objects = self.objects.objects();
        objects.note_damage();
        let remedy = objects.remedy();
        self.failed(
            path,
            &format!("the repository is damaged ({why}; {remedy})"),
        )
    }

    /// The entries of the directory `path`, or none if there is no such directory.
    fn directory(
        &self,
        state: &mut State,
        path: &str,
    ) -> Result<Option<Arc<Directory>>, ReadError> {
        if let Some(known) = state.directories.get(path) {
            return Ok(Some(Arc::clone(known)));
        }
        let mut directory = self.open(state, "", self.root)?;
        // From above, and not by recursion: who wrote the path may have written a very long one.
        for part in above(path).chain([path]).filter(|part| !part.is_empty()) {
            let name = part.rsplit_once('/').map_or(part, |(_, name)| name);
            let Some((EntryKind::Directory, id)) = directory.get(name.as_bytes()).copied() else {
                return Ok(None);
            };
            directory = self.open(state, part, id)?;
        }
        Ok(Some(directory))
    }

    /// The entries of the directory `path`, whose object is `id`.
    fn open(
        &self,
        state: &mut State,
        path: &str,
        id: ObjectId,
    ) -> Result<Arc<Directory>, ReadError> {
        if let Some(known) = state.directories.get(path) {
            return Ok(Arc::clone(known));
        }
        let directory = match self.fresh.get(&id) {
            Some(bytes) => self.entries(path, bytes)?,
            None => {
                let mut buffer = Vec::new();
                let objects = self.objects.objects();
                let limit = limits::MAX_DIRECTORY_BYTES;
                objects
                    .read(&state.reader, &id, Kind::Tree, limit, &mut buffer)
                    .map_err(|failure| self.unreadable(path, failure))?;
                self.entries(path, &buffer)?
            }
        };
        let directory = Arc::new(directory);
        let known = Arc::clone(&directory);
        state.directories.insert(path.to_owned(), known);
        Ok(directory)
    }

    /// What `path` is, and its object, or none if nothing is there.
    fn entry(
        &self,
        state: &mut State,
        path: &str,
    ) -> Result<Option<(EntryKind, ObjectId)>, ReadError> {
        if path.is_empty() {
            return Ok(Some((EntryKind::Directory, self.root)));
        }
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let Some(directory) = self.directory(state, parent)? else {
            return Ok(None);
        };
        Ok(directory.get(name.as_bytes()).copied())
    }

    /// The bytes of the file `id`, from the object database.
    fn unpacked(&self, path: &str, id: ObjectId, limit: usize) -> Result<Arc<[u8]>, ReadError> {
        let objects = self.objects.objects();
        let readers = || self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = readers().pop();
        let reader = idle.unwrap_or_else(|| objects.reader());
        let mut buffer = Vec::new();
        let read = objects.read(&reader, &id, Kind::Blob, limit, &mut buffer);
        let mut readers = readers();
        if readers.len() < READERS {
            readers.push(reader);
        }
        drop(readers);
        read.map_err(|failure| match failure {
            Failure::TooLarge(_) => too_large(path, limit),
            failure => self.unreadable(path, failure),
        })?;
        Ok(buffer.into())
    }

    /// Reads a tree object. Names that Git itself would refuse to check out are refused: they are
    /// made to hit someone.
    fn entries(&self, path: &str, bytes: &[u8]) -> Result<Directory, ReadError> {
        let mut directory = Directory::new();
        for entry in gix_object::TreeRefIter::from_bytes(bytes, Hash::Sha1) {
            let entry = entry.map_err(|_| self.failed(path, "there is a malformed directory"))?;
            let name: &[u8] = entry.filename;
            let kind = match entry.mode.kind() {
                Mode::Tree => EntryKind::Directory,
                Mode::Blob | Mode::BlobExecutable => EntryKind::File,
                Mode::Link => EntryKind::Symlink,
                Mode::Commit => EntryKind::Submodule,
            };
            if !is_harmless(name) {
                let name = shown(&String::from_utf8_lossy(name), limits::MAX_SHOWN_CHARS);
                return Err(self.failed(path, &format!("the name `{name}` is forbidden")));
            }
            if directory
                .insert(name.into(), (kind, entry.oid.to_owned()))
                .is_some()
            {
                let name = shown(&String::from_utf8_lossy(name), limits::MAX_SHOWN_CHARS);
                return Err(self.failed(path, &format!("the name `{name}` stands twice")));
            }
        }
        Ok(directory)
    }
}

/// Whether a name in a tree is one that a path can be made of, and not Git's own directory in
/// any of the spellings that some file system takes for it.
fn is_harmless(name: &[u8]) -> bool {
    if name.is_empty() || name.iter().any(|byte| matches!(byte, b'/' | 0)) {
        return false;
    }
    if name == b"." || name == b".." {
        return false;
    }
    let lower = name.to_ascii_lowercase();
    let stem: &[u8] = lower.split(|byte| *byte == b':').next().unwrap_or(&lower);
    let stem = stem
        .trim_ascii_end()
        .strip_suffix(b".")
        .unwrap_or(stem.trim_ascii_end());
    !matches!(stem, b".git" | b"git~1")
}

impl Files for CommitFiles {
    fn kind(&self, path: &str) -> Result<Option<EntryKind>, ReadError> {
        let entry = self.with(|state| self.entry(state, path))?;
        Ok(entry.map(|(kind, _)| kind))
    }

    fn read(&self, path: &str, limit: usize) -> Result<Arc<[u8]>, ReadError> {
        Ok(self.content(path, limit)?.bytes)
    }

    fn content(&self, path: &str, limit: usize) -> Result<Content, ReadError> {
        let (kind, id) = match self.with(|state| self.entry(state, path))? {
            Some((kind @ (EntryKind::File | EntryKind::Symlink), id)) => (kind, id),
            Some(_) => return Err(ReadError::NotAFile { path: path.into() }),
            None => return Err(ReadError::NotFound { path: path.into() }),
        };
        let bytes = match self.blobs.as_ref().and_then(|blobs| blobs.get(id)) {
            Some(bytes) if bytes.len() <= limit => bytes,
            Some(_) => return Err(too_large(path, limit)),
            None => {
                let bytes = self.unpacked(path, id, limit)?;
                if let Some(blobs) = &self.blobs {
                    blobs.keep(id, &bytes);
                }
                bytes
            }
        };
        let known = Some((kind, Some(identity(id))));
        Ok(Content { bytes, known })
    }

    fn list(&self, path: &str) -> Result<Vec<(String, EntryKind)>, ReadError> {
        let directory = self.with(|state| {
            let there = self.entry(state, path)?.is_some();
            match self.directory(state, path)? {
                Some(directory) => Ok(directory),
                None if there => Err(ReadError::NotADirectory { path: path.into() }),
                None => Err(ReadError::NotFound { path: path.into() }),
            }
        })?;
        let mut entries: Vec<_> = directory.iter().collect();
        entries.sort_unstable_by_key(|(name, _)| *name);
        entries
            .into_iter()
            .map(|(name, (kind, _))| match std::str::from_utf8(name) {
                Ok(name) => Ok((name.to_owned(), *kind)),
                Err(_) => {
                    let name = shown(&String::from_utf8_lossy(name), limits::MAX_SHOWN_CHARS);
                    Err(self.failed(path, &format!("the name `{name}` is not UTF-8")))
                }
            })
            .collect()
    }

    fn id(&self, path: &str) -> Result<Option<[u8; 32]>, ReadError> {
        Ok(self.known(path)?.and_then(|(_, id)| id))
    }

    /// The object id. Of a directory that of its listing with all that is below, so that it may
    /// change where the listing does not, which costs a rendering and nothing else.
    fn known(&self, path: &str) -> Result<Option<Known>, ReadError> {
        let entry = self.with(|state| self.entry(state, path))?;
        Ok(entry.map(|(kind, id)| (kind, (kind != EntryKind::Submodule).then(|| identity(id)))))
    }
}

/// An object id as the identity of content.
fn identity(id: ObjectId) -> [u8; 32] {
    let mut out = [0; 32];
    out[..id.as_slice().len()].copy_from_slice(id.as_slice());
    out
}

fn too_large(path: &str, limit: usize) -> ReadError {
    let path = path.into();
    ReadError::TooLarge { path, limit }
}

impl std::fmt::Debug for CommitFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommitFiles")
            .field("commit", &self.commit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gits_own_directory_is_known_in_disguise() {
        for name in [
            "",
            ".",
            "..",
            ".git",
            ".GIT",
            "git~1",
            "GIT~1",
            ".git::$INDEX_ALLOCATION",
            ".git ",
            ".git.",
            "a/b",
            "a\0b",
        ] {
            assert!(!is_harmless(name.as_bytes()), "{name:?}");
        }
        for name in [
            "a",
            ".github",
            ".gitignore",
            ".gitattributes",
            "git",
            "...",
            "größe",
        ] {
            assert!(is_harmless(name.as_bytes()), "{name:?}");
        }
    }
}
