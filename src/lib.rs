//! towline keeps a Kubernetes cluster equal to what a Git repository declares, by pulling.
//!
//! The folder listing is the pipeline: [`git`] → [`tree`] → [`render`] → [`desired`], against
//! [`live`] gives [`diff`] → [`plan`] → [`apply`] → [`status`]. Everything between Git and the API
//! server is a pure function over values; effects live behind three doors: [`git`], [`cluster`]
//! and [`agent`]. ARCHITECTURE.md says more.

pub mod agent;
pub mod api;
pub mod apply;
pub mod cli;
pub mod cluster;
pub mod desired;
pub mod diff;
pub mod error;
pub mod git;
pub mod health;
pub mod inventory;
pub mod live;
pub mod object;
mod parallel;
pub mod plan;
pub mod render;
pub mod revert;
pub mod rollback;
pub mod status;
pub mod tree;
pub mod yaml;
