//! Built binaries, kept outside `target/` so that a machine builds them once.

use crate::error::{Context, Error, Result};
use crate::reaper;
use sha2::{Digest, Sha256};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

/// `$TOWLINE_TESTCLUSTER_CACHE`, else `$XDG_CACHE_HOME/towline/testcluster`, else
/// `~/.cache/towline/testcluster`.
pub fn cache_dir() -> Result<PathBuf> {
    let variable = |name| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    if let Some(dir) = variable("TOWLINE_TESTCLUSTER_CACHE") {
        return std::path::absolute(dir).doing(|| "resolving TOWLINE_TESTCLUSTER_CACHE".to_owned());
    }
    variable("XDG_CACHE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))
        .map(|base| base.join("towline/testcluster"))
        .ok_or_else(|| Error::new("no cache directory: set TOWLINE_TESTCLUSTER_CACHE or HOME"))
}

/// The directory `name` in the cache. When it is missing, `build` fills a temporary directory,
/// which then becomes the entry in one rename: a half-built entry is never seen. A file lock keeps
/// two test binaries from building the same thing at once.
pub(crate) fn entry(name: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache = cache_dir()?;
    let entry = cache.join(name);
    if entry.exists() {
        return Ok(entry);
    }
    fs::create_dir_all(&cache).doing(|| format!("creating the cache {}", cache.display()))?;
    let lock_path = cache.join(format!("{name}.lock"));
    let locking = || format!("locking {}", lock_path.display());
    let lock = File::create(&lock_path).doing(locking)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            eprintln!("testcluster: waiting for another process that builds {name}");
            lock.lock().doing(locking)?;
        }
        Err(TryLockError::Error(error)) => return Err(error).doing(locking),
    }
    // The other process may have built it meanwhile.
    if entry.exists() {
        return Ok(entry);
    }
    let partial = tempfile::Builder::new()
        .prefix(".building-")
        .tempdir_in(&cache)
        .doing(|| format!("creating a directory in {}", cache.display()))?;
    reaper::remove_at_exit(partial.path())?;
    let built = build(partial.path()).and_then(|()| {
        fs::rename(partial.path(), &entry)
            .doing(|| format!("moving the finished build to {}", entry.display()))
    });
    reaper::keep(partial.path());
    built?;
    // Nothing is left at its path.
    let _ = partial.keep();
    Ok(entry)
}

/// A cache name that changes with the content that decides what is built, and with the platform,
/// because a home directory can be shared between machines.
pub(crate) fn key(name: &str, content: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in content {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let digest = hash.finalize();
    let hex: String = digest
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!(
        "{name}-{}-{}-{hex}",
        std::env::consts::OS,
        std::env::consts::ARCH
    )
}
