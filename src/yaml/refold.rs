//! What kustomize makes of folded scalars (`>`).
//!
//! It prints every object with go-yaml v3 and reads it again before the final output, and the
//! printer adds a line break before lines that are indented more. Byte equality needs the same
//! mistake, and the live objects of those who come from kustomize have it too.

use std::borrow::Cow;

/// The text of a folded scalar after it was printed and read again.
pub(super) fn refold(text: &str) -> Cow<'_, str> {
    // What is not allowed in a block is printed in double quotes, which are harmless.
    if text.is_empty() || !fits_block(text) {
        text.into()
    } else {
        read(text).into()
    }
}

fn fits_block(text: &str) -> bool {
    let printable = |c| {
        matches!(c, '\n' | '\t' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}')
            || matches!(c, '\u{ff00}'..='\u{fffd}')
    };
    // The last two are line breaks that the parser treats in other ways again.
    let simple = |c| printable(c) && !matches!(c, '\u{2028}' | '\u{2029}');
    !text.ends_with(' ') && !text.contains(" \n") && text.chars().all(simple)
}

/// The lines of a folded scalar as they are printed, without indentation.
pub fn printed_lines(text: &str) -> String {
    let mut printed = String::with_capacity(text.len() + 16);
    // The printer looks here for a blank after a break, not where it is about to print one.
    let blank_start = text.trim_start_matches('\n').starts_with([' ', '\t', '\n']);
    let starts_blank = blank_start || text.trim_start_matches('\n').is_empty();
    let (mut after_break, mut indented) = (true, true);
    for c in text.chars() {
        if c == '\n' {
            if !after_break && !indented && !starts_blank {
                printed.push('\n');
            }
            printed.push('\n');
            after_break = true;
        } else {
            if after_break {
                indented = matches!(c, ' ' | '\t');
            }
            printed.push(c);
            after_break = false;
        }
    }
    printed
}

/// The printed lines as they are read.
fn read(text: &str) -> String {
    let printed = printed_lines(text);
    let content = printed.trim_end_matches('\n');
    let breaks = printed.len() - content.len();
    let mut folded = String::with_capacity(printed.len());
    let mut previous_indented = true;
    let mut empty_lines = 0;
    for (i, line) in content.split('\n').enumerate() {
        if line.is_empty() {
            empty_lines += 1;
            continue;
        }
        let indented = line.starts_with([' ', '\t']);
        let first = folded.is_empty() && i == empty_lines;
        if !first {
            if previous_indented || indented {
                folded.push('\n');
            } else if empty_lines == 0 {
                folded.push(' ');
            }
        }
        folded.extend(std::iter::repeat_n('\n', empty_lines));
        empty_lines = 0;
        folded.push_str(line);
        previous_indented = indented;
    }
    // How the end is read depends on the end of the text that was printed: `>-`, `>` or `>+`.
    if text.ends_with("\n\n") || text == "\n" {
        folded.extend(std::iter::repeat_n('\n', breaks));
    } else if text.ends_with('\n') {
        folded.push('\n');
    }
    folded
}
