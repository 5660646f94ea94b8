//! The door to the Kubernetes API server.
//!
//! Everything that reads or writes a cluster goes through [`Cluster`], and every call names the
//! [`Identity`] as which it is made, so that no read, write or watch for an Application can happen
//! with more rights than its ServiceAccount has. `kube.rs` is the real one, `fake.rs` records.

mod connect;
mod discovery;
mod error;
pub mod fake;
mod immutable;
mod kube;
mod throttle;
mod watch;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use serde_json::Value;

pub use connect::{ConnectError, connect, connect_with};
pub use discovery::{Discovery, Lookup, Resource};
pub use error::{Error, remedy};
pub use kube::KubeCluster;
pub use watch::{LONGEST_GAP, WatchEvent, WatchScope};

use crate::object::{Object, ObjectId};

/// The field manager of objects that come from Git. Load-bearing: what it owns is what towline
/// heals, and a field that it stops applying is removed.
pub const MANAGER: &str = "towline";
/// The field manager of status and annotations that towline writes on Applications, of its
/// inventory and of its Lease. Never the same as [`MANAGER`]: an apply under one name drops what
/// the other wrote.
pub const STATUS_MANAGER: &str = "towline-status";
/// The field manager of the `managedFields` patches that take over what others left behind.
pub const ADOPT_MANAGER: &str = "towline-adopt";

/// As whom a request is made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// The agent's own ServiceAccount, or the person at the CLI.
    Agent,
    /// `spec.serviceAccountName` of an Application, by impersonation.
    ServiceAccount {
        /// The Application's namespace.
        namespace: String,
        /// The ServiceAccount's name.
        name: String,
    },
}

impl Identity {
    /// The user name that the API server sees, or `None` for the agent's own.
    ///
    /// The server adds the groups of a ServiceAccount by itself when none are sent, so that the
    /// right to impersonate `serviceaccounts` is enough.
    pub fn user(&self) -> Option<String> {
        match self {
            Self::Agent => None,
            Self::ServiceAccount { namespace, name } => {
                Some(format!("system:serviceaccount:{namespace}:{name}"))
            }
        }
    }
}

/// One object's place in the API: what a request is sent to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The resource, with the version that is used.
    pub resource: Resource,
    /// Namespace; empty for an object of cluster scope.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Target {
    /// The target of an object of that resource.
    pub fn new(resource: &Resource, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            resource: resource.clone(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// The identity of what is there.
    pub fn id(&self) -> ObjectId {
        let gvk = &self.resource.gvk;
        ObjectId::new(
            gvk.group.as_str(),
            gvk.kind.as_str(),
            self.namespace.as_str(),
            self.name.as_str(),
        )
    }

    /// The path of its collection, without a leading host: `/apis/apps/v1/namespaces/shop/deployments`.
    pub fn collection_path(&self) -> String {
        self.resource.path(&self.namespace)
    }
}

/// How a delete treats dependants, as `propagationPolicy` says it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Propagation {
    /// The object goes at once, its dependants later. What kubectl does.
    #[default]
    Background,
    /// The object goes after its dependants.
    Foreground,
    /// The object goes, its dependants stay.
    Orphan,
}

/// What became of a delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone.
    Gone,
    /// Accepted; finalizers or a grace period keep the object a while.
    Terminating,
    /// It was not there.
    Absent,
    /// An object of that name is there, but not the one that was meant: nothing was deleted.
    OtherUid,
}

/// How an object is written without server-side apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It must not exist yet.
    Create,
    /// It must exist; a `resourceVersion` in the body makes that conditional.
    Replace,
}

/// Which part of the log of a pod is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogTail {
    /// The container.
    pub container: String,
    /// The run before the last restart, not the one that goes on.
    pub previous: bool,
    /// How many lines from the end.
    pub lines: usize,
}

/// Which kind of patch is sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Patch {
    /// JSON patch (RFC 6902), for tests of a resourceVersion.
    Json(Value),
    /// JSON merge patch (RFC 7386).
    Merge(Value),
}

/// The API server, as one identity or another. Reads tell absence from failure: `None` and
/// [`Deleted::Absent`] are positive 404s of this very object; everything else is an [`Error`].
pub trait Cluster: Send + Sync {
    /// What the server serves, in two requests.
    fn discover(&self) -> BoxFuture<'_, Result<Discovery, Error>>;

    /// One object, or `None` when the server says that this very object does not exist.
    fn get<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
    ) -> BoxFuture<'a, Result<Option<Object>, Error>>;

    /// All objects of a resource in a namespace (or everywhere), that match a label selector.
    fn list<'a>(
        &'a self,
        who: &'a Identity,
        resource: &'a Resource,
        namespace: Option<&'a str>,
        selector: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<Object>, Error>> {
        async move {
            let mut all = Vec::new();
            self.pages(who, resource, namespace, selector, &mut |page| {
                all.extend(page);
            })
            .await?;
            Ok(all)
        }
        .boxed()
    }

    /// The same, given to `page` as the server sends them, some hundreds at a time: who keeps little
    /// of an object never holds all of them. After an error those that came before are not all.
    fn pages<'a>(
        &'a self,
        who: &'a Identity,
        resource: &'a Resource,
        namespace: Option<&'a str>,
        selector: Option<&'a str>,
        page: &'a mut (dyn FnMut(Vec<Object>) + Send),
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Server-side apply as [`MANAGER`], forced. Returns the live object after it. `dry_run` asks
    /// the server for the result without writing it.
    fn apply<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
        body: &'a Object,
        dry_run: bool,
    ) -> BoxFuture<'a, Result<Object, Error>>;

    /// A patch of the object or of one of its subresources, as the given field manager.
    fn patch<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
        subresource: Option<&'a str>,
        patch: &'a Patch,
        manager: &'a str,
    ) -> BoxFuture<'a, Result<Object, Error>>;

    /// Creates an object of the agent's own (inventory, Lease, event).
    fn create<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
        body: &'a Object,
    ) -> BoxFuture<'a, Result<Object, Error>>;

    /// Replaces an object; a `resourceVersion` in it makes that conditional.
    fn replace<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
        body: &'a Object,
    ) -> BoxFuture<'a, Result<Object, Error>>;

    /// Writes a whole object as [`MANAGER`]: the way of what server-side apply refuses. Returns the
    /// live object after it.
    fn put<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
        body: &'a Object,
        how: Put,
        dry_run: bool,
    ) -> BoxFuture<'a, Result<Object, Error>>;

    /// Deletes the object with this UID, and no other of the same name.
    fn delete<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
        uid: &'a str,
        propagation: Propagation,
    ) -> BoxFuture<'a, Result<Deleted, Error>>;

    /// The last lines of what a container of a pod said. At most 64 KiB: it is a stranger's text.
    fn log<'a>(
        &'a self,
        who: &'a Identity,
        pod: &'a Target,
        tail: &'a LogTail,
    ) -> BoxFuture<'a, Result<String, Error>>;

    /// Full objects of a resource as they are and as they change. Never ends; errors are items and
    /// the stream goes on after them with a wait of its own.
    fn watch(
        &self,
        who: &Identity,
        scope: &WatchScope,
    ) -> BoxStream<'static, Result<WatchEvent, Error>>;
}
