//! What people ask of an Application: its spec and its request annotations, and nothing that the
//! agent writes itself. Equal requests mean that there is nothing new to do.

use serde_json::Value;

use crate::api::{ApplicationSpec, ApplicationStatus};
use crate::cluster::Identity;
use crate::inventory::Owner;
use crate::object::{Object, keys};

/// An Application as it is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID: another one is another Application.
    pub uid: String,
    /// The generation of the spec.
    pub generation: i64,
    /// The spec, or why it cannot be read.
    pub spec: Result<ApplicationSpec, String>,
    /// `towline.dev/refresh`.
    pub refresh: Option<String>,
    /// `towline.dev/sync`.
    pub sync: Option<String>,
    /// `towline.dev/suspend`.
    pub suspend: Option<String>,
    /// `towline.dev/suspend-until`, in seconds since the epoch; in the past where it cannot be read,
    /// so that a typing mistake suspends nothing for ever.
    pub suspend_until: Option<i64>,
    /// `towline.dev/retry`.
    pub retry: Option<String>,
    /// `towline.dev/approve-prune`.
    pub approve: Option<String>,
    /// The field manager that set it.
    pub approved_by: Option<String>,
    /// `towline.dev/self-management: enabled`.
    pub self_management: bool,
    /// It is being deleted.
    pub deleting: bool,
    /// It is not there any more.
    pub gone: bool,
    /// Its finalizers.
    pub finalizers: Vec<String>,
}

impl Request {
    /// Reads an Application; total: whatever is wrong with it becomes part of the result.
    pub fn read(object: &Object) -> Self {
        let annotation = |key| {
            object
                .annotation(key)
                .map(|text| text.chars().take(256).collect())
        };
        let spec = object.0.get("spec").cloned().unwrap_or(Value::Null);
        let finalizers = object
            .0
            .pointer("/metadata/finalizers")
            .and_then(Value::as_array);
        Self {
            namespace: object.namespace().to_owned(),
            name: object.name().to_owned(),
            uid: object.uid().to_owned(),
            generation: object
                .0
                .pointer("/metadata/generation")
                .and_then(Value::as_i64)
                .unwrap_or(0),
            spec: serde_json::from_value(spec).map_err(|e| e.to_string()),
            refresh: annotation(keys::REFRESH),
            sync: annotation(keys::SYNC),
            suspend: annotation(keys::SUSPEND),
            suspend_until: object.annotation(keys::SUSPEND_UNTIL).map(|text| {
                let time = text.trim().parse::<jiff::Timestamp>();
                time.map_or(i64::MIN, jiff::Timestamp::as_second)
            }),
            retry: annotation(keys::RETRY),
            approve: annotation(keys::APPROVE_PRUNE),
            approved_by: manager_of(object, keys::APPROVE_PRUNE),
            self_management: object.annotation(keys::SELF_MANAGEMENT) == Some("enabled"),
            deleting: object.is_terminating(),
            gone: false,
            finalizers: finalizers
                .into_iter()
                .flatten()
                .filter_map(|f| f.as_str().map(str::to_owned))
                .collect(),
        }
    }

    /// The status that stands in an Application, or an empty one.
    pub fn status(object: &Object) -> ApplicationStatus {
        let status = object.0.get("status").cloned().unwrap_or(Value::Null);
        serde_json::from_value(status).unwrap_or_default()
    }

    /// Whether nothing but a refresh is asked for that was not before.
    pub fn only_refreshes(&self, before: &Self) -> bool {
        let refresh = before.refresh.clone();
        self.refresh != before.refresh
            && *before
                == Self {
                    refresh,
                    ..self.clone()
                }
    }

    /// As the owner of objects.
    pub fn owner(&self, install: &str) -> Owner {
        Owner {
            install: install.into(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }

    /// As whom everything is done for it: the ServiceAccount it names, or the agent itself in the
    /// agent's own namespace.
    ///
    /// # Errors
    /// When it names none and is in another namespace: then anyone who may create an Application
    /// would act with the agent's rights.
    pub fn identity(&self, agent_namespace: &str) -> Result<Identity, String> {
        let name = self
            .spec
            .as_ref()
            .ok()
            .and_then(|spec| spec.service_account_name.clone());
        match name {
            Some(name) if !name.is_empty() => Ok(Identity::ServiceAccount {
                namespace: self.namespace.clone(),
                name,
            }),
            _ if self.namespace == agent_namespace => Ok(Identity::Agent),
            _ => Err(format!(
                "spec.serviceAccountName is required outside the agent's namespace `{agent_namespace}`: name a ServiceAccount of namespace `{}` that may write what the Application declares",
                self.namespace
            )),
        }
    }

    /// Whether updates are suspended at `now`, in seconds since the epoch.
    pub fn is_suspended(&self, now: i64) -> bool {
        self.suspend.is_some() && self.suspend_until.is_none_or(|until| now < until)
    }

    /// Why updates are suspended at `now`, and until when.
    pub fn suspended(&self, now: i64) -> Option<String> {
        let reason = self.suspend.as_ref().filter(|_| self.is_suspended(now))?;
        let until = self.suspend_until.map(jiff::Timestamp::from_second);
        Some(match until {
            Some(Ok(until)) => format!("until {until}: {reason}"),
            _ => reason.clone(),
        })
    }

    /// True when its objects are to be deleted with it.
    pub fn cascades(&self) -> bool {
        let ours = [keys::PRUNE_FINALIZER, keys::ARGO_FINALIZER];
        self.finalizers.iter().any(|f| ours.contains(&f.as_str()))
    }
}

/// The field manager that an annotation is of.
fn manager_of(object: &Object, key: &str) -> Option<String> {
    let entries = object.0.pointer("/metadata/managedFields")?.as_array()?;
    let field = format!("f:{key}");
    let is_owner = |entry: &&Value| {
        let owned = entry.pointer("/fieldsV1/f:metadata/f:annotations");
        owned.is_some_and(|owned| owned.get(&field).is_some())
    };
    let entry = entries.iter().find(is_owner)?;
    Some(entry.get("manager")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_agent_writes_is_no_request() {
        let object = |annotations: Value, status: Value| {
            Object(
                json!({"metadata": {"name": "a", "namespace": "team", "annotations": annotations},
                "spec": {"source": {"repoURL": "https://x/y"}, "destination": {}}, "status": status}),
            )
        };
        let before = Request::read(&object(json!({}), json!({})));
        let written = object(
            json!({keys::HEALTH: "Healthy", keys::REVISION: "1"}),
            json!({"sync": {}}),
        );
        assert_eq!(Request::read(&written), before);
        let asked = object(json!({keys::REFRESH: "1"}), json!({}));
        let asked = Request::read(&asked);
        assert_ne!(asked, before);
        assert!(asked.only_refreshes(&before) && !before.only_refreshes(&before));
        let more = json!({keys::REFRESH: "1", keys::SYNC: "1"});
        let more = Request::read(&object(more, json!({})));
        assert!(!more.only_refreshes(&before));
    }

    #[test]
    fn another_namespace_needs_a_service_account() {
        let object = Object(json!({"metadata": {"name": "a", "namespace": "team"},
            "spec": {"source": {"repoURL": "https://x/y"}, "destination": {}}}));
        let request = Request::read(&object);
        assert_eq!(request.identity("team"), Ok(Identity::Agent));
        assert!(request.identity("towline-system").is_err());
    }

    #[test]
    fn junk_is_read_without_panic() {
        for junk in [
            json!(null),
            json!([1]),
            json!({"metadata": 5, "spec": "x"}),
            json!({"metadata": {"annotations": {keys::REFRESH: 5}, "finalizers": "x"}}),
        ] {
            let request = Request::read(&Object(junk));
            assert!(request.spec.is_err());
        }
    }
}
