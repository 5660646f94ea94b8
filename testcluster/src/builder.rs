//! What a control plane is started with, and the start itself.

use crate::binaries::Binaries;
use crate::certs::{self, Authority};
use crate::component::{Component, Process};
use crate::control_plane::{ControlPlane, Parts};
use crate::error::{Context, Result};
use crate::http_client::Client;
use crate::{identity, ports, reaper};
use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::fs;
use std::hash::BuildHasher;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What pods say that crash.
const CRASHED_STAGE: &str = include_str!("../stages/pod-crashed.yaml");

/// Logs every request once or twice, with who did what to which object, but without contents.
const AUDIT_POLICY: &str = r#"{"apiVersion": "audit.k8s.io/v1", "kind": "Policy",
"omitStages": ["RequestReceived"], "rules": [{"level": "Metadata"}]}
"#;

/// Options of a [`ControlPlane`]; see [`ControlPlane::builder`].
#[derive(Clone, Debug)]
pub struct Builder {
    nodes: usize,
    kwok: bool,
    controllers: bool,
    audit: bool,
    keep: bool,
    port: Option<u16>,
    data_dir: Option<PathBuf>,
    apiserver_args: Vec<String>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            nodes: 1,
            kwok: true,
            controllers: true,
            audit: true,
            keep: false,
            port: None,
            data_dir: None,
            apiserver_args: Vec::new(),
        }
    }
}

impl Builder {
    /// How many nodes to create (1). They are not waited for: see [`ControlPlane::wait_nodes`].
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// Whether KWOK makes nodes and pods live (yes).
    pub fn with_kwok(mut self, kwok: bool) -> Self {
        self.kwok = kwok;
        self
    }

    /// Whether kube-controller-manager and kube-scheduler run (yes).
    pub fn with_controllers(mut self, controllers: bool) -> Self {
        self.controllers = controllers;
        self
    }

    /// Whether the API server writes an audit log (yes); see [`ControlPlane::audit_events`].
    pub fn audit(mut self, audit: bool) -> Self {
        self.audit = audit;
        self
    }

    /// Leaves everything running when this process ends, and prints how to stop it.
    pub fn keep(mut self, keep: bool) -> Self {
        self.keep = keep;
        self
    }

    /// A fixed port for the API server instead of a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// A directory for data, logs and keys that is not removed afterwards. Objects in it survive
    /// into the next start; tokens and certificates do not.
    pub fn data_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(dir.into());
        self
    }

    /// Another argument for kube-apiserver, such as `--max-requests-inflight=5`.
    pub fn apiserver_arg(mut self, arg: impl Into<String>) -> Self {
        self.apiserver_args.push(arg.into());
        self
    }

    /// Starts it, and returns when the API server is ready (about 3.5 s with a warm cache).
    pub fn start(self) -> Result<ControlPlane> {
        let binaries = Binaries::new()?;
        let mut attempt = 1;
        loop {
            match self.try_start(&binaries) {
                // Somebody took a port between our look and the bind.
                Err(error) if attempt < 4 && error.to_string().contains(IN_USE) => attempt += 1,
                started => return started,
            }
        }
    }

    fn try_start(&self, binaries: &Binaries) -> Result<ControlPlane> {
        let (dir, temporary) = self.directory()?;
        let [free, etcd_client, etcd_peer] = ports::free_ports()?;
        let port = self.port.unwrap_or(free);
        let authority = Authority::new("towline-testcluster")?;
        let token = random_token();
        write_keys(&dir, &authority, &token)?;
        let kubeconfig = dir.join("kubeconfig");
        identity::write_kubeconfig(
            &kubeconfig,
            port,
            &authority.pem(),
            "admin",
            &identity::Credential::Token(&token),
        )?;
        let plane = ControlPlane::assemble(Parts {
            client: Client::new(port, &authority.pem(), &token)?,
            dir: dir.clone(),
            temporary,
            port,
            etcd: etcd_client,
            authority,
            token,
            controllers: self.controllers,
        });

        plane.add(self.etcd(binaries, &dir, etcd_client, etcd_peer)?);
        plane.add(self.apiserver(binaries, &dir, etcd_client, port)?);
        plane.wait_ready(Instant::now() + Duration::from_secs(60))?;

        if self.controllers {
            plane.add(controller_manager(binaries, &dir, &kubeconfig)?);
            plane.add(scheduler(binaries, &dir, &kubeconfig)?);
        }
        if self.kwok {
            plane.add(kwok(binaries, &dir, &kubeconfig)?);
        }
        plane.add_nodes(self.nodes)?;
        plane.check()?;
        if self.keep {
            plane.leave_running();
        }
        Ok(plane)
    }

    fn directory(&self) -> Result<(PathBuf, bool)> {
        if let Some(dir) = &self.data_dir {
            let dir = std::path::absolute(dir).doing(|| format!("resolving {}", dir.display()))?;
            fs::create_dir_all(&dir).doing(|| format!("creating {}", dir.display()))?;
            return Ok((dir, false));
        }
        let dir = tempfile::Builder::new()
            .prefix("towline-testcluster-")
            .tempdir()
            .doing(|| "creating a data directory".into())?;
        reaper::remove_at_exit(dir.path())?;
        Ok((dir.keep(), true))
    }

    fn etcd(
        &self,
        binaries: &Binaries,
        dir: &Path,
        client: u16,
        peer: u16,
    ) -> Result<(Component, Process)> {
        let peer = format!("http://127.0.0.1:{peer}");
        let client = format!("http://127.0.0.1:{client}");
        let args = vec![
            flag("--data-dir", dir.join("etcd").display()),
            flag("--listen-client-urls", &client),
            flag("--advertise-client-urls", &client),
            flag("--listen-peer-urls", &peer),
            flag("--initial-advertise-peer-urls", &peer),
            flag("--initial-cluster", format!("default={peer}")),
            // A kept data directory has a peer port of an earlier start.
            OsString::from("--force-new-cluster=true"),
            OsString::from("--unsafe-no-fsync=true"),
            OsString::from("--log-level=warn"),
        ];
        run(Component::Etcd, &binaries.control_plane("etcd")?, args, dir)
    }

    fn apiserver(
        &self,
        binaries: &Binaries,
        dir: &Path,
        etcd: u16,
        port: u16,
    ) -> Result<(Component, Process)> {
        let pki = dir.join("pki");
        let file = |name: &str| pki.join(name).display().to_string();
        let mut args = vec![
            flag("--etcd-servers", format!("http://127.0.0.1:{etcd}")),
            flag("--bind-address", "127.0.0.1"),
            flag("--advertise-address", "127.0.0.1"),
            flag("--secure-port", port),
            flag("--cert-dir", pki.display()),
            flag("--tls-cert-file", file("apiserver.pem")),
            flag("--tls-private-key-file", file("apiserver-key.pem")),
            flag("--client-ca-file", file("ca.pem")),
            flag("--token-auth-file", file("tokens.csv")),
            flag("--service-account-issuer", "https://kubernetes.default.svc"),
            flag("--service-account-key-file", file("service-account.pub")),
            flag(
                "--service-account-signing-key-file",
                file("service-account.key"),
            ),
            flag("--authorization-mode", "RBAC"),
            flag("--service-cluster-ip-range", "10.0.0.0/16"),
            // Without it pods need no service account, whose controller would race with tests.
            flag("--disable-admission-plugins", "ServiceAccount"),
            // Its endpoint would be a loopback address, which the server itself refuses.
            flag("--endpoint-reconciler-type", "none"),
        ];
        if self.audit {
            let policy = dir.join("audit-policy.json");
            fs::write(&policy, AUDIT_POLICY).doing(|| "writing the audit policy".into())?;
            args.push(flag("--audit-policy-file", policy.display()));
            args.push(flag("--audit-log-path", dir.join("audit.log").display()));
            // Megabytes: a log that is rotated away could not be counted.
            args.push(flag("--audit-log-maxsize", 4_000));
        }
        args.extend(self.apiserver_args.iter().map(OsString::from));
        run(
            Component::ApiServer,
            &binaries.control_plane("kube-apiserver")?,
            args,
            dir,
        )
    }
}

/// How every component says that its port is taken.
const IN_USE: &str = "address already in use";

fn controller_manager(
    binaries: &Binaries,
    dir: &Path,
    kubeconfig: &Path,
) -> Result<(Component, Process)> {
    let args = vec![
        flag("--kubeconfig", kubeconfig.display()),
        flag(
            "--service-account-private-key-file",
            dir.join("pki/service-account.key").display(),
        ),
        flag("--root-ca-file", dir.join("pki/ca.pem").display()),
        flag("--leader-elect", false),
        flag("--secure-port", 0),
        flag("--controllers", "*,-nodeipam"),
        // On a busy machine KWOK's heartbeats come late. A node that is given up takes its pods with
        // it, and KWOK does not make them ready again.
        flag("--node-monitor-grace-period", "1h"),
    ];
    let program = binaries.control_plane("kube-controller-manager")?;
    run(Component::ControllerManager, &program, args, dir)
}

fn scheduler(binaries: &Binaries, dir: &Path, kubeconfig: &Path) -> Result<(Component, Process)> {
    let args = vec![
        flag("--kubeconfig", kubeconfig.display()),
        flag("--leader-elect", false),
        flag("--secure-port", 0),
    ];
    run(
        Component::Scheduler,
        &binaries.control_plane("kube-scheduler")?,
        args,
        dir,
    )
}

fn kwok(binaries: &Binaries, dir: &Path, kubeconfig: &Path) -> Result<(Component, Process)> {
    let (program, stages) = binaries.kwok()?;
    let mut args = vec![
        flag("--kubeconfig", kubeconfig.display()),
        flag("--manage-all-nodes", true),
        // Without it KWOK keeps no node Leases, and its heartbeats come too late for the node
        // controller: a minute after the start every node would be called NotReady.
        flag("--node-lease-duration-seconds", 40),
    ];
    args.extend(stages.iter().map(|stage| flag("--config", stage.display())));
    // Not in the cache: a change of it builds nothing anew.
    let crashed = dir.join("pod-crashed.yaml");
    fs::write(&crashed, CRASHED_STAGE).doing(|| format!("writing {}", crashed.display()))?;
    args.push(flag("--config", crashed.display()));
    run(Component::Kwok, &program, args, dir)
}

fn run(
    component: Component,
    program: &Path,
    args: Vec<OsString>,
    dir: &Path,
) -> Result<(Component, Process)> {
    let log = dir.join(format!("{}.log", component.name()));
    Ok((
        component,
        Process::start(component.name(), program, args, log)?,
    ))
}

fn flag(name: &str, value: impl std::fmt::Display) -> OsString {
    OsString::from(format!("{name}={value}"))
}

fn write_keys(dir: &Path, authority: &Authority, token: &str) -> Result<()> {
    let pki = dir.join("pki");
    fs::create_dir_all(&pki).doing(|| format!("creating {}", pki.display()))?;
    let server = authority.server()?;
    let (private, public) = certs::service_account_keys()?;
    let tokens = format!("{token},admin,admin,system:masters\n");
    let files = [
        ("ca.pem", authority.pem()),
        ("apiserver.pem", server.cert),
        ("apiserver-key.pem", server.key),
        ("service-account.key", private),
        ("service-account.pub", public),
        ("tokens.csv", tokens),
    ];
    for (name, text) in files {
        let path = pki.join(name);
        fs::write(&path, text).doing(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// Good enough for a server that only listens on the loopback interface of a test machine.
fn random_token() -> String {
    let random = RandomState::new();
    format!("{:016x}{:016x}", random.hash_one(1), random.hash_one(2))
}
