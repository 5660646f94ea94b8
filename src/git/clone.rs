//! The clone of one remote through its generations.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::error::Result;
use super::limits;
use super::store::{Store, cache_error};
use super::tree::Holder as _;

/// Where a remote is cloned to: the generation in use, and the one after it.
#[derive(Debug)]
pub(super) struct Clone {
    directory: PathBuf,
    remote: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    current: Option<Arc<Store>>,
    /// The highest number a generation has had.
    last: u64,
    /// When renewing it last failed.
    renewal_failed: Option<Instant>,
}

impl Clone {
    /// The clone in `directory`, which need not be there yet.
    pub(super) fn new(directory: PathBuf, remote: &str) -> Self {
        Self {
            directory,
            remote: remote.to_owned(),
            state: Mutex::default(),
        }
    }

    /// The generation in use: one that was found whole, or an empty one.
    pub(super) fn current(&self) -> Result<Arc<Store>> {
        let mut state = self.state();
        if let Some(store) = &state.current {
            let full = store.pack_count() >= limits::MAX_PACKS_EVER;
            if !store.objects().is_damaged() && !full {
                return Ok(Arc::clone(store));
            }
            tracing::warn!(remote = %self.remote, full, "discarding the cached repository");
            store.supersede();
            state.current = None;
        }
        let store = match self.reopen(&mut state)? {
            Some(store) => store,
            None => self.next(&mut state)?,
        };
        let store = Arc::new(store);
        state.current = Some(Arc::clone(&store));
        Ok(store)
    }

    /// An empty generation beside the one in use.
    pub(super) fn begin(&self) -> Result<Store> {
        let mut state = self.state();
        self.next(&mut state)
    }

    /// Puts `store` in the place of the generation in use.
    pub(super) fn replace(&self, store: Store) {
        let mut state = self.state();
        state.renewal_failed = None;
        if let Some(old) = state.current.replace(Arc::new(store)) {
            old.supersede();
        }
    }

    /// Whether it has gathered so many packs that it should be cloned anew when there is time.
    pub(super) fn wants_renewal(&self) -> bool {
        let state = self.state();
        let tried = state
            .renewal_failed
            .is_some_and(|at| at.elapsed() < limits::RECLONE_PAUSE);
        let packs = state.current.as_ref().map_or(0, |store| store.pack_count());
        packs >= limits::MAX_PACKS && !tried
    }

    /// Notes that cloning anew failed, so that it is not tried again at once.
    pub(super) fn renewal_failed(&self) {
        self.state().renewal_failed = Some(Instant::now());
    }

    /// The newest generation from before a restart, if it is whole; the others are removed.
    fn reopen(&self, state: &mut State) -> Result<Option<Store>> {
        if state.last > 0 {
            // Not the first time: what is there is in use or was discarded.
            return Ok(None);
        }
        let failed = |error: std::io::Error| cache_error("opening", &self.remote, &error);
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut numbers: Vec<u64> = entries
            .flatten()
            .filter_map(|entry| {
                entry
                    .file_name()
                    .to_str()
                    .and_then(|name| name.parse().ok())
            })
            .collect();
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        state.last = numbers.first().copied().unwrap_or(0);
        let mut found = None;
        for number in numbers {
            let directory = self.directory.join(number.to_string());
            if found.is_none() {
                found = Store::open(&directory, &self.remote);
                if found.is_some() {
                    continue;
                }
                tracing::info!(remote = %self.remote, "discarding an unfinished or broken clone");
            }
            fs::remove_dir_all(&directory).map_err(failed)?;
        }
        Ok(found)
    }

    fn next(&self, state: &mut State) -> Result<Store> {
        state.last += 1;
        Store::create(self.directory.join(state.last.to_string()), &self.remote)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every step leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
