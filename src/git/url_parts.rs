//! The parts of a repository address: what each may consist of, and why it may not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::addresses::is_forbidden;
use super::limits::MAX_CAUSE_CHARS;
use super::text::shown;

/// A user name for ssh.
pub(super) fn valid_user(user: &str) -> std::result::Result<String, &'static str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+');
    if user.is_empty() || user.starts_with('-') || !user.bytes().all(plain) {
        return Err("its user is not a plain name");
    }
    Ok(user.to_owned())
}

/// A host, in lower case.
pub(super) fn valid_host(host: &str) -> std::result::Result<String, &'static str> {
    const FORBIDDEN: &str = "its host is a link-local address, where no Git server is";
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner
            .strip_suffix(']')
            .ok_or("its IPv6 address has no closing bracket")?;
        let address: Ipv6Addr = address
            .parse()
            .map_err(|_| "its host is not an IPv6 address")?;
        if is_forbidden(IpAddr::V6(address)) {
            return Err(FORBIDDEN);
        }
        return Ok(format!("[{address}]"));
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if host.is_empty() || host.len() > 253 || !host.bytes().all(plain) {
        return Err("its host is not a host name or address");
    }
    if host.starts_with(['-', '.']) || host.contains("..") {
        return Err("its host begins with `-` or `.`, or has an empty part");
    }
    // `2852039166` and `0xa9fe.0xa9fe` are addresses too, to those who want to hide one.
    let last = host
        .trim_end_matches('.')
        .rsplit('.')
        .next()
        .unwrap_or(host);
    if last.bytes().all(|b| b.is_ascii_digit()) || last.to_ascii_lowercase().starts_with("0x") {
        let address: Ipv4Addr = host
            .parse()
            .map_err(|_| "its host is not an IPv4 address")?;
        if is_forbidden(IpAddr::V4(address)) {
            return Err(FORBIDDEN);
        }
    }
    Ok(host.to_ascii_lowercase())
}

/// `host[:port]` in two.
pub(super) fn split_port(address: &str) -> std::result::Result<(&str, Option<u16>), &'static str> {
    let colon = match address.rfind(']') {
        Some(end) => address[end..].find(':').map(|at| end + at),
        None => address.find(':'),
    };
    let Some(colon) = colon else {
        return Ok((address, None));
    };
    let port = &address[colon + 1..];
    if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err("its port is not a number");
    }
    match port.parse() {
        Ok(port) if port > 0 => Ok((&address[..colon], Some(port))),
        _ => Err("its port is not between 1 and 65535"),
    }
}

/// A path without its slashes at the end.
pub(super) fn valid_path(path: &str) -> std::result::Result<String, &'static str> {
    let path = path.trim_end_matches('/');
    if path.is_empty() {
        return Err("it has no path to a repository");
    }
    let plain = percent_decoded(path)?;
    if plain.chars().any(|c| c.is_control()) {
        return Err("its path contains control characters");
    }
    if plain.split('/').any(|part| part == ".." || part == ".") {
        return Err("its path contains `.` or `..`");
    }
    if plain.trim_start_matches('/').starts_with('-') {
        return Err("its path begins with `-`, like a command line option");
    }
    Ok(path.to_owned())
}

/// Text with its `%xx` resolved.
pub(super) fn percent_decoded(text: &str) -> std::result::Result<String, &'static str> {
    const BAD: &str = "its percent-encoding is broken";
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || {
            bytes
                .next()
                .and_then(|b| char::from(b).to_digit(16))
                .ok_or(BAD)
        };
        let value = digit()? * 16 + digit()?;
        out.push(u8::try_from(value).map_err(|_| BAD)?);
    }
    String::from_utf8(out).map_err(|_| BAD)
}

/// `url` fit for an error text: bounded, escaped, and without what stands before an `@`.
pub(super) fn without_secrets(url: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + 3);
    let (head, rest) = url.split_at(start);
    let end = rest.find('/').unwrap_or(rest.len());
    let rest = match rest[..end].rfind('@') {
        Some(at) if rest[..at].contains(':') => &rest[at + 1..],
        _ => rest,
    };
    // A token may also hide in a query.
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    shown(&format!("{head}{rest}"), MAX_CAUSE_CHARS)
}
