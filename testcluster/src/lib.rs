//! A real Kubernetes control plane and real Git servers on one machine, without containers.
//!
//! towline's tests, demo and benches run against these instead of mocks: [`ControlPlane`] starts
//! etcd, kube-apiserver, kube-controller-manager, kube-scheduler and KWOK on free loopback ports;
//! [`GitServer`] and [`SshGitServer`] serve bare repositories over smart HTTP(S) and SSH;
//! [`GitRepo`] is a work tree that pushes to such a bare repository.
//!
//! The first use on a machine builds the binaries with Go (some minutes, with progress on stderr)
//! into a cache outside `target/`. Nothing that was started outlives the process that started it,
//! however that process ends: see `reaper.rs`.
//!
//! Pods become ready at once, except that
//! - the annotation `testcluster.towline.dev/ready-after: 3s` delays that (`1h` is never);
//! - the label `testcluster.towline.dev/waiting: CrashLoopBackOff` (or `ImagePullBackOff`, …) keeps
//!   the containers waiting for that reason;
//! - the annotation `testcluster.towline.dev/last-words: panic` is what those that crash said, and
//!   `…/last-reason: OOMKilled` why they ended;
//! - the label `pod-container-running-failed.stage.kwok.x-k8s.io: "true"` makes containers fail,
//!   and the annotations `…/reason: OOMKilled`, `…/exit-code` and `…/delay: 0s` of the same name
//!   say how (KWOK's own stage).
//!
//! Nobody says what containers say, unless [`ControlPlane::serve_logs`] does.
//!
//! The whole API blocks, and may be called from inside or outside of a Tokio runtime.
#![forbid(unsafe_code)]

mod audit;
mod binaries;
mod builder;
mod cache;
mod certs;
mod cgi;
mod component;
mod control_plane;
mod error;
mod etcd;
mod git_http;
mod git_repo;
mod git_ssh;
mod gobuild;
mod http_client;
mod identity;
mod kubelet;
mod nodes;
mod ports;
mod reaper;
mod sshd;
mod wait;

pub use audit::{AuditEvent, AuditMark};
pub use binaries::{kubectl, kustomize};
pub use builder::Builder;
pub use cache::cache_dir;
pub use component::Component;
pub use control_plane::{ControlPlane, shared};
pub use error::{Error, Result};
pub use git_http::{Auth, Counters, Fault, GitServer, GitServerBuilder};
pub use git_repo::GitRepo;
pub use git_ssh::SshGitServer;
pub use kubelet::KubeletLogs;
pub use wait::wait_until;
