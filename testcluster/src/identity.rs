//! Kubeconfigs for the identities that tests act as.

use crate::certs::Pair;
use crate::control_plane::ControlPlane;
use crate::error::{Context, Error, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// How a kubeconfig says who its user is.
pub(crate) enum Credential<'a> {
    Token(&'a str),
    Certificate(&'a Pair),
}

impl ControlPlane {
    /// A kubeconfig of any user, by a client certificate. At most two groups fit into one; every
    /// user is in `system:authenticated` anyway.
    pub fn kubeconfig_for(&self, user: &str, groups: &[&str]) -> Result<PathBuf> {
        if groups.len() > 2 {
            return Err(Error::new(format!(
                "a client certificate for {user} holds at most two groups: use fewer, or \
                 service_account_kubeconfig"
            )));
        }
        let pair = self.parts.authority.client(user, groups)?;
        self.new_kubeconfig(user, &Credential::Certificate(&pair))
    }

    /// A kubeconfig of a service account, by a real token of the TokenRequest API. Creates the
    /// namespace and the service account when they do not exist.
    pub fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let token = self.service_account_token(namespace, name)?;
        self.new_kubeconfig(&format!("{namespace}-{name}"), &Credential::Token(&token))
    }

    /// The token of [`Self::service_account_kubeconfig`]; it is good for a day.
    pub fn service_account_token(&self, namespace: &str, name: &str) -> Result<String> {
        let client = &self.parts.client;
        client.ensure(
            "/api/v1/namespaces",
            &json!({"metadata": {"name": namespace}}),
        )?;
        let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        client.ensure(&accounts, &json!({"metadata": {"name": name}}))?;
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 86_400},
        });
        let (status, answer) =
            client.json("POST", &format!("{accounts}/{name}/token"), &request)?;
        answer["status"]["token"].as_str().map(str::to_owned).ok_or_else(|| {
            Error::new(format!(
                "requesting a token for the service account {namespace}/{name}: status {status}: \
                 {answer}"
            ))
        })
    }

    fn new_kubeconfig(&self, user: &str, credential: &Credential<'_>) -> Result<PathBuf> {
        let number = self.identities.fetch_add(1, Ordering::SeqCst);
        let safe: String = user
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        let path = self.dir().join(format!("kubeconfig-{number}-{safe}"));
        write_kubeconfig(&path, self.parts.port, &self.ca_pem(), user, credential)?;
        Ok(path)
    }
}

/// Writes a kubeconfig. JSON strings are valid YAML strings, whatever the user is called.
pub(crate) fn write_kubeconfig(
    path: &Path,
    port: u16,
    ca_pem: &str,
    user: &str,
    credential: &Credential<'_>,
) -> Result<()> {
    let user = json!(user);
    let ca = STANDARD.encode(ca_pem);
    let credential = match credential {
        Credential::Token(token) => format!("      token: {token}"),
        Credential::Certificate(pair) => format!(
            "      client-certificate-data: {}\n      client-key-data: {}",
            STANDARD.encode(&pair.cert),
            STANDARD.encode(&pair.key)
        ),
    };
    let text = format!(
        "apiVersion: v1
kind: Config
current-context: testcluster
clusters:
  - name: testcluster
    cluster:
      server: https://127.0.0.1:{port}
      certificate-authority-data: {ca}
users:
  - name: {user}
    user:
{credential}
contexts:
  - name: testcluster
    context:
      cluster: testcluster
      user: {user}
"
    );
    fs::write(path, text).doing(|| format!("writing the kubeconfig {}", path.display()))
}
