//! Keeping the full record as notes in the repository: with `spec.audit.notes` what the history is
//! told goes into the note of its commit too. No pass waits for it. A line stands in the status before
//! it is pushed, so that whoever goes on after a crash pushes the very same line, which is known again.

use std::time::Duration;

use tokio::time::Instant;

use super::application::{Application, SourceKey};
use super::notebook::Answer;
use crate::api::{ApplicationStatus, AuditStatus, HistoryEntry, PendingNote, Policy, outcome};
use crate::error::Class;
use crate::git::{NOTES, Note};
use crate::revert;
use crate::rollback::Cause;
use crate::status::{Problem, Record, short};

/// The most lines that wait: what a Git server that is out of order for long may cost.
const MAX_PENDING: usize = 50;
/// How many things that were let through are remembered until they are recorded.
const MAX_LET_THROUGH: usize = 8;
/// The wait after the first attempt that failed; it doubles.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// The longest one.
const MAX_WAIT: Duration = Duration::from_secs(600);
/// How often in a row somebody else is faster before that is told.
const TOLD_RACES: u32 = 3;

/// How far the record is written.
#[derive(Default)]
pub(super) struct Notes {
    /// As the status has it.
    pub(super) status: AuditStatus,
    sent: Option<(Vec<PendingNote>, Answer)>,
    /// What the last attempt went by: a change of it is tried at once.
    tried: Option<SourceKey>,
    failures: u32,
    /// Why lines are not written.
    pub(super) problem: Option<Problem>,
    /// What a person let through that would have waited: digest, key and value.
    let_through: Vec<(String, &'static str, String)>,
}

/// How an attempt ended, and what it was about.
pub(super) type Ended = (Vec<PendingNote>, Result<(), Problem>);

impl Notes {
    /// What the agent before this one left to do.
    pub(super) fn of(published: &ApplicationStatus) -> Self {
        Self {
            status: published.audit.clone(),
            ..Self::default()
        }
    }

    /// Waits for the attempt that is on its way; for ever when there is none.
    pub(super) async fn ended(&mut self) -> Ended {
        let Some((_, answer)) = &mut self.sent else {
            return std::future::pending().await;
        };
        let answer = answer.await;
        let sent = self.sent.take().map(|(sent, _)| sent).unwrap_or_default();
        // Whether they are there is not known: they are sent again, and known again where they are.
        let lost = |_| {
            Err(Problem {
                reason: "NotesPanicked".into(),
                message: "writing notes broke down; please report it".into(),
                class: Class::Retry,
            })
        };
        (sent, answer.unwrap_or_else(lost))
    }

    fn add(&mut self, note: PendingNote, application: &str) {
        self.status.pending.push(note);
        let surplus = self.status.pending.len().saturating_sub(MAX_PENDING);
        self.give_up(surplus, application);
    }

    /// Drops the oldest lines, and says which.
    fn give_up(&mut self, count: usize, application: &str) {
        for note in self.status.pending.drain(..count) {
            self.status.dropped += 1;
            tracing::warn!(
                application,
                revision = note.revision,
                "not kept as a note, because too many wait or the repository is another one: {}",
                note.line
            );
        }
    }
}

impl Application {
    /// Keeps what a person approved for the record of the revision that it lets through.
    pub(super) fn note_approval(&mut self, digest: &str) {
        let request = self.requests.borrow();
        if let Some(hash) = &request.approve {
            let by = request.approved_by.as_deref();
            let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
            let how = format!("{hash}{by}");
            drop(request);
            self.let_through(digest, "approved", how);
        }
    }

    /// The same of a revision that is tried again although it did not work.
    pub(super) fn note_retry(&mut self, digest: &str, request: &str) {
        self.let_through(digest, "retried", request.to_owned());
    }

    fn let_through(&mut self, digest: &str, key: &'static str, how: String) {
        let known = &mut self.notes.let_through;
        known.retain(|(of, what, _)| (of.as_str(), *what) != (digest, key));
        known.push((digest.to_owned(), key, how));
        // Of revisions that never came.
        let surplus = known.len().saturating_sub(MAX_LET_THROUGH);
        known.drain(..surplus);
    }

    /// Records that all of a revision was written.
    pub(super) fn note_applied(&mut self, entry: &HistoryEntry) {
        let mut reverts: Vec<&str> = entry.reverts.iter().map(|commit| short(commit)).collect();
        // One that was tried more than once is taken back once.
        reverts.dedup();
        let record = self.record(entry, &entry.deployed_at, outcome::APPLIED);
        let record = { record.with("changed", &entry.changed.to_string()) }
            .with("took", &took(entry, &entry.deployed_at))
            .with("reverts", &reverts.join(","))
            .with("author", &entry.author)
            .with("subject", &entry.subject);
        let own = |(digest, ..): &mut (String, _, _)| *digest == entry.digest;
        let own = self.notes.let_through.extract_if(.., own);
        let record = own.fold(record, |record, (_, key, how)| record.with(key, &how));
        self.note(entry, &record);
    }

    /// Records that all of it became healthy.
    pub(super) fn note_well(&mut self, entry: &HistoryEntry) {
        let at = entry.healthy_at.clone().unwrap_or_default();
        let record = self.record(entry, &at, outcome::HEALTHY);
        self.note(entry, &record.with("took", &took(entry, &at)));
    }

    /// Records that it was taken back.
    pub(super) fn note_taken_back(&mut self, entry: &HistoryEntry, cause: &Cause) {
        let at = format!("{:.0}", jiff::Timestamp::now());
        let good = { self.good.as_ref() }.map_or("", |good| short(&good.id.revision));
        // Without what a pod said last: it would stand in Git for ever.
        let why = revert::cause(&cause.reason, &cause.message);
        let record = { self.record(entry, &at, &entry.outcome) }
            .with("back_to", good)
            .with("author", &entry.author)
            .with("subject", &entry.subject)
            .with("why", &why);
        self.note(entry, &record);
    }

    fn record(&self, entry: &HistoryEntry, at: &str, outcome: &str) -> Record {
        let application = format!("{}/{}", self.owner.namespace, self.owner.name);
        Record::new(at)
            .with("cluster", &self.shared.options.install_id)
            .with("application", &application)
            .with("outcome", outcome)
            .with("digest", entry.digest.get(..12).unwrap_or_default())
    }

    fn note(&mut self, entry: &HistoryEntry, record: &Record) {
        let is_wanted = { self.prepared.as_ref() }.is_some_and(|(policy, _)| policy.notes);
        let Some(repository) = self.noted_repository().filter(|_| is_wanted) else {
            return;
        };
        self.turn_to(repository);
        let note = PendingNote {
            revision: entry.revision.clone(),
            line: record.to_string(),
        };
        self.notes.add(note, &self.owner.name);
    }

    /// Where the repository is, without credentials.
    fn noted_repository(&self) -> Option<String> {
        let (_, subscription) = self.source.as_ref()?;
        let repository = self.shared.sources.repository(subscription).ok()?;
        Some(repository.remote().to_string())
    }

    /// Lines for another repository are given up: it need not have those commits.
    fn turn_to(&mut self, repository: String) {
        if self.notes.status.repository != repository {
            let count = self.notes.status.pending.len();
            self.notes.give_up(count, &self.owner.name);
            self.notes.status.repository = repository;
        }
    }

    /// Begins to write what stands in the status and not in the repository.
    pub(super) fn write_notes(&mut self, policy: &Policy) {
        if !policy.notes {
            self.timers.notes = None;
            if !self.notes.status.is_empty() || self.notes.problem.is_some() {
                self.notes = Notes::default();
                self.timers.publish.get_or_insert_with(Instant::now);
            }
            return;
        }
        if self.notes.sent.is_some() || self.notes.status.pending.is_empty() {
            return;
        }
        let Some((key, subscription)) = &self.source else {
            return;
        };
        let Ok(repository) = self.shared.sources.repository(subscription) else {
            return;
        };
        if self.notes.tried.as_ref() != Some(key) {
            self.notes.tried = Some(key.clone());
            self.notes.failures = 0;
            self.timers.notes = None;
        }
        if self.timers.notes.is_some_and(|at| at > Instant::now()) {
            return;
        }
        self.timers.notes = None;
        let is_known = |note: &&PendingNote| self.published.audit.pending.contains(note);
        let ready: Vec<PendingNote> = { self.notes.status.pending.iter() }
            .filter(is_known)
            .cloned()
            .collect();
        let is_same = self.notes.status.repository == repository.remote().to_string();
        if ready.is_empty() || !is_same {
            return;
        }
        let notes = ready.iter().map(|note| Note {
            commit: note.revision.clone(),
            line: note.line.clone(),
        });
        let answer = subscription.notebook().add(repository, notes.collect());
        self.notes.sent = Some((ready, answer));
    }

    /// Takes in how an attempt ended.
    pub(super) fn note_noted(&mut self, (sent, ended): Ended) {
        match ended {
            Ok(()) => {
                let notes = &mut self.notes;
                notes.status.pending.retain(|note| !sent.contains(note));
                notes.status.dropped = 0;
                notes.problem = None;
                notes.failures = 0;
            }
            Err(problem) => {
                tracing::warn!(
                    application = self.owner.name,
                    reason = problem.reason,
                    "the record is not written to the repository: {}",
                    problem.message
                );
                let wait = match problem.class {
                    Class::Wait(wait) => wait,
                    _ => FIRST_WAIT.saturating_mul(2_u32.saturating_pow(self.notes.failures)),
                };
                self.notes.failures += 1;
                self.timers.notes = Some(Instant::now() + wait.min(MAX_WAIT));
                // That somebody was faster is no news, unless somebody always is.
                if problem.reason != "BranchMoved" || self.notes.failures >= TOLD_RACES {
                    self.notes.problem = Some(problem);
                }
            }
        }
        self.timers.publish = Some(Instant::now());
    }

    /// Why lines are not written, with what waits and what to do.
    pub(super) fn told_notes(&self) -> Option<Problem> {
        let problem = self.notes.problem.as_ref()?;
        let waiting = self.notes.status.pending.len();
        let dropped = match self.notes.status.dropped {
            0 => String::new(),
            count => format!(", and {count} older ones were given up (see the agent's log)"),
        };
        Some(Problem {
            message: format!(
                "{waiting} lines of the record wait to be added to {NOTES}{dropped}: {}; or set \
                 spec.audit.notes: false",
                problem.message
            ),
            ..problem.clone()
        })
    }
}

/// The time from the first write of a revision until `end`.
fn took(entry: &HistoryEntry, end: &str) -> String {
    let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
    let start = entry.started_at.as_deref().and_then(time);
    match (start, time(end)) {
        (Some(start), Some(end)) => format!("{}s", (end.as_second() - start.as_second()).max(0)),
        _ => String::new(),
    }
}
