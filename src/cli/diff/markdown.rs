//! A diff as a comment on a pull request: a table of what would happen, and each object's diff to
//! unfold.

use std::fmt::Write as _;

use super::{Entry, Verdict};
use crate::live::shown;

/// The most characters that GitHub takes in one comment.
const LIMIT: usize = 65_536;
/// What of it the table may take, and what is kept for the words about what was cut.
const TABLE: usize = 20_000;
const TAIL: usize = 2_000;
/// A diff of which less than this would be left is left out.
const WORTH: usize = 1_000;
/// The longest note in the table.
const NOTE: usize = 200;

/// What the comment is about.
pub(super) struct Page<'a> {
    /// Such as `team-a/shop`.
    pub subject: &'a str,
    /// The commit, where one was rendered.
    pub revision: Option<&'a str>,
    /// What holds for all of it: a plan that would be held, what is not compared.
    pub notes: &'a [String],
    /// Every object.
    pub entries: &'a [Entry],
}

/// The comment: at most 65,536 characters; what is cut is said.
pub(super) fn page(page: &Page<'_>) -> String {
    let told: Vec<&Entry> = page
        .entries
        .iter()
        .filter(|entry| entry.verdict != Verdict::Same)
        .collect();
    let mut out = head(page, told.len());
    table(&mut out, &told);
    let mut cut = Cut::default();
    let mut length = out.chars().count();
    for entry in told.iter().filter(|entry| !entry.text.is_empty()) {
        let room = (LIMIT - TAIL).saturating_sub(length);
        match details(entry, room) {
            Some((text, is_whole)) => {
                length += text.chars().count();
                out.push_str(&text);
                cut.shortened += usize::from(!is_whole);
            }
            None => cut.left_out.push(&entry.object),
        }
    }
    cut.tell(&mut out);
    out
}

fn head(page: &Page<'_>, told: usize) -> String {
    let at = page.revision.map(|commit| format!(" at {}", code(commit)));
    let mut out = format!(
        "### towline diff: {}{}\n\n",
        code(page.subject),
        at.unwrap_or_default()
    );
    let counts: Vec<String> = Verdict::ALL
        .iter()
        .filter_map(|verdict| {
            let count = page
                .entries
                .iter()
                .filter(|e| e.verdict == *verdict)
                .count();
            (count > 0).then(|| format!("{count} {}", verdict.as_str()))
        })
        .collect();
    if told == 0 {
        out.push_str("Nothing would change");
    } else {
        let _ = write!(out, "**{}**", counts.join(", "));
    }
    out.push_str(".\n");
    for note in page.notes.iter().take(20) {
        let _ = write!(out, "\n> {}\n", code(&shown::line(note, 512)));
    }
    out
}

fn table(out: &mut String, told: &[&Entry]) {
    if told.is_empty() {
        return;
    }
    let mut text = String::from("\n| | object | file | |\n|---|---|---|---|\n");
    let mut rows = 0;
    for entry in told {
        let row = format!(
            "| {} | {} | {} | {} |\n",
            entry.verdict.as_str(),
            cell(&entry.object, 512),
            cell(&entry.place, NOTE),
            cell(&entry.note, NOTE)
        );
        if text.chars().count() + row.chars().count() > TABLE {
            break;
        }
        text.push_str(&row);
        rows += 1;
    }
    out.push_str(&text);
    if rows < told.len() {
        let _ = write!(out, "\n… and {} more objects.\n", told.len() - rows);
    }
}

/// The diff of one object, to unfold, in at most `room` characters; and whether that is all of it.
fn details(entry: &Entry, room: usize) -> Option<(String, bool)> {
    let fence = "`".repeat(longest_run(&entry.text).max(2) + 1);
    let (name, verdict) = (
        html(&shown::line(&entry.object, 512)),
        entry.verdict.as_str(),
    );
    let begin =
        format!("\n<details><summary>{verdict} <code>{name}</code></summary>\n\n{fence}diff\n");
    let end = format!("{fence}\n\n</details>\n");
    let frame = begin.chars().count() + end.chars().count();
    let size = entry.text.chars().count();
    if frame + size < room {
        let text = entry.text.trim_end_matches('\n');
        return Some((format!("{begin}{text}\n{end}"), true));
    }
    let room = room.checked_sub(frame + 64).filter(|room| *room >= WORTH)?;
    let (mut text, mut length, mut lines) = (String::new(), 0, 0);
    for line in entry.text.lines() {
        length += line.chars().count() + 1;
        if length > room {
            break;
        }
        text.extend([line, "\n"]);
        lines += 1;
    }
    let more = entry.text.lines().count() - lines;
    Some((format!("{begin}{text}… {more} more lines\n{end}"), false))
}

/// What did not fit.
#[derive(Default)]
struct Cut<'a> {
    shortened: usize,
    left_out: Vec<&'a str>,
}

impl Cut<'_> {
    fn tell(&self, out: &mut String) {
        if self.shortened == 0 && self.left_out.is_empty() {
            return;
        }
        let mut cut = Vec::new();
        if self.shortened > 0 {
            cut.push(format!(
                "the diff of {} objects is shortened",
                self.shortened
            ));
        }
        if !self.left_out.is_empty() {
            let first = self.left_out.iter().take(3);
            let names: Vec<String> = first.map(|name| code(&shown::line(name, 256))).collect();
            let more = match self.left_out.len().saturating_sub(names.len()) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            cut.push(format!("that of {}{more} is left out", names.join(", ")));
        }
        let _ = write!(
            out,
            "\n**Cut**, because a comment has at most {LIMIT} characters: {}. `towline diff` shows all.\n",
            cut.join(", ")
        );
    }
}

/// The longest run of backquotes.
fn longest_run(text: &str) -> usize {
    let runs = text.split(|c| c != '`').map(str::len);
    runs.max().unwrap_or(0)
}

/// Text as code: nothing in it is Markdown, a mention or a link.
fn code(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let fence = "`".repeat(longest_run(text) + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// Code in a cell of a table, where a bar would end it.
fn cell(text: &str, limit: usize) -> String {
    code(&shown::line(text, limit)).replace('|', "\\|")
}

fn html(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(object: &str, verdict: Verdict, text: &str) -> Entry {
        Entry {
            object: object.into(),
            verdict,
            note: String::new(),
            place: "prod/a.yaml:1".into(),
            text: text.into(),
        }
    }

    fn shown_page(entries: &[Entry], notes: &[String]) -> String {
        page(&Page {
            subject: "team-a/shop",
            revision: Some("1a2b3c4d"),
            notes,
            entries,
        })
    }

    #[test]
    fn a_table_says_what_happens_and_each_diff_unfolds() {
        let mut prune = entry("ConfigMap/shop/left", Verdict::Prune, "");
        prune.note = "left Git | @everyone".into();
        let entries = [
            entry(
                "ConfigMap/shop/a",
                Verdict::Update,
                "--- live\n+++ desired\n-a\n+b\n",
            ),
            entry("ConfigMap/shop/same", Verdict::Same, ""),
            prune,
        ];
        let out = shown_page(&entries, &["the prunes would be held: 5 of 6".into()]);
        assert_eq!(
            out,
            "### towline diff: `team-a/shop` at `1a2b3c4d`\n\n\
             **1 same, 1 update, 1 prune**.\n\n\
             > `the prunes would be held: 5 of 6`\n\n\
             | | object | file | |\n|---|---|---|---|\n\
             | update | `ConfigMap/shop/a` | `prod/a.yaml:1` |  |\n\
             | prune | `ConfigMap/shop/left` | `prod/a.yaml:1` | `left Git \\| @everyone` |\n\n\
             <details><summary>update <code>ConfigMap/shop/a</code></summary>\n\n\
             ```diff\n--- live\n+++ desired\n-a\n+b\n```\n\n</details>\n"
        );
    }

    #[test]
    fn nothing_is_said_in_a_line() {
        let out = shown_page(&[entry("ConfigMap/shop/same", Verdict::Same, "")], &[]);
        assert!(out.ends_with("\n\nNothing would change.\n"), "{out}");
    }

    #[test]
    fn a_fence_in_the_content_does_not_end_the_fence() {
        let text = "+  readme: |\n+    ````sh\n+    ````\n+    </details>\n";
        let out = shown_page(&[entry("ConfigMap/shop/a", Verdict::Create, text)], &[]);
        assert!(
            out.contains("\n`````diff\n") && out.ends_with("\n`````\n\n</details>\n"),
            "{out}"
        );
        let odd = entry("ClusterRole/`<b>`", Verdict::Create, "+a\n");
        let out = shown_page(&[odd], &[]);
        assert!(out.contains("| `` ClusterRole/`<b>` `` |"), "{out}");
        assert!(
            out.contains("<code>ClusterRole/`&lt;b&gt;`</code>"),
            "{out}"
        );
    }

    #[test]
    fn what_is_too_long_is_cut_and_said_to_be() {
        let long = "+é line of forty characters, or so it is\n".repeat(1_000);
        let mut entries: Vec<Entry> = (0..5)
            .map(|n| entry(&format!("ConfigMap/shop/{n}"), Verdict::Create, &long))
            .collect();
        let out = shown_page(&entries, &[]);
        assert!(out.chars().count() <= LIMIT, "{}", out.chars().count());
        assert!(out.contains(" more lines\n```\n"), "one is shortened");
        assert!(
            out.contains("the diff of 1 objects is shortened, that of `ConfigMap/shop/2`, `ConfigMap/shop/3`, `ConfigMap/shop/4` is left out"),
            "{}",
            &out[out.len() - 400..]
        );
        entries.extend((0..5_000).map(|n| {
            entry(
                &format!("ConfigMap/shop/{}{n}", "x".repeat(200)),
                Verdict::Prune,
                "",
            )
        }));
        let out = shown_page(&entries, &[]);
        assert!(out.chars().count() <= LIMIT, "{}", out.chars().count());
        assert!(out.contains(" more objects.\n"));
    }
}
