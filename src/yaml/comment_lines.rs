//! Where the comments of a text are: the parser drops them, but says where everything else is.

use std::collections::{BTreeMap, BTreeSet};

use libyaml_safer::{Encoding, Event, EventData, MappingStyle, Parser, ScalarStyle, SequenceStyle};

/// The comments of a document, by line from 1.
#[derive(Debug, Default)]
pub struct CommentLines {
    /// Comments with a line of their own, with their columns from 0.
    own: BTreeMap<u32, (usize, String)>,
    /// Comments behind something.
    behind: BTreeMap<u32, String>,
    /// Lines with nothing on them.
    blank: BTreeSet<u32>,
    /// Lines on which a value or key stands.
    filled: BTreeSet<u32>,
    lines: u32,
}

/// The comments between two lines with content.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Gap<'a> {
    /// Whether nothing but comments is above.
    pub at_top: bool,
    /// The column of the first comment.
    pub column: usize,
    /// Each with whether an empty line is in front of it.
    pub comments: Vec<(bool, &'a str)>,
    /// Whether an empty line follows the last one.
    pub blank_after: bool,
}

impl CommentLines {
    /// Of the first document of a text; none where it has no comment, or is no YAML.
    pub fn of(text: &str) -> Option<Self> {
        if !text.contains('#') {
            return None;
        }
        let taken = Taken::of(text)?;
        let mut found = Self::default();
        for (number, line) in (0..).zip(text.lines()) {
            found.lines = number + 1;
            found.add(number, line, &taken);
        }
        (!found.own.is_empty() || !found.behind.is_empty()).then_some(found)
    }

    fn add(&mut self, number: u32, line: &str, taken: &Taken) {
        let end = taken.ends.get(&number);
        if end.is_some() || taken.inside.contains(&number) {
            self.filled.insert(number + 1);
        }
        if taken.inside.contains(&number) && end.is_none() {
            return;
        }
        let rest: String = line.chars().skip(end.copied().unwrap_or(0)).collect();
        if end.is_none() && rest.trim().is_empty() {
            self.blank.insert(number + 1);
            return;
        }
        let is_mark = |c: char| c.is_whitespace() || "-?:,[]{}|>+0123456789".contains(c);
        let comment = rest.trim_start_matches(is_mark);
        if !comment.starts_with('#') {
            return;
        }
        let before = &rest[..rest.len() - comment.len()];
        if end.is_none() && before.trim().is_empty() {
            let comment = comment.trim_end().to_owned();
            self.own.insert(number + 1, (before.len(), comment));
        } else if before.is_empty() || before.ends_with(char::is_whitespace) {
            self.behind
                .insert(number + 1, comment.trim_end().to_owned());
        }
    }

    /// The comment behind what stands on a line.
    pub fn behind(&self, line: u32) -> Option<&str> {
        self.behind.get(&line).map(String::as_str)
    }

    /// The comment behind the dash of an element that starts on the line below.
    pub fn behind_dash(&self, line: u32) -> Option<&str> {
        let above = line.checked_sub(1)?;
        self.behind(above).filter(|_| !self.filled.contains(&above))
    }

    /// What is between the content above a line and that line.
    pub fn above(&self, line: u32) -> Gap<'_> {
        let is_gap = |line: &u32| self.blank.contains(line) || self.own.contains_key(line);
        let start = (1..line).rev().take_while(is_gap).last().unwrap_or(line);
        self.gap(start..line)
    }

    /// What is below the last line with content.
    pub fn at_end(&self) -> Gap<'_> {
        self.above(self.lines + 1)
    }

    fn gap(&self, lines: std::ops::Range<u32>) -> Gap<'_> {
        let mut gap = Gap {
            at_top: lines.start == 1,
            ..Gap::default()
        };
        for line in lines {
            match self.own.get(&line) {
                None => gap.blank_after = true,
                Some((column, text)) => {
                    if gap.comments.is_empty() {
                        gap.column = *column;
                    }
                    gap.comments.push((gap.blank_after, text));
                    gap.blank_after = false;
                }
            }
        }
        gap
    }
}

/// What the values of a text take of its lines, from 0.
#[derive(Default)]
struct Taken {
    /// The columns behind the last value of each line.
    ends: BTreeMap<u32, usize>,
    /// Lines inside of a value of several lines.
    inside: BTreeSet<u32>,
}

impl Taken {
    fn of(text: &str) -> Option<Self> {
        let mut parser = Parser::new();
        let mut bytes = text.as_bytes();
        parser.set_encoding(Encoding::Utf8);
        parser.set_input(&mut bytes);
        let mut taken = Self::default();
        loop {
            let event: Event = parser.parse().ok()?;
            let (start, end) = (event.start_mark, event.end_mark);
            let from = u32::try_from(start.line).ok()?;
            let to = u32::try_from(end.line).ok()?;
            let column = usize::try_from(end.column).ok()?;
            let start_column = usize::try_from(start.column).ok()?;
            match event.data {
                EventData::StreamEnd | EventData::DocumentEnd { .. } => return Some(taken),
                EventData::Scalar { style, .. } => match style {
                    ScalarStyle::Literal | ScalarStyle::Folded => {
                        taken.ends.insert(from, start_column + 1);
                        taken.inside.extend(from + 1..to);
                    }
                    // nothing at all
                    _ if start.index == end.index => {}
                    _ => {
                        taken.inside.extend(from + 1..=to);
                        taken.ends.insert(to, column);
                        if from != to {
                            taken.inside.insert(from);
                        }
                    }
                },
                EventData::Alias { .. } | EventData::SequenceEnd | EventData::MappingEnd
                    if start.index != end.index =>
                {
                    taken.ends.insert(to, column);
                }
                EventData::SequenceStart {
                    style: SequenceStyle::Flow,
                    ..
                }
                | EventData::MappingStart {
                    style: MappingStyle::Flow,
                    ..
                } => {
                    taken.ends.insert(from, start_column + 1);
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_told_from_text() {
        let text = "# top\n\na: |\n  # text\nb: 'x # y' # z\n# own\nc:\n- # dash\n  d: 1\n# end\n";
        let lines = CommentLines::of(text).expect("it has comments");
        assert_eq!(lines.above(3).comments, [(false, "# top")]);
        assert!(lines.above(3).at_top && lines.above(3).blank_after);
        assert_eq!(lines.behind(5), Some("# z"));
        assert_eq!(lines.above(5).comments, []);
        assert_eq!(lines.above(7).comments, [(false, "# own")]);
        assert_eq!(lines.behind_dash(9), Some("# dash"));
        assert_eq!(lines.at_end().comments, [(false, "# end")]);
        assert!(CommentLines::of("a: 1\n").is_none());
    }
}
