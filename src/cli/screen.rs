//! Where a verb prints.

use std::io::{self, Write};

use crate::live::shown;

/// What a word means to the reader, for its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Tone {
    #[default]
    Plain,
    /// As it should be; added lines of a diff.
    Good,
    /// On its way, or waiting.
    Busy,
    /// A person may have to act; removed lines of a diff.
    Bad,
    /// Places in a diff.
    Place,
}

impl Tone {
    /// The tone of a word in `.status.sync.status`, `.status.health.status` or of a condition.
    pub(super) fn of(word: &str) -> Self {
        match word {
            "Synced" | "Healthy" | "True" => Self::Good,
            "Progressing" | "OutOfSync" | "Suspended" | "Unknown" => Self::Busy,
            "Degraded" | "Missing" | "False" | "RolledBack" => Self::Bad,
            _ => Self::Plain,
        }
    }

    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Good => Some("32"),
            Self::Busy => Some("33"),
            Self::Bad => Some("31"),
            Self::Place => Some("36"),
        }
    }
}

/// Results go to one writer, progress and warnings to the other.
pub(super) struct Screen<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    colours: bool,
}

impl<'a> Screen<'a> {
    pub(super) fn new(out: &'a mut dyn Write, err: &'a mut dyn Write, colours: bool) -> Self {
        Self { out, err, colours }
    }

    /// Prints a result as it is.
    pub(super) fn print(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())
    }

    /// Prints one line of a result.
    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// Says how it goes, on stderr. What was printed before is shown before. Texts come from
    /// repositories and clusters: nothing in them steers the terminal.
    pub(super) fn note(&mut self, text: &str) -> io::Result<()> {
        self.out.flush()?;
        text.lines()
            .try_for_each(|line| writeln!(self.err, "{}", shown::escaped(line)))
    }

    /// The text in the colour of its tone, where colours are wanted.
    pub(super) fn paint(&self, tone: Tone, text: &str) -> String {
        match tone.code() {
            Some(code) if self.colours && !text.is_empty() => {
                format!("\u{1b}[{code}m{text}\u{1b}[0m")
            }
            _ => text.to_owned(),
        }
    }
}

/// Runs `print` on a screen without colours; returns what went to stdout and to stderr.
#[cfg(test)]
pub(super) fn printed<T>(print: impl FnOnce(&mut Screen<'_>) -> T) -> (T, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let result = print(&mut Screen::new(&mut out, &mut err, false));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("towline prints UTF-8");
    (result, text(out), text(err))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_only_where_they_are_wanted() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let screen = Screen::new(&mut out, &mut err, true);
        assert_eq!(
            screen.paint(Tone::of("Synced"), "Synced"),
            "\u{1b}[32mSynced\u{1b}[0m"
        );
        assert_eq!(screen.paint(Tone::Plain, "x"), "x");
        let screen = Screen::new(&mut out, &mut err, false);
        assert_eq!(screen.paint(Tone::Bad, "Degraded"), "Degraded");
    }
}
