//! One clone on disk: a bare repository that is only ever added to.
//!
//! What a fetch leaves is in use once the last file, `packed-refs`, names it: a kill before that
//! leaves files that nothing refers to, which opening removes. A clone that turns out broken, or
//! has gathered too many packs, is replaced by a new one beside it; it goes away when the last
//! tree read from it does.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use gix_hash::ObjectId;

use super::error::{Cause, Error, Result};
use super::limits;
use super::objects::Objects;
use super::revision::Revision;
use super::tree::Holder;

/// One generation of the clone of one remote.
#[derive(Debug)]
pub(super) struct Store {
    directory: PathBuf,
    remote: String,
    objects: Objects,
    /// The commit last fetched for each reference, by its full name.
    tips: Mutex<BTreeMap<String, ObjectId>>,
    packs: AtomicUsize,
    /// Set when a newer generation took over: the directory goes when this does.
    superseded: AtomicBool,
}

impl Holder for Store {
    fn objects(&self) -> &Objects {
        &self.objects
    }
}

/// The reference under which a commit that was asked for by hash is kept.
const COMMITS: &str = "refs/towline/commits/";

/// The reference that `revision` is kept under.
pub(super) fn kept_as(revision: &Revision) -> String {
    match revision.reference.as_str() {
        "" => format!("{COMMITS}{}", revision.commit),
        "HEAD" => "refs/towline/head".to_owned(),
        name => name.to_owned(),
    }
}

impl Store {
    /// Makes an empty clone in `directory`, which must not be there.
    pub(super) fn create(directory: PathBuf, remote: &str) -> Result<Self> {
        let make = || -> std::io::Result<()> {
            fs::create_dir_all(directory.join("objects/pack"))?;
            fs::create_dir_all(directory.join("objects/info"))?;
            fs::create_dir_all(directory.join("refs"))?;
            // These two are for people who look into the cache with git; nothing here reads them.
            fs::write(directory.join("HEAD"), "ref: refs/towline/head\n")?;
            fs::write(
                directory.join("config"),
                "[core]\n\trepositoryformatversion = 0\n\tbare = true\n",
            )
        };
        make().map_err(|error| cache_error("writing", remote, &error))?;
        Self::at(directory, remote, BTreeMap::new())
    }

    /// Opens the clone in `directory`, if it is whole; none if it should be discarded.
    pub(super) fn open(directory: &Path, remote: &str) -> Option<Self> {
        let tips = read_tips(&directory.join("packed-refs"))?;
        if tips.is_empty() || clean(directory).is_err() || verify(directory).is_err() {
            return None;
        }
        let store = Self::at(directory.to_path_buf(), remote, tips).ok()?;
        let reader = store.objects.reader();
        let whole = store.tips().values().all(|tip| {
            let tree = store.objects.commit(&reader, tip, |commit| commit.tree());
            let tree = tree.ok().flatten();
            tree.is_some_and(|tree| {
                matches!(
                    store.objects.kind(&reader, &tree),
                    Ok(Some(gix_object::Kind::Tree))
                )
            })
        });
        whole.then_some(store)
    }

    fn at(directory: PathBuf, remote: &str, tips: BTreeMap<String, ObjectId>) -> Result<Self> {
        let objects = Objects::open(
            directory.join("objects"),
            directory.join("shallow"),
            remote,
            "it will be fetched anew",
        )?;
        let packs = fs::read_dir(directory.join("objects/pack"))
            .map_err(|error| cache_error("opening", remote, &error))?
            .flatten()
            .filter(|entry| has_extension(&entry.path(), "idx"))
            .count();
        Ok(Self {
            directory,
            remote: remote.to_owned(),
            objects,
            tips: Mutex::new(tips),
            packs: AtomicUsize::new(packs),
            superseded: AtomicBool::new(false),
        })
    }

    /// Where packs go.
    pub(super) fn packs(&self) -> PathBuf {
        self.directory.join("objects/pack")
    }

    /// The file with the commits whose parents were not fetched.
    pub(super) fn shallow_file(&self) -> PathBuf {
        self.directory.join("shallow")
    }

    /// How many packs there are.
    pub(super) fn pack_count(&self) -> usize {
        self.packs.load(Ordering::Relaxed)
    }

    /// Notes that there is one more pack.
    pub(super) fn count_pack(&self) {
        self.packs.fetch_add(1, Ordering::Relaxed);
    }

    /// The commit last fetched for each reference.
    pub(super) fn tips(&self) -> BTreeMap<String, ObjectId> {
        self.tips
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The commit last fetched for what `revision` names.
    pub(super) fn tip(&self, revision: &Revision) -> Option<ObjectId> {
        let tips = self.tips.lock().unwrap_or_else(PoisonError::into_inner);
        tips.get(&kept_as(revision)).copied()
    }

    /// Whether `commit` was fetched whole: it is a tip, or in the history of one.
    pub(super) fn has(&self, commit: ObjectId) -> Result<bool> {
        let tips = self.tips();
        if tips.values().any(|tip| *tip == commit) {
            return Ok(true);
        }
        let reader = self.objects.reader();
        if self.objects.kind(&reader, &commit)?.is_none() {
            return Ok(false);
        }
        for tip in tips.values() {
            if self.objects.is_ancestor(&reader, commit, *tip)? == Some(true) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Commits to name to the server as already here: every tip, and some ancestors of each.
    pub(super) fn haves(&self) -> Result<Vec<ObjectId>> {
        let reader = self.objects.reader();
        let mut haves: Vec<ObjectId> = Vec::new();
        for tip in self.tips().values() {
            for id in self
                .objects
                .recent(&reader, *tip, limits::MAX_HAVES_PER_TIP)?
            {
                if haves.len() < limits::MAX_HAVES && !haves.contains(&id) {
                    haves.push(id);
                }
            }
        }
        Ok(haves)
    }

    /// Notes what was fetched. From here on it survives a restart.
    pub(super) fn record<'a>(
        &self,
        revisions: impl IntoIterator<Item = (&'a Revision, ObjectId)>,
    ) -> Result<()> {
        let mut tips = self.tips.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = tips.clone();
        for (revision, commit) in revisions {
            changed.insert(kept_as(revision), commit);
        }
        if changed == *tips {
            return Ok(());
        }
        write_tips(&self.directory.join("packed-refs"), &changed)
            .map_err(|error| cache_error("writing", &self.remote, &error))?;
        *tips = changed;
        Ok(())
    }

    /// Says that a newer generation took over.
    pub(super) fn supersede(&self) {
        self.superseded.store(true, Ordering::Relaxed);
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if self.superseded.load(Ordering::Relaxed) {
            // What stays behind is removed when the cache is next opened.
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

/// An error of the file system under the cache.
pub(super) fn cache_error(doing: &'static str, remote: &str, error: &std::io::Error) -> Error {
    Error::Cache {
        doing,
        remote: remote.to_owned(),
        cause: Cause::of(error),
    }
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

fn read_tips(path: &Path) -> Option<BTreeMap<String, ObjectId>> {
    let text = fs::read_to_string(path).ok()?;
    let mut tips = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (hex, name) = line.split_once(' ')?;
        tips.insert(name.to_owned(), ObjectId::from_hex(hex.as_bytes()).ok()?);
    }
    Some(tips)
}

fn write_tips(path: &Path, tips: &BTreeMap<String, ObjectId>) -> std::io::Result<()> {
    let mut text = String::from("# pack-refs with: sorted \n");
    for (name, commit) in tips {
        text.push_str(&format!("{commit} {name}\n"));
    }
    let beside = path.with_extension("new");
    let mut file = fs::File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    fs::rename(beside, path)
}

/// Removes what an interrupted fetch left.
fn clean(directory: &Path) -> std::io::Result<()> {
    for name in ["shallow.lock", "packed-refs.new"] {
        match fs::remove_file(directory.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    for entry in fs::read_dir(directory.join("objects/pack"))? {
        let path = entry?.path();
        let paired = match path.extension().and_then(|extension| extension.to_str()) {
            Some("pack") => path.with_extension("idx").exists(),
            Some("idx") => path.with_extension("pack").exists(),
            _ => false,
        };
        if !paired {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Whether every pack still is what was written, so that a broken disk is found now and not in
/// the middle of rendering.
fn verify(directory: &Path) -> gix_error::Result<()> {
    let stop = AtomicBool::new(false);
    let entries =
        fs::read_dir(directory.join("objects/pack")).map_err(gix_error::Error::from_error)?;
    for entry in entries.flatten() {
        let path = entry.path();
        if has_extension(&path, "idx") {
            let bundle = gix_pack::Bundle::at(&path, gix_hash::Kind::Sha1)?;
            bundle
                .index
                .verify_checksum(&mut gix_utils::progress::Discard, &stop)?;
            bundle
                .pack
                .verify_checksum(&mut gix_utils::progress::Discard, &stop)?;
        }
    }
    Ok(())
}
