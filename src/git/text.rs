//! Words of strangers made fit to show: commit authors, subjects, a server's error messages.

use std::fmt::Write as _;

/// `text` on one line, of at most `limit` characters, without anything that steers a terminal or
/// reorders what is read: control characters and the Unicode ones that turn or hide text are
/// written as escapes.
pub(super) fn shown(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(limit));
    for (count, c) in text.trim().chars().enumerate() {
        if count == limit {
            out.push('…');
            break;
        }
        match c {
            '\n' | '\t' => out.push(' '),
            c if steers(c) => {
                // Writing to a string does not fail.
                let _ = write!(out, "{}", c.escape_unicode());
            }
            c => out.push(c),
        }
    }
    out
}

/// Whether a character acts on the reader's terminal instead of being seen.
pub(super) fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_cannot_steer_the_terminal_or_run_on() {
        assert_eq!(shown("fix\u{1b}[31m it\r\n", 100), "fix\\u{1b}[31m it");
        assert_eq!(shown("a\u{202e}b", 100), "a\\u{202e}b");
        assert_eq!(shown("abcdef", 3), "abc…");
        assert_eq!(shown("größer 😀", 100), "größer 😀");
    }
}
