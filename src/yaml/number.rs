//! Numbers as Go reads and prints them.

use std::fmt::{Display, Write};

use serde_json::Number;

/// A number that was read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Parsed {
    /// Whole, in 64 bits.
    Int(i64),
    /// Whole, above the largest [`i64`].
    Uint(u64),
    /// Anything else; never infinite.
    Float(f64),
}

/// A number that starts with a digit or a sign: decimal, `0x`, `0o`, `0b`, octal with a leading
/// zero, `_` anywhere, or a decimal fraction.
pub(super) fn parse(text: &str, yaml_1_2: bool) -> Option<Parsed> {
    let without;
    let text = if text.contains('_') {
        without = text.replace('_', "");
        &without
    } else {
        text
    };
    integer(text).or_else(|| float(text)).or_else(|| {
        // What is left are forms with the sign in an odd place, `0b-11`, that Go takes too.
        let odd = |prefix, radix| signed(text.strip_prefix(prefix)?, radix);
        odd("0b", 2).or_else(|| if yaml_1_2 { odd("0o", 8) } else { None })
    })
}

/// A number that starts with a point. Here `_` must be between digits.
pub(super) fn fraction(text: &str) -> Option<Parsed> {
    if !text.contains('_') {
        return float(text);
    }
    let digit_at = |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    let between = text
        .match_indices('_')
        .all(|(at, _)| digit_at(at - 1) && digit_at(at + 1));
    if between {
        float(&text.replace('_', ""))
    } else {
        None
    }
}

/// A decimal fraction, as in the YAML specification; `None` if it is too large for 64 bits.
fn float(text: &str) -> Option<Parsed> {
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        bytes[from..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count()
    };
    let mut at = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let whole = digits(at);
    at += whole;
    if bytes.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if whole + fraction == 0 {
            return None;
        }
        at += 1 + fraction;
    } else if whole == 0 {
        return None;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at);
        if exponent == 0 {
            return None;
        }
        at += exponent;
    }
    let number = if at == bytes.len() {
        text.parse().ok()?
    } else {
        return None;
    };
    f64::is_finite(number).then_some(Parsed::Float(number))
}

fn integer(text: &str) -> Option<Parsed> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (b'-', &text[1..]),
        b'+' => (b'+', &text[1..]),
        _ => (0, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', _, ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', _, ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    let size = magnitude(digits, radix)?;
    match sign {
        b'-' => 0i64.checked_sub_unsigned(size).map(Parsed::Int),
        _ => match i64::try_from(size) {
            Ok(int) => Some(Parsed::Int(int)),
            Err(_) if sign == 0 => Some(Parsed::Uint(size)),
            Err(_) => None,
        },
    }
}

/// Digits with an optional sign in front.
fn signed(text: &str, radix: u32) -> Option<Parsed> {
    match text.strip_prefix('-') {
        Some(digits) => 0i64.checked_sub_unsigned(magnitude(digits, radix)?),
        None => i64::try_from(magnitude(text.strip_prefix('+').unwrap_or(text), radix)?).ok(),
    }
    .map(Parsed::Int)
}

fn magnitude(digits: &str, radix: u32) -> Option<u64> {
    // from_str_radix would take another sign.
    if digits.starts_with(['+', '-']) {
        None
    } else {
        u64::from_str_radix(digits, radix).ok()
    }
}

/// The JSON number; none where JSON has no such number. A float without a fraction becomes an
/// integer, as it does on its way through Go's JSON.
pub(super) fn to_json(number: Parsed) -> Option<Number> {
    match number {
        Parsed::Int(int) => Some(int.into()),
        Parsed::Uint(uint) => Some(uint.into()),
        Parsed::Float(float) => match whole(float) {
            Some(Parsed::Int(int)) => Some(int.into()),
            Some(Parsed::Uint(uint)) => Some(uint.into()),
            _ => Number::from_f64(float),
        },
    }
}

/// A float without a fraction as the integer that its shortest decimal form is.
fn whole(float: f64) -> Option<Parsed> {
    if float.fract() != 0.0 || float.abs() >= 1e21 {
        return None;
    }
    if float.abs() < 9e15 {
        // Exact; also makes -0 a plain 0.
        #[expect(clippy::cast_possible_truncation, reason = "in range and whole")]
        return Some(Parsed::Int(float as i64));
    }
    integer(&float.to_string())
}

/// Prints a number as `kustomize build` does: Go's `%g`.
pub(super) fn print(number: &Number, out: &mut String) {
    if let Some(int) = number.as_i64() {
        return push(out, format_args!("{int}"));
    }
    if let Some(uint) = number.as_u64() {
        return push(out, format_args!("{uint}"));
    }
    let float = number.as_f64().unwrap_or_default();
    match whole(float) {
        Some(Parsed::Int(int)) => push(out, format_args!("{int}")),
        Some(Parsed::Uint(uint)) => push(out, format_args!("{uint}")),
        _ => print_float(float, out),
    }
}

fn print_float(float: f64, out: &mut String) {
    shortest(&format!("{float:e}"), float, out);
}

/// A number as a mapping key, where Go drops to 32 bits.
pub(super) fn short(float: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "Go does so")]
    let float = float as f32;
    let mut out = String::new();
    shortest(&format!("{float:e}"), float, &mut out);
    out
}

fn shortest(scientific: &str, float: impl Display, out: &mut String) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    // Six digits is the threshold of Go's shortest form.
    if (-4..6).contains(&exponent) {
        push(out, format_args!("{float}"));
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        push(out, format_args!("{mantissa}e{sign}{:02}", exponent.abs()));
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text)
        .expect("writing to a String cannot fail");
}
