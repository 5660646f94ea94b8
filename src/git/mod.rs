//! The only door to Git: where a repository is, who we are to it, what its branches and tags
//! stand for, and the files of a commit.
//!
//! Nothing here runs a program, reads a Git configuration, the environment or the home
//! directory, or writes outside of the cache directory, but for a push into a local repository: there is no checkout, no hook, no filter,
//! no submodule and no credential helper. Built on the plumbing crates of gitoxide, so that the
//! code for those is not even linked.
//!
//! ```text
//! RemoteUrl + Credential ── Cache::repository ──> Repository
//! TargetRevision ── Repository::poll_and_fetch ──> Revision ── Repository::tree ──> tree::Tree
//! Revision + changed files ── Repository::draft ──> Draft ── Repository::push ──> a branch
//! lines about commits ── Repository::append_notes ──> refs/notes/towline
//! ```

mod abbreviation;
mod addresses;
mod blobs;
mod cache;
mod clients;
mod clone;
mod commit;
mod credential;
mod draft;
mod edit;
mod error;
mod faults;
mod fetched;
mod history;
mod http;
mod http_exchange;
mod http_faults;
mod known_hosts;
pub mod limits;
mod line;
mod listing;
mod local;
mod local_push;
mod notes;
mod objects;
mod packing;
mod past;
mod push;
mod range;
mod receive;
mod report;
mod repository;
mod revision;
mod scheme;
mod signing;
mod ssh;
mod ssh_pipe;
mod store;
mod target;
mod text;
mod transfer;
mod tree;
mod url;
mod url_parts;
mod wire;

pub use abbreviation::expand;
pub use cache::Cache;
pub use commit::{CommitDetails, REASON_TRAILER};
pub use credential::Credential;
pub use draft::{Author, Draft};
pub use edit::FileId;
pub use error::{Cause, Error, Result};
pub use fetched::{Advance, AdvanceKind, Fetched, Synced};
pub use history::Changes;
pub use notes::{NOTES, Note};
pub use past::LineOrigin;
pub use repository::Repository;
pub use revision::Revision;
pub use scheme::{AllowedSchemes, Scheme};
pub use target::TargetRevision;
pub use url::RemoteUrl;
