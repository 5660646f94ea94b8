//! What is read without the parser is what the parser reads.

use std::path::{Path, PathBuf};

use super::super::build::Spent;
use super::super::read::parse;
use super::*;

/// Checks a text: whether it could be read without the parser.
fn is_quick(text: &str) -> bool {
    let mut is_quick = false;
    for (added, comments) in [(false, true), (false, false), (true, true)] {
        let Some(quick) = read(text, 7, added, comments) else {
            continue;
        };
        let mut spent = Spent::default();
        let parsed = parse(text, 7, added, comments, &mut spent);
        assert_eq!(
            parsed.as_ref().map(|node| node.as_ref().map(shown)),
            Ok(Some(shown(&quick.node))),
            "{text}"
        );
        // Also what is not shown.
        assert!(parsed == Ok(Some(quick.node)), "{text}");
        assert_eq!(spent, Spent::of(quick.nodes), "{text}");
        is_quick = true;
    }
    is_quick
}

/// A tree as text: its own debug output hides the values.
fn shown(node: &Node) -> String {
    let one = |scalar: &Scalar| {
        let Scalar {
            text, style, line, ..
        } = scalar;
        format!("{:?} {style:?} {line}", text.as_str())
    };
    match node {
        Node::Scalar(scalar) => one(scalar),
        Node::Sequence(list) => {
            let items: Vec<String> = list.items.iter().map(shown).collect();
            format!("[{} {} {}]", list.line, list.flow, items.join(", "))
        }
        Node::Mapping(map) => {
            let entries = map.entries.iter();
            let entries: Vec<String> = entries
                .map(|(key, value)| format!("{}: {}", one(key), shown(value)))
                .collect();
            format!("{{{} {} {}}}", map.line, map.flow, entries.join(", "))
        }
    }
}

#[test]
fn what_manifests_are_made_of_is_read() {
    let texts = [
        "a: b\n",
        "---\n# top\na:\n  b: c # beside\n\n  # above\n  d: -1\n  e:\nf: ''\n",
        "- a\n-\n- - b\n  - c: d\n    e:\n    - f\n    g:\n      - h\n-   i: j\n    k: l\n",
        "a: {b: c, \"d/e\": 'f', g: [], h: {}}\nb: [\"--x=:1\", y.z, [a, b]]  # c\n",
        "a: |\n  # text\n   b: 'c\n\n  d\n\n\nb: |-\n  x\nc: |+\n  y\n\nd:\n  - |\n    z\n",
        "image: a.b/c:1.2.3\nurl: http://a.b/c#d\ncron: 5 4 * * *\nx: a'b\"c{d}[e], f\n",
        "a.b/c-d_e: ~\n1: 2\ntrue: null\n",
    ];
    for text in texts {
        assert!(is_quick(text), "{text}");
    }
}

#[test]
fn all_else_is_left_to_the_parser() {
    let texts = [
        "",
        "# only\n",
        "---\n",
        "a\n",
        "a: b: c\n",
        "a: b\n  c\n",
        "a: 'b\n  c'\n",
        "a: 'it''s'\n",
        "a: \"b\\n\"\n",
        "a: b\n c: d\n",
        "a: &x b\nc: *x\n",
        "<<: {a: b}\n",
        "a: !!str 1\n",
        "a: >\n  b\n",
        "a: |2\n   b\n",
        "a: |\n\n  b\n",
        "a: |\nb: c\n",
        "a: [b,\n  c]\n",
        "a: [b c]\n",
        "a: [b: c]\n",
        "a: {b}\n",
        "a: {b:c}\n",
        "? a\n: b\n",
        "'a': b\n",
        "a: \u{e4}\n",
        "a:\tb\n",
        "a: b\n---\nc: d\n",
        "a: b\n...\n",
        "a: - b\n",
        "- a\nb: c\n",
        "- a\n - b\n",
        "a: 'b' c\n",
        "a: 'b'#c\n",
        "a: {b: c}#d\n",
        "a: @b\n",
        "%YAML 1.1\n---\na: b\n",
        "a:\n  b\n",
    ];
    for text in texts {
        assert!(!is_quick(text), "{text}");
    }
    // The parser looks for no colon behind so much.
    let long = "x".repeat(1_100);
    for text in [format!("{long}: a\n"), format!("a: {{\"{long}\": b}}\n")] {
        assert!(!is_quick(&text), "{text}");
    }
    assert!(is_quick(&format!(
        "a: {long}\nb: [{long:.200}, '{long}']\n"
    )));
    let json = "# {\"a\": 1}\na: {b: c}\n";
    assert!(read(json, 1, false, true).is_none());
    assert!(read(json, 1, false, false).is_some());
    let deep = |levels| format!("a: {}{}\n", "[".repeat(levels), "]".repeat(levels));
    assert!(is_quick(&deep(limits::DEPTH)));
    assert!(!is_quick(&deep(limits::DEPTH + 1)));
}

#[test]
fn the_manifests_of_this_repository_are_read_the_same() {
    let documents = documents();
    let quick = documents.iter().filter(|text| is_quick(text)).count();
    assert!(
        2 * quick > documents.len(),
        "{quick} of {}",
        documents.len()
    );
}

#[test]
fn manifests_with_mistakes_are_read_the_same_or_left_to_the_parser() {
    let documents = documents();
    let mut random = Random(2);
    let mut quick = 0;
    for _ in 0..6_000 {
        let mut text = documents[random.below(documents.len())].clone();
        for _ in 0..=random.below(3) {
            let from = random.place(&text);
            let to = match random.below(3) {
                0 => from,
                1 => text[from..]
                    .find(['\n', ' '])
                    .map_or(from, |at| from + at + 1),
                _ => random.place(&text).max(from),
            };
            let with = match random.below(3) {
                0 => "\n",
                1 => &" ".repeat(random.below(4)),
                _ => PIECES[random.below(PIECES.len())],
            };
            text.replace_range(from..to, with);
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
        quick += usize::from(is_quick(&text));
    }
    assert!(quick > 500, "{quick} were read without the parser");
}

/// Random numbers: xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }

    /// Somewhere between two characters.
    fn place(&mut self, text: &str) -> usize {
        let from = self.below(text.len() + 1);
        (from..=text.len())
            .find(|at| text.is_char_boundary(*at))
            .expect("the end is one")
    }
}

/// The documents of all manifests.
fn documents() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["examples", "fixtures", "manifests"] {
        find(&root.join(folder), &mut files);
    }
    files.sort();
    let texts = files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap_or_default());
    texts
        .flat_map(|text| text.split_inclusive('\n').fold(vec![String::new()], split))
        .collect()
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).expect("a folder of this repository");
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() {
            find(&path, files);
        } else if path.extension().is_some_and(|ext| ext == "yaml") {
            files.push(path);
        }
    }
}

fn split(mut documents: Vec<String>, line: &str) -> Vec<String> {
    if line.starts_with("---") {
        documents.push(String::new());
    } else if let Some(last) = documents.last_mut() {
        last.push_str(line);
    }
    documents
}

/// Pieces of lines, put together at random: most of what comes out is no YAML.
const PIECES: &[&str] = &[
    "a:",
    "b:",
    "a: ",
    "b: ",
    "c/d.e:",
    "- ",
    "-",
    "- - ",
    "-  ",
    "x",
    "y z",
    "1",
    "-1",
    "--",
    "---",
    "...",
    "~",
    "''",
    "'q'",
    "'q' ",
    "\"q\"",
    "'it''s'",
    "\"\\n\"",
    "{}",
    "[]",
    "{a: b}",
    "{a: 'b'}",
    "{a: [b, c]}",
    "[a, b]",
    "[a,b]",
    "[ a , b ]",
    "[a",
    "{a: b",
    "{a: b,}",
    "[a, ]",
    "{a:b}",
    "]",
    "}",
    ",",
    "|",
    "|-",
    "|+",
    "|1",
    ">",
    "# c",
    " # c",
    "#",
    "a#b",
    "a: b",
    "a:b",
    ": ",
    ":",
    "?",
    "? ",
    "&a",
    "*a",
    "!!str ",
    "%",
    "@",
    "`",
    "=",
    "<<: ",
    "\"a\": ",
    "{\"a\": b}",
    "{\"a\":b}",
    "# {\"x\": 1}",
    "$(X)",
    "a, b",
    "a]",
    "a}",
    "{a: b}: ",
    "[a]: ",
    "'a",
    "\"a",
    "\\",
    "é",
];

#[test]
fn whatever_lines_say_is_read_the_same_or_left_to_the_parser() {
    let mut random = Random(1);
    let mut quick = 0;
    for _ in 0..60_000 {
        let mut text = String::new();
        for _ in 0..=random.below(6) {
            text.push_str(&" ".repeat(random.below(4)));
            for _ in 0..random.below(4) {
                text.push_str(PIECES[random.below(PIECES.len())]);
            }
            text.push_str(&" ".repeat(random.below(8) / 7));
            text.push('\n');
        }
        quick += usize::from(is_quick(&text));
    }
    assert!(quick > 1_000, "{quick} were read without the parser");
}
