//! Watching: full objects, as one identity, in one namespace or in all.

use std::time::Duration;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client};

use super::{Error, Resource};
use crate::object::Object;

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WatchScope {
    /// The resource.
    pub resource: Resource,
    /// One namespace, or `None` for all.
    pub namespace: Option<String>,
    /// A label selector, or `None` for all objects.
    pub selector: Option<String>,
    /// The name of the only object, or `None` for all.
    pub name: Option<String>,
}

/// What a watch tells.
#[derive(Debug, Clone, PartialEq)]
pub enum WatchEvent {
    /// The list begins anew: what is not listed until [`WatchEvent::Listed`] is gone.
    Relist,
    /// The object is, or became, this.
    Applied(Object),
    /// The object is gone, or does not match the selector any more: a GET tells which.
    Deleted(Object),
    /// The list is complete.
    Listed,
}

/// Watches with kube's state machine: list, then watch; relist on 410; backoff on errors.
pub(super) fn watch(
    client: Client,
    scope: &WatchScope,
) -> BoxStream<'static, Result<WatchEvent, Error>> {
    let gvk = &scope.resource.gvk;
    let api_resource = ApiResource {
        group: gvk.group.clone(),
        version: gvk.version.clone(),
        api_version: gvk.api_version(),
        kind: gvk.kind.clone(),
        plural: scope.resource.plural.as_ref().into(),
    };
    let api: Api<DynamicObject> = match &scope.namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &api_resource),
        None => Api::all_with(client, &api_resource),
    };
    let config = watcher::Config {
        label_selector: scope.selector.clone(),
        field_selector: scope
            .name
            .as_ref()
            .map(|name| format!("metadata.name={name}")),
        ..watcher::Config::default()
    };
    events(
        watcher(api, config).backoff(Waits::default()),
        scope.resource.clone(),
    )
    .boxed()
}

/// How long a watch that failed waits at most before it is opened again.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// The longest time between two failures of one watch: that, and the time that a connection may take.
pub const LONGEST_GAP: Duration = Duration::from_secs(30);

/// kube's own waits, but none longer than [`LONGEST_WAIT`].
#[derive(Default)]
struct Waits(watcher::DefaultBackoff);

impl Iterator for Waits {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(|wait| wait.min(LONGEST_WAIT))
    }
}

impl Backoff for Waits {
    fn reset(&mut self) {
        self.0.reset();
    }
}

fn events(
    stream: impl Stream<Item = watcher::Result<watcher::Event<DynamicObject>>> + Send,
    resource: Resource,
) -> impl Stream<Item = Result<WatchEvent, Error>> + Send {
    stream.map(move |item| match item {
        Ok(watcher::Event::Init) => Ok(WatchEvent::Relist),
        Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => {
            plain(object, &resource).map(WatchEvent::Applied)
        }
        Ok(watcher::Event::Delete(object)) => plain(object, &resource).map(WatchEvent::Deleted),
        Ok(watcher::Event::InitDone) => Ok(WatchEvent::Listed),
        Err(error) => Err(error_of(&error, &resource.gvk.kind)),
    })
}

/// The object as JSON. Items of lists come without `apiVersion` and `kind`; events have them.
fn plain(object: DynamicObject, resource: &Resource) -> Result<Object, Error> {
    let value = serde_json::to_value(object);
    let value = value.map_err(|e| Error::Garbled {
        doing: format!("watch {}", resource.gvk.kind),
        why: e.to_string(),
    })?;
    Ok(super::kube::typed(value, resource))
}

fn error_of(error: &watcher::Error, kind: &str) -> Error {
    let doing = format!("watch {kind}");
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => {
            super::kube::refused(doing, status, kind)
        }
        watcher::Error::WatchError(status) => super::kube::refused(doing, status, kind),
        other => Error::Unreachable {
            doing,
            why: super::kube::chain(other),
        },
    }
}
