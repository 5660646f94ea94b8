//! Text of a scalar: short ones, of up to 16 bytes, which nearly all are, lie in the tree itself. A
//! tree of a large build has millions of them, and an allocation for each would be most of its time
//! and memory. Copies of a long one share it.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use lean_string::LeanStr;

/// Text that does not change its length often.
pub struct Text(Kept);

/// How it is kept. Both take the same room.
enum Kept {
    Bare(LeanStr),
    /// With the mark of a scalar, which hardly any has: room for one in each would make all trees
    /// larger by a third.
    Marked(Box<(LeanStr, LeanStr)>),
}

impl Text {
    /// The text.
    pub fn as_str(&self) -> &str {
        self.kept().as_str()
    }

    /// The bytes of the text.
    pub fn as_bytes(&self) -> &[u8] {
        self.kept().as_bytes()
    }

    fn kept(&self) -> &LeanStr {
        match &self.0 {
            Kept::Bare(text) => text,
            Kept::Marked(both) => &both.0,
        }
    }

    /// What the scalar that it is of is marked with. No part of the text: it is lost where the text is
    /// copied, and is not compared.
    pub(super) fn mark(&self) -> Option<&str> {
        match &self.0 {
            Kept::Bare(_) => None,
            Kept::Marked(both) => Some(&both.1),
        }
    }

    /// The same text with another mark, or without one.
    pub(super) fn marked(self, mark: Option<&str>) -> Self {
        let text = match self.0 {
            Kept::Bare(text) => text,
            Kept::Marked(both) => both.0,
        };
        Self(match mark {
            Some(mark) => Kept::Marked(Box::new((text, mark.into()))),
            None => Kept::Bare(text),
        })
    }

    /// True for no text at all.
    pub fn is_empty(&self) -> bool {
        self.kept().is_empty()
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.kept().len()
    }
}

impl Clone for Text {
    fn clone(&self) -> Self {
        Self(Kept::Bare(self.kept().clone()))
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::from("")
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Kept::Bare(LeanStr::from(text)))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        // Not the string itself: it often has room that nobody needs.
        Self::from(text.as_str())
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        match text.0 {
            Kept::Bare(text) => text.as_str().to_owned(),
            Kept::Marked(both) => both.0.as_str().to_owned(),
        }
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        *self == *other.as_str()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        // Most comparisons are of a key with those of a mapping: another length or first letter
        // tells nearly all of them apart, without a call.
        let (one, other) = (self.as_bytes(), other.as_bytes());
        one.len() == other.len() && one.first() == other.first() && one == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl PartialEq<String> for Text {
    fn eq(&self, other: &String) -> bool {
        *self == *other.as_str()
    }
}

impl PartialEq<Text> for String {
    fn eq(&self, other: &Text) -> bool {
        *other == *self.as_str()
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl fmt::Debug for Text {
    /// The length only: text may be secret, and debug output ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_text_are_the_same_to_its_users() {
        assert_eq!(size_of::<Text>(), size_of::<&str>());
        for length in 0..=48 {
            let text = "ä".repeat(length / 2) + &"x".repeat(length % 2);
            let short = Text::from(text.as_str());
            assert_eq!(short.as_str(), text);
            assert_eq!(String::from(short.clone()), text);
            assert_eq!(short, Text::from(text.clone()));
            assert_eq!(short.len(), length);
        }
        let marked = Text::from("a").marked(Some("!x"));
        assert_eq!((marked.as_str(), marked.mark()), ("a", Some("!x")));
        assert_eq!(marked, Text::from("a"));
        assert_eq!(marked.clone().mark(), None);
        assert_eq!(marked.marked(None).mark(), None);
        let (first, second) = (Text::from("a"), Text::from("b"));
        assert!(first < second);
        assert_eq!(format!("{:?}", Text::from("secret")), "<6 bytes>");
    }
}
