//! The hash in the name of a generated object: ten characters of the sha256 of its content.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::super::error::{Error, Reason, Result};
use super::super::resource::Resource;
use super::super::resources::Resources;
use super::super::{Generated, fields, go_json};
use crate::yaml::{Duplicates, Mapping, Node, Resolver, resolve};

/// Appends the hash to every name that wants one.
///
/// # Errors
/// On content that cannot be written as JSON.
pub(in super::super) fn add_hashes(resources: &mut Resources) -> Result<()> {
    resources.try_each(true, || add_hash)
}

fn add_hash(resource: &mut Resource) -> Result<()> {
    if resource.generated.is_none() && !resource.trail.needs_hash {
        return Ok(());
    }
    let name = resource.name().to_owned();
    if resource.trail.needs_hash {
        let hash = hash(resource)?;
        resource.remember_id();
        resource.set_name(&format!("{name}-{hash}"));
    }
    resource.generated = Some(Generated { base_name: name });
    Ok(())
}

fn hash(resource: &Resource) -> Result<String> {
    let object = &resource.object;
    let content = match resource.kind() {
        "ConfigMap" => content(object, "ConfigMap", &[], "binaryData"),
        "Secret" => content(object, "Secret", &["type"], "stringData"),
        _ => resolve(
            &Node::Mapping(object.clone()),
            Resolver::Kustomize,
            Duplicates::Error,
        ),
    };
    let content =
        content.map_err(|e| Error::new(Reason::RenderFailed, e.message).about(resource.id()))?;
    Ok(encode(&go_json::compact(&content)))
}

/// What is hashed of a ConfigMap or Secret. The name is always empty: kustomize looks it up under a
/// key that does not exist, and the hashes of the world depend on that.
fn content(
    object: &Mapping,
    kind: &str,
    texts: &[&str],
    second_map: &str,
) -> std::result::Result<Value, crate::yaml::Error> {
    let mut content = Map::new();
    content.insert("kind".into(), json!(kind));
    content.insert("name".into(), json!(""));
    for field in texts.iter().copied().chain(["data"]) {
        content.insert(field.to_owned(), field_value(object, field)?);
    }
    let second = field_value(object, second_map)?;
    if second.is_object() {
        content.insert(second_map.to_owned(), second);
    }
    Ok(Value::Object(content))
}

/// A mapping as JSON, a scalar as its text, and the empty text where nothing is.
fn field_value(object: &Mapping, field: &str) -> std::result::Result<Value, crate::yaml::Error> {
    match object.get(field) {
        None => Ok(json!("")),
        Some(Node::Scalar(scalar)) if scalar.is_null() => Ok(json!(scalar.text.as_str())),
        Some(Node::Scalar(_)) => Ok(json!(object.get(field).map_or("", fields::text))),
        Some(node) => {
            let mut value = resolve(node, Resolver::Kustomize, Duplicates::Error)?;
            go_json::as_floats(&mut value);
            Ok(value)
        }
    }
}

/// The first ten hex digits, with those replaced that could make a word.
fn encode(content: &str) -> String {
    let digest = Sha256::digest(content.as_bytes());
    let hex = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    hex.take(10)
        .map(|digit| match digit {
            0 => 'g',
            1 => 'h',
            3 => 'k',
            10 => 'm',
            14 => 't',
            digit => char::from_digit(digit.into(), 16).expect("four bits are a hex digit"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(value: Value) -> Mapping {
        match Node::from_value(&value) {
            Node::Mapping(mapping) => mapping,
            _ => unreachable!("the tests give mappings"),
        }
    }

    fn hash_of(object: Value) -> String {
        let source = super::super::super::Source {
            path: String::new(),
            line: None,
        };
        hash(&Resource::new(mapping(object), source)).expect("plain content")
    }

    #[test]
    fn known_hashes_stay_the_same() {
        assert_eq!(
            hash_of(json!({"kind": "ConfigMap", "data": {"x": "1"}})),
            "hmg6f82fh6"
        );
        assert_eq!(hash_of(json!({"kind": "ConfigMap"})), "6ct58987ht");
        let secret = json!({"kind": "Secret", "type": "Opaque", "data": {"x": "MQ=="}});
        assert_eq!(hash_of(secret), "bf2648c599");
        let empty = json!({"kind": "Secret", "type": "Opaque", "data": {}});
        assert_eq!(hash_of(empty), "46f8b28mk5");
    }
}
