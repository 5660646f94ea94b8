//! One process of the control plane: start, kill, start again with the same arguments.

use crate::error::{Context, Error, Result};
use crate::reaper;
use std::ffi::OsString;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A part of the control plane that can be killed and restarted for outage tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Component {
    /// The database.
    Etcd,
    /// kube-apiserver.
    ApiServer,
    /// kube-controller-manager.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
    /// KWOK, which plays the kubelets.
    Kwok,
}

impl Component {
    /// The name of its binary and of its log file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kwok => "kwok",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Waits for one line before it becomes the real program. So the reaper knows the PID before
/// anything runs, and if this process dies in between, the shell reads end of file and leaves.
const GATE: &str = r#"read -r go && exec "$@" </dev/null"#;

/// A child process with a log file, registered with the reaper while it runs.
pub(crate) struct Process {
    name: String,
    program: PathBuf,
    args: Vec<OsString>,
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    pub(crate) fn start(
        name: &str,
        program: &Path,
        args: Vec<OsString>,
        log: PathBuf,
    ) -> Result<Self> {
        let name = name.to_owned();
        let mut process = Self {
            name,
            program: program.to_owned(),
            args,
            log,
            child: None,
        };
        process.start_again()?;
        Ok(process)
    }

    /// Starts the same command line; does nothing when it is running.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        if self.running() {
            return Ok(());
        }
        let what = || format!("starting {} ({})", self.name, self.program.display());
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .doing(|| format!("opening the log file {}", self.log.display()))?;
        let err = log.try_clone().doing(what)?;
        let mut child = Command::new("/bin/sh")
            .args(["-c", GATE, "sh"])
            .arg(&self.program)
            .args(&self.args)
            // The whole environment but this: a proxy must not get between loopback peers.
            .envs([("NO_PROXY", "127.0.0.1"), ("no_proxy", "127.0.0.1")])
            .stdin(Stdio::piped())
            .stdout(log)
            .stderr(err)
            .process_group(0)
            .spawn()
            .doing(what)?;
        let gate = child.stdin.take();
        reaper::kill_at_exit(child.id())?;
        if let Some(mut gate) = gate {
            gate.write_all(b"go\n").doing(what)?;
        }
        self.child = Some(child);
        Ok(())
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Whether it runs now. A process that ended by itself is noticed here.
    pub(crate) fn running(&mut self) -> bool {
        match self.child.as_mut().map(Child::try_wait) {
            Some(Ok(None)) => true,
            Some(_) => {
                self.kill();
                false
            }
            None => false,
        }
    }

    /// An error with the end of the log when the process is not running.
    pub(crate) fn check(&mut self) -> Result<()> {
        if self.running() {
            return Ok(());
        }
        Err(Error::new(format!(
            "{} ended soon after its start; the last lines of its log:\n{}",
            self.name,
            self.log_tail(),
        )))
    }

    /// Kills it with SIGKILL: a clean shutdown takes long, and no test needs it.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            reaper::spare(child.id());
        }
    }

    /// Sends a signal by name, such as STOP or CONT.
    pub(crate) fn signal(&self, signal: &str) -> Result<()> {
        let Some(pid) = self.pid() else {
            return Err(Error::new(format!(
                "{} is not running: restart it first",
                self.name
            )));
        };
        let status = Command::new("/bin/sh")
            .args([
                "-c",
                "kill -s \"$1\" \"$2\"",
                "sh",
                signal,
                &pid.to_string(),
            ])
            .status()
            .doing(|| format!("sending SIG{signal} to {}", self.name))?;
        if status.success() {
            return Ok(());
        }
        Err(Error::new(format!(
            "sending SIG{signal} to {} (PID {pid}) failed",
            self.name
        )))
    }

    /// Gives it up without killing it, and returns its PID.
    pub(crate) fn release(&mut self) -> Option<u32> {
        let child = self.child.take()?;
        reaper::spare(child.id());
        Some(child.id())
    }

    /// The last lines of the log, read from the end because an old log is long.
    pub(crate) fn log_tail(&self) -> String {
        let mut text = Vec::new();
        if let Ok(mut file) = std::fs::File::open(&self.log) {
            let length = file.metadata().map_or(0, |m| m.len());
            let _ = file.seek(SeekFrom::Start(length.saturating_sub(4_000)));
            let _ = file.read_to_end(&mut text);
        }
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
