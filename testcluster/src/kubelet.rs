//! The part of a kubelet that KWOK does not play here: what containers say.

use crate::certs::{self, Authority};
use crate::control_plane::ControlPlane;
use crate::error::{Context, Error, Result};
use crate::http_client::{block, runtime};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Answers for the log of every container on a node with the same text. Dropping it ends that.
pub struct KubeletLogs {
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl KubeletLogs {
    /// Paths and queries that the API server asked for, as a kubelet sees them:
    /// `/containerLogs/NAMESPACE/POD/CONTAINER?…`.
    pub fn asked(&self) -> Vec<String> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for KubeletLogs {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ControlPlane {
    /// Serves this text as the log of every container on a node, such as `node-1`.
    pub fn serve_logs(&self, node: &str, text: &str) -> Result<KubeletLogs> {
        let authority = Authority::new("towline-testcluster kubelet")?;
        let config = certs::server_config(&authority.server()?)?;
        let tls = tokio_rustls::TlsAcceptor::from(config);
        let listener = block(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?
            .doing(|| "listening as a kubelet".into())?;
        let port = listener
            .local_addr()
            .doing(|| "asking for the port".into())?
            .port();
        let asked = Arc::default();
        let task = runtime()?.spawn(accept(listener, tls, Arc::clone(&asked), text.into()));
        // The API server asks for no certificate that it knows, and goes to this address.
        let status = json!({"status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }});
        let path = format!("/api/v1/nodes/{node}/status");
        match self.request("PATCH", &path, &status)? {
            (200, _) => Ok(KubeletLogs { asked, task }),
            (status, answer) => Err(Error::new(format!("PATCH {path}: {status} {answer}"))),
        }
    }
}

async fn accept(
    listener: TcpListener,
    tls: tokio_rustls::TlsAcceptor,
    asked: Arc<Mutex<Vec<String>>>,
    text: Arc<str>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, tls.clone(), asked.clone(), text.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Errors end the connection: the API server tells its side of the story.
async fn connection(
    stream: TcpStream,
    tls: tokio_rustls::TlsAcceptor,
    asked: Arc<Mutex<Vec<String>>>,
    text: Arc<str>,
) {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let path = request.uri().path_and_query();
        let path = path.map(ToString::to_string).unwrap_or_default();
        asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(path);
        let answer = Response::new(text.to_string());
        async move { Ok::<_, Infallible>(answer) }
    });
    let http = hyper::server::conn::http1::Builder::new();
    if let Ok(stream) = tls.accept(stream).await {
        let _ = http.serve_connection(TokioIo::new(stream), service).await;
    }
}
