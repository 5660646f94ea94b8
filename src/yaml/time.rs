//! Timestamps as YAML 1.1 and Go understand them.

/// A point in time, with the offset it was written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timestamp {
    date: [u32; 3],
    time: [u32; 3],
    nanoseconds: u32,
    /// Minutes east of Greenwich.
    offset: i32,
}

/// What is left to read.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take(&mut self, byte: u8) -> Option<()> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        (*first == byte).then_some(())
    }

    /// A number of `least` to `most` digits.
    fn number(&mut self, least: usize, most: usize) -> Option<u32> {
        let digits = self
            .0
            .iter()
            .take(most)
            .take_while(|b| b.is_ascii_digit())
            .count();
        if digits < least {
            return None;
        }
        let (number, rest) = self.0.split_at(digits);
        self.0 = rest;
        Some(
            number
                .iter()
                .fold(0, |all, digit| all * 10 + u32::from(digit - b'0')),
        )
    }

    /// Billionths after a point or a comma; later digits are dropped.
    fn fraction(&mut self) -> u32 {
        let [b'.' | b',', rest @ ..] = self.0 else {
            return 0;
        };
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 {
            return 0;
        }
        self.0 = &rest[digits..];
        let nine = rest[..digits]
            .iter()
            .copied()
            .chain(std::iter::repeat(b'0'))
            .take(9);
        nine.fold(0, |all, digit| all * 10 + u32::from(digit - b'0'))
    }
}

/// The timestamp that `text` is, if it is one.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let mut rest = Cursor(text.as_bytes());
    // Everything starts with four digits and a dash, which nearly nothing else does.
    let year = rest.number(4, 4)?;
    rest.take(b'-')?;
    let month = rest.number(1, 2)?;
    rest.take(b'-')?;
    let day = rest.number(1, 2)?;
    if !(1..=12).contains(&month) || !(1..=days(year, month)).contains(&day) {
        return None;
    }
    let date = [year, month, day];
    let Some((&separator, after)) = rest.0.split_first() else {
        return Some(Timestamp {
            date,
            time: [0; 3],
            nanoseconds: 0,
            offset: 0,
        });
    };
    let zoned = match separator {
        b'T' | b't' => true,
        b' ' => false,
        _ => return None,
    };
    rest.0 = if zoned {
        after
    } else {
        after.trim_ascii_start()
    };
    let hour = rest.number(1, 2)?;
    rest.take(b':')?;
    let minute = rest.number(1, 2)?;
    rest.take(b':')?;
    let second = rest.number(1, 2)?;
    let nanoseconds = rest.fraction();
    let offset = if zoned { zone(&mut rest)? } else { 0 };
    let valid = hour < 24 && minute < 60 && second < 60 && rest.0.is_empty();
    valid.then_some(Timestamp {
        date,
        time: [hour, minute, second],
        nanoseconds,
        offset,
    })
}

/// Minutes east of Greenwich.
fn zone(rest: &mut Cursor<'_>) -> Option<i32> {
    let (&sign, after) = rest.0.split_first()?;
    rest.0 = after;
    if sign == b'Z' {
        return Some(0);
    }
    let hours = rest.number(2, 2)?;
    rest.take(b':')?;
    let minutes = rest.number(2, 2)?;
    if hours > 24 || minutes > 60 {
        return None;
    }
    let offset = i32::try_from(hours * 60 + minutes).ok()?;
    match sign {
        b'+' => Some(offset),
        b'-' => Some(-offset),
        _ => None,
    }
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}

impl Timestamp {
    /// The text in RFC 3339; `None` for an offset of a day or more, which has none.
    pub(super) fn rfc3339(self) -> Option<String> {
        let Self {
            date: [year, month, day],
            time: [hour, minute, second],
            ..
        } = self;
        let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
        if self.nanoseconds > 0 {
            let fraction = format!(".{:09}", self.nanoseconds);
            text.push_str(fraction.trim_end_matches('0'));
        }
        let minutes = self.offset.unsigned_abs();
        if minutes >= 24 * 60 {
            return None;
        }
        match self.offset {
            0 => text.push('Z'),
            offset => {
                let sign = if offset < 0 { '-' } else { '+' };
                text.push_str(&format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
            }
        }
        Some(text)
    }
}
