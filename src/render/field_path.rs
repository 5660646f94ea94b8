//! Field paths of replacements and vars: `spec.containers.[name=web].image`.
//!
//! `\.` is a dot in a name, and so are those inside of brackets: `annotations.[a.b/c]`.

use super::error::{Error, Reason, Result};
use super::fields::{plain_if_text, type_name};
use super::fieldspec::split_path;
use super::limits::MAX_PATH_ELEMENTS;
use super::select::{compile, is_match};
use crate::yaml::{Items, Mapping, Node, Scalar, Sequence, Style};

/// Splits a path at its dots.
///
/// # Errors
/// On a path with too many elements.
pub(super) fn split(path: &str) -> Result<Vec<String>> {
    let mut result = Vec::new();
    let mut parts = split_path(path, '.').into_iter();
    while let Some(part) = parts.next() {
        if !part.starts_with('[') || part.ends_with(']') {
            result.push(part);
            continue;
        }
        let mut bracketed = vec![part];
        for part in parts.by_ref() {
            let ends = part.ends_with(']');
            bracketed.push(part);
            if ends {
                break;
            }
        }
        let whole = bracketed.join(".");
        let is_query = whole.contains('=');
        result.push(if is_query {
            whole
        } else {
            whole.trim_matches(['[', ']']).to_owned()
        });
    }
    if result.len() > MAX_PATH_ELEMENTS {
        return Err(Error::new(
            Reason::LimitExceeded,
            format!("a field path has more than {MAX_PATH_ELEMENTS} elements"),
        ));
    }
    Ok(result)
}

/// One element of a path.
enum Element<'a> {
    Index(usize),
    Last,
    Every,
    /// List elements whose field (or, without a name, whose own text) matches.
    Query(&'a str, &'a str),
    Field(&'a str),
}

impl<'a> Element<'a> {
    fn new(text: &'a str) -> Result<Self> {
        if let Ok(index) = text.parse::<i64>() {
            let index = usize::try_from(index);
            return index.map(Self::Index).map_err(|_| {
                Error::failed(format!("the index `{text}` of a field path is negative"))
            });
        }
        let inner = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        match (text, inner) {
            ("-", _) => Ok(Self::Last),
            ("*", _) => Ok(Self::Every),
            (_, Some(query)) => query
                .split_once('=')
                .map(|(field, value)| Self::Query(field, value))
                .ok_or_else(|| {
                    Error::failed(format!("`{text}` is no query: write `[field=value]`"))
                }),
            _ => Ok(Self::Field(text)),
        }
    }
}

/// The node at a path; none where it is missing.
///
/// # Errors
/// Where the path does not fit the kind of a node on the way.
pub(super) fn lookup<'a>(object: &'a Mapping, path: &[String]) -> Result<Option<&'a Node>> {
    let mut parts = path
        .iter()
        .map(|part| part.trim())
        .filter(|part| !part.is_empty());
    let Some(first) = parts.next() else {
        return Ok(None);
    };
    let mut at = match Element::new(first)? {
        Element::Field(name) => object.get(name),
        _ => {
            return Err(Error::failed(format!(
                "`{first}` looks for a list in a mapping"
            )));
        }
    };
    for part in parts {
        let Some(node) = at else { return Ok(None) };
        at = step(node, part)?;
    }
    Ok(at)
}

fn step<'a>(node: &'a Node, part: &str) -> Result<Option<&'a Node>> {
    let element = Element::new(part)?;
    match (element, node) {
        (_, node) if node.is_null() => Ok(None),
        (Element::Every, _) => Err(Error::failed("`*` is not possible in a source path")),
        (Element::Field(name), Node::Mapping(mapping)) => Ok(mapping.get(name)),
        (Element::Index(index), Node::Sequence(list)) => Ok(list.items.get(index)),
        (Element::Last, Node::Sequence(list)) => Ok(list.items.last()),
        (Element::Query("", value), Node::Sequence(list)) => {
            Ok(list.items.iter().find(|item| raw(item) == value))
        }
        (Element::Query(field, value), Node::Sequence(list)) => {
            let same = |item: &&Node| item.get(field).is_some_and(|f| raw(f) == value);
            Ok(list.items.iter().find(same))
        }
        (_, node) => Err(Error::failed(format!(
            "`{part}` does not fit: there is {}",
            type_name(node)
        ))),
    }
}

fn raw(node: &Node) -> &str {
    node.as_scalar().map_or("", |s| s.text.as_str())
}

/// The node that a var means; `ports[0].port` is another way to write an index there.
pub(super) fn lookup_var<'a>(object: &'a Mapping, path: &str) -> Option<&'a Node> {
    let mut parts = Vec::new();
    for part in split(path).ok()? {
        let index = part
            .strip_suffix(']')
            .and_then(|rest| rest.rsplit_once('['));
        match index {
            Some((name, index))
                if !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()) =>
            {
                if !name.is_empty() {
                    parts.push(name.to_owned());
                }
                parts.push(index.to_owned());
            }
            _ => parts.push(part),
        }
    }
    lookup(object, &parts).ok().flatten()
}

/// What a missing last field is made as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Create {
    Scalar,
    Sequence,
    Mapping,
}

impl Create {
    /// As the value that is going to be put there.
    pub fn like(node: &Node) -> Self {
        match node {
            Node::Scalar(_) => Self::Scalar,
            Node::Sequence(_) => Self::Sequence,
            Node::Mapping(_) => Self::Mapping,
        }
    }

    fn node(self) -> Node {
        match self {
            Self::Scalar => Node::plain(""),
            Self::Sequence => Sequence::default().into(),
            Self::Mapping => Mapping::new().into(),
        }
    }

    /// What a field is made as in front of `next`.
    fn before(self, next: Option<&String>) -> Node {
        let is_list = |part: &String| {
            part.parse::<usize>().is_ok() || (part.starts_with('[') && part.ends_with(']'))
        };
        match next {
            None => self.node(),
            Some(next) if next.is_empty() => self.node(),
            Some(next) if is_list(next) => Sequence::default().into(),
            Some(_) => Mapping::new().into(),
        }
    }
}

/// Calls `set` for every node at a path, making what is missing where asked to. Returns how many
/// there were.
///
/// # Errors
/// Where the path does not fit, and whatever `set` returns.
pub(super) fn visit(
    node: &mut Node,
    path: &[String],
    create: Option<Create>,
    set: &mut dyn FnMut(&mut Node) -> Result<()>,
) -> Result<usize> {
    let Some((part, rest)) = path.split_first() else {
        return set(node).map(|()| 1);
    };
    let element = match part.parse::<i64>() {
        // a negative number is the name of a field here
        Ok(number) if number < 0 => Element::Field(part),
        _ if part == "-" => Element::Field(part),
        _ => Element::new(part)?,
    };
    match element {
        Element::Index(index) => at_index(node, index, rest, create, set),
        Element::Every => {
            let items = list(node, part)?;
            let mut count = 0;
            for item in items {
                count += visit(item, rest, create, set)?;
            }
            Ok(count)
        }
        Element::Query(field, value) => query(node, (part, field, value), rest, create, set),
        Element::Field(name) => field(node, name, rest, create, set),
        Element::Last => unreachable!("a dash is a field here"),
    }
}

/// The elements of a list; none where there is null.
fn list<'a>(node: &'a mut Node, part: &str) -> Result<&'a mut Items> {
    if node.is_null() {
        *node = Sequence::default().into();
    }
    match node {
        Node::Sequence(list) => Ok(&mut list.items),
        other => Err(Error::failed(format!(
            "`{part}` looks for a list in {}",
            type_name(other)
        ))),
    }
}

fn at_index(
    node: &mut Node,
    index: usize,
    rest: &[String],
    create: Option<Create>,
    set: &mut dyn FnMut(&mut Node) -> Result<()>,
) -> Result<usize> {
    let items = list(node, &index.to_string())?;
    if items.len() == index
        && let Some(create) = create
    {
        items.push(create.before(rest.first()));
    }
    let len = items.len();
    match items.get_mut(index) {
        Some(item) => visit(item, rest, create, set),
        None => Err(Error::failed(format!(
            "there is no element {index} in a list of {len}"
        ))),
    }
}

fn query(
    node: &mut Node,
    (part, field, value): (&str, &str, &str),
    rest: &[String],
    create: Option<Create>,
    set: &mut dyn FnMut(&mut Node) -> Result<()>,
) -> Result<usize> {
    let pattern = compile(value, value)?;
    let items = list(node, part)?;
    let mut count = 0;
    for item in items.iter_mut() {
        if field.is_empty() {
            if is_match(&pattern, &printed(item)) {
                // kustomize takes the element itself, whatever follows in the path
                count += visit(item, &[], create, set)?;
            }
        } else if item
            .get(field)
            .is_some_and(|f| is_match(&pattern, &printed(f)))
        {
            count += visit(item, rest, create, set)?;
        }
    }
    if count > 0 || create.is_none() {
        return Ok(count);
    }
    let mut made = Node::plain(value);
    if !field.is_empty() {
        let mut mapping = Mapping::new();
        mapping.entries.push((plain_if_text(field), made));
        made = mapping.into();
    }
    items.push(made);
    let last = items.last_mut().expect("one was just pushed");
    visit(last, if field.is_empty() { &[] } else { rest }, create, set)
}

/// A scalar as kustomize prints it before matching: with its quotes.
fn printed(node: &Node) -> String {
    match node {
        Node::Scalar(Scalar {
            text,
            style: Style::DoubleQuoted,
            ..
        }) => format!("\"{text}\""),
        Node::Scalar(Scalar {
            text,
            style: Style::SingleQuoted,
            ..
        }) => format!("'{text}'"),
        Node::Scalar(scalar) => scalar.text.trim().to_owned(),
        Node::Sequence(_) | Node::Mapping(_) => String::new(),
    }
}

fn field(
    node: &mut Node,
    name: &str,
    rest: &[String],
    create: Option<Create>,
    set: &mut dyn FnMut(&mut Node) -> Result<()>,
) -> Result<usize> {
    if node.is_null() {
        return Ok(0);
    }
    let Node::Mapping(mapping) = node else {
        return Err(Error::failed(format!(
            "`{name}` looks for a field in {}",
            type_name(node)
        )));
    };
    if !mapping.contains(name) {
        let Some(create) = create else { return Ok(0) };
        mapping
            .entries
            .push((plain_if_text(name), create.before(rest.first())));
    }
    let field = mapping
        .get_mut(name)
        .expect("made just above where it was missing");
    if matches!(field, Node::Scalar(scalar) if !scalar.is_null()) && !rest.is_empty() {
        return Err(Error::failed(format!(
            "`{}` goes on below a scalar",
            rest.join(".")
        )));
    }
    visit(field, rest, create, set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_keep_dots_together() {
        let parts = |path| split(path).expect("short");
        assert_eq!(parts("a.[b.c/d].e"), ["a", "b.c/d", "e"]);
        assert_eq!(parts("a.[name=b.c].e"), ["a", "[name=b.c]", "e"]);
        assert_eq!(parts(r"a.b\.c"), ["a", "b.c"]);
    }
}
