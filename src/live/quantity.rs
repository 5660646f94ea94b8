//! Resource quantities: `1000m` is `1`, `1Gi` is `1024Mi`. The API server writes them back in its
//! own spelling.

use serde_json::Value;

use super::path::{Path, Step};

/// True when both are quantities and the same amount.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (parse(a), parse(b)) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

/// Fields whose values, or the values of whose map, are quantities in the built-in kinds. Only
/// there are `1Ki` and `1024` the same: in a ConfigMap they are two texts.
const HOLDERS: &[&str] = &[
    "allocatable",
    "capacity",
    "default",
    "defaultRequest",
    "hard",
    "limits",
    "max",
    "maxLimitRequestRatio",
    "min",
    "podFixed",
    "requests",
];
const FIELDS: &[&str] = &["averageValue", "divisor", "sizeLimit", "value"];

/// True when a value at this path may be a quantity.
pub(super) fn may_be_at(path: &Path) -> bool {
    let name = |step: Option<&Step>, names: &[&str]| matches!(step, Some(Step::Field(name)) if names.contains(&name.as_str()));
    let steps = &path.0;
    // `data` of a ConfigMap and `metadata` have no holders among the fields they may have.
    path.is_under(&["spec"])
        && (name(steps.last(), FIELDS) && !is_environment(path)
            || steps.len() > 1 && name(steps.get(steps.len() - 2), HOLDERS))
}

/// The value of an environment variable is text.
fn is_environment(path: &Path) -> bool {
    path.0
        .iter()
        .any(|step| matches!(step, Step::Field(name) if name == "env"))
        && !matches!(path.0.last(), Some(Step::Field(name)) if name == "divisor")
}

/// An amount as a decimal: digits without zeros at either end, and the power of ten of the last.
#[derive(Debug, PartialEq, Eq)]
struct Amount {
    negative: bool,
    digits: u128,
    exponent: i32,
}

fn parse(value: &Value) -> Option<Amount> {
    match value {
        Value::String(text) => parse_text(text),
        Value::Number(number) => parse_text(&number.to_string()),
        _ => None,
    }
}

fn parse_text(text: &str) -> Option<Amount> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() == 0 || fraction.contains('.') {
        return None;
    }
    let mut digits: u128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        digits = digits
            .checked_mul(10)?
            .checked_add(u128::from(digit - b'0'))?;
    }
    let mut exponent = -i32::try_from(fraction.len()).ok()?;
    match scale(suffix)? {
        Scale::Ten(power) => exponent = exponent.checked_add(power)?,
        Scale::Two(power) => digits = digits.checked_mul(1_u128.checked_shl(power)?)?,
    }
    while digits != 0 && digits.is_multiple_of(10) {
        digits /= 10;
        exponent += 1;
    }
    let zero = digits == 0;
    Some(Amount {
        negative: negative && !zero,
        digits,
        exponent: if zero { 0 } else { exponent },
    })
}

enum Scale {
    Ten(i32),
    Two(u32),
}

/// What a suffix multiplies with (Kubernetes `resource.Quantity`).
fn scale(suffix: &str) -> Option<Scale> {
    Some(match suffix {
        "" => Scale::Ten(0),
        "n" => Scale::Ten(-9),
        "u" => Scale::Ten(-6),
        "m" => Scale::Ten(-3),
        "k" => Scale::Ten(3),
        "M" => Scale::Ten(6),
        "G" => Scale::Ten(9),
        "T" => Scale::Ten(12),
        "P" => Scale::Ten(15),
        "E" => Scale::Ten(18),
        "Ki" => Scale::Two(10),
        "Mi" => Scale::Two(20),
        "Gi" => Scale::Two(30),
        "Ti" => Scale::Two(40),
        "Pi" => Scale::Two(50),
        "Ei" => Scale::Two(60),
        _ => {
            let power: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            // Beyond this nothing is a quantity, and the sums above cannot overflow.
            (-100..=100).contains(&power).then_some(Scale::Ten(power))?
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn amounts_are_compared_not_spellings() {
        for (a, b) in [
            (json!("1000m"), json!("1")),
            (json!("1Gi"), json!("1024Mi")),
            (json!(1), json!("1")),
            (json!(0.5), json!("500m")),
            (json!("1e3"), json!("1k")),
            (json!("0.1Gi"), json!("107374182400m")),
            (json!("0"), json!("-0m")),
            (json!(".5"), json!("0.50")),
        ] {
            assert!(same(&a, &b), "{a} {b}");
        }
        for (a, b) in [
            (json!("1"), json!("2")),
            (json!("1G"), json!("1Gi")),
            (json!("1"), json!("-1")),
            (json!("a"), json!("a")),
            (json!("1.2.3"), json!("1.2.3")),
            (json!(true), json!("1")),
        ] {
            assert!(!same(&a, &b), "{a} {b}");
        }
    }

    #[test]
    fn quantities_stand_only_where_the_api_has_them() {
        let at = |fields: &[&str]| may_be_at(&Path::of(fields));
        assert!(at(&["spec", "containers", "resources", "limits", "cpu"]));
        assert!(at(&["spec", "volumes", "emptyDir", "sizeLimit"]));
        assert!(at(&["spec", "hard", "pods"]));
        assert!(!at(&["data", "limits", "x"]));
        assert!(!at(&["metadata", "annotations", "value"]));
        assert!(!at(&["spec", "containers", "env", "value"]));
        assert!(at(&[
            "spec",
            "containers",
            "env",
            "valueFrom",
            "resourceFieldRef",
            "divisor"
        ]));
        assert!(!at(&["spec", "replicas"]));
    }

    #[test]
    fn nothing_overflows() {
        for text in [
            "9".repeat(60),
            format!("{}Ei", u128::MAX),
            "1e99999".into(),
            "e".into(),
        ] {
            assert!(!same(&json!(text), &json!("1")));
        }
    }
}
