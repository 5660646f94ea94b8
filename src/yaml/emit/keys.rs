//! The order in which keys are printed: go-yaml's natural one, not that of the bytes.

use std::cmp::Ordering;

use super::Entry;

/// Calls `each` with the entries of `map` in the order of go-yaml v2.
pub(super) fn in_order<'a>(map: &'a [Entry<'a>], each: impl FnMut(&'a Entry<'a>)) {
    // The map is in the order of bytes, which nearly always is the same.
    if map.is_sorted_by(|(a, _), (b, _)| compare(a, b) == Ordering::Less) {
        return map.iter().for_each(each);
    }
    sorted(map.iter().collect()).into_iter().for_each(each);
}

/// Merge sort. The order is not a proper one (`a < b < c < a` is possible), which the sort of the
/// standard library may answer with a panic.
fn sorted<'a>(mut entries: Vec<&'a Entry<'a>>) -> Vec<&'a Entry<'a>> {
    if entries.len() < 2 {
        return entries;
    }
    let right = sorted(entries.split_off(entries.len() / 2));
    let left = sorted(entries);
    let mut all = Vec::with_capacity(left.len() + right.len());
    let mut right = right.into_iter().peekable();
    for entry in left {
        while let Some(next) = right.next_if(|next| compare(&next.0, &entry.0) == Ordering::Less) {
            all.push(next);
        }
        all.push(entry);
    }
    all.extend(right);
    all
}

fn compare(a: &str, b: &str) -> Ordering {
    let same = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    // Back to the start of a character, where the difference is inside one.
    let same = (0..=same)
        .rev()
        .find(|at| a.is_char_boundary(*at))
        .unwrap_or(0);
    let (rest_a, rest_b) = (&a[same..], &b[same..]);
    let (Some(first_a), Some(first_b)) = (rest_a.chars().next(), rest_b.chars().next()) else {
        return rest_a.len().cmp(&rest_b.len());
    };
    match (is_letter(first_a), is_letter(first_b)) {
        (true, true) => return first_a.cmp(&first_b),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    // Digits compare as numbers. A zero after a digit other than zero goes on with its number.
    let mut start = 0;
    if first_a == '0' || first_b == '0' {
        let before = a[..same].chars().rev().take_while(char::is_ascii_digit);
        start = i64::from(before.into_iter().any(|c| c != '0'));
    }
    let number = |rest: &str| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit);
        digits.fold((start, 0usize), |(number, length), digit| {
            (
                number
                    .wrapping_mul(10)
                    .wrapping_add(i64::from(digit - b'0')),
                length + 1,
            )
        })
    };
    number(rest_a)
        .cmp(&number(rest_b))
        .then(first_a.cmp(&first_b))
}

fn is_letter(c: char) -> bool {
    c.is_alphabetic() && !c.is_numeric()
}
