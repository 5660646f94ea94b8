//! How a remote may be spoken to.

use std::collections::BTreeSet;
use std::fmt;

/// How a remote is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Smart HTTP over TLS.
    Https,
    /// Smart HTTP in clear text.
    Http,
    /// `git-upload-pack` over ssh.
    Ssh,
    /// A repository in a local directory.
    File,
}

impl Scheme {
    /// As written in a URL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Ssh => "ssh",
            Self::File => "file",
        }
    }

    /// The scheme written as `word`, if it is one that towline speaks.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Https, Self::Http, Self::Ssh, Self::File]
            .into_iter()
            .find(|scheme| scheme.as_str() == word.to_ascii_lowercase())
    }

    /// The port that is meant where none is written.
    pub(super) fn default_port(self) -> Option<u16> {
        match self {
            Self::Https => Some(443),
            Self::Http => Some(80),
            Self::Ssh => Some(22),
            Self::File => None,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The schemes that repository URLs may have: https and ssh, unless the operator allows more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedSchemes(BTreeSet<Scheme>);

impl Default for AllowedSchemes {
    fn default() -> Self {
        Self(BTreeSet::from([Scheme::Https, Scheme::Ssh]))
    }
}

impl AllowedSchemes {
    /// The default ones and `more`.
    #[must_use]
    pub fn with(more: impl IntoIterator<Item = Scheme>) -> Self {
        let mut allowed = Self::default();
        allowed.0.extend(more);
        allowed
    }

    /// Whether URLs with this scheme may be used.
    #[must_use]
    pub fn allows(&self, scheme: Scheme) -> bool {
        self.0.contains(&scheme)
    }
}
