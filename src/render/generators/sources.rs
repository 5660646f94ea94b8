//! Where the keys of a generated ConfigMap or Secret come from: `envs`, `literals` and `files`.
//!
//! Values may be secret: no error quotes one.

use std::collections::BTreeMap;

use super::super::error::{Error, Result};
use super::super::load::Loader;
use super::Sources;

/// All keys with their raw values; in a map, because kustomize prints and hashes them sorted.
pub(super) type Pairs = BTreeMap<String, Vec<u8>>;

/// Reads every source. Keys are not validated, as in kustomize; only repeating one is an error.
///
/// # Errors
/// On a source that is malformed or cannot be read, and on a repeated key.
pub(super) fn pairs(loader: &Loader<'_>, name: &str, sources: &Sources) -> Result<Pairs> {
    let mut pairs = Pairs::new();
    let mut add = |key: String, value: Vec<u8>| {
        if pairs.contains_key(&key) {
            return Err(Error::failed(format!("`{name}` repeats the key `{key}`"))
                .hint("a key may come from only one of envs, literals and files"));
        }
        pairs.insert(key, value);
        Ok(())
    };
    for path in &sources.envs {
        let content = loader.read(path)?;
        for (key, value) in env_file(&content).map_err(|e| e.within(&loader.resolve_name(path)))? {
            add(key, value.into_bytes())?;
        }
    }
    for literal in &sources.literals {
        let (key, value) = parse_literal(literal)?;
        add(key.to_owned(), value.as_bytes().to_vec())?;
    }
    for source in &sources.files {
        let (key, path) = parse_file(source)?;
        add(key.to_owned(), loader.read(path)?.to_vec())?;
    }
    Ok(pairs)
}

/// `key=value`, split at the first `=`; one pair of quotes around the value is taken off.
fn parse_literal(source: &str) -> Result<(&str, &str)> {
    match source.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key, unquote(value))),
        Some(_) => Err(Error::failed("a literal has no key in front of its `=`")),
        None => Err(Error::failed("a literal has no `=`")),
    }
    .map_err(|e| e.hint("write `key=value`"))
}

fn unquote(value: &str) -> &str {
    let quoted = |quote: char| {
        value
            .strip_prefix(quote)
            .and_then(|inner| inner.strip_suffix(quote))
    };
    quoted('"').or_else(|| quoted('\'')).unwrap_or(value)
}

/// `path`, whose last element is the key, or `key=path`.
fn parse_file(source: &str) -> Result<(&str, &str)> {
    match source.split_once('=') {
        None => Ok((base_name(source), source)),
        Some((_, path)) if path.contains('=') => {
            Err(Error::failed(format!("`{source}` has more than one `=`")))
        }
        Some(("", _)) => Err(Error::failed(format!(
            "`{source}` has no key in front of its `=`"
        ))),
        Some((_, "")) => Err(Error::failed(format!(
            "`{source}` has no path behind its `=`"
        ))),
        Some((key, path)) => Ok((key, path)),
    }
    .map_err(|e| e.hint("write `path` or `key=path`"))
}

fn base_name(path: &str) -> &str {
    path.trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or(path)
}

/// The lines of an env file: `KEY=value`, nothing unquoted, `#` a comment only in front of a line.
fn env_file(content: &[u8]) -> Result<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    for (i, line) in content.split(|b| *b == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = std::str::from_utf8(line).map_err(|_| {
            let number = u32::try_from(i + 1).unwrap_or(u32::MAX);
            Error::failed("the line is not valid UTF-8").on_line(number)
        })?;
        let line = if i == 0 {
            line.strip_prefix('\u{feff}').unwrap_or(line)
        } else {
            line
        };
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        if !key.is_empty() {
            pairs.push((key.to_owned(), value.to_owned()));
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pair_of_quotes_comes_off_a_literal() {
        assert_eq!(parse_literal(r#"a="b""#).ok(), Some(("a", "b")));
        assert_eq!(parse_literal("a='b=c'").ok(), Some(("a", "b=c")));
        assert_eq!(parse_literal(r#"a="b"#).ok(), Some(("a", "\"b")));
        assert_eq!(parse_literal(r#"a=""#).ok(), Some(("a", "\"")));
        assert!(parse_literal("=b").is_err());
    }

    #[test]
    fn the_key_of_a_file_is_its_last_element() {
        assert_eq!(parse_file("a/b.txt").ok(), Some(("b.txt", "a/b.txt")));
        assert_eq!(parse_file("k=a/b.txt").ok(), Some(("k", "a/b.txt")));
        for bad in ["=a", "a=", "a=b=c"] {
            assert!(parse_file(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_env_file_keeps_trailing_space_and_loses_carriage_returns() {
        let pairs = env_file(b"\xef\xbb\xbfA=1\r\n  # no\n B =x \nC\n").expect("valid");
        let expected = [("A", "1"), ("B ", "x "), ("C", "")];
        assert_eq!(pairs, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }
}
