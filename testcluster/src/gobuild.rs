//! `go install` with progress, for programs that nobody publishes as a package.

use crate::error::{Context, Error, Result};
use crate::reaper;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// The oldest Go that builds this Kubernetes version.
const GO: (u32, u32) = (1, 26);

/// One `go install`.
pub(crate) struct Install<'a> {
    /// What a person calls the result.
    pub(crate) what: &'a str,
    /// The module to run in, or a directory outside of any.
    pub(crate) module: &'a Path,
    /// Where the programs go.
    pub(crate) bin: &'a Path,
    /// Passed to the linker.
    pub(crate) ldflags: &'a str,
    /// What to install.
    pub(crate) packages: &'a [&'a str],
    /// How many packages a build from nothing compiles, about; only for the progress.
    pub(crate) total: usize,
}

impl Install<'_> {
    /// Builds, or fails with what Go said.
    pub(crate) fn run(&self) -> Result<()> {
        require_go(self.what, self.module)?;
        let started = Instant::now();
        eprintln!(
            "testcluster: building {} with Go; this happens once, and takes some minutes",
            self.what
        );
        let doing = || format!("running go install for {}", self.what);
        let mut go = go(self.module)
            .args(["install", "-v", "-mod=readonly", "-ldflags", self.ldflags])
            .args(self.packages)
            .env("GOBIN", self.bin)
            // Inside of what is removed when the build is interrupted.
            .env("GOTMPDIR", self.bin)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .doing(doing)?;
        reaper::kill_at_exit(go.id())?;
        let said = go.stderr.take().map(|stderr| self.follow(stderr, started));
        let status = go.wait().doing(doing);
        reaper::spare(go.id());
        if !status?.success() {
            return Err(Error::new(format!(
                "go install of {} failed; the last lines that Go printed:\n{}",
                self.what,
                said.unwrap_or_default(),
            )));
        }
        let seconds = started.elapsed().as_secs();
        eprintln!("testcluster: built {} in {seconds} s", self.what);
        Ok(())
    }

    /// Shows progress until Go closes its stderr; returns the last lines that are not progress.
    fn follow(&self, stderr: std::process::ChildStderr, started: Instant) -> String {
        let (sender, lines) = channel();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr)
                .lines()
                .map_while(std::result::Result::ok)
            {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut said = VecDeque::new();
        let (mut modules, mut packages) = (0, 0);
        let mut screen = Screen::new();
        loop {
            match lines.recv_timeout(Duration::from_secs(1)) {
                Ok(line) if line.starts_with("go: downloading ") => modules += 1,
                Ok(line) if is_package(&line) => packages += 1,
                Ok(line) => {
                    said.push_back(line);
                    if said.len() > 20 {
                        said.pop_front();
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            screen.show(|| {
                let fetched = if modules == 0 {
                    String::new()
                } else {
                    format!(", {modules} modules downloaded")
                };
                format!(
                    "testcluster: building {}: {} s, {packages} of about {} packages{fetched}",
                    self.what,
                    started.elapsed().as_secs(),
                    self.total.max(packages),
                )
            });
        }
        screen.end();
        let _ = reader.join();
        Vec::from(said).join("\n")
    }
}

/// A package path, as `go install -v` prints it; everything else it prints has spaces.
fn is_package(line: &str) -> bool {
    !line.is_empty() && !line.contains([' ', '\t'])
}

/// `go` in a module, independent of the caller's workspace and cross-compilation settings.
pub(crate) fn go(module: &Path) -> Command {
    let mut command = Command::new("go");
    command
        .current_dir(module)
        .stdin(Stdio::null())
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off")
        .env_remove("GOOS")
        .env_remove("GOARCH");
    command
}

/// Asks in the module, because a newer toolchain may be fetched for it (GOTOOLCHAIN).
fn require_go(what: &str, module: &Path) -> Result<()> {
    let (major, minor) = GO;
    let needed = |found: &str| {
        Error::new(format!(
            "building {what} needs Go {major}.{minor} or newer in PATH ({found}): install it from \
             go.dev/dl, or point KUBEBUILDER_ASSETS at a directory with the control plane's binaries"
        ))
    };
    let output = go(module)
        .args(["env", "GOVERSION"])
        .output()
        .map_err(|error| needed(&format!("running go: {error}")))?;
    if !output.status.success() {
        return Err(needed(String::from_utf8_lossy(&output.stderr).trim()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.trim();
    let mut numbers = version.trim_start_matches("go").split(['.', '-', 'r']);
    let mut number = || numbers.next().and_then(|n| n.parse::<u32>().ok());
    match (number(), number()) {
        (Some(a), Some(b)) if (a, b) >= GO => Ok(()),
        // A development version has no number; it is new.
        (None, _) if version.starts_with("devel") => Ok(()),
        _ => Err(needed(&format!("found {version}"))),
    }
}

/// Rewrites one line on a terminal, and prints a line every ten seconds elsewhere.
struct Screen {
    terminal: bool,
    every: Duration,
    last: Instant,
}

impl Screen {
    fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let every = Duration::from_secs(if terminal { 1 } else { 10 });
        Self {
            terminal,
            every,
            last: Instant::now(),
        }
    }

    fn show(&mut self, line: impl FnOnce() -> String) {
        if self.last.elapsed() < self.every {
            return;
        }
        self.last = Instant::now();
        let line = line();
        let mut stderr = std::io::stderr().lock();
        // Nobody can be told when stderr is closed.
        let _ = if self.terminal {
            write!(stderr, "\r\x1b[K{line}")
        } else {
            writeln!(stderr, "{line}")
        };
        let _ = stderr.flush();
    }

    fn end(&self) {
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
