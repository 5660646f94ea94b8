//! Who towline is to a remote. Nothing here prints a secret.

use std::fmt;

use sha2::{Digest, Sha256};

use super::error::{Error, Result};
use super::scheme::Scheme;
use super::url::RemoteUrl;

/// How to authenticate to one remote, and what to trust it by.
///
/// Sent at once, to the host of the remote and to no other.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credential {
    pub(super) secret: Secret,
    pub(super) ca: Option<String>,
    /// What commits are signed with.
    pub(super) signing_key: Option<String>,
    /// Who commits, by name and mail address; or why that cannot be told.
    pub(super) committer: Option<std::result::Result<(String, String), &'static str>>,
    identity: Option<String>,
}

/// The secret part of a [`Credential`].
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) enum Secret {
    #[default]
    None,
    Basic {
        username: String,
        password: String,
    },
    Bearer(String),
    Ssh {
        private_key: String,
        known_hosts: String,
    },
}

impl Credential {
    /// For a public repository.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// User name and password, or access token as the password.
    #[must_use]
    pub fn basic(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self::from(Secret::Basic {
            username: username.into(),
            password: password.into(),
        })
    }

    /// An `Authorization: Bearer` token.
    #[must_use]
    pub fn bearer(token: impl Into<String>) -> Self {
        Self::from(Secret::Bearer(token.into()))
    }

    /// An ssh private key as PEM, and the text of a `known_hosts` file to check the server by.
    #[must_use]
    pub fn ssh(private_key: impl Into<String>, known_hosts: impl Into<String>) -> Self {
        Self::from(Secret::Ssh {
            private_key: private_key.into(),
            known_hosts: known_hosts.into(),
        })
    }

    /// The same, trusting only these certificate authorities (PEM) for TLS.
    #[must_use]
    pub fn with_ca(mut self, pem: impl Into<String>) -> Self {
        self.ca = Some(pem.into());
        self
    }

    /// The same, signing the commits that are made for it with this ssh private key (PEM).
    #[must_use]
    pub fn with_signing_key(mut self, pem: impl Into<String>) -> Self {
        self.signing_key = Some(pem.into());
        self
    }

    /// The same, committing under this name and mail address.
    #[must_use]
    pub fn with_committer(mut self, name: impl Into<String>, email: impl Into<String>) -> Self {
        self.committer = Some(Ok((name.into(), email.into())));
        self
    }

    /// The same, with nobody to commit as, and `why`: what only reads need not care.
    #[must_use]
    pub fn without_committer(mut self, why: &'static str) -> Self {
        self.committer = Some(Err(why));
        self
    }

    /// What lets us in, without what commits are made with.
    pub(super) fn access(&self) -> Self {
        Self {
            signing_key: None,
            committer: None,
            ..self.clone()
        }
    }

    /// The same, known by `identity`, such as the namespace and name of the Secret it is from:
    /// when the Secret changes (a token is rotated), the cached repository is kept.
    ///
    /// Whoever has the identity may read what the cache holds, so it must say whose it is.
    #[must_use]
    pub fn with_identity(mut self, identity: impl Into<String>) -> Self {
        self.identity = Some(identity.into());
        self
    }

    /// Whether this is of the sort that `remote` takes.
    pub(super) fn check(&self, remote: &RemoteUrl) -> Result<()> {
        let why = match (remote.scheme(), &self.secret) {
            (Scheme::Ssh, Secret::None | Secret::Basic { .. } | Secret::Bearer(_)) => {
                "an ssh URL needs an ssh key: put `sshPrivateKey` and `known_hosts` into the \
                 repository Secret"
            }
            (Scheme::Https | Scheme::Http, Secret::Ssh { .. }) => {
                "they are an ssh key, but the URL is not an ssh one: write \
                 `ssh://git@host/path`, or give a user name and password"
            }
            (Scheme::Https | Scheme::Http, Secret::Basic { username, .. })
                if username.contains(':') =>
            {
                "the user name contains `:`"
            }
            _ => return Ok(()),
        };
        Err(Error::CredentialInvalid {
            remote: remote.to_string(),
            why: why.to_owned(),
        })
    }

    /// What tells this credential from others: its identity, else a hash of it all. Without what
    /// commits are made with ([`Credential::access`]) it tells what is fetched with it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |part: &str| {
            // With its length, so that no two lists of parts read the same.
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        };
        if let Some(identity) = &self.identity {
            add("identity");
            add(identity);
            return hex::encode(hash.finalize());
        }
        match &self.secret {
            Secret::None => add("none"),
            Secret::Basic { username, password } => {
                add("basic");
                add(username);
                add(password);
            }
            Secret::Bearer(token) => {
                add("bearer");
                add(token);
            }
            Secret::Ssh {
                private_key,
                known_hosts,
            } => {
                add("ssh");
                add(private_key);
                add(known_hosts);
            }
        }
        add(self.ca.as_deref().unwrap_or(""));
        // Only where they are, so that a cache from before there was any is still known.
        if let Some(key) = &self.signing_key {
            add(key);
        }
        match &self.committer {
            Some(Ok((name, email))) => {
                add(name);
                add(email);
            }
            Some(Err(why)) => add(why),
            None => {}
        }
        hex::encode(hash.finalize())
    }

    /// `text` with every secret of this credential taken out of it, should a server echo one.
    pub(super) fn scrub(&self, text: &str) -> String {
        let secret = match &self.secret {
            Secret::Basic { password, .. } => password,
            Secret::Bearer(token) => token,
            Secret::None | Secret::Ssh { .. } => return text.to_owned(),
        };
        // A very short one would blank out half the sentence and betray itself by that.
        if secret.len() < 4 {
            text.to_owned()
        } else {
            text.replace(secret.as_str(), "***")
        }
    }
}

impl From<Secret> for Credential {
    fn from(secret: Secret) -> Self {
        Self {
            secret,
            ca: None,
            signing_key: None,
            committer: None,
            identity: None,
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.secret {
            Secret::None => "none",
            Secret::Basic { .. } => "basic",
            Secret::Bearer(_) => "bearer",
            Secret::Ssh { .. } => "ssh",
        };
        f.debug_struct("Credential")
            .field("kind", &kind)
            .field("ca", &self.ca.is_some())
            .field("identity", &self.identity)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_prints_no_secret() {
        for credential in [
            Credential::basic("me", "hunter22"),
            Credential::bearer("hunter22"),
            Credential::ssh("hunter22", "h ssh-ed25519 AAAA"),
        ] {
            let text = format!("{credential:?}");
            assert!(!text.contains("hunter22"), "{text}");
        }
        let scrubbed = Credential::bearer("hunter22").scrub("bad token hunter22");
        assert_eq!(scrubbed, "bad token ***");
    }

    #[test]
    fn what_commits_are_made_with_makes_no_other_cache() {
        let plain = Credential::basic("a", "b");
        for other in [
            plain.clone().with_signing_key("key"),
            plain.clone().with_committer("Ann", "ann@example.com"),
            plain.clone().without_committer("a typing mistake"),
        ] {
            assert_ne!(other.fingerprint(), plain.fingerprint());
            assert_eq!(other.access().fingerprint(), plain.fingerprint());
            assert_eq!(other.access(), plain);
        }
    }

    #[test]
    fn the_cache_is_shared_by_identity_only() {
        let one = Credential::basic("a", "bc").fingerprint();
        assert_ne!(one, Credential::basic("ab", "c").fingerprint());
        assert_ne!(one, Credential::none().fingerprint());
        assert_ne!(one, Credential::basic("a", "bc").with_ca("x").fingerprint());
        let rotated = Credential::basic("a", "new")
            .with_identity("ns/secret")
            .fingerprint();
        assert_eq!(
            rotated,
            Credential::basic("a", "old")
                .with_identity("ns/secret")
                .fingerprint()
        );
    }
}
