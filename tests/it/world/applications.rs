//! Applications as a person makes, pokes and reads them.

use serde_json::{Value, json};
use towline::object::keys;

use super::{World, wait, wait_for};

impl World<'_> {
    /// An Application of a directory of the repository, fully automated.
    pub fn application(&self, name: &str, path: &str) -> Value {
        json!({
            "apiVersion": "towline.dev/v1alpha1",
            "kind": "Application",
            "metadata": {"name": name, "namespace": self.ns},
            "spec": {
                "source": {
                    "repoURL": self.git.url("repo.git"),
                    "targetRevision": "main",
                    "path": path,
                    "interval": "1s",
                },
                "destination": {"namespace": self.work},
                "syncPolicy": {"automated": {"prune": true, "selfHeal": true}},
            },
        })
    }

    /// Commits files and has an Application of `path` apply them. Returns the commit.
    pub fn deploy(&self, name: &str, path: &str, files: &[(&str, &str)]) -> String {
        let commit = self.commit(files);
        self.create(&self.application(name, path));
        self.synced(name, &commit);
        commit
    }

    /// The live Application.
    pub fn app(&self, name: &str) -> Value {
        self.get("Application", &self.ns, name)
            .unwrap_or_else(|| panic!("there is no Application {name}"))
    }

    /// Waits until an Application has this commit and is Ready.
    pub fn synced(&self, name: &str, commit: &str) -> Value {
        self.poke(name);
        wait(&format!("{name} at {commit}"), || {
            let app = self.app(name);
            let ready = condition(&app, "Ready");
            let is_ready = ready["status"] == "True" && app["status"]["sync"]["revision"] == commit;
            if is_ready {
                Ok(app)
            } else {
                Err(app["status"].to_string())
            }
        })
    }

    /// Waits until a condition has this status and reason. Returns the Application.
    pub fn wait_condition(&self, name: &str, kind: &str, status: &str, reason: &str) -> Value {
        wait(&format!("{kind}={status} ({reason}) of {name}"), || {
            let app = self.app(name);
            let found = condition(&app, kind);
            let is_so = found["status"] == status && found["reason"] == reason;
            if is_so {
                Ok(app)
            } else {
                Err(app["status"].to_string())
            }
        })
    }

    /// Waits until its status names this field among what drifted. Returns the Application.
    pub fn wait_drift(&self, name: &str, field: &str) -> Value {
        wait(&format!("drift of {field} in {name}"), || {
            let app = self.app(name);
            let drift = app["status"]["drift"].as_array();
            if drift.is_some_and(|all| all.iter().any(|entry| entry["field"] == field)) {
                Ok(app)
            } else {
                Err(app["status"].to_string())
            }
        })
    }

    /// Waits until an Application is not Ready for this reason. Returns the condition's message.
    pub fn failed(&self, name: &str, reason: &str) -> String {
        let app = self.wait_condition(name, "Ready", "False", reason);
        condition(&app, "Ready")["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Asks for a poll of Git, without waiting.
    pub fn poke(&self, name: &str) -> String {
        let token = self.token();
        self.annotate(name, keys::REFRESH, Some(&token));
        token
    }

    /// Asks for a poll of Git, and waits until everything pushed before was looked at. The agent then
    /// knows too what was changed in the Application before.
    pub fn refresh(&self, name: &str) -> Value {
        let token = self.poke(name);
        wait(&format!("refresh {token} of {name}"), || {
            let app = self.app(name);
            let handled = app["status"]["handled"]["refresh"] == token.as_str();
            if handled {
                Ok(app)
            } else {
                Err(app["status"].to_string())
            }
        })
    }

    /// Asks for a sync, and waits until it was done.
    pub fn sync(&self, name: &str) -> Value {
        let token = self.token();
        self.annotate(name, keys::SYNC, Some(&token));
        wait(&format!("sync {token} of {name}"), || {
            let app = self.app(name);
            let handled = app["status"]["handled"]["sync"] == token.as_str();
            if handled {
                Ok(app)
            } else {
                Err(app["status"].to_string())
            }
        })
    }

    /// Sets an annotation of an Application, or takes it away.
    pub fn annotate(&self, name: &str, key: &str, value: Option<&str>) {
        self.patch(
            "Application",
            &self.ns,
            name,
            &json!({"metadata": {"annotations": {key: value}}}),
        );
    }

    /// Changes the spec of an Application by a merge patch.
    pub fn change(&self, name: &str, spec: &Value) {
        self.patch("Application", &self.ns, name, &json!({"spec": spec}));
    }

    /// Deletes an Application and waits until it is gone.
    pub fn delete_application(&self, name: &str) {
        self.delete("Application", &self.ns, name);
        wait_for(&format!("the end of {name}"), || {
            self.get("Application", &self.ns, name).is_none()
        });
    }
}

/// A condition of an Application; null when it is not there.
pub fn condition(app: &Value, kind: &str) -> Value {
    app["status"]["conditions"]
        .as_array()
        .and_then(|all| all.iter().find(|c| c["type"] == kind))
        .cloned()
        .unwrap_or(Value::Null)
}
