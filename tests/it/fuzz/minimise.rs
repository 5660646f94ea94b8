//! Making a failing input small: files, then lines, then single characters go, as long as it fails.

use super::{Input, Property};

/// How often the property is asked on the way.
const TRIES: usize = 2_000;

/// The smallest input that was found, and why it fails.
pub(super) fn minimised(mut input: Input, mut why: String, holds: Property) -> (Input, String) {
    let mut tries = TRIES;
    let mut attempt = |smaller: Input, input: &mut Input| {
        tries = tries.saturating_sub(1);
        let Some(Err(reason)) = (tries > 0).then(|| holds(&smaller)) else {
            return false;
        };
        (*input, why) = (smaller, reason);
        true
    };
    for path in input.keys().cloned().collect::<Vec<_>>() {
        let mut without = input.clone();
        without.remove(&path);
        attempt(without, &mut input);
    }
    for path in input.keys().cloned().collect::<Vec<_>>() {
        for separator in [Some(b'\n'), None] {
            let mut len = pieces(&input[&path], separator).len();
            while len > 0 {
                let mut at = 0;
                while at < pieces(&input[&path], separator).len() {
                    let mut rest = pieces(&input[&path], separator);
                    let end = (at + len).min(rest.len());
                    rest.drain(at..end);
                    let mut smaller = input.clone();
                    smaller.insert(path.clone(), rest.concat());
                    if !attempt(smaller, &mut input) {
                        at += len;
                    }
                }
                len /= 2;
            }
        }
    }
    (input, why)
}

/// Lines with their ends, or bytes.
fn pieces(text: &[u8], separator: Option<u8>) -> Vec<Vec<u8>> {
    match separator {
        Some(end) => text
            .split_inclusive(|b| *b == end)
            .map(<[u8]>::to_vec)
            .collect(),
        None => text.chunks(1).map(<[u8]>::to_vec).collect(),
    }
}
