//! JSON as Go's `encoding/json` writes it: the bytes behind name hashes and inside of replaced JSON
//! texts.

use std::fmt::Write as _;

use serde_json::{Number, Value};

/// Compact JSON with sorted keys.
pub(super) fn compact(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out, None);
    out
}

/// JSON with sorted keys, indented by two spaces.
pub(super) fn indented(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out, Some(0));
    out
}

fn write(value: &Value, out: &mut String, level: Option<usize>) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_string(text, out),
        Value::Array(list) if list.is_empty() => out.push_str("[]"),
        Value::Object(map) if map.is_empty() => out.push_str("{}"),
        Value::Array(list) => {
            out.push('[');
            for (i, item) in list.iter().enumerate() {
                separate(out, i, level);
                write(item, out, level.map(|l| l + 1));
            }
            break_line(out, level);
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (i, (key, item)) in map.iter().enumerate() {
                separate(out, i, level);
                write_string(key, out);
                out.push_str(if level.is_some() { ": " } else { ":" });
                write(item, out, level.map(|l| l + 1));
            }
            break_line(out, level);
            out.push('}');
        }
    }
}

fn separate(out: &mut String, i: usize, level: Option<usize>) {
    if i > 0 {
        out.push(',');
    }
    break_line(out, level.map(|l| l + 1));
}

fn break_line(out: &mut String, level: Option<usize>) {
    if let Some(level) = level {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", level));
    }
}

/// Go escapes what HTML or JavaScript would take for markup.
fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => escape(c, out),
            c if c < ' ' => escape(c, out),
            c => out.push(c),
        }
    }
    out.push('"');
}

fn escape(c: char, out: &mut String) {
    write!(out, "\\u{:04x}", u32::from(c)).expect("writing to a string never fails");
}

fn write_number(number: &Number, out: &mut String) {
    match number.as_f64().filter(|_| number.is_f64()) {
        Some(float) => out.push_str(&float_text(float)),
        None => out.push_str(&number.to_string()),
    }
}

/// A float as Go's JSON writes it: plain, but with an exponent below 1e-6 and from 1e21.
pub(super) fn float_text(float: f64) -> String {
    let size = float.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{float:e}");
        return match text.split_once("e-") {
            // Go cleans e-09 up to e-9 here, and writes a plus sign
            Some((digits, exponent)) => format!("{digits}e-{exponent}"),
            None => text.replace('e', "e+"),
        };
    }
    format!("{float}")
}

/// Every number as Go's untyped decoding sees it, a 64-bit float: above 2^53 precision is lost.
pub(super) fn as_floats(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(float) = number.as_f64() {
                *number = float_number(float);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(as_floats),
        Value::Object(map) => map.values_mut().for_each(as_floats),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// A float as the number that its text is read back as: whole ones are integers.
fn float_number(float: f64) -> Number {
    let text = float_text(float);
    text.parse::<i64>()
        .map(Number::from)
        .or_else(|_| text.parse::<u64>().map(Number::from))
        .ok()
        .or_else(|| Number::from_f64(float))
        .expect("JSON has no infinite numbers")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn markup_is_escaped_and_other_text_is_not() {
        assert_eq!(
            compact(&json!({"a": "<ü>&\u{1}"})),
            r#"{"a":"\u003cü\u003e\u0026\u0001"}"#
        );
    }

    #[test]
    fn floats_have_an_exponent_only_at_the_ends() {
        assert_eq!(float_text(1e20), "100000000000000000000");
        assert_eq!(float_text(1e21), "1e+21");
        assert_eq!(float_text(1.5e-7), "1.5e-7");
        assert_eq!(float_text(0.000001), "0.000001");
    }

    #[test]
    fn whole_numbers_above_2_to_the_53_lose_precision() {
        let mut value = json!({"n": 9_007_199_254_740_993_i64});
        as_floats(&mut value);
        assert_eq!(value, json!({"n": 9_007_199_254_740_992_i64}));
    }
}
