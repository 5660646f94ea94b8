//! towline against a real kube-apiserver and real Git servers.
//!
//! One control plane serves all tests of this binary; each test is a [`world::World`] of its own
//! beside the others. Tests wait for what they expect with a deadline, and never for a time.

#![expect(
    clippy::unwrap_used,
    reason = "a failed unwrap in a test is a failed test, with its line"
)]
#![expect(
    clippy::print_stderr,
    reason = "a test that fails tells what its agent did last"
)]

mod adoption;
mod autoscalers;
mod blame;
mod boundaries;
mod cli;
mod controllers;
mod crash;
mod deletion;
mod dependencies;
mod diff;
mod drift;
mod endpoints;
mod ends;
mod explain;
mod failures;
mod fights;
mod first_sync;
mod fuzz;
mod git;
mod health;
mod hooks;
mod hostile;
mod ignore_differences;
mod immutable;
mod kinds;
mod last_good;
mod monorepo;
mod nested;
mod notes;
mod outages;
mod pods;
mod prune;
mod prune_order;
mod quiet;
mod recreated;
mod refusals;
mod remotes;
mod render;
mod replace;
mod replicas;
mod rollback;
mod rollout;
mod schema;
mod self_management;
mod sync_options;
mod tenants;
mod uninstall;
mod world;
