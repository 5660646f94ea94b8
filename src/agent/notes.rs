//! Keeping the full record as notes in the repository: with `spec.audit.notes` what the history is
//! told goes into the note of its commit too. No pass waits for it. A line stands in the status before
//! it is pushed, so that whoever goes on after a crash pushes the very same line, which is known again.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::application::{Application, SourceKey};
use super::notebook::Answer;
use crate::api::{
    ApplicationStatus, AuditStatus, HistoryEntry, LetThrough, PendingNote, Policy, outcome,
};
use crate::error::Class;
use crate::git::{NOTES, Note};
use crate::live::shown;
use crate::revert;
use crate::rollback::Cause;
use crate::status::{Problem, Record, short};

/// The most lines that wait: what a Git server that is out of order for long may cost.
const MAX_PENDING: usize = 50;
/// How many things that were let through are remembered until they are recorded.
const MAX_LET_THROUGH: usize = 8;
/// The longest text of one, in characters.
const HOW_LIMIT: usize = 256;
/// A plan was approved that waited for that.
const APPROVED: &str = "approved";
/// A revision is tried again although it did not work.
const RETRIED: &str = "retried";
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
}

/// How an attempt ended, and what it was about.
pub(super) type Ended = (Vec<PendingNote>, Result<BTreeSet<String>, Problem>);

impl Notes {
    /// What the agent before this one left to do for an Application, as `namespace/name`. Lines that
    /// are no records of it are nothing to push, whoever wrote them into the status.
    pub(super) fn of(published: &ApplicationStatus, application: &str) -> Self {
        let mut status = published.audit.clone();
        let count = status.pending.len();
        status.pending.retain(|note| is_record(note, application));
        let surplus = status.pending.len().saturating_sub(MAX_PENDING);
        status.pending.drain(..surplus);
        if status.pending.len() < count {
            tracing::warn!(
                application,
                "left {} lines of status.audit.pending out: they are no records of the Application, or \
                 more than {MAX_PENDING}",
                count - status.pending.len()
            );
        }
        // They become keys of a record.
        let is_known = |one: &LetThrough| [APPROVED, RETRIED].contains(&one.what.as_str());
        status.let_through.retain(is_known);
        Self {
            status,
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
        let surplus = |notes: &mut Vec<PendingNote>| notes.drain(..surplus).collect();
        self.give_up(surplus, application, "too many wait");
    }

    /// Drops lines, and says which and why. What is on its way may be kept all the same.
    fn give_up(
        &mut self,
        which: impl FnOnce(&mut Vec<PendingNote>) -> Vec<PendingNote>,
        application: &str,
        why: &str,
    ) {
        for note in which(&mut self.status.pending) {
            self.status.dropped += 1;
            tracing::warn!(
                application,
                revision = note.revision,
                "not known to be kept as a note, because {why}: {}",
                note.line
            );
        }
    }

    /// Drops all lines: nobody is to write them any more.
    pub(super) fn abandon(&mut self, application: &str, why: &str) {
        self.give_up(std::mem::take, application, why);
        *self = Self::default();
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
            self.let_through(digest, APPROVED, &how);
        }
    }

    /// The same of a revision that is tried again although it did not work.
    pub(super) fn note_retry(&mut self, digest: &str, request: &str) {
        self.let_through(digest, RETRIED, request);
    }

    fn let_through(&mut self, digest: &str, key: &str, how: &str) {
        if !self.is_recorded() {
            return;
        }
        let known = &mut self.notes.status.let_through;
        known.retain(|one| (one.digest.as_str(), one.what.as_str()) != (digest, key));
        known.push(LetThrough {
            digest: digest.to_owned(),
            what: key.to_owned(),
            how: shown::line(how, HOW_LIMIT),
        });
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
        let own = |one: &mut LetThrough| one.digest == entry.digest;
        let own = self.notes.status.let_through.extract_if(.., own);
        let record = own.fold(record, |record, one| record.with(&one.what, &one.how));
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
        let application = self.owner.application();
        Record::new(at)
            .with("cluster", &self.shared.options.install_id)
            .with("application", &application)
            .with("outcome", outcome)
            .with("digest", entry.digest.get(..12).unwrap_or_default())
    }

    fn note(&mut self, entry: &HistoryEntry, record: &Record) {
        let is_wanted = self.is_recorded();
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

    /// Whether the record is wanted in the repository.
    fn is_recorded(&self) -> bool {
        { self.prepared.as_ref() }.is_some_and(|(policy, _)| policy.notes)
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
            let why = "the repository is another one";
            self.notes.give_up(std::mem::take, &self.owner.name, why);
            self.notes.status.repository = repository;
        }
    }

    /// Begins to write what stands in the status and not in the repository.
    pub(super) fn write_notes(&mut self, policy: &Policy) {
        if !policy.notes {
            self.timers.notes = None;
            if !self.notes.status.is_empty() || self.notes.problem.is_some() {
                let why = "spec.audit.notes is off";
                self.notes.abandon(&self.owner.name, why);
                self.timers.publish_by(Instant::now());
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
        let (key, notebook) = (key.clone(), subscription.notebook());
        let place = repository.remote().to_string();
        if self.notes.status.repository != place {
            self.turn_to(place);
            self.notes.problem = None;
            self.timers.publish_by(Instant::now());
            return;
        }
        if self.notes.tried.as_ref() != Some(&key) {
            self.notes.tried = Some(key);
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
        if ready.is_empty() {
            return;
        }
        let notes = ready.iter().map(|note| Note {
            commit: note.revision.clone(),
            line: note.line.clone(),
        });
        let answer = notebook.add(repository, notes.collect());
        self.notes.sent = Some((ready, answer));
    }

    /// Takes in how an attempt ended.
    pub(super) fn note_noted(&mut self, (sent, ended): Ended) {
        match ended {
            Ok(full) => {
                let notes = &mut self.notes;
                let fits = |note: &PendingNote| !full.contains(&note.revision);
                let is_sent = |note: &PendingNote| sent.contains(note);
                notes
                    .status
                    .pending
                    .retain(|note| !(is_sent(note) && fits(note)));
                notes.status.dropped = 0;
                notes.failures = 0;
                // The same again ends the same.
                let left_out = |notes: &mut Vec<PendingNote>| {
                    notes.extract_if(.., |note| is_sent(note)).collect()
                };
                notes.give_up(left_out, &self.owner.name, "the note has no room for it");
                notes.problem = full.iter().next().map(|commit| too_large(commit));
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
        self.timers.publish_by(Instant::now());
    }

    /// Why lines are not written, with what waits and what to do.
    pub(super) fn told_notes(&self) -> Option<Problem> {
        let problem = self.notes.problem.as_ref()?;
        let waiting = self.notes.status.pending.len();
        let told = match (waiting, self.notes.status.dropped) {
            (_, 0) => format!("{waiting} lines of the record wait to be added to {NOTES}"),
            (0, dropped) => {
                format!("{dropped} lines of the record were given up (see the agent's log)")
            }
            (_, dropped) => format!(
                "{waiting} lines of the record wait to be added to {NOTES}, and {dropped} older ones \
                 were given up (see the agent's log)"
            ),
        };
        Some(Problem {
            message: format!(
                "{told}: {}; or set spec.audit.notes: false",
                problem.message
            ),
            ..problem.clone()
        })
    }
}

/// Whether it is a line that an agent has made for the record of an Application.
fn is_record(note: &PendingNote, application: &str) -> bool {
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    let is_commit = note.revision.len() == 40 && note.revision.bytes().all(is_hex);
    let record = Record::parse(&note.line);
    let is_own = record.is_some_and(|one| {
        one.get("application") == Some(application) && one.get("outcome").is_some()
    });
    is_commit && is_own && !note.line.contains(char::is_control)
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

fn too_large(commit: &str) -> Problem {
    Problem {
        reason: "NoteTooLarge".into(),
        message: format!(
            "the note of commit {commit} has no room for another line: shorten it by hand (`git notes \
             --ref=towline edit {commit}`)"
        ),
        class: Class::Stalled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_records_of_the_application_are_taken_out_of_the_status() {
        let line = |application: &str, outcome: &str| PendingNote {
            revision: "a".repeat(40),
            line: format!("2026-01-01T00:00:00Z application={application} outcome={outcome}"),
        };
        let own = line("x/shop", "Applied");
        assert!(is_record(&own, "x/shop"));
        let of = |revision: &str| PendingNote {
            revision: revision.into(),
            ..own.clone()
        };
        for other in [
            line("x/web", "Applied"),
            line("x/shop", "\"a\nReviewed-by: Ann\""),
            line("x/shop", "Applied and more"),
            of("../main"),
            of(&"A".repeat(40)),
        ] {
            assert!(!is_record(&other, "x/shop"), "{other:?}");
        }
        let mut published = ApplicationStatus::default();
        let number = |i: usize| line("x/shop", &i.to_string());
        published.audit.pending = (0..60).map(number).collect();
        let kept = Notes::of(&published, "x/shop").status.pending;
        assert_eq!(kept.len(), MAX_PENDING);
        assert_eq!(kept.last(), Some(&number(59)));
    }
}
