//! The agent as the process that it is in production.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::World;

/// A process; killed when it is dropped.
pub struct Process(Child);

impl World<'_> {
    /// Starts the agent as a process that goes by this kubeconfig, or by its own.
    pub fn spawn(&self, kubeconfig: Option<&Path>) -> Process {
        let options = self.options();
        let child = Command::new(env!("CARGO_BIN_EXE_towline"))
            .args(["agent", "--listen=127.0.0.1:0", "--allow-scheme=http"])
            .args(["--log-level=error", "--deployment=", "--lease-name=towline"])
            .args([
                "--namespace",
                &self.ns,
                "--application-namespaces",
                &self.ns,
            ])
            .arg("--cache-dir")
            .arg(&options.cache_dir)
            .env("KUBECONFIG", kubeconfig.unwrap_or(&self.kubeconfig))
            .env("POD_NAME", &options.identity)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Process(child)
    }
}

impl Process {
    /// `kill -9`.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success(), "{name}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
