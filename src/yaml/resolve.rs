//! What a tree means: JSON values, by the rules of one tool or the other.

use std::borrow::Cow;
use std::collections::BTreeSet;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use super::number::{self, Parsed};
use super::refold::refold;
use super::scalar::{Meaning, Rules, meaning};
use super::{Error, Mapping, Node, Scalar, Style, View, limits};

/// Whose rules decide what an unquoted scalar is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolver {
    /// Resources of `kustomize build` (go-yaml v3): `yes` is a string, `2001-01-01` becomes
    /// `2001-01-01T00:00:00Z`.
    Kustomize,
    /// `kubectl apply`, and the kustomization file itself (sigs.k8s.io/yaml, YAML 1.1): `yes` is
    /// true, `2001-01-01` stays as it is.
    Kubectl,
}

/// What a key that a mapping has twice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    /// An error at the line of the second.
    Error,
    /// Overwritten.
    LastWins,
}

/// The JSON value of a tree.
///
/// # Errors
/// Duplicate keys, keys that are no strings, `.inf` and `.nan`, invalid `!!binary`, and with
/// [`Resolver::Kustomize`] characters that `kustomize build` cannot print.
pub fn resolve(node: &Node, resolver: Resolver, duplicates: Duplicates) -> Result<Value, Error> {
    resolve_view(node, resolver, duplicates).map(View::into_value)
}

/// The same, with texts that are those of the tree.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_view(
    node: &Node,
    resolver: Resolver,
    duplicates: Duplicates,
) -> Result<View<'_>, Error> {
    Walk {
        resolver,
        duplicates,
    }
    .node(node, 0)
}

/// The JSON value of one scalar.
///
/// # Errors
/// `.inf`, `.nan`, and text that its tag does not allow.
pub fn resolve_scalar(scalar: &Scalar, resolver: Resolver) -> Result<Value, Error> {
    view_of(scalar, resolver).map(View::into_value)
}

fn view_of(scalar: &Scalar, resolver: Resolver) -> Result<View<'_>, Error> {
    let string = || text(&scalar.text, scalar.line, resolver).map(View::Text);
    let rules = match (scalar.tag(), scalar.style) {
        (None, Style::Plain) => resolver.rules(),
        (None, Style::Folded) if resolver == Resolver::Kustomize => {
            let refolded = refold(&scalar.text);
            let text = text(&refolded, scalar.line, resolver)?;
            return Ok(View::Text(text.into_owned().into()));
        }
        (None, _) => return string(),
        (Some(tag), _) => return tagged(scalar, tag, resolver),
    };
    value_of(meaning(&scalar.text, rules), scalar, resolver).unwrap_or_else(string)
}

impl Resolver {
    fn rules(self) -> Rules {
        match self {
            Self::Kustomize => Rules::V1_2,
            Self::Kubectl => Rules::V1_1,
        }
    }
}

/// The value of unquoted text, `None` where that is the text itself.
fn value_of(
    meaning: Meaning,
    scalar: &Scalar,
    resolver: Resolver,
) -> Option<Result<View<'static>, Error>> {
    Some(Ok(match meaning {
        Meaning::Text => return None,
        Meaning::Null => View::Null,
        Meaning::Bool(bool) => View::Bool(bool),
        Meaning::Number(number) => number::to_json(number).map_or(View::Null, View::Number),
        Meaning::NotFinite => {
            let message = "`.inf` and `.nan` are not allowed: JSON has no such numbers";
            return Some(Err(Error::new(scalar.line, message)));
        }
        Meaning::Time(_) if resolver == Resolver::Kubectl => return None,
        Meaning::Time(time) => match time.rfc3339() {
            Some(text) => View::Text(text.into()),
            None => {
                let message = "a timestamp has an offset of more than 23 hours";
                return Some(Err(Error::new(scalar.line, message)));
            }
        },
    }))
}

/// The value of a scalar with an explicit tag.
fn tagged<'a>(scalar: &'a Scalar, tag: &str, resolver: Resolver) -> Result<View<'a>, Error> {
    let string = || text(&scalar.text, scalar.line, resolver).map(View::Text);
    let wanted = match tag {
        "!!binary" => return binary(scalar, resolver).map(|text| View::Text(text.into())),
        "!!bool" | "!!int" | "!!float" | "!!null" | "!!timestamp" => &tag[2..],
        // `!!str`, and tags that mean something to somebody else.
        _ => return string(),
    };
    let found = match meaning(&scalar.text, resolver.rules()) {
        // A date is only looked for where there is no tag, or the tag asks for one.
        Meaning::Time(_) if wanted != "timestamp" => Meaning::Text,
        found => found,
    };
    match (wanted, found) {
        ("float", Meaning::Number(Parsed::Int(_) | Parsed::Float(_)) | Meaning::NotFinite)
        | ("int", Meaning::Number(Parsed::Int(_) | Parsed::Uint(_)))
        | ("null", Meaning::Null)
        | ("bool", Meaning::Bool(_))
        | ("timestamp", Meaning::Time(_)) => {
            value_of(found, scalar, resolver).unwrap_or_else(string)
        }
        _ => Err(Error::new(
            scalar.line,
            format!("the value does not fit its tag `!!{wanted}`"),
        )),
    }
}

/// The decoded text of a `!!binary`.
fn binary(scalar: &Scalar, resolver: Resolver) -> Result<String, Error> {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
    );
    let joined: String = scalar
        .text
        .chars()
        .filter(|c| !matches!(c, '\r' | '\n'))
        .collect();
    let bytes = ENGINE
        .decode(joined)
        .map_err(|_| Error::new(scalar.line, "a `!!binary` value is not valid base64"))?;
    let mut decoded = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        decoded.push_str(chunk.valid());
        // One replacement for each byte, as Go has it.
        decoded.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text(&decoded, scalar.line, resolver).map(Cow::into_owned)
}

/// The text as the rules see it, unless they refuse it.
fn text(text: &str, line: u32, resolver: Resolver) -> Result<Cow<'_, str>, Error> {
    // All that is not simply kept contains one of these bytes, which are rare.
    let suspect = |b: u8| matches!(b, 0x7f | 0xc2 | 0xef);
    if resolver == Resolver::Kubectl || !text.bytes().any(suspect) {
        return Ok(Cow::Borrowed(text));
    }
    let refused =
        |c: char| matches!(c, '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}');
    if let Some(c) = text.chars().find(|c| refused(*c)) {
        let message = format!(
            "a string contains U+{:04X}, which cannot be printed",
            u32::from(c)
        );
        return Err(Error::new(line, message));
    }
    Ok(if text.contains(NEXT_LINE) {
        fold_next_lines(text).into()
    } else {
        text.into()
    })
}

/// U+0085, a line break for YAML but not for JSON.
const NEXT_LINE: char = '\u{85}';

/// On the way through JSON, kustomize reads U+0085 as the line break of a folded string.
fn fold_next_lines(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(NEXT_LINE) {
        folded.push_str(rest[..at].trim_end_matches(' '));
        let after = rest[at..].trim_start_matches([' ', NEXT_LINE]);
        let run = &rest[at..rest.len() - after.len()];
        match run.matches(NEXT_LINE).count() {
            1 => folded.push(' '),
            more => folded.extend(std::iter::repeat_n('\n', more - 1)),
        }
        rest = after;
    }
    folded + rest
}

struct Walk {
    resolver: Resolver,
    duplicates: Duplicates,
}

impl Walk {
    fn node<'a>(&self, node: &'a Node, depth: usize) -> Result<View<'a>, Error> {
        if depth > limits::DEPTH {
            return Err(limits::too_deep(node.line()));
        }
        match node {
            Node::Scalar(scalar) => view_of(scalar, self.resolver),
            Node::Sequence(sequence) => {
                // Collecting results makes no room ahead.
                let mut items = Vec::with_capacity(sequence.items.len());
                for item in &sequence.items {
                    items.push(self.node(item, depth + 1)?);
                }
                Ok(View::List(items))
            }
            Node::Mapping(mapping) => self.mapping(mapping, depth),
        }
    }

    fn mapping<'a>(&self, mapping: &'a Mapping, depth: usize) -> Result<View<'a>, Error> {
        let mut map = Vec::with_capacity(mapping.len());
        for (key, value) in &mapping.entries {
            map.push((self.key(key, depth)?, self.node(value, depth + 1)?));
        }
        // Equal keys stay in their order.
        map.sort_by(|(a, _), (b, _)| a.cmp(b));
        if map.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Ok(View::Map(map));
        }
        match self.duplicates {
            Duplicates::Error => Err(self.duplicate(mapping, depth)),
            Duplicates::LastWins => {
                map.reverse();
                map.dedup_by(|(a, _), (b, _)| a == b);
                map.reverse();
                Ok(View::Map(map))
            }
        }
    }

    fn key<'a>(&self, key: &'a Scalar, depth: usize) -> Result<Cow<'a, str>, Error> {
        match self.resolver {
            Resolver::Kustomize => kustomize_key(key, depth == 0),
            Resolver::Kubectl => kubectl_key(key),
        }
    }

    /// The error at the first key that is there already.
    fn duplicate(&self, mapping: &Mapping, depth: usize) -> Error {
        let mut known = BTreeSet::new();
        let again = mapping.entries.iter().map(|(key, _)| key).find(|key| {
            let name = self.key(key, depth);
            name.is_ok_and(|name| !known.insert(name))
        });
        let (line, text) = again.map_or((0, ""), |key| (key.line, key.text.as_str()));
        let first = mapping.entry(text).map_or(0, |(first, _)| first.line);
        let message = format!("the key `{text}` is already set in line {first}");
        Error::new(line, message)
    }
}

/// A key as go-yaml v3 and Go's JSON make it: of any type but null at the top, where it is kept
/// as it is written, and a string everywhere else.
fn kustomize_key(key: &Scalar, top: bool) -> Result<Cow<'_, str>, Error> {
    let name = || text(&key.text, key.line, Resolver::Kustomize);
    if key.explicit_tag().is_none() && key.style != Style::Plain {
        return name();
    }
    // `? ` with nothing behind it is a string of no characters
    if key.text.is_empty() && key.explicit_tag().is_none() {
        return name();
    }
    let kind = match (key.explicit_tag(), meaning(&key.text, Rules::V1_2)) {
        (Some("!!binary"), _) if top => {
            return binary(key, Resolver::Kustomize).map(Cow::Owned);
        }
        (Some(tag @ ("!!binary" | "!!int" | "!!float" | "!!bool" | "!!timestamp")), _) => tag,
        (Some("!!null"), _) | (None, Meaning::Null) => "null",
        (Some(_), _) | (None, Meaning::Text) => return name(),
        (None, Meaning::Bool(_)) => "a boolean",
        (None, Meaning::Number(_) | Meaning::NotFinite) => "a number",
        (None, Meaning::Time(_)) => "a timestamp",
    };
    match (top, kind) {
        (true, kind) if kind != "null" => name(),
        _ => {
            let message = format!("the key `{}` is {kind}: only strings can be keys", key.text);
            Err(Error::new(key.line, message))
        }
    }
}

/// A key as sigs.k8s.io/yaml makes it: whatever it is, turned into text.
fn kubectl_key(key: &Scalar) -> Result<Cow<'_, str>, Error> {
    if key.explicit_tag().is_none() {
        let kind = if key.style == Style::Plain {
            meaning(&key.text, Rules::V1_1)
        } else {
            Meaning::Text
        };
        return Ok(match kind {
            Meaning::Text | Meaning::Time(_) => Cow::Borrowed(&key.text),
            Meaning::Bool(bool) => Cow::Borrowed(if bool { "true" } else { "false" }),
            Meaning::Number(Parsed::Int(int)) => Cow::Owned(int.to_string()),
            Meaning::Number(Parsed::Float(float)) => Cow::Owned(number::short(float)),
            Meaning::NotFinite => Cow::Owned(key.text.trim_start_matches('+').to_lowercase()),
            Meaning::Null | Meaning::Number(Parsed::Uint(_)) => {
                let message = format!("`{}` cannot be a key: quote it", key.text);
                return Err(Error::new(key.line, message));
            }
        });
    }
    match resolve_scalar(key, Resolver::Kubectl)? {
        Value::String(text) => Ok(Cow::Owned(text)),
        Value::Null => Err(Error::new(key.line, "null cannot be a key: quote it")),
        other => Ok(Cow::Owned(other.to_string())),
    }
}
