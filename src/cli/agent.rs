//! `towline agent`: runs in the cluster, or beside it during development.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::logging::{self, LogFormat};
use super::{NAMESPACE, open};
use crate::agent::{self, Options, Timing};
use crate::git::{AllowedSchemes, Scheme};

/// Where the manifests mount the cache.
const CACHE: &str = "/var/cache/towline";

/// Run the agent
///
/// Without a context it uses the ServiceAccount of its pod, or the kubeconfig. SIGTERM and SIGINT
/// end it after the writes in flight, and give its Lease back.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 after SIGTERM or SIGINT, 1 failed, 64 the command line cannot be \
                        understood."
)]
pub(super) struct AgentArgs {
    /// The agent's namespace: Applications in it may act as the agent; inventories are kept in it
    #[arg(
        long,
        value_name = "NAME",
        env = "POD_NAMESPACE",
        hide_env_values = true,
        default_value = NAMESPACE
    )]
    namespace: String,
    /// Names this installation in tracking-ids, where two share a namespace. Changing it disowns
    /// every object. Default the namespace
    #[arg(long, value_name = "NAME")]
    install_id: Option<String>,
    /// Honour the Applications of these namespaces only; may be given several times
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    application_namespaces: Vec<String>,
    /// Where /metrics, /healthz and /readyz are served
    #[arg(long, value_name = "ADDRESS", default_value = ":8080", value_parser = listen_address)]
    listen: SocketAddr,
    /// Where Git repositories are cached. Default /var/cache/towline where that can be written,
    /// else $XDG_CACHE_HOME/towline or ~/.cache/towline
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// Allow repository URLs of this scheme besides https and ssh: http or file; may be given
    /// several times
    #[arg(long, value_name = "SCHEME", value_parser = scheme)]
    allow_scheme: Vec<Scheme>,
    /// How log lines are written
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// What is logged, such as debug or info,towline=trace. Default info
    #[arg(long, value_name = "LEVEL", env = "RUST_LOG", hide_env_values = true)]
    log_level: Option<String>,
    /// The Lease: of all agents with the same one, one acts
    #[arg(long, value_name = "NAME", default_value = "towline-shard-0")]
    lease_name: String,
    /// The agent's own Deployment: while it is being deleted, Applications are let go without
    /// deleting their objects
    #[arg(long, value_name = "NAME", default_value = "towline")]
    deployment: String,
}

fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let text = if text.starts_with(':') {
        format!("0.0.0.0{text}")
    } else {
        text.to_owned()
    };
    text.parse()
        .map_err(|_| "write it as `:8080` or `127.0.0.1:8080`".to_owned())
}

pub(super) fn scheme(text: &str) -> Result<Scheme, String> {
    Scheme::parse(text).ok_or_else(|| "towline speaks https, ssh, http and file".to_owned())
}

/// Runs until a signal.
///
/// # Errors
/// When the cluster, the address or the cache directory cannot be used.
pub(super) fn run(args: AgentArgs, context: Option<&str>) -> anyhow::Result<u8> {
    logging::start(args.log_format, args.log_level.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(args, context))?;
    Ok(0)
}

async fn serve(args: AgentArgs, context: Option<&str>) -> anyhow::Result<()> {
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("failed to listen on {} (--listen)", args.listen))?;
    let cluster = open(context).await?;
    let options = options(args, identity());
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        namespace = options.namespace,
        identity = options.identity,
        cache_dir = %options.cache_dir.display(),
        listen = %listener.local_addr()?,
        "towline starts"
    );
    let (stop, stopped) = watch::channel(false);
    let signals = tokio::spawn(stop_on_signal(stop)?);
    let ended = agent::run(Arc::new(cluster), options, listener, stopped).await;
    signals.abort();
    ended?;
    tracing::info!("towline has stopped");
    Ok(())
}

fn options(args: AgentArgs, identity: String) -> Options {
    Options {
        install_id: args.install_id.unwrap_or_else(|| args.namespace.clone()),
        namespace: args.namespace,
        application_namespaces: args.application_namespaces,
        cache_dir: args.cache_dir.unwrap_or_else(cache_dir),
        allow_schemes: AllowedSchemes::with(args.allow_scheme),
        lease_name: args.lease_name,
        identity,
        timing: Timing::default(),
        deployment: Some(args.deployment).filter(|name| !name.is_empty()),
    }
}

/// Sends the word when the first signal comes. Signals are caught from the moment of the call.
fn stop_on_signal(
    stop: watch::Sender<bool>,
) -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "towline stops");
        let _ = stop.send(true);
        // The receivers are watched until the end: without a sender they would only see it close.
        stop.closed().await;
    })
}

/// This agent's name among its replicas: the pod's, or one that no other run has.
fn identity() -> String {
    if let Some(pod) = std::env::var("POD_NAME")
        .ok()
        .filter(|name| !name.is_empty())
    {
        return pod;
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = match host.trim() {
        "" => "towline",
        host => host,
    };
    // Keys of hash maps are the randomness that the standard library has.
    let random = RandomState::new().build_hasher().finish();
    format!("{host}-{:08x}", random & 0xffff_ffff)
}

/// The cache directory where nobody names one.
fn cache_dir() -> PathBuf {
    let mounted = PathBuf::from(CACHE);
    if can_write(&mounted) {
        return mounted;
    }
    let from = |name: &str| {
        std::env::var_os(name)
            .filter(|dir| !dir.is_empty())
            .map(PathBuf::from)
    };
    let base = from("XDG_CACHE_HOME").or_else(|| Some(from("HOME")?.join(".cache")));
    base.unwrap_or_else(std::env::temp_dir).join("towline")
}

/// Whether files can be made in a directory: only trying tells.
fn can_write(dir: &std::path::Path) -> bool {
    let probe = dir.join(format!(".probe-{}", std::process::id()));
    let made = std::fs::File::create(&probe).is_ok();
    made && std::fs::remove_file(&probe).is_ok()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Cli, Verb};
    use super::*;

    fn parse(line: &[&str]) -> Options {
        let line = ["towline", "agent"].iter().chain(line);
        let cli = Cli::try_parse_from(line).expect("valid");
        let Verb::Agent(args) = cli.verb else {
            panic!("another verb")
        };
        options(args, "me".into())
    }

    /// The arguments of manifests/deployment.yaml.
    #[test]
    fn the_deployments_arguments_are_accepted() {
        let line = [
            "--listen=:8080",
            "--cache-dir=/var/cache/towline",
            "--log-format=json",
            "--namespace=a",
        ];
        let options = parse(&line);
        assert_eq!(options.cache_dir, PathBuf::from(CACHE));
        assert_eq!(
            (options.namespace.as_str(), options.install_id.as_str()),
            ("a", "a")
        );
        assert_eq!(options.lease_name, "towline-shard-0");
        assert_eq!(options.deployment.as_deref(), Some("towline"));
        assert_eq!(
            listen_address(":8080"),
            Ok(SocketAddr::from(([0, 0, 0, 0], 8080)))
        );
        assert_eq!(
            listen_address("[::1]:80"),
            Ok("[::1]:80".parse().expect("an address"))
        );
        assert!(listen_address("8080").is_err());
    }

    #[test]
    fn lists_may_be_repeated_or_separated_by_commas() {
        let options = parse(&[
            "--application-namespaces=a,b",
            "--application-namespaces",
            "c",
            "--allow-scheme=http",
            "--allow-scheme=file",
            "--deployment=",
        ]);
        assert_eq!(options.application_namespaces, ["a", "b", "c"]);
        assert!(
            options.allow_schemes.allows(Scheme::Http)
                && options.allow_schemes.allows(Scheme::File)
        );
        assert_eq!(options.deployment, None);
        assert!(scheme("ftp").is_err());
    }

    #[test]
    fn schemes_in_clear_text_are_off() {
        let options = parse(&[]);
        assert!(
            !options.allow_schemes.allows(Scheme::Http)
                && options.allow_schemes.allows(Scheme::Ssh)
        );
    }

    #[test]
    fn two_runs_have_two_names() {
        if std::env::var_os("POD_NAME").is_none() {
            assert_ne!(identity(), identity());
        }
    }
}
