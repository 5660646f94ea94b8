//! A YAML document as a tree that keeps the text and the style of every scalar, so that what it
//! means can be decided later, by one [`Resolver`](super::Resolver) or the other.

mod debug;

use serde_json::Value;
use thin_vec::ThinVec;

use super::Text;

/// One node of a document. Aliases and merge keys are already expanded.
#[derive(Clone, PartialEq)]
pub enum Node {
    /// Text, whose type is decided by a resolver.
    Scalar(Scalar),
    /// A list.
    Sequence(Sequence),
    /// A mapping, in the order of its text.
    Mapping(Mapping),
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// Without quotes: the only style in which text can be anything but a string.
    #[default]
    Plain,
    /// `'…'`
    SingleQuoted,
    /// `"…"`
    DoubleQuoted,
    /// `|`
    Literal,
    /// `>`
    Folded,
}

/// A scalar as it was written.
#[derive(Default)]
pub struct Scalar {
    /// The text, without quotes, escapes decoded. A [tag](Self::tag) goes with it.
    pub text: Text,
    /// How it was written.
    pub style: Style,
    /// Where it starts, from 1; 0 for one that was not read from a file.
    pub line: u32,
    /// The number that it has in common with fields of its object that change with it; 0 for one
    /// that stands alone, as nearly all do.
    pub shared: u16,
}

/// The elements of a list. Its length is with them, not in the list: a tree has few lists and many
/// scalars, and a node takes the room of the largest.
pub type Items = ThinVec<Node>;

/// Keys and values of a mapping.
pub type Entries = ThinVec<(Scalar, Node)>;

/// A list.
#[derive(Clone, PartialEq, Default)]
pub struct Sequence {
    /// The elements.
    pub items: Items,
    /// Whether it was written as `[…]`.
    pub flow: bool,
    /// Where it starts, from 1; 0 for one that was not read from a file.
    pub line: u32,
}

/// A mapping that keeps its order. Keys are scalars: Kubernetes has no others.
#[derive(Clone, PartialEq, Default)]
pub struct Mapping {
    /// Keys and values. Duplicate keys are kept until [`resolve`](super::resolve) judges them.
    pub entries: Entries,
    /// Whether it was written as `{…}`.
    pub flow: bool,
    /// Where it starts, from 1; 0 for one that was not read from a file.
    pub line: u32,
}

impl Scalar {
    /// Text that is a string whatever it looks like.
    pub fn string(text: impl Into<Text>) -> Self {
        Self {
            text: text.into(),
            style: Style::DoubleQuoted,
            ..Self::default()
        }
    }

    /// Text that means what it looks like: `5` is a number.
    pub fn plain(text: impl Into<Text>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// An explicit tag, in its short form: `!!str`, `!!binary`, `!custom`. Of a key, instead, the
    /// comment beside it where that is JSON: see [`comment`](Self::comment).
    pub fn tag(&self) -> Option<&str> {
        self.text.mark()
    }

    /// Sets the tag, or takes it away.
    pub fn set_tag(&mut self, tag: Option<&str>) {
        if self.tag() != tag {
            self.text = std::mem::take(&mut self.text).marked(tag);
        }
    }

    /// Sets the text and leaves the tag.
    pub fn set_text(&mut self, text: &str) {
        self.text = Text::from(text).marked(self.tag());
    }

    /// The explicit tag.
    pub fn explicit_tag(&self) -> Option<&str> {
        self.tag().filter(|tag| !tag.starts_with('#'))
    }

    /// The comment beside a key, without its `#`, where it is a JSON object: kustomize reads the
    /// schema of the key's value from it. It takes the room of a tag, which hardly any key has.
    pub fn comment(&self) -> Option<&str> {
        self.tag()?.strip_prefix('#')
    }

    /// True for `null`, `~` and nothing at all, unquoted.
    pub fn is_null(&self) -> bool {
        match self.explicit_tag() {
            None => {
                self.style == Style::Plain
                    && matches!(
                        self.text.as_bytes(),
                        b"" | b"~" | b"null" | b"Null" | b"NULL"
                    )
            }
            Some(tag) => tag == "!!null",
        }
    }
}

impl Clone for Scalar {
    fn clone(&self) -> Self {
        Self {
            text: self.text.clone().marked(self.tag()),
            ..*self
        }
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        let rest = |one: &Self| (one.style, one.line, one.shared);
        self.text == other.text && self.tag() == other.tag() && rest(self) == rest(other)
    }
}

impl Sequence {
    /// A list of `items` that was not read from a file.
    pub fn new(items: Items) -> Self {
        Self {
            items,
            ..Self::default()
        }
    }
}

impl Mapping {
    /// An empty mapping that was not read from a file.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of `key`; the first one where the key is there twice.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries
            .iter()
            .find(|(k, _)| k.text == *key)
            .map(|(_, v)| v)
    }

    /// The value of `key`, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries
            .iter_mut()
            .find(|(k, _)| k.text == *key)
            .map(|(_, v)| v)
    }

    /// The key and its value: the key knows its line.
    pub fn entry(&self, key: &str) -> Option<&(Scalar, Node)> {
        self.entries.iter().find(|(k, _)| k.text == *key)
    }

    /// True if there is such a key.
    pub fn contains(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Sets `key`: in its place where it exists, at the end where not. Returns the old value.
    pub fn set(&mut self, key: &str, value: impl Into<Node>) -> Option<Node> {
        let value = value.into();
        if let Some(old) = self.get_mut(key) {
            return Some(std::mem::replace(old, value));
        }
        self.push(key_scalar(key), value);
        None
    }

    /// Adds an entry at the end; whether the key is there already is not looked at.
    pub fn push(&mut self, key: Scalar, value: impl Into<Node>) {
        // A mapping grows by one or two entries, if at all: the usual growth of a list would make
        // large builds larger by half.
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact(1 + self.entries.len() / 4);
        }
        self.entries.push((key, value.into()));
    }

    /// The value of `key`, made with `make` at the end of the mapping where it is missing.
    pub fn get_or_insert_with(&mut self, key: &str, make: impl FnOnce() -> Node) -> &mut Node {
        let found = self.entries.iter().position(|(k, _)| k.text == *key);
        let index = found.unwrap_or_else(|| {
            self.push(key_scalar(key), make());
            self.entries.len() - 1
        });
        &mut self.entries[index].1
    }

    /// Takes `key` out, keeping the order of the others.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        let index = self.entries.iter().position(|(k, _)| k.text == *key)?;
        Some(self.entries.remove(index).1)
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &Node)> {
        self.entries.iter().map(|(k, v)| (k.text.as_str(), v))
    }

    /// Keys and values in order, the values to change them.
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = (&str, &mut Node)> {
        self.entries.iter_mut().map(|(k, v)| (k.text.as_str(), v))
    }

    /// The keys in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.entries.iter().map(|(k, _)| k.text.as_str())
    }

    /// The values in order.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Node> {
        self.entries.iter().map(|(_, v)| v)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True for `{}`.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// A key made by towline. A key that looks like another type (`on`, `8080`) stays a string.
fn key_scalar(key: &str) -> Scalar {
    // Starting with a letter is not enough (`true`, `null`), but a key of the usual kind is
    // longer than any such word, and a plain key is what other code compares styles with.
    let word = key.len() > 5 && key.starts_with(|c: char| c.is_ascii_alphabetic());
    let known = matches!(key, "kind" | "name" | "data" | "spec");
    if word || known {
        Scalar::plain(key)
    } else {
        Scalar::string(key)
    }
}

impl Node {
    /// Text that is a string whatever it looks like.
    pub fn string(text: impl Into<Text>) -> Self {
        Self::Scalar(Scalar::string(text))
    }

    /// Text that means what it looks like: `5` is a number.
    pub fn plain(text: impl Into<Text>) -> Self {
        Self::Scalar(Scalar::plain(text))
    }

    /// `null`.
    pub fn null() -> Self {
        Self::plain("null")
    }

    /// Where the node starts, from 1; 0 for one that was not read from a file.
    pub fn line(&self) -> u32 {
        match self {
            Self::Scalar(scalar) => scalar.line,
            Self::Sequence(sequence) => sequence.line,
            Self::Mapping(mapping) => mapping.line,
        }
    }

    /// True for an unquoted `null`, `~` or nothing at all.
    pub fn is_null(&self) -> bool {
        self.as_scalar().is_some_and(Scalar::is_null)
    }

    /// The text of a scalar, of whatever type; `None` for null, lists and mappings.
    pub fn as_str(&self) -> Option<&str> {
        self.as_scalar()
            .filter(|s| !s.is_null())
            .map(|s| s.text.as_str())
    }

    /// The scalar.
    pub fn as_scalar(&self) -> Option<&Scalar> {
        if let Self::Scalar(scalar) = self {
            Some(scalar)
        } else {
            None
        }
    }

    /// The scalar, to change it.
    pub fn as_scalar_mut(&mut self) -> Option<&mut Scalar> {
        if let Self::Scalar(scalar) = self {
            Some(scalar)
        } else {
            None
        }
    }

    /// The list.
    pub fn as_sequence(&self) -> Option<&Sequence> {
        if let Self::Sequence(sequence) = self {
            Some(sequence)
        } else {
            None
        }
    }

    /// The list, to change it.
    pub fn as_sequence_mut(&mut self) -> Option<&mut Sequence> {
        if let Self::Sequence(sequence) = self {
            Some(sequence)
        } else {
            None
        }
    }

    /// The mapping.
    pub fn as_mapping(&self) -> Option<&Mapping> {
        if let Self::Mapping(mapping) = self {
            Some(mapping)
        } else {
            None
        }
    }

    /// The mapping, to change it.
    pub fn as_mapping_mut(&mut self) -> Option<&mut Mapping> {
        if let Self::Mapping(mapping) = self {
            Some(mapping)
        } else {
            None
        }
    }

    /// The elements of a list; none for anything else.
    pub fn items(&self) -> &[Node] {
        self.as_sequence().map_or(&[], |s| &s.items)
    }

    /// The value of `key` in a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_mapping()?.get(key)
    }

    /// The value of `key` in a mapping, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.as_mapping_mut()?.get_mut(key)
    }

    /// The node at a path of keys: `node.at(&["metadata", "name"])`. A list is entered by index.
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, step| match node {
            Self::Mapping(mapping) => mapping.get(step),
            Self::Sequence(sequence) => sequence.items.get(step.parse::<usize>().ok()?),
            Self::Scalar(_) => None,
        })
    }

    /// The same, to change it.
    pub fn at_mut(&mut self, path: &[&str]) -> Option<&mut Node> {
        path.iter().try_fold(self, |node, step| match node {
            Self::Mapping(mapping) => mapping.get_mut(step),
            Self::Sequence(sequence) => sequence.items.get_mut(step.parse::<usize>().ok()?),
            Self::Scalar(_) => None,
        })
    }

    /// The text at a path of keys.
    pub fn text_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path)?.as_str()
    }

    /// The tree of a JSON value: strings are quoted, everything else is plain.
    pub fn from_value(value: &Value) -> Self {
        match value {
            Value::Null => Self::null(),
            Value::Bool(true) => Self::plain("true"),
            Value::Bool(false) => Self::plain("false"),
            Value::Number(number) => Self::plain(number.to_string()),
            Value::String(text) => Self::string(text.as_str()),
            Value::Array(items) => {
                Sequence::new(items.iter().map(Self::from_value).collect()).into()
            }
            Value::Object(map) => map
                .iter()
                .map(|(k, v)| (key_scalar(k), Self::from_value(v)))
                .collect::<Mapping>()
                .into(),
        }
    }
}

impl From<Scalar> for Node {
    fn from(scalar: Scalar) -> Self {
        Self::Scalar(scalar)
    }
}

impl From<Sequence> for Node {
    fn from(sequence: Sequence) -> Self {
        Self::Sequence(sequence)
    }
}

impl From<Mapping> for Node {
    fn from(mapping: Mapping) -> Self {
        Self::Mapping(mapping)
    }
}

impl FromIterator<(Scalar, Node)> for Mapping {
    fn from_iter<T: IntoIterator<Item = (Scalar, Node)>>(entries: T) -> Self {
        Self {
            entries: entries.into_iter().collect(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_takes_little_room() {
        assert_eq!(size_of::<Scalar>(), 24);
        assert_eq!(size_of::<Node>(), 24);
    }

    #[test]
    fn a_tag_stays_with_its_scalar() {
        let mut scalar = Scalar::plain("5");
        scalar.set_tag(Some("!!str"));
        scalar.set_text("6");
        let copy = scalar.clone();
        assert_eq!((copy.text.as_str(), copy.tag()), ("6", Some("!!str")));
        assert_eq!(scalar, copy);
        assert_eq!(Scalar::plain(copy.text.clone()).tag(), None);
        scalar.set_tag(None);
        assert_eq!(scalar.tag(), None);
        assert_ne!(scalar, copy);
    }
}
