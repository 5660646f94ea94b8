//! An entry of the full record, as one line: a time, then `key=value`, for people, for `grep` and
//! for `git notes merge -s cat_sort_uniq`.

use std::fmt;

use crate::live::shown;

/// The longest value, in characters.
const VALUE_LIMIT: usize = 256;

/// See the module. Written by its `Display`, read by [`Record::parse`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When it was, RFC 3339 in UTC.
    pub at: String,
    /// What is told of it, in this order.
    pub fields: Vec<(String, String)>,
}

impl Record {
    /// One of this time.
    pub fn new(at: &str) -> Self {
        Self {
            at: shown::line(at, VALUE_LIMIT),
            fields: Vec::new(),
        }
    }

    /// With one more field; without it where there is nothing to tell.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        if !value.is_empty() {
            let value = shown::line(value, VALUE_LIMIT);
            self.fields.push((key.to_owned(), value));
        }
        self
    }

    /// What is told under a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        let (_, value) = fields.find(|(known, _)| known == key)?;
        Some(value)
    }

    /// Reads a line; none where it is something else, such as somebody's own words.
    pub fn parse(line: &str) -> Option<Self> {
        let (at, mut rest) = line.trim().split_once(' ')?;
        at.parse::<jiff::Timestamp>().ok()?;
        let mut record = Self::new(at);
        loop {
            rest = rest.trim_start();
            if rest.is_empty() {
                return Some(record);
            }
            let (key, after) = rest.split_once('=')?;
            if key.contains([' ', '"']) {
                return None;
            }
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => unquoted(quoted)?,
                None => {
                    let (value, after) = after.split_once(' ').unwrap_or((after, ""));
                    (value.to_owned(), after)
                }
            };
            record.fields.push((key.to_owned(), value));
            rest = after;
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.at)?;
        for (key, value) in &self.fields {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@+,".contains(c);
            if !value.is_empty() && value.chars().all(is_plain) {
                write!(f, " {key}={value}")?;
            } else {
                let value = value.replace('\\', "\\\\").replace('"', "\\\"");
                write!(f, " {key}=\"{value}\"")?;
            }
        }
        Ok(())
    }
}

/// The text up to the quote that ends it, and what comes after that.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_that_is_read_back() {
        let record = Record::new("2026-11-30T14:00:00Z")
            .with("cluster", "prod")
            .with("application", "towline-system/shop")
            .with("outcome", "Applied")
            .with("author", "Ann \"the\" Example\\")
            .with("why", "a\nb=c")
            .with("reverts", "");
        let line = record.to_string();
        assert_eq!(
            line,
            "2026-11-30T14:00:00Z cluster=prod application=towline-system/shop outcome=Applied \
             author=\"Ann \\\"the\\\" Example\\\\\" why=\"a b=c\""
        );
        assert_eq!(Record::parse(&line), Some(record.clone()));
        assert_eq!(record.get("why"), Some("a b=c"));
        assert_eq!(record.get("reverts"), None);
    }

    #[test]
    fn what_somebody_wrote_is_no_record() {
        for line in [
            "",
            "Reviewed-by: Ann <ann@example.com>",
            "2026-11-30T14:00:00Z looks good to me",
            "2026-11-30T14:00:00Z why=\"cut off",
            "yesterday outcome=Applied",
        ] {
            assert_eq!(Record::parse(line), None, "{line}");
        }
    }
}
