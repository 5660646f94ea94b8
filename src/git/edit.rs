//! Directories of a commit with some files put in the place of others, as new tree objects. Nothing
//! is written: what is new stays in memory until it is pushed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gix_hash::{Kind as Hash, ObjectId};
use gix_object::tree::{Entry, EntryKind, EntryMode};
use gix_object::{Kind, Tree, TreeRef, WriteTo as _};

use super::error::{Cause, Error, Result};
use super::limits;
use super::objects::{Failure, Objects, Reader};

/// A file or symbolic link as one commit has it: mode and content. Equal ones are the same file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId {
    pub(super) mode: EntryMode,
    pub(super) id: ObjectId,
}

impl FileId {
    /// Whether it is a submodule: a commit of another repository, which is not here.
    #[must_use]
    pub fn is_submodule(&self) -> bool {
        self.mode.is_commit()
    }
}

/// What becomes of one path: the file that is to be there, or none.
type Edit<'a> = (&'a str, Option<FileId>);

/// The directories of one repository, as they are read and edited.
pub(super) struct Trees<'a> {
    objects: &'a Objects,
    reader: Reader,
    remote: &'a str,
    known: BTreeMap<ObjectId, Arc<Tree>>,
    /// What was made that the repository does not have.
    pub(super) fresh: BTreeMap<ObjectId, Vec<u8>>,
}

impl<'a> Trees<'a> {
    pub(super) fn new(objects: &'a Objects, remote: &'a str) -> Self {
        Self {
            reader: objects.reader(),
            objects,
            remote,
            known: BTreeMap::new(),
            fresh: BTreeMap::new(),
        }
    }

    /// The file at `path` below the directory `root`; none where nothing or a directory is.
    pub(super) fn find(&mut self, root: ObjectId, path: &str) -> Result<Option<FileId>> {
        let mut at = root;
        let mut names = path.split('/').peekable();
        while let Some(name) = names.next() {
            let tree = self.read(at)?;
            let Some(entry) = tree.entries.iter().find(|entry| entry.filename == name) else {
                return Ok(None);
            };
            let is_last = names.peek().is_none();
            match (is_last, entry.mode.is_tree()) {
                (true, false) => {
                    return Ok(Some(FileId {
                        mode: entry.mode,
                        id: entry.oid,
                    }));
                }
                (false, true) => at = entry.oid,
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The directory `base`, or an empty one, with the edits made: its id, which is that of an empty directory where
    /// nothing is left.
    pub(super) fn edit(&mut self, base: Option<ObjectId>, edits: &[Edit<'_>]) -> Result<ObjectId> {
        match self.edited(base, edits)? {
            Some(id) => Ok(id),
            None => self.keep(Vec::new()),
        }
    }

    /// The same; none where nothing is left, because Git has no empty directories.
    fn edited(&mut self, base: Option<ObjectId>, edits: &[Edit<'_>]) -> Result<Option<ObjectId>> {
        let before = match base {
            Some(id) => self.read(id)?,
            None => Arc::new(Tree::empty()),
        };
        let mut entries: BTreeMap<Vec<u8>, Entry> = before
            .entries
            .iter()
            .map(|entry| (entry.filename.to_vec(), entry.clone()))
            .collect();
        let mut here = Vec::new();
        let mut below: BTreeMap<&str, Vec<Edit<'_>>> = BTreeMap::new();
        for (path, file) in edits {
            match path.split_once('/') {
                Some((name, rest)) => below.entry(name).or_default().push((rest, *file)),
                None => here.push((*path, *file)),
            }
        }
        // A file may take the place of a directory, and the other way round: what goes goes first.
        for (name, file) in &here {
            let is_file = |entry: &Entry| !entry.mode.is_tree();
            if file.is_none() && entries.get(name.as_bytes()).is_some_and(is_file) {
                entries.remove(name.as_bytes());
            }
        }
        for (name, edits) in below {
            let known = entries.get(name.as_bytes());
            let sub = known.filter(|entry| entry.mode.is_tree()).map(|e| e.oid);
            let edited = self.edited(sub, &edits).map_err(|error| error.below(name));
            match edited? {
                Some(id) => put(&mut entries, name, EntryKind::Tree.into(), id),
                None if sub.is_some() => {
                    entries.remove(name.as_bytes());
                }
                // Nothing of what is to go is there.
                None => {}
            }
        }
        for (name, file) in here {
            if let Some(file) = file {
                // What nobody asked to remove is somebody's, and nobody looked at it.
                if let Some(there) = entries.get(name.as_bytes())
                    && there.mode.is_tree()
                {
                    let below = self.first_file(there.oid)?;
                    return Err(self.in_the_way(name, &below));
                }
                put(&mut entries, name, file.mode, file.id);
            }
        }
        if entries.is_empty() {
            return Ok(None);
        }
        let mut entries: Vec<Entry> = entries.into_values().collect();
        // Git's order, in which a directory is sorted as if its name ended with a slash.
        entries.sort();
        match base {
            Some(base) if entries == before.entries => Ok(Some(base)),
            _ => self.keep(entries).map(Some),
        }
    }

    /// One of the files below a directory, to name it.
    fn first_file(&mut self, root: ObjectId) -> Result<String> {
        let mut path = String::new();
        let mut at = root;
        loop {
            let tree = self.read(at)?;
            let Some(entry) = tree.entries.first() else {
                return Ok(path);
            };
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(&entry.filename.to_string());
            if !entry.mode.is_tree() {
                return Ok(path);
            }
            at = entry.oid;
        }
    }

    fn in_the_way(&self, name: &str, below: &str) -> Error {
        Error::WouldBeLost {
            remote: self.remote.to_owned(),
            path: format!("{name}/{below}"),
        }
    }

    fn keep(&mut self, entries: Vec<Entry>) -> Result<ObjectId> {
        let mut bytes = Vec::new();
        let written = Tree { entries }.write_to(&mut bytes);
        written.map_err(|error| self.broken(Cause::of(&error)))?;
        let id = self.hash(Kind::Tree, &bytes)?;
        self.fresh.insert(id, bytes);
        Ok(id)
    }

    /// The id that an object has.
    pub(super) fn hash(&self, kind: Kind, bytes: &[u8]) -> Result<ObjectId> {
        gix_object::compute_hash(Hash::Sha1, kind, bytes)
            .map_err(|error| self.broken(Cause::of(&error)))
    }

    /// The entries of a directory.
    pub(super) fn read(&mut self, id: ObjectId) -> Result<Arc<Tree>> {
        if let Some(known) = self.known.get(&id) {
            return Ok(Arc::clone(known));
        }
        let mut buffer = Vec::new();
        match self.fresh.get(&id) {
            Some(made) => buffer.clone_from(made),
            None => self.bytes(id, Kind::Tree, limits::MAX_DIRECTORY_BYTES, &mut buffer)?,
        }
        let tree = TreeRef::from_bytes(&buffer, Hash::Sha1)
            .map_err(|error| self.broken(Cause::of(&error)))?;
        let tree = Arc::new(Tree::from(tree));
        self.known.insert(id, Arc::clone(&tree));
        Ok(tree)
    }

    /// The contents of `files`, one of each, no more than `limit` bytes of all.
    pub(super) fn blobs(
        &self,
        files: &BTreeSet<ObjectId>,
        limit: usize,
    ) -> Result<Vec<(Kind, Vec<u8>)>> {
        let mut left = limit;
        let mut all = Vec::new();
        for id in files {
            let mut buffer = Vec::new();
            self.bytes(*id, Kind::Blob, left, &mut buffer)?;
            left -= buffer.len();
            all.push((Kind::Blob, buffer));
        }
        Ok(all)
    }

    /// The bytes of an object into `buffer`, if they are no more than `limit`.
    pub(super) fn bytes(
        &self,
        id: ObjectId,
        kind: Kind,
        limit: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<()> {
        let read = self.objects.read(&self.reader, &id, kind, limit, buffer);
        read.map_err(|failure| match failure {
            Failure::TooLarge(_) => Error::TooLarge {
                doing: "composing a commit for",
                remote: self.remote.to_owned(),
                what: "what would be written (revert by hand)",
                limit: limit as u64,
            },
            // Whoever asked for it may have been mistaken: that is no reason to clone anew.
            Failure::Missing => self.unreadable(Cause::new(&format!("object {id} is missing"))),
            Failure::WrongKind(found) => {
                self.unreadable(Cause::new(&format!("object {id} is a {found}")))
            }
            Failure::Broken(cause) => self.broken(cause),
        })
    }

    fn broken(&self, cause: Cause) -> Error {
        self.objects.note_damage();
        self.unreadable(cause)
    }

    fn unreadable(&self, cause: Cause) -> Error {
        Error::Cache {
            doing: "reading",
            remote: self.remote.to_owned(),
            cause,
        }
    }
}

fn put(entries: &mut BTreeMap<Vec<u8>, Entry>, name: &str, mode: EntryMode, oid: ObjectId) {
    let entry = Entry {
        mode,
        filename: name.into(),
        oid,
    };
    entries.insert(name.into(), entry);
}
