//! Git over SSH by a real OpenSSH server on a port of its own.

use crate::component::Process;
use crate::error::{Context, Error, Result};
use crate::git_http::GitServer;
use crate::sshd::OpenSsh;
use crate::wait::wait_until;
use crate::{ports, reaper};
use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, LineEnding, PrivateKey};
use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Runs instead of whatever the client asks for, and allows Git's two services under the root.
const FORCED: &str = r#"#!/bin/sh
# Shows only what is under the root, and runs nothing but Git's own services.
set -f
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
PATH=@PATH@
service=${SSH_ORIGINAL_COMMAND%% *}
path=${SSH_ORIGINAL_COMMAND#* }
path=${path#\'} path=${path%\'} path=${path#/}
case $service in
  git-upload-pack | git-receive-pack) ;;
  *) echo "only Git is served here" >&2; exit 1 ;;
esac
case /$path/ in
  */../* | *\'*) echo "no such repository" >&2; exit 1 ;;
esac
exec git "${service#git-}" @ROOT@/"$path"
"#;

/// As root, sshd wants a user and a directory that only its package creates. Instead of changing
/// the machine, it gets them in a mount namespace of its own.
const AS_ROOT: &str = r#"mount --bind "$1" /etc/passwd && mount -t tmpfs tmpfs /run &&
mkdir -m 755 /run/sshd && shift && exec "$@""#;

/// A Git server over SSH for the bare repositories under a directory. One key may read and write.
/// Dropping it ends the server.
pub struct SshGitServer {
    process: Process,
    dir: PathBuf,
    user: String,
    port: u16,
    private_key: String,
    known_hosts: String,
    ssh: PathBuf,
    library_path: Option<String>,
}

impl GitServer {
    /// The same over SSH; see [`SshGitServer`].
    pub fn start_ssh(root: impl AsRef<Path>) -> Result<SshGitServer> {
        SshGitServer::start(root)
    }
}

impl SshGitServer {
    /// Starts it; it serves when this returns.
    pub fn start(root: impl AsRef<Path>) -> Result<Self> {
        let openssh = OpenSsh::find()?;
        let root = std::path::absolute(root.as_ref()).doing(|| "resolving a path".into())?;
        let dir = tempfile::Builder::new()
            .prefix("towline-testcluster-ssh-")
            .tempdir()
            .doing(|| "creating a directory for sshd".into())?;
        reaper::remove_at_exit(dir.path())?;
        let dir = dir.keep();
        let mut attempt = 1;
        loop {
            match Self::try_start(&openssh, &root, &dir) {
                // Somebody took the port between our look and the bind.
                Err(error) if attempt < 4 && error.to_string().contains("already in use") => {
                    attempt += 1;
                }
                Err(error) => {
                    let _ = fs::remove_dir_all(&dir);
                    return Err(error);
                }
                started => return started,
            }
        }
    }

    fn try_start(openssh: &OpenSsh, root: &Path, dir: &Path) -> Result<Self> {
        let [port] = ports::free_ports()?;
        let user = user_name()?;
        let host = new_key("host")?;
        let client = new_key("client")?;
        let public = |key: &PrivateKey| {
            key.public_key()
                .to_openssh()
                .doing(|| "writing a public key".into())
        };
        write(dir, "host", &openssh_pem(&host)?, 0o600)?;
        write(dir, "client", &openssh_pem(&client)?, 0o600)?;
        write(
            dir,
            "authorized_keys",
            &format!("{}\n", public(&client)?),
            0o600,
        )?;
        let known_hosts = format!("[127.0.0.1]:{port} {}\n", public(&host)?);
        write(dir, "known_hosts", &known_hosts, 0o600)?;
        let path = std::env::var("PATH").unwrap_or_default();
        let script = FORCED
            .replace("@PATH@", &quote(&path))
            .replace("@ROOT@", &quote(&root.display().to_string()));
        write(dir, "serve", &script, 0o700)?;
        write(dir, "sshd_config", &config(openssh, dir, port), 0o600)?;

        let log = dir.join("sshd.log");
        let (program, args) = command_line(openssh, dir)?;
        let process = Process::start("sshd", &program, args, log)?;
        let mut server = Self {
            process,
            dir: dir.to_owned(),
            user,
            port,
            private_key: openssh_pem(&client)?,
            known_hosts,
            ssh: openssh.ssh.clone(),
            library_path: openssh.library_path(),
        };
        server.wait_serving()?;
        Ok(server)
    }

    fn wait_serving(&mut self) -> Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        // A dead process is no reason to wait on: both results end the polling.
        wait_until("sshd", Duration::from_secs(10), || {
            if let Err(error) = self.process.check() {
                return Ok(Err(Error::new(format!(
                    "{error}\nsshd cannot run here: as root it needs the user sshd and /run/sshd \
                     (install openssh-server), or the right to mount; or run as a normal user"
                ))));
            }
            let mut stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
            // The greeting tells it from another program that has the port.
            let mut greeting = [0; 4];
            let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
            stream
                .read_exact(&mut greeting)
                .map_err(|error| error.to_string())?;
            if &greeting == b"SSH-" {
                Ok(Ok(()))
            } else {
                Err("this is not sshd".into())
            }
        })?
    }

    /// The URL of a repository, such as `shop.git`.
    pub fn url(&self, repository: &str) -> String {
        let repository = repository.trim_start_matches('/');
        format!("ssh://{}@127.0.0.1:{}/{repository}", self.user, self.port)
    }

    /// The key that may read and write: ed25519, in OpenSSH's PEM format.
    pub fn private_key(&self) -> &str {
        &self.private_key
    }

    /// The line of `known_hosts` for this server.
    pub fn known_hosts(&self) -> &str {
        &self.known_hosts
    }

    /// The PID of sshd.
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// What to set `GIT_SSH_COMMAND` to.
    pub fn ssh_command(&self) -> String {
        let file = |name: &str| quote(&self.dir.join(name).display().to_string());
        let library_path = match &self.library_path {
            Some(path) => format!("LD_LIBRARY_PATH={} ", quote(path)),
            None => String::new(),
        };
        format!(
            "{library_path}{} -F /dev/null -i {} -o IdentitiesOnly=yes -o BatchMode=yes \
             -o StrictHostKeyChecking=yes -o GlobalKnownHostsFile=/dev/null \
             -o UserKnownHostsFile={}",
            quote(&self.ssh.display().to_string()),
            file("client"),
            file("known_hosts"),
        )
    }
}

impl Drop for SshGitServer {
    fn drop(&mut self) {
        self.process.kill();
        if fs::remove_dir_all(&self.dir).is_ok() {
            reaper::keep(&self.dir);
        }
    }
}

fn config(openssh: &OpenSsh, dir: &Path, port: u16) -> String {
    let dir = dir.display();
    let mut text = format!(
        "Port {port}
ListenAddress 127.0.0.1
HostKey \"{dir}/host\"
AuthorizedKeysFile \"{dir}/authorized_keys\"
ForceCommand \"{dir}/serve\"
AcceptEnv GIT_PROTOCOL
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PrintMotd no
MaxStartups 100
"
    );
    // Newer versions consist of several programs, and look for them where the package puts them.
    for (option, name) in [
        ("SshdSessionPath", "sshd-session"),
        ("SshdAuthPath", "sshd-auth"),
    ] {
        if let Some(root) = &openssh.unpacked {
            let program = root.join("usr/lib/openssh").join(name);
            if program.is_file() {
                text += &format!("{option} \"{}\"\n", program.display());
            }
        }
    }
    text
}

/// sshd itself, or what prepares the machine for it when this is root.
fn command_line(openssh: &OpenSsh, dir: &Path) -> Result<(PathBuf, Vec<OsString>)> {
    let mut words: Vec<OsString> = vec![openssh.sshd.clone().into(), "-D".into(), "-e".into()];
    words.extend(["-f".into(), dir.join("sshd_config").into()]);
    if let Some(path) = openssh.library_path() {
        let variable = format!("LD_LIBRARY_PATH={path}");
        words.splice(0..0, ["env".into(), variable.into()]);
    }
    let passwd = fs::read_to_string("/etc/passwd").doing(|| "reading /etc/passwd".into())?;
    let has_user = passwd.lines().any(|line| line.starts_with("sshd:"));
    if is_root()? && !(has_user && Path::new("/run/sshd").is_dir()) {
        let user = if has_user {
            ""
        } else {
            "sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n"
        };
        write(
            dir,
            "passwd",
            &format!("{}\n{user}", passwd.trim_end()),
            0o644,
        )?;
        let prefix = ["unshare", "-m", "/bin/sh", "-c", AS_ROOT, "sh"].map(OsString::from);
        words.splice(0..0, prefix.into_iter().chain([dir.join("passwd").into()]));
    }
    let mut words = words.into_iter();
    let first = words
        .next()
        .ok_or_else(|| Error::new("no command line for sshd"))?;
    Ok((first.into(), words.collect()))
}

/// A directory that this process just made belongs to whoever this process is.
fn is_root() -> Result<bool> {
    let probe = tempfile::tempfile().doing(|| "creating a temporary file".into())?;
    Ok(probe
        .metadata()
        .doing(|| "asking for the owner of a file".into())?
        .uid()
        == 0)
}

fn user_name() -> Result<String> {
    let output = Command::new("id")
        .arg("-un")
        .output()
        .doing(|| "running id -un".into())?;
    let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if name.is_empty() {
        return Err(Error::new(
            "the current user has no name, and sshd cannot log it in",
        ));
    }
    Ok(name)
}

fn new_key(comment: &str) -> Result<PrivateKey> {
    let mut key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519)
        .doing(|| format!("making the {comment} key"))?;
    key.set_comment(format!("testcluster-{comment}"));
    Ok(key)
}

fn openssh_pem(key: &PrivateKey) -> Result<String> {
    let pem = key
        .to_openssh(LineEnding::LF)
        .doing(|| "writing a private key".into())?;
    Ok(pem.to_string())
}

fn write(dir: &Path, name: &str, text: &str, mode: u32) -> Result<()> {
    let path = dir.join(name);
    let what = || format!("writing {}", path.display());
    fs::write(&path, text).doing(what)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).doing(what)
}

/// Quotes a word for the shell.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
