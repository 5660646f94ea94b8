//! The files of one revision, by path: what rendering reads instead of a file system.
//!
//! A [`Tree`] is immutable and cannot be left: every path is relative to its root, `..` past the
//! root is an error, and symbolic links are followed only inside it. Where the bytes come from is
//! behind [`Files`]: Git objects for the agent, a directory for the CLI, memory for tests.

mod disk;
mod error;
mod memory;
mod path;
mod recording;

use std::sync::Arc;

use sha2::{Digest, Sha256};

pub use disk::DiskFiles;
pub use error::ReadError;
pub use memory::MemoryFiles;
pub(crate) use path::above;
pub use recording::{Closure, Recording};

/// How large a file may be that is read through a [`Tree`], in bytes, unless
/// [`Tree::with_file_limit`] says otherwise.
pub const FILE_LIMIT: usize = 32 * 1024 * 1024;

/// How many symbolic links one path may go through, as in Linux.
const SYMLINKS: usize = 40;

/// How long the target of a symbolic link may be, in bytes, as in Linux.
const SYMLINK_BYTES: usize = 4096;

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link; its target is the content of the blob.
    Symlink,
    /// A submodule: a commit of another repository. Never followed.
    Submodule,
}

/// Where a [`Tree`] gets its entries: one immutable revision. Paths are normalised (`a/b/c`, no
/// `.`, no `..`, no leading slash); the root is the empty string. Symbolic links are entries like
/// others: what lies behind one in the middle of a path is not there.
pub trait Files: Send + Sync {
    /// What `path` is, or `None` where nothing is there.
    ///
    /// # Errors
    /// When the store cannot be read: never a word for absence.
    fn kind(&self, path: &str) -> Result<Option<EntryKind>, ReadError>;
    /// The bytes of a file, or the target of a symbolic link.
    ///
    /// # Errors
    /// When the store cannot be read, or the file is larger than `limit` bytes.
    fn read(&self, path: &str, limit: usize) -> Result<Arc<[u8]>, ReadError>;
    /// The names in a directory, sorted bytewise, with what they are.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn list(&self, path: &str) -> Result<Vec<(String, EntryKind)>, ReadError>;
    /// Identity of the content of a file, of the target of a symbolic link or of the listing of a
    /// directory: two equal ones mean equal content. A store that knows such an identity without
    /// reading (Git) gives that, padded with zeros; it must never mix two sorts of identity.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn id(&self, path: &str) -> Result<Option<[u8; 32]>, ReadError> {
        Ok(match self.kind(path)? {
            None | Some(EntryKind::Submodule) => None,
            Some(EntryKind::Directory) => Some(listing_id(&self.list(path)?)),
            Some(EntryKind::File | EntryKind::Symlink) => {
                Some(Sha256::digest(self.read(path, usize::MAX)?).into())
            }
        })
    }
    /// What `path` is, and the identity of its content: [`Files::kind`] and [`Files::id`] in one
    /// look, for stores to which that is less.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn known(&self, path: &str) -> Result<Option<Known>, ReadError> {
        match self.kind(path)? {
            Some(kind) => Ok(Some((kind, self.id(path)?))),
            None => Ok(None),
        }
    }
    /// [`Files::read`] and [`Files::known`] in one look.
    ///
    /// # Errors
    /// As [`Files::read`].
    fn content(&self, path: &str, limit: usize) -> Result<Content, ReadError> {
        let bytes = self.read(path, limit)?;
        let known = self.known(path)?;
        Ok(Content { bytes, known })
    }
}

/// What a path is, and the identity of its content where it has one.
pub type Known = (EntryKind, Option<[u8; 32]>);

/// A file or the target of a symbolic link, with what is known of it.
#[derive(Debug, Clone)]
pub struct Content {
    /// The bytes.
    pub bytes: Arc<[u8]>,
    /// What [`Files::known`] says of it.
    pub known: Option<Known>,
}

/// Identity of a directory listing: names and kinds, not what is in the files.
fn listing_id(entries: &[(String, EntryKind)]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for (name, kind) in entries {
        hash.update([*kind as u8]);
        hash.update(name);
        // A name has no NUL, so that no two listings give the same bytes.
        hash.update([0]);
    }
    hash.finalize().into()
}

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The path without symbolic links, `.` and `..`.
    pub path: String,
    /// What is there: no symbolic link.
    pub kind: EntryKind,
}

/// The files of one revision. A clone is the same tree.
///
/// Paths given to its methods are relative to the root and may have `.`, `..` and symbolic links
/// in them.
#[derive(Clone)]
pub struct Tree {
    files: Arc<dyn Files>,
    limit: usize,
}

impl Tree {
    /// The tree of `files`.
    pub fn new(files: impl Files + 'static) -> Self {
        Self::from_arc(Arc::new(files))
    }

    /// The tree of shared `files`.
    pub fn from_arc(files: Arc<dyn Files>) -> Self {
        Self {
            files,
            limit: FILE_LIMIT,
        }
    }

    /// A tree of files in memory: paths and contents.
    pub fn from_memory<P, B>(files: impl IntoIterator<Item = (P, B)>) -> Self
    where
        P: AsRef<str>,
        B: AsRef<[u8]>,
    {
        let empty = MemoryFiles::default();
        let all = files
            .into_iter()
            .fold(empty, |all, (path, bytes)| all.file(path, bytes));
        Self::new(all)
    }

    /// The tree of a directory, read as needed. The root may be `/`.
    ///
    /// # Errors
    /// When there is no such directory.
    pub fn from_disk(root: impl AsRef<std::path::Path>) -> Result<Self, ReadError> {
        Ok(Self::new(DiskFiles::new(root.as_ref())?))
    }

    /// The same tree with another limit on the size of a file, in bytes.
    #[must_use]
    pub fn with_file_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// What `path` is, after following symbolic links: a file, a directory or a submodule. `None`
    /// where nothing is there, or a symbolic link leads nowhere.
    ///
    /// # Errors
    /// A path or a link that leads out of the tree, a loop of links, a store that cannot be read.
    pub fn kind(&self, path: &str) -> Result<Option<EntryKind>, ReadError> {
        Ok(self.find(path)?.map(|found| found.kind))
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// As for [`Tree::kind`]; also when it is absent, not a file, or too large.
    pub fn read(&self, path: &str) -> Result<Arc<[u8]>, ReadError> {
        self.read_found(path, self.find(path)?.as_ref())
    }

    /// The bytes of a file that was looked for at `path` just now.
    ///
    /// # Errors
    /// As for [`Tree::read`].
    pub fn read_found(&self, path: &str, found: Option<&Found>) -> Result<Arc<[u8]>, ReadError> {
        match found {
            None => Err(ReadError::NotFound { path: path.into() }),
            Some(found) if found.kind == EntryKind::File => {
                self.files.read(&found.path, self.limit)
            }
            Some(_) => Err(ReadError::NotAFile { path: path.into() }),
        }
    }

    /// The names in a directory, sorted bytewise, with what they are (a symbolic link is not
    /// followed here).
    ///
    /// # Errors
    /// As for [`Tree::kind`]; also when it is absent or not a directory.
    pub fn list(&self, path: &str) -> Result<Vec<(String, EntryKind)>, ReadError> {
        match self.find(path)? {
            None => Err(ReadError::NotFound { path: path.into() }),
            Some(found) if found.kind == EntryKind::Directory => self.files.list(&found.path),
            Some(_) => Err(ReadError::NotADirectory { path: path.into() }),
        }
    }

    /// The normalised path of `relative`, as it is written in a file of the directory `dir`. By
    /// text only: nothing is read.
    ///
    /// # Errors
    /// [`ReadError::PathEscape`] for an absolute path and for one that leaves the tree.
    pub fn join(&self, dir: &str, relative: &str) -> Result<String, ReadError> {
        path::join(dir, relative).ok_or_else(|| ReadError::PathEscape {
            path: path::printable(relative),
        })
    }

    /// The same tree, which notes everything that is looked at, and the notes.
    pub fn recording(&self) -> (Self, Recording) {
        let (files, recording) = recording::record(self.files.clone());
        (
            Self {
                files,
                limit: self.limit,
            },
            recording,
        )
    }

    /// Where `written` leads and what is there, through symbolic links; `None` where nothing is.
    ///
    /// # Errors
    /// As for [`Tree::kind`].
    pub fn find(&self, written: &str) -> Result<Option<Found>, ReadError> {
        let escape = || ReadError::PathEscape {
            path: path::printable(written),
        };
        let mut path = path::join("", written).ok_or_else(escape)?;
        for _ in 0..=SYMLINKS {
            // Nearly always there is no link on the way, and one question is enough.
            let link = match self.files.kind(&path)? {
                Some(EntryKind::Symlink) => path.len(),
                Some(kind) => return Ok(Some(Found { path, kind })),
                None => match self.first_link(&path)? {
                    Some(end) => end,
                    None => return Ok(None),
                },
            };
            let (link, rest) = path.split_at(link);
            let target = self.files.read(link, SYMLINK_BYTES)?;
            let target = std::str::from_utf8(&target).map_err(|_| escape())?;
            // An empty rest must not make a trailing slash.
            let onward = if rest.is_empty() {
                target.into()
            } else {
                format!("{target}{rest}")
            };
            path = path::join(path::parent(link), &onward).ok_or_else(escape)?;
        }
        Err(ReadError::SymlinkLoop {
            path: path::printable(written),
        })
    }

    /// The length of the first part of `path`, which is not there itself, that is a symbolic
    /// link.
    fn first_link(&self, path: &str) -> Result<Option<usize>, ReadError> {
        for part in path::above(path) {
            match self.files.kind(part)? {
                Some(EntryKind::Directory) => {}
                Some(EntryKind::Symlink) => return Ok(Some(part.len())),
                _ => break,
            }
        }
        Ok(None)
    }
}

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tree")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
