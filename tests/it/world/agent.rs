//! An agent in this process, on a runtime of its own.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use towline::agent::Options;
use towline::cluster::{Cluster, KubeCluster, connect_with};

/// How long an agent may take to end: as long as `manifests/deployment.yaml` gives its pod.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// Stops in good order when it is dropped.
pub struct Agent {
    runtime: Option<Runtime>,
    task: Option<JoinHandle<anyhow::Result<()>>>,
    stop: watch::Sender<bool>,
    address: SocketAddr,
    /// What its threads are called.
    threads: String,
    /// Whether it is one that dies at a boundary.
    pub is_fated: bool,
}

impl Agent {
    pub fn start(kubeconfig: &Path, options: Options) -> Self {
        Self::start_through(kubeconfig, options, |cluster| Arc::new(cluster))
    }

    /// An agent that reaches the API server through `door`.
    pub fn start_through(
        kubeconfig: &Path,
        options: Options,
        door: impl FnOnce(KubeCluster) -> Arc<dyn Cluster>,
    ) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let threads = format!("agent-{}", NUMBER.fetch_add(1, Ordering::SeqCst));
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(&threads)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let client = runtime.block_on(connect_with(kubeconfig)).unwrap();
        let (stop, stopped) = watch::channel(false);
        let cluster = door(KubeCluster::new(client));
        let task = runtime.spawn(towline::agent::run(cluster, options, listener, stopped));
        Self {
            runtime: Some(runtime),
            task: Some(task),
            stop,
            address,
            threads,
            is_fated: false,
        }
    }

    /// As SIGTERM: ends its work and gives the Lease back. Fails the test when it does not end.
    pub fn stop(mut self) {
        let ended = self.end();
        assert!(ended.is_ok(), "the agent did not stop: {ended:?}");
    }

    /// As `kill -9`: nothing more is sent.
    pub fn kill(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    fn end(&mut self) -> Result<(), String> {
        let _ = self.stop.send(true);
        let (Some(runtime), Some(task)) = (self.runtime.take(), self.task.take()) else {
            return Ok(());
        };
        let ended = runtime.block_on(async { tokio::time::timeout(STOP_LIMIT, task).await });
        runtime.shutdown_background();
        match ended {
            Ok(Ok(Ok(()))) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    }

    /// What an HTTP endpoint answers: status and body.
    pub fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }

    /// The sum of all series of a metric.
    pub fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics");
        let of = |line: &str| {
            let rest = line.strip_prefix(name)?;
            rest.starts_with(['{', ' '])
                .then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
        };
        text.lines().filter_map(of).sum()
    }

    /// Whether it holds the Lease.
    pub fn leads(&self) -> bool {
        self.metric("towline_leader") > 0.0
    }

    /// The processor time that it has used, in ticks of 10 ms; 0 where the system does not say.
    pub fn ticks(&self) -> u64 {
        let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
            return 0;
        };
        tasks
            .flatten()
            .filter_map(|task| self.ticks_of(&task.path()))
            .sum()
    }

    /// Those of one thread, if it is the agent's and still there.
    fn ticks_of(&self, task: &Path) -> Option<u64> {
        let stat = std::fs::read_to_string(task.join("stat")).ok()?;
        let (head, rest) = stat.rsplit_once(") ")?;
        if head.split_once('(')?.1 != self.threads {
            return None;
        }
        let fields: Vec<&str> = rest.split(' ').collect();
        Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
    }

    /// Git polls that ended, of all remotes.
    pub fn polls(&self) -> f64 {
        self.metric("towline_git_polls_total")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let ended = self.end();
        if !std::thread::panicking() {
            assert!(ended.is_ok(), "the agent did not stop: {ended:?}");
        }
    }
}
