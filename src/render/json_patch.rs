//! JSON Patch (RFC 6902) with the liberties of the library that kustomize uses: `add` and `replace`
//! set a key whether it is there or not, negative indexes count from the end, and `test` takes a
//! missing key for null.

use serde_json::{Map, Value};

use super::meter::Size;

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Operation {
    kind: Kind,
    path: Option<String>,
    from: Option<String>,
    value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Add,
    Remove,
    Replace,
    Move,
    Test,
    Copy,
    Unknown,
}

/// What is wrong with a patch; it never quotes values, which may be secret.
type Outcome<T> = Result<T, String>;

/// Reads the operations of a patch.
///
/// # Errors
/// Where it is not a list of mappings.
pub(super) fn decode(patch: &Value) -> Outcome<Vec<Operation>> {
    let operations = match patch {
        Value::Null => return Ok(Vec::new()),
        Value::Array(operations) => operations,
        _ => return Err("a JSON patch is a list of operations".into()),
    };
    operations
        .iter()
        .map(|operation| match operation {
            Value::Object(fields) => Ok(decode_one(fields)),
            Value::Null => Ok(decode_one(&Map::new())),
            _ => Err("an operation of a JSON patch is a mapping with `op` and `path`".into()),
        })
        .collect()
}

fn decode_one(fields: &Map<String, Value>) -> Operation {
    let text = |key: &str| fields.get(key).and_then(Value::as_str).map(str::to_owned);
    let kind = match text("op").as_deref() {
        Some("add") => Kind::Add,
        Some("remove") => Kind::Remove,
        Some("replace") => Kind::Replace,
        Some("move") => Kind::Move,
        Some("test") => Kind::Test,
        Some("copy") => Kind::Copy,
        _ => Kind::Unknown,
    };
    let value = fields.get("value").cloned().unwrap_or(Value::Null);
    Operation {
        kind,
        path: text("path"),
        from: text("from"),
        value,
    }
}

impl Operation {
    /// What it consists of.
    pub fn size(&self) -> Size {
        let path = self.path.as_ref().map_or(0, String::len);
        let size = Size::of_value(&self.value);
        Size {
            nodes: size.nodes + 1,
            text: size.text + path,
            ..size
        }
    }

    /// What it is going to add to `document`, and how deep that will lie.
    pub fn adds(&self, document: &mut Value) -> Size {
        let size = match (self.kind, &self.from) {
            (Kind::Add | Kind::Replace, _) => Size::of_value(&self.value),
            (Kind::Copy | Kind::Move, Some(from)) => {
                find(document, from).map_or(Size::default(), Size::of_value)
            }
            _ => return Size::default(),
        };
        let levels = self
            .path
            .as_ref()
            .map_or(0, |path| path.matches('/').count());
        Size {
            depth: size.depth + levels,
            ..size
        }
    }
}

/// Applies one operation.
///
/// # Errors
/// Where it does not apply.
pub(super) fn apply(document: &mut Value, operation: &Operation) -> Outcome<()> {
    if operation.kind == Kind::Unknown {
        return Err("an operation has no `op` of add, remove, replace, move, copy or test".into());
    }
    let path = operation
        .path
        .as_deref()
        .ok_or("an operation has no `path`")?;
    match operation.kind {
        Kind::Add => add(document, path, operation.value.clone()),
        Kind::Remove => take(document, path, "remove").map(drop),
        Kind::Replace => replace(document, path, operation.value.clone()),
        Kind::Move => {
            let from = operation
                .from
                .as_deref()
                .ok_or("a `move` operation has no `from`")?;
            let value = take(document, from, "move")?;
            add(document, path, value)
        }
        Kind::Copy => {
            let from = operation
                .from
                .as_deref()
                .ok_or("a `copy` operation has no `from`")?;
            let value = get(document, from, "copy")?.unwrap_or(Value::Null);
            add(document, path, value)
        }
        Kind::Test => test(document, path, &operation.value),
        Kind::Unknown => unreachable!("refused above"),
    }
}

fn missing(what: &str, path: &str) -> String {
    format!("`{what}` does not apply: nothing at `{path}`")
}

/// The mapping or list that holds the last element of `path`, and that element.
fn container<'a>(document: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let mut parts = path.split('/').skip(1).map(unescape).peekable();
    parts.peek()?;
    let mut at = document;
    loop {
        let part = parts.next()?;
        if parts.peek().is_none() {
            return (at.is_object() || at.is_array()).then_some((at, part));
        }
        at = match at {
            Value::Object(map) => map.get_mut(&part)?,
            Value::Array(list) => {
                let index = index(&part, list.len())?;
                list.get_mut(index)?
            }
            _ => return None,
        };
    }
}

fn unescape(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

/// An index into a list of `len` elements; negative ones count from the end. May be too large.
fn index(part: &str, len: usize) -> Option<usize> {
    let index: isize = part.parse().ok()?;
    if index < 0 {
        len.checked_add_signed(index)
    } else {
        usize::try_from(index).ok()
    }
}

fn add(document: &mut Value, path: &str, value: Value) -> Outcome<()> {
    let (at, key) = container(document, path).ok_or_else(|| missing("add", path))?;
    match at {
        Value::Object(map) => {
            map.insert(key, value);
        }
        Value::Array(list) if key == "-" => list.push(value),
        Value::Array(list) => {
            let place = index(&key, list.len() + 1)
                .filter(|i| *i <= list.len())
                .ok_or_else(|| missing("add", path))?;
            list.insert(place, value);
        }
        _ => return Err(missing("add", path)),
    }
    Ok(())
}

fn take(document: &mut Value, path: &str, what: &str) -> Outcome<Value> {
    let (at, key) = container(document, path).ok_or_else(|| missing(what, path))?;
    let taken = match at {
        Value::Object(map) => map.remove(&key),
        Value::Array(list) => index(&key, list.len())
            .filter(|i| *i < list.len())
            .map(|i| list.remove(i)),
        _ => None,
    };
    taken.ok_or_else(|| missing(what, path))
}

/// What is at `path`, if anything is.
fn find<'a>(document: &'a mut Value, path: &str) -> Option<&'a Value> {
    let (at, key) = container(document, path)?;
    match &*at {
        Value::Object(map) => map.get(&key),
        Value::Array(list) => list.get(index(&key, list.len())?),
        _ => None,
    }
}

/// What is at `path`: nothing for a missing key of a mapping.
fn get(document: &mut Value, path: &str, what: &str) -> Outcome<Option<Value>> {
    let (at, key) = container(document, path).ok_or_else(|| missing(what, path))?;
    match at {
        Value::Object(map) => Ok(map.get(&key).cloned()),
        Value::Array(list) => index(&key, list.len())
            .and_then(|i| list.get(i).cloned())
            .map(Some)
            .ok_or_else(|| missing(what, path)),
        _ => Err(missing(what, path)),
    }
}

fn replace(document: &mut Value, path: &str, value: Value) -> Outcome<()> {
    if path.is_empty() {
        if !value.is_object() && !value.is_array() {
            return Err("`replace` of the whole object needs a mapping".into());
        }
        *document = value;
        return Ok(());
    }
    let (at, key) = container(document, path).ok_or_else(|| missing("replace", path))?;
    match at {
        Value::Object(map) => {
            map.insert(key, value);
            Ok(())
        }
        Value::Array(list) => {
            let place = index(&key, list.len()).and_then(|i| list.get_mut(i));
            *place.ok_or_else(|| missing("replace", path))? = value;
            Ok(())
        }
        _ => Err(missing("replace", path)),
    }
}

fn test(document: &mut Value, path: &str, wanted: &Value) -> Outcome<()> {
    let have = if path.is_empty() {
        Some(document.clone())
    } else {
        get(document, path, "test")?
    };
    if have.unwrap_or(Value::Null) == *wanted {
        Ok(())
    } else {
        Err(format!("`test` failed at `{path}`"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(document: Value, patch: Value) -> Outcome<Value> {
        let mut document = document;
        for operation in decode(&patch)? {
            apply(&mut document, &operation)?;
        }
        Ok(document)
    }

    #[test]
    fn replace_sets_a_missing_key_but_needs_its_parent() {
        let patch = json!([{"op": "replace", "path": "/a/b", "value": 1}]);
        assert_eq!(
            patched(json!({"a": {}}), patch.clone()),
            Ok(json!({"a": {"b": 1}}))
        );
        assert!(patched(json!({}), patch).is_err());
    }

    #[test]
    fn negative_indexes_count_from_the_end() {
        let list = json!({"l": [1, 2]});
        let add = json!([{"op": "add", "path": "/l/-1", "value": 3}]);
        assert_eq!(patched(list.clone(), add), Ok(json!({"l": [1, 2, 3]})));
        let remove = json!([{"op": "remove", "path": "/l/-1"}]);
        assert_eq!(patched(list, remove), Ok(json!({"l": [1]})));
    }

    #[test]
    fn test_takes_a_missing_key_for_null() {
        let patch = json!([{"op": "test", "path": "/a", "value": null}]);
        assert_eq!(patched(json!({}), patch), Ok(json!({})));
    }
}
