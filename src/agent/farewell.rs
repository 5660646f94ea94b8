//! The end of towline itself, when somebody deletes its installation without `towline uninstall`.
//!
//! `kubectl delete -k manifests` marks everything for deletion at once: the namespace, the CRD with
//! every Application, and the agent's own rights. An Application with a finalizer would then wait for
//! ever for an agent that may do nothing more. So the agent holds what its rights hang on with a
//! finalizer of its own, lets all Applications go without touching what they deployed, and itself
//! last.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::select_all;
use serde_json::{Value, json};

use super::Options;
use super::finalizers::{TRIES, finalizers, ours, strip};
use super::publish::applications;
use super::store::SECRET_TYPE;
use crate::cluster::{
    Cluster, Error, Identity, MANAGER, Patch, Propagation, Resource, STATUS_MANAGER, Target,
    WatchEvent, WatchScope,
};
use crate::object::{Object, ObjectId, Scope, keys};

/// The wait between two looks at what is still there.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How long the end of the rights is waited for after that of the ServiceAccount: where the namespace
/// alone is deleted, it never comes.
const PATIENCE: Duration = Duration::from_secs(10);
/// towline's CRD.
const CRD: &str = "applications.towline.dev";

/// What an installation consists of, as far as its end is concerned.
pub(super) struct Farewell<'a> {
    cluster: &'a dyn Cluster,
    namespaces: &'a [String],
    crd: Target,
    namespace: Target,
    deployment: Option<Target>,
    account: Target,
    role: Target,
    binding: Target,
}

impl<'a> Farewell<'a> {
    pub(super) fn new(cluster: &'a dyn Cluster, options: &'a Options) -> Self {
        Self {
            namespaces: &options.application_namespaces,
            ..Self::of(cluster, &options.namespace, options.deployment.as_deref())
        }
    }

    fn of(cluster: &'a dyn Cluster, own: &str, deployment: Option<&str>) -> Self {
        let rbac = "rbac.authorization.k8s.io/v1";
        let wide = |api, kind, plural| Resource::known(api, kind, plural, Scope::Cluster);
        let inside = |api, kind, plural| Resource::known(api, kind, plural, Scope::Namespaced);
        let crds = wide(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            "customresourcedefinitions",
        );
        let deployments = inside("apps/v1", "Deployment", "deployments");
        Self {
            cluster,
            namespaces: &[],
            crd: Target::new(&crds, "", CRD),
            namespace: Target::new(&wide("v1", "Namespace", "namespaces"), "", own),
            deployment: deployment.map(|name| Target::new(&deployments, own, name)),
            account: Target::new(
                &inside("v1", "ServiceAccount", "serviceaccounts"),
                own,
                keys::AGENT_ACCOUNT,
            ),
            role: Target::new(
                &wide(rbac, "ClusterRole", "clusterroles"),
                "",
                keys::AGENT_ROLE,
            ),
            binding: Target::new(
                &wide(rbac, "ClusterRoleBinding", "clusterrolebindings"),
                "",
                keys::AGENT_ROLE,
            ),
        }
    }

    /// Puts the agent's finalizer on what its rights hang on. Only an agent that runs does that, so
    /// that one that never started holds nothing; and only one that runs as it was installed.
    pub(super) async fn hold(&self) {
        let Some(deployment) = &self.deployment else {
            return;
        };
        if !matches!(self.get(deployment).await, Ok(Some(_))) || self.has_begun().await {
            return;
        }
        for target in [&self.binding, &self.role, &self.account] {
            let held = match self.get(target).await {
                Ok(Some(object)) if !object.is_terminating() => {
                    self.add_finalizer(target, &object).await
                }
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = held {
                tracing::warn!(%error, "`towline uninstall` is needed before the installation is deleted");
                return;
            }
        }
    }

    /// Waits until somebody deletes the CRD or the agent's namespace.
    pub(super) async fn begun(&self) {
        let watch = |target: &Target| {
            let scope = WatchScope {
                resource: target.resource.clone(),
                namespace: None,
                selector: None,
                name: Some(target.name.clone()),
            };
            self.cluster.watch(&Identity::Agent, &scope)
        };
        let mut events = select_all([watch(&self.crd), watch(&self.namespace)]);
        while let Some(event) = events.next().await {
            match event {
                Ok(WatchEvent::Applied(object)) if object.is_terminating() => return,
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "the installation cannot be watched"),
            }
        }
        // A watch never ends.
        std::future::pending().await
    }

    /// Whether the installation is being deleted. What cannot be read says nothing.
    pub(super) async fn has_begun(&self) -> bool {
        for target in [&self.crd, &self.namespace] {
            if let Ok(Some(object)) = self.get(target).await
                && object.is_terminating()
            {
                return true;
            }
        }
        false
    }

    /// Lets go of everything, until it is gone or there is an installation again. Nothing else may
    /// act meanwhile: an Application in Git would get its finalizer back.
    pub(super) async fn say(&self) {
        tracing::warn!(
            "towline is being deleted: Applications are let go, what they deployed stays"
        );
        let mut waited = Duration::ZERO;
        let mut is_done = false;
        loop {
            if !is_done {
                match self.release_applications().await {
                    Ok(0) => {
                        self.delete_state().await;
                        is_done = self.release_rights(waited >= PATIENCE).await;
                        waited += LOOK_AGAIN;
                    }
                    // Once more, for those that came meanwhile.
                    Ok(_) => continue,
                    Err(error) => tracing::warn!(%error, "Applications are not let go"),
                }
            }
            if !self.has_begun().await && !self.is_leaving().await {
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Takes towline's finalizers off all Applications. Returns how many still had one.
    async fn release_applications(&self) -> Result<usize, Error> {
        let mut found = 0;
        let resource = applications();
        let all = [None].into_iter().filter(|_| self.namespaces.is_empty());
        for namespace in all.chain(self.namespaces.iter().map(|n| Some(n.as_str()))) {
            let list = self
                .cluster
                .list(&Identity::Agent, &resource, namespace, None);
            let list = match list.await {
                // The CRD is gone, and all of them with it.
                Err(error) if error.is_not_found() => continue,
                list => list?,
            };
            for application in list {
                if !ours(&application).is_empty() {
                    found += 1;
                    strip(self.cluster, application, STATUS_MANAGER).await?;
                }
            }
        }
        Ok(found)
    }

    /// What is stored of Applications that are gone has no use; with the namespace it goes by itself.
    async fn delete_state(&self) {
        let secrets = Resource::known("v1", "Secret", "secrets", Scope::Namespaced);
        let own = self.namespace.name.as_str();
        let listed = self
            .cluster
            .list(&Identity::Agent, &secrets, Some(own), None);
        for secret in listed.await.unwrap_or_default() {
            if secret.0.get("type").and_then(Value::as_str) != Some(SECRET_TYPE) {
                continue;
            }
            let target = Target::new(&secrets, own, secret.name());
            let propagation = Propagation::Background;
            let deleted =
                { self.cluster }.delete(&Identity::Agent, &target, secret.uid(), propagation);
            if let Err(error) = deleted.await {
                tracing::debug!(%error, "what was stored of an Application is left");
            }
        }
    }

    /// Whether any of what the agent holds is on its way out.
    async fn is_leaving(&self) -> bool {
        for target in [&self.binding, &self.role, &self.account] {
            if let Ok(Some(object)) = self.get(target).await
                && object.is_terminating()
                && is_held(&object)
            {
                return true;
            }
        }
        false
    }

    /// Lets go of the agent's own rights, when all of them are being deleted, or `anyway`. Returns
    /// true when that is done.
    ///
    /// Neither the role nor its binding can be first: without the one, nobody may take the finalizer
    /// off the other. So the binding is deleted once more, to wait for the role by what the garbage
    /// collector does with owners, which needs no rights of ours.
    async fn release_rights(&self, anyway: bool) -> bool {
        let (Ok(binding), Ok(role), Ok(account)) = futures::join!(
            self.get(&self.binding),
            self.get(&self.role),
            self.get(&self.account)
        ) else {
            return false;
        };
        let is_leaving = |one: &Option<Object>| one.as_ref().is_none_or(|one| one.is_terminating());
        let all = [&binding, &role, &account].into_iter().all(is_leaving);
        let goes = all || (anyway && is_leaving(&account));
        if !goes {
            return false;
        }
        let released = async {
            if let (Some(binding), Some(role)) = (&binding, &role)
                && all
                && is_held(binding)
                && is_held(role)
            {
                self.bequeath(binding, role).await?;
            }
            if let Some(binding) = &binding {
                self.remove_finalizer(&self.binding, binding).await?;
            }
            let last = async |target: &Target, object: &Option<Object>| match object {
                Some(object) => self.remove_finalizer(target, object).await,
                None => Ok(()),
            };
            let (role, account) =
                futures::join!(last(&self.role, &role), last(&self.account, &account));
            role.and(account)
        };
        match released.await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "the agent's rights are not let go");
                false
            }
        }
    }

    /// Has the garbage collector keep the binding until the role is gone.
    async fn bequeath(&self, binding: &Object, role: &Object) -> Result<(), Error> {
        let owner = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "name": binding.name(), "uid": binding.uid(), "blockOwnerDeletion": true});
        let patch =
            Patch::Merge(json!({"metadata": {"ownerReferences": [owner], "uid": role.uid()}}));
        self.patch(&self.role, &patch).await?;
        let propagation = Propagation::Foreground;
        let deleted =
            self.cluster
                .delete(&Identity::Agent, &self.binding, binding.uid(), propagation);
        deleted.await.map(|_| ())
    }

    async fn add_finalizer(&self, target: &Target, object: &Object) -> Result<(), Error> {
        if is_held(object) {
            return Ok(());
        }
        let mut all = finalizers(object);
        all.push(keys::AGENT_FINALIZER);
        let patch = Patch::Merge(json!({"metadata": {"finalizers": all,
            "resourceVersion": object.resource_version()}}));
        self.patch(target, &patch).await
    }

    /// Whatever else is on it stays, what the garbage collector put there meanwhile too.
    async fn remove_finalizer(&self, target: &Target, object: &Object) -> Result<(), Error> {
        let mut found = Some(object.clone());
        for attempt in 1.. {
            let Some(object) = found.filter(is_held) else {
                break;
            };
            let all = finalizers(&object);
            let rest: Vec<&str> = { all.iter().copied() }
                .filter(|name| *name != keys::AGENT_FINALIZER)
                .collect();
            let patch = Patch::Json(json!([
                {"op": "test", "path": "/metadata/finalizers", "value": all},
                {"op": "replace", "path": "/metadata/finalizers", "value": rest},
            ]));
            match self.patch(target, &patch).await {
                Ok(()) => break,
                Err(error) if error.is_not_found() => break,
                Err(error) if attempt == TRIES => return Err(error),
                Err(_) => found = self.get(target).await?,
            }
        }
        Ok(())
    }

    async fn patch(&self, target: &Target, patch: &Patch) -> Result<(), Error> {
        let patched = self
            .cluster
            .patch(&Identity::Agent, target, None, patch, MANAGER);
        patched.await.map(|_| ())
    }

    async fn get(&self, target: &Target) -> Result<Option<Object>, Error> {
        self.cluster.get(&Identity::Agent, target).await
    }
}

/// Takes the agent's finalizer off what its rights hang on, for an agent that does not run.
///
/// # Errors
/// When something could not be read or written.
pub(crate) async fn release(cluster: &dyn Cluster, namespace: &str) -> Result<(), Error> {
    let end = Farewell::of(cluster, namespace, None);
    for target in [&end.binding, &end.role, &end.account] {
        if let Some(object) = end.get(target).await? {
            end.remove_finalizer(target, &object).await?;
        }
    }
    Ok(())
}

/// What has the agent's finalizer.
///
/// # Errors
/// When something could not be read.
pub(crate) async fn held(cluster: &dyn Cluster, namespace: &str) -> Result<Vec<ObjectId>, Error> {
    let end = Farewell::of(cluster, namespace, None);
    let mut held = Vec::new();
    for target in [&end.binding, &end.role, &end.account] {
        let found = end.get(target).await?;
        held.extend(found.filter(is_held).map(|object| object.id()));
    }
    Ok(held)
}

/// Whether the agent's finalizer is on it.
fn is_held(object: &Object) -> bool {
    finalizers(object).contains(&keys::AGENT_FINALIZER)
}
