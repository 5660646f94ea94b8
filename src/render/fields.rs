//! Reading and setting fields of a tree with the habits of kyaml, the library under kustomize: what
//! counts as empty, and when a scalar that is set keeps the look of the one it replaces.

use crate::yaml::{
    Mapping, Node, Resolver, Scalar, Sequence, Style, is_surely_text, resolve_scalar,
};
use serde_json::Value;

/// Null, `{}` or `[]`.
pub(super) fn is_empty(node: &Node) -> bool {
    match node {
        Node::Scalar(scalar) => scalar.is_null(),
        Node::Sequence(list) => list.items.is_empty(),
        Node::Mapping(mapping) => mapping.is_empty(),
    }
}

/// The text of a scalar, empty for null, lists and mappings.
pub(super) fn text(node: &Node) -> &str {
    node.as_str().unwrap_or_default()
}

/// What a node is, for messages: its value may be secret.
pub(super) fn type_name(node: &Node) -> &'static str {
    match node {
        Node::Scalar(scalar) if scalar.is_null() => "null",
        Node::Scalar(_) => "a scalar",
        Node::Sequence(_) => "a list",
        Node::Mapping(_) => "a mapping",
    }
}

/// The text of `metadata.FIELD`, empty where it is missing or null.
pub(super) fn metadata_text<'a>(object: &'a Mapping, field: &str) -> &'a str {
    object
        .get("metadata")
        .and_then(|m| m.get(field))
        .map_or("", text)
}

/// Sets a field of `metadata` to text without a type of its own.
pub(super) fn set_metadata_text(object: &mut Mapping, field: &str, value: &str) {
    let metadata = object.get_or_insert_with("metadata", || Mapping::new().into());
    if let Some(metadata) = metadata.as_mapping_mut() {
        set_untyped(metadata, field, value);
    }
}

/// Takes a field out of `metadata`.
pub(super) fn remove_metadata(object: &mut Mapping, field: &str) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Node::as_mapping_mut) {
        metadata.remove(field);
    }
}

/// Sets `key` to text without a type of its own: a new field is quoted where YAML 1.1 would take it
/// for something else, an existing one keeps its look, and with that its type.
pub(super) fn set_untyped(mapping: &mut Mapping, key: &str, value: &str) {
    match mapping.get_mut(key) {
        Some(old) => {
            let style = old.as_scalar().map_or(Style::Plain, |s| s.style);
            *old = Node::Scalar(Scalar {
                text: value.into(),
                style,
                line: old.line(),
                shared: shared(old),
            });
        }
        None => mapping.push(Scalar::plain(key), plain_if_text(value)),
    }
}

/// Sets `key` to a string. As with kustomize a new key has no type of its own: a label `true` is
/// then no string, and cannot be printed.
pub(super) fn set_string(mapping: &mut Mapping, key: &str, value: &str) {
    match mapping.get_mut(key) {
        Some(old) => *old = string_like(value, old),
        None => mapping.push(Scalar::plain(key), plain_if_text(value)),
    }
}

/// A string in the place of `old`.
fn string_like(value: &str, old: &Node) -> Node {
    let mut scalar = plain_if_text(value);
    scalar.line = old.line();
    scalar.shared = shared(old);
    Node::Scalar(scalar)
}

fn shared(node: &Node) -> u16 {
    node.as_scalar().map_or(0, |scalar| scalar.shared)
}

/// Replaces the text of a scalar that is found in place, without a type of its own.
pub(super) fn replace_untyped(node: &mut Node, value: &str) {
    let style = node.as_scalar().map_or(Style::Plain, |s| s.style);
    *node = Node::Scalar(Scalar {
        text: value.into(),
        style,
        line: node.line(),
        shared: shared(node),
    });
}

/// Replaces a scalar by a string.
pub(super) fn replace_string(node: &mut Node, value: &str) {
    *node = string_like(value, node);
}

/// A string that is quoted only where it must be.
pub(super) fn plain_if_text(value: &str) -> Scalar {
    if value.contains('\n') {
        return Scalar {
            style: Style::Literal,
            ..Scalar::plain(value)
        };
    }
    if needs_quotes(value) {
        Scalar::string(value)
    } else {
        Scalar::plain(value)
    }
}

/// Whether unquoted text would be taken for something else than a string by YAML 1.1 or 1.2.
pub(super) fn needs_quotes(value: &str) -> bool {
    if is_surely_text(value) {
        return false;
    }
    let plain = Scalar::plain(value);
    let same = |resolver| matches!(resolve_scalar(&plain, resolver), Ok(Value::String(text)) if text == value);
    !same(Resolver::Kustomize) || !same(Resolver::Kubectl)
}

/// The short tag of what a scalar means to kustomize.
pub(super) fn tag(scalar: &Scalar) -> &'static str {
    match resolve_scalar(scalar, Resolver::Kustomize) {
        Ok(Value::Null) => "!!null",
        Ok(Value::Bool(_)) => "!!bool",
        Ok(Value::Number(number)) if number.is_f64() && !scalar.text.bytes().all(is_digit) => {
            "!!float"
        }
        Ok(Value::Number(_)) => "!!int",
        _ => "!!str",
    }
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'-' || byte == b'_'
}

/// Whether a scalar is a string to kustomize.
pub(super) fn is_string(scalar: &Scalar) -> bool {
    tag(scalar) == "!!str"
}

/// A tree from JSON that went through kustomize's own printer: strings are quoted only where they
/// must be, unlike in [`Node::from_value`].
pub(super) fn from_json(value: &Value) -> Node {
    match value {
        Value::String(text) => plain_if_text(text).into(),
        Value::Array(items) => Sequence::new(items.iter().map(from_json).collect()).into(),
        Value::Object(map) => {
            let entries = map.iter().map(|(k, v)| (plain_if_text(k), from_json(v)));
            entries.collect::<Mapping>().into()
        }
        other => Node::from_value(other),
    }
}
