//! Ages as kubectl prints them: `45s`, `3m20s`, `5h`, `2d4h`.

use jiff::Timestamp;

/// The time from an RFC 3339 text until `now`, or `<unknown>`.
pub(super) fn age(since: Option<&str>, now: Timestamp) -> String {
    match since.and_then(|text| text.parse::<Timestamp>().ok()) {
        Some(since) => span(now.as_second() - since.as_second()),
        None => "<unknown>".into(),
    }
}

/// A time in seconds, with at most two units. Clocks may differ by a moment: the future is `0s`.
fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |big: i64, unit: &str, small: i64, part: &str| match small {
        0 => format!("{big}{unit}"),
        _ => format!("{big}{unit}{small}{part}"),
    };
    if seconds < 120 {
        format!("{seconds}s")
    } else if minutes < 10 {
        two(minutes, "m", seconds % 60, "s")
    } else if minutes < 180 {
        format!("{minutes}m")
    } else if hours < 8 {
        two(hours, "h", minutes % 60, "m")
    } else if hours < 48 {
        format!("{hours}h")
    } else if days < 8 {
        two(days, "d", hours % 24, "h")
    } else if days < 365 * 2 {
        format!("{days}d")
    } else if days < 365 * 8 {
        two(days / 365, "y", days % 365, "d")
    } else {
        format!("{}y", days / 365)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_those_of_kubectl() {
        const DAY: i64 = 86_400;
        for (seconds, text) in [
            (-5, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (200, "3m20s"),
            (600, "10m"),
            (3 * 3600 - 1, "179m"),
            (3 * 3600, "3h"),
            (7 * 3600 + 120, "7h2m"),
            (9 * 3600, "9h"),
            (2 * DAY, "2d"),
            (2 * DAY + 5 * 3600, "2d5h"),
            (30 * DAY, "30d"),
            (2 * 365 * DAY + DAY, "2y1d"),
            (9 * 365 * DAY, "9y"),
        ] {
            assert_eq!(span(seconds), text, "{seconds} s");
        }
    }

    #[test]
    fn what_is_no_time_has_no_age() {
        let now: Timestamp = "2026-01-02T00:00:00Z".parse().expect("a time");
        assert_eq!(age(Some("2026-01-01T23:59:00Z"), now), "60s");
        assert_eq!(age(Some("yesterday"), now), "<unknown>");
        assert_eq!(age(None, now), "<unknown>");
    }
}
