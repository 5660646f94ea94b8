//! Writing a rollback back to Git, so that Git is the truth again: a task of its own, for which no
//! pass waits. What is to be written follows from the status, so that a restart between the rollback
//! and the push loses nothing; what was written stands there too, so that nothing is written twice.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::application::Application;
use crate::api::{Policy, WriteBack, WrittenBack};
use crate::error::{Class, Fault as _};
use crate::git::{Author, Repository, Revision, TargetRevision};
use crate::render;
use crate::revert::{Error, Revert, Words, branch, cause, committer};
use crate::status::Problem;

/// The wait after the first attempt that failed; it doubles.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// The longest one. A hook or a protected branch is there for a while.
const MAX_WAIT: Duration = Duration::from_secs(600);
/// How often in a row somebody else is faster before that is told.
const TOLD_RACES: u32 = 3;

/// How far a rollback is written back.
#[derive(Default)]
pub(super) struct WritingBack {
    task: Option<JoinHandle<Result<WrittenBack, Error>>>,
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

/// Everything that an attempt needs, away from the Application.
struct Job {
    repository: Repository,
    mode: WriteBack,
    head: Revision,
    /// As the Application has it.
    target: String,
    bad: String,
    good: String,
    digest: String,
    path: String,
    options: render::Options,
    namespace: String,
    words: Words,
    by: Author,
}

impl WritingBack {
    /// Waits for the attempt that is on its way; for ever when there is none.
    pub(super) async fn ended(&mut self) -> Result<WrittenBack, Problem> {
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
    /// Begins to write back what was rolled back, if it should be and is not yet.
    pub(super) fn write_back(&mut self, policy: &Policy) {
        if self.write_back.task.is_some() {
            return;
        }
        let wanted = self.to_write(policy);
        let waits = wanted.as_ref().is_some_and(|(attempt, _)| {
            let is_due = |at: Instant| at <= Instant::now();
            self.write_back.tried.as_ref() == Some(attempt)
                && !self.timers.write_back.is_none_or(is_due)
        });
        if waits {
            return;
        }
        self.timers.write_back = None;
        let Some((attempt, job)) = wanted else {
            self.write_back.tried = None;
            if self.write_back.problem.take().is_some() {
                self.timers.publish.get_or_insert_with(Instant::now);
            }
            return;
        };
        if self.write_back.tried.as_ref() != Some(&attempt) {
            self.write_back.failures = 0;
            self.write_back.tried = Some(attempt);
        }
        self.write_back.task = Some(tokio::task::spawn_blocking(move || job.run()));
    }

    /// What is to be written; none when nothing was rolled back, or it is written.
    fn to_write(&self, policy: &Policy) -> Option<(Attempt, Job)> {
        let mode = policy.rollback?.write_back;
        let rolled_back = self.rollback.rolled_back.as_ref()?;
        let known = self.rollback.quarantined(&rolled_back.digest)?;
        let good = self.rollback.good.as_ref()?;
        let (key, subscription) = self.source.as_ref()?;
        let resolved = self.source_state().resolved?;
        // The newest commit is looked at before anything is put on top of it.
        let is_seen = resolved.revision.commit == rolled_back.revision;
        if mode == WriteBack::None || !is_seen {
            return None;
        }
        let place = match mode {
            WriteBack::Branch => branch(&known.revision),
            _ => resolved.revision.name.clone(),
        };
        let written = self.rollback.written_back.as_ref();
        if written.is_some_and(|w| w.reverts == known.revision && w.branch == place) {
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
            good: good.revision.clone(),
            digest: good.digest.clone(),
            path: spec.source.path.clone().unwrap_or_default(),
            options: super::render_options(spec.source.directory.as_ref()),
            namespace: policy.namespace.clone(),
            words: Words {
                reason: cause(&known.reason, &known.message),
                cluster: self.shared.options.install_id.clone(),
                application: format!("{}/{}", self.owner.namespace, self.owner.name),
            },
            // The same commit however often it is tried, so that one whose answer was lost is known
            // again.
            by: committer(&repository, known.at.0.as_second()),
            repository,
        };
        Some((attempt, job))
    }

    /// Takes in how an attempt ended.
    pub(super) fn note_written(&mut self, ended: Result<WrittenBack, Problem>) {
        let name = &self.owner.name;
        match ended {
            Ok(written) => {
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
        self.timers.publish = Some(Instant::now());
    }
}

impl Job {
    /// Makes the commit, checks it, and pushes it.
    fn run(&self) -> Result<WrittenBack, Error> {
        match self.mode {
            WriteBack::Branch => self.to_own_branch(),
            _ => self.to_tracked_branch(),
        }
    }

    fn to_tracked_branch(&self) -> Result<WrittenBack, Error> {
        if !self.head.reference.starts_with("refs/heads/") {
            return Err(Error::Pinned {
                revision: self.target.clone(),
                what: pinned(&self.head),
            });
        }
        let (head, reference) = (&self.head.commit, &self.head.reference);
        let commit = self.put(head, reference, false)?;
        // The newest commit has the files of the good one, and does not render to the same.
        let commit = commit.ok_or_else(|| Error::Different {
            good: self.good.clone(),
        })?;
        Ok(self.written(&commit, reference))
    }

    /// A branch that is there is taken as it is, or gets one more commit, where another Application
    /// began it.
    fn to_own_branch(&self) -> Result<WrittenBack, Error> {
        let reference = format!("refs/heads/{}", branch(&self.bad));
        let target = TargetRevision::parse(&reference)?;
        let mut synced = self
            .repository
            .poll_and_fetch(&BTreeSet::from([target.clone()]))?;
        let (base, put) = match synced.revisions.remove(&target) {
            Some(Ok(there)) => match self.put(&there.commit, &reference, false) {
                // Somebody went on with it.
                Err(Error::Conflict { .. }) => (there.commit, Ok(None)),
                put => (there.commit, put),
            },
            Some(Err(error)) if error.reason() != "BranchNotFound" => return Err(error.into()),
            _ => {
                let head = self.head.commit.clone();
                let put = self.put(&head, &reference, true);
                (head, put)
            }
        };
        Ok(self.written(&put?.unwrap_or(base), &reference))
    }

    /// Puts the revert on top of `head` and returns it; none if `head` needs none.
    fn put(&self, head: &str, reference: &str, is_new: bool) -> Result<Option<String>, Error> {
        let revert = Revert {
            repository: &self.repository,
            head,
            bad: &self.bad,
            good: &self.good,
            path: &self.path,
            options: &self.options,
            namespace: &self.namespace,
            author: &self.by,
            committer: &self.by,
            words: &self.words,
            spares_own: true,
        };
        let Some(prepared) = revert.prepare(Some(&self.digest))? else {
            return Ok(None);
        };
        self.repository.push(&prepared.draft, reference, is_new)?;
        Ok(Some(prepared.draft.id()))
    }

    fn written(&self, commit: &str, reference: &str) -> WrittenBack {
        let branch = reference.strip_prefix("refs/heads/");
        WrittenBack {
            commit: commit.to_owned(),
            branch: branch.unwrap_or(reference).to_owned(),
            reverts: self.bad.clone(),
        }
    }
}

/// What a revision is that is no branch.
fn pinned(revision: &Revision) -> &'static str {
    match revision.reference.as_str() {
        "" => "a commit",
        name if name.starts_with("refs/tags/") => "a tag, or a range of tags",
        _ => "no branch",
    }
}
