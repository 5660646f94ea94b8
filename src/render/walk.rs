//! Walking to the fields that a [`FieldSpec`] names, and making those that it asks for.

use super::error::{Error, Reason, Result};
use super::fields::type_name;
use super::fieldspec::FieldSpec;
use super::limits::MAX_PATH_ELEMENTS;
use crate::yaml::{Mapping, Node, Scalar, Sequence};

/// What a field becomes that is missing and asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Make {
    /// Nothing is made, whatever the spec says.
    Nothing,
    /// An empty text, which is set next.
    Scalar,
    /// An empty mapping, in which an entry is set next.
    Mapping,
}

impl Make {
    fn node(self) -> Option<Node> {
        match self {
            Self::Nothing => None,
            Self::Scalar => Some(Node::string("")),
            Self::Mapping => Some(Mapping::new().into()),
        }
    }
}

/// Sets one found field.
pub(super) type Setter<'a> = &'a mut dyn FnMut(&mut Node) -> Result<()>;

/// Calls `set` for every field of `object` that one of the specs names. They are for its kind.
///
/// # Errors
/// Where a path runs into a scalar, and whatever `set` returns.
pub(super) fn visit_all(
    object: &mut Mapping,
    specs: &[&FieldSpec],
    make: Make,
    set: Setter<'_>,
) -> Result<()> {
    specs
        .iter()
        .try_for_each(|spec| visit(object, spec, make, set))
}

/// Calls `set` for every field of `object` that `spec` names. It is for its kind.
///
/// # Errors
/// As [`visit_all`].
pub(super) fn visit(
    object: &mut Mapping,
    spec: &FieldSpec,
    make: Make,
    set: Setter<'_>,
) -> Result<()> {
    let make = if spec.create { make } else { Make::Nothing };
    if spec.segments.len() > MAX_PATH_ELEMENTS {
        return Err(Error::new(
            Reason::LimitExceeded,
            format!("a field path has more than {MAX_PATH_ELEMENTS} elements"),
        ));
    }
    // the first segment is always the name of a field of the object
    into_mapping(object, &spec.segments, make, set)
        .map_err(|e| e.hint(format!("while looking for the field `{}`", spec.path)))
}

fn walk(node: &mut Node, path: &[String], make: Make, set: Setter<'_>) -> Result<()> {
    if path.is_empty() {
        return set(node);
    }
    match node {
        Node::Scalar(scalar) if scalar.is_null() => Ok(()),
        Node::Scalar(_) => Err(Error::failed(format!(
            "cannot look for `{}` inside of a scalar",
            path.join("/")
        ))),
        Node::Sequence(list) => list
            .items
            .iter_mut()
            .try_for_each(|item| walk(item, path, make, set)),
        Node::Mapping(mapping) => into_mapping(mapping, path, make, set),
    }
}

/// Whether kustomize takes a name for the place of a list element: it looks into lists on its own, and
/// then finds none.
fn is_list_step(name: &str) -> bool {
    let starts = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '*' | '[');
    if !name.starts_with(starts) {
        return false;
    }
    let is_query = name.starts_with('[') && name.ends_with(']');
    is_query || matches!(name, "-" | "*") || name.parse::<i64>().is_ok()
}

fn into_mapping(mapping: &mut Mapping, path: &[String], make: Make, set: Setter<'_>) -> Result<()> {
    let (segment, rest) = path.split_first().expect("a path has at least one segment");
    let name = segment.strip_suffix("[]").unwrap_or(segment);
    let demands_list = name.len() != segment.len();
    if name.is_empty() {
        return Err(Error::failed("a field path has an empty name"));
    }
    if is_list_step(name) {
        return Err(Error::failed(format!(
            "`{name}` looks for a list in a mapping"
        )));
    }
    let made = match (make, demands_list) {
        (Make::Nothing, _) => None,
        (_, true) => None,
        (make, false) if rest.is_empty() => make.node(),
        (_, false) => Some(Mapping::new().into()),
    };
    let field = match made {
        Some(made) => {
            let field = mapping.get_or_insert_with(name, || made.clone());
            if field.is_null() {
                *field = made;
            }
            field
        }
        None => match mapping.get_mut(name) {
            None => return Ok(()),
            Some(field) => {
                if demands_list && field.is_null() {
                    *field = Sequence::default().into();
                }
                field
            }
        },
    };
    walk(field, rest, make, set)
}

/// Sets an entry of a mapping to a string. A new one shares its value with those of the same number;
/// one that was shared with other fields before is told to `changed`.
///
/// # Errors
/// Where the node is no mapping.
pub(super) fn set_entry(
    node: &mut Node,
    key: &str,
    value: &str,
    share: u16,
    changed: &mut Vec<Scalar>,
) -> Result<()> {
    match node {
        Node::Mapping(mapping) => {
            let is_new = !mapping.contains(key);
            super::fields::set_string(mapping, key, value);
            match mapping.get_mut(key).and_then(Node::as_scalar_mut) {
                Some(scalar) if is_new => scalar.shared = share,
                Some(scalar) if scalar.shared != 0 => changed.push(scalar.clone()),
                _ => {}
            }
            Ok(())
        }
        Node::Scalar(scalar) if scalar.is_null() => Ok(()),
        other => Err(Error::failed(format!(
            "cannot set `{key}`: expected a mapping, found {}",
            type_name(other)
        ))),
    }
}
