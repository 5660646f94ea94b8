//! What is written to the notes of one repository, by all Applications that read it with the same
//! credentials: one push at a time, and what came meanwhile goes into the next one. A commit that
//! changes five hundred Applications costs a few pushes, not five hundred that race.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::error::Class;
use crate::git::{Note, Repository};
use crate::revert::committer;
use crate::status::Problem;

/// How an attempt ended for those who asked for it; where it worked, with the commits whose notes have
/// no room for more. All other lines are there.
pub(super) type Answer = oneshot::Receiver<Result<BTreeSet<String>, Problem>>;

/// The most lines in one push.
const MAX_BATCH: usize = 1000;

/// See the module.
#[derive(Default)]
pub(super) struct Notebook(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: Vec<Asked>,
    /// Somebody writes, and will look again when done.
    is_busy: bool,
}

/// The lines of one Application.
struct Asked {
    notes: Vec<Note>,
    answer: oneshot::Sender<Result<BTreeSet<String>, Problem>>,
}

impl Notebook {
    /// Has lines added to the notes of `repository`, soon. Nobody needs to wait for the answer: the
    /// lines are written all the same.
    pub(super) fn add(self: &Arc<Self>, repository: Repository, notes: Vec<Note>) -> Answer {
        let (answer, answered) = oneshot::channel();
        let mut state = self.state();
        state.waiting.push(Asked { notes, answer });
        if !std::mem::replace(&mut state.is_busy, true) {
            tokio::spawn(Arc::clone(self).write(repository));
        }
        answered
    }

    /// Writes until nobody waits any more.
    async fn write(self: Arc<Self>, repository: Repository) {
        while let Some(batch) = self.next() {
            let notes: Vec<Note> = { batch.iter() }
                .flat_map(|asked| asked.notes.iter().cloned())
                .collect();
            let repository = repository.clone();
            let now = jiff::Timestamp::now().as_second();
            // Git is blocking I/O.
            let push = move || repository.append_notes(&notes, &committer(&repository, now));
            let ended = match tokio::task::spawn_blocking(push).await {
                Ok(ended) => ended.map_err(|error| Problem::of(&error)),
                Err(panic) => Err(Problem {
                    reason: "NotesPanicked".into(),
                    message: format!("writing notes broke down: {panic}; please report it"),
                    class: Class::Retry,
                }),
            };
            for asked in batch {
                let own = |full: &BTreeSet<String>| {
                    let commits = asked.notes.iter().map(|note| &note.commit);
                    commits
                        .filter(|commit| full.contains(*commit))
                        .cloned()
                        .collect()
                };
                let ended = ended.as_ref().map(own).map_err(Problem::clone);
                // Whoever asked may be gone.
                let _ = asked.answer.send(ended);
            }
        }
    }

    /// Takes what waits, in its order. None ends the writing.
    fn next(&self) -> Option<Vec<Asked>> {
        let mut state = self.state();
        let mut lines = 0;
        let fits = |asked: &&Asked| {
            lines += asked.notes.len();
            lines <= MAX_BATCH
        };
        let count = state.waiting.iter().take_while(fits).count();
        state.is_busy = !state.waiting.is_empty();
        let count = count.max(1).min(state.waiting.len());
        state
            .is_busy
            .then(|| state.waiting.drain(..count).collect())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every step leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
