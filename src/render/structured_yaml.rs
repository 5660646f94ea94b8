//! Printing a tree the way go-yaml v3 does: block and flow style, the quotes of scalars and comments
//! stay as they were written; indentation and spaces do not. Lines are never folded.

use crate::yaml::{CommentLines, Gap, Mapping, Node, Scalar, Sequence, Style, printed_lines};

/// A document as text, with the comments of the text that it was read from.
pub(super) fn print_document(node: &Node, comments: Option<&CommentLines>) -> String {
    let mut printer = Printer {
        comments,
        out: String::new(),
    };
    match node {
        Node::Mapping(mapping) if !is_flow(node) => printer.fields(mapping, 0, false),
        Node::Sequence(list) if !is_flow(node) => printer.elements(list, 0, false),
        other => {
            flow(other, &mut printer.out);
            printer.out.push('\n');
        }
    }
    printer.foot();
    printer.out
}

/// Whether a collection is printed on one line: also an empty one.
fn is_flow(node: &Node) -> bool {
    match node {
        Node::Mapping(mapping) => mapping.flow || mapping.is_empty(),
        Node::Sequence(list) => list.flow || list.items.is_empty(),
        Node::Scalar(_) => false,
    }
}

struct Printer<'a> {
    comments: Option<&'a CommentLines>,
    out: String,
}

impl Printer<'_> {
    /// The entries of a mapping whose keys are at column `indent`. The first line is indented already;
    /// for an element of a list, the comments above it are printed as well.
    fn fields(&mut self, mapping: &Mapping, indent: usize, in_list: bool) {
        for (i, (key, value)) in mapping.entries.iter().enumerate() {
            if i > 0 {
                pad(indent, &mut self.out);
            }
            match i == 0 && in_list {
                true => self.dash_comment(key.line, indent),
                false => self.head(key.line, indent),
            }
            scalar(key, Place::Key, &mut self.out);
            self.out.push(':');
            match value {
                Node::Mapping(inner) if !is_flow(value) => {
                    self.end_line(key.line);
                    pad(indent + 2, &mut self.out);
                    self.fields(inner, indent + 2, false);
                }
                Node::Sequence(inner) if !is_flow(value) => {
                    self.end_line(key.line);
                    pad(indent, &mut self.out);
                    self.elements(inner, indent, false);
                }
                other => self.rest_of_line(other, key.line, indent + 2),
            }
        }
    }

    /// The elements of a list whose dashes are at column `indent`. The first line is indented already.
    fn elements(&mut self, list: &Sequence, indent: usize, in_list: bool) {
        for (i, item) in list.items.iter().enumerate() {
            if i > 0 {
                pad(indent, &mut self.out);
            }
            if i > 0 || !in_list {
                let line = item.line();
                let has_dash = self.comments.is_some_and(|c| c.behind_dash(line).is_some());
                self.head(if has_dash { line - 1 } else { line }, indent);
            }
            self.out.push('-');
            match item {
                Node::Mapping(inner) if !is_flow(item) => {
                    self.out.push(' ');
                    self.fields(inner, indent + 2, true);
                }
                Node::Sequence(inner) if !is_flow(item) => {
                    self.out.push(' ');
                    self.elements(inner, indent + 2, true);
                }
                other => self.rest_of_line(other, 0, indent + 2),
            }
        }
    }

    /// A scalar or a flow collection behind `:` or `-`, with the end of the line.
    fn rest_of_line(&mut self, node: &Node, key_line: u32, indent: usize) {
        let line = match node.line() {
            0 => key_line,
            line => line,
        };
        match node {
            Node::Scalar(text) if text.text.is_empty() && text.is_null() => {}
            Node::Scalar(text) => {
                self.out.push(' ');
                if let Some(style) = block_style(text) {
                    block_header(&text.text, style, &mut self.out);
                    self.end_line(line);
                    block_lines(&text.text, style, indent, &mut self.out);
                    return;
                }
                scalar(text, Place::Block(indent), &mut self.out);
            }
            collection => {
                self.out.push(' ');
                flow(collection, &mut self.out);
            }
        }
        self.end_line(line);
    }

    /// The end of a line, with the comment behind what stands on it.
    fn end_line(&mut self, line: u32) {
        if let Some(comment) = self.comments.and_then(|c| c.behind(line)) {
            self.out.push(' ');
            self.out.push_str(comment);
        }
        self.out.push('\n');
    }

    /// The comments above an entry, whose line is indented already.
    fn head(&mut self, line: u32, indent: usize) {
        let Some(comments) = self.comments.filter(|_| line > 0) else {
            return;
        };
        let gap = comments.above(line);
        if gap.at_top {
            self.top(&gap);
            return;
        }
        let Gap {
            comments,
            blank_after,
            ..
        } = gap;
        // What stands directly below an entry, and not directly above the next one, is of the first.
        let is_adjacent = comments.first().is_some_and(|(blank, _)| !blank);
        let second = comments.iter().skip(1).position(|(blank, _)| *blank);
        let of_first = match (is_adjacent, second, blank_after) {
            (true, Some(at), _) => at + 1,
            (true, None, true) => comments.len(),
            _ => 0,
        };
        for (i, (_, comment)) in comments.into_iter().enumerate() {
            self.out.push_str(comment);
            self.out.push('\n');
            if i + 1 == of_first {
                self.out.push('\n');
            }
            pad(indent, &mut self.out);
        }
    }

    /// The comments at the start of the text, with the empty lines between them.
    fn top(&mut self, gap: &Gap<'_>) {
        for (i, (blank, comment)) in gap.comments.iter().enumerate() {
            if *blank && i > 0 {
                self.out.push('\n');
            }
            self.out.push_str(comment);
            self.out.push('\n');
        }
        if gap.blank_after && !gap.comments.is_empty() {
            self.out.push('\n');
        }
    }

    /// The comment behind the dash of an element, which comes in front of its first entry.
    fn dash_comment(&mut self, line: u32, indent: usize) {
        if let Some(comment) = self.comments.and_then(|c| c.behind_dash(line)) {
            self.out.push_str(comment);
            self.out.push('\n');
            pad(indent, &mut self.out);
        }
    }

    /// The comments below everything.
    fn foot(&mut self) {
        let Some(comments) = self.comments else {
            return;
        };
        let gap = comments.at_end();
        let last = self.out.trim_end().lines().next_back().unwrap_or_default();
        let indent = match gap.column {
            0 => 0,
            _ => last.len() - last.trim_start().len(),
        };
        for (blank, comment) in gap.comments {
            if blank {
                self.out.push('\n');
            }
            pad(indent, &mut self.out);
            self.out.push_str(comment);
            self.out.push('\n');
        }
    }
}

fn flow(node: &Node, out: &mut String) {
    match node {
        Node::Scalar(text) => scalar(text, Place::Flow, out),
        Node::Sequence(list) => {
            out.push('[');
            for (i, item) in list.items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                flow(item, out);
            }
            out.push(']');
        }
        Node::Mapping(mapping) => {
            out.push('{');
            for (i, (key, value)) in mapping.entries.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                scalar(key, Place::Flow, out);
                out.push_str(": ");
                flow(value, out);
            }
            out.push('}');
        }
    }
}

/// Where a scalar stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Key,
    /// As a value; its further lines start at this column.
    Block(usize),
    Flow,
}

/// The style of a scalar that is printed as a block: also of one whose text was replaced by one of
/// several lines.
fn block_style(scalar: &Scalar) -> Option<Style> {
    match scalar.style {
        _ if scalar.explicit_tag().is_some() => None,
        Style::Literal | Style::Folded => Some(scalar.style),
        Style::Plain if scalar.text.contains('\n') => Some(Style::Literal),
        _ => None,
    }
}

fn scalar(scalar: &Scalar, place: Place, out: &mut String) {
    if let Some(tag) = scalar.explicit_tag() {
        out.push_str(tag);
        out.push(' ');
    }
    let text: &str = &scalar.text;
    let is_wide = text.chars().any(|c| u32::from(c) > 0xffff);
    match (scalar.style, place) {
        _ if is_wide => double_quoted(text, out),
        (Style::Literal | Style::Folded, Place::Block(indent)) => {
            block_header(text, scalar.style, out);
            out.push('\n');
            block_lines(text, scalar.style, indent, out);
            // the end of the line is the caller's
            out.truncate(out.trim_end_matches('\n').len());
        }
        (Style::Plain, _) if is_plain(text, place) => out.push_str(text),
        (Style::SingleQuoted, Place::Block(indent)) if fits_single(text) => {
            single_quoted(text, indent, out);
        }
        (Style::Plain | Style::SingleQuoted, _) if !text.contains(['\n', '\t']) => {
            single_quoted(text, 0, out);
        }
        _ => double_quoted(text, out),
    }
}

/// Whether text of several lines can stand in single quotes.
fn fits_single(text: &str) -> bool {
    let bad_end = |c: char| matches!(c, ' ' | '\n');
    !text.contains('\t')
        && !text.starts_with(bad_end)
        && !text.ends_with(bad_end)
        && !text.contains(" \n")
        && !text.contains("\n ")
}

/// A line break is written as two.
fn single_quoted(text: &str, indent: usize, out: &mut String) {
    out.push('\'');
    let mut in_break = false;
    for c in text.replace('\'', "''").chars() {
        match (c, in_break) {
            ('\n', false) => out.push_str("\n\n"),
            ('\n', true) => out.push('\n'),
            (c, true) => {
                pad(indent, out);
                out.push(c);
            }
            (c, false) => out.push(c),
        }
        in_break = c == '\n';
    }
    out.push('\'');
}

fn double_quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        let code = u32::from(c);
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\0' => out.push_str("\\0"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\u{1b}' => out.push_str("\\e"),
            '\u{85}' => out.push_str("\\N"),
            '\u{a0}' => out.push_str("\\_"),
            '\u{2028}' => out.push_str("\\L"),
            '\u{2029}' => out.push_str("\\P"),
            c if c.is_control() => out.push_str(&format!("\\x{code:02X}")),
            _ if code > 0xffff => out.push_str(&format!("\\U{code:08X}")),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Whether text can stand without quotes.
fn is_plain(text: &str, place: Place) -> bool {
    let flow = place == Place::Flow;
    if text.is_empty() {
        return matches!(place, Place::Block(_));
    }
    let blank = |c: Option<char>| c.is_none_or(|c| matches!(c, ' ' | '\t' | '\n'));
    let mut previous = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let before_blank = blank(chars.peek().copied());
        let bad = match c {
            '#' => blank(previous),
            ':' => flow || before_blank,
            '?' | '-' if previous.is_none() => before_blank || (flow && c == '?'),
            ',' | '[' | ']' | '{' | '}' | '?' if flow => true,
            ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@'
            | '`' => previous.is_none(),
            ' ' => previous.is_none() || chars.peek().is_none(),
            c => c.is_control(),
        };
        if bad {
            return false;
        }
        previous = Some(c);
    }
    !text.starts_with("---") && !text.starts_with("...")
}

/// The indicator of a literal or folded block.
fn block_header(text: &str, style: Style, out: &mut String) {
    out.push(if style == Style::Literal { '|' } else { '>' });
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    let content = text.trim_end_matches('\n');
    match text.len() - content.len() {
        0 => out.push('-'),
        1 if !content.is_empty() => {}
        _ => out.push('+'),
    }
}

/// The lines of a block.
fn block_lines(text: &str, style: Style, indent: usize, out: &mut String) {
    let folded;
    let lines = if style == Style::Folded {
        folded = printed_lines(text);
        &folded
    } else {
        text
    };
    for line in lines.strip_suffix('\n').unwrap_or(lines).split('\n') {
        if !line.is_empty() {
            pad(indent, out);
            out.push_str(line);
        }
        out.push('\n');
    }
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}
