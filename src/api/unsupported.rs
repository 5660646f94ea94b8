//! Fields that Argo CD has and towline has not: declared, so that the API server shows them to the
//! rules that reject them by name, instead of dropping them in silence.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An object of any content, in a field that is rejected when it is set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnsupportedObject(Value);

impl JsonSchema for UnsupportedObject {
    fn schema_name() -> Cow<'static, str> {
        "UnsupportedObject".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
    }
}

/// A list of any content, in a field that is rejected when it is set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnsupportedList(Vec<Value>);

impl JsonSchema for UnsupportedList {
    fn schema_name() -> Cow<'static, str> {
        "UnsupportedList".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "array",
            "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        })
    }
}
