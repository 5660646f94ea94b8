//! Every write of an agent, by name, and an agent that dies at one of them.
//!
//! The fail points are at the door to the API server, so that no write can be without one, and they
//! are in the tests, so that no release can have them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{BoxStream, StreamExt as _};
use towline::cluster::{
    Cluster, Deleted, Discovery, Error, Identity, KubeCluster, LogTail, Patch, Propagation, Put,
    Resource, Target, WatchEvent, WatchScope,
};
use towline::object::Object;

/// Which side of a write an agent dies on: before it was sent, or once it was done and before the
/// agent heard of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    Before,
    After,
}

/// A moment to die at: a side of the `number`th write of this name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    pub name: String,
    pub number: usize,
    pub side: Side,
}

/// What the agents of a test wrote, by name; and the moment at which they die, all at once: from
/// then on nothing that they ask is sent or answered, as after `kill -9`.
#[derive(Default)]
pub struct Fate(Mutex<State>);

#[derive(Default)]
struct State {
    written: BTreeMap<String, usize>,
    at: Option<Point>,
    is_dead: bool,
}

impl Fate {
    /// Dies there.
    pub fn at(point: Point) -> Arc<Self> {
        let at = Some(point);
        Arc::new(Self(Mutex::new(State {
            at,
            ..State::default()
        })))
    }

    pub fn is_dead(&self) -> bool {
        self.0.lock().unwrap().is_dead
    }

    /// How often each write was made.
    pub fn written(&self) -> BTreeMap<String, usize> {
        self.0.lock().unwrap().written.clone()
    }

    /// Counts a write that is about to be sent. Returns whether it is the last one that is.
    fn begin(&self, name: &str) -> Next {
        let mut state = self.0.lock().unwrap();
        if state.is_dead {
            return Next::Never;
        }
        let count = state.written.entry(name.to_owned()).or_default();
        *count += 1;
        let number = *count;
        let side = match &state.at {
            Some(at) if at.name == name && at.number == number => at.side,
            _ => return Next::Send,
        };
        state.is_dead |= side == Side::Before;
        match side {
            Side::Before => Next::Never,
            Side::After => Next::SendAndDie,
        }
    }

    fn die(&self) {
        self.0.lock().unwrap().is_dead = true;
    }
}

enum Next {
    Send,
    SendAndDie,
    Never,
}

/// The API server, for an agent with a fate.
pub struct Fated {
    pub cluster: KubeCluster,
    pub fate: Arc<Fate>,
}

impl Fated {
    fn read<'a, T: Send + 'a>(&'a self, request: BoxFuture<'a, T>) -> BoxFuture<'a, T> {
        async move {
            if self.fate.is_dead() {
                return std::future::pending().await;
            }
            let answer = request.await;
            if self.fate.is_dead() {
                return std::future::pending().await;
            }
            answer
        }
        .boxed()
    }

    fn write<'a, T: Send + 'a>(
        &'a self,
        name: String,
        request: BoxFuture<'a, T>,
    ) -> BoxFuture<'a, T> {
        async move {
            match self.fate.begin(&name) {
                Next::Never => std::future::pending().await,
                Next::Send => self.read(request).await,
                Next::SendAndDie => {
                    let _ = request.await;
                    self.fate.die();
                    std::future::pending().await
                }
            }
        }
        .boxed()
    }
}

/// `create Secret/towline-inventory`: the verb, and the kind; for towline's own Secrets what is in
/// them too.
fn name(verb: &str, target: &Target, subresource: Option<&str>) -> String {
    let kind = target.resource.gvk.kind.as_str();
    let own = ["towline-inventory", "towline-last-good"];
    let what = own.iter().find(|prefix| target.name.starts_with(**prefix));
    let tail = what.copied().or(subresource);
    tail.map_or_else(
        || format!("{verb} {kind}"),
        |tail| format!("{verb} {kind}/{tail}"),
    )
}

impl Cluster for Fated {
    fn discover(&self) -> BoxFuture<'_, Result<Discovery, Error>> {
        self.read(self.cluster.discover())
    }

    fn get<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
    ) -> BoxFuture<'a, Result<Option<Object>, Error>> {
        self.read(self.cluster.get(who, target))
    }

    fn list<'a>(
        &'a self,
        who: &'a Identity,
        resource: &'a Resource,
        namespace: Option<&'a str>,
        selector: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<Object>, Error>> {
        self.read(self.cluster.list(who, resource, namespace, selector))
    }

    fn apply<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
        body: &'a Object,
        dry_run: bool,
    ) -> BoxFuture<'a, Result<Object, Error>> {
        let request = self.cluster.apply(who, target, body, dry_run);
        if dry_run {
            return self.read(request);
        }
        self.write(name("apply", target, None), request)
    }

    fn patch<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
        subresource: Option<&'a str>,
        patch: &'a Patch,
        manager: &'a str,
    ) -> BoxFuture<'a, Result<Object, Error>> {
        let request = self.cluster.patch(who, target, subresource, patch, manager);
        self.write(name("patch", target, subresource), request)
    }

    fn create<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
        body: &'a Object,
    ) -> BoxFuture<'a, Result<Object, Error>> {
        let request = self.cluster.create(who, target, body);
        self.write(name("create", target, None), request)
    }

    fn replace<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
        body: &'a Object,
    ) -> BoxFuture<'a, Result<Object, Error>> {
        let request = self.cluster.replace(who, target, body);
        self.write(name("replace", target, None), request)
    }

    fn put<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
        body: &'a Object,
        how: Put,
        dry_run: bool,
    ) -> BoxFuture<'a, Result<Object, Error>> {
        let request = self.cluster.put(who, target, body, how, dry_run);
        if dry_run {
            return self.read(request);
        }
        self.write(name("put", target, None), request)
    }

    fn delete<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
        uid: &'a str,
        propagation: Propagation,
    ) -> BoxFuture<'a, Result<Deleted, Error>> {
        let request = self.cluster.delete(who, target, uid, propagation);
        self.write(name("delete", target, None), request)
    }

    fn log<'a>(
        &'a self,
        who: &'a Identity,
        pod: &'a Target,
        tail: &'a LogTail,
    ) -> BoxFuture<'a, Result<String, Error>> {
        self.read(self.cluster.log(who, pod, tail))
    }

    fn watch(
        &self,
        who: &Identity,
        scope: &WatchScope,
    ) -> BoxStream<'static, Result<WatchEvent, Error>> {
        let fate = Arc::clone(&self.fate);
        let events = self.cluster.watch(who, scope);
        events
            .filter(move |_| std::future::ready(!fate.is_dead()))
            .boxed()
    }
}
