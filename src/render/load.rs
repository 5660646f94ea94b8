//! Reading files and entering directories the way a kustomization may: files in or below its own
//! directory, other directories anywhere but at or above one that is being built.

use std::cell::Cell;
use std::sync::Arc;

use super::LoadRestrictor;
use super::error::{Error, Reason, Result};
use super::limits::{
    MAX_DEPTH, MAX_FILE_BYTES, MAX_FILES, MAX_KUSTOMIZATIONS, MAX_NODES, MAX_TOTAL_BYTES,
};
use super::meter::{Size, spend};
use super::resource::Resource;
use crate::tree::{EntryKind, Found, ReadError, Tree};

/// What one render may still read.
#[derive(Debug, Default)]
pub(super) struct Budget {
    files: Cell<usize>,
    bytes: Cell<usize>,
    nodes: Cell<usize>,
    kustomizations: Cell<usize>,
}

/// Reads for the kustomization in one directory.
#[derive(Debug, Clone)]
pub(super) struct Loader<'a> {
    tree: &'a Tree,
    /// The directory, without symbolic links.
    dir: String,
    /// The directories of the kustomizations above, outermost first.
    above: Vec<String>,
    restrictor: LoadRestrictor,
    budget: &'a Budget,
}

impl<'a> Loader<'a> {
    /// For the directory that is to be built.
    ///
    /// # Errors
    /// Where there is no such directory.
    pub fn new(
        tree: &'a Tree,
        dir: &str,
        restrictor: LoadRestrictor,
        budget: &'a Budget,
    ) -> Result<Self> {
        let dir = directory(tree, dir)?;
        Ok(Self {
            tree,
            dir,
            above: Vec::new(),
            restrictor,
            budget,
        })
    }

    /// The directory, relative to the root of the repository.
    pub fn dir(&self) -> &str {
        &self.dir
    }

    /// The path in the repository of `path`, as written in the kustomization; as written where it
    /// leaves the repository.
    pub fn resolve_name(&self, path: &str) -> String {
        self.tree
            .join(&self.dir, path)
            .unwrap_or_else(|_| path.to_owned())
    }

    /// What `path`, as written in the kustomization, leads to; `None` where nothing is.
    ///
    /// # Errors
    /// As [`Reach::find`].
    pub fn find(&self, path: &str) -> Result<Option<Found>> {
        self.reach().find(path)
    }

    /// What any thread may look for.
    pub fn reach(&self) -> Reach<'_> {
        Reach {
            tree: self.tree,
            dir: &self.dir,
        }
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// On a URL, on a file outside of the directory, and where it cannot be read.
    pub fn read(&self, path: &str) -> Result<Arc<[u8]>> {
        refuse_url(path)?;
        self.read_found(path, self.find(path)?.as_ref())
    }

    /// The bytes of a file that was looked for at `path`, which is no URL, just now.
    ///
    /// # Errors
    /// On a file outside of the directory, and where it cannot be read.
    pub fn read_found(&self, path: &str, found: Option<&Found>) -> Result<Arc<[u8]>> {
        let file = self.open(path, found)?;
        let bytes = file.read()?;
        self.spend_bytes(bytes.len())?;
        Ok(bytes)
    }

    /// A file that was looked for at `path`, which is no URL, just now, to be read by any thread.
    ///
    /// # Errors
    /// On a file outside of the directory.
    pub fn open(&self, path: &str, found: Option<&Found>) -> Result<File<'a>> {
        if self.restrictor == LoadRestrictor::RootOnly
            && let Some(found) = found
            && !is_below(&found.path, &self.dir)
        {
            return Err(Error::new(
                Reason::PathEscape,
                format!(
                    "the file `{path}` is not in or below `{}`",
                    printed(&self.dir)
                ),
            )
            .hint(
                "a kustomization may only read files of its own directory: make a base of the \
                 other directory, or allow it with the load restrictor `none`",
            ));
        }
        self.spend_file()?;
        Ok(File {
            tree: self.tree,
            name: self.join(path)?,
            found: found.cloned(),
        })
    }

    /// The bytes of a file that the render has read, for questions about it: not counted again.
    pub fn peek(&self, path: &str) -> Option<Arc<[u8]>> {
        self.tree.read(&self.join(path).ok()?).ok()
    }

    /// A loader for another directory.
    ///
    /// # Errors
    /// On a URL, a path that is no directory, a cycle, and too deep a nesting.
    pub fn enter(&self, path: &str) -> Result<Self> {
        refuse_remote(path)?;
        if path.is_empty() {
            return Err(Error::new(Reason::PathNotFound, "an entry is empty"));
        }
        let dir = directory(self.tree, &self.join(path)?)?;
        for visited in self.above.iter().chain([&self.dir]) {
            if is_below(visited, &dir) {
                return Err(Error::new(
                    Reason::Cycle,
                    format!(
                        "`{path}` is `{}`, which contains `{}`, and that is being built",
                        printed(&dir),
                        printed(visited)
                    ),
                )
                .hint("a base may not be its own overlay, nor a directory above it"));
            }
        }
        if self.above.len() + 1 >= MAX_DEPTH {
            return Err(Error::new(
                Reason::TooDeep,
                format!("kustomizations are nested deeper than {MAX_DEPTH}"),
            ));
        }
        spend(
            &self.budget.kustomizations,
            1,
            MAX_KUSTOMIZATIONS,
            "kustomizations",
        )?;
        let above = self.above.iter().chain([&self.dir]).cloned().collect();
        Ok(Self {
            dir,
            above,
            ..self.clone()
        })
    }

    /// Whether `path` means something outside of the repository.
    pub fn is_remote(&self, path: &str) -> bool {
        refuse_remote(path).is_err()
    }

    fn join(&self, path: &str) -> Result<String> {
        self.reach().join(path)
    }

    /// Counts what a text of this kustomization consists of, once it is read.
    ///
    /// # Errors
    /// Where all of them together are too many.
    pub fn count(&self, size: Size) -> Result<()> {
        let what = "keys and values of files";
        spend(&self.budget.nodes, size.nodes, MAX_NODES, what)
    }

    /// The same of objects.
    ///
    /// # Errors
    /// As [`Loader::count`].
    pub fn count_all(&self, resources: &[Resource]) -> Result<()> {
        self.count(Size::of_all(resources))
    }

    fn spend_file(&self) -> Result<()> {
        spend(&self.budget.files, 1, MAX_FILES, "files read")
    }

    /// What was read until now: bytes of files, and the keys and values in them.
    pub fn spent(&self) -> (usize, usize) {
        (self.budget.bytes.get(), self.budget.nodes.get())
    }

    /// Counts the bytes of a file.
    ///
    /// # Errors
    /// Where all files together are too long.
    pub fn spend_bytes(&self, len: usize) -> Result<()> {
        spend(&self.budget.bytes, len, MAX_TOTAL_BYTES, "bytes read")
    }
}

/// The files as a kustomization names them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach<'a> {
    tree: &'a Tree,
    dir: &'a str,
}

impl Reach<'_> {
    /// What `path`, as written in the kustomization, leads to; `None` where nothing is.
    ///
    /// # Errors
    /// Where it leaves the repository, or the store cannot be read.
    pub fn find(&self, path: &str) -> Result<Option<Found>> {
        let full = self.join(path)?;
        self.tree.find(&full).map_err(|e| read_error(e, &full))
    }

    fn join(&self, path: &str) -> Result<String> {
        self.tree
            .join(self.dir, path)
            .map_err(|e| read_error(e, path))
    }
}

/// A file that may be read: it is in reach of its kustomization.
#[derive(Debug)]
pub(super) struct File<'a> {
    tree: &'a Tree,
    /// The path from the root of the repository.
    pub name: String,
    found: Option<Found>,
}

impl File<'_> {
    /// Its bytes; they are still to be counted.
    ///
    /// # Errors
    /// Where it cannot be read, or is too long.
    pub fn read(&self) -> Result<Arc<[u8]>> {
        let bytes = self.tree.read_found(&self.name, self.found.as_ref());
        let bytes = bytes.map_err(|e| read_error(e, &self.name))?;
        if bytes.len() > MAX_FILE_BYTES {
            let what = format!("a file is larger than the limit of {MAX_FILE_BYTES} bytes");
            return Err(Error::new(Reason::LimitExceeded, what));
        }
        Ok(bytes)
    }
}

/// The directory without symbolic links.
fn directory(tree: &Tree, path: &str) -> Result<String> {
    let found = tree.find(path).map_err(|e| read_error(e, path))?;
    match found.map(|found| (found.kind, found.path)) {
        Some((EntryKind::Directory, real)) => Ok(real),
        Some((EntryKind::Submodule, _)) => Err(Error::new(
            Reason::RemoteBaseForbidden,
            format!("`{}` is a submodule", printed(path)),
        )
        .hint("submodules are not fetched: copy the files into the repository")),
        Some(_) => Err(Error::new(
            Reason::PathNotFound,
            format!("`{}` is a file, not a directory", printed(path)),
        )),
        None => Err(Error::new(
            Reason::PathNotFound,
            format!("there is no file or directory `{}`", printed(path)),
        )),
    }
}

/// Whether `path` is `dir` or lies below it.
fn is_below(path: &str, dir: &str) -> bool {
    dir.is_empty()
        || path == dir
        || path
            .strip_prefix(dir)
            .is_some_and(|rest| rest.starts_with('/'))
}

/// A directory for messages: the root has a name too.
pub(super) fn printed(dir: &str) -> &str {
    if dir.is_empty() { "." } else { dir }
}

/// A failure of the tree as a mistake of the repository, where it is one.
pub(super) fn read_error(error: ReadError, path: &str) -> Error {
    let reason = match &error {
        ReadError::Store(_) => {
            return Error::Unreadable {
                path: path.to_owned(),
                source: error,
            };
        }
        ReadError::PathEscape { .. } | ReadError::SymlinkLoop { .. } => Reason::PathEscape,
        ReadError::TooLarge { .. } => Reason::LimitExceeded,
        _ => Reason::PathNotFound,
    };
    Error::new(reason, error.to_string())
}

/// Refuses a file behind a URL.
fn refuse_url(path: &str) -> Result<()> {
    if path.starts_with("http://") || path.starts_with("https://") {
        return Err(remote(path));
    }
    Ok(())
}

/// Refuses what kustomize takes for a repository to clone.
fn refuse_remote(path: &str) -> Result<()> {
    let starts = ["git::", "git@", "github.com/", "github.com:", "gh:"];
    let is_remote = path.contains("://")
        || starts.iter().any(|start| path.starts_with(start))
        || path
            .split_once(':')
            .is_some_and(|(host, _)| host.contains('@') && !host.contains('/'));
    if is_remote { Err(remote(path)) } else { Ok(()) }
}

fn remote(path: &str) -> Error {
    // what stands in front of an `@` may be a password
    let shown = path.rsplit_once('@').map_or(path, |(_, host)| host);
    Error::new(
        Reason::RemoteBaseForbidden,
        format!("`{shown}` is outside of the repository"),
    )
    .hint("copy it into the repository: a revision must be complete to be reviewed and reverted")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MemoryFiles;

    #[test]
    fn the_bytes_of_all_files_are_limited_together() {
        let large = "#".repeat(MAX_FILE_BYTES);
        let tree = Tree::new(MemoryFiles::default().file("large.yaml", &large));
        let budget = Budget::default();
        let loader =
            Loader::new(&tree, "", LoadRestrictor::RootOnly, &budget).expect("the root is there");
        for _ in 0..MAX_TOTAL_BYTES / MAX_FILE_BYTES {
            loader.read("large.yaml").expect("within the limit");
        }
        let error = loader.read("large.yaml").expect_err("past the limit");
        let limit = format!("more than the limit of {MAX_TOTAL_BYTES} bytes read");
        assert!(error.to_string().contains(&limit), "{error}");
    }
}
