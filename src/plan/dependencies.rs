//! Applications that others depend on: an Application rolls forward when all of them are ready at
//! their own newest revision. What is there is healed in any case.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::api::condition;
use crate::object::Object;
use crate::status::short;

/// An Application, by namespace and name.
pub type Key = (String, String);

/// What an Application says about itself to those that depend on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Synced and healthy, by a status that is about its spec as it is now.
    pub ready: bool,
    /// Why it is not, in one line.
    pub says: String,
    /// Repository and branch.
    pub source: (String, String),
    /// The newest commit that it has looked at.
    pub revision: String,
    /// What it depends on itself.
    pub needs: Vec<Key>,
}

/// What all Applications say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standings {
    /// By namespace and name.
    pub known: BTreeMap<Key, Standing>,
    /// All of them have been seen: one that is not known is not there.
    pub complete: bool,
}

impl Standings {
    /// Whether some Application depends on this one.
    pub fn is_needed(&self, key: &Key) -> bool {
        self.known.values().any(|one| one.needs.contains(key))
    }
}

/// Why an Application does not roll forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// One CamelCase word.
    pub reason: &'static str,
    /// What is waited for, in one line.
    pub line: String,
}

impl Standing {
    /// Reads an Application; total, as whatever is wrong with it makes it not ready.
    /// `may_cross` says whether it may depend on Applications of other namespaces.
    pub fn read(object: &Object, may_cross: bool) -> Self {
        let text = |pointer| object.0.pointer(pointer).and_then(Value::as_str);
        let owned = |pointer| text(pointer).unwrap_or_default().to_owned();
        let conditions = object.0.pointer("/status/conditions");
        let ready = conditions.and_then(Value::as_array).and_then(|all| {
            all.iter()
                .find(|condition| condition["type"] == condition::READY)
        });
        let observed = object.0.pointer("/status/observedGeneration");
        let is_current = observed == object.0.pointer("/metadata/generation");
        let is_true = ready.is_some_and(|condition| condition["status"] == "True");
        let says = match ready {
            _ if object.is_terminating() => "it is being deleted".to_owned(),
            None => "it has no status yet".to_owned(),
            Some(_) if !is_current => "its spec has changed".to_owned(),
            Some(condition) => {
                let part = |name| condition[name].as_str().unwrap_or_default();
                format!("{}: {}", part("reason"), part("message"))
            }
        };
        let needs = object
            .0
            .pointer("/spec/dependsOn")
            .and_then(Value::as_array);
        Self {
            ready: is_true && is_current && !object.is_terminating(),
            says,
            source: (
                owned("/spec/source/repoURL"),
                text("/spec/source/targetRevision")
                    .unwrap_or("HEAD")
                    .to_owned(),
            ),
            revision: owned("/status/sync/targetRevision"),
            needs: needs
                .into_iter()
                .flatten()
                .map(|one| {
                    let own = object.namespace();
                    let namespace = one["namespace"].as_str().unwrap_or(own);
                    let name = one["name"].as_str().unwrap_or_default();
                    (namespace.to_owned(), name.to_owned())
                })
                .filter(|(namespace, _)| may_cross || namespace == object.namespace())
                .collect(),
        }
    }
}

/// Why the Application `own` does not roll forward to `commit`; `None` when nothing is in its way.
/// A circle is named first: it never ends by itself.
pub fn blocked(own: &Key, commit: &str, standings: &Standings) -> Option<Blocked> {
    let standing = standings.known.get(own)?;
    if let Some(circle) = circle(own, standings) {
        let names: Vec<String> = circle.iter().map(|key| shown(key, own)).collect();
        return Some(Blocked {
            reason: "DependencyCycle",
            line: format!("spec.dependsOn leads in a circle: {}", names.join(" → ")),
        });
    }
    let waits = |key: &Key, reason, why: &str| {
        let name = shown(key, own);
        Some(Blocked {
            reason,
            line: format!("waits for Application {name} ({why})"),
        })
    };
    standing
        .needs
        .iter()
        .find_map(|key| match standings.known.get(key) {
            None if standings.complete => {
                waits(key, "DependencyNotFound", "there is no such Application")
            }
            None => waits(key, "WaitingForDependency", "it has not been looked at yet"),
            Some(other) if !other.ready => waits(key, "WaitingForDependency", &other.says),
            // One commit of one repository is both Applications' newest revision.
            Some(other) if other.source == standing.source && other.revision != commit => {
                let why = format!("it has not looked at {} yet", short(commit));
                waits(key, "WaitingForDependency", &why)
            }
            Some(_) => None,
        })
}

/// The name as people of the Application's namespace say it.
fn shown((namespace, name): &Key, own: &Key) -> String {
    if *namespace == own.0 {
        name.clone()
    } else {
        format!("{namespace}/{name}")
    }
}

/// The way from an Application back to itself, if there is one.
fn circle(own: &Key, standings: &Standings) -> Option<Vec<Key>> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<Vec<Key>> = vec![vec![own.clone()]];
    while let Some(path) = open.pop() {
        let Some(standing) = path.last().and_then(|last| standings.known.get(last)) else {
            continue;
        };
        for need in standing.needs.iter().rev() {
            let mut next = path.clone();
            next.push(need.clone());
            if need == own {
                return Some(next);
            }
            if seen.insert(need.clone()) {
                open.push(next);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(name: &str) -> Key {
        match name.split_once('/') {
            Some((namespace, name)) => (namespace.into(), name.into()),
            None => ("team".into(), name.into()),
        }
    }

    /// An Application of a repository of its own; ready at commit `1`.
    fn app(name: &str, needs: &[&str]) -> (Key, Standing) {
        let standing = Standing {
            ready: true,
            says: "Ready: fine".into(),
            source: (format!("https://x/{name}"), "main".into()),
            revision: "1".into(),
            needs: needs.iter().map(|need| key(need)).collect(),
        };
        (key(name), standing)
    }

    fn verdict(own: &str, apps: &[(Key, Standing)]) -> String {
        let standings = Standings {
            known: apps.iter().cloned().collect(),
            complete: true,
        };
        match blocked(&key(own), "1", &standings) {
            Some(blocked) => format!("{}: {}", blocked.reason, blocked.line),
            None => String::new(),
        }
    }

    #[test]
    fn all_that_it_depends_on_must_be_ready() {
        let mut apps = [
            app("web", &["db", "other/cache"]),
            app("db", &[]),
            app("other/cache", &[]),
        ];
        assert_eq!(verdict("web", &apps), "");
        apps[2].1.ready = false;
        apps[2].1.says = "Progressing: 1 of 2 pods".into();
        assert_eq!(
            verdict("web", &apps),
            "WaitingForDependency: waits for Application other/cache (Progressing: 1 of 2 pods)"
        );
        assert_eq!(
            verdict("web", &apps[..2]),
            "DependencyNotFound: waits for Application other/cache (there is no such Application)"
        );
        assert_eq!(verdict("db", &apps), "", "it depends on nothing");
    }

    #[test]
    fn what_is_not_listed_yet_is_not_missing() {
        let (own, standing) = app("web", &["db"]);
        let standings = Standings {
            known: [(own.clone(), standing)].into(),
            complete: false,
        };
        let blocked = blocked(&own, "1", &standings).expect("it waits");
        assert_eq!(blocked.reason, "WaitingForDependency");
    }

    #[test]
    fn circles_are_named_at_once() {
        let mut apps = [
            app("a", &["x", "b"]),
            app("b", &["c"]),
            app("c", &["a"]),
            app("outside", &["a"]),
            app("self", &["self"]),
        ];
        assert_eq!(
            verdict("a", &apps),
            "DependencyCycle: spec.dependsOn leads in a circle: a → b → c → a"
        );
        assert_eq!(
            verdict("self", &apps),
            "DependencyCycle: spec.dependsOn leads in a circle: self → self"
        );
        apps[0].1.ready = false;
        let outside = verdict("outside", &apps);
        assert!(outside.starts_with("WaitingForDependency"), "{outside}");
    }

    #[test]
    fn one_repository_is_one_revision() {
        let mut apps = [app("web", &["db"]), app("db", &[])];
        apps[1].1.source = apps[0].1.source.clone();
        assert_eq!(verdict("web", &apps), "");
        apps[1].1.revision = "0".into();
        assert_eq!(
            verdict("web", &apps),
            "WaitingForDependency: waits for Application db (it has not looked at 1 yet)"
        );
    }

    #[test]
    fn a_status_counts_for_the_spec_that_it_is_about() {
        let object = |generation: i64, status: &str, needs: Value| {
            Object(json!({
                "metadata": {"name": "a", "namespace": "team", "generation": generation},
                "spec": {"source": {"repoURL": "u"}, "dependsOn": needs},
                "status": {"observedGeneration": 2, "sync": {"targetRevision": "1"},
                    "conditions": [{"type": "Ready", "status": status, "reason": "R", "message": "m"}]},
            }))
        };
        let read =
            |generation, status| Standing::read(&object(generation, status, json!([])), false);
        assert!(read(2, "True").ready);
        assert!(!read(3, "True").ready);
        assert_eq!(read(2, "False").says, "R: m");
        let needs = json!([{"name": "b"}, {"name": "c", "namespace": "other"}]);
        let needs = |may_cross| Standing::read(&object(2, "True", needs.clone()), may_cross).needs;
        assert_eq!(needs(true), [key("b"), key("other/c")]);
        assert_eq!(needs(false), [key("b")], "a tenant stays in its namespace");
        for junk in [
            json!(null),
            json!({"spec": {"dependsOn": [5, {"name": 7}]}, "status": []}),
        ] {
            assert!(!Standing::read(&Object(junk), true).ready);
        }
    }
}
