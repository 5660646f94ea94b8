//! Text as go-yaml v2 prints it: plain, quoted or as a literal block, and folded.

use crate::yaml::scalar::needs_quotes;

/// The column after which a line is continued on the next one, at a space.
const WIDTH: usize = 80;

const BOM: char = '\u{feff}';

/// Characters that start a new line and are printed as they are.
pub(super) const LINE_ENDS: [char; 3] = ['\n', '\u{2028}', '\u{2029}'];

/// What there is in a text that decides how it is printed.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "findings that do not depend on each other"
)]
struct Findings {
    /// Something that means something else when it is not quoted.
    indicator: bool,
    line_break: bool,
    /// A character that is only printed as an escape.
    special: bool,
    leading_blank: bool,
    trailing_space: bool,
    trailing_break: bool,
    break_space: bool,
    space_break: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Single,
    Double,
    Literal,
}

/// True if a text has more than one line, in the widest sense.
pub(super) fn has_break(text: &str) -> bool {
    text.bytes()
        .any(|b| matches!(b, b'\n' | b'\r' | 0xc2 | 0xe2))
        && text.contains(is_break)
}

/// Appends a key that fits on one line. It is never folded.
pub(super) fn key(text: &str, out: &mut String) {
    write(text, None, out);
}

/// Appends a value, whose further lines start at column `indent`.
pub(super) fn value(text: &str, indent: usize, out: &mut String) {
    write(text, Some(indent), out);
}

fn write(text: &str, indent: Option<usize>, out: &mut String) {
    let form = form(text);
    if form == Form::Literal {
        return literal(text, indent.unwrap_or_default(), out);
    }
    match form {
        Form::Plain if !may_fold(text, indent, out) => out.push_str(text),
        Form::Plain => plain(text, indent, out),
        Form::Double => double(text, indent, out),
        _ => {
            out.push('\'');
            if may_fold(text, indent, out) || text.contains(|c| c == '\'' || is_break(c)) {
                single(text, indent, out);
            } else {
                out.push_str(text);
            }
            out.push('\'');
        }
    }
}

/// False for text that is not folded in any case: nothing is in a line that stays short, which
/// nearly all of them do.
fn may_fold(text: &str, indent: Option<usize>, out: &str) -> bool {
    let before = || out.len() - out.rfind('\n').map_or(0, |at| at + 1);
    indent.is_some() && text.contains(' ') && before() + text.len() > WIDTH
}

/// Letters, digits and the punctuation that never needs a second look.
fn is_harmless(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'/')
}

fn form(text: &str) -> Form {
    if needs_quotes(text) {
        // Words and numbers have no line breaks; neither has the empty text.
        return Form::Double;
    }
    let first = text.as_bytes()[0];
    if first.is_ascii_alphabetic() && text.bytes().all(is_harmless) {
        return Form::Plain;
    }
    let found = analyse(text);
    let literal = text.contains('\n');
    let blank_end = found.leading_blank || found.trailing_space || found.trailing_break;
    if found.space_break || found.special || (literal && found.trailing_space) {
        Form::Double
    } else if literal {
        Form::Literal
    } else if found.break_space {
        Form::Double
    } else if blank_end || found.line_break || found.indicator {
        Form::Single
    } else {
        Form::Plain
    }
}

fn analyse(text: &str) -> Findings {
    let mut found = Findings {
        indicator: text.starts_with("---") || text.starts_with("..."),
        ..Findings::default()
    };
    let (mut after_space, mut after_break, mut after_blank) = (false, false, true);
    let mut chars = text.chars().peekable();
    let mut first = true;
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        let before_blank = next.is_none_or(|next| matches!(next, ' ' | '\t'));
        found.indicator |= match c {
            '#' => first || after_blank,
            ':' => before_blank,
            '?' | '-' => first && before_blank,
            ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@'
            | '`' => first,
            _ => false,
        };
        found.special |= !is_printable(c);
        let (space, line_break) = (c == ' ', is_break(c));
        found.line_break |= line_break;
        found.leading_blank |= first && (space || line_break);
        found.trailing_space |= space && next.is_none();
        found.trailing_break |= line_break && next.is_none();
        found.break_space |= space && after_break;
        found.space_break |= line_break && after_space;
        (after_space, after_break) = (space, line_break);
        after_blank = space || line_break || c == '\t';
        first = false;
    }
    found
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Characters that are printed as they are; those of more than 16 bits are not.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}') && c != BOM
}

/// Where a line goes on: past the width, at the first of some spaces.
struct Folding {
    indent: Option<usize>,
    column: usize,
    after_space: bool,
}

impl Folding {
    fn new(indent: Option<usize>, out: &str) -> Self {
        let line = if indent.is_some() {
            out.rsplit(LINE_ENDS).next()
        } else {
            None
        };
        let column = line.map_or(0, |line| line.chars().count());
        Self {
            indent,
            column,
            after_space: false,
        }
    }

    /// True if the line is to be broken at a space here.
    fn due(&self) -> bool {
        self.indent.is_some() && !self.after_space && self.column > WIDTH
    }

    fn new_line(&mut self, out: &mut String) {
        let indent = self.indent.unwrap_or_default();
        out.push('\n');
        super::pad(indent, out);
        self.column = indent;
    }
}

/// Plain text, folded.
fn plain(text: &str, indent: Option<usize>, out: &mut String) {
    let mut folding = Folding::new(indent, out);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == ' ' && folding.due() && chars.peek() != Some(&' ') {
            folding.new_line(out);
        } else {
            out.push(c);
            folding.column += 1;
        }
        folding.after_space = c == ' ';
    }
}

/// The inside of single quotes, folded.
fn single(text: &str, indent: Option<usize>, out: &mut String) {
    let mut folding = Folding::new(indent, out);
    let mut chars = text.chars().peekable();
    let mut first = true;
    let mut after_break = false;
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        if c == ' ' {
            if folding.due() && !first && next.is_some_and(|next| next != ' ') {
                folding.new_line(out);
            } else {
                out.push(c);
                folding.column += 1;
            }
        } else if is_break(c) {
            out.push(c);
            folding.column = 0;
            after_break = true;
        } else {
            if std::mem::take(&mut after_break) {
                let indent = indent.unwrap_or_default();
                super::pad(indent, out);
                folding.column = indent;
            }
            if c == '\'' {
                out.push(c);
                folding.column += 1;
            }
            out.push(c);
            folding.column += 1;
        }
        // A line break changes nothing about the spaces before it.
        if !is_break(c) {
            folding.after_space = c == ' ';
        }
        first = false;
    }
}

/// Text in double quotes, with escapes, folded.
fn double(text: &str, indent: Option<usize>, out: &mut String) {
    out.push('"');
    let mut folding = Folding::new(indent, out);
    // go-yaml looks for a byte order mark at the start of the text, not at the character.
    let all = text.starts_with(BOM);
    let mut chars = text.chars().peekable();
    let mut first = true;
    while let Some(c) = chars.next() {
        if all || !is_printable(c) || is_break(c) || matches!(c, '"' | '\\') {
            let before = out.len();
            escape(c, out);
            folding.column += out.len() - before;
            folding.after_space = false;
        } else if c == ' ' {
            let next = chars.peek().copied();
            if folding.due() && !first && next.is_some() {
                folding.new_line(out);
                if next == Some(' ') {
                    out.push('\\');
                    folding.column += 1;
                }
            } else {
                out.push(c);
                folding.column += 1;
            }
            folding.after_space = true;
        } else {
            out.push(c);
            folding.column += 1;
            folding.after_space = false;
        }
        first = false;
    }
    out.push('"');
}

fn escape(c: char, out: &mut String) {
    out.push('\\');
    let short = match c {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' | '\\' => c,
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        _ => {
            let code = u32::from(c);
            out.push_str(&match code {
                0..=0xff => format!("x{code:02X}"),
                0x100..=0xffff => format!("u{code:04X}"),
                _ => format!("U{code:08X}"),
            });
            return;
        }
    };
    out.push(short);
}

/// A literal block, from its `|`; further lines start at column `indent`.
fn literal(text: &str, indent: usize, out: &mut String) {
    out.push('|');
    if text.starts_with(|c| c == ' ' || is_break(c)) {
        out.push('2');
    }
    let mut from_end = text.chars().rev();
    let (last, before) = (from_end.next(), from_end.next());
    if !last.is_some_and(is_break) {
        out.push('-');
    } else if before.is_none_or(is_break) {
        out.push('+');
    }
    out.push('\n');
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(is_break).unwrap_or(rest.len());
        if end > 0 {
            super::pad(indent, out);
            out.push_str(&rest[..end]);
        }
        let length = rest[end..].chars().next().map_or(0, char::len_utf8);
        out.push_str(&rest[end..end + length]);
        rest = &rest[end + length..];
    }
}
