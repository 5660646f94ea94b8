//! A repository in a directory of this machine: its references and objects are read in place,
//! without `git`, without its configuration, and without writing anything.

use std::fs;
use std::path::{Path, PathBuf};

use gix_hash::{Kind as Hash, ObjectId};
use gix_ref::file::ReferenceExt as _;

use super::error::{Cause, Error, Result};
use super::listing::{Head, Listing};
use super::objects::Objects;
use super::tree::Holder;

/// An open local repository.
#[derive(Debug)]
pub(super) struct Local {
    objects: Objects,
    git_directory: PathBuf,
    common: PathBuf,
    remote: String,
}

impl Holder for Local {
    fn objects(&self) -> &Objects {
        &self.objects
    }
}

impl Local {
    /// Opens the repository in `path`, which is a bare one, or has a `.git`.
    pub(super) fn open(path: &Path, remote: &str) -> Result<Self> {
        let not_found = || Error::RepositoryNotFound {
            doing: "opening",
            remote: remote.to_owned(),
        };
        let git_directory = git_directory(path).ok_or_else(not_found)?;
        // A linked work tree keeps its own HEAD, and all else with the main one.
        let common = match fs::read_to_string(git_directory.join("commondir")) {
            Ok(common) => git_directory.join(common.trim_end()),
            Err(_) => git_directory.clone(),
        };
        if !common.join("objects").is_dir() {
            return Err(not_found());
        }
        let unsupported = |what| {
            Err(Error::Unsupported {
                doing: "opening",
                remote: remote.to_owned(),
                what,
            })
        };
        if common.join("reftable").is_dir() {
            return unsupported("the reftable format");
        }
        let absolute = fs::canonicalize(common.join("objects"))
            .map_err(|error| super::store::cache_error("opening", remote, &error))?;
        let objects = Objects::open(
            absolute,
            common.join("shallow"),
            remote,
            "run `git fsck` there",
        )?;
        Ok(Self {
            objects,
            git_directory,
            common,
            remote: remote.to_owned(),
        })
    }

    /// All its references, those under `prefixes` peeled to commits.
    pub(super) fn list(&self, prefixes: &[String]) -> Result<Listing> {
        let failed = |error: gix_error::Error| Error::Unreachable {
            doing: "polling",
            remote: self.remote.clone(),
            cause: Cause::of(&error),
        };
        let references = self.references();
        let reader = self.objects.reader();
        let mut listing = Listing::default();
        let platform = references.iter().map_err(failed)?;
        let all = platform
            .all()
            .map_err(|error| failed(gix_error::Error::from_error(error)))?;
        for reference in all {
            // One that is broken, or being written, is one that is not there.
            let Ok(mut reference) = reference else {
                continue;
            };
            let name = reference.name.as_bstr().to_string();
            if !prefixes
                .iter()
                .any(|prefix| name.starts_with(prefix.as_str()))
            {
                // That it is there is all that matters, and following it costs.
                listing.insert(&name, ObjectId::null(Hash::Sha1));
                continue;
            }
            let Ok(id) = reference.peel_to_id(&references, &reader) else {
                continue;
            };
            listing.insert(&name, self.objects.peeled(&reader, id)?);
        }
        listing.set_head(self.head(&references, &reader)?);
        listing.set_complete();
        Ok(listing)
    }

    pub(super) fn references(&self) -> gix_ref::file::Store {
        let options = gix_ref::store::init::Options {
            write_reflog: gix_ref::store::WriteReflog::Disable,
            ..Default::default()
        };
        gix_ref::file::Store::for_linked_worktree_opts(
            self.git_directory.clone(),
            self.common.clone(),
            Hash::Sha1,
            options,
        )
    }

    /// As it is shown.
    pub(super) fn remote(&self) -> &str {
        &self.remote
    }

    /// The reference that `name` stands for, where it stands for another one.
    pub(super) fn followed(&self, name: &str) -> Option<String> {
        let found = self.references().try_find(name).ok().flatten()?;
        found
            .target
            .try_name()
            .map(|name| name.as_bstr().to_string())
    }

    pub(super) fn objects_directory(&self) -> PathBuf {
        self.common.join("objects")
    }

    /// Whether somebody's files are those of this branch.
    pub(super) fn is_checked_out(&self, reference: &str) -> bool {
        let is_bare = self.git_directory == self.common && !self.git_directory.ends_with(".git");
        let head = fs::read_to_string(self.git_directory.join("HEAD")).unwrap_or_default();
        !is_bare && head.trim() == format!("ref: {reference}")
    }

    fn head(
        &self,
        references: &gix_ref::file::Store,
        reader: &super::objects::Reader,
    ) -> Result<Head> {
        let Ok(Some(mut head)) = references.try_find("HEAD") else {
            return Ok(Head::Missing);
        };
        let name = head
            .target
            .try_name()
            .map(|name| name.as_bstr().to_string());
        let Ok(id) = head.peel_to_id(references, reader) else {
            return Ok(Head::Unborn);
        };
        let id: ObjectId = self.objects.peeled(reader, id)?;
        Ok(match name {
            Some(name) => Head::Branch(name, id),
            None => Head::Detached(id),
        })
    }
}

/// Where the repository in `path` keeps its state.
fn git_directory(path: &Path) -> Option<PathBuf> {
    let inner = path.join(".git");
    if inner.is_dir() {
        return Some(inner);
    }
    // A linked work tree or a submodule says where.
    if let Ok(text) = fs::read_to_string(&inner) {
        let target = text.strip_prefix("gitdir:")?.trim();
        return Some(path.join(target));
    }
    (path.join("HEAD").is_file() && path.join("objects").is_dir()).then(|| path.to_path_buf())
}
