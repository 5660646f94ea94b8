//! An object at rest, as text.

use super::Object;

/// An object as JSON text. A tree of values takes five times as much memory as its text, and what is
/// kept for every managed object is read when that object is written, and hardly ever otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest(Box<str>);

impl Default for Manifest {
    /// The text of an object with nothing in it.
    fn default() -> Self {
        Self("{}".into())
    }
}

impl Manifest {
    /// The text of an object.
    pub fn of(object: &Object) -> Self {
        Self(object.0.to_string().into_boxed_str())
    }

    /// The object. Numbers are what they were, to the last bit.
    pub fn object(&self) -> Object {
        Object(serde_json::from_str(&self.0).expect("it was written from a value"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_comes_back_as_it_was() {
        let floats = [
            0.1,
            1e-7,
            1.797_693_134_862_315_7e308,
            45.123_456_789_012_345,
            5e-324,
        ];
        let object = Object(
            json!({"apiVersion": "v1", "kind": "Thing", "floats": floats,
            "integers": [0, -1, i64::MIN, u64::MAX], "text": "a\u{0}\u{1f600}\"\\\n", "null": null}),
        );
        assert_eq!(Manifest::of(&object).object(), object);
    }
}
