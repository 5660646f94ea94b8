//! The fields in which live and desired differ, for messages: paths, and values where they may be
//! shown.

use std::fmt;

use serde_json::Value;

use super::mask::{ADDED, CHANGED, HIDDEN, REMOVED, is_hidden, without_last_applied};
use crate::live::{Fields, Mismatch, MismatchKind, contained, shown};

/// Longest value and longest path, in characters.
const VALUE_LIMIT: usize = 80;
pub(super) const PATH_LIMIT: usize = 200;

/// One field in which live and desired differ. All texts are bounded and without control
/// characters; secret values are masked.
///
/// Displays as `spec.replicas: 5 → 3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where: `spec.template.spec.containers[name="web"].image`.
    pub path: String,
    /// What the cluster has, as JSON; `None` where it has nothing.
    pub old: Option<String>,
    /// What Git has, as JSON; `None` where it has nothing (any more).
    pub new: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".into());
        write!(
            f,
            "{}: {} → {}",
            self.path,
            side(&self.old),
            side(&self.new)
        )
    }
}

/// The fields of `desired` that `live` does not have so, in the order of the desired object. With
/// `owned` (what towline owns in `live`) also what it owns and `desired` lacks. A value that is the
/// same and owned by somebody else is no difference to a person and is left out. To see what a
/// listed manager added, `owned` has to hold its additions too.
pub fn differences(desired: &Value, live: &Value, owned: Option<&Fields>) -> Vec<Difference> {
    let mut found = contained(desired, live, owned).err().unwrap_or_default();
    found.retain(|mismatch| mismatch.kind != MismatchKind::Unowned);
    found
        .iter()
        .map(|mismatch| difference(mismatch, desired, live))
        .collect()
}

/// The first `limit` of them in one line: `a: 1 → 2, b: 3 → 4 and 5 more`.
pub fn summary(differences: &[Difference], limit: usize) -> String {
    let first: Vec<String> = differences
        .iter()
        .take(limit)
        .map(ToString::to_string)
        .collect();
    match differences.len().saturating_sub(limit) {
        0 => first.join(", "),
        more if first.is_empty() => format!("{more} fields"),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

fn difference(mismatch: &Mismatch<'_>, desired: &Value, live: &Value) -> Difference {
    let hidden = is_hidden(desired, &mismatch.path) || is_hidden(live, &mismatch.path);
    let (old, new) = sides(mismatch.live, mismatch.desired, hidden);
    Difference {
        path: shown::value(&mismatch.path.to_string(), PATH_LIMIT),
        old,
        new,
    }
}

/// Two values as they are shown, the older one first; of those that are hidden only what happened.
pub(super) fn sides(
    old: Option<&Value>,
    new: Option<&Value>,
    hidden: bool,
) -> (Option<String>, Option<String>) {
    if hidden {
        let (old, new) = match (old, new) {
            (Some(old), Some(new)) if old == new => (Some(HIDDEN), Some(HIDDEN)),
            (Some(_), Some(_)) => (Some(HIDDEN), Some(CHANGED)),
            (Some(_), None) => (Some(REMOVED), None),
            (None, Some(_)) => (None, Some(ADDED)),
            (None, None) => (None, None),
        };
        return (old.map(str::to_owned), new.map(str::to_owned));
    }
    let show = |value: &Value| shown::value(&without_last_applied(value).to_string(), VALUE_LIMIT);
    (old.map(show), new.map(show))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::live::arbitrary::Random;

    fn lines(desired: &Value, live: &Value) -> Vec<String> {
        differences(desired, live, None)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn fields_with_old_and_new_value() {
        let desired = json!({"kind": "Deployment", "spec": {"replicas": 3, "paused": true,
            "containers": [{"name": "web", "image": "a\u{1b}"}]}});
        let live = json!({"kind": "Deployment", "spec": {"replicas": 5,
            "containers": [{"name": "web", "image": "b"}]}});
        assert_eq!(
            lines(&desired, &live),
            [
                "spec.containers[name=\"web\"].image: \"b\" → \"a\\u001b\"",
                "spec.paused: (none) → true",
                "spec.replicas: 5 → 3",
            ]
        );
    }

    #[test]
    fn secret_values_are_masked() {
        let desired = json!({"kind": "Secret", "data": {"a": "dHdv", "b": "b25l"}, "type": "x"});
        let live = json!({"kind": "Secret", "data": {"a": "b25l"}, "type": "y"});
        assert_eq!(
            lines(&desired, &live),
            [
                "data.a: *** → (changed)",
                "data.b: (none) → (added)",
                "type: \"y\" → \"x\""
            ]
        );
        let whole = lines(&desired, &json!({"kind": "Secret", "type": "x"}));
        assert_eq!(whole, ["data: (none) → (added)"]);
    }

    #[test]
    fn a_value_that_holds_a_whole_object_is_masked() {
        let applied = "kubectl.kubernetes.io/last-applied-configuration";
        let desired = json!({"kind": "ConfigMap", "metadata": {"annotations": "none"}});
        let live = json!({"kind": "ConfigMap", "metadata": {"annotations": {applied: "s3cret"}}});
        assert!(!lines(&desired, &live).join("").contains("s3cret"));
    }

    #[test]
    fn a_summary_is_one_line_of_the_first() {
        let one = |path: &str| Difference {
            path: path.into(),
            old: None,
            new: Some("1".into()),
        };
        let all = [one("a"), one("b"), one("c")];
        assert_eq!(summary(&all, 2), "a: (none) → 1, b: (none) → 1 and 1 more");
        assert_eq!(summary(&all[..1], 2), "a: (none) → 1");
        assert_eq!(summary(&all, 0), "3 fields");
    }

    #[test]
    fn values_are_bounded() {
        let all = differences(&json!({"a": "x".repeat(999)}), &json!({"a": 1}), None);
        assert!(
            all[0]
                .new
                .as_ref()
                .is_some_and(|new| new.chars().count() == VALUE_LIMIT + 1)
        );
    }

    #[test]
    fn no_value_of_a_secret_comes_out_whatever_its_shape() {
        const WORDS: &[&str] = &[
            "data",
            "stringData",
            "metadata",
            "a",
            "b",
            "name",
            "other",
            "s3cret",
        ];
        let mut random = Random(4);
        for _ in 0..2000 {
            let mut secret = || {
                let mut secret = json!({"kind": "Secret"});
                for field in ["data", "stringData", "other"] {
                    secret[field] = random.value(WORDS, 3);
                }
                secret
            };
            let (old, new) = (secret(), secret());
            let text = super::super::text::unified("x", Some(&old), Some(&new), &Value::to_string);
            let lines = lines(&new, &old).join("\n");
            for value in ["\"s3cret\"", "9223372036854775807", "-9223372036854775808"] {
                assert!(
                    !text.contains(&format!(":{value}")) && !lines.contains(&format!(" {value}"))
                );
            }
        }
    }
}
