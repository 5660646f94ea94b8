//! The newest revision, rendered and made ready to apply.

use std::sync::Arc;
use std::time::Duration;

use super::application::Application;
use super::hooks::Lack;
use super::sources::Resolved;
use crate::api::{Policy, RevisionId};
use crate::cluster::Discovery;
use crate::desired::{Defaults, Desired, DesiredObject, Placement, build_after};
use crate::error::{Class, Diagnostics, Fault as _};
use crate::inventory::Owner;
use crate::render::{self, RenderedObject};
use crate::status::Problem;
use crate::tree::Closure;

/// How often a kind that is not served is looked for: somebody may install its CRD at any time.
const KIND_RECHECK: Duration = Duration::from_secs(10);

/// The revision that the cluster should come to: the newest, or the one that was gone back to.
pub(super) struct Goal {
    /// The commit.
    pub(super) commit: String,
    /// Its objects.
    pub(super) desired: Arc<Desired>,
}

impl Goal {
    /// Commit and digest.
    pub(super) fn id(&self) -> RevisionId {
        RevisionId {
            revision: self.commit.clone(),
            digest: self.desired.digest.clone(),
        }
    }
}

/// The newest revision that could be rendered.
pub(super) struct Newest {
    /// The commit.
    pub(super) commit: String,
    /// Its objects.
    pub(super) desired: Arc<Desired>,
    /// What it was made from; the same again costs nothing.
    key: GoalKey,
    /// What its render looked at: a commit that touches none of it has the same objects.
    closure: Arc<Closure>,
    /// What the API server served when its objects were made ready.
    discovery: Option<Arc<Discovery>>,
}

/// A render that failed: the same again would fail in the same way.
pub(super) struct Broken {
    problem: Problem,
    key: GoalKey,
    closure: Arc<Closure>,
}

/// Everything a render depends on besides the tree.
#[derive(Clone, PartialEq)]
struct GoalKey {
    commit: String,
    path: String,
    directory: Option<crate::api::Directory>,
    defaults: Defaults,
    /// It may declare towline's own installation.
    self_management: bool,
}

impl GoalKey {
    /// The same render of another commit, or of this one.
    fn differs_only_in_commit(&self, other: &Self) -> bool {
        let commit = other.commit.clone();
        *other
            == Self {
                commit,
                ..self.clone()
            }
    }
}

/// Makes rendered objects ready to apply.
struct Builder {
    /// The revision before, and what was served when it was made.
    earlier: Option<(Arc<Desired>, Arc<Discovery>)>,
    owner: Owner,
    defaults: Defaults,
}

impl Builder {
    fn build(
        &self,
        objects: &[RenderedObject],
        served: &Arc<Discovery>,
    ) -> Result<Desired, Diagnostics> {
        let earlier = self.earlier.as_ref();
        let earlier = earlier.filter(|(_, discovery)| Arc::ptr_eq(discovery, served));
        build_after(
            earlier.map(|(desired, _)| &**desired),
            objects,
            served,
            &self.owner,
            self.defaults.clone(),
            super::render_threads(),
        )
    }
}

impl Application {
    /// Finds out what the cluster should come to.
    pub(super) async fn goal(&mut self, policy: &Policy) {
        let before = self.goal.as_ref().map(|goal| Arc::clone(&goal.desired));
        self.find_newest(policy).await;
        self.take_aim(policy);
        self.report_waiting();
        // As below: thousands of objects.
        let both = before.as_ref().zip(self.goal.as_ref());
        let is_kept = both.is_some_and(|(before, goal)| Arc::ptr_eq(before, &goal.desired));
        if let Some(before) = before.filter(|_| !is_kept) {
            tokio::task::spawn_blocking(move || drop(before));
        }
    }

    /// Decides between the newest revision and the one that is gone back to.
    pub(super) fn take_aim(&mut self, policy: &Policy) {
        let before = self.goal.take();
        self.goal = self.aim(policy);
        if let Some(goal) = &self.goal
            && before.is_none_or(|before| !Arc::ptr_eq(&before.desired, &goal.desired))
        {
            let desired = Arc::clone(&goal.desired);
            self.leave(&desired);
            self.scaled.clear();
        }
    }

    /// Renders the newest commit, unless that is what is there already.
    async fn find_newest(&mut self, policy: &Policy) {
        let state = self.source_state();
        self.source_failure.clone_from(&state.failure);
        if let Some(failure) = &state.failure {
            self.problems.push(failure.clone());
        }
        let Some(resolved) = state.resolved else {
            return;
        };
        self.target = Some((
            resolved.revision.commit.clone(),
            resolved.revision.name.clone(),
        ));
        let Ok(spec) = self.request().spec else {
            return;
        };
        let key = GoalKey {
            commit: resolved.revision.commit.clone(),
            path: spec.source.path.clone().unwrap_or_default(),
            directory: spec.source.directory.clone(),
            defaults: Defaults::from(policy),
            self_management: self.manages_towline(),
        };
        // Kinds that were missing may be served now.
        let waits = self
            .newest
            .as_ref()
            .is_some_and(|newest| newest.desired.waiting().next().is_some());
        if !waits && self.newest.as_ref().is_some_and(|newest| newest.key == key) {
            return;
        }
        if !waits && self.carry_over(&resolved, &key).await {
            return;
        }
        match self.render(&resolved, &key).await {
            Ok((desired, closure)) => {
                let commit = key.commit.clone();
                self.broken = None;
                self.newest = Some(Newest {
                    commit,
                    desired: Arc::new(desired),
                    key,
                    closure,
                    discovery: self.discovery.clone(),
                });
            }
            Err(problem) => self.problems.push(problem),
        }
    }

    /// Takes over what an earlier render gave, success or mistake, where nothing that it looked at
    /// is another in this commit. Returns false when there is no such render.
    async fn carry_over(&mut self, resolved: &Arc<Resolved>, key: &GoalKey) -> bool {
        if let Some(broken) = self.broken.as_ref().filter(|broken| broken.key == *key) {
            self.problems.push(broken.problem.clone());
            return true;
        }
        if let Some(mut newest) = self
            .newest
            .take_if(|newest| newest.key.differs_only_in_commit(key))
        {
            let untouched = is_untouched(&newest.closure, resolved).await;
            if untouched {
                self.shared.metrics.render_skipped();
                newest.commit.clone_from(&key.commit);
                newest.key = key.clone();
                self.broken = None;
            }
            self.newest = Some(newest);
            if untouched {
                return true;
            }
        }
        if let Some(mut broken) = self
            .broken
            .take_if(|broken| broken.key.differs_only_in_commit(key))
            && is_untouched(&broken.closure, resolved).await
        {
            self.shared.metrics.render_skipped();
            self.problems.push(broken.problem.clone());
            broken.key = key.clone();
            self.broken = Some(broken);
            return true;
        }
        false
    }

    /// From now on what the revision leaves to others is no drift. Objects of which that is something
    /// else than before are read again.
    fn leave(&mut self, desired: &Desired) {
        let ignores = desired
            .objects
            .values()
            .filter(|object| !object.ignore.is_empty())
            .map(|object| (object.id.clone(), object.ignore.clone()))
            .collect();
        for id in self.mailbox.ignore(ignores) {
            self.live.remove(&id);
        }
    }

    /// Tree → rendered → desired, off the async threads: both are pure computation.
    async fn render(
        &mut self,
        resolved: &Arc<Resolved>,
        key: &GoalKey,
    ) -> Result<(Desired, Arc<Closure>), Problem> {
        let mut discovery = self.discovery(false).await?;
        let builder = self.builder(key);
        let resolved = Arc::clone(resolved);
        let options = super::render_options(key.directory.as_ref());
        let path = key.path.trim_matches('/').to_owned();
        let served = Arc::clone(&discovery);
        let made = tokio::task::spawn_blocking(move || {
            let (tree, recording) = resolved.tree.recording();
            let rendered = render::render(&tree, &path, &options);
            let closure = Arc::new(recording.closure());
            let made = rendered.map(|rendered| {
                let desired = builder.build(&rendered.objects, &served);
                (builder, rendered.objects, desired)
            });
            (made, closure)
        });
        let (made, closure) = match made.await {
            Ok((Ok(made), closure)) => (made, closure),
            Ok((Err(error), closure)) => {
                self.shared.metrics.render(Err(error.reason()));
                let problem = Problem::of(&error);
                // What could not be read may be readable the next time.
                self.broken = (problem.class == Class::Stalled).then(|| Broken {
                    problem: problem.clone(),
                    key: key.clone(),
                    closure,
                });
                return Err(problem);
            }
            // One Application's panic never takes the agent down.
            Err(panic) => return Err(self.broke_down(&panic)),
        };
        self.shared.metrics.render(Ok(()));
        let (builder, objects, mut desired) = made;
        let waits = |desired: &Desired| desired.waiting().next().is_some();
        if desired.as_ref().is_ok_and(waits) {
            discovery = self.discovery(true).await?;
            let served = Arc::clone(&discovery);
            let built = tokio::task::spawn_blocking(move || builder.build(&objects, &served));
            desired = built.await.map_err(|panic| self.broke_down(&panic))?;
        } else {
            // Thousands of objects take their time to be dropped, and nobody has to wait for it.
            tokio::task::spawn_blocking(move || drop(objects));
        }
        self.discovery = Some(discovery);
        let refused = |reason: &str, mistakes: Diagnostics| Problem {
            reason: reason.into(),
            message: mistakes.to_string().replace('\n', "; "),
            class: Class::Stalled,
        };
        let desired = desired.map_err(|mistakes| refused("ManifestInvalid", mistakes))?;
        if !key.self_management {
            let reason = "SelfManagedObject";
            let own = self.shared.options.installation();
            own.check(&desired)
                .map_err(|mistakes| refused(reason, mistakes))?;
        }
        Ok((desired, closure))
    }

    /// What makes the objects of a render ready to apply.
    fn builder(&self, key: &GoalKey) -> Builder {
        let newest = self.newest.as_ref();
        let known = newest.filter(|newest| newest.key.defaults == key.defaults);
        let earlier = known.and_then(|newest| {
            let discovery = newest.discovery.clone()?;
            Some((Arc::clone(&newest.desired), discovery))
        });
        Builder {
            earlier,
            owner: self.owner.clone(),
            defaults: key.defaults.clone(),
        }
    }

    fn broke_down(&self, panic: &tokio::task::JoinError) -> Problem {
        self.shared.metrics.render(Err("RenderPanicked"));
        Problem {
            reason: "RenderPanicked".into(),
            message: format!("the renderer broke down: {panic}; please report it"),
            class: Class::Stalled,
        }
    }

    /// Whether the Application is meant to manage towline itself: only where whoever made it may do
    /// with the agent what they like anyway.
    fn manages_towline(&self) -> bool {
        let request = self.requests.borrow();
        request.self_management && request.namespace == self.shared.options.namespace
    }

    pub(super) async fn discovery(&self, missing: bool) -> Result<Arc<Discovery>, Problem> {
        let found = self.shared.kinds.get(&*self.shared.cluster, missing).await;
        found.map_err(|e| Problem::of(&e))
    }

    /// Kinds that are not served, as a problem a person can act on. CRDs of the same revision are
    /// only waited for.
    pub(super) fn report_waiting(&mut self) {
        let Some(goal) = &self.goal else { return };
        let missing: Vec<&DesiredObject> = goal
            .desired
            .waiting()
            .filter(|object| object.placement != Placement::AwaitsCrd)
            .collect();
        // What keeps most from being done.
        let effect = |object: &&DesiredObject| Lack::of(&goal.desired, &object.id);
        let Some(first) = missing.iter().copied().min_by_key(effect) else {
            return;
        };
        let lack = effect(&first);
        let (reason, class) = match first.placement {
            Placement::Unknown => ("KindUnknown", Class::Retry),
            _ => ("KindNotServed", Class::Wait(KIND_RECHECK)),
        };
        let more = match missing.len() {
            1 => String::new(),
            n => format!(" (nor are those of {} more)", n - 1),
        };
        self.problems.push(Problem {
            reason: reason.into(),
            message: format!(
                "{}: {lack}{}: kind {} is not served by the API server{more}; {} ({})",
                first.place,
                first.id,
                first.gvk,
                lack.effect(),
                lack.remedy()
            ),
            class,
        });
    }
}

/// Whether a commit has everything that a render looked at as it was: by object ids, nothing is
/// read. What cannot be told is not.
async fn is_untouched(closure: &Arc<Closure>, resolved: &Arc<Resolved>) -> bool {
    let (closure, resolved) = (Arc::clone(closure), Arc::clone(resolved));
    let looked = tokio::task::spawn_blocking(move || closure.unchanged_in(&resolved.tree));
    matches!(looked.await, Ok(Ok(true)))
}

#[cfg(test)]
mod tests {
    use crate::render::{Options, render};
    use crate::tree::{MemoryFiles, Tree};

    const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

    fn repository() -> MemoryFiles {
        MemoryFiles::default()
            .file("base/kustomization.yaml", "resources: [a.yaml]\n")
            .file("base/a.yaml", CONFIG_MAP)
            .file("prod/kustomization.yaml", "resources: [../base]\n")
            .file("other/b.yaml", CONFIG_MAP)
            .file("plain/a.yaml", CONFIG_MAP)
            .file("plain/below/c.yaml", CONFIG_MAP)
            .symlink("plain/link.yaml", "../other/b.yaml")
            .file("broken/kustomization.yaml", "resources: [missing.yaml]\n")
    }

    /// Whether what a render of `path` looked at is untouched in another commit.
    fn is_untouched(path: &str, after: MemoryFiles) -> bool {
        let (tree, recording) = Tree::new(repository()).recording();
        let rendered = render(&tree, path, &Options::default());
        assert_eq!(rendered.is_err(), path == "broken");
        let closure = recording.closure();
        closure.unchanged_in(&Tree::new(after)).expect("readable")
    }

    #[test]
    fn a_commit_beside_what_was_looked_at_needs_no_render() {
        let beside = || {
            repository()
                .file("README.md", "new")
                .file("other/new.yaml", CONFIG_MAP)
        };
        for path in ["prod", "base", "plain", "broken"] {
            assert!(is_untouched(path, repository()), "{path}: the same");
            assert!(is_untouched(path, beside()), "{path}: beside");
        }
        // Not listed by a kustomization, and not in a directory that is listed.
        assert!(is_untouched(
            "prod",
            repository().file("prod/notes.txt", "")
        ));
        assert!(is_untouched(
            "plain",
            repository().file("plain/below/new.yaml", "")
        ));
    }

    #[test]
    fn a_commit_that_touches_what_was_looked_at_needs_one() {
        let cases = [
            (
                "base",
                "a file",
                repository().file("base/a.yaml", "changed"),
            ),
            (
                "prod",
                "the base",
                repository().file("base/a.yaml", "changed"),
            ),
            (
                "prod",
                "a second kustomization",
                repository().file("prod/kustomization.yml", "resources: []\n"),
            ),
            (
                "prod",
                "a second kustomization of the base",
                repository().file("base/Kustomization", "resources: []\n"),
            ),
            (
                "plain",
                "a new file",
                repository().file("plain/z.yaml", CONFIG_MAP),
            ),
            (
                "plain",
                "a kustomization where there was none",
                repository().file("plain/kustomization.yaml", "resources: []\n"),
            ),
            (
                "plain",
                "the target of a link",
                repository().symlink("plain/link.yaml", "../base/a.yaml"),
            ),
            (
                "plain",
                "what a link leads to",
                repository().file("other/b.yaml", "changed"),
            ),
            (
                "broken",
                "what was missing",
                repository().file("broken/missing.yaml", CONFIG_MAP),
            ),
            (
                "plain",
                "a file that went",
                MemoryFiles::default()
                    .file("plain/below/c.yaml", CONFIG_MAP)
                    .file("other/b.yaml", CONFIG_MAP)
                    .symlink("plain/link.yaml", "../other/b.yaml"),
            ),
        ];
        for (path, what, after) in cases {
            assert!(!is_untouched(path, after), "{path}: {what}");
        }
    }
}
