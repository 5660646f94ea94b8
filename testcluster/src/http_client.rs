//! A small blocking HTTPS client for the API server, and the runtime that serves both sides.

use crate::error::{Context, Error, Result};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

/// One runtime for all servers and clients of this crate; it is never shut down.
pub(crate) fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<std::result::Result<Runtime, String>> = OnceLock::new();
    RUNTIME
        .get_or_init(|| {
            Builder::new_multi_thread()
                .worker_threads(2)
                .thread_name("testcluster")
                .enable_all()
                .build()
                .map_err(|error| error.to_string())
        })
        .as_ref()
        .map_err(|error| Error::new(format!("starting the runtime of testcluster: {error}")))
}

/// Runs a future to its end. Unlike `block_on` it may be called inside of another runtime.
pub(crate) fn block<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> Result<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    runtime()?.spawn(async move {
        let _ = sender.send(future.await);
    });
    receiver
        .recv()
        .doing(|| "waiting for a task of testcluster".into())
}

/// Talks to one API server as one user. Each request has a connection of its own, so nothing needs
/// care when the server is restarted.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    tls: Arc<rustls::ClientConfig>,
    token: String,
}

impl Client {
    pub(crate) fn new(port: u16, ca_pem: &str, token: &str) -> Result<Self> {
        Ok(Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            tls: crate::certs::client_config(ca_pem)?,
            token: token.to_owned(),
        })
    }

    /// Sends a request and returns the status and the body.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<(u16, Bytes)> {
        let what = format!("{method} {path} at the test cluster's API server");
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.address.to_string())
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, content_type)
            .body(Full::new(Bytes::from(body)))
            .doing(|| what.clone())?;
        let client = self.clone();
        let answer = tokio_timeout(Duration::from_secs(30), async move {
            client
                .exchange(request)
                .await
                .map_err(|error| error.to_string())
        });
        block(answer)?.doing(|| what)
    }

    /// Sends JSON and expects JSON.
    pub(crate) fn json(&self, method: &str, path: &str, body: &Value) -> Result<(u16, Value)> {
        let bytes = if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        };
        // What server-side apply and merge patches need; the API server refuses a plain JSON type.
        let content_type = match method {
            "PATCH" if path.contains("fieldManager=") => "application/apply-patch+yaml",
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let (status, answer) = self.send(method, path, content_type, bytes)?;
        let value = serde_json::from_slice(&answer)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&answer).into_owned()));
        Ok((status, value))
    }

    /// Creates an object; that it exists already is fine.
    pub(crate) fn ensure(&self, path: &str, object: &Value) -> Result<()> {
        let (status, answer) = self.json("POST", path, object)?;
        if status < 300 || status == 409 {
            return Ok(());
        }
        Err(Error::new(format!(
            "POST {path} at the test cluster: status {status}: {answer}"
        )))
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> std::result::Result<(u16, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
        let stream = tokio_rustls::TlsConnector::from(self.tls.clone())
            .connect(name, stream)
            .await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        connection.abort();
        Ok((status, body))
    }
}

async fn tokio_timeout<T>(
    limit: Duration,
    future: impl Future<Output = std::result::Result<T, String>>,
) -> std::result::Result<T, String> {
    match tokio::time::timeout(limit, future).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} s", limit.as_secs())),
    }
}
