//! Which revision is gone back to. Pure.

use anyhow::bail;

use crate::api::{HistoryEntry, outcome};
use crate::status::short;

/// How many digits of a commit tell it from others.
const DIGITS: usize = 7;

/// The commit that is meant by `wanted`: one of the history, or any other one in full; without it
/// the newest that was healthy before the present one. One that was taken back is no way back:
/// doing it twice leads further into the past, not forth again.
///
/// # Errors
/// When there is none, or more than one.
pub(super) fn choose(
    history: &[HistoryEntry],
    wanted: Option<&str>,
    name: &str,
) -> anyhow::Result<String> {
    if let Some(wanted) = wanted {
        return named(history, &wanted.to_ascii_lowercase(), name);
    }
    let Some(present) = history.first() else {
        bail!("nothing was applied of `{name}` yet; name a commit with --to");
    };
    let is_undone =
        |entry: &HistoryEntry| history.iter().any(|e| e.reverts.contains(&entry.revision));
    let before = history.iter().skip(1).find(|entry| {
        let is_another = entry.digest != present.digest;
        entry.outcome == outcome::HEALTHY && is_another && !is_undone(entry)
    });
    match before {
        Some(entry) => Ok(entry.revision.clone()),
        None => bail!(
            "no revision in the history of `{name}` was healthy before {}; name a commit with --to \
             (`towline history {name}` has those that are known)",
            short(&present.revision)
        ),
    }
}

fn named(history: &[HistoryEntry], wanted: &str, name: &str) -> anyhow::Result<String> {
    let is_hex = wanted.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex && wanted.len() == 40 {
        return Ok(wanted.to_owned());
    }
    let mut found: Vec<&str> = history
        .iter()
        .map(|entry| entry.revision.as_str())
        .filter(|revision| wanted.len() >= DIGITS && revision.starts_with(wanted))
        .collect();
    found.dedup();
    match found.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => {
            let known: Vec<&str> = history.iter().map(|e| short(&e.revision)).collect();
            bail!(
                "`{wanted}` is not in the history of `{name}` ({}); write a commit that is not with \
                 all of its 40 digits",
                known.join(", ")
            )
        }
        many => bail!(
            "`{wanted}` may be any of {}: write more of it",
            many.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(digit: &str, outcome: &str, digest: &str) -> HistoryEntry {
        HistoryEntry {
            revision: digit.repeat(40),
            outcome: outcome.into(),
            digest: digest.into(),
            ..HistoryEntry::default()
        }
    }

    #[test]
    fn the_newest_that_was_healthy_before_the_present_one() {
        let history = [
            entry("e", outcome::ROLLED_BACK, "E"),
            entry("d", outcome::APPLIED, "D"),
            // The present objects under an older commit are no way back.
            entry("c", outcome::HEALTHY, "E"),
            entry("b", outcome::HEALTHY, "B"),
            entry("a", outcome::HEALTHY, "A"),
        ];
        assert_eq!(choose(&history, None, "shop").expect("one"), "b".repeat(40));
        let one = choose(&history, Some("AAAAAAA"), "shop");
        assert_eq!(one.expect("one"), "a".repeat(40));
        let mut again = entry("f", outcome::HEALTHY, "B");
        again.reverts = vec!["e".repeat(40), "c".repeat(40)];
        let history_then: Vec<_> = [again].into_iter().chain(history.clone()).collect();
        let one = choose(&history_then, None, "shop");
        assert_eq!(one.expect("further back"), "a".repeat(40));
        let other = "f".repeat(40);
        let one = choose(&history, Some(&other), "shop");
        assert_eq!(one.expect("a commit in full"), other);
    }

    #[test]
    fn what_is_not_known_is_told_with_what_is() {
        let history = [entry("b", outcome::HEALTHY, "B")];
        let told = |wanted| {
            choose(&history, wanted, "shop")
                .expect_err("none")
                .to_string()
        };
        assert!(told(None).contains("healthy before bbbbbbbb"));
        assert!(told(Some("aaaaaaa")).contains("(bbbbbbbb)"));
        assert!(told(Some("bbb")).contains("not in the history"));
        assert!(choose(&[], None, "shop").is_err());
    }
}
