//! What can go wrong between towline and a Git repository, each with its own reason.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::limits::MAX_CAUSE_CHARS;
use super::text::shown;
use crate::error::{Class, Fault};

/// The chain of causes below an [`Error`], flattened to one line of bounded length: it comes from
/// servers and libraries, so nothing in it is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause(Arc<str>);

impl Cause {
    /// `text` as a cause.
    pub(super) fn new(text: &str) -> Self {
        Self(shown(text, MAX_CAUSE_CHARS).into())
    }

    /// `error` and all that is below it, each told once.
    pub(super) fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut parts: Vec<String> = Vec::new();
        let mut next = Some(error);
        while let Some(error) = next {
            let part = error.to_string();
            if parts.last().is_none_or(|last| !last.ends_with(&part)) {
                parts.push(part);
            }
            next = error.source();
        }
        Self::new(&parts.join(": "))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}

/// Why a repository could not be polled, fetched, read or pushed to.
///
/// No text carries a secret: remotes are shown without user or password, and what a server said
/// is bounded and escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The repository URL is not one that towline takes.
    #[error("reading repoURL `{url}`: {why}")]
    UrlInvalid {
        /// The URL as given, with any password taken out.
        url: String,
        /// What is wrong with it, and what would be right.
        why: String,
    },
    /// The scheme is a known one that the operator has not allowed.
    #[error(
        "reading repoURL `{url}`: scheme `{scheme}` is not allowed; use https or ssh, or start \
         towline with --allow-scheme={scheme}"
    )]
    SchemeNotAllowed {
        /// The URL as given, with any password taken out.
        url: String,
        /// Its scheme.
        scheme: String,
    },
    /// The target revision is not a reference name, version range or commit.
    #[error("reading targetRevision `{revision}`: {why}")]
    RevisionInvalid {
        /// The target as given, escaped.
        revision: String,
        /// What is wrong with it, and what would be right.
        why: String,
    },
    /// The Secret with the credentials cannot be used.
    #[error("reading the credentials for `{remote}`: {why}")]
    CredentialInvalid {
        /// The remote.
        remote: String,
        /// What is wrong with them, and what would be right.
        why: String,
    },
    /// No connection, or it broke, or the server said that it is out of order.
    #[error("{doing} `{remote}`: the server cannot be reached")]
    Unreachable {
        /// What was being done: `polling`, `fetching`.
        doing: &'static str,
        /// The remote.
        remote: String,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// The server stopped answering, or took too long in all.
    #[error(
        "{doing} `{remote}`: the server did not answer in time ({seconds} s); see whether it is \
         overloaded, or a firewall is in between"
    )]
    Timeout {
        /// What was being done.
        doing: &'static str,
        /// The remote.
        remote: String,
        /// The limit.
        seconds: u64,
    },
    /// The server asked to be left alone for a while.
    #[error("{doing} `{remote}`: the server limits how often it is asked; waiting {wait:?}")]
    Throttled {
        /// What was being done.
        doing: &'static str,
        /// The remote.
        remote: String,
        /// How long.
        wait: Duration,
    },
    /// The server wants credentials, or other ones.
    #[error(
        "{doing} `{remote}`: authentication failed: {why}; check the Secret labelled \
         `towline.dev/secret-type: repository` for this URL"
    )]
    AuthenticationFailed {
        /// What was being done.
        doing: &'static str,
        /// The remote.
        remote: String,
        /// What the server said.
        why: String,
    },
    /// The server knows no such repository, or does not show it to these credentials.
    #[error(
        "{doing} `{remote}`: no such repository, or these credentials may not see it; check \
         repoURL and the repository Secret"
    )]
    RepositoryNotFound {
        /// What was being done.
        doing: &'static str,
        /// The remote.
        remote: String,
    },
    /// Something answered, but not a Git server.
    #[error(
        "{doing} `{remote}`: not a Git server: {why}; repoURL must be the address that \
         `git clone` takes"
    )]
    NotAGitServer {
        /// What was being done.
        doing: &'static str,
        /// The remote.
        remote: String,
        /// What answered instead.
        why: String,
    },
    /// The server points to another place, which is not followed.
    #[error(
        "{doing} `{remote}`: the server redirects to `{location}`, which is not followed because \
         the credentials are for this host; set repoURL to the new address if you trust it"
    )]
    Redirected {
        /// What was being done.
        doing: &'static str,
        /// The remote.
        remote: String,
        /// Where to, without query or credentials.
        location: String,
    },
    /// No trusted TLS connection.
    #[error(
        "{doing} `{remote}`: the TLS connection is not trusted; put the certificate authority \
         into `ca.crt` of the repository Secret, or fix the server's certificate"
    )]
    TlsFailed {
        /// What was being done.
        doing: &'static str,
        /// The remote.
        remote: String,
        /// What is wrong with the certificate.
        #[source]
        cause: Cause,
    },
    /// An ssh remote without known hosts to check it against.
    #[error(
        "{doing} `{remote}`: no known hosts are given, so the server cannot be told from an \
         impostor; put the output of `ssh-keyscan {host}` into `known_hosts` of the repository \
         Secret, after checking it"
    )]
    KnownHostsMissing {
        /// What was being done.
        doing: &'static str,
        /// The remote.
        remote: String,
        /// Its host.
        host: String,
    },
    /// The known hosts do not know this one.
    #[error(
        "{doing} `{remote}`: the key of host `{host}` ({fingerprint}) is not in `known_hosts` of \
         the repository Secret; add it if it is the right one"
    )]
    HostKeyUnknown {
        /// What was being done.
        doing: &'static str,
        /// The remote.
        remote: String,
        /// The host, as it would be written in known_hosts.
        host: String,
        /// The key's SHA-256 fingerprint.
        fingerprint: String,
    },
    /// The known hosts know this one by another key: perhaps an attack.
    #[error(
        "{doing} `{remote}`: the key of host `{host}` ({fingerprint}) differs from the one in \
         `known_hosts` of the repository Secret (or is revoked there); someone may be in \
         between: update it only if the change is known to be right"
    )]
    HostKeyChanged {
        /// What was being done.
        doing: &'static str,
        /// The remote.
        remote: String,
        /// The host, as it would be written in known_hosts.
        host: String,
        /// The key's SHA-256 fingerprint.
        fingerprint: String,
    },
    /// The branch or tag is not there (any more).
    #[error("polling `{remote}`: no branch or tag `{name}`; {hint}")]
    BranchNotFound {
        /// The remote.
        remote: String,
        /// The name that was looked for.
        name: String,
        /// What there is.
        hint: String,
    },
    /// The commit, or a version in the range, is not there.
    #[error("{doing} `{remote}`: {why}")]
    RevisionNotFound {
        /// What was being done.
        doing: &'static str,
        /// The remote.
        remote: String,
        /// What was looked for, and what to do.
        why: String,
    },
    /// A branch and a tag have the name.
    #[error(
        "polling `{remote}`: `{name}` is both a branch and a tag; write `refs/heads/{name}` or \
         `refs/tags/{name}` as targetRevision"
    )]
    RevisionAmbiguous {
        /// The remote.
        remote: String,
        /// The name.
        name: String,
    },
    /// The repository has no commits.
    #[error("polling `{remote}`: the repository is empty; push a first commit")]
    RepositoryEmpty {
        /// The remote.
        remote: String,
    },
    /// More than towline takes.
    #[error("{doing} `{remote}`: {what} is larger than {limit} bytes")]
    TooLarge {
        /// What was being done.
        doing: &'static str,
        /// The remote.
        remote: String,
        /// What is too large, and what to do.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The server speaks Git, but not in a way that is understood.
    #[error("{doing} `{remote}`: the server's answer is not understood")]
    Protocol {
        /// What was being done.
        doing: &'static str,
        /// The remote.
        remote: String,
        /// What it said, or what is wrong with it.
        #[source]
        cause: Cause,
    },
    /// A kind of repository that towline cannot read.
    #[error("{doing} `{remote}`: {what} is not supported")]
    Unsupported {
        /// What was being done.
        doing: &'static str,
        /// The remote.
        remote: String,
        /// What is not.
        what: &'static str,
    },
    /// Somebody else pushed to the branch first.
    #[error(
        "pushing to `{branch}` of `{remote}`: somebody else pushed first ({why}); nothing was \
         overwritten, look at what they did and try again"
    )]
    BranchMoved {
        /// The remote.
        remote: String,
        /// The branch.
        branch: String,
        /// What tells.
        why: String,
    },
    /// The credentials may read, and not write.
    #[error(
        "pushing to `{branch}` of `{remote}`: no permission to write: {why}; give the credentials \
         of the repository Secret the right to push"
    )]
    PushDenied {
        /// The remote.
        remote: String,
        /// The branch.
        branch: String,
        /// What the server said.
        why: String,
    },
    /// The server took the commit and refused to put it on the branch: a hook, a protected branch.
    #[error(
        "pushing to `{branch}` of `{remote}`: the server refuses it: {why}; allow it there (branch \
         protection, hooks), or push to a branch of its own"
    )]
    PushRefused {
        /// The remote.
        remote: String,
        /// The branch.
        branch: String,
        /// What the server said.
        why: String,
    },
    /// A file would go that nobody asked to remove.
    #[error("composing a commit for `{remote}`: `{path}` would be lost")]
    WouldBeLost {
        /// The remote.
        remote: String,
        /// The file.
        path: String,
    },
    /// The cache directory cannot be used, or holds something broken.
    #[error("{doing} the Git cache of `{remote}`")]
    Cache {
        /// What was being done: `opening`, `writing`, `reading`.
        doing: &'static str,
        /// The remote, or the directory.
        remote: String,
        /// Why.
        #[source]
        cause: Cause,
    },
}

impl Error {
    /// The same, seen from the directory in which `name` is the one that it is about.
    pub(super) fn below(self, name: &str) -> Self {
        match self {
            Self::WouldBeLost { remote, path } => Self::WouldBeLost {
                remote,
                path: format!("{name}/{path}"),
            },
            error => error,
        }
    }
}

impl Fault for Error {
    fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::Protocol { .. }
            | Self::BranchMoved { .. }
            | Self::Cache { .. } => Class::Retry,
            Self::Throttled { wait, .. } => Class::Wait(*wait),
            _ => Class::Stalled,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::UrlInvalid { .. } => "UrlInvalid",
            Self::SchemeNotAllowed { .. } => "SchemeNotAllowed",
            Self::RevisionInvalid { .. } => "RevisionInvalid",
            Self::CredentialInvalid { .. } => "CredentialInvalid",
            Self::Unreachable { .. } => "SourceUnreachable",
            Self::Timeout { .. } => "Timeout",
            Self::Throttled { .. } => "Throttled",
            Self::AuthenticationFailed { .. } => "AuthenticationFailed",
            Self::RepositoryNotFound { .. } => "RepositoryNotFound",
            Self::NotAGitServer { .. } => "NotAGitServer",
            Self::Redirected { .. } => "RedirectRefused",
            Self::TlsFailed { .. } => "TlsFailed",
            Self::KnownHostsMissing { .. } => "KnownHostsMissing",
            Self::HostKeyUnknown { .. } => "HostKeyUnknown",
            Self::HostKeyChanged { .. } => "HostKeyChanged",
            Self::BranchNotFound { .. } => "BranchNotFound",
            Self::RevisionNotFound { .. } => "RevisionNotFound",
            Self::RevisionAmbiguous { .. } => "RevisionAmbiguous",
            Self::RepositoryEmpty { .. } => "RepositoryEmpty",
            Self::TooLarge { .. } => "RepoTooLarge",
            Self::Protocol { .. } => "GitProtocolError",
            Self::Unsupported { .. } => "RepositoryUnsupported",
            Self::BranchMoved { .. } => "BranchMoved",
            Self::PushDenied { .. } => "PushDenied",
            Self::PushRefused { .. } => "PushRefused",
            Self::WouldBeLost { .. } => "RevertConflict",
            Self::Cache { .. } => "GitCacheFailed",
        }
    }
}

/// The result of anything in this module.
pub type Result<T> = std::result::Result<T, Error>;
