//! Finds an OpenSSH server, or unpacks Debian's into the cache without installing anything.

use crate::cache;
use crate::error::{Context, Error, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// An OpenSSH server and client.
pub(crate) struct OpenSsh {
    pub(crate) sshd: PathBuf,
    pub(crate) ssh: PathBuf,
    /// Where the packages were unpacked, unless they are installed.
    pub(crate) unpacked: Option<PathBuf>,
}

impl OpenSsh {
    pub(crate) fn find() -> Result<Self> {
        let (sshd, ssh) = (installed("sshd"), installed("ssh"));
        if let (Some(sshd), Some(ssh)) = (&sshd, &ssh) {
            return Ok(Self {
                sshd: sshd.clone(),
                ssh: ssh.clone(),
                unpacked: None,
            });
        }
        let root = unpacked()?;
        Ok(Self {
            sshd: sshd.unwrap_or_else(|| root.join("usr/sbin/sshd")),
            ssh: ssh.unwrap_or_else(|| root.join("usr/bin/ssh")),
            unpacked: Some(root),
        })
    }

    /// Where the unpacked programs find the libraries that came with them.
    pub(crate) fn library_path(&self) -> Option<String> {
        let lib = self.unpacked.as_ref()?.join("usr/lib");
        let folders = fs::read_dir(&lib).into_iter().flatten().flatten();
        let paths: Vec<String> = folders.map(|f| f.path().display().to_string()).collect();
        Some(paths.join(":"))
    }
}

/// System programs are often not in the PATH of normal users. sshd insists on an absolute path.
fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path);
    let system = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    folders
        .chain(system)
        .map(|folder| folder.join(name))
        .find(|file| file.is_absolute() && file.is_file())
}

fn unpacked() -> Result<PathBuf> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let missing = |why: &str| {
        Error::new(format!(
            "Git over SSH needs an OpenSSH server and client ({why}): install the packages \
             openssh-server and openssh-client"
        ))
    };
    cache::entry(&cache::key("openssh", &[&release]), |dir| {
        eprintln!("testcluster: fetching Debian's openssh-server into the cache");
        let state = dir.join("apt");
        let first = download(dir, "openssh-server", None);
        // An image without package lists gets lists of its own, in the cache.
        let lists = if first.is_err() {
            update(&state).map_err(|error| missing(&error.to_string()))?;
            download(dir, "openssh-server", Some(&state))
                .map_err(|error| missing(&error.to_string()))?;
            Some(state.as_path())
        } else {
            None
        };
        // Not everywhere needed or present; the check at the end decides.
        for package in ["libwrap0", "libnsl2", "libtirpc3", "openssh-client"] {
            let _ = download(dir, package, lists);
        }
        let _ = fs::remove_dir_all(&state);
        for file in fs::read_dir(dir)
            .doing(|| "listing packages".into())?
            .flatten()
        {
            let path = file.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                let mut command = Command::new("dpkg-deb");
                run(command.arg("-x").arg(&path).arg(dir))?;
                let _ = fs::remove_file(&path);
            }
        }
        if dir.join("usr/sbin/sshd").is_file() {
            return Ok(());
        }
        Err(missing("the package openssh-server holds no sshd"))
    })
}

fn update(state: &Path) -> Result<()> {
    for folder in ["lists/partial", "cache/archives/partial"] {
        let folder = state.join(folder);
        fs::create_dir_all(&folder).doing(|| format!("creating {}", folder.display()))?;
    }
    run(apt(Some(state)).arg("update"))
}

fn download(dir: &Path, package: &str, state: Option<&Path>) -> Result<()> {
    run(apt(state).args(["download", package]).current_dir(dir))
}

fn apt(state: Option<&Path>) -> Command {
    let mut command = Command::new("apt-get");
    // Root would otherwise download as a user who cannot write to the cache.
    command.args(["--quiet", "-o", "APT::Sandbox::User=root"]);
    if let Some(state) = state {
        command.arg("-o").arg(format!(
            "Dir::State::lists={}",
            state.join("lists").display()
        ));
        command
            .arg("-o")
            .arg(format!("Dir::Cache={}", state.join("cache").display()));
    }
    command
}

fn run(command: &mut Command) -> Result<()> {
    let what = format!("running {}", command.get_program().display());
    let output = command
        .stdin(Stdio::null())
        .output()
        .doing(|| what.clone())?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(format!(
        "{what} failed: {}",
        stderr.trim().replace('\n', "; ")
    )))
}
