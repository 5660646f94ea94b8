//! What a tree means, for a moment: to be printed, or to become a JSON value.

use std::borrow::Cow;

use serde_json::{Number, Value};

/// A JSON value whose texts belong to the tree or value that it is of, as far as they stand there.
#[derive(Debug, Clone, PartialEq)]
pub enum View<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    Text(Cow<'a, str>),
    /// A list.
    List(Vec<View<'a>>),
    /// A mapping: each key once, in the order of their bytes.
    Map(Vec<(Cow<'a, str>, View<'a>)>),
}

impl View<'_> {
    /// As a value that stands on its own.
    pub fn into_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(bool) => Value::Bool(bool),
            Self::Number(number) => Value::Number(number),
            Self::Text(text) => Value::String(text.into_owned()),
            Self::List(items) => items.into_iter().map(View::into_value).collect(),
            Self::Map(entries) => entries
                .into_iter()
                .map(|(key, value)| (key.into_owned(), value.into_value()))
                .collect(),
        }
    }
}

impl<'a> From<&'a Value> for View<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(bool) => Self::Bool(*bool),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::Text(text.into()),
            Value::Array(items) => Self::List(items.iter().map(View::from).collect()),
            // The map of a value has that order too.
            Value::Object(map) => Self::Map(
                map.iter()
                    .map(|(key, value)| (key.into(), value.into()))
                    .collect(),
            ),
        }
    }
}
