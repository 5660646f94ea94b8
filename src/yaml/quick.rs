//! The quick way through plain YAML: one document of block mappings and lists, with values that end
//! on their line, small `{…}` and `[…]`, and literal blocks, all in ASCII. Nearly every manifest is
//! so, and reading them is most of what a render does.
//!
//! What is read here is what the parser would read, to the line of each value. Whatever may mean
//! something else, or nothing, is left to the parser, which knows all of YAML and tells mistakes: at
//! the first sign of it there is no answer.

use super::comments::JsonComments;
use super::{Mapping, Node, Scalar, Sequence, Style, limits};

/// How long a key may be: the parser looks for no colon after 1,024 bytes.
const KEY_BYTES: usize = 256;

/// A document, and how many nodes it has.
#[derive(Debug)]
pub(super) struct Read {
    pub node: Node,
    pub nodes: usize,
}

/// The only document of `text`, which ends with a line feed and starts at `line` of its file; `None`
/// where the parser has to read it. If the line feed at its end was `added`, it belongs to no value.
/// Comments that are JSON have to stay with their keys if it is read `with_comments`.
pub(super) fn read(text: &str, line: u32, added: bool, with_comments: bool) -> Option<Read> {
    let is_plain = |byte: u8| byte == b'\n' || (b' '..=b'~').contains(&byte);
    if !text.bytes().all(is_plain) || (with_comments && JsonComments::of(text).is_some()) {
        return None;
    }
    let mut reader = Reader {
        current: None,
        rest: text,
        next: line,
        added,
        nodes: 0,
        entries: Vec::new(),
    };
    reader.advance();
    if reader
        .current
        .is_some_and(|line| line.indent == 0 && line.text == "---")
    {
        reader.advance();
    }
    let first = reader.current?;
    let node = reader.block(first, 0)?;
    let is_end = reader.current.is_none();
    is_end.then_some(Read {
        node,
        nodes: reader.nodes,
    })
}

/// A line with content.
#[derive(Debug, Clone, Copy)]
struct Line<'a> {
    /// The spaces in front of it.
    indent: usize,
    /// Without spaces around it.
    text: &'a str,
    /// Of the file.
    number: u32,
}

struct Reader<'a> {
    /// What is being read; none at the end.
    current: Option<Line<'a>>,
    /// What follows it.
    rest: &'a str,
    /// The number of the first line of `rest`.
    next: u32,
    added: bool,
    nodes: usize,
    /// The entries of the open mappings, the innermost last.
    entries: Vec<(Scalar, Node)>,
}

impl<'a> Reader<'a> {
    /// Goes to the next line with content.
    fn advance(&mut self) {
        self.current = None;
        while let Some((line, rest)) = self.rest.split_once('\n') {
            let number = self.next;
            self.rest = rest;
            self.next = self.next.saturating_add(1);
            let text = line.trim_start_matches(' ');
            if !text.is_empty() && !text.starts_with('#') {
                self.current = Some(Line {
                    indent: line.len() - text.len(),
                    text: text.trim_end_matches(' '),
                    number,
                });
                return;
            }
        }
    }

    /// Counts a node that is `depth` levels below the document.
    fn count(&mut self, depth: usize) -> Option<()> {
        self.nodes += 1;
        (depth <= limits::DEPTH && self.nodes <= limits::NODES).then_some(())
    }

    /// The mapping or list that starts on this line.
    fn block(&mut self, line: Line<'a>, depth: usize) -> Option<Node> {
        if is_item(line.text) {
            self.list(line, false, depth)
        } else {
            self.mapping(line, depth)
        }
    }

    /// A mapping whose first key is at the start of `first`: a line, or what follows a dash.
    fn mapping(&mut self, first: Line<'a>, depth: usize) -> Option<Node> {
        self.count(depth)?;
        let start = self.entries.len();
        let mut line = first;
        loop {
            let (key, value) = split_key(line.text)?;
            self.count(depth + 1)?;
            let key = scalar(key, Style::Plain, line.number);
            let value = if is_nothing(value) {
                self.below(line, true, depth + 1)?
            } else {
                let value = value.trim_start_matches(' ');
                self.inline(value, line, depth + 1)?
            };
            self.entries.push((key, value));
            match self.current {
                Some(next) if next.indent == first.indent => line = next,
                Some(next) if next.indent > first.indent => return None,
                _ => break,
            }
        }
        let entries = self.entries.drain(start..).collect();
        Some(Node::Mapping(Mapping {
            entries,
            flow: false,
            line: first.number,
        }))
    }

    /// A list whose first dash is at the start of `first`: a line, or what follows another dash. One
    /// that is not indented below its key ends where the next key is.
    fn list(&mut self, first: Line<'a>, below_key: bool, depth: usize) -> Option<Node> {
        self.count(depth)?;
        let mut items = Vec::new();
        let mut line = first;
        loop {
            let inner = line.text.strip_prefix('-')?;
            let item = if is_nothing(inner) {
                self.below(line, false, depth + 1)?
            } else {
                let text = inner.trim_start_matches(' ');
                let inner = Line {
                    indent: line.indent + line.text.len() - text.len(),
                    text,
                    number: line.number,
                };
                if is_item(text) {
                    self.list(inner, false, depth + 1)?
                } else if split_key(text).is_some() {
                    self.mapping(inner, depth + 1)?
                } else {
                    self.inline(text, line, depth + 1)?
                }
            };
            items.push(item);
            match self.current {
                Some(next) if next.indent == first.indent && is_item(next.text) => line = next,
                Some(next) if next.indent == first.indent && below_key => break,
                Some(next) if next.indent >= first.indent => return None,
                _ => break,
            }
        }
        Some(Node::Sequence(Sequence {
            items: items.into(),
            flow: false,
            line: first.number,
        }))
    }

    /// What stands below a key or dash that has nothing beside it.
    fn below(&mut self, line: Line<'a>, is_key: bool, depth: usize) -> Option<Node> {
        self.advance();
        match self.current {
            Some(next) if next.indent > line.indent => self.block(next, depth),
            Some(next) if is_key && next.indent == line.indent && is_item(next.text) => {
                self.list(next, true, depth)
            }
            _ => {
                self.count(depth)?;
                Some(scalar("", Style::Plain, line.number).into())
            }
        }
    }

    /// A value that starts on the line of its key or dash, and what follows that.
    fn inline(&mut self, text: &'a str, line: Line<'a>, depth: usize) -> Option<Node> {
        let (node, behind) = match text.as_bytes().first()? {
            b'|' => {
                self.count(depth)?;
                let value = self.literal(text, line.indent)?;
                let node = scalar(&value, Style::Literal, line.number).into();
                self.advance();
                return Some(node);
            }
            b'[' | b'{' => self.flow(text, line.number, depth)?,
            b'"' | b'\'' => {
                self.count(depth)?;
                let (value, behind) = quoted(text, line.number)?;
                (value.into(), behind)
            }
            _ => {
                self.count(depth)?;
                (scalar(plain(text)?, Style::Plain, line.number).into(), "")
            }
        };
        if !is_nothing(behind) {
            return None;
        }
        self.advance();
        Some(node)
    }

    /// The text of a literal block below a line with `indent` spaces.
    fn literal(&mut self, header: &str, indent: usize) -> Option<String> {
        let (clip, keep) = match header {
            "|" => (true, false),
            "|-" => (false, false),
            "|+" => (true, true),
            _ => return None,
        };
        let mut value = String::new();
        let mut within = None;
        // Line feeds that belong to the text if more of it follows.
        let mut ends = 0;
        while let Some((line, rest)) = self.rest.split_once('\n') {
            let text = line.trim_start_matches(' ');
            let spaces = line.len() - text.len();
            if text.is_empty() {
                // Spaces are text where they are more than the others have, and before the first
                // line they may decide about all.
                if within.is_none_or(|within| spaces > within) {
                    return None;
                }
                ends += 1;
            } else {
                let within = *within.get_or_insert(spaces);
                if within <= indent {
                    return None;
                }
                if spaces < within {
                    break;
                }
                value.extend(std::iter::repeat_n('\n', ends));
                value.push_str(&line[within..]);
                ends = 1;
            }
            self.rest = rest;
            self.next = self.next.saturating_add(1);
        }
        if value.is_empty() || (self.rest.is_empty() && self.added) {
            return None;
        }
        let ends = if keep { ends } else { usize::from(clip) };
        value.extend(std::iter::repeat_n('\n', ends));
        Some(value)
    }

    /// A list or mapping in brackets, and what stands behind it.
    fn flow<'t>(&mut self, text: &'t str, line: u32, depth: usize) -> Option<(Node, &'t str)> {
        self.count(depth)?;
        if let Some(inner) = text.strip_prefix('[') {
            let mut items = Vec::new();
            let mut add = |reader: &mut Self, text: &'t str| {
                let (item, behind) = reader.flow_value(text, line, depth + 1)?;
                items.push(item);
                Some(behind)
            };
            let behind = self.members(inner, ']', &mut add)?;
            let (items, flow) = (items.into(), true);
            return Some((Node::Sequence(Sequence { items, flow, line }), behind));
        }
        let inner = text.strip_prefix('{')?;
        let mut entries = Vec::new();
        let mut add = |reader: &mut Self, text: &'t str| {
            reader.count(depth + 1)?;
            let (key, behind) = flow_scalar(text, line)?;
            if key.text.len() > KEY_BYTES {
                return None;
            }
            let value = behind.strip_prefix(": ")?.trim_start_matches(' ');
            let (value, behind) = reader.flow_value(value, line, depth + 1)?;
            entries.push((key, value));
            Some(behind)
        };
        let behind = self.members(inner, '}', &mut add)?;
        let (entries, flow) = (entries.into(), true);
        Some((
            Node::Mapping(Mapping {
                entries,
                flow,
                line,
            }),
            behind,
        ))
    }

    /// Adds what stands between brackets, and returns what is behind the closing one.
    fn members<'t>(
        &mut self,
        inner: &'t str,
        close: char,
        add: &mut dyn FnMut(&mut Self, &'t str) -> Option<&'t str>,
    ) -> Option<&'t str> {
        let mut rest = inner.trim_start_matches(' ');
        if let Some(behind) = rest.strip_prefix(close) {
            return Some(behind);
        }
        loop {
            rest = add(self, rest)?.trim_start_matches(' ');
            if let Some(behind) = rest.strip_prefix(close) {
                return Some(behind);
            }
            rest = rest.strip_prefix(',')?.trim_start_matches(' ');
        }
    }

    fn flow_value<'t>(
        &mut self,
        text: &'t str,
        line: u32,
        depth: usize,
    ) -> Option<(Node, &'t str)> {
        if text.starts_with(['[', '{']) {
            return self.flow(text, line, depth);
        }
        self.count(depth)?;
        let (value, behind) = flow_scalar(text, line)?;
        Some((value.into(), behind))
    }
}

fn scalar(text: &str, style: Style, line: u32) -> Scalar {
    Scalar {
        text: text.into(),
        style,
        line,
        ..Scalar::default()
    }
}

/// Whether a line is an element of a list.
fn is_item(text: &str) -> bool {
    text.strip_prefix('-')
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// Whether there is no more on a line, but a comment perhaps.
fn is_nothing(text: &str) -> bool {
    let rest = text.trim_start_matches(' ');
    rest.is_empty() || (rest.starts_with('#') && rest.len() < text.len())
}

/// Characters that mean nothing but themselves, wherever they stand.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'-')
}

/// The word at the start of a text, and the rest.
fn word(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let length = bytes
        .iter()
        .position(|byte| !is_word(*byte))
        .unwrap_or(bytes.len());
    let starts = *bytes.first()? != b'-';
    (length > 0 && length <= KEY_BYTES && starts).then(|| text.split_at(length))
}

/// A key of words at the start of a line, and what is behind its colon.
fn split_key(text: &str) -> Option<(&str, &str)> {
    let (key, rest) = word(text)?;
    let value = rest.strip_prefix(':')?;
    (value.is_empty() || value.starts_with(' ')).then_some((key, value))
}

/// A value without quotes that is the rest of a line, without the comment behind it.
fn plain(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let starts = match bytes.first()? {
        b'-' => bytes.get(1).is_some_and(|next| *next != b' '),
        byte => byte.is_ascii_alphanumeric() || b"/_.$(<+~^;=\\".contains(byte),
    };
    if !starts {
        return None;
    }
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b':' if bytes.get(at + 1).is_none_or(|next| *next == b' ') => return None,
            b'#' if bytes[at - 1] == b' ' => return Some(text[..at].trim_end_matches(' ')),
            _ => {}
        }
    }
    Some(text)
}

/// A text in quotes that has nothing to decode in it, and what is behind it.
fn quoted(text: &str, line: u32) -> Option<(Scalar, &str)> {
    let (style, quote) = match text.as_bytes().first()? {
        b'"' => (Style::DoubleQuoted, '"'),
        _ => (Style::SingleQuoted, '\''),
    };
    let (value, behind) = text[1..].split_once(quote)?;
    let decodes = value.contains('\\') && quote == '"' || behind.starts_with(quote);
    (!decodes).then(|| (scalar(value, style, line), behind))
}

/// A word or a text in quotes in a list or mapping in brackets, and what is behind it.
fn flow_scalar(text: &str, line: u32) -> Option<(Scalar, &str)> {
    if text.starts_with(['"', '\'']) {
        return quoted(text, line);
    }
    let (word, behind) = word(text)?;
    Some((scalar(word, Style::Plain, line), behind))
}

#[cfg(test)]
mod tests;
