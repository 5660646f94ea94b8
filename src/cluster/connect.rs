//! The connection to the API server: one HTTP/2 connection for every request and watch.

use std::path::Path;
use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ConfigExt as _};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::{BoxError, ServiceBuilder};

/// How often an idle connection is probed, so that a watch on a dead one is noticed: half of the
/// minute after which common load balancers forget it.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// No usable way to a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Neither a kubeconfig nor a ServiceAccount's files.
    #[error(
        "failed to find a cluster: {0} (set KUBECONFIG, pass --context, or run inside a cluster)"
    )]
    Config(String),
    /// The configuration is there, but cannot be used.
    #[error("failed to set up the connection to the API server: {0}")]
    Client(String),
}

/// A client for the cluster of the kubeconfig (KUBECONFIG or ~/.kube/config) at `context`, or of
/// the ServiceAccount that the process runs as.
///
/// # Errors
/// When there is no configuration, or when it cannot be used.
pub async fn connect(context: Option<&str>) -> Result<Client, ConnectError> {
    let config = match context {
        Some(context) => {
            let options = KubeConfigOptions {
                context: Some(context.into()),
                ..Default::default()
            };
            Config::from_kubeconfig(&options)
                .await
                .map_err(|e| ConnectError::Config(e.to_string()))?
        }
        None => Config::infer()
            .await
            .map_err(|e| ConnectError::Config(e.to_string()))?,
    };
    from_config(config)
}

/// A client for the cluster of exactly this kubeconfig, whatever the environment says.
///
/// # Errors
/// When it cannot be read or used.
pub async fn connect_with(kubeconfig: &Path) -> Result<Client, ConnectError> {
    let read =
        Kubeconfig::read_from(kubeconfig).map_err(|e| ConnectError::Config(e.to_string()))?;
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
    from_config(config.map_err(|e| ConnectError::Config(e.to_string()))?)
}

/// A client for this configuration.
///
/// kube's default client speaks HTTP/1.1 and would open one TLS connection for each watch; ours
/// sends everything over one HTTP/2 connection. `nodelay` matters: without it each small request
/// waits for the server's delayed acknowledgement (about 40 ms).
fn from_config(config: Config) -> Result<Client, ConnectError> {
    let client_error = |e: &dyn std::fmt::Display| ConnectError::Client(e.to_string());
    if config.proxy_url.is_some() || config.tls_server_name.is_some() {
        return Client::try_from(config).map_err(|e| client_error(&e));
    }
    let tls = config
        .rustls_client_config()
        .map_err(|e| client_error(&e))?;
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(Duration::from_secs(10)));
    let https = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(tcp);
    let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .http2_keep_alive_interval(KEEP_ALIVE)
        .http2_keep_alive_timeout(Duration::from_secs(10))
        .http2_keep_alive_while_idle(true)
        .http2_adaptive_window(true)
        .build::<_, Body>(https);
    let auth = config.auth_layer().map_err(|e| client_error(&e))?;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(auth)
        .map_err(BoxError::from)
        .service(http);
    Ok(Client::new(service, config.default_namespace))
}
