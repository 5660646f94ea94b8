//! What stands in the way, one thing at a time, and what a status says of it.

use jiff::Timestamp;

use super::super::applications::{condition, status};
use super::super::reference::reasons;
use super::super::status::approval;
use crate::agent::request::Request;
use crate::api::{ApplicationStatus, condition as kind};
use crate::diff::Drift;
use crate::health::outlook;
use crate::object::{Object, keys};
use crate::status::short;

/// How many drifted fields and quarantined revisions are told.
const LIMIT: usize = 10;

/// One thing that stands in the way, or that a person should know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Finding {
    /// What it is about, as `Kind/namespace/name`.
    pub object: String,
    /// The word for it: the same as in conditions and events.
    pub reason: String,
    /// Why, in the words of whoever said it.
    pub message: String,
    /// Since when, RFC 3339; empty where that is not known.
    pub since: String,
    /// The file in the repository; empty where that is not known, or the message names it.
    pub place: String,
    /// The last lines that a container said, under a line that says which.
    pub log: Option<(String, Vec<String>)>,
    /// What to do next: commands, or a sentence.
    pub next: Vec<String>,
    /// Only to be known: nothing is wrong.
    pub is_note: bool,
}

/// An Application as it is explained.
pub(super) struct Subject<'a> {
    pub application: &'a Object,
    pub status: ApplicationStatus,
    pub now: Timestamp,
}

impl<'a> Subject<'a> {
    pub(super) fn new(application: &'a Object, now: Timestamp) -> Self {
        Self {
            application,
            status: status(application),
            now,
        }
    }

    /// `Application/namespace/name`.
    pub(super) fn id(&self) -> String {
        let (namespace, name) = (self.application.namespace(), self.application.name());
        format!("Application/{namespace}/{name}")
    }

    /// The name, with the flag that leads to its namespace.
    pub(super) fn place(&self) -> String {
        let (namespace, name) = (self.application.namespace(), self.application.name());
        format!("{name} -n {namespace}")
    }

    /// The reason of the condition Synced.
    pub(super) fn reason(&self) -> &str {
        condition(&self.status, kind::SYNCED).map_or("", |(reason, _)| reason)
    }

    /// The command that annotates it.
    fn annotate(&self, annotation: &str) -> String {
        let (namespace, name) = (self.application.namespace(), self.application.name());
        format!("kubectl -n {namespace} annotate --overwrite tl {name} {annotation}")
    }

    fn finding(&self, reason: &str, message: &str, since: &str) -> Finding {
        Finding {
            object: self.id(),
            reason: reason.into(),
            message: message.into(),
            since: since.into(),
            ..Finding::default()
        }
    }

    /// What its status says of Git against the cluster, the root first. Objects that are not
    /// healthy are looked at one by one elsewhere.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut all = Vec::new();
        all.extend(self.deletion());
        all.extend(self.unseen());
        let synced = self.synced();
        let told = synced.as_ref().map(|one| one.reason.clone());
        all.extend(synced);
        all.extend(self.held(told.as_deref()));
        all.extend(self.quarantine(told.as_deref()));
        all.extend(self.drift());
        all.extend(self.suspension(told.as_deref()));
        for (name, bad) in [
            (kind::DRIFT_DETECTION, "False"),
            (kind::LAST_GOOD_NOT_STORED, "True"),
        ] {
            let mut conditions = self.status.conditions.iter();
            let found = conditions.find(|one| one.type_ == name && one.status == bad);
            all.extend(found.map(|one| {
                let since = one.last_transition_time.0.to_string();
                let mut finding = self.finding(&one.reason, &one.message, &since);
                finding.next = self.next(&one.reason);
                finding.is_note = true;
                finding
            }));
        }
        all
    }

    fn deletion(&self) -> Option<Finding> {
        if !self.application.is_terminating() {
            return None;
        }
        let (health, _) = outlook(self.application, self.now.as_second().unsigned_abs());
        let since = self.text("/metadata/deletionTimestamp");
        let mut finding = self.finding(health.reason, &health.message, since);
        finding.next.push(format!(
            "nothing, while its objects go: they are listed below where they hang. To let it go and keep its objects: kubectl -n {} patch tl {} --type=merge -p '{{\"metadata\":{{\"finalizers\":null}}}}'",
            self.application.namespace(),
            self.application.name()
        ));
        Some(finding)
    }

    /// No agent answers: what the status says is old, if it says anything.
    fn unseen(&self) -> Option<Finding> {
        let generation = self.application.0.pointer("/metadata/generation");
        let generation = generation.and_then(serde_json::Value::as_i64);
        let message = match self.status.observed_generation {
            _ if self.status.conditions.is_empty() => "no agent has looked at it yet",
            seen if seen < generation => {
                "the agent has not seen the newest spec yet: what follows is about the one before"
            }
            _ => return None,
        };
        let mut finding = self.finding("Starting", message, "");
        finding.next.push(
            "if it stays: kubectl get pods -A -l app.kubernetes.io/name=towline, and look at its log".into(),
        );
        Some(finding)
    }

    fn synced(&self) -> Option<Finding> {
        let mut conditions = self.status.conditions.iter();
        let found = conditions.find(|one| one.type_ == kind::SYNCED && one.status != "True")?;
        let since = found.last_transition_time.0.to_string();
        let mut finding = self.finding(&found.reason, &found.message, &since);
        finding.next = self.next(&found.reason);
        Some(finding)
    }

    /// A held plan, where it is not what the condition tells already.
    fn held(&self, told: Option<&str>) -> Option<Finding> {
        let held = self.status.sync.held.as_ref()?;
        let is_told = self.message(kind::SYNCED).contains(held.as_str());
        if is_told && told.is_some() {
            return None;
        }
        let mut finding = self.finding("held", held, "");
        finding.next = self.approve();
        Some(finding)
    }

    fn approve(&self) -> Vec<String> {
        let hash = self.status.sync.held.as_deref().and_then(approval);
        let command = hash.map(|hash| self.annotate(&format!("{}={hash}", keys::APPROVE_PRUNE)));
        command.into_iter().collect()
    }

    /// The revisions that are not tried again, where that is about the newest one or one that was
    /// just gone back from.
    fn quarantine(&self, told: Option<&str>) -> Vec<Finding> {
        let rollback = &self.status.rollback;
        let target = &self.status.sync.target_revision;
        let is_now = |commit: &str| {
            commit == target
                || rollback
                    .rolled_back
                    .as_ref()
                    .is_some_and(|id| id.revision == commit)
        };
        let all = rollback.quarantine.iter().take(LIMIT);
        all.filter(|one| is_now(&one.revision) || told == Some("RolledBack"))
            .map(|one| {
                let message = format!(
                    "{} is in quarantine: {}: {}",
                    short(&one.revision),
                    one.reason,
                    one.message
                );
                let mut finding = self.finding("RolledBack", &message, &one.at.0.to_string());
                finding.next = vec![
                    format!("commit a fix, or git revert {}", one.revision),
                    format!(
                        "to try it again: towline retry {} {}",
                        self.place(),
                        short(&one.revision)
                    ),
                ];
                finding
            })
            .collect()
    }

    fn drift(&self) -> Vec<Finding> {
        let all = self.status.drift.iter().take(LIMIT);
        all.map(|entry| {
            let drift = Drift {
                path: entry.field.clone(),
                git: entry.git.clone(),
                live: entry.live.clone(),
                manager: entry.manager.clone(),
                at: entry.at.clone(),
            };
            let message = match entry.field.as_str() {
                "" => "it was deleted".to_owned(),
                _ => drift.to_string(),
            };
            Finding {
                object: entry.object.clone(),
                reason: "Drifted".into(),
                message,
                since: entry.at.clone().unwrap_or_default(),
                next: vec![
                    format!("to put it back: towline sync {}", self.place()),
                    "to keep it: commit it".into(),
                ],
                ..Finding::default()
            }
        })
        .collect()
    }

    fn suspension(&self, told: Option<&str>) -> Option<Finding> {
        let suspended = Request::read(self.application).suspended(self.now.as_second())?;
        if told == Some("UpdatesSuspended") {
            return None;
        }
        let message = format!("updates are suspended: {suspended}; drift is still undone");
        let mut finding = self.finding("UpdatesSuspended", &message, "");
        finding.next = self.next("UpdatesSuspended");
        finding.is_note = true;
        Some(finding)
    }

    /// What to do about a reason of a condition: commands with the names filled in, else what the
    /// reference says.
    fn next(&self, reason: &str) -> Vec<String> {
        let place = self.place();
        let mut next = match reason {
            "EmptySource"
            | "PruneOverLimit"
            | "PruneOfClass"
            | "PruneUnconfirmed"
            | "RecreationUnapproved" => {
                let mut approve = self.approve();
                if let Some(command) = approve.first_mut() {
                    *command = format!("check what would go, then: {command}");
                }
                approve
            }
            "UpdatesSuspended" => vec![format!("towline resume {place}")],
            // Those of the quarantine come with each revision.
            "RolledBack" if !self.status.rollback.quarantine.is_empty() => {
                vec!["commit a fix; the next commit is taken at once".into()]
            }
            "OutOfSync" => vec![format!("towline sync {place}")],
            "HookFailed" => vec![format!("commit a fix, or once more: towline sync {place}")],
            _ => Vec::new(),
        };
        if next.is_empty() {
            let remedy = reasons::remedy(reason).unwrap_or_default();
            next.extend(
                (!remedy.is_empty()).then(|| remedy.replace(" NAME`", &format!(" {place}`"))),
            );
        }
        next
    }

    pub(super) fn message(&self, of: &str) -> &str {
        condition(&self.status, of).map_or("", |(_, message)| message)
    }

    fn text(&self, pointer: &str) -> &str {
        let value = self.application.0.pointer(pointer);
        value
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
    }
}

/// Puts the root cause first. What waits, waits for objects that failed; what a person has to
/// decide about Git is a cause of its own.
pub(super) fn ranked(own: Vec<Finding>, others: Vec<Finding>) -> Vec<Finding> {
    let mut all: Vec<(u8, Finding)> = Vec::new();
    for finding in own {
        let rank = match finding.reason.as_str() {
            _ if finding.is_note => 9,
            "Terminating" | "Starting" => 0,
            "UpdatesSuspended" | "OutOfSync" | "Drifted" => 5,
            reason if reasons::is_final(reason) => 1,
            _ => 4,
        };
        all.push((rank, finding));
    }
    let others = others
        .into_iter()
        .map(|one| (if one.is_note { 9 } else { 3 }, one));
    all.extend(others);
    // Stable: the order of what was said stays.
    all.sort_by_key(|(rank, _)| *rank);
    all.into_iter().map(|(_, finding)| finding).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn now() -> Timestamp {
        "2026-05-01T12:00:00Z".parse().expect("a time")
    }

    fn application(status: Value) -> Object {
        Object(
            json!({"apiVersion": "towline.dev/v1alpha1", "kind": "Application",
            "metadata": {"name": "shop", "namespace": "team-a", "generation": 1},
            "status": status}),
        )
    }

    fn synced(reason: &str, message: &str) -> Value {
        json!({"observedGeneration": 1, "conditions": [{"type": "Synced", "status": "False",
            "reason": reason, "message": message, "lastTransitionTime": "2026-05-01T11:00:00Z"}]})
    }

    fn findings(application: &Object) -> Vec<Finding> {
        Subject::new(application, now()).findings()
    }

    #[test]
    fn a_held_plan_comes_with_the_command_that_lets_it_go_on() {
        let held = "would delete 5 of 12 objects; approve with the annotation towline.dev/approve-prune=0a1b2c";
        let mut status = synced("PruneOverLimit", &format!("held: {held}"));
        status["sync"] = json!({"status": "OutOfSync", "held": held});
        let found = findings(&application(status));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            found[0].next,
            [
                "check what would go, then: kubectl -n team-a annotate --overwrite tl shop towline.dev/approve-prune=0a1b2c"
            ]
        );
        assert_eq!(found[0].since, "2026-05-01T11:00:00Z");
    }

    #[test]
    fn a_suspension_that_is_over_is_none() {
        let mut app = application(
            json!({"observedGeneration": 1, "conditions": [{"type": "Synced",
            "status": "True", "reason": "Synced", "message": "",
            "lastTransitionTime": "2026-05-01T11:00:00Z"}]}),
        );
        app.set_annotation(keys::SUSPEND, "freeze");
        let found = findings(&app);
        assert_eq!(found[0].next, ["towline resume shop -n team-a"]);
        assert!(found[0].is_note && found[0].message.contains("freeze"));
        app.set_annotation(keys::SUSPEND_UNTIL, "2026-05-01T11:59:00Z");
        assert_eq!(findings(&app), []);
    }

    #[test]
    fn a_revision_in_quarantine_says_why_and_how_it_is_tried_again() {
        let mut status = synced("RolledBack", "rolled back to aaaaaaaa");
        let commit = "b".repeat(40);
        status["sync"] = json!({"targetRevision": commit});
        status["rollback"] = json!({"rolledBack": {"revision": commit, "digest": "B"},
            "quarantine": [{"revision": commit, "digest": "B", "reason": "OOMKilled",
                "message": "Deployment/shop/web", "at": "2026-05-01T10:00:00Z"}]});
        let found = findings(&application(status));
        assert_eq!(
            found[1].message,
            "bbbbbbbb is in quarantine: OOMKilled: Deployment/shop/web"
        );
        assert_eq!(
            found[1].next[1],
            "to try it again: towline retry shop -n team-a bbbbbbbb"
        );
    }

    #[test]
    fn drift_names_field_manager_and_the_way_back() {
        let mut status = synced("OutOfSync", "1 objects differ");
        status["drift"] = json!([{"object": "Deployment/shop/web", "field": "spec.replicas",
            "git": "2", "live": "5", "manager": "kubectl", "at": "2026-05-01T10:00:00Z"}]);
        let found = findings(&application(status));
        assert_eq!(
            found[1].message,
            "spec.replicas: 5 instead of 2, by kubectl at 2026-05-01T10:00:00Z"
        );
        assert_eq!(found[0].next, ["towline sync shop -n team-a"]);
    }

    #[test]
    fn what_nobody_has_seen_is_said_first() {
        let found = findings(&application(json!({})));
        assert_eq!(found[0].message, "no agent has looked at it yet");
    }

    #[test]
    fn what_failed_comes_before_what_waits_for_it() {
        let own = |reason: &str| Finding {
            reason: reason.into(),
            ..Finding::default()
        };
        let object = own("CrashLoopBackOff");
        let order = |own: Vec<Finding>| -> Vec<String> {
            let all = ranked(own, vec![object.clone()]);
            all.into_iter().map(|one| one.reason).collect()
        };
        assert_eq!(order(vec![own("WaitingForWave")])[0], "CrashLoopBackOff");
        assert_eq!(order(vec![own("UpdatesSuspended")])[0], "CrashLoopBackOff");
        assert_eq!(order(vec![own("RenderFailed")])[0], "RenderFailed");
        assert_eq!(order(vec![own("RolledBack")])[0], "RolledBack");
    }
}
