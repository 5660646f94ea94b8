//! Writing a rollback back to Git, so that Git is the truth again: a task of its own, for which no
//! pass waits. What is to be written follows from the status, so that a restart between the rollback
//! and the push loses nothing; what was written stands there too, so that nothing is written twice.

mod job;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::application::Application;
use super::rollback::is_well;
use crate::api::{HistoryEntry, Policy, RevisionId, WriteBack, WrittenBack};
use crate::error::Class;
use crate::plan::Report;
use crate::revert::{Error, Words, branch, cause, committer};
use crate::status::Problem;
use job::Job;

/// The wait after the first attempt that failed; it doubles.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// The longest one. A hook or a protected branch is there for a while.
const MAX_WAIT: Duration = Duration::from_secs(600);
/// Reasons that only another commit or another spec ends, and those are looked at when they come.
const SETTLED: [&str; 4] = [
    "RevertConflict",
    "RevertImpossible",
    "RevertUnrelated",
    "SourcePinned",
];
/// How often in a row somebody else is faster before that is told.
const TOLD_RACES: u32 = 3;

/// How far a rollback is written back.
#[derive(Default)]
pub(super) struct WritingBack {
    task: Option<JoinHandle<Result<Option<WrittenBack>, Error>>>,
    /// Set when what the task is about to push is not wanted any more.
    stop: Arc<AtomicBool>,
    /// What was tried last: a change of it is tried at once.
    tried: Option<Attempt>,
    failures: u32,
    /// Why it is not written.
    pub(super) problem: Option<Problem>,
}

/// What an attempt depends on.
#[derive(Clone, PartialEq)]
struct Attempt {
    mode: WriteBack,
    head: String,
    bad: String,
    source: super::application::SourceKey,
}

/// A task of blocking code cannot be ended, only told.
impl Drop for WritingBack {
    fn drop(&mut self) {
        self.withdraw();
    }
}

impl WritingBack {
    /// Nothing more is pushed by the attempt that is on its way, and what it says does not count.
    pub(super) fn withdraw(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Waits for the attempt that is on its way; for ever when there is none. None where it was
    /// withdrawn.
    pub(super) async fn ended(&mut self) -> Result<Option<WrittenBack>, Problem> {
        let Some(task) = &mut self.task else {
            return std::future::pending().await;
        };
        let ended = task.await;
        self.task = None;
        match ended {
            Ok(result) => result.map_err(|error| Problem::of(&error)),
            Err(panic) => Err(Problem {
                reason: "WriteBackPanicked".into(),
                message: format!("writing the rollback back broke down: {panic}; please report it"),
                class: Class::Retry,
            }),
        }
    }
}

impl Application {
    /// Takes an attempt back that is on its way and no longer what is wanted: somebody asked for
    /// another one, suspended the Application, or the source or its newest commit is another one.
    pub(super) fn reconsider(&self, now: i64) {
        let is_wanted = || self.has_helped() && self.is_still_wanted(now);
        if self.write_back.task.is_some() && !is_wanted() {
            self.write_back.withdraw();
        }
    }

    fn is_still_wanted(&self, now: i64) -> bool {
        let policy = self.prepared.as_ref().map(|(policy, _)| policy);
        let wanted = policy.and_then(|policy| self.to_write(policy, now));
        wanted.map(|(attempt, _)| attempt) == self.write_back.tried
    }

    /// Begins to write back what was rolled back, if it should be and is not yet.
    pub(super) fn write_back(&mut self, policy: &Policy, now: i64) {
        if self.write_back.task.is_some() {
            return self.reconsider(now);
        }
        let wanted = self.to_write(policy, now);
        let waits = wanted.as_ref().is_some_and(|(attempt, _)| {
            let is_due = |at: Instant| at <= Instant::now();
            self.write_back.tried.as_ref() == Some(attempt)
                && !self.timers.write_back.is_none_or(is_due)
        });
        if waits {
            return;
        }
        self.timers.write_back = None;
        // Where going back does not help either, it was something else: no commit is to blame. What
        // was told before stays told.
        if wanted.is_some() && !self.has_helped() {
            return;
        }
        let Some((attempt, mut job)) = wanted else {
            self.write_back.tried = None;
            if self.write_back.problem.take().is_some() {
                self.timers.publish_by(Instant::now());
            }
            return;
        };
        if self.write_back.tried.as_ref() != Some(&attempt) {
            self.write_back.failures = 0;
            self.write_back.tried = Some(attempt);
        }
        // One of its own: the attempt before may still be looking at the old one.
        job.stop = Arc::default();
        self.write_back.stop = Arc::clone(&job.stop);
        self.write_back.task = Some(tokio::task::spawn_blocking(move || job.run()));
    }

    /// What is to be written; none when nothing was rolled back, or it is written.
    fn to_write(&self, policy: &Policy, now: i64) -> Option<(Attempt, Job)> {
        let mode = policy.rollback?.write_back;
        let is_suspended = self.requests.borrow().is_suspended(now);
        let rolled_back = self.rollback.rolled_back.as_ref()?;
        let known = self.rollback.quarantined(&rolled_back.digest)?;
        let good = self.rollback.good.as_ref()?;
        let (key, subscription) = self.source.as_ref()?;
        let resolved = self.source_state().resolved?;
        // The newest commit is looked at before anything is put on top of it.
        let is_seen = resolved.revision.commit == rolled_back.revision;
        if mode == WriteBack::None || !is_seen || is_suspended {
            return None;
        }
        let place = match mode {
            WriteBack::Branch => branch(&known.revision),
            _ => resolved.revision.name.clone(),
        };
        let written = self.rollback.written_back.as_ref();
        // Of this time: who brings the revision back after that has it written back again.
        let is_it = |written: &WrittenBack| {
            written.reverts == known.revision
                && written.branch == place
                && written.quarantined.as_ref() == Some(&known.at)
        };
        if written.is_some_and(is_it) {
            return None;
        }
        let spec = self.request().spec.ok()?;
        let repository = self.shared.sources.repository(subscription).ok()?;
        let attempt = Attempt {
            mode,
            head: rolled_back.revision.clone(),
            bad: known.revision.clone(),
            source: key.clone(),
        };
        let job = Job {
            mode,
            head: resolved.revision.clone(),
            target: key.target.clone(),
            bad: known.revision.clone(),
            quarantined: known.at.clone(),
            good: self.commits_of(good),
            digest: good.digest.clone(),
            path: spec.source.path.clone().unwrap_or_default(),
            options: super::render_options(spec.source.directory.as_ref()),
            namespace: policy.namespace.clone(),
            words: Words {
                reason: cause(&known.reason, &known.message),
                cluster: self.shared.options.install_id.clone(),
                application: self.owner.application(),
            },
            // The same commit however often it is tried, so that one whose answer was lost is known
            // again.
            by: committer(&repository, known.at.0.as_second()),
            repository,
            stop: Arc::clone(&self.write_back.stop),
        };
        Some((attempt, job))
    }

    /// The commits that rendered to `good`, as far as they are known, the newest first.
    fn commits_of(&self, good: &RevisionId) -> Vec<String> {
        let is_it =
            |entry: &&HistoryEntry| entry.digest == good.digest && entry.revision != good.revision;
        let before = self.history.iter().filter(is_it);
        let before = before.map(|entry| entry.revision.clone());
        [good.revision.clone()].into_iter().chain(before).collect()
    }

    /// Whether all of the good revision is there again, and Healthy.
    fn has_helped(&self) -> bool {
        let good = self.rollback.good.as_ref().map(|good| &good.digest);
        let goal = self.goal.as_ref().map(|goal| &goal.desired.digest);
        let is_whole = |report: &Report| report.out_of_sync == 0;
        good.is_some()
            && goal == good
            && self.applied_digest.as_ref() == good
            && self.report.as_ref().is_some_and(is_whole)
            && self.worst().is_none_or(|(_, health)| is_well(&health))
    }

    /// Takes in how an attempt ended.
    pub(super) fn note_written(&mut self, ended: Result<Option<WrittenBack>, Problem>, now: i64) {
        let name = &self.owner.name;
        match ended {
            // What is in Git is there, whatever somebody wants by now: it is not written again.
            Ok(None) => return,
            Err(_) if !self.is_still_wanted(now) => return,
            Ok(Some(written)) => {
                tracing::info!(
                    application = name,
                    commit = written.commit,
                    branch = written.branch,
                    "the rollback is written back"
                );
                self.rollback.written_back = Some(written);
                self.write_back.problem = None;
                self.write_back.failures = 0;
                if self.is_rolled_back() {
                    let good = self.good.as_ref().map(|good| good.id.revision.as_str());
                    self.court.note = Some(self.told(good));
                }
                // What is on the branch now is known as the way back by polling it.
                if let Some((_, subscription)) = &self.source {
                    subscription.poke();
                }
            }
            Err(problem) => {
                tracing::warn!(
                    application = name,
                    reason = problem.reason,
                    "the rollback is not written back: {}",
                    problem.message
                );
                let wait = match problem.class {
                    Class::Wait(wait) => wait,
                    _ if SETTLED.contains(&problem.reason.as_str()) => MAX_WAIT,
                    _ => FIRST_WAIT.saturating_mul(2_u32.saturating_pow(self.write_back.failures)),
                };
                self.write_back.failures += 1;
                self.timers.write_back = Some(Instant::now() + wait.min(MAX_WAIT));
                let is_race = problem.reason == "BranchMoved";
                if is_race && let Some((_, subscription)) = &self.source {
                    subscription.poke();
                }
                // That somebody was faster is no news, unless somebody always is; and nothing is
                // missing any more when a newer commit came meanwhile.
                let is_news = !is_race || self.write_back.failures >= TOLD_RACES;
                if is_news && self.is_rolled_back() {
                    self.write_back.problem = Some(problem);
                }
            }
        }
        self.timers.publish_by(Instant::now());
    }
}
