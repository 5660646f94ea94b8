//! Last-good in the cluster: Secrets in the agent's namespace, beside the inventory; see
//! [`crate::inventory::last_good`] for what is in them.
//!
//! Chunks are immutable. New ones come first, then the index that names them, then old ones go: a
//! crash in between leaves chunks that no index names, and the next save deletes those.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::store::{SECRET_TYPE, secrets};
use crate::api::RevisionId;
use crate::cluster::{Cluster, Error, Identity, Propagation, Target};
use crate::error::{Class, Fault};
use crate::inventory::Owner;
use crate::inventory::last_good::{
    Accepted, Chunk, Index, LastGoodError, Layout, decode, decode_index, encode_index,
};
use crate::object::Object;

/// Label of the Secrets of last-good: the key of the Application.
const KEY_LABEL: &str = "towline.dev/last-good";

/// Last-good that could not be read or stored.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChunksError {
    /// The API server did not do it.
    #[error("last-good: {0}")]
    Cluster(#[from] Error),
    /// It is there, and cannot be understood.
    #[error("last-good in Secret {secret}: {cause}")]
    Secret {
        /// Which one.
        secret: String,
        /// Why.
        cause: LastGoodError,
    },
    /// It is not stored.
    #[error("last-good is not stored: {0}")]
    Refused(#[from] LastGoodError),
}

impl Fault for ChunksError {
    fn class(&self) -> Class {
        match self {
            Self::Cluster(error) if error.is_conflict() => Class::Retry,
            Self::Cluster(error) => error.class(),
            Self::Secret { cause, .. } | Self::Refused(cause) => cause.class(),
        }
    }
    fn reason(&self) -> &'static str {
        match self {
            Self::Cluster(error) => error.reason(),
            Self::Secret { cause, .. } | Self::Refused(cause) => cause.reason(),
        }
    }
}

/// Where one Application's last-good is stored.
pub(super) struct Chunks {
    namespace: String,
    owner: Owner,
    /// What is in the cluster; `None` before it was listed, and when that is not sure any more.
    stored: Option<Stored>,
}

/// What is in the cluster.
#[derive(Default)]
struct Stored {
    /// resourceVersion of the index: a write with an old one is refused by the server.
    version: Option<String>,
    /// What it says.
    index: Index,
    /// The chunks that the index names, and that are there.
    chunks: BTreeMap<String, Chunk>,
    /// Every Secret that is not the index: name and UID.
    present: BTreeMap<String, String>,
    /// Of these, the ones that cannot be used.
    broken: BTreeSet<String>,
    /// A Secret that a newer agent wrote: all of it is left alone.
    newer: Option<(String, LastGoodError)>,
}

/// What was found, as far as it can be used.
pub(super) struct Found {
    /// The accepted objects.
    pub(super) objects: Vec<Accepted>,
    /// The revision that is gone back to, if all of it is there.
    pub(super) good: Option<(RevisionId, Vec<Accepted>)>,
    /// Why there are not more of them.
    pub(super) failure: Option<ChunksError>,
}

impl Chunks {
    /// The store of an Application, in the agent's namespace.
    pub(super) fn new(namespace: impl Into<String>, owner: Owner) -> Self {
        Self {
            namespace: namespace.into(),
            owner,
            stored: None,
        }
    }

    /// Reads everything, in one request.
    ///
    /// # Errors
    /// When the API server does not answer. What cannot be understood is part of the answer.
    pub(super) async fn load(&mut self, cluster: &dyn Cluster) -> Result<Found, ChunksError> {
        self.stored = None;
        let mut secrets: BTreeMap<String, Object> = self
            .list(cluster)
            .await?
            .into_iter()
            .map(|secret| (secret.name().to_owned(), secret))
            .collect();
        let mut stored = Stored::default();
        let mut failure = None;
        if let Some(index) = secrets.remove(&self.index_name()) {
            stored.version = Some(index.resource_version().to_owned());
            match decode_index(&content(&index)) {
                Ok(index) => stored.index = index,
                Err(cause) => failure = Some((self.index_name(), cause)),
            }
        }
        let mut read: BTreeMap<String, Vec<Accepted>> = BTreeMap::new();
        for (digest, chunk) in stored.index.all() {
            let name = self.chunk_name(&digest);
            let secret = secrets.get(&name);
            let found = match secret.map(|secret| decode(&content(secret), &digest)) {
                None => Err(LastGoodError::Unreadable("it is not there".into())),
                Some(found) => found,
            };
            match found {
                Ok(found) => {
                    read.insert(digest.clone(), found);
                    stored.chunks.insert(digest, chunk);
                }
                Err(cause) => {
                    if secret.is_some() {
                        stored.broken.insert(name.clone());
                    }
                    failure = Some((name, cause));
                }
            }
        }
        let good = stored.index.good.as_ref().and_then(|good| {
            let parts = good
                .chunks
                .iter()
                .map(|chunk| read.get(&chunk.digest).cloned());
            let parts: Vec<Vec<Accepted>> = parts.collect::<Option<_>>()?;
            Some((good.id.clone(), parts.concat()))
        });
        let accepted = stored.index.accepted.iter();
        let objects = accepted
            .filter_map(|chunk| read.remove(&chunk.digest))
            .flatten()
            .collect();
        stored.newer = failure
            .clone()
            .filter(|(_, cause)| matches!(cause, LastGoodError::Newer(_)));
        stored.present = secrets
            .into_iter()
            .map(|(name, secret)| (name, secret.uid().to_owned()))
            .collect();
        self.stored = Some(stored);
        let failure = failure.map(|(secret, cause)| self.unreadable(secret, cause));
        Ok(Found {
            objects,
            good,
            failure,
        })
    }

    /// Stores what changed; writes nothing when nothing did. `lay` spreads the objects over chunks,
    /// given those that are stored.
    ///
    /// # Errors
    /// When something could not be stored; what was stored before still counts then.
    pub(super) async fn save<F>(
        &mut self,
        cluster: &dyn Cluster,
        lay: impl FnOnce(BTreeMap<String, Chunk>) -> F,
    ) -> Result<(), ChunksError>
    where
        F: Future<Output = Result<Layout, LastGoodError>>,
    {
        if self.stored.is_none() {
            self.load(cluster).await?;
        }
        let mut stored = self.stored.take().unwrap_or_default();
        let saved = self.write(cluster, &mut stored, lay).await;
        // After an error of the API server it is not sure what was written: it is read anew.
        if !matches!(saved, Err(ChunksError::Cluster(_))) {
            self.stored = Some(stored);
        }
        saved
    }

    async fn write<F>(
        &self,
        cluster: &dyn Cluster,
        stored: &mut Stored,
        lay: impl FnOnce(BTreeMap<String, Chunk>) -> F,
    ) -> Result<(), ChunksError>
    where
        F: Future<Output = Result<Layout, LastGoodError>>,
    {
        if let Some((secret, cause)) = stored.newer.clone() {
            return Err(self.unreadable(secret, cause));
        }
        let layout = lay(stored.chunks.clone()).await?;
        for name in std::mem::take(&mut stored.broken) {
            self.remove(cluster, stored, &name).await?;
        }
        let index = layout.index();
        let wanted = index.all();
        for (digest, bytes) in &layout.new {
            let name = self.chunk_name(digest);
            // A crash before the index was stored left it; its name says what is in it.
            if stored.present.contains_key(&name) {
                self.remove(cluster, stored, &name).await?;
            }
            let mut body = self.body(&name, bytes);
            body.0["immutable"] = true.into();
            let target = self.target(&name);
            let made = cluster.create(&Identity::Agent, &target, &body).await?;
            stored.present.insert(name, made.uid().to_owned());
        }
        if stored.version.is_none() || index != stored.index || wanted != stored.chunks {
            let target = self.target(&self.index_name());
            let mut body = self.body(&self.index_name(), &encode_index(&index));
            let written = match &stored.version {
                Some(version) => {
                    body.0["metadata"]["resourceVersion"] = version.as_str().into();
                    cluster.replace(&Identity::Agent, &target, &body).await?
                }
                None => cluster.create(&Identity::Agent, &target, &body).await?,
            };
            stored.version = Some(written.resource_version().to_owned());
            stored.index = index;
            stored.chunks = wanted;
        }
        let old: Vec<String> = stored
            .present
            .keys()
            .filter(|name| {
                let digest = name.rsplit('-').next().unwrap_or_default();
                !stored.chunks.contains_key(digest)
            })
            .cloned()
            .collect();
        for name in old {
            self.remove(cluster, stored, &name).await?;
        }
        Ok(())
    }

    /// Deletes everything: the Application is gone.
    ///
    /// # Errors
    /// When a Secret could not be deleted.
    pub(super) async fn delete(&mut self, cluster: &dyn Cluster) -> Result<(), ChunksError> {
        self.stored = None;
        for secret in self.list(cluster).await? {
            let target = self.target(secret.name());
            cluster
                .delete(
                    &Identity::Agent,
                    &target,
                    secret.uid(),
                    Propagation::Background,
                )
                .await?;
        }
        Ok(())
    }

    async fn list(&self, cluster: &dyn Cluster) -> Result<Vec<Object>, Error> {
        let selector = format!("{KEY_LABEL}={}", self.owner.key());
        let namespace = Some(self.namespace.as_str());
        cluster
            .list(&Identity::Agent, &secrets(), namespace, Some(&selector))
            .await
    }

    async fn remove(
        &self,
        cluster: &dyn Cluster,
        stored: &mut Stored,
        name: &str,
    ) -> Result<(), Error> {
        let uid = stored.present.get(name).cloned().unwrap_or_default();
        let target = self.target(name);
        cluster
            .delete(&Identity::Agent, &target, &uid, Propagation::Background)
            .await?;
        stored.present.remove(name);
        Ok(())
    }

    fn unreadable(&self, secret: String, cause: LastGoodError) -> ChunksError {
        ChunksError::Secret {
            secret: format!("{}/{secret}", self.namespace),
            cause,
        }
    }

    fn target(&self, name: &str) -> Target {
        Target::new(&secrets(), self.namespace.as_str(), name)
    }

    fn index_name(&self) -> String {
        format!("towline-last-good-{}", self.owner.key())
    }

    fn chunk_name(&self, digest: &str) -> String {
        format!("towline-last-good-{}-{digest}", self.owner.key())
    }

    fn body(&self, name: &str, bytes: &[u8]) -> Object {
        Object(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": SECRET_TYPE,
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "labels": {
                    KEY_LABEL: self.owner.key(),
                    "app.kubernetes.io/managed-by": "towline",
                },
                "annotations": {
                    "towline.dev/last-good-of": self.owner.application(),
                },
            },
            "data": {"objects": STANDARD.encode(bytes)},
        }))
    }
}

/// The bytes in a Secret; none where they are no base64, which is told as rubbish then.
fn content(secret: &Object) -> Vec<u8> {
    let text = secret.0.pointer("/data/objects").and_then(|e| e.as_str());
    STANDARD
        .decode(text.unwrap_or_default())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cluster::fake::FakeCluster;
    use crate::cluster::{Discovery, Resource};
    use crate::desired::{DesiredObject, build};
    use crate::inventory::last_good::{Limits, layout};
    use crate::object::Scope;
    use crate::render::{RenderedObject, Source};

    fn owner() -> Owner {
        Owner {
            install: "towline-system".into(),
            namespace: "towline-system".into(),
            name: "shop".into(),
        }
    }

    fn chunks() -> Chunks {
        Chunks::new("towline-system", owner())
    }

    fn objects(values: &[(&str, &str)]) -> Vec<Arc<DesiredObject>> {
        let rendered: Vec<RenderedObject> = values
            .iter()
            .map(|(name, value)| RenderedObject {
                value: json!({"apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": {"name": name}, "data": {"value": value}}),
                source: Source {
                    path: "a.yaml".into(),
                    line: None,
                },
                generated: None,
            })
            .collect();
        let config_maps = Resource::known("v1", "ConfigMap", "configmaps", Scope::Namespaced);
        let discovery = Discovery::from_resources([config_maps]);
        let built = build(&rendered, &discovery, &owner(), "shop").expect("valid");
        built.objects.into_values().collect()
    }

    async fn save(
        chunks: &mut Chunks,
        cluster: &FakeCluster,
        values: &[(&str, &str)],
    ) -> Result<(), ChunksError> {
        let objects = objects(values);
        chunks
            .save(cluster, |stored| async move {
                let pairs: Vec<(&DesiredObject, &str)> =
                    objects.iter().map(|o| (&**o, "")).collect();
                layout(&pairs, &stored, Limits::default())
            })
            .await
    }

    /// Names and values that the next agent would find.
    async fn found(cluster: &FakeCluster) -> Vec<String> {
        let found = chunks().load(cluster).await.expect("readable");
        assert!(found.failure.is_none(), "{:?}", found.failure);
        found
            .objects
            .into_iter()
            .map(|accepted| accepted.rendered().value)
            .map(|value| format!("{}={}", value["metadata"]["name"], value["data"]["value"]))
            .map(|text| text.replace('"', ""))
            .collect()
    }

    fn writes(cluster: &FakeCluster, since: usize) -> Vec<String> {
        let is_write = |r: &String| !r.starts_with("list") && !r.starts_with("get");
        let requests = cluster.requests().into_iter().skip(since);
        requests
            .filter(is_write)
            .map(|request| request.split(' ').next().unwrap_or_default().to_owned())
            .collect()
    }

    #[tokio::test]
    async fn what_was_saved_is_found_and_the_same_again_writes_nothing() {
        let cluster = FakeCluster::new([]);
        let mut first = chunks();
        save(&mut first, &cluster, &[("a", "1")])
            .await
            .expect("saved");
        assert_eq!(writes(&cluster, 0), ["create", "create"]);
        assert_eq!(found(&cluster).await, ["a=1"]);
        let before = cluster.requests().len();
        save(&mut first, &cluster, &[("a", "1")])
            .await
            .expect("saved");
        save(&mut chunks(), &cluster, &[("a", "1")])
            .await
            .expect("saved");
        assert_eq!(writes(&cluster, before), [""; 0]);
        save(&mut first, &cluster, &[("a", "2")])
            .await
            .expect("saved");
        // The new chunk, the index, the old chunk: in this order.
        assert_eq!(writes(&cluster, before), ["create", "replace", "delete"]);
        assert_eq!(found(&cluster).await, ["a=2"]);
        first.delete(&cluster).await.expect("deleted");
        assert!(found(&cluster).await.is_empty());
    }

    #[tokio::test]
    async fn a_save_that_fails_leaves_the_old_one_and_the_next_cleans_up() {
        let cluster = FakeCluster::new([]);
        let mut first = chunks();
        save(&mut first, &cluster, &[("a", "1")])
            .await
            .expect("saved");
        let index = format!("Secret/towline-system/{}", first.index_name());
        cluster.fail(format!("replace {index}"), 500);
        save(&mut first, &cluster, &[("a", "2")])
            .await
            .expect_err("scripted");
        assert_eq!(found(&cluster).await, ["a=1"]);
        let again = cluster.requests().len();
        save(&mut first, &cluster, &[("a", "1")])
            .await
            .expect("saved");
        assert_eq!(writes(&cluster, again), ["delete"], "what no index names");
        assert_eq!(found(&cluster).await, ["a=1"]);
    }

    #[tokio::test]
    async fn a_chunk_that_is_lost_or_not_its_own_is_told_and_made_anew() {
        let cluster = FakeCluster::new([]);
        save(&mut chunks(), &cluster, &[("a", "1")])
            .await
            .expect("saved");
        let stored = chunks().list(&cluster).await.expect("listed");
        let chunk = stored
            .iter()
            .find(|secret| secret.0["immutable"] == true)
            .expect("one chunk");
        let mut other = chunk.clone();
        other.0["data"]["objects"] = "cnViYmlzaA==".into();
        cluster.put(other);
        let mut next = chunks();
        let found = next.load(&cluster).await.expect("readable");
        let failure = found.failure.expect("told").to_string();
        assert!(failure.contains(chunk.name()), "{failure}");
        assert!(found.objects.is_empty());
        save(&mut next, &cluster, &[("a", "1")])
            .await
            .expect("saved");
        assert_eq!(self::found(&cluster).await, ["a=1"]);
    }

    #[tokio::test]
    async fn what_a_newer_agent_stored_is_left_alone() {
        use std::io::Write as _;
        let cluster = FakeCluster::new([]);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"towline-last-good 2\n{\"frames\": []}\n")
            .expect("a Vec takes every byte");
        let bytes = gzip.finish().expect("a Vec takes every byte");
        let name = chunks().index_name();
        cluster.put(chunks().body(&name, &bytes));
        let error = save(&mut chunks(), &cluster, &[("a", "1")]).await;
        let error = error.expect_err("newer").to_string();
        assert!(
            error.contains("format 2 is newer than this agent"),
            "{error}"
        );
        assert!(error.contains(&name), "{error}");
        assert_eq!(writes(&cluster, 0), [""; 0]);
    }
}
