//! What unquoted text is: a number, a word like `true`, a date, or just text.

use super::number::{self, Parsed};
use super::time::{self, Timestamp};

/// What unquoted text is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Meaning {
    Null,
    Bool(bool),
    Number(Parsed),
    /// `.inf`, `.nan`: a float that JSON does not have.
    NotFinite,
    Time(Timestamp),
    Text,
}

/// Which words and numbers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rules {
    /// go-yaml v2: `yes`, `on`, `y` and the like are booleans.
    V1_1,
    /// go-yaml v3: only `true` and `false` are.
    V1_2,
}

/// What `text` is when it is not quoted.
pub(super) fn meaning(text: &str, rules: Rules) -> Meaning {
    let Some(first) = text.as_bytes().first() else {
        return Meaning::Null;
    };
    match first {
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => {
            word(text, rules)
        }
        b'.' => match text {
            ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" => Meaning::NotFinite,
            _ => number::fraction(text).map_or(Meaning::Text, Meaning::Number),
        },
        b'0'..=b'9' | b'+' | b'-' => numeric(text, rules),
        _ => Meaning::Text,
    }
}

fn word(text: &str, rules: Rules) -> Meaning {
    match text {
        "true" | "True" | "TRUE" => Meaning::Bool(true),
        "false" | "False" | "FALSE" => Meaning::Bool(false),
        "~" | "null" | "Null" | "NULL" => Meaning::Null,
        _ if rules == Rules::V1_2 => Meaning::Text,
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Meaning::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Meaning::Bool(false),
        _ => Meaning::Text,
    }
}

fn numeric(text: &str, rules: Rules) -> Meaning {
    // Everything that is not text is made of few characters: most text ends the search early.
    let possible = |b: u8| {
        b.is_ascii_hexdigit()
            || matches!(b, b'+' | b'-' | b'.' | b'_' | b':' | b',' | b' ')
            || matches!(b, b'x' | b'X' | b'o' | b'O' | b't' | b'T' | b'Z')
    };
    if !text.bytes().all(possible) {
        return match text {
            "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF" => Meaning::NotFinite,
            _ => Meaning::Text,
        };
    }
    if let Some(timestamp) = time::parse(text) {
        return Meaning::Time(timestamp);
    }
    number::parse(text, rules == Rules::V1_2).map_or(Meaning::Text, Meaning::Number)
}

/// True for text that a YAML 1.1 reader would take for something else if it were not quoted.
pub(super) fn needs_quotes(text: &str) -> bool {
    meaning(text, Rules::V1_1) != Meaning::Text || is_base_60(text)
}

/// True for unquoted text that is text by all rules, and is printed as it is. It need not be quick to
/// find out for the rest.
pub fn is_surely_text(text: &str) -> bool {
    let kept = |b: u8| !matches!(b, 0x7f | 0xc2 | 0xef);
    meaning(text, Rules::V1_1) == Meaning::Text
        && meaning(text, Rules::V1_2) == Meaning::Text
        && text.bytes().all(kept)
}

/// True for `1:20` and `1:20.5`, numbers to the base 60 that nobody reads any more.
fn is_base_60(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let mut parts = text.split(':');
    let whole = parts.next().unwrap_or_default();
    if !whole.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
        return false;
    }
    let sixty = |part: &str| matches!(part.as_bytes(), [b'0'..=b'5', b'0'..=b'9'] | [b'0'..=b'9']);
    let Some(last) = parts.next_back() else {
        return false;
    };
    let (seconds, fraction) = last.split_once('.').unwrap_or((last, ""));
    parts.all(sixty) && sixty(seconds) && fraction.bytes().all(|b| b.is_ascii_digit() || b == b'_')
}
