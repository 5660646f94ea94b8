//! Git over ssh, spoken by `russh` in this process: no `ssh` program, no configuration, no agent.
//!
//! The server is checked against the known hosts given with the key, and nothing is ever learned
//! from it. The connection is kept between polls, so that a poll costs one channel instead of a
//! key exchange and an authentication.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use gix_transport::client::blocking_io::Transport as AnyTransport;
use gix_transport::client::git::ConnectMode;
use gix_transport::client::git::blocking_io::Connection;
use gix_transport::{Protocol, Service};
use russh::client::{Config, Handle, Handler};
use russh::keys::{Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::credential::{Credential, Secret};
use super::error::{Cause, Error, Result};
use super::faults::Watch;
use super::known_hosts::{Known, Verdict};
use super::limits;
use super::ssh_pipe;
use super::url::RemoteUrl;

/// The connection kept for one remote.
#[derive(Default)]
pub(super) struct Shells {
    shell: Option<Shell>,
}

struct Shell {
    connection: Handle<Doorkeeper>,
    used: Instant,
}

impl std::fmt::Debug for Shells {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shells")
            .field("open", &self.shell.is_some())
            .finish()
    }
}

/// The thread that ssh connections live on, shared by all remotes; made for the first one.
pub(super) fn runtime() -> std::io::Result<&'static Runtime> {
    static RUNTIME: OnceLock<std::io::Result<Runtime>> = OnceLock::new();
    let made = RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("git-ssh")
            .enable_all()
            .build()
    });
    made.as_ref()
        .map_err(|error| std::io::Error::new(error.kind(), error.to_string()))
}

impl Shells {
    /// Whether a connection is kept.
    pub(super) fn has_any(&self) -> bool {
        self.shell.as_ref().is_some_and(Shell::is_open)
    }

    /// Drops it.
    pub(super) fn close(&mut self) {
        self.shell = None;
    }

    /// A conversation with `service` on `remote`.
    pub(super) fn open(
        &mut self,
        remote: &RemoteUrl,
        credential: &Credential,
        watch: &Watch,
        service: Service,
    ) -> Result<Box<dyn AnyTransport>> {
        let runtime = runtime().map_err(|error| watch.unreachable(Cause::of(&error)))?;
        if !self.has_any() {
            self.shell = None;
            self.shell = Some(Shell {
                connection: runtime.block_on(connect(remote, credential, watch))?,
                used: Instant::now(),
            });
        }
        let shell = self.shell.as_mut().expect("set just above");
        shell.used = Instant::now();
        let run = async {
            let channel = shell.connection.channel_open_session().await?;
            // Servers that do not take it speak the old protocol, which works as well. For a push
            // there is no other.
            if service == Service::UploadPack {
                channel.set_env(false, "GIT_PROTOCOL", "version=2").await?;
            }
            // The URL was checked to have no quote in it.
            let command = format!("{} '{}'", service.as_str(), remote.path());
            channel.exec(false, command).await?;
            Ok::<_, russh::Error>(channel)
        };
        let opened = runtime.block_on(async { timeout(limits::STALL, run).await });
        let channel = match opened {
            Ok(Ok(channel)) => channel,
            Ok(Err(error)) => {
                self.shell = None;
                return Err(watch.unreachable(Cause::of(&error)));
            }
            Err(_) => {
                self.shell = None;
                return Err(watch.stalled(limits::STALL));
            }
        };
        let (reader, writer) = ssh_pipe::pipe(channel, runtime, watch.clone(), limits::STALL);
        let connection = Connection::new(
            reader,
            writer,
            Protocol::V2,
            remote.path(),
            None::<(String, _)>,
            ConnectMode::Process,
            false,
        );
        Ok(Box::new(
            connection.custom_url(Some(remote.to_string().into())),
        ))
    }
}

impl Shell {
    fn is_open(&self) -> bool {
        !self.connection.is_closed() && self.used.elapsed() < limits::SSH_IDLE
    }
}

async fn connect(
    remote: &RemoteUrl,
    credential: &Credential,
    watch: &Watch,
) -> Result<Handle<Doorkeeper>> {
    let (doing, shown) = watch.place();
    let invalid = |why: &str| Error::CredentialInvalid {
        remote: shown.clone(),
        why: why.into(),
    };
    let Secret::Ssh {
        private_key,
        known_hosts,
    } = &credential.secret
    else {
        return Err(invalid("an ssh URL needs an ssh key"));
    };
    let host = remote.host().to_owned();
    let port = remote.port().unwrap_or(22);
    if known_hosts
        .lines()
        .all(|line| line.trim().is_empty() || line.trim().starts_with('#'))
    {
        return Err(Error::KnownHostsMissing {
            doing,
            remote: shown,
            host,
        });
    }
    let key = private_key_from(private_key, "sshPrivateKey").map_err(|why| invalid(&why))?;
    let known = Known::of(known_hosts, &host, port);
    let config = Config {
        preferred: preferred(&known),
        keepalive_interval: Some(limits::STALL / 2),
        keepalive_max: 2,
        ..Config::default()
    };
    let unreachable = |error: &(dyn std::error::Error + 'static)| {
        watch
            .take()
            .unwrap_or_else(|| watch.unreachable(Cause::of(error)))
    };
    let named = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let doorkeeper = Doorkeeper {
        known,
        watch: watch.clone(),
        host,
        port,
    };
    let shake = async {
        let stream = TcpStream::connect((named, port)).await?;
        stream.set_nodelay(true)?;
        russh::client::connect_stream(Arc::new(config), stream, doorkeeper).await
    };
    let mut connection = match timeout(limits::CONNECT, shake).await {
        Ok(connected) => connected.map_err(|error| unreachable(&error))?,
        Err(_) => return Err(watch.stalled(limits::CONNECT)),
    };
    let user = remote.user().unwrap_or("git");
    let fingerprint = key.public_key().fingerprint(HashAlg::Sha256);
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
    let admit = connection.authenticate_publickey(user, key);
    match timeout(limits::CONNECT, admit).await {
        Ok(Ok(outcome)) if outcome.success() => Ok(connection),
        Ok(Ok(_)) => {
            let why = format!("the server does not accept key {fingerprint} for user `{user}`");
            Err(Error::AuthenticationFailed {
                doing,
                remote: shown,
                why,
            })
        }
        Ok(Err(error)) => Err(unreachable(&error)),
        Err(_) => Err(watch.stalled(limits::CONNECT)),
    }
}

/// The key in `text`, which stands under the name `field` in the repository Secret.
pub(super) fn private_key_from(text: &str, field: &str) -> std::result::Result<PrivateKey, String> {
    const RSA: &str = "RSA keys are not supported over ssh, because no RSA implementation in Rust \
                       is free of timing leaks; make a key with `ssh-keygen -t ed25519`, or use \
                       https";
    if text.contains("BEGIN RSA PRIVATE KEY") {
        return Err(RSA.into());
    }
    let key = russh::keys::decode_secret_key(text, None).map_err(|error| match error {
        russh::keys::Error::KeyIsEncrypted => {
            "the ssh key has a passphrase; remove it with `ssh-keygen -p`".to_owned()
        }
        error => format!("`{field}` is not a private key: {}", Cause::of(&error)),
    })?;
    match key.algorithm() {
        Algorithm::Rsa { .. } => Err(RSA.into()),
        Algorithm::Dsa => Err("DSA keys are broken; use `ssh-keygen -t ed25519`".into()),
        _ if key.is_encrypted() => {
            Err("the ssh key has a passphrase; remove it with `ssh-keygen -p`".into())
        }
        _ => Ok(key),
    }
}

/// The algorithms to agree on. A host known by one kind of key is asked for that kind first, as
/// it may well have others that nobody wrote down.
fn preferred(known: &Known) -> russh::Preferred {
    let mut keys: Vec<Algorithm> = Vec::new();
    let all = russh::Preferred::DEFAULT.key.iter().cloned();
    for key in known.algorithms().into_iter().chain(all) {
        // Without RSA code such a key could not be checked.
        if !matches!(key, Algorithm::Rsa { .. } | Algorithm::Dsa) && !keys.contains(&key) {
            keys.push(key);
        }
    }
    russh::Preferred {
        key: keys.into(),
        ..russh::Preferred::DEFAULT
    }
}

/// Lets nobody in who is not known.
struct Doorkeeper {
    known: Known,
    watch: Watch,
    host: String,
    port: u16,
}

impl Handler for Doorkeeper {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> std::result::Result<bool, Self::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else {
            return Ok(false);
        };
        let verdict = self.known.check(key);
        if verdict == Verdict::Trusted {
            return Ok(true);
        }
        let (doing, remote) = self.watch.place();
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        let host = match self.port {
            22 => self.host.clone(),
            port => format!("[{}]:{port}", self.host),
        };
        self.watch.fail(match verdict {
            Verdict::Changed => Error::HostKeyChanged {
                doing,
                remote,
                host,
                fingerprint,
            },
            _ => Error::HostKeyUnknown {
                doing,
                remote,
                host,
                fingerprint,
            },
        });
        Ok(false)
    }
}
