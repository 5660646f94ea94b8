//! Replicas that an autoscaler owns: whether it is still there.
//!
//! Managed fields say who wrote the replicas last, for ever. Without a look at the autoscalers
//! themselves, replicas would never be Git's again once one is gone. An autoscaler that is not in Git
//! is found by what it writes, and from then on watched by its name for its end: of autoscalers that
//! concern nobody nothing is heard.

use std::collections::{BTreeMap, BTreeSet};

use std::sync::Arc;

use futures::StreamExt as _;

use super::aborting::Aborting;
use super::application::Application;
use super::mailbox::Mailbox;
use crate::cluster::{Cluster, Identity, Lookup, Resource, WatchEvent, WatchScope};
use crate::desired::scaled_by;
use crate::live::Sighting;
use crate::object::{Gvk, ObjectId};

/// The manager as which horizontal pod autoscalers write.
const HPA_MANAGER: &str = "kube-controller-manager";
/// How many autoscalers of an Application are watched. The end of others is seen at the next commit.
const MAX_WATCHES: usize = 32;

/// Who scales a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scaled {
    /// These autoscalers.
    By(BTreeSet<ObjectId>),
    /// That cannot be read.
    Unknown,
    /// An autoscaler that is gone.
    Nobody,
}

/// Why autoscalers cannot be read.
enum Unread {
    /// The request failed, and the next one may not.
    Now,
    /// They may not be read, or there are none.
    Ever,
}

/// The watches of autoscalers that end when they are dropped.
#[derive(Default)]
pub(super) struct AutoscalerWatches(BTreeMap<(Identity, ObjectId), Aborting<()>>);

impl AutoscalerWatches {
    /// Forgets autoscalers that were told to be gone: one of the same name is another one.
    pub(super) fn forget(&mut self, gone: &BTreeSet<ObjectId>) {
        self.0.retain(|(_, id), _| !gone.contains(id));
    }

    /// Forgets watches that ended without a word: autoscalers that could not be watched may be by now.
    fn forget_ended(&mut self) {
        self.0.retain(|_, watch| !watch.0.is_finished());
    }

    /// Watches these, with what they scale, and no others.
    fn set(
        &mut self,
        wanted: &BTreeMap<&ObjectId, &ObjectId>,
        resource: &Resource,
        (cluster, mailbox): (&Arc<dyn Cluster>, &Arc<Mailbox>),
        who: &Identity,
    ) {
        self.0
            .retain(|(as_whom, id), _| as_whom == who && wanted.contains_key(id));
        for (id, target) in wanted {
            let key = (who.clone(), (*id).clone());
            if self.0.len() >= MAX_WATCHES && !self.0.contains_key(&key) {
                continue;
            }
            self.0.entry(key).or_insert_with(|| {
                let scope = WatchScope {
                    resource: resource.clone(),
                    namespace: Some(id.namespace.clone()),
                    selector: None,
                    name: Some(id.name.clone()),
                };
                let (cluster, mailbox) = (Arc::clone(cluster), Arc::clone(mailbox));
                let (who, id, target) = (who.clone(), (*id).clone(), (*target).clone());
                Aborting(tokio::spawn(async move {
                    if is_gone(&*cluster, &who, &scope, &target).await {
                        mailbox.put_autoscaler(id);
                    }
                }))
            });
        }
    }
}

/// Waits until an autoscaler is gone or scales something else; false where it may not be watched.
async fn is_gone(
    cluster: &dyn Cluster,
    who: &Identity,
    scope: &WatchScope,
    target: &ObjectId,
) -> bool {
    let mut events = cluster.watch(who, scope);
    let mut is_there = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(WatchEvent::Relist) => is_there = false,
            Ok(WatchEvent::Applied(object)) => {
                let scales = scaled_by(&object, &target.namespace);
                if object.is_terminating() || scales.as_ref() != Some(target) {
                    return true;
                }
                is_there = true;
            }
            Ok(WatchEvent::Deleted(_)) => return true,
            Ok(WatchEvent::Listed) if !is_there => return true,
            Ok(WatchEvent::Listed) => {}
            Err(error) if error.is_forbidden() => {
                tracing::info!(%error, "the end of an autoscaler is seen at the next commit only");
                return false;
            }
            // It is opened again.
            Err(error) => tracing::debug!(%error, "an autoscaler is not watched"),
        }
    }
    false
}

impl Application {
    /// Finds the workloads whose replicas were an autoscaler's that is gone: they hold something
    /// else than Git says. Where that cannot be told, the replicas stay as they are.
    pub(super) async fn look_for_autoscalers(&mut self, who: &Identity) {
        let yielded: BTreeSet<ObjectId> = self
            .live
            .iter()
            .filter(|(id, sighting)| {
                let by = sighting
                    .present()
                    .and_then(|seen| seen.yielded_to.as_deref());
                by == Some(HPA_MANAGER) && self.declares_replicas(id)
            })
            .map(|(id, _)| id.clone())
            .collect();
        self.scaled.retain(|id, _| yielded.contains(id));
        let new: Vec<&ObjectId> = yielded
            .iter()
            .filter(|id| !self.scaled.contains_key(*id))
            .collect();
        let namespaces: BTreeSet<&str> = new.iter().map(|id| id.namespace.as_str()).collect();
        let mut found: BTreeMap<ObjectId, Scaled> = BTreeMap::new();
        for namespace in namespaces {
            let targets = self.autoscaled_in(who, namespace).await;
            for id in new.iter().filter(|id| id.namespace == namespace) {
                let scaled = match &targets {
                    // It is asked again at the next look.
                    Err(Unread::Now) => continue,
                    Err(Unread::Ever) => Scaled::Unknown,
                    Ok(all) => (all.get(*id).cloned()).map_or(Scaled::Nobody, Scaled::By),
                };
                found.insert((*id).clone(), scaled);
            }
        }
        if !found.is_empty() {
            // Not at every look: where autoscalers may be read and not watched, that would be a request
            // for each.
            self.autoscalers.forget_ended();
        }
        self.scaled.extend(found);
        self.unscaled = self
            .scaled
            .iter()
            .filter(|(_, scaled)| **scaled == Scaled::Nobody)
            .map(|(id, _)| id.clone())
            .collect();
        self.watch_autoscalers(who);
        for id in &self.unscaled {
            if let Some(Sighting::Present(seen)) = self.live.get_mut(id) {
                seen.holds = None;
            }
        }
    }

    /// Watches the autoscalers that replicas are left to now.
    fn watch_autoscalers(&mut self, who: &Identity) {
        let mut wanted = BTreeMap::new();
        for (id, scaled) in &self.scaled {
            if let Scaled::By(autoscalers) = scaled {
                wanted.extend(autoscalers.iter().map(|autoscaler| (autoscaler, id)));
            }
        }
        let discovery = self.discovery.as_ref();
        let Some(Lookup::Served(resource)) = discovery.map(|d| d.lookup_kind(&kind())) else {
            return;
        };
        let shared = (&self.shared.cluster, &self.mailbox);
        self.autoscalers.set(&wanted, resource, shared, who);
    }

    /// Whether Git says how many replicas, and no autoscaler beside it.
    fn declares_replicas(&self, id: &ObjectId) -> bool {
        let declared = self.enforced.get(id);
        declared.is_some_and(|object| {
            let compared = object.ignore.without(&object.object().0);
            compared.pointer("/spec/replicas").is_some()
        })
    }

    /// What horizontal pod autoscalers of a namespace scale.
    async fn autoscaled_in(
        &self,
        who: &Identity,
        namespace: &str,
    ) -> Result<BTreeMap<ObjectId, BTreeSet<ObjectId>>, Unread> {
        let discovery = self.discovery.as_ref().ok_or(Unread::Now)?;
        let Lookup::Served(resource) = discovery.lookup_kind(&kind()) else {
            return Err(Unread::Ever);
        };
        let cluster = &*self.shared.cluster;
        let listed = cluster.list(who, resource, Some(namespace), None).await;
        match listed {
            Ok(objects) => {
                let mut found: BTreeMap<ObjectId, BTreeSet<ObjectId>> = BTreeMap::new();
                for object in objects.iter().filter(|object| !object.is_terminating()) {
                    if let Some(target) = scaled_by(object, namespace) {
                        found.entry(target).or_default().insert(object.id());
                    }
                }
                Ok(found)
            }
            Err(error) => {
                tracing::warn!(application = self.owner.name, %error, "replicas that an autoscaler set are left alone");
                Err(if error.is_forbidden() {
                    Unread::Ever
                } else {
                    Unread::Now
                })
            }
        }
    }

    /// The workloads whose replicas are left to an autoscaler although Git says how many.
    pub(super) fn yielding(&self) -> Vec<String> {
        self.enforced
            .iter()
            .filter(|(id, object)| {
                let seen = self.live.get(*id).and_then(Sighting::present);
                seen.is_some_and(|seen| seen.yielded_to.is_some())
                    && object.object().0.pointer("/spec/replicas").is_some()
                    && !self.unscaled.contains(*id)
            })
            .map(|(id, _)| id.to_string())
            .collect()
    }
}

/// What an autoscaler is.
fn kind() -> Gvk {
    Gvk::from_api_version("autoscaling/v2", "HorizontalPodAutoscaler")
}
