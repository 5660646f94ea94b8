//! Signing a commit with an ssh key, as `git commit -S` does with `gpg.format=ssh`: in this
//! process, by a key that stands in the repository Secret.

use russh::keys::HashAlg;
use russh::keys::ssh_key::LineEnding;

use super::error::{Cause, Error, Result};
use super::ssh::private_key_from;

/// What Git calls its signatures, so that one of something else is none of a commit.
const NAMESPACE: &str = "git";

/// The commit, as Git stores it, with a signature among its headers.
pub(super) fn signed(commit: &str, key: &str, remote: &str) -> Result<String> {
    let invalid = |why: String| Error::CredentialInvalid {
        remote: remote.to_owned(),
        why,
    };
    let key = private_key_from(key, "sshSigningKey").map_err(invalid)?;
    let signature = key
        .sign(NAMESPACE, HashAlg::Sha512, commit.as_bytes())
        .and_then(|signature| signature.to_pem(LineEnding::LF))
        .map_err(|error| invalid(format!("signing with it: {}", Cause::of(&error))))?;
    let (headers, message) = commit.split_once("\n\n").unwrap_or((commit, ""));
    // A header goes on over lines that begin with a space.
    let signature = signature.trim_end().replace('\n', "\n ");
    Ok(format!("{headers}\ngpgsig {signature}\n\n{message}"))
}
