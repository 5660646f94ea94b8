//! Paths into an object, as the API server spells them in `fieldsV1` and as people read them.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use super::shown::escaped;

/// One step from a value to a value inside it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A field of a map.
    Field(String),
    /// The element of a list whose fields have these values: name to the JSON text of a scalar.
    /// A key with more than one name is one that the list declares so (`containerPort`,
    /// `protocol`).
    Key(BTreeMap<String, String>),
    /// The member of a set with this JSON text.
    Value(String),
    /// The element at this index.
    Index(usize),
}

impl Step {
    /// A step to a field.
    pub fn field(name: impl Into<String>) -> Self {
        Self::Field(name.into())
    }

    /// A step to the list element with `name: value` of text, the commonest key.
    pub fn key(name: &str, value: &str) -> Self {
        Self::Key(BTreeMap::from([(
            name.into(),
            Value::from(value).to_string(),
        )]))
    }

    /// From its spelling in `fieldsV1`; `None` for `.` and for forms that are not known.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (form, rest) = text.split_once(':')?;
        match form {
            "f" => Some(Self::Field(rest.into())),
            "v" => serde_json::from_str::<Value>(rest)
                .ok()
                .map(|v| Self::Value(v.to_string())),
            "i" => rest.parse().ok().map(Self::Index),
            "k" => {
                let key: Map<String, Value> = serde_json::from_str(rest).ok()?;
                Some(Self::Key(
                    key.into_iter().map(|(k, v)| (k, v.to_string())).collect(),
                ))
            }
            _ => None,
        }
    }

    /// Its spelling in `fieldsV1`.
    pub(super) fn spelled(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Value(text) => format!("v:{text}"),
            Self::Index(index) => format!("i:{index}"),
            Self::Key(key) => {
                let parts: Vec<_> = key
                    .iter()
                    .map(|(k, v)| format!("{}:{v}", Value::from(k.as_str())))
                    .collect();
                format!("k:{{{}}}", parts.join(","))
            }
        }
    }
}

/// A path from the root of an object to a value in it.
///
/// Displays as people write it: `spec.template.spec.containers[name="web"].image`. Control
/// characters are escaped, since the keys come from a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// The path through fields only: `Path::of(&["spec", "replicas"])`.
    pub fn of(fields: &[&str]) -> Self {
        Self(fields.iter().copied().map(Step::field).collect())
    }

    /// True when the path begins with these fields.
    pub fn is_under(&self, fields: &[&str]) -> bool {
        self.0.len() >= fields.len()
            && self
                .0
                .iter()
                .zip(fields)
                .all(|(step, name)| matches!(step, Step::Field(own) if own == name))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if is_plain(name) => {
                    write!(f, "{}{name}", if i == 0 { "" } else { "." })?;
                }
                Step::Field(name) => write!(f, "[\"{}\"]", name.escape_debug())?,
                Step::Value(text) => write!(f, "[={}]", escaped(text))?,
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    f.write_str("[")?;
                    for (n, (name, text)) in key.iter().enumerate() {
                        let comma = if n == 0 { "" } else { "," };
                        write!(f, "{comma}{}={}", escaped(name), escaped(text))?;
                    }
                    f.write_str("]")?;
                }
            }
        }
        Ok(())
    }
}

/// A field name that needs no quotes in a path.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_$".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_format_characters_are_escaped() {
        let hostile = Path(vec![
            Step::field("a\u{1b}[31m"),
            Step::key("name", "x\u{202e}y"),
        ]);
        assert_eq!(
            hostile.to_string(),
            "[\"a\\u{1b}[31m\"][name=\"x\\u{202e}y\"]"
        );
    }

    #[test]
    fn under_compares_fields_only() {
        let path = Path(vec![
            Step::field("spec"),
            Step::key("name", "a"),
            Step::field("x"),
        ]);
        assert!(path.is_under(&["spec"]) && path.is_under(&[]));
        assert!(!path.is_under(&["spec", "name"]) && !Path::default().is_under(&["spec"]));
    }
}
