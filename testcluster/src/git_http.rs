//! A smart-HTTP Git server with switchable credentials and faults.

use crate::certs::{self, Authority};
use crate::cgi::{self, Body, Job};
use crate::error::{Context, Result};
use crate::http_client::{block, runtime};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Who may read and write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// Everybody.
    #[default]
    Open,
    /// A user with a password.
    Basic {
        /// The user name.
        user: String,
        /// The password or access token.
        password: String,
    },
    /// Whoever sends this bearer token.
    Bearer(String),
}

/// What the server does instead of answering.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// It works.
    #[default]
    None,
    /// An HTTP status with a short text, such as 401, 403, 404, 429, 500 or 503.
    Status(u16),
    /// A login page with status 200, as single sign-on proxies answer.
    Html,
    /// A redirect to another base URL, with the path appended.
    Redirect(String),
    /// The right answer, this much later.
    Slow(Duration),
    /// Nothing: the connection stays open until the fault is changed.
    Hang,
    /// The right answer, which stops after its first bytes until the fault is changed.
    Stall,
    /// The connection is closed without an answer.
    Disconnect,
}

/// What was asked of a server so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// All requests, also those that were refused.
    pub requests: u64,
    /// Requests for `info/refs`, with which every operation begins.
    pub advertisements: u64,
    /// Requests for `git-upload-pack`: ls-refs and fetch.
    pub upload_packs: u64,
    /// Requests for `git-receive-pack`: push.
    pub receive_packs: u64,
    /// Requests that were refused with 401.
    pub unauthorized: u64,
    /// Bytes of Git's own answers.
    pub bytes: u64,
}

#[derive(Default)]
struct Counting {
    requests: AtomicU64,
    advertisements: AtomicU64,
    upload_packs: AtomicU64,
    receive_packs: AtomicU64,
    unauthorized: AtomicU64,
    bytes: Arc<AtomicU64>,
}

struct State {
    root: PathBuf,
    auth: Mutex<Auth>,
    fault: watch::Sender<Fault>,
    stalled: watch::Sender<bool>,
    counting: Counting,
}

/// Options of a [`GitServer`].
pub struct GitServerBuilder {
    root: PathBuf,
    auth: Auth,
    tls: bool,
    port: u16,
}

impl GitServerBuilder {
    /// Who may read and write (everybody).
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }

    /// Serves HTTPS, with a certificate of an authority of its own (no).
    pub fn tls(mut self, tls: bool) -> Self {
        self.tls = tls;
        self
    }

    /// A fixed port instead of a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Starts it; it serves when this returns.
    pub fn start(self) -> Result<GitServer> {
        let (authority, tls) = if self.tls {
            let authority = Authority::new("towline-testcluster git")?;
            let config = certs::server_config(&authority.server()?)?;
            (
                Some(authority),
                Some(tokio_rustls::TlsAcceptor::from(config)),
            )
        } else {
            (None, None)
        };
        let state = Arc::new(State {
            root: self.root,
            auth: Mutex::new(self.auth),
            fault: watch::Sender::new(Fault::None),
            stalled: watch::Sender::new(false),
            counting: Counting::default(),
        });
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let listener = block(TcpListener::bind(address))?
            .doing(|| format!("listening on {address} for Git over HTTP"))?;
        let port = listener
            .local_addr()
            .doing(|| "asking for the port".into())?
            .port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let task = runtime()?.spawn(accept(listener, tls, state.clone()));
        Ok(GitServer {
            base: format!("{scheme}://127.0.0.1:{port}"),
            ca: authority.map(|authority| authority.pem()),
            state,
            task,
        })
    }
}

/// A smart-HTTP Git server for the bare repositories under a directory. Dropping it closes all of
/// its connections.
pub struct GitServer {
    base: String,
    ca: Option<String>,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl GitServer {
    /// Options, with plain HTTP for everybody as default.
    pub fn builder(root: impl AsRef<Path>) -> GitServerBuilder {
        let root = root.as_ref().to_owned();
        GitServerBuilder {
            root,
            auth: Auth::Open,
            tls: false,
            port: 0,
        }
    }

    /// Plain HTTP for everybody.
    pub fn start_http(root: impl AsRef<Path>) -> Result<Self> {
        Self::builder(root).start()
    }

    /// The URL of a repository, such as `shop.git`.
    pub fn url(&self, repository: &str) -> String {
        format!("{}/{}", self.base, repository.trim_start_matches('/'))
    }

    /// The authority that signed the certificate of an HTTPS server.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca.as_deref()
    }

    /// Changes the credentials, as a rotation does.
    pub fn set_auth(&self, auth: Auth) {
        *self
            .state
            .auth
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = auth;
    }

    /// Switches a fault on, or off with [`Fault::None`]. Requests that hang are answered then.
    pub fn set_fault(&self, fault: Fault) {
        self.state.stalled.send_replace(fault == Fault::Stall);
        self.state.fault.send_replace(fault);
    }

    /// What was asked of it so far.
    pub fn counters(&self) -> Counters {
        let counting = &self.state.counting;
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            requests: value(&counting.requests),
            advertisements: value(&counting.advertisements),
            upload_packs: value(&counting.upload_packs),
            receive_packs: value(&counting.receive_packs),
            unauthorized: value(&counting.unauthorized),
            bytes: value(&counting.bytes),
        }
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Owns the connections, so that they end with it.
async fn accept(listener: TcpListener, tls: Option<tokio_rustls::TlsAcceptor>, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, tls.clone(), state.clone()));
                }
                // Out of file descriptors, for example: others will be closed in a moment.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Errors end the connection: the client tells its side of the story.
async fn connection(stream: TcpStream, tls: Option<tokio_rustls::TlsAcceptor>, state: Arc<State>) {
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request| answer(state.clone(), request));
    let http = hyper::server::conn::http1::Builder::new();
    match tls {
        None => {
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        }
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            }
        }
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> io::Result<Response<Body>> {
    count(&state.counting, request.uri().path());
    let mut faults = state.fault.subscribe();
    let fault = faults.borrow_and_update().clone();
    match fault {
        Fault::None | Fault::Stall => {}
        Fault::Status(code) => {
            let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return Ok(response(
                status,
                "text/plain",
                "the test wants this error\n",
            ));
        }
        Fault::Html => {
            let page = "<!DOCTYPE html><html><body>Please sign in</body></html>\n";
            return Ok(response(StatusCode::OK, "text/html", page));
        }
        Fault::Redirect(base) => {
            let path = request.uri().path_and_query().map_or("/", |p| p.as_str());
            let mut answer = response(StatusCode::FOUND, "text/plain", "");
            let target = format!("{}{path}", base.trim_end_matches('/'));
            answer.headers_mut().insert(
                LOCATION,
                HeaderValue::try_from(target).map_err(io::Error::other)?,
            );
            return Ok(answer);
        }
        Fault::Slow(delay) => tokio::time::sleep(delay).await,
        Fault::Hang => {
            let _ = faults.changed().await;
        }
        Fault::Disconnect => return Err(io::Error::other("the test wants no answer")),
    }
    let auth = state
        .auth
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let sent = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let user = match authenticate(&auth, sent) {
        Ok(user) => user,
        Err(challenge) => {
            state.counting.unauthorized.fetch_add(1, Ordering::Relaxed);
            let mut answer = response(StatusCode::UNAUTHORIZED, "text/plain", "who are you?\n");
            answer
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            return Ok(answer);
        }
    };
    let job = Job {
        sent: state.counting.bytes.clone(),
        stalled: state.stalled.subscribe(),
    };
    let root = state.root.clone();
    match cgi::run(&root, request, user.as_deref(), job).await {
        Ok(answer) => Ok(answer),
        // Most likely git is missing; a silent disconnect would hide that.
        Err(error) => {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            Ok(response(
                status,
                "text/plain",
                &format!("running git http-backend: {error}\n"),
            ))
        }
    }
}

fn count(counting: &Counting, path: &str) {
    counting.requests.fetch_add(1, Ordering::Relaxed);
    let counter = match path {
        path if path.ends_with("/info/refs") => &counting.advertisements,
        path if path.ends_with("/git-upload-pack") => &counting.upload_packs,
        path if path.ends_with("/git-receive-pack") => &counting.receive_packs,
        _ => return,
    };
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The user, or the challenge to send.
fn authenticate(
    auth: &Auth,
    sent: Option<&str>,
) -> std::result::Result<Option<String>, &'static str> {
    match auth {
        Auth::Open => Ok(None),
        Auth::Basic { user, password } => {
            let expected = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            if sent == Some(expected.as_str()) {
                return Ok(Some(user.clone()));
            }
            Err("Basic realm=\"testcluster\"")
        }
        Auth::Bearer(token) => {
            if sent == Some(format!("Bearer {token}").as_str()) {
                return Ok(Some("bearer".into()));
            }
            Err("Bearer realm=\"testcluster\"")
        }
    }
}

fn response(status: StatusCode, content_type: &'static str, body: &str) -> Response<Body> {
    let body = if body.is_empty() {
        cgi::empty()
    } else {
        cgi::text(body.to_owned())
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
