//! A running control plane.

use crate::builder::Builder;
use crate::certs::Authority;
use crate::component::{Component, Process};
use crate::error::{Context, Error, Result};
use crate::http_client::Client;
use crate::reaper;
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// What a control plane is made of before its processes run.
pub(crate) struct Parts {
    pub(crate) client: Client,
    pub(crate) dir: PathBuf,
    pub(crate) temporary: bool,
    pub(crate) port: u16,
    pub(crate) etcd: u16,
    pub(crate) authority: Authority,
    pub(crate) token: String,
    pub(crate) controllers: bool,
}

/// A real control plane on 127.0.0.1. Dropping it kills its processes and removes its data; the
/// same happens when the process that started it ends in any other way.
pub struct ControlPlane {
    pub(crate) parts: Parts,
    pub(crate) nodes: AtomicUsize,
    pub(crate) identities: AtomicUsize,
    processes: Mutex<Vec<(Component, Process)>>,
    kept: AtomicBool,
}

/// One control plane for all tests of a test binary, with one node. Tests keep out of each other's
/// way by using namespaces of their own. Panics when it cannot be started.
pub fn shared() -> &'static ControlPlane {
    static SHARED: OnceLock<Result<ControlPlane>> = OnceLock::new();
    match SHARED.get_or_init(|| ControlPlane::builder().start()) {
        Ok(plane) => plane,
        Err(error) => panic!("the shared test cluster did not start: {error}"),
    }
}

impl ControlPlane {
    /// Options, with a complete cluster of one node as default.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn assemble(parts: Parts) -> Self {
        Self {
            parts,
            nodes: AtomicUsize::new(0),
            identities: AtomicUsize::new(0),
            processes: Mutex::default(),
            kept: AtomicBool::new(false),
        }
    }

    /// Where the API server is, such as `https://127.0.0.1:23456`.
    pub fn server_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.parts.port)
    }

    /// The certificate authority that signed the API server's certificate.
    pub fn ca_pem(&self) -> String {
        self.parts.authority.pem()
    }

    /// A bearer token in the group system:masters.
    pub fn admin_token(&self) -> &str {
        &self.parts.token
    }

    /// The path of an admin kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir().join("kubeconfig")
    }

    /// Where data, logs (`<component>.log`) and keys are.
    pub fn dir(&self) -> &Path {
        &self.parts.dir
    }

    /// The PIDs of everything that runs.
    pub fn pids(&self) -> Vec<u32> {
        self.processes()
            .iter()
            .filter_map(|(_, process)| process.pid())
            .collect()
    }

    /// The PID of one component while it runs.
    pub fn pid(&self, component: Component) -> Option<u32> {
        let processes = self.processes();
        processes
            .iter()
            .find(|(c, _)| *c == component)
            .and_then(|(_, process)| process.pid())
    }

    /// Ends a component at once, as a crash would.
    pub fn kill(&self, component: Component) -> Result<()> {
        self.with(component, |process| {
            process.kill();
            Ok(())
        })
    }

    /// Starts a component again, with the same port and data, after ending it if it runs. Returns
    /// when the API server is ready, if etcd or the API server was meant.
    pub fn restart(&self, component: Component) -> Result<()> {
        self.with(component, |process| {
            process.kill();
            process.start_again()
        })?;
        let serving = matches!(component, Component::Etcd | Component::ApiServer);
        if serving
            && self.pid(Component::Etcd).is_some()
            && self.pid(Component::ApiServer).is_some()
        {
            self.wait_ready(Instant::now() + Duration::from_secs(60))?;
        }
        Ok(())
    }

    /// Freezes a component (SIGSTOP): connections stay open and nothing is answered.
    pub fn pause(&self, component: Component) -> Result<()> {
        self.with(component, |process| process.signal("STOP"))
    }

    /// Lets a paused component go on.
    pub fn resume(&self, component: Component) -> Result<()> {
        self.with(component, |process| process.signal("CONT"))
    }

    /// Sends a request as admin. A PATCH is a server-side apply when the path has a
    /// `fieldManager` parameter, else a merge patch. Returns the HTTP status and the answer.
    pub fn request(&self, method: &str, path: &str, body: &Value) -> Result<(u16, Value)> {
        self.parts.client.json(method, path, body)
    }

    /// A `kubectl` command that talks to this cluster as admin.
    pub fn kubectl_command(&self) -> Result<Command> {
        let mut command = Command::new(crate::kubectl()?);
        command
            .env("KUBECONFIG", self.kubeconfig())
            // Its discovery cache is keyed by host and port, which other clusters reuse.
            .env("KUBECACHEDIR", self.dir().join("kubectl-cache"));
        Ok(command)
    }

    /// Runs `kubectl` and returns what it printed.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.kubectl_with_input(args, "")
    }

    /// Creates or changes objects with `kubectl apply -f -`.
    pub fn apply(&self, yaml: &str) -> Result<String> {
        self.kubectl_with_input(&["apply", "-f", "-"], yaml)
    }

    fn kubectl_with_input(&self, args: &[&str], input: &str) -> Result<String> {
        let what = || format!("running kubectl {}", args.join(" "));
        let mut child = self
            .kubectl_command()?
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .doing(what)?;
        if let Some(mut stdin) = child.stdin.take() {
            // kubectl may end early, and its own message is better than "broken pipe".
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().doing(what)?;
        if !output.status.success() {
            return Err(Error::new(format!(
                "{} failed: {}",
                what(),
                String::from_utf8_lossy(&output.stderr).trim()
            )));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Leaves everything running when this process ends, and prints how to stop it.
    pub fn leave_running(&self) {
        if self.kept.swap(true, Ordering::SeqCst) {
            return;
        }
        let mut pids = Vec::new();
        for (component, process) in self.processes().iter_mut() {
            if let Some(pid) = process.release() {
                eprintln!("testcluster: {component} stays running as PID {pid}");
                pids.push(pid.to_string());
            }
        }
        let dir = self.dir();
        reaper::keep(dir);
        let remove = if self.parts.temporary {
            format!(" && rm -rf {}", dir.display())
        } else {
            String::new()
        };
        eprintln!(
            "testcluster: use it with: export KUBECONFIG={}",
            self.kubeconfig().display()
        );
        eprintln!(
            "testcluster: stop it with: kill -9 {}{remove}",
            pids.join(" ")
        );
    }

    pub(crate) fn add(&self, process: (Component, Process)) {
        self.processes().push(process);
    }

    /// An error with the end of the log of the first component that is not running.
    pub(crate) fn check(&self) -> Result<()> {
        self.processes()
            .iter_mut()
            .try_for_each(|(_, process)| process.check())
    }

    /// Waits until the API server says that it is ready.
    pub(crate) fn wait_ready(&self, deadline: Instant) -> Result<()> {
        loop {
            let last = match self
                .parts
                .client
                .send("GET", "/readyz", "text/plain", Vec::new())
            {
                Ok((200, _)) => return Ok(()),
                Ok((status, body)) => {
                    format!("status {status}: {}", String::from_utf8_lossy(&body).trim())
                }
                Err(error) => error.to_string(),
            };
            self.check()?;
            if Instant::now() > deadline {
                let mut log = String::new();
                self.with(Component::ApiServer, |process| {
                    log = process.log_tail();
                    Ok(())
                })?;
                return Err(Error::new(format!(
                    "the API server did not become ready: {last}; the last lines of its log:\n{log}"
                )));
            }
            std::thread::sleep(Duration::from_millis(40));
        }
    }

    fn with(
        &self,
        component: Component,
        act: impl FnOnce(&mut Process) -> Result<()>,
    ) -> Result<()> {
        let mut processes = self.processes();
        match processes.iter_mut().find(|(c, _)| *c == component) {
            Some((_, process)) => act(process),
            None => Err(Error::new(format!(
                "this test cluster has no {component}: switch it on in the builder"
            ))),
        }
    }

    fn processes(&self) -> MutexGuard<'_, Vec<(Component, Process)>> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        if *self.kept.get_mut() {
            return;
        }
        // Clients first: they would only log that their server is gone.
        for (_, process) in self.processes().iter_mut().rev() {
            process.kill();
        }
        if self.parts.temporary && fs::remove_dir_all(self.dir()).is_ok() {
            reaper::keep(self.dir());
        }
    }
}
