//! Facts about the cluster that the health of some objects hangs on, and that those who own the
//! objects may not be allowed to read: what a StorageClass does, what a CRD declares. Read as the
//! agent, because the answer tells nothing but that, and shared by all Applications.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::{Cluster, Discovery, Identity, Lookup, Resource, Target};
use crate::health::Question;
use crate::object::{Object, Scope};

/// How long an answer holds. Neither fact can be changed in place without a new version or another
/// object of the name.
const FRESH: Duration = Duration::from_secs(600);
/// How long it holds that there was none: the object may come, the server may be back.
const RETRY: Duration = Duration::from_secs(30);

/// Answers to questions, each with the time until which it holds.
#[derive(Default)]
pub struct Elsewhere {
    answers: Mutex<BTreeMap<Question, (bool, Instant)>>,
}

impl Elsewhere {
    /// The answer, as far as it is known: no where it is not.
    pub fn answer(&self, question: &Question) -> bool {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get(question).is_some_and(|(yes, _)| *yes)
    }

    /// Asks what is not known yet, or not any more.
    pub async fn ask(
        &self,
        cluster: &dyn Cluster,
        discovery: &Discovery,
        questions: BTreeSet<Question>,
    ) {
        for question in questions {
            let is_known = {
                let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
                let known = answers.get(&question);
                known.is_some_and(|(_, until)| Instant::now() < *until)
            };
            if is_known {
                continue;
            }
            let (yes, holds) = look_up(cluster, discovery, &question).await;
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            answers.insert(question, (yes, Instant::now() + holds));
        }
    }
}

async fn look_up(
    cluster: &dyn Cluster,
    discovery: &Discovery,
    question: &Question,
) -> (bool, Duration) {
    let Some(target) = target(discovery, question) else {
        return (false, RETRY);
    };
    match cluster.get(&Identity::Agent, &target).await {
        Ok(Some(object)) => (read(&object, question), FRESH),
        Ok(None) => (false, RETRY),
        Err(error) => {
            tracing::debug!(%error, "an object's health is told without this");
            (false, RETRY)
        }
    }
}

/// Where the answer stands.
fn target(discovery: &Discovery, question: &Question) -> Option<Target> {
    match question {
        Question::BindsLate(class) => {
            let classes = Resource::known(
                "storage.k8s.io/v1",
                "StorageClass",
                "storageclasses",
                Scope::Cluster,
            );
            Some(Target::new(&classes, "", class.as_str()))
        }
        Question::DeclaresStatus(gvk) => {
            let Lookup::Served(resource) = discovery.lookup(gvk) else {
                return None;
            };
            let crds = Resource::known(
                "apiextensions.k8s.io/v1",
                "CustomResourceDefinition",
                "customresourcedefinitions",
                Scope::Cluster,
            );
            let name = format!("{}.{}", resource.plural, gvk.group);
            Some(Target::new(&crds, "", name))
        }
    }
}

fn read(object: &Object, question: &Question) -> bool {
    match question {
        Question::BindsLate(_) => object.0["volumeBindingMode"] == "WaitForFirstConsumer",
        Question::DeclaresStatus(gvk) => {
            let versions = object
                .0
                .pointer("/spec/versions")
                .and_then(|v| v.as_array());
            let version = versions
                .into_iter()
                .flatten()
                .find(|version| version["name"] == gvk.version.as_str());
            let status = version
                .and_then(|v| v.pointer("/schema/openAPIV3Schema/properties/status/properties"));
            let declares = |name| status.is_some_and(|status| status.get(name).is_some());
            declares("observedGeneration") || declares("conditions")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::fake::FakeCluster;
    use crate::object::Gvk;

    #[tokio::test]
    async fn a_class_is_read_once_and_as_the_agent() {
        let cluster = FakeCluster::default();
        cluster.put(Object(
            json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {"name": "late"}, "volumeBindingMode": "WaitForFirstConsumer"}),
        ));
        cluster.fail("get StorageClass/secret", 403);
        let question = |name: &str| Question::BindsLate(name.into());
        let elsewhere = Elsewhere::default();
        for _ in 0..2 {
            let all = ["late", "none", "secret"].map(question);
            elsewhere
                .ask(&cluster, &Discovery::default(), all.into())
                .await;
        }
        let answers =
            ["late", "none", "secret", "never asked"].map(|n| elsewhere.answer(&question(n)));
        assert_eq!(answers, [true, false, false, false]);
        assert_eq!(
            cluster.requests(),
            [
                "get StorageClass/late",
                "get StorageClass/none",
                "get StorageClass/secret"
            ]
        );
    }

    #[tokio::test]
    async fn a_crd_declares_a_status_for_each_version() {
        let gvk =
            |version: &str| Gvk::from_api_version(&format!("example.com/{version}"), "Widget");
        let served = |version: &str| {
            Resource::known(
                &format!("example.com/{version}"),
                "Widget",
                "widgets",
                Scope::Namespaced,
            )
        };
        let cluster = FakeCluster::default();
        let version = |name, status| json!({"name": name, "schema": {"openAPIV3Schema": {"properties": {"status": status}}}});
        cluster.put(Object(json!({"apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition", "metadata": {"name": "widgets.example.com"},
            "spec": {"versions": [
                version("v1", json!({"properties": {"phase": {}}})),
                version("v2", json!({"properties": {"conditions": {}}})),
                version("v3", json!({"properties": {"observedGeneration": {}}}))]}})));
        let discovery = Discovery::from_resources(["v1", "v2", "v3"].map(served));
        let elsewhere = Elsewhere::default();
        let questions = ["v1", "v2", "v3", "v4"].map(|v| Question::DeclaresStatus(gvk(v)));
        elsewhere
            .ask(&cluster, &discovery, questions.clone().into())
            .await;
        assert_eq!(
            questions.map(|question| elsewhere.answer(&question)),
            [false, true, true, false]
        );
    }
}
