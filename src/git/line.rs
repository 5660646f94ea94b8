//! The way to a remote: what is kept of it between polls, and the conversation over it.

use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use gix_hash::ObjectId;
use gix_transport::client::blocking_io::Transport as AnyTransport;
use gix_transport::client::blocking_io::http::Transport as HttpTransport;
use gix_transport::{Protocol, Service};
use reqwest::header::HeaderValue;

use super::clients::Clients;
use super::credential::{Credential, Secret};
use super::error::{Cause, Error, Result};
use super::faults::Watch;
use super::http::{Advertisement, Web};
use super::receive::{Update, send};
use super::scheme::Scheme;
use super::ssh::Shells;
use super::store::Store;
use super::url::RemoteUrl;
use super::wire::{Depth, Session};

/// What is kept between polls, so that the next one need not start from nothing.
#[derive(Debug, Default)]
pub(super) struct Connections {
    credential: Credential,
    advertisement: Arc<Mutex<Advertisement>>,
    shells: Shells,
}

impl Connections {
    /// Says who comes next: what others left is not for them.
    pub(super) fn serve(&mut self, credential: &Credential) {
        if self.credential != *credential {
            self.forget();
            self.credential = credential.clone();
        }
    }

    /// Whether anything is kept that the next conversation will use.
    pub(super) fn has_any(&self) -> bool {
        self.shells.has_any()
            || self
                .advertisement
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_kept()
    }

    fn forget(&mut self) {
        self.advertisement
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .forget();
        self.shells.close();
    }
}

/// One conversation with a remote, begun when something is first asked.
pub(super) struct Line<'a> {
    remote: &'a RemoteUrl,
    credential: &'a Credential,
    clients: &'a Clients,
    connections: &'a mut Connections,
    watch: Watch,
    session: Option<Session>,
}

impl<'a> Line<'a> {
    pub(super) fn new(
        remote: &'a RemoteUrl,
        credential: &'a Credential,
        clients: &'a Clients,
        connections: &'a mut Connections,
    ) -> Self {
        let watch = Watch::new(&remote.to_string());
        Self {
            remote,
            credential,
            clients,
            connections,
            watch,
            session: None,
        }
    }

    /// Drops what was kept: the next question goes over a new connection.
    pub(super) fn reset(&mut self) {
        self.session = None;
        self.connections.forget();
    }

    /// The conversation, for a poll.
    pub(super) fn session(&mut self) -> Result<&mut Session> {
        self.watch.polling();
        self.begin()
    }

    /// Fetches `wants` into `store`; returns the bytes received.
    pub(super) fn fetch(
        &mut self,
        store: &Store,
        wants: &[ObjectId],
        depth: Depth,
        limit: u64,
    ) -> Result<u64> {
        let session = self.begin()?;
        let result = session.fetch(store, wants, depth, limit);
        if result.is_err() || !session.takes_more() {
            // A broken conversation cannot be gone on with.
            self.session = None;
        }
        result
    }

    /// Pushes over a conversation of its own.
    pub(super) fn push(&mut self, update: &Update<'_>) -> Result<()> {
        self.watch.pushing();
        let transport = self.transport(Service::ReceivePack)?;
        send(transport, &self.watch, self.credential, update)
    }

    fn begin(&mut self) -> Result<&mut Session> {
        if self.session.is_none() {
            let transport = self.transport(Service::UploadPack)?;
            let session = Session::open(transport, self.watch.clone(), self.credential)?;
            self.session = Some(session);
        }
        Ok(self.session.as_mut().expect("set just above"))
    }

    fn transport(&mut self, service: Service) -> Result<Box<dyn AnyTransport>> {
        match self.remote.scheme() {
            Scheme::Https | Scheme::Http => self.http(service),
            Scheme::Ssh => {
                self.connections
                    .shells
                    .open(self.remote, self.credential, &self.watch, service)
            }
            Scheme::File => unreachable!("a local directory is read in place"),
        }
    }

    fn http(&self, service: Service) -> Result<Box<dyn AnyTransport>> {
        let shown = self.remote.to_string();
        let url = gix_url::parse(shown.as_str()).map_err(|error| Error::UrlInvalid {
            url: shown.clone(),
            why: Cause::of(&error).to_string(),
        })?;
        let web = Web {
            client: self.clients.get(self.credential.ca.as_deref(), &shown)?,
            authorization: self.authorization()?,
            watch: self.watch.clone(),
            service,
            // What a server says of fetching says nothing of pushing.
            advertisement: match service {
                Service::UploadPack => Arc::clone(&self.connections.advertisement),
                Service::ReceivePack => Arc::default(),
            },
            moved_to: None,
        };
        let version = match service {
            Service::UploadPack => Protocol::V2,
            Service::ReceivePack => Protocol::V1,
        };
        Ok(Box::new(HttpTransport::new_http(web, url, version, false)))
    }

    fn authorization(&self) -> Result<Option<HeaderValue>> {
        let invalid = |why: &str| Error::CredentialInvalid {
            remote: self.remote.to_string(),
            why: why.to_owned(),
        };
        let value = match &self.credential.secret {
            // Checked before: a key comes with an ssh URL only.
            Secret::None | Secret::Ssh { .. } => return Ok(None),
            Secret::Basic { username, password } => {
                format!("Basic {}", BASE64.encode(format!("{username}:{password}")))
            }
            Secret::Bearer(token) => format!("Bearer {token}"),
        };
        let mut value = HeaderValue::from_str(&value)
            .map_err(|_| invalid("the token contains line breaks or control characters"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}
