//! Printing the scalars of a tree the way go-yaml v3 does: see [`super::structured_yaml`].

use crate::yaml::{Scalar, Style, printed_lines};

/// Where a scalar stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Key,
    /// As a value; its further lines start at this column.
    Block(usize),
    Flow,
}

/// The style of a scalar that is printed as a block: also of one whose text was replaced by one of
/// several lines.
pub(super) fn block_style(scalar: &Scalar) -> Option<Style> {
    match scalar.style {
        _ if scalar.explicit_tag().is_some() || is_wide(&scalar.text) => None,
        Style::Literal | Style::Folded => Some(scalar.style),
        Style::Plain if scalar.text.contains('\n') => Some(Style::Literal),
        _ => None,
    }
}

/// A scalar in its style, with its tag.
pub(super) fn scalar(scalar: &Scalar, place: Place, out: &mut String) {
    if let Some(tag) = scalar.explicit_tag() {
        out.push_str(tag);
        out.push(' ');
    }
    let text: &str = &scalar.text;
    match (scalar.style, place) {
        _ if is_wide(text) => double_quoted(text, out),
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

/// Whether there is a character that only escapes can write.
fn is_wide(text: &str) -> bool {
    text.chars().any(|c| u32::from(c) > 0xffff)
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
            c if c.is_control() => write_code(out, 'x', 2, code),
            _ if code > 0xffff => write_code(out, 'U', 8, code),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// An escape of so many hexadecimal digits.
fn write_code(out: &mut String, letter: char, digits: usize, code: u32) {
    out.push('\\');
    out.push(letter);
    out.push_str(&format!("{code:0digits$X}"));
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
pub(super) fn block_header(text: &str, style: Style, out: &mut String) {
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
pub(super) fn block_lines(text: &str, style: Style, indent: usize, out: &mut String) {
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

/// So many spaces.
pub(super) fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}
