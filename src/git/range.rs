//! Ranges of semantic versions over tags, as Argo CD and Flux take them.
//!
//! The `semver` crate knows Cargo's notation; people write npm's and Masterminds': `1.x`,
//! `>=1 <2` without a comma, `1.2 - 1.4`, `^1 || ^2`, and `>=1.0.0-0` to mean pre-releases too.

use std::fmt::Write as _;

use semver::{BuildMetadata, Comparator, Op, Prerelease, Version, VersionReq};

/// Versions, any of whose alternatives may match.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Range {
    /// Each in the crate's notation, so that it can be ordered and hashed.
    alternatives: Vec<String>,
}

impl Range {
    /// Whether `text` can only be meant as a range: it has a sign that no plain version has.
    pub(super) fn looks_like(text: &str) -> bool {
        if text.contains(['^', '~', '*', '<', '>', '|', ' ']) || text.starts_with('=') {
            return true;
        }
        // `1.x`, `v1.2.X`, `x`: every part a number but for a wildcard at the end.
        let parts: Vec<&str> = text.strip_prefix('v').unwrap_or(text).split('.').collect();
        let (last, numbers) = parts
            .split_last()
            .expect("splitting yields at least one part");
        matches!(*last, "x" | "X")
            && !numbers.is_empty()
            && numbers
                .iter()
                .all(|part| matches!(*part, "x" | "X") || part.bytes().all(|b| b.is_ascii_digit()))
    }

    /// Reads a range.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut alternatives = Vec::new();
        for alternative in text.split("||") {
            let cargo = in_cargo_notation(alternative)?;
            VersionReq::parse(&cargo).map_err(|error| {
                format!("it is not a range of versions such as `1.2.*` or `>=1.2 <2`: {error}")
            })?;
            alternatives.push(cargo);
        }
        Ok(Self { alternatives })
    }

    /// The highest version in the range among `tags` (names without `refs/tags/`). Of two tags
    /// that are one version, such as `1.0.0` and `v1.0.0`, the one that sorts last.
    pub(super) fn highest<'a>(&self, tags: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        let requirements: Vec<VersionReq> = self
            .alternatives
            .iter()
            .map(|text| VersionReq::parse(text).expect("it was parsed before"))
            .collect();
        tags.into_iter()
            .filter_map(|tag| version(tag).map(|version| (version, tag)))
            .filter(|(version, _)| requirements.iter().any(|range| matches(range, version)))
            .max()
            .map(|(_, tag)| tag)
    }
}

/// `>=1.2 <v2` as `>=1.2, <2`; `1.2 - 1.4` as `>=1.2, <=1.4`; a bare version as itself exactly.
fn in_cargo_notation(text: &str) -> Result<String, String> {
    let text = text.trim();
    if let Some((low, high)) = text.split_once(" - ") {
        return Ok(format!(">={}, <={}", bare(low), bare(high)));
    }
    let mut out = String::new();
    let mut operator = String::new();
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        let version = word.trim_start_matches(['^', '~', '<', '>', '=', '!']);
        operator.push_str(&word[..word.len() - version.len()]);
        if version.is_empty() {
            // `>= 1.2`: the operator stands alone.
            continue;
        }
        let operator = std::mem::take(&mut operator);
        if operator.contains('!') {
            return Err("ranges with `!=` are not supported".into());
        }
        if !out.is_empty() {
            out.push_str(", ");
        }
        let mut version = bare(version);
        if !operator.is_empty() && version.contains('*') {
            // `^1.x` and `>=1.*` say no more than `^1` and `>=1`.
            version = version.trim_end_matches(['*', '.']).to_owned();
            if version.is_empty() {
                version.push('0');
            }
        }
        let operator = match operator.as_str() {
            "" if !version.contains('*') => "=",
            "==" => "=",
            "=>" => ">=",
            "=<" => "<=",
            "~>" => "~",
            other => other,
        };
        // Writing to a string does not fail.
        let _ = write!(out, "{operator}{version}");
    }
    if out.is_empty() || !operator.is_empty() {
        return Err("it is not a range of versions such as `1.2.*` or `>=1.2 <2`".into());
    }
    Ok(out)
}

/// A version without `v`, its wildcards written `*`, cut after the first of them.
fn bare(version: &str) -> String {
    let version = version.trim();
    let version = version.strip_prefix(['v', 'V']).unwrap_or(version);
    let (core, rest) = match version.find(['-', '+']) {
        Some(at) => version.split_at(at),
        None => (version, ""),
    };
    let mut out = String::new();
    for part in core.split('.') {
        if !out.is_empty() {
            out.push('.');
        }
        if matches!(part, "x" | "X" | "*") {
            out.push('*');
            return out;
        }
        out.push_str(part);
    }
    out + rest
}

/// The version a tag is named after: with or without `v`, missing parts being 0.
fn version(tag: &str) -> Option<Version> {
    let text = tag.strip_prefix(['v', 'V']).unwrap_or(tag);
    if let Ok(version) = Version::parse(text) {
        return Some(version);
    }
    let core = text.find(['-', '+']).map_or(text, |at| &text[..at]);
    let padded = match core.split('.').count() {
        1 => format!("{core}.0.0{}", &text[core.len()..]),
        2 => format!("{core}.0{}", &text[core.len()..]),
        _ => return None,
    };
    Version::parse(&padded).ok()
}

/// Whether `version` is in `range`. A pre-release is, only where the range names one, and then as
/// any other version: `>=1.0.0-0` takes them all.
fn matches(range: &VersionReq, version: &Version) -> bool {
    if version.pre.is_empty() || range.comparators.iter().all(|c| c.pre.is_empty()) {
        return range.matches(version);
    }
    range
        .comparators
        .iter()
        .all(|comparator| matches_pre_release(comparator, version))
}

fn matches_pre_release(comparator: &Comparator, version: &Version) -> bool {
    let (major, minor) = (comparator.major, comparator.minor);
    let low = Version {
        major,
        minor: minor.unwrap_or(0),
        patch: comparator.patch.unwrap_or(0),
        pre: comparator.pre.clone(),
        build: BuildMetadata::EMPTY,
    };
    // The first version past the range, below all of its pre-releases.
    let before = |major, minor, patch| {
        let pre = Prerelease::new("0").expect("`0` is a pre-release");
        Version {
            major,
            minor,
            patch,
            pre,
            build: BuildMetadata::EMPTY,
        }
    };
    let order = version.cmp_precedence(&low);
    let below = |high: Version| order.is_ge() && version.cmp_precedence(&high).is_lt();
    match comparator.op {
        Op::Greater => order.is_gt(),
        Op::GreaterEq => order.is_ge(),
        Op::Less => order.is_lt(),
        Op::LessEq => order.is_le(),
        Op::Exact => order.is_eq(),
        Op::Caret if major > 0 || minor.is_none() => below(before(major + 1, 0, 0)),
        Op::Caret if low.minor > 0 || comparator.patch.is_none() => {
            below(before(0, low.minor + 1, 0))
        }
        Op::Caret => below(before(0, 0, low.patch + 1)),
        Op::Tilde if minor.is_none() => below(before(major + 1, 0, 0)),
        Op::Tilde => below(before(major, low.minor + 1, 0)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn highest<'a>(range: &str, tags: &[&'a str]) -> Option<&'a str> {
        Range::parse(range)
            .unwrap_or_else(|error| panic!("{error}"))
            .highest(tags.iter().copied())
    }

    #[test]
    fn ranges_pick_the_highest_version() {
        let tags = [
            "v1.0.0",
            "v1.2.0",
            "v1.10.1",
            "1.3.0",
            "v2.0.0",
            "v2.1.0-rc.1",
            "x",
            "nightly",
        ];
        for (range, tag) in [
            ("1.2.*", Some("v1.2.0")),
            ("v1.2.x", Some("v1.2.0")),
            ("1.x", Some("v1.10.1")),
            ("^1.0", Some("v1.10.1")),
            ("~1.2", Some("v1.2.0")),
            (">=1.0 <2.0", Some("v1.10.1")),
            (">= 1.0, < 1.10", Some("1.3.0")),
            ("1.0 - 1.5", Some("1.3.0")),
            ("^1 || ^2", Some("v2.0.0")),
            ("*", Some("v2.0.0")),
            (">=1.0.0-0", Some("v2.1.0-rc.1")),
            ("^2.0.0-0", Some("v2.1.0-rc.1")),
            ("=1.2.0", Some("v1.2.0")),
            ("^1.x", Some("v1.10.1")),
            (">=2.*", Some("v2.0.0")),
            ("^3", None),
        ] {
            assert_eq!(highest(range, &tags), tag, "{range}");
        }
    }

    #[test]
    fn short_and_twin_tags_are_versions_too() {
        assert_eq!(highest("*", &["1", "1.5", "v1.4.9"]), Some("1.5"));
        assert_eq!(highest("*", &["v1.0.0", "1.0.0"]), Some("v1.0.0"));
        assert_eq!(highest("*", &["2024.01.05", "release"]), None);
    }
}
