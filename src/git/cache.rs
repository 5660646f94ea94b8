//! The directory that repositories are cached in.
//!
//! One subdirectory for each (URL, credential identity): a tenant whose credentials do not open a
//! repository must not read it from another's cache. All of it may be deleted at any time while
//! the agent is not running; it is fetched anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::blobs::Blobs;
use super::clients::Clients;
use super::credential::Credential;
use super::error::{Cause, Error, Result};
use super::repository::Repository;
use super::store::cache_error;
use super::url::RemoteUrl;

/// The repositories in use, and where they are kept.
#[derive(Debug)]
pub struct Cache {
    directory: PathBuf,
    /// Held for as long as this lives, so that no second process writes here.
    _lock: fs::File,
    clients: Arc<Clients>,
    blobs: Arc<Blobs>,
    repositories: Mutex<BTreeMap<String, Entry>>,
}

#[derive(Debug)]
struct Entry {
    repository: Repository,
    used: Instant,
}

impl Cache {
    /// A cache in `directory`, which is made if it is not there.
    ///
    /// The first https remote installs `ring` as the process's TLS provider, unless `main` has
    /// done so before.
    ///
    /// # Errors
    /// [`Error::Cache`] if the directory cannot be written, or another process uses it.
    pub fn new(directory: impl Into<PathBuf>) -> Result<Self> {
        let directory = directory.into();
        let shown = directory.display().to_string();
        let failed = |error: std::io::Error| cache_error("opening", &shown, &error);
        fs::create_dir_all(&directory).map_err(failed)?;
        // Absolute, so that a change of the working directory cannot move it.
        let directory = fs::canonicalize(&directory).map_err(failed)?;
        let lock = fs::File::create(directory.join("lock")).map_err(failed)?;
        lock.try_lock().map_err(|_| Error::Cache {
            doing: "opening",
            remote: shown.clone(),
            cause: Cause::new("another process uses it; give each its own directory"),
        })?;
        Ok(Self {
            directory,
            _lock: lock,
            clients: Arc::new(Clients::default()),
            blobs: Arc::default(),
            repositories: Mutex::default(),
        })
    }

    /// The repository at `remote` as `credential` sees it. The same one for the same pair, so that
    /// however many Applications use it, there is one clone and one connection.
    ///
    /// Nothing is read or contacted yet.
    ///
    /// # Errors
    /// [`Error::CredentialInvalid`] if the credential is not of the sort that the remote takes.
    pub fn repository(&self, remote: &RemoteUrl, credential: &Credential) -> Result<Repository> {
        credential.check(remote)?;
        let key = key(remote, credential);
        let mut repositories = self
            .repositories
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let entry = repositories.entry(key).or_insert_with_key(|key| Entry {
            repository: Repository::new(
                remote.clone(),
                self.directory.join(key),
                Arc::clone(&self.clients),
                self.blobs.share(),
            ),
            used: Instant::now(),
        });
        entry.used = Instant::now();
        entry.repository.set_credential(credential);
        Ok(entry.repository.committing_by(credential))
    }

    /// Forgets the repositories that nobody holds and that were last asked for longer than `idle`
    /// ago, and removes what no repository that is known owns, such as clones from before a
    /// restart. Best called when all Applications have been seen once.
    ///
    /// # Errors
    /// [`Error::Cache`] if the directory cannot be read.
    pub fn sweep(&self, idle: Duration) -> Result<()> {
        let mut repositories = self
            .repositories
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        repositories.retain(|_, entry| entry.repository.is_held() || entry.used.elapsed() < idle);
        let known: BTreeSet<&str> = repositories.keys().map(String::as_str).collect();
        let shown = self.directory.display().to_string();
        let failed = |error: std::io::Error| cache_error("sweeping", &shown, &error);
        for entry in fs::read_dir(&self.directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let ours = name.to_str().is_some_and(|name| {
                name.len() == KEY_DIGITS && name.bytes().all(|b| b.is_ascii_hexdigit())
            });
            let idle = name.to_str().is_some_and(|name| !known.contains(name));
            if ours && idle {
                // Held open by a reader, or gone already: either way the next sweep sees.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        Ok(())
    }
}

/// Hexadecimal digits of a key: 128 bits, far from any accident.
const KEY_DIGITS: usize = 32;

fn key(remote: &RemoteUrl, credential: &Credential) -> String {
    let mut hash = Sha256::new();
    // The number is the layout on disk: another one is another cache.
    hash.update("towline git cache 1\0");
    hash.update(remote.to_string());
    hash.update("\0");
    // Who signs something else reads the same.
    hash.update(credential.access().fingerprint());
    let mut key = hex::encode(hash.finalize());
    key.truncate(KEY_DIGITS);
    key
}
