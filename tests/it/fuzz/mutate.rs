//! Small changes of texts that are nearly right: those come further than noise does.

use super::random::Random;

/// What means something to YAML, or to one of the readers behind it.
const TOKENS: &[&str] = &[
    ": ",
    "- ",
    "? ",
    "\n",
    "\n---\n",
    "\n...\n",
    "  ",
    "\t",
    "[",
    "]",
    "{",
    "}",
    ",",
    "#",
    " #",
    "|",
    "|2-",
    ">+",
    ">-",
    "'",
    "\"",
    "\\",
    "\\u0000",
    "\\x1b",
    "&a ",
    "*a",
    "&a &a ",
    "<<: *a\n",
    "<<: ",
    "!",
    "!!str ",
    "!!int ",
    "!!binary ",
    "!!null",
    "!custom ",
    "%YAML 1.1\n",
    "~",
    "null",
    "true",
    "no",
    "0o17",
    "0x1F",
    "1_0",
    "1e999",
    ".nan",
    "-.inf",
    "9223372036854775808",
    "-1",
    "2001-01-01",
    "12:30:45",
    "0",
    "\u{feff}",
    "\u{85}",
    "\u{2028}",
    "\u{202e}",
    "é",
    "\u{1f600}",
    "\0",
    "\r",
    "\r\n",
    "$(A)",
    "$$",
    "$(",
    "${A}",
    "../",
    "/",
    "//",
    ".",
    "*",
    "~1",
    "~0",
    "=",
    "(a+)+",
    "[a=b]",
    "[=x]",
    "$patch: delete\n",
    "$patch: replace\n",
    "$patch: x\n",
    "metadata:\n",
    "name: a\n",
    "kind: List\nitems:\n",
    "kind: ConfigMap\n",
    "apiVersion: v1\n",
    "data:\n",
    "spec:\n",
    "namespace: x\n",
    "---",
    "--- x",
    "...",
];

/// Changes a text a little, in one to four places.
pub(super) fn mutate(text: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut text = text.to_vec();
    for _ in 0..=random.below(4) {
        match random.below(10) {
            0 | 1 => insert(&mut text, random),
            2 => remove(&mut text, random),
            3 => repeat(&mut text, random),
            4 => flip(&mut text, random),
            5 => splice(&mut text, other, random),
            6 | 7 => lines(&mut text, random),
            _ => value(&mut text, random),
        }
    }
    text.truncate(64 << 10);
    text
}

fn place(text: &[u8], random: &mut Random) -> usize {
    random.below(text.len() + 1)
}

/// A part of the text, mostly a short one.
fn range(text: &[u8], random: &mut Random) -> std::ops::Range<usize> {
    let start = place(text, random);
    let most = if random.once_in(8) { text.len() } else { 16 };
    let len = random.below(most + 1).min(text.len() - start);
    start..start + len
}

fn insert(text: &mut Vec<u8>, random: &mut Random) {
    let at = place(text, random);
    let token = random.pick(TOKENS);
    text.splice(at..at, token.bytes());
}

fn remove(text: &mut Vec<u8>, random: &mut Random) {
    let range = range(text, random);
    text.drain(range);
}

fn repeat(text: &mut Vec<u8>, random: &mut Random) {
    let range = range(text, random);
    let times = if random.once_in(6) {
        200
    } else {
        1 + random.below(3)
    };
    let part = text[range.clone()].repeat(times);
    text.splice(range.end..range.end, part);
}

fn flip(text: &mut [u8], random: &mut Random) {
    if let Some(last) = text.len().checked_sub(1) {
        let at = random.below(last + 1);
        text[at] ^= 1 << random.below(8);
    }
}

fn splice(text: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let (range, at) = (range(other, random), place(text, random));
    text.splice(at..at, other[range].iter().copied());
}

/// Moves, removes, doubles or indents a line.
fn lines(text: &mut Vec<u8>, random: &mut Random) {
    let mut lines: Vec<Vec<u8>> = text.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    let (at, to) = (random.below(lines.len()), random.below(lines.len()));
    match random.below(5) {
        0 => lines.swap(at, to),
        1 => drop(lines.remove(at)),
        2 => {
            let line = lines[at].clone();
            lines.insert(to, line);
        }
        3 => lines[at].splice(0..0, *b"  ").for_each(drop),
        _ => {
            let spaces = lines[at].iter().take_while(|b| **b == b' ').count();
            lines[at].drain(..spaces.min(2));
        }
    }
    *text = lines.join(&b'\n');
}

/// Puts something else behind a colon.
fn value(text: &mut Vec<u8>, random: &mut Random) {
    let colons: Vec<usize> = text
        .windows(2)
        .enumerate()
        .filter(|(_, w)| w == b": ")
        .map(|(i, _)| i + 2)
        .collect();
    if colons.is_empty() {
        return insert(text, random);
    }
    let start = colons[random.below(colons.len())];
    let len = text[start..]
        .iter()
        .position(|b| *b == b'\n')
        .unwrap_or(text.len() - start);
    let new = match random.below(4) {
        0 => format!("\"{}\"", random.pick(TOKENS).escape_default()),
        1 => "[a, {b: c}, null]".to_owned(),
        2 => "{a: [b], c: null}".to_owned(),
        _ => random.pick(TOKENS).to_owned(),
    };
    text.splice(start..start + len, new.bytes());
}
