//! `known_hosts` files: which key a host is known by.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use russh::keys::{Algorithm, PublicKey};
use sha1::Sha1;

/// What is known of one host.
#[derive(Debug, Default)]
pub(super) struct Known {
    trusted: Vec<PublicKey>,
    revoked: Vec<PublicKey>,
}

/// What a key is, by what is known of its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The right one.
    Trusted,
    /// The host is not known, or only by keys of other kinds.
    Unknown,
    /// The host is known by another key of this kind, or this one was revoked.
    Changed,
}

impl Known {
    /// What `text` says of `host` at `port`. As OpenSSH does: `[host]:port` for a port other than
    /// 22, and the bare host where that is not listed; lines that cannot be read are skipped.
    pub(super) fn of(text: &str, host: &str, port: u16) -> Self {
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_ascii_lowercase();
        if port == 22 {
            return Self::read(text, &host);
        }
        let known = Self::read(text, &format!("[{host}]:{port}"));
        if known.trusted.is_empty() && known.revoked.is_empty() {
            return Self::read(text, &host);
        }
        known
    }

    /// The kinds of keys that the host is known by, for the server to be asked for one of them.
    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        self.trusted.iter().map(PublicKey::algorithm).collect()
    }

    /// What `key` is.
    pub(super) fn check(&self, key: &PublicKey) -> Verdict {
        let is = |known: &PublicKey| known.key_data() == key.key_data();
        if self.revoked.iter().any(is) {
            return Verdict::Changed;
        }
        if self.trusted.iter().any(is) {
            return Verdict::Trusted;
        }
        if self
            .trusted
            .iter()
            .any(|known| known.algorithm() == key.algorithm())
        {
            return Verdict::Changed;
        }
        Verdict::Unknown
    }

    fn read(text: &str, name: &str) -> Self {
        let mut known = Self::default();
        for line in text.lines() {
            let mut fields = line.split_ascii_whitespace().peekable();
            let marker = fields.next_if(|field| field.starts_with('@'));
            let (Some(hosts), Some(kind), Some(key)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            if hosts.starts_with('#') || !matches(hosts, name) {
                continue;
            }
            let Ok(key) = PublicKey::from_openssh(&format!("{kind} {key}")) else {
                continue;
            };
            match marker {
                None => known.trusted.push(key),
                Some("@revoked") => known.revoked.push(key),
                // An authority signs host certificates, which are not asked for.
                Some(_) => {}
            }
        }
        known
    }
}

/// Whether the first field of a line means `name`.
fn matches(hosts: &str, name: &str) -> bool {
    let mut found = false;
    for pattern in hosts.split(',') {
        if let Some(hashed) = pattern.strip_prefix("|1|") {
            found |= is_hash_of(hashed, name);
        } else if let Some(pattern) = pattern.strip_prefix('!') {
            if is_like(&pattern.to_ascii_lowercase(), name) {
                return false;
            }
        } else {
            found |= is_like(&pattern.to_ascii_lowercase(), name);
        }
    }
    found
}

/// `salt|hash` by HMAC-SHA1, both in Base64.
fn is_hash_of(hashed: &str, name: &str) -> bool {
    let Some((salt, hash)) = hashed.split_once('|') else {
        return false;
    };
    let (Ok(salt), Ok(hash)) = (BASE64.decode(salt), BASE64.decode(hash)) else {
        return false;
    };
    let Ok(mac) = Hmac::<Sha1>::new_from_slice(&salt) else {
        return false;
    };
    mac.chain_update(name).verify_slice(&hash).is_ok()
}

/// Shell-like patterns: `*` is any text, `?` any character.
fn is_like(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Where the last `*` was, and where in the name it is being tried to end.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == b'?' || c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made with `ssh-keygen -t ed25519` and `ssh-keygen -H`; the private halves are gone.
    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILYmru1R4xuY3YDqPXK5+0Ymtyzyj7j01aXyi4LPS+zn";
    const OTHER: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIm9ciwkZG1ggXOBThw2FeushFrLH+7F/g4LRkgBHYYB";

    fn verdict(text: &str, host: &str, port: u16) -> Verdict {
        let key = PublicKey::from_openssh(KEY).expect("a key");
        Known::of(text, host, port).check(&key)
    }

    #[test]
    fn entries_are_found_in_every_spelling() {
        for (hosts, host, port) in [
            ("git.example.com", "git.example.com", 22),
            ("other,GIT.example.com,10.0.0.1", "git.example.com", 22),
            ("[git.example.com]:2222", "git.example.com", 2222),
            ("git.example.com", "git.example.com", 2222),
            ("*.example.com", "git.example.com", 22),
            ("gi?.example.com", "git.example.com", 22),
            ("[*.example.com]:2222", "git.example.com", 2222),
            ("2001:db8::1", "[2001:db8::1]", 22),
            (
                "|1|3+2a3Zwj6LHxKfTc3lIyzDP11Mg=|1vfPu8hTHgBJejFZ4eZxqEtLGPw=",
                "git.example.com",
                2222,
            ),
        ] {
            let text = format!("# comment\n\nbroken\n{hosts} {KEY} comment\n");
            assert_eq!(verdict(&text, host, port), Verdict::Trusted, "{hosts}");
        }
    }

    #[test]
    fn anything_else_is_not_trusted() {
        for (text, expected) in [
            (String::new(), Verdict::Unknown),
            (format!("other.example.com {KEY}"), Verdict::Unknown),
            (
                format!("*.example.com,!git.example.com {KEY}"),
                Verdict::Unknown,
            ),
            (format!("[git.example.com]:2222 {KEY}"), Verdict::Unknown),
            (format!("# git.example.com {KEY}"), Verdict::Unknown),
            (
                format!("@cert-authority git.example.com {KEY}"),
                Verdict::Unknown,
            ),
            (format!("git.example.com {OTHER}"), Verdict::Changed),
            (
                format!("@revoked * {KEY}\ngit.example.com {KEY}"),
                Verdict::Changed,
            ),
        ] {
            assert_eq!(verdict(&text, "git.example.com", 22), expected, "{text}");
        }
    }
}
