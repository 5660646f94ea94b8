//! Replicas that an autoscaler owns: whether it is still there.
//!
//! Managed fields say who wrote the replicas last, for ever. Without a look at the autoscalers
//! themselves, replicas would never be Git's again once one is gone. Nothing is watched for it: who
//! made an autoscaler outside of Git is seen by what it writes, and its end at the next commit.

use std::collections::{BTreeMap, BTreeSet};

use super::application::Application;
use crate::cluster::{Identity, Lookup};
use crate::desired::scaled_by;
use crate::live::Sighting;
use crate::object::{Gvk, ObjectId};

/// The manager as which horizontal pod autoscalers write.
const HPA_MANAGER: &str = "kube-controller-manager";

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
        let mut found: BTreeMap<ObjectId, bool> = BTreeMap::new();
        for namespace in namespaces {
            let targets = self.autoscaled_in(who, namespace).await;
            for id in new.iter().filter(|id| id.namespace == namespace) {
                let is_scaled = targets.as_ref().is_none_or(|all| all.contains(*id));
                found.insert((*id).clone(), is_scaled);
            }
        }
        self.scaled.extend(found);
        self.unscaled = self
            .scaled
            .iter()
            .filter(|(_, is_scaled)| !**is_scaled)
            .map(|(id, _)| id.clone())
            .collect();
        for id in &self.unscaled {
            if let Some(Sighting::Present(seen)) = self.live.get_mut(id) {
                seen.holds = None;
            }
        }
    }

    /// Whether Git says how many replicas, and no autoscaler beside it.
    fn declares_replicas(&self, id: &ObjectId) -> bool {
        let declared = self.enforced.get(id);
        declared.is_some_and(|object| {
            let compared = object.ignore.without(&object.object().0);
            compared.pointer("/spec/replicas").is_some()
        })
    }

    /// What horizontal pod autoscalers of a namespace scale; `None` where that cannot be read.
    async fn autoscaled_in(&self, who: &Identity, namespace: &str) -> Option<BTreeSet<ObjectId>> {
        let kind = Gvk::from_api_version("autoscaling/v2", "HorizontalPodAutoscaler");
        let discovery = self.discovery.as_ref()?;
        let Lookup::Served(resource) = discovery.lookup_kind(&kind) else {
            return None;
        };
        let cluster = &*self.shared.cluster;
        let listed = cluster.list(who, resource, Some(namespace), None).await;
        match listed {
            Ok(objects) => Some(
                objects
                    .iter()
                    .filter(|object| !object.is_terminating())
                    .filter_map(|object| scaled_by(object, namespace))
                    .collect(),
            ),
            Err(error) => {
                tracing::warn!(application = self.owner.name, %error, "replicas that an autoscaler set are left alone");
                None
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
