//! From a request to what a pass needs: policy, identity and a share in the polling of the source.

use std::collections::BTreeMap;

use super::application::{Application, SourceKey};
use super::credentials::{RepositorySecret, credential};
use super::dependencies::forbidden;
use super::request::Request;
use crate::api::Policy;
use crate::cluster::Identity;
use crate::error::Class;
use crate::git::{RemoteUrl, TargetRevision};
use crate::status::Problem;

impl Application {
    /// Policy, identity and source of a request.
    pub(super) fn prepare(
        &mut self,
        request: &Request,
        secrets: &BTreeMap<String, RepositorySecret>,
    ) -> Result<(Policy, Identity), Problem> {
        let invalid = |reason: &str, message: String| Problem {
            reason: reason.into(),
            message,
            class: Class::Stalled,
        };
        let spec = request
            .spec
            .clone()
            .map_err(|e| invalid("SpecInvalid", format!("spec: {e}")))?;
        let policy = Policy::from_spec(&spec).map_err(|e| Problem::of(&e))?;
        let namespace = &self.shared.options.namespace;
        if let Some(why) = forbidden(&spec, &request.namespace, namespace) {
            return Err(invalid("SpecInvalid", why));
        }
        let who = request
            .identity(&self.shared.options.namespace)
            .map_err(|message| invalid("IdentityRequired", message))?;
        let url = RemoteUrl::parse(&spec.source.repo_url, &self.shared.options.allow_schemes)
            .map_err(|e| Problem::of(&e))?;
        let credential = credential(secrets, &spec.source.repo_url).map_err(|e| Problem::of(&e))?;
        let target = spec.source.target_revision.as_deref().unwrap_or("HEAD");
        let key = SourceKey {
            url: spec.source.repo_url.clone(),
            credential: credential.fingerprint(),
            target: target.into(),
            interval: policy.interval,
        };
        if self.source.as_ref().is_none_or(|(old, _)| *old != key) {
            let target = TargetRevision::parse(target).map_err(|e| Problem::of(&e))?;
            let sources = &self.shared.sources;
            let subscription = sources.subscribe(&url, &credential, target, policy.interval);
            self.source = Some((key, subscription));
            self.refreshing = None;
        }
        Ok((policy, who))
    }

    /// Polls Git for a refresh that was not asked for before.
    pub(super) fn ask_refresh(&mut self, request: &Request) {
        let Some(token) = &request.refresh else {
            return;
        };
        let is_pending = self
            .refreshing
            .as_ref()
            .is_some_and(|(_, pending)| pending == token);
        if self.handled.refresh.as_ref() == Some(token) || is_pending {
            return;
        }
        if let Some((_, subscription)) = &self.source {
            self.refreshing = Some((subscription.poke(), token.clone()));
        }
    }

    /// True when the newest commit, or whether Git can be read, is not what the status says.
    pub(super) fn is_stale(&self, request: &Request) -> bool {
        let state = self.source_state();
        let commit = state.resolved.as_ref().map(|r| r.revision.commit.as_str());
        commit != self.target.as_ref().map(|(commit, _)| commit.as_str())
            || state.failure != self.source_failure
            || self.published.observed_generation != Some(request.generation)
    }

    /// Whether another revision than `commit` is the newest now, or the Application is gone.
    pub(super) fn preemption(&self, commit: String) -> impl Fn() -> bool + Sync + use<> {
        let state = self
            .source
            .as_ref()
            .map(|(_, subscription)| subscription.state.clone());
        let requests = self.requests.clone();
        move || {
            let newer = state.as_ref().is_some_and(|state| {
                let resolved = &state.borrow().resolved;
                resolved
                    .as_ref()
                    .is_some_and(|r| r.revision.commit != commit)
            });
            newer || requests.borrow().gone
        }
    }
}
