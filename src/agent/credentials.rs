//! Repository credentials: labelled Secrets in the Application's namespace, seen by a watch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use futures::StreamExt as _;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cluster::{Cluster, Identity, Resource, WatchEvent, WatchScope};
use crate::git::Credential;
use crate::object::{Object, Scope, keys};

/// The Secrets of one namespace, by name; `None` until they were listed once.
pub type Secrets = Option<Arc<BTreeMap<String, RepositorySecret>>>;

/// One labelled Secret.
#[derive(Clone)]
pub struct RepositorySecret {
    /// True for `repo-creds`: `url` is a prefix.
    prefix: bool,
    url: String,
    fields: BTreeMap<String, String>,
}

/// A Secret that matches a repository and cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the repository Secret `{secret}` cannot be used: {why}")]
pub struct CredentialError {
    /// Its name.
    pub secret: String,
    /// What is wrong, without any value.
    pub why: &'static str,
}

impl crate::error::Fault for CredentialError {
    fn class(&self) -> crate::error::Class {
        crate::error::Class::Stalled
    }
    fn reason(&self) -> &'static str {
        "CredentialInvalid"
    }
}

/// The Secrets of every namespace that has Applications.
pub struct Credentials {
    cluster: Arc<dyn Cluster>,
    namespaces: Mutex<BTreeMap<String, watch::Receiver<Secrets>>>,
    /// Ended when the last Application lets go of all this.
    tasks: Mutex<JoinSet<()>>,
}

impl Credentials {
    /// Reads Secrets through this cluster, as the agent itself.
    pub fn new(cluster: Arc<dyn Cluster>) -> Self {
        Self {
            cluster,
            namespaces: Mutex::default(),
            tasks: Mutex::default(),
        }
    }

    /// The Secrets of a namespace, as they are and as they change.
    pub fn of(&self, namespace: &str) -> watch::Receiver<Secrets> {
        let mut namespaces = self
            .namespaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(receiver) = namespaces.get(namespace) {
            return receiver.clone();
        }
        let (sender, receiver) = watch::channel(None);
        namespaces.insert(namespace.into(), receiver.clone());
        let scope = WatchScope {
            resource: Resource::known("v1", "Secret", "secrets", Scope::Namespaced),
            namespace: Some(namespace.into()),
            selector: Some(keys::SECRET_TYPE_LABEL.into()),
            name: None,
        };
        let mut events = self.cluster.watch(&Identity::Agent, &scope);
        let namespace = namespace.to_owned();
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(async move {
            let mut secrets = BTreeMap::new();
            while let Some(event) = events.next().await {
                match event {
                    Ok(WatchEvent::Relist) => secrets.clear(),
                    Ok(WatchEvent::Applied(secret)) => {
                        secrets.insert(secret.name().to_owned(), read(&secret));
                        // During a relist the map is not whole yet.
                        if sender.borrow().is_none() {
                            continue;
                        }
                        sender.send_replace(Some(Arc::new(secrets.clone())));
                    }
                    Ok(WatchEvent::Deleted(secret)) => {
                        secrets.remove(secret.name());
                        sender.send_replace(Some(Arc::new(secrets.clone())));
                    }
                    Ok(WatchEvent::Listed) => {
                        sender.send_replace(Some(Arc::new(secrets.clone())));
                    }
                    Err(error) => {
                        tracing::warn!(%namespace, %error, "repository Secrets cannot be watched");
                        // Public repositories need none: go on without, until the watch works.
                        if sender.borrow().is_none() {
                            sender.send_replace(Some(Arc::new(BTreeMap::new())));
                        }
                    }
                }
            }
        });
        receiver
    }
}

/// The Secrets of a namespace as they are now, for who asks once.
///
/// # Errors
/// When they cannot be listed.
pub async fn secrets(
    cluster: &dyn Cluster,
    namespace: &str,
) -> Result<BTreeMap<String, RepositorySecret>, crate::cluster::Error> {
    let resource = Resource::known("v1", "Secret", "secrets", Scope::Namespaced);
    let (namespace, label) = (Some(namespace), Some(keys::SECRET_TYPE_LABEL));
    let all = cluster
        .list(&Identity::Agent, &resource, namespace, label)
        .await?;
    let all = all.iter().map(|one| (one.name().to_owned(), read(one)));
    Ok(all.collect())
}

fn read(secret: &Object) -> RepositorySecret {
    let mut fields = BTreeMap::new();
    if let Some(map) = secret.0.get("data").and_then(|d| d.as_object()) {
        for (key, value) in map {
            let bytes = value
                .as_str()
                .and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
            if let Some(text) = bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
                fields.insert(key.clone(), text);
            }
        }
    }
    RepositorySecret {
        prefix: secret.label(keys::SECRET_TYPE_LABEL) == Some(keys::SECRET_TYPE_REPO_CREDS),
        url: fields.get("url").map(|url| normal(url)).unwrap_or_default(),
        fields,
    }
}

/// A URL without the endings that make no difference.
fn normal(url: &str) -> String {
    let url = url.trim().trim_end_matches('/');
    url.strip_suffix(".git").unwrap_or(url).to_ascii_lowercase()
}

/// The credential for a repository: the Secret with exactly its URL, else the one with the longest
/// prefix of it (up to a `/`), else none.
///
/// # Errors
/// When the Secret that matches lacks what it needs.
pub fn credential(
    secrets: &BTreeMap<String, RepositorySecret>,
    url: &str,
) -> Result<Credential, CredentialError> {
    let url = normal(url);
    let matches = |secret: &RepositorySecret| {
        !secret.url.is_empty()
            && (secret.url == url
                || (secret.prefix
                    && url
                        .strip_prefix(&secret.url)
                        .is_some_and(|rest| rest.starts_with('/'))))
    };
    let best = secrets
        .iter()
        .filter(|(_, secret)| matches(secret))
        .max_by_key(|(name, secret)| (!secret.prefix, secret.url.len(), std::cmp::Reverse(*name)));
    let Some((name, secret)) = best else {
        return Ok(Credential::none());
    };
    secret.credential().map_err(|why| CredentialError {
        secret: name.clone(),
        why,
    })
}

/// Name and mail address of somebody, written as Git does: `Ann Example <ann@example.com>`.
pub(crate) fn person(text: &str) -> Option<(String, String)> {
    let (name, mail) = text.trim().strip_suffix('>')?.split_once('<')?;
    let (name, mail) = (name.trim(), mail.trim());
    (!name.is_empty() && mail.contains('@')).then(|| (name.to_owned(), mail.to_owned()))
}

impl RepositorySecret {
    fn credential(&self) -> Result<Credential, &'static str> {
        let mut credential = self.access()?;
        if let Some(key) = self.fields.get("sshSigningKey") {
            credential = credential.with_signing_key(key.as_str());
        }
        if let Some(text) = self.fields.get("committer") {
            // What only reads is not kept waiting by it.
            credential = match person(text) {
                Some((name, mail)) => credential.with_committer(name, mail),
                None => credential
                    .without_committer("`committer` of the repository Secret is not `NAME <MAIL>`"),
            };
        }
        Ok(credential)
    }

    /// What lets us in.
    fn access(&self) -> Result<Credential, &'static str> {
        let field = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| self.fields.get(*name))
                .cloned()
        };
        let ca = field(&["ca.crt", "caFile"]);
        if let Some(private_key) = field(&["sshPrivateKey", "identity"]) {
            let known_hosts = field(&["known_hosts", "knownHosts"])
                .filter(|text| !text.trim().is_empty())
                .ok_or("`known_hosts` is missing: towline never trusts an unknown host (make it with `ssh-keyscan HOST`, and check it)")?;
            return Ok(Credential::ssh(private_key, known_hosts));
        }
        let credential = if let Some(token) = field(&["bearerToken", "token"]) {
            Credential::bearer(token.trim())
        } else if let Some(password) = field(&["password"]) {
            Credential::basic(
                field(&["username"]).unwrap_or_else(|| "git".into()),
                password,
            )
        } else if ca.is_some() {
            Credential::none()
        } else {
            return Err("it has neither `password`, `bearerToken`, `sshPrivateKey` nor `ca.crt`");
        };
        Ok(match ca {
            Some(ca) => credential.with_ca(ca),
            None => credential,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(name: &str, kind: &str, data: &[(&str, &str)]) -> (String, RepositorySecret) {
        let encode = |v: &str| base64::engine::general_purpose::STANDARD.encode(v);
        let data: serde_json::Map<_, _> = data
            .iter()
            .map(|(k, v)| ((*k).to_owned(), encode(v).into()))
            .collect();
        let object = Object(json!({"kind": "Secret", "metadata": {"name": name,
            "labels": {keys::SECRET_TYPE_LABEL: kind}}, "data": data}));
        (name.into(), read(&object))
    }

    #[test]
    fn the_exact_repository_wins_then_the_longest_prefix() {
        let secrets: BTreeMap<_, _> = [
            secret(
                "org",
                "repo-creds",
                &[("url", "https://git.example.com/shop"), ("password", "org")],
            ),
            secret(
                "host",
                "repo-creds",
                &[("url", "https://git.example.com"), ("password", "host")],
            ),
            secret(
                "one",
                "repository",
                &[
                    ("url", "https://git.example.com/shop/a.git"),
                    ("password", "one"),
                ],
            ),
        ]
        .into();
        let of = |url| credential(&secrets, url).expect("usable").fingerprint();
        let with = |password| Credential::basic("git", password).fingerprint();
        assert_eq!(of("https://git.example.com/shop/a"), with("one"));
        assert_eq!(of("https://git.example.com/shop/b.git"), with("org"));
        assert_eq!(of("https://git.example.com/shopping/b"), with("host"));
        assert_eq!(
            of("https://git.example.com.evil.org/shop/b"),
            Credential::none().fingerprint()
        );
    }

    #[test]
    fn a_person_has_a_name_and_an_address() {
        let ann = ("Ann Example".to_owned(), "ann@example.com".to_owned());
        assert_eq!(person("Ann Example <ann@example.com>\n"), Some(ann));
        for wrong in [
            "Ann",
            "<ann@example.com>",
            "Ann <ann>",
            "Ann ann@example.com",
        ] {
            assert_eq!(person(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_typing_mistake_in_who_commits_keeps_nobody_from_reading() {
        let url = ("url", "https://git.example.com/a");
        let fields = [url, ("password", "one"), ("committer", "Ann")];
        let secrets = [secret("one", "repository", &fields)].into();
        let found = credential(&secrets, "https://git.example.com/a").expect("usable");
        let why = "`committer` of the repository Secret is not `NAME <MAIL>`";
        assert_eq!(
            found,
            Credential::basic("git", "one").without_committer(why)
        );
    }

    #[test]
    fn an_ssh_key_without_known_hosts_is_refused() {
        let secrets: BTreeMap<_, _> = [secret(
            "key",
            "repository",
            &[
                ("url", "ssh://git@git.example.com/a"),
                ("sshPrivateKey", "KEY"),
            ],
        )]
        .into();
        let error = match credential(&secrets, "ssh://git@git.example.com/a.git") {
            Err(error) => error.to_string(),
            Ok(_) => String::new(),
        };
        assert!(
            error.contains("known_hosts") && !error.contains("KEY"),
            "{error}"
        );
    }
}
