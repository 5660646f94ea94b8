//! A recording fake with scripted answers, for fast tests of what is asked of a cluster.
//!
//! It knows nothing of server-side apply, of admission or of any kind: behaviour is proven on the
//! real API server, which starts in seconds.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use futures::FutureExt as _;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use super::{
    Cluster, Deleted, Discovery, Error, Identity, LogTail, Patch, Propagation, Put, Resource,
    Target, WatchEvent, WatchScope,
};
use crate::object::{Object, ObjectId};

/// So few objects are given at a time by a list.
const PAGE: usize = 7;

/// A fake cluster: objects by id, failures by request, and a record of every request.
#[derive(Default)]
pub struct FakeCluster {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    discovery: Discovery,
    objects: BTreeMap<ObjectId, Object>,
    failures: BTreeMap<String, u16>,
    logs: BTreeMap<String, String>,
    requests: Vec<String>,
}

impl FakeCluster {
    /// An empty cluster that serves these resources.
    pub fn new(resources: impl IntoIterator<Item = Resource>) -> Self {
        let state = State {
            discovery: Discovery::from_resources(resources),
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
        }
    }

    /// Puts an object there.
    pub fn put(&self, object: Object) {
        self.lock().objects.insert(object.id(), object);
    }

    /// Makes a request, written as [`Self::requests`] writes it, fail with an HTTP status. A list
    /// may fail later, as `list secrets in shop, page 2`.
    pub fn fail(&self, request: impl Into<String>, code: u16) {
        self.lock().failures.insert(request.into(), code);
    }

    /// Makes a request for a log, written as [`Self::requests`] writes it, answer with this text.
    pub fn says(&self, request: impl Into<String>, text: impl Into<String>) {
        self.lock().logs.insert(request.into(), text.into());
    }

    /// Every request so far, such as `apply Deployment/shop/web` or
    /// `get ConfigMap/shop/a as system:serviceaccount:shop:deployer`.
    pub fn requests(&self) -> Vec<String> {
        self.lock().requests.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Records a request, and fails it where that is scripted.
    fn record(&self, who: &Identity, request: String) -> Result<MutexGuard<'_, State>, Error> {
        let request = match who.user() {
            Some(user) => format!("{request} as {user}"),
            None => request,
        };
        self.lock().requests.push(request.clone());
        self.check(&request)?;
        Ok(self.lock())
    }

    /// Fails where that is scripted.
    fn check(&self, request: &str) -> Result<(), Error> {
        match self.lock().failures.get(request) {
            None => Ok(()),
            Some(code) => Err(Error::Refused {
                doing: request.into(),
                code: *code,
                server_reason: "Scripted".into(),
                message: "scripted failure".into(),
                retry_after: None,
            }),
        }
    }

    /// Stores what was written, with the uid that a server would give.
    fn write(
        &self,
        who: &Identity,
        verb: &str,
        target: &Target,
        body: &Object,
    ) -> Result<Object, Error> {
        let mut state = self.record(who, format!("{verb} {}", target.id()))?;
        let mut object = body.clone();
        let uid = format!("uid-of-{}", target.name);
        let version = state.requests.len().to_string();
        if let Some(metadata) = object.0.get_mut("metadata").and_then(|m| m.as_object_mut()) {
            metadata.entry("uid").or_insert(uid.into());
            metadata.insert("resourceVersion".into(), version.into());
        }
        state.objects.insert(target.id(), object.clone());
        Ok(object)
    }
}

impl Cluster for FakeCluster {
    fn discover(&self) -> BoxFuture<'_, Result<Discovery, Error>> {
        let answer = self
            .record(&Identity::Agent, "discover".into())
            .map(|state| state.discovery.clone());
        async move { answer }.boxed()
    }

    fn get<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
    ) -> BoxFuture<'a, Result<Option<Object>, Error>> {
        let answer = self
            .record(who, format!("get {}", target.id()))
            .map(|state| state.objects.get(&target.id()).cloned());
        async move { answer }.boxed()
    }

    fn pages<'a>(
        &'a self,
        who: &'a Identity,
        resource: &'a Resource,
        namespace: Option<&'a str>,
        _selector: Option<&'a str>,
        page: &'a mut (dyn FnMut(Vec<Object>) + Send),
    ) -> BoxFuture<'a, Result<(), Error>> {
        let namespace = namespace.unwrap_or_default().to_owned();
        let request = format!("list {} in {namespace}", resource.plural);
        let found = self.record(who, request).map(|state| {
            let matches = |id: &ObjectId| {
                id.kind == resource.gvk.kind && (namespace.is_empty() || id.namespace == namespace)
            };
            state
                .objects
                .iter()
                .filter(|(id, _)| matches(id))
                .map(|(_, o)| o.clone())
                .collect::<Vec<_>>()
        });
        let answer = found.and_then(|found| {
            for (number, few) in (1..).zip(found.chunks(PAGE)) {
                self.check(&format!(
                    "list {} in {namespace}, page {number}",
                    resource.plural
                ))?;
                page(few.to_vec());
            }
            Ok(())
        });
        async move { answer }.boxed()
    }

    fn apply<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
        body: &'a Object,
        dry_run: bool,
    ) -> BoxFuture<'a, Result<Object, Error>> {
        let verb = if dry_run { "dry-run" } else { "apply" };
        let answer = self.write(who, verb, target, body);
        async move { answer }.boxed()
    }

    fn patch<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
        _subresource: Option<&'a str>,
        patch: &'a Patch,
        _manager: &'a str,
    ) -> BoxFuture<'a, Result<Object, Error>> {
        let answer =
            self.record(who, format!("patch {}", target.id()))
                .map(|mut state| match state.objects.get_mut(&target.id()) {
                    Some(object) => {
                        if let Patch::Merge(patch) = patch {
                            merge(&mut object.0, patch);
                        }
                        object.clone()
                    }
                    None => Object(serde_json::Value::Null),
                });
        async move { answer }.boxed()
    }

    fn create<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
        body: &'a Object,
    ) -> BoxFuture<'a, Result<Object, Error>> {
        let answer = self.write(who, "create", target, body);
        async move { answer }.boxed()
    }

    fn replace<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
        body: &'a Object,
    ) -> BoxFuture<'a, Result<Object, Error>> {
        let answer = self.write(who, "replace", target, body);
        async move { answer }.boxed()
    }

    fn put<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
        body: &'a Object,
        how: Put,
        dry_run: bool,
    ) -> BoxFuture<'a, Result<Object, Error>> {
        let verb = match (how, dry_run) {
            (_, true) => "dry-run",
            (Put::Create, false) => "create",
            (Put::Replace, false) => "replace",
        };
        let answer = self.write(who, verb, target, body);
        async move { answer }.boxed()
    }

    fn delete<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
        uid: &'a str,
        _propagation: Propagation,
    ) -> BoxFuture<'a, Result<Deleted, Error>> {
        let answer =
            self.record(who, format!("delete {}", target.id()))
                .map(
                    |mut state| match state.objects.get(&target.id()).map(|o| o.uid() == uid) {
                        None => Deleted::Absent,
                        Some(false) => Deleted::OtherUid,
                        Some(true) => {
                            state.objects.remove(&target.id());
                            Deleted::Gone
                        }
                    },
                );
        async move { answer }.boxed()
    }

    fn log<'a>(
        &'a self,
        who: &'a Identity,
        pod: &'a Target,
        tail: &'a LogTail,
    ) -> BoxFuture<'a, Result<String, Error>> {
        let run = if tail.previous { "previous " } else { "" };
        let request = format!("{run}log of {} in {}", tail.container, pod.id());
        let answer = self.record(who, request.clone());
        let answer = answer.map(|state| state.logs.get(&request).cloned().unwrap_or_default());
        async move { answer }.boxed()
    }

    fn watch(
        &self,
        who: &Identity,
        scope: &WatchScope,
    ) -> BoxStream<'static, Result<WatchEvent, Error>> {
        let namespace = scope.namespace.as_deref().unwrap_or_default();
        let selector = scope.selector.as_deref().unwrap_or_default();
        let request = format!(
            "watch {} in {namespace} of {selector}",
            scope.resource.plural
        );
        let events = match self.record(who, request) {
            Err(error) => vec![Err(error)],
            Ok(state) => {
                let is_there = |id: &ObjectId| {
                    id.kind == scope.resource.gvk.kind
                        && (namespace.is_empty() || id.namespace == namespace)
                };
                let found = state.objects.iter().filter(|(id, _)| is_there(id));
                let found = found.map(|(_, object)| WatchEvent::Applied(object.clone()));
                let begin = std::iter::once(WatchEvent::Relist);
                let events = begin.chain(found).chain([WatchEvent::Listed]);
                events.map(Ok).collect()
            }
        };
        futures::stream::iter(events)
            .chain(futures::stream::pending())
            .boxed()
    }
}
/// A merge patch (RFC 7386).
fn merge(value: &mut serde_json::Value, patch: &serde_json::Value) {
    let Some(patch) = patch.as_object() else {
        value.clone_from(patch);
        return;
    };
    if !value.is_object() {
        *value = serde_json::json!({});
    }
    let Some(map) = value.as_object_mut() else {
        return;
    };
    for (key, patch) in patch {
        if patch.is_null() {
            map.remove(key);
        } else {
            merge(map.entry(key).or_insert(serde_json::Value::Null), patch);
        }
    }
}
