//! What every towline error says of itself: what the loop should do next ([`Class`]), the one
//! word that names it in conditions, events and metrics ([`Fault::reason`]), and, where a person
//! made the mistake in Git, the place of it ([`Diagnostic`]).

use std::fmt;
use std::time::Duration;

/// What the sync loop does after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Passing: tried again with backoff, for ever.
    Retry,
    /// Known to end: looked at again after this time.
    Wait(Duration),
    /// A person must act (in Git, in the Application, in RBAC); tried again only on a change, or
    /// up to `retry.limit` times.
    Stalled,
}

/// An error that classifies itself.
pub trait Fault: std::error::Error {
    /// What the sync loop does next.
    fn class(&self) -> Class;
    /// One CamelCase word: condition reason, event reason and metric label. Bounded: never made
    /// from user input.
    fn reason(&self) -> &'static str;
}

/// One mistake in a repository, with its place and what to do about it.
///
/// Displays as `overlays/prod/kustomization.yaml:7: MESSAGE (hint: HINT)`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic {
    /// The file, relative to the root of the repository, or empty when it is not about a file.
    pub path: String,
    /// The line in the file, counted from 1, where it is known.
    pub line: Option<u32>,
    /// The object concerned, as `Kind/namespace/name`, where there is one.
    pub object: Option<String>,
    /// What is wrong: lowercase, no final period, values in backticks.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// A mistake in `path`, without line, object or hint.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            line: None,
            object: None,
            message: message.into(),
            hint: None,
        }
    }

    /// The same, at `line` (from 1).
    #[must_use]
    pub fn at(mut self, line: impl Into<Option<u32>>) -> Self {
        self.line = line.into();
        self
    }

    /// The same, about `object` (`Kind/namespace/name`).
    #[must_use]
    pub fn about(mut self, object: impl fmt::Display) -> Self {
        self.object = Some(object.to_string());
        self
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}", Shown(&self.path))?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
            f.write_str(": ")?;
        }
        if let Some(object) = &self.object {
            write!(f, "{}: ", Shown(object))?;
        }
        write!(f, "{}", Shown(&self.message))?;
        if let Some(hint) = &self.hint {
            write!(f, " (hint: {})", Shown(hint))?;
        }
        Ok(())
    }
}

/// The most that is shown of one part of a [`Diagnostic`], in characters.
const SHOWN_CHARS: usize = 500;

/// A text with words of the repository in it, for a terminal, a log and a condition: of bounded
/// length, and without anything that moves a cursor or begins a new line.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clean = |c: char| !c.is_control() && !is_bidi(c);
        if self.0.len() <= SHOWN_CHARS && self.0.chars().all(clean) {
            return f.write_str(self.0);
        }
        for (i, c) in self.0.chars().enumerate() {
            if i == SHOWN_CHARS {
                return f.write_str("…");
            }
            if clean(c) {
                write!(f, "{c}")?;
            } else {
                write!(f, "{}", c.escape_default())?;
            }
        }
        Ok(())
    }
}

/// What changes the direction of the text around it.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// All mistakes found in one go, sorted by place. Never empty when it is an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// `Ok(value)` if there is none, else all of them, sorted.
    ///
    /// # Errors
    /// The collected mistakes.
    pub fn into_result<T>(mut self, value: T) -> Result<T, Self> {
        if self.0.is_empty() {
            return Ok(value);
        }
        self.0.sort();
        self.0.dedup();
        Err(self)
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(one: Diagnostic) -> Self {
        Self(vec![one])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_repository_are_shown_in_bounded_length_and_without_control() {
        let diagnostic = Diagnostic::new("a\nb.yaml", format!("`\u{1b}[2J` {}", "x".repeat(9_999)))
            .about("Secret/\u{202e}x")
            .hint("fine — ünïcode");
        let text = diagnostic.to_string();
        assert!(
            text.starts_with("a\\nb.yaml: Secret/\\u{202e}x: `\\u{1b}[2J` xxx"),
            "{text}"
        );
        assert!(text.ends_with("xxx… (hint: fine — ünïcode)"), "{text}");
        assert!(text.chars().count() < 700, "{text}");
    }
}
