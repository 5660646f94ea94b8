//! Inventories in the cluster: Secrets in the agent's namespace, one for each shard.
//!
//! Secrets and not ConfigMaps, because their type keeps them out of other tools' caches
//! (`type=towline.dev/state` can be excluded by a field selector), and because who may read
//! ConfigMaps should not learn what an Application owns.

use std::collections::BTreeMap;

use base64::Engine as _;
use serde_json::json;

use crate::cluster::{Cluster, Error, Identity, Resource, Target};
use crate::error::{Class, Fault};
use crate::inventory::{Inventory, Owner, ShardError, decode, encode};
use crate::object::{Object, Scope};

/// The type of the Secrets that hold towline's own state.
pub const SECRET_TYPE: &str = "towline.dev/state";
/// Label of inventory Secrets: the key of the Application.
const KEY_LABEL: &str = "towline.dev/inventory";

/// An inventory that could not be read or stored. Nothing is written to the cluster then.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The API server did not do it.
    #[error("the inventory: {0}")]
    Cluster(#[from] Error),
    /// It is there, and cannot be understood.
    #[error(transparent)]
    Shard(#[from] ShardError),
}

impl Fault for StoreError {
    fn class(&self) -> Class {
        match self {
            // Somebody else wrote it: another replica. It is read anew.
            Self::Cluster(error) if error.is_conflict() => Class::Retry,
            Self::Cluster(error) => error.class(),
            Self::Shard(error) => error.class(),
        }
    }
    fn reason(&self) -> &'static str {
        match self {
            Self::Cluster(error) => error.reason(),
            Self::Shard(error) => error.reason(),
        }
    }
}

/// Where one Application's inventory is stored.
pub struct Store {
    namespace: String,
    owner: Owner,
    /// resourceVersion of each stored shard: a write with an old one is refused by the server.
    versions: BTreeMap<usize, String>,
}

impl Store {
    /// The store of an Application, in the agent's namespace.
    pub fn new(namespace: impl Into<String>, owner: Owner) -> Self {
        Self {
            namespace: namespace.into(),
            owner,
            versions: BTreeMap::new(),
        }
    }

    /// Reads the whole inventory.
    ///
    /// # Errors
    /// When it cannot be read, or when one shard cannot be understood.
    pub async fn load(&mut self, cluster: &dyn Cluster) -> Result<Inventory, StoreError> {
        let selector = format!("{KEY_LABEL}={}", self.owner.key());
        let namespace = Some(self.namespace.as_str());
        let secrets = cluster
            .list(&Identity::Agent, &secrets(), namespace, Some(&selector))
            .await?;
        let mut shards: BTreeMap<usize, _> = BTreeMap::new();
        self.versions.clear();
        for secret in secrets {
            let Some(number) = secret
                .name()
                .rsplit('-')
                .next()
                .and_then(|n| n.parse().ok())
            else {
                continue;
            };
            let text = secret.0.pointer("/data/entries").and_then(|e| e.as_str());
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(text.unwrap_or_default())
                .unwrap_or_default();
            shards.insert(number, decode(&bytes)?);
            self.versions
                .insert(number, secret.resource_version().to_owned());
        }
        let count = shards.keys().next_back().map_or(0, |last| last + 1);
        Ok(Inventory::from_shards(
            (0..count).map(|n| shards.remove(&n).unwrap_or_default()),
        ))
    }

    /// Stores the shards that changed.
    ///
    /// # Errors
    /// When one could not be stored; those before it are.
    pub async fn save(
        &mut self,
        cluster: &dyn Cluster,
        inventory: &mut Inventory,
    ) -> Result<(), StoreError> {
        for number in inventory.changed_shards() {
            let entries = inventory.shard(number);
            let target = Target::new(&secrets(), self.namespace.as_str(), self.name(number));
            let mut body = self.body(number, &encode(&entries));
            let stored = match self.versions.get(&number) {
                Some(version) => {
                    body.0["metadata"]["resourceVersion"] = version.as_str().into();
                    cluster.replace(&Identity::Agent, &target, &body).await?
                }
                None => cluster.create(&Identity::Agent, &target, &body).await?,
            };
            self.versions
                .insert(number, stored.resource_version().to_owned());
            inventory.stored(number);
        }
        Ok(())
    }

    /// Deletes the whole inventory: the Application is gone, and so are its objects or its claim.
    ///
    /// # Errors
    /// When a shard could not be deleted.
    pub async fn delete(&mut self, cluster: &dyn Cluster) -> Result<(), StoreError> {
        let selector = format!("{KEY_LABEL}={}", self.owner.key());
        let namespace = Some(self.namespace.as_str());
        for secret in cluster
            .list(&Identity::Agent, &secrets(), namespace, Some(&selector))
            .await?
        {
            let target = Target::new(&secrets(), self.namespace.as_str(), secret.name());
            let propagation = crate::cluster::Propagation::Background;
            cluster
                .delete(&Identity::Agent, &target, secret.uid(), propagation)
                .await?;
        }
        self.versions.clear();
        Ok(())
    }

    fn name(&self, number: usize) -> String {
        format!("towline-inventory-{}-{number}", self.owner.key())
    }

    fn body(&self, number: usize, bytes: &[u8]) -> Object {
        Object(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": SECRET_TYPE,
            "metadata": {
                "name": self.name(number),
                "namespace": self.namespace,
                "labels": {
                    KEY_LABEL: self.owner.key(),
                    "app.kubernetes.io/managed-by": "towline",
                },
                // A key is a hash: this is for people who wonder whose it is.
                "annotations": {
                    "towline.dev/inventory-of": self.owner.application(),
                },
            },
            "data": {"entries": base64::engine::general_purpose::STANDARD.encode(bytes)},
        }))
    }
}

/// The resource of Secrets.
pub(super) fn secrets() -> Resource {
    Resource::known("v1", "Secret", "secrets", Scope::Namespaced)
}
