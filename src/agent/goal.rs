//! The newest revision, rendered and made ready to apply.

use std::sync::Arc;
use std::time::Duration;

use super::application::Application;
use super::sources::Resolved;
use crate::api::Policy;
use crate::cluster::Discovery;
use crate::desired::{Desired, DesiredObject, Placement, build};
use crate::error::{Class, Fault as _};
use crate::render;
use crate::status::Problem;

/// How often a kind that is not served is looked for: somebody may install its CRD at any time.
const KIND_RECHECK: Duration = Duration::from_secs(10);

/// The revision that the cluster should come to.
pub(super) struct Goal {
    /// The commit.
    pub(super) commit: String,
    /// Its objects.
    pub(super) desired: Arc<Desired>,
    /// What it was made from; the same again costs nothing.
    key: GoalKey,
}

/// Everything a render depends on besides the tree.
#[derive(Clone, PartialEq)]
struct GoalKey {
    commit: String,
    path: String,
    directory: Option<crate::api::Directory>,
    namespace: String,
}

impl Application {
    /// Renders the newest commit, unless that is what is there already.
    pub(super) async fn goal(&mut self, policy: &Policy) {
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
            namespace: policy.namespace.clone(),
        };
        // Kinds that were missing may be served now.
        let waits = self
            .goal
            .as_ref()
            .is_some_and(|goal| goal.desired.waiting().next().is_some());
        if !waits && self.goal.as_ref().is_some_and(|goal| goal.key == key) {
            return;
        }
        match self.render(&resolved, &key).await {
            Ok(desired) => {
                let commit = key.commit.clone();
                self.goal = Some(Goal {
                    commit,
                    desired: Arc::new(desired),
                    key,
                });
            }
            Err(problem) => self.problems.push(problem),
        }
        self.report_waiting();
    }

    /// Tree → rendered → desired, off the async threads: rendering is pure computation.
    async fn render(
        &mut self,
        resolved: &Arc<Resolved>,
        key: &GoalKey,
    ) -> Result<Desired, Problem> {
        let resolved = Arc::clone(resolved);
        let options = super::render_options(key.directory.as_ref());
        let path = key.path.trim_matches('/').to_owned();
        let rendered =
            tokio::task::spawn_blocking(move || render::render(&resolved.tree, &path, &options));
        let rendered = match rendered.await {
            Ok(Ok(rendered)) => rendered,
            Ok(Err(error)) => {
                self.shared.metrics.render(Err(error.reason()));
                return Err(Problem::of(&error));
            }
            // One Application's panic never takes the agent down.
            Err(panic) => {
                self.shared.metrics.render(Err("RenderPanicked"));
                return Err(Problem {
                    reason: "RenderPanicked".into(),
                    message: format!("the renderer broke down: {panic}; please report it"),
                    class: Class::Stalled,
                });
            }
        };
        self.shared.metrics.render(Ok(()));
        let mut discovery = self.discovery(false).await?;
        let objects = &rendered.objects;
        let build_with =
            |discovery: &Discovery| build(objects, discovery, &self.owner, &key.namespace);
        let mut desired = build_with(&discovery);
        if desired
            .as_ref()
            .is_ok_and(|desired| desired.waiting().next().is_some())
        {
            discovery = self.discovery(true).await?;
            desired = build_with(&discovery);
        }
        self.discovery = Some(discovery);
        desired.map_err(|mistakes| Problem {
            reason: "ManifestInvalid".into(),
            message: mistakes.to_string().replace('\n', "; "),
            class: Class::Stalled,
        })
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
        let Some(first) = missing.first() else { return };
        let (reason, class) = match first.placement {
            Placement::Unknown => ("KindUnknown", Class::Retry),
            _ => ("KindNotServed", Class::Wait(KIND_RECHECK)),
        };
        let more = match missing.len() {
            1 => String::new(),
            n => format!(" and {} more objects", n - 1),
        };
        let remedy = crate::cluster::remedy("KindNotServed").unwrap_or_default();
        self.problems.push(Problem {
            reason: reason.into(),
            message: format!(
                "{}: {}: kind {} is not served by the API server{more}; the other objects are applied and nothing is pruned ({remedy})",
                first.place, first.id, first.gvk
            ),
            class,
        });
    }
}
