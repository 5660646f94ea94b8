//! One test's world: a Git repository behind a real server, namespaces of its own on a real API
//! server, and an agent that runs in this process as its own ServiceAccount with the rights that
//! `manifests/rbac.yaml` gives it.

mod agent;
mod applications;
mod audit;
pub mod boundaries;
mod cluster;
pub mod jobs;
mod link;
pub mod manifests;
mod process;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use towline::agent::{Options, Timing};
use towline::cluster::Cluster;
use towline::git::{AllowedSchemes, Scheme};
use towline_testcluster::{AuditMark, ControlPlane, GitRepo, GitServer, shared, wait_until};

use boundaries::{Fate, Fated};

pub use agent::Agent;
pub use applications::condition;
pub use audit::{describe, time_of};
pub use cluster::{install_crd, wait_api};
pub use link::Link;

/// How long anything may take. Long, because the machine may be busy; a test that passes never
/// waits for it.
const DEADLINE: Duration = Duration::from_secs(60);

/// See the module.
pub struct World<'a> {
    /// Dropped first: they end while everything they talk to is still there.
    pub agents: Vec<Agent>,
    pub plane: &'a ControlPlane,
    /// The agent's namespace.
    pub ns: String,
    /// The namespace of what users deploy.
    pub work: String,
    pub repo: GitRepo,
    pub git: GitServer,
    kubeconfig: PathBuf,
    root: TempDir,
    tokens: AtomicU32,
    born: AuditMark,
}

impl World<'static> {
    /// A world on the shared control plane, whose agent runs. `name` must be another in each test.
    pub fn new(name: &str) -> Self {
        let mut world = Self::idle(name);
        world.start();
        world
    }

    /// The same, without an agent yet.
    pub fn idle(name: &str) -> Self {
        static INSTALLED: Once = Once::new();
        let plane = shared();
        INSTALLED.call_once(|| {
            cluster::install_crd(plane);
            plane.wait_nodes().unwrap();
        });
        World::on(plane, name)
    }
}

impl<'a> World<'a> {
    /// A world on another control plane, without an agent and without towline's CRD.
    pub fn on(plane: &'a ControlPlane, name: &str) -> Self {
        prepare_process();
        let root = tempfile::tempdir().unwrap();
        let repo = GitRepo::init(root.path().join("git/repo.git")).unwrap();
        let git = GitServer::start_http(root.path().join("git")).unwrap();
        let (ns, work) = (name.to_owned(), format!("{name}-work"));
        let kubeconfig = plane.service_account_kubeconfig(&ns, "towline").unwrap();
        let world = Self {
            agents: Vec::new(),
            plane,
            ns,
            work,
            repo,
            git,
            kubeconfig,
            root,
            tokens: AtomicU32::new(0),
            born: plane.audit_mark(),
        };
        cluster::grant(plane, &world.ns);
        world.make_namespace(&world.work);
        world
    }

    /// How its agent runs: as in production, but with plain HTTP and files as Git remotes.
    pub fn options(&self) -> Options {
        Options {
            namespace: self.ns.clone(),
            install_id: self.ns.clone(),
            application_namespaces: vec![self.ns.clone()],
            cache_dir: self.root.path().join("cache"),
            allow_schemes: AllowedSchemes::with([Scheme::Http, Scheme::File]),
            lease_name: "towline".into(),
            identity: "agent".into(),
            timing: Timing::default(),
            deployment: None,
        }
    }

    /// Starts an agent.
    pub fn start(&mut self) -> &Agent {
        let options = self.options();
        self.start_with(options)
    }

    /// Starts an agent with other options.
    pub fn start_with(&mut self, options: Options) -> &Agent {
        self.agents.push(Agent::start(&self.kubeconfig, options));
        self.agents.last().unwrap()
    }

    /// Starts an agent that dies as `fate` has it.
    pub fn start_fated(&mut self, fate: &Arc<Fate>) {
        let fate = Arc::clone(fate);
        let options = self.options();
        let door = |cluster| Arc::new(Fated { cluster, fate }) as Arc<dyn Cluster>;
        let mut agent = Agent::start_through(&self.kubeconfig, options, door);
        agent.is_fated = true;
        self.agents.push(agent);
    }

    /// The only agent.
    pub fn agent(&self) -> &Agent {
        &self.agents[0]
    }

    /// Ends the only agent without any farewell, as `kill -9` would.
    pub fn kill_agent(&mut self) {
        self.agents.remove(0).kill();
    }

    /// Ends the only agent as SIGTERM does.
    pub fn stop_agent(&mut self) {
        self.agents.remove(0).stop();
    }

    /// Writes files, commits and pushes them. Returns the commit.
    pub fn commit(&self, files: &[(&str, &str)]) -> String {
        for (path, text) in files {
            self.repo.write(path, text).unwrap();
        }
        self.repo.commit("A change of the test").unwrap()
    }

    /// Removes files, commits and pushes that. Returns the commit.
    pub fn remove(&self, files: &[&str]) -> String {
        for path in files {
            self.repo.remove(path).unwrap();
        }
        self.repo.commit("Removed by the test").unwrap()
    }

    /// Another repository on another server, whose faults are its own.
    pub fn other_repository(&self) -> (GitRepo, GitServer) {
        let root = self.root.path().join("other");
        let repo = GitRepo::init(root.join("repo.git")).unwrap();
        (repo, GitServer::start_http(root).unwrap())
    }

    /// Creates a namespace.
    pub fn make_namespace(&self, name: &str) {
        self.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    }

    /// A word that no request had before.
    fn token(&self) -> String {
        format!("{}-{}", self.ns, self.tokens.fetch_add(1, Ordering::SeqCst))
    }
}

/// Polls until `probe` has an answer; fails the test when it takes too long.
pub fn wait<T>(what: &str, probe: impl FnMut() -> Result<T, String>) -> T {
    wait_until(what, DEADLINE, probe).unwrap_or_else(|error| panic!("{error}"))
}

/// Polls until `probe` is true.
pub fn wait_for(what: &str, mut probe: impl FnMut() -> bool) {
    wait(what, || {
        if probe() {
            Ok(())
        } else {
            Err("not yet".into())
        }
    });
}

/// Files as commits take them: paths and texts.
pub fn borrowed(files: &[(String, String)]) -> Vec<(&str, &str)> {
    let files = files.iter();
    files.map(|(path, text)| (&**path, &**text)).collect()
}

/// Everything that was logged by all agents of this process.
pub fn logs() -> String {
    std::fs::read_to_string(log_file()).unwrap()
}

fn log_file() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("it-{}.log", std::process::id()))
}

/// What `main` does before the agent runs.
fn prepare_process() {
    static PREPARED: Once = Once::new();
    PREPARED.call_once(|| {
        // Fails when a library was first, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let file = std::fs::File::create(log_file()).unwrap();
        tracing_subscriber::fmt()
            .with_env_filter("towline=debug,kube=info")
            .with_ansi(false)
            .with_writer(std::sync::Mutex::new(file))
            .init();
    });
}
