//! A tree in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{EntryKind, Files, ReadError, path};

/// Files and symbolic links in memory, by path. Directories are where something is in them.
#[derive(Clone, Default)]
pub struct MemoryFiles {
    entries: BTreeMap<String, (EntryKind, Arc<[u8]>)>,
    directories: BTreeSet<String>,
}

impl MemoryFiles {
    /// The same with a file.
    #[must_use]
    pub fn file(self, path: impl AsRef<str>, bytes: impl AsRef<[u8]>) -> Self {
        self.with(path.as_ref(), EntryKind::File, bytes.as_ref())
    }

    /// The same with a symbolic link.
    #[must_use]
    pub fn symlink(self, path: impl AsRef<str>, target: impl AsRef<str>) -> Self {
        self.with(
            path.as_ref(),
            EntryKind::Symlink,
            target.as_ref().as_bytes(),
        )
    }

    fn with(mut self, path: &str, kind: EntryKind, bytes: &[u8]) -> Self {
        let mut dir = path::parent(path);
        while !dir.is_empty() {
            self.directories.insert(dir.into());
            dir = path::parent(dir);
        }
        self.entries.insert(path.into(), (kind, bytes.into()));
        self
    }
}

impl Files for MemoryFiles {
    fn kind(&self, path: &str) -> Result<Option<EntryKind>, ReadError> {
        if path.is_empty() || self.directories.contains(path) {
            return Ok(Some(EntryKind::Directory));
        }
        Ok(self.entries.get(path).map(|(kind, _)| *kind))
    }

    fn read(&self, path: &str, limit: usize) -> Result<Arc<[u8]>, ReadError> {
        match self.entries.get(path) {
            None => Err(ReadError::NotFound { path: path.into() }),
            Some((_, bytes)) if bytes.len() > limit => Err(ReadError::TooLarge {
                path: path.into(),
                limit,
            }),
            Some((_, bytes)) => Ok(bytes.clone()),
        }
    }

    fn list(&self, path: &str) -> Result<Vec<(String, EntryKind)>, ReadError> {
        if self.kind(path)? != Some(EntryKind::Directory) {
            return Err(ReadError::NotADirectory { path: path.into() });
        }
        let name = |full: &String| {
            let inside = full.strip_prefix(path)?;
            let inside = if path.is_empty() {
                inside
            } else {
                inside.strip_prefix('/')?
            };
            (!inside.is_empty() && !inside.contains('/')).then(|| inside.to_owned())
        };
        let directories = self.directories.iter().filter_map(name);
        let mut all: BTreeMap<_, _> = directories.map(|n| (n, EntryKind::Directory)).collect();
        for (full, (kind, _)) in &self.entries {
            if let Some(name) = name(full) {
                all.entry(name).or_insert(*kind);
            }
        }
        Ok(all.into_iter().collect())
    }
}
