//! What Applications tell each other: one board that all read, written by the watch of
//! Applications alone. Who depends on others is woken when it changes, and asks nobody.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

use super::application::Application;
use super::key_of;
use crate::api::ApplicationSpec;
use crate::error::Class;
use crate::object::Object;
use crate::plan::dependencies::{Blocked, Key, Standing, Standings, blocked};
use crate::status::Problem;

/// See the module.
pub(super) struct Board {
    standings: watch::Sender<Standings>,
    /// How many lists of Applications are still to come.
    missing: AtomicUsize,
    /// The agent's namespace: its Applications may depend on those of others.
    namespace: String,
}

impl Board {
    /// Nobody is known yet.
    pub(super) fn new(namespace: impl Into<String>) -> Self {
        Self {
            standings: watch::Sender::new(Standings::default()),
            missing: AtomicUsize::new(1),
            namespace: namespace.into(),
        }
    }

    /// To be woken by.
    pub(super) fn subscribe(&self) -> watch::Receiver<Standings> {
        self.standings.subscribe()
    }

    /// Notes what an Application says now.
    pub(super) fn put(&self, object: &Object) {
        let key = key_of(object);
        let standing = Standing::read(object, object.namespace() == self.namespace);
        self.change(|all| all.known.insert(key, standing.clone()).as_ref() != Some(&standing));
    }

    /// Notes that an Application is gone.
    pub(super) fn remove(&self, key: &Key) {
        self.change(|all| all.known.remove(key).is_some());
    }

    /// Applications come in this many lists, one for each namespace.
    pub(super) fn expect(&self, lists: usize) {
        self.missing.store(lists, Ordering::SeqCst);
    }

    /// Notes that a list is complete. What no list has is not there.
    pub(super) fn listed(&self) {
        let count = |missing: usize| Some(missing.saturating_sub(1));
        let before = self
            .missing
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, count);
        if before.is_ok_and(|missing| missing <= 1) {
            self.change(|all| !std::mem::replace(&mut all.complete, true));
        }
    }

    fn change(&self, change: impl FnOnce(&mut Standings) -> bool) {
        self.standings.send_if_modified(change);
    }
}

impl Application {
    /// Looks at what the Application depends on. Returns true when that has changed.
    pub(super) fn check_dependencies(&mut self) -> bool {
        let commit = self.target.as_ref().map_or("", |(commit, _)| commit);
        let now = blocked(&self.key(), commit, &self.standings.borrow_and_update());
        std::mem::replace(&mut self.blocked_by, now.clone()) != now
    }

    /// A circle, as a problem: it is a mistake whether or not there is something to roll forward.
    pub(super) fn tell_circle(&mut self) {
        if let Some(Blocked { reason, line }) = &self.blocked_by
            && *reason == "DependencyCycle"
        {
            self.problems.push(Problem {
                reason: (*reason).into(),
                message: line.clone(),
                class: Class::Stalled,
            });
        }
    }
}

/// Why a spec may not name these dependencies: whether an Application of another namespace is
/// there, and how it is, is not for everybody to know.
pub(super) fn forbidden(
    spec: &ApplicationSpec,
    namespace: &str,
    agent_namespace: &str,
) -> Option<String> {
    if namespace == agent_namespace {
        return None;
    }
    let mut needs = spec.depends_on.iter().flatten();
    needs
        .find_map(|need| need.namespace.as_deref().filter(|other| *other != namespace))
        .map(|other| {
            format!(
                "spec.dependsOn: namespace `{other}` is another one: only Applications of the agent's namespace `{agent_namespace}` may depend on those of others"
            )
        })
}

/// Waits until some Application says something new; for ever where nothing is depended on.
pub(super) async fn stirred(standings: &mut watch::Receiver<Standings>, own: &Key) {
    loop {
        let depends = {
            let all = standings.borrow();
            all.known
                .get(own)
                .is_some_and(|standing| !standing.needs.is_empty())
        };
        if standings.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        if depends {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tenants_name_only_their_own() {
        let spec = |namespace: &str| {
            let spec = json!({"source": {"repoURL": "https://x/y"}, "destination": {},
                "dependsOn": [{"name": "a"}, {"name": "b", "namespace": namespace}]});
            serde_json::from_value::<ApplicationSpec>(spec).expect("valid")
        };
        assert_eq!(
            forbidden(&spec("other"), "towline-system", "towline-system"),
            None
        );
        assert_eq!(forbidden(&spec("team"), "team", "towline-system"), None);
        let why = forbidden(&spec("other"), "team", "towline-system").expect("forbidden");
        assert!(
            why.contains("`other`") && why.contains("`towline-system`"),
            "{why}"
        );
    }

    #[test]
    fn only_what_changes_wakes() {
        let board = Board::new("system");
        let app = Object(json!({"metadata": {"name": "a", "namespace": "team"}}));
        let receiver = board.subscribe();
        board.put(&app);
        assert!(receiver.has_changed().expect("open"));
        let receiver = board.subscribe();
        board.put(&app);
        assert!(!receiver.has_changed().expect("open"));
        board.remove(&("team".into(), "a".into()));
        assert!(receiver.has_changed().expect("open"));
    }
}
