//! Text from a cluster, made fit to be shown: one line, bounded, nothing that steers a terminal.

/// The text as one line of at most `limit` characters: white space runs together, for sentences.
pub(crate) fn line(text: &str, limit: usize) -> String {
    let words = text.split_whitespace().enumerate();
    let spaced = words.flat_map(|(i, word)| (i > 0).then_some(' ').into_iter().chain(word.chars()));
    bounded(spaced, limit)
}

/// The first `limit` characters as they are, control characters escaped: for values.
pub(crate) fn value(text: &str, limit: usize) -> String {
    bounded(text.chars(), limit)
}

fn bounded(chars: impl Iterator<Item = char>, limit: usize) -> String {
    let mut out = String::new();
    for (count, c) in chars.enumerate() {
        if count == limit {
            out.push('…');
            break;
        }
        push(&mut out, c);
    }
    out
}

/// The same text with its control characters escaped, however long.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push(&mut out, c));
    out
}

fn push(out: &mut String, c: char) {
    if c.is_control() || is_format(c) {
        out.extend(c.escape_unicode());
    } else {
        out.push(c);
    }
}

/// Characters that change how the text around them is shown: directions, joiners, byte order mark.
fn is_format(c: char) -> bool {
    matches!(
        c,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_bounded_and_harmless() {
        assert_eq!(
            line(" a\n\tb\u{1b}[31m \u{202e}c", 80),
            "a b\\u{1b}[31m \\u{202e}c"
        );
        assert_eq!(line("abcdef", 3), "abc…");
        assert_eq!(line("abc", 3), "abc");
        assert_eq!(line("é é é", 3), "é é…");
        assert_eq!(value("a  b\tc", 5), "a  b\\u{9}…");
        assert_eq!(escaped("a\nb"), "a\\u{a}b");
    }
}
