//! What is said while a commit is pushed: the command, and how servers put their answer. Pure.

use super::receive::Update;

/// The command, with what of the server's abilities is made use of. A strict server hangs up on one
/// that it did not name.
pub(super) fn command(update: &Update<'_>, has: impl Fn(&str) -> bool) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut out = format!(
        "{} {} {}\0report-status",
        update.old, update.new, update.reference
    );
    for (ability, text) in [
        ("side-band-64k", " side-band-64k".to_owned()),
        ("object-format", " object-format=sha1".to_owned()),
        ("agent", format!(" agent=git/towline-{version}")),
    ] {
        if has(ability) {
            out.push_str(&text);
        }
    }
    out
}

/// Whether Git cannot have a branch because of another one: `a` and `a/b` exclude each other.
pub(super) fn excludes(there: &str, wanted: &str) -> bool {
    let is_below = |below: &str, above: &str| {
        below
            .strip_prefix(above)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    is_below(there, wanted) || is_below(wanted, there)
}

/// Whether the server says, each in its own words, that the branch is not where it was: `why` in
/// its report, `words` beside that. What stays as it is however often it is tried is none.
pub(super) fn is_race(why: &str, words: &str) -> bool {
    let all = format!("{why}\n{words}").to_ascii_lowercase();
    let has = |list: &[&str]| list.iter().any(|part| all.contains(part));
    let stays = [
        "cannot create",
        "permission denied",
        "read-only",
        "no space left",
        "is a directory",
        "not a directory",
        "non-empty directory",
        "reference broken",
    ];
    let why = why.to_ascii_lowercase();
    let races = [
        "failed to update ref",
        "cannot lock ref",
        "failed to lock",
        "reference already exists",
        "already exists",
        "stale info",
        "fetch first",
        "non-fast-forward",
        "incorrect old value",
    ];
    !has(&stays) && races.iter().any(|part| why.contains(part))
}

/// What is inside of the packet lines in `bytes`: within a band, the report has lines of its own.
pub(super) fn unframed(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some((length, tail)) = rest.split_at_checked(4) {
        let length = std::str::from_utf8(length).ok();
        let length = length.and_then(|hex| usize::from_str_radix(hex, 16).ok());
        let Some(line) = length
            .filter(|length| *length > 4)
            .and_then(|length| tail.get(..length - 4))
        else {
            break;
        };
        out.extend_from_slice(line);
        if !line.ends_with(b"\n") {
            out.push(b'\n');
        }
        rest = &tail[line.len()..];
    }
    out
}

#[cfg(test)]
mod tests {
    use gix_hash::ObjectId;

    use super::*;

    #[test]
    fn a_report_is_read_out_of_its_packet_lines() {
        let report = b"000eunpack ok\n0017ok refs/heads/main\n0000";
        assert_eq!(unframed(report), b"unpack ok\nok refs/heads/main\n");
        // What is cut off or no packet line ends it, and harms nothing.
        assert_eq!(unframed(b"000eunpack ok\n00ffok"), b"unpack ok\n");
        assert_eq!(unframed(b"zzzz"), b"");
        assert_eq!(unframed(b"0002"), b"");
    }

    #[test]
    fn a_race_is_told_from_a_refusal() {
        for (why, words) in [
            ("failed to update ref", ""),
            ("Cannot lock ref 'refs/heads/main'", ""),
            (
                "failed to update ref",
                "error: cannot lock ref 'refs/heads/main': is at 1 but expected 2",
            ),
            (
                "failed to update ref",
                "error: Unable to create '/r/refs/heads/main.lock': File exists.",
            ),
        ] {
            assert!(is_race(why, words), "{why} {words}");
        }
        for (why, words) in [
            ("pre-receive hook declined", ""),
            ("protected branch hook declined", ""),
            ("pre-receive hook declined", "fetch first, says the hook"),
            (
                "failed to update ref",
                "error: cannot lock ref 'refs/heads/a/b': 'refs/heads/a' exists; cannot create \
                 'refs/heads/a/b'",
            ),
            (
                "failed to update ref",
                "error: Unable to create '/r/refs/heads/main.lock': Permission denied",
            ),
        ] {
            assert!(!is_race(why, words), "{why} {words}");
        }
    }

    #[test]
    fn only_what_the_server_can_is_asked_of_it() {
        let null = ObjectId::null(gix_hash::Kind::Sha1);
        let update = Update {
            reference: "refs/heads/main",
            old: null,
            new: null,
            pack: b"",
        };
        let old = command(&update, |_| false);
        assert!(old.ends_with(" refs/heads/main\0report-status"), "{old:?}");
        let all = command(&update, |_| true);
        let (_, all) = all.split_once('\0').expect("abilities");
        let expected = "report-status side-band-64k object-format=sha1 agent=git/towline-";
        assert!(all.starts_with(expected), "{all}");
    }

    #[test]
    fn a_branch_and_one_below_it_exclude_each_other() {
        let wanted = "refs/heads/towline/revert-1";
        for (there, expected) in [
            ("refs/heads/towline", true),
            ("refs/heads/towline/revert-1/x", true),
            ("refs/heads/towline/revert-2", false),
            ("refs/heads/tow", false),
            (wanted, false),
        ] {
            assert_eq!(excludes(there, wanted), expected, "{there}");
        }
    }
}
