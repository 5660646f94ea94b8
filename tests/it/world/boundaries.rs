//! Every write of an agent, by name, and an agent that dies at one of them.
//!
//! The fail points are at the door to the API server, so that no write can be without one, and they
//! are in the tests, so that no release can have them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{BoxStream, StreamExt as _};
use tokio::sync::watch;
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

/// What happens to a write or a watch of some name, until it is lifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is not sent before.
    Waits,
    /// It is not sent before a write of this name was answered.
    WaitsFor(&'static str),
    /// It is refused as by a server that has lost its storage.
    Fails,
    /// Of a watch: nobody hears that something was deleted.
    Deaf,
}

/// What the agents of a test wrote, by name; and the moment at which they die, all at once: from
/// then on nothing that they ask is sent or answered, as after `kill -9`. Until then it may have
/// faults.
#[derive(Default)]
pub struct Fate(watch::Sender<State>);

#[derive(Default)]
struct State {
    written: BTreeMap<String, usize>,
    at: Option<Point>,
    is_dead: bool,
    faults: BTreeMap<String, Fault>,
    /// Faults that something has run into.
    met: BTreeSet<String>,
    /// Writes as they were sent, and `listed KIND` for the lists of watches as they were heard.
    journal: Vec<String>,
    /// Writes that were answered.
    answered: BTreeSet<String>,
}

impl Fate {
    /// Dies there.
    pub fn at(point: Point) -> Arc<Self> {
        let at = Some(point);
        Arc::new(Self(watch::Sender::new(State {
            at,
            ..State::default()
        })))
    }

    pub fn is_dead(&self) -> bool {
        self.0.borrow().is_dead
    }

    /// How often each write was made.
    pub fn written(&self) -> BTreeMap<String, usize> {
        self.0.borrow().written.clone()
    }

    /// Gives the writes of this name, or the watches (`watch Job`), a fault.
    pub fn fault(&self, name: &str, fault: Fault) {
        self.0.send_modify(|state| {
            state.met.remove(name);
            state.faults.insert(name.to_owned(), fault);
        });
    }

    /// Takes the fault away again.
    pub fn lift(&self, name: &str) {
        self.0.send_modify(|state| {
            state.faults.remove(name);
        });
    }

    /// Whether something has run into the fault of this name.
    pub fn is_met(&self, name: &str) -> bool {
        self.0.borrow().met.contains(name)
    }

    /// What was sent and listed so far, in its order.
    pub fn journal(&self) -> Vec<String> {
        self.0.borrow().journal.clone()
    }

    /// Goes on once no fault is in the way any more.
    async fn pass(&self, name: &str) -> Result<(), Error> {
        let has_fault = |state: &mut State| {
            let has = state.faults.contains_key(name);
            has && state.met.insert(name.to_owned())
        };
        self.0.send_if_modified(has_fault);
        let mut states = self.0.subscribe();
        loop {
            let fault = {
                let state = states.borrow_and_update();
                let fault = state.faults.get(name).copied();
                let is_free = match fault {
                    Some(Fault::Waits) => false,
                    Some(Fault::WaitsFor(write)) => state.answered.contains(write),
                    Some(Fault::Fails | Fault::Deaf) | None => true,
                };
                is_free.then_some(fault)
            };
            match fault {
                Some(Some(Fault::Fails)) => {
                    return Err(Error::Refused {
                        doing: name.to_owned(),
                        code: 500,
                        server_reason: "InternalError".into(),
                        message: "etcdserver: no space".into(),
                        retry_after: None,
                    });
                }
                Some(_) => return Ok(()),
                // The sender is in `self`.
                None => drop(states.changed().await),
            }
        }
    }

    /// Counts a write that is about to be sent. Returns whether it is the last one that is.
    fn begin(&self, name: &str) -> Next {
        let mut next = Next::Never;
        self.0.send_modify(|state| {
            if state.is_dead {
                return;
            }
            let count = state.written.entry(name.to_owned()).or_default();
            *count += 1;
            let number = *count;
            let side = match &state.at {
                Some(at) if at.name == name && at.number == number => Some(at.side),
                _ => None,
            };
            state.is_dead |= side == Some(Side::Before);
            next = match side {
                None => Next::Send,
                Some(Side::Before) => Next::Never,
                Some(Side::After) => Next::SendAndDie,
            };
            if !matches!(next, Next::Never) {
                state.journal.push(name.to_owned());
            }
        });
        next
    }

    fn answered(&self, name: &str) {
        self.0
            .send_if_modified(|state| state.answered.insert(name.to_owned()));
    }

    /// What an agent hears of an event: nothing, where its fate has that.
    fn hears(&self, kind: &str, event: &Result<WatchEvent, Error>) -> bool {
        if matches!(event, Ok(WatchEvent::Listed)) {
            let listed = format!("listed {kind}");
            self.0.send_modify(|state| state.journal.push(listed));
        }
        let state = self.0.borrow();
        let is_deaf = state.faults.get(&format!("watch {kind}")) == Some(&Fault::Deaf);
        let is_deletion = matches!(event, Ok(WatchEvent::Deleted(_)));
        !(state.is_dead || is_deaf && is_deletion)
    }

    fn die(&self) {
        self.0.send_modify(|state| state.is_dead = true);
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
        request: BoxFuture<'a, Result<T, Error>>,
    ) -> BoxFuture<'a, Result<T, Error>> {
        async move {
            self.fate.pass(&name).await?;
            match self.fate.begin(&name) {
                Next::Never => std::future::pending().await,
                Next::Send => {
                    let answer = self.read(request).await;
                    self.fate.answered(&name);
                    answer
                }
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

    fn pages<'a>(
        &'a self,
        who: &'a Identity,
        resource: &'a Resource,
        namespace: Option<&'a str>,
        selector: Option<&'a str>,
        page: &'a mut (dyn FnMut(Vec<Object>) + Send),
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.read(self.cluster.pages(who, resource, namespace, selector, page))
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
        let kind = scope.resource.gvk.kind.clone();
        let opened = async move {
            // One that fails is opened again, after a wait of its own, and nobody tests that here.
            let _ = fate.pass(&format!("watch {kind}")).await;
            events.filter(move |event| std::future::ready(fate.hears(&kind, event)))
        };
        opened.flatten_stream().boxed()
    }
}
