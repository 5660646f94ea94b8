//! The HTTP connection pools: one for each set of trusted certificate authorities, shared by all
//! remotes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Certificate;
use reqwest::blocking::Client;
use reqwest::redirect::Policy;

use super::addresses::Resolver;
use super::error::{Cause, Error, Result};
use super::limits;

/// The pools made so far, by the PEM text of the authorities.
#[derive(Debug, Default)]
pub(super) struct Clients(Mutex<BTreeMap<Option<String>, Client>>);

impl Clients {
    /// The pool that trusts `ca` (PEM) and nobody else, or whom the system trusts. `remote` is
    /// for the error.
    pub(super) fn get(&self, ca: Option<&str>, remote: &str) -> Result<Client> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = ca.map(str::to_owned);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = Self::build(ca, remote)?;
        clients.insert(key, client.clone());
        Ok(client)
    }

    fn build(ca: Option<&str>, remote: &str) -> Result<Client> {
        let invalid = |why: String| Error::CredentialInvalid {
            remote: remote.to_owned(),
            why,
        };
        // Without one, building would panic. Whoever was first, it is the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .connect_timeout(limits::CONNECT)
            // Per read, not in all: what is slow but steady goes on to the deadline.
            .timeout(limits::STALL)
            .tcp_nodelay(true)
            .tcp_keepalive(limits::STALL)
            .pool_max_idle_per_host(4)
            // Redirects are decided on where the credentials are known.
            .redirect(Policy::none())
            .referer(false)
            .dns_resolver(Arc::new(Resolver))
            // Nothing of the environment steers where credentials go.
            .no_proxy()
            .user_agent(concat!("git/towline-", env!("CARGO_PKG_VERSION")));
        if let Some(ca) = ca {
            let certificates = Certificate::from_pem_bundle(ca.as_bytes())
                .map_err(|error| invalid(format!("`ca.crt` is not PEM: {}", Cause::of(&error))))?;
            if certificates.is_empty() {
                return Err(invalid("`ca.crt` holds no certificate".to_owned()));
            }
            builder = builder.tls_certs_only(certificates);
        }
        builder.build().map_err(|error| Error::TlsFailed {
            doing: "preparing TLS for",
            remote: remote.to_owned(),
            cause: Cause::of(&error),
        })
    }
}
