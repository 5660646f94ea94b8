//! A tree in a directory of the file system.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::{EntryKind, Files, ReadError, path};

/// The files below a directory, read as needed. For the CLI: nobody promises that they stay the
/// same.
pub struct DiskFiles {
    root: PathBuf,
    /// Directories that are known to be none by way of a symbolic link.
    real: Mutex<BTreeSet<String>>,
}

impl DiskFiles {
    /// The files below `root`, which may itself be a symbolic link.
    ///
    /// # Errors
    /// When there is no such directory.
    pub fn new(root: &Path) -> Result<Self, ReadError> {
        let written = || root.display().to_string();
        let root = root
            .canonicalize()
            .map_err(|error| store(&written(), &error))?;
        if !root.is_dir() {
            return Err(ReadError::NotADirectory { path: written() });
        }
        Ok(Self {
            root,
            real: Mutex::default(),
        })
    }

    /// Where the tree lies, without symbolic links.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// True if no part of `dir` is a symbolic link, which the operating system would follow.
    fn is_real(&self, dir: &str) -> Result<bool, ReadError> {
        let known = |dir: &str| {
            self.real
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(dir)
        };
        if dir.is_empty() || known(dir) {
            return Ok(true);
        }
        for part in path::above(dir).chain([dir]) {
            if !known(part) {
                if !self.entry(part)?.is_some_and(|entry| entry.is_dir()) {
                    return Ok(false);
                }
                let mut real = self.real.lock().unwrap_or_else(PoisonError::into_inner);
                real.insert(part.into());
            }
        }
        Ok(true)
    }

    /// What is at `path`, and no link stands in front of it; `None` where nothing is.
    fn look(&self, path: &str) -> Result<Option<fs::Metadata>, ReadError> {
        if self.is_real(path::parent(path))? {
            self.entry(path)
        } else {
            Ok(None)
        }
    }

    /// What is at `path`, whose directory is real.
    fn entry(&self, path: &str) -> Result<Option<fs::Metadata>, ReadError> {
        match fs::symlink_metadata(self.root.join(path)) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(store(path, &error)),
        }
    }

    /// Reads a regular file that was seen at `path`.
    fn read_file(
        &self,
        path: &str,
        seen: &fs::Metadata,
        limit: usize,
    ) -> Result<Arc<[u8]>, ReadError> {
        let file = File::open(self.root.join(path)).map_err(|e| store(path, &e))?;
        let opened = file.metadata().map_err(|e| store(path, &e))?;
        // What was a file a moment ago may be a link by now, and would have been followed.
        if !is_same(seen, &opened) {
            let message = format!("`{path}` changed while it was read");
            return Err(ReadError::Store(message));
        }
        let most = (limit as u64).saturating_add(1);
        // Room for one byte more shows the end of the file without a third read.
        let expected = opened.len().saturating_add(1).min(most);
        let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
        file.take(most)
            .read_to_end(&mut bytes)
            .map_err(|error| store(path, &error))?;
        if bytes.len() > limit {
            return Err(too_large(path, limit));
        }
        Ok(bytes.into())
    }

    /// Reads the target of a symbolic link.
    fn read_link(&self, path: &str, limit: usize) -> Result<Arc<[u8]>, ReadError> {
        let target = fs::read_link(self.root.join(path)).map_err(|error| store(path, &error))?;
        let inside = target
            .is_absolute()
            .then(|| self.inside(path, &target))
            .flatten();
        let target = inside.map_or(target, PathBuf::from).into_os_string();
        let bytes = target.as_encoded_bytes();
        if bytes.len() > limit {
            return Err(too_large(path, limit));
        }
        Ok(bytes.into())
    }

    /// An absolute target of a link at `link` inside the root, as a relative one.
    fn inside(&self, link: &str, target: &Path) -> Option<String> {
        let below = target.strip_prefix(&self.root).ok()?;
        let up = "../".repeat(link.matches('/').count());
        // `x/../..` may lead above the root: that shows when the path is joined.
        let parts: Option<Vec<_>> = below
            .components()
            .filter(|part| !matches!(part, Component::RootDir))
            .map(|part| part.as_os_str().to_str())
            .collect();
        Some(format!("{up}{}", parts?.join("/")))
    }
}

impl Files for DiskFiles {
    fn kind(&self, path: &str) -> Result<Option<EntryKind>, ReadError> {
        if path.is_empty() {
            return Ok(Some(EntryKind::Directory));
        }
        let seen = self.look(path)?;
        Ok(seen.and_then(|seen| kind_of(seen.file_type())))
    }

    fn read(&self, path: &str, limit: usize) -> Result<Arc<[u8]>, ReadError> {
        let seen = self.look(path)?;
        let seen = seen.and_then(|seen| Some((kind_of(seen.file_type())?, seen)));
        match seen {
            None => Err(ReadError::NotFound { path: path.into() }),
            Some((EntryKind::Directory | EntryKind::Submodule, _)) => {
                Err(ReadError::NotAFile { path: path.into() })
            }
            Some((EntryKind::Symlink, _)) => self.read_link(path, limit),
            Some((EntryKind::File, seen)) => self.read_file(path, &seen, limit),
        }
    }

    fn list(&self, path: &str) -> Result<Vec<(String, EntryKind)>, ReadError> {
        if !self.is_real(path)? {
            return Err(ReadError::NotADirectory { path: path.into() });
        }
        let mut entries = Vec::new();
        for entry in fs::read_dir(self.root.join(path)).map_err(|error| store(path, &error))? {
            let entry = entry.map_err(|error| store(path, &error))?;
            let kind = entry.file_type().map_err(|error| store(path, &error))?;
            if let Some(kind) = kind_of(kind) {
                // A name that is not UTF-8 is listed, and absent when it is then read.
                entries.push((entry.file_name().to_string_lossy().into_owned(), kind));
            }
        }
        entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Ok(entries)
    }
}

/// What a file type is in a tree; sockets and devices are nothing.
fn kind_of(kind: fs::FileType) -> Option<EntryKind> {
    if kind.is_symlink() {
        Some(EntryKind::Symlink)
    } else if kind.is_dir() {
        Some(EntryKind::Directory)
    } else {
        kind.is_file().then_some(EntryKind::File)
    }
}

/// Whether two looks were at the same file.
#[cfg(unix)]
fn is_same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    other.is_file() && (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Other systems make links for administrators only.
#[cfg(not(unix))]
fn is_same(_: &fs::Metadata, other: &fs::Metadata) -> bool {
    other.is_file()
}

fn too_large(path: &str, limit: usize) -> ReadError {
    let path = path.into();
    ReadError::TooLarge { path, limit }
}

/// True if an error means that nothing is at the path.
fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename)
}

fn store(path: &str, error: &io::Error) -> ReadError {
    ReadError::Store(format!("`{path}`: {error}"))
}
