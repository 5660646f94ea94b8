//! Where a repository is: the one place that reads a `repoURL`.
//!
//! A URL reaches an HTTP client, an ssh server's shell or the file system, so everything that is
//! not plainly an address is refused here: options (`-x`), transport helpers (`ext::`), control
//! characters, passwords, parent directories. What is shown in errors never carries a password.

use std::fmt;
use std::path::{Path, PathBuf};

use super::error::{Error, Result};
use super::limits::MAX_URL_BYTES;
use super::scheme::{AllowedSchemes, Scheme};
use super::url_parts::{
    percent_decoded, split_port, valid_host, valid_path, valid_user, without_secrets,
};

/// A validated repository address, without any secret.
///
/// Displays as it is best written; two spellings of one address are equal where the difference
/// is certain not to matter (case of scheme and host, the default port, a slash at the end).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RemoteUrl {
    scheme: Scheme,
    user: Option<String>,
    host: String,
    port: Option<u16>,
    /// As sent to the server: with its leading slash, except for `host:relative/path`.
    path: String,
}

impl RemoteUrl {
    /// Reads `url`, which is one of `https://host/path`, `ssh://[user@]host/path`,
    /// `[user@]host:path`, and where allowed `http://host/path`, `file:///path` or `/path`.
    ///
    /// # Errors
    /// [`Error::UrlInvalid`] and [`Error::SchemeNotAllowed`].
    pub fn parse(url: &str, allowed: &AllowedSchemes) -> Result<Self> {
        let parsed = Self::read(url).map_err(|why| Error::UrlInvalid {
            url: without_secrets(url),
            why: why.to_string(),
        })?;
        match parsed {
            Read::Known(remote) if allowed.allows(remote.scheme) => Ok(remote),
            Read::Known(remote) => Err(Error::SchemeNotAllowed {
                url: without_secrets(url),
                scheme: remote.scheme.to_string(),
            }),
            Read::Foreign(scheme) => Err(Error::UrlInvalid {
                url: without_secrets(url),
                why: format!("scheme `{scheme}` is not supported; use https or ssh"),
            }),
        }
    }

    /// How it is spoken to.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host, in lower case; empty for a local directory.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, where it has one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port.or_else(|| self.scheme.default_port())
    }

    /// The user to log in as over ssh.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The directory of a `file` remote, to be watched for changes.
    #[must_use]
    pub fn local_path(&self) -> Option<PathBuf> {
        (self.scheme == Scheme::File).then(|| Path::new(&self.path).to_path_buf())
    }

    /// The path as the server is told it.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Whether ssh was written the short way, `host:path`.
    fn is_short(&self) -> bool {
        self.scheme == Scheme::Ssh && !self.path.starts_with('/') && !self.path.starts_with('~')
    }

    fn read(url: &str) -> std::result::Result<Read, &'static str> {
        if url.is_empty() {
            return Err("it is empty; write the address that `git clone` takes");
        }
        if url.len() > MAX_URL_BYTES {
            return Err("it is longer than 2048 bytes");
        }
        if url.starts_with('-') {
            return Err("it begins with `-`, like a command line option");
        }
        if url
            .chars()
            .any(|c| c.is_whitespace() || super::text::steers(c))
        {
            return Err("it contains white space or control characters");
        }
        if url.contains(['\\', '"', '\'', '`', '<', '>', '|', '^', '{', '}']) {
            return Err("it contains characters that no repository address has");
        }
        if let Some((scheme, rest)) = url.split_once("://") {
            return Self::read_url(scheme, rest);
        }
        if url.starts_with('/') {
            return Ok(Read::Known(Self::local(url)?));
        }
        if url.contains("::") {
            return Err("transport helpers (`ext::` and the like) are never run");
        }
        Self::read_short(url).map(Read::Known)
    }

    fn read_url(scheme: &str, rest: &str) -> std::result::Result<Read, &'static str> {
        if scheme.is_empty()
            || !scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'+')
        {
            return Err("its scheme is not a word; use https or ssh");
        }
        let Some(scheme) = Scheme::parse(scheme) else {
            return Ok(Read::Foreign(scheme.to_ascii_lowercase()));
        };
        if rest.contains(['?', '#']) {
            return Err("it has a query or fragment; write the revision as targetRevision");
        }
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        if scheme == Scheme::File {
            if !authority.is_empty() && authority != "localhost" {
                return Err("a file URL has no host: write `file:///path`");
            }
            return Ok(Read::Known(Self::local(&percent_decoded(path)?)?));
        }
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, authority),
        };
        let user = match user {
            Some(user) if user.contains(':') => {
                return Err("it carries a password; put it into a Secret labelled \
                            `towline.dev/secret-type: repository`");
            }
            // Clone buttons put an account name before the host; it authenticates nobody.
            Some(_) if scheme != Scheme::Ssh => None,
            Some(user) => Some(valid_user(user)?),
            None => None,
        };
        let (host, port) = split_port(address)?;
        let path = valid_path(path)?;
        let path = match scheme {
            // As git does: it is the server's shell that gets it, and `/~user` is that home.
            Scheme::Ssh => {
                let path = percent_decoded(&path)?;
                if path.contains('\'') {
                    return Err("it contains characters that no repository address has");
                }
                let home = path.strip_prefix('/').filter(|path| path.starts_with('~'));
                home.map_or_else(|| path.clone(), str::to_owned)
            }
            _ => path,
        };
        let port = port.filter(|port| Some(*port) != scheme.default_port());
        Ok(Read::Known(Self {
            scheme,
            user,
            host: valid_host(host)?,
            port,
            path,
        }))
    }

    /// `[user@]host:path`.
    fn read_short(url: &str) -> std::result::Result<Self, &'static str> {
        const SHAPE: &str = "it is not a repository address; write `https://host/path`, \
                             `ssh://user@host/path` or `user@host:path`";
        let (authority, path) = url.split_once(':').ok_or(SHAPE)?;
        if authority.contains('/') || path.is_empty() {
            return Err(SHAPE);
        }
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(valid_user(user)?), host),
            None => (None, authority),
        };
        if host.len() < 2 {
            return Err(SHAPE);
        }
        let path = valid_path(path)?;
        Ok(Self {
            scheme: Scheme::Ssh,
            user,
            host: valid_host(host)?,
            port: None,
            path,
        })
    }

    fn local(path: &str) -> std::result::Result<Self, &'static str> {
        let path = valid_path(path)?;
        if !path.starts_with('/') {
            return Err("a file URL needs an absolute path: write `file:///path`");
        }
        Ok(Self {
            scheme: Scheme::File,
            user: None,
            host: String::new(),
            port: None,
            path,
        })
    }
}

/// What a text was read as.
enum Read {
    Known(RemoteUrl),
    Foreign(String),
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_short() {
            if let Some(user) = &self.user {
                write!(f, "{user}@")?;
            }
            return write!(f, "{}:{}", self.host, self.path);
        }
        write!(f, "{}://", self.scheme)?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        f.write_str(&self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        if !self.path.starts_with('/') {
            f.write_str("/")?;
        }
        f.write_str(&self.path)
    }
}

impl fmt::Debug for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> AllowedSchemes {
        AllowedSchemes::with([Scheme::Http, Scheme::File])
    }

    fn parsed(url: &str) -> RemoteUrl {
        RemoteUrl::parse(url, &all()).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn addresses_that_people_write_are_taken() {
        for (url, shown) in [
            (
                "https://Example.com/a/b.git/",
                "https://example.com/a/b.git",
            ),
            ("HTTPS://example.com:443/a", "https://example.com/a"),
            (
                "https://org@dev.azure.com/org/p/_git/r",
                "https://dev.azure.com/org/p/_git/r",
            ),
            ("http://127.0.0.1:8080/r.git", "http://127.0.0.1:8080/r.git"),
            (
                "https://[2001:DB8::1]:8443/r",
                "https://[2001:db8::1]:8443/r",
            ),
            (
                "ssh://git@example.com:22/r.git",
                "ssh://git@example.com/r.git",
            ),
            (
                "ssh://git@example.com:2222/~me/r",
                "ssh://git@example.com:2222/~me/r",
            ),
            ("git@github.com:org/repo.git", "git@github.com:org/repo.git"),
            ("host:/srv/r.git", "ssh://host/srv/r.git"),
            ("file:///srv/a%20b", "file:///srv/a b"),
            ("/srv/r.git", "file:///srv/r.git"),
        ] {
            assert_eq!(parsed(url).to_string(), shown, "{url}");
        }
        assert_eq!(parsed("git@h.org:a").path(), "a");
        assert_eq!(parsed("ssh://git@h.org/~me/r").path(), "~me/r");
        assert_eq!(parsed("ssh://h.org:2222/r").port(), Some(2222));
        assert_eq!(parsed("/srv/r").local_path(), Some(PathBuf::from("/srv/r")));
    }

    #[test]
    fn everything_else_is_refused_with_a_reason() {
        for url in [
            "",
            "-oProxyCommand=x",
            "ssh://-oProxyCommand=x/r",
            "ssh://-u@h.org/r",
            "git@h.org:-r",
            "ssh://h.org/-r",
            "ext::sh -c x",
            "ext::sh",
            "fd::17",
            "git://h.org/r",
            "ftp://h.org/r",
            "https://h.org/r\n",
            "https://h.org/r\r",
            "https://h.org/a%0ab",
            "https://h.org/%2e%2e/x",
            "https://h.org/../x",
            "https://user:pass@h.org/r",
            "https://h.org",
            "https:///r",
            "https://h.org:0/r",
            "https://h.org:x/r",
            "https://h.org/r?ref=main",
            "https://h org/r",
            "https://h.org/%zz",
            "https://169.254.169.254/r",
            "https://2852039166/r",
            "https://0xa9.0xfe.0xa9.0xfe/r",
            "https://1.2.3/r",
            "https://[fe80::1]/r",
            "https://[::ffff:169.254.169.254]/r",
            "ssh://h.org/a%27b",
            "file://other/r",
            "C:\\repo",
            "relative/path",
            "h\u{202e}.org:r",
        ] {
            let Err(error) = RemoteUrl::parse(url, &all()) else {
                panic!("taken: {url}")
            };
            assert!(matches!(error, Error::UrlInvalid { .. }), "{url}: {error}");
            assert!(!error.to_string().contains("pass@"), "{error}");
        }
    }

    #[test]
    fn http_and_file_need_leave() {
        let allowed = AllowedSchemes::default();
        for url in ["http://h.org/r", "file:///r", "/r"] {
            let error = RemoteUrl::parse(url, &allowed).expect_err(url);
            assert!(matches!(error, Error::SchemeNotAllowed { .. }), "{error}");
        }
        assert!(RemoteUrl::parse("git@h.org:r", &allowed).is_ok());
    }
}
