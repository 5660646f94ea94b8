//! Why a text is not acceptable YAML.

use crate::error::{Class, Diagnostic, Fault};

/// A mistake in a YAML text. Its message never has a scalar value in it, which may be secret;
/// keys and anchors it may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", self.line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct Error {
    /// The line, from 1, where it is known.
    pub line: Option<u32>,
    /// What is wrong: lowercase, no final period.
    pub message: String,
    /// True if a limit of [`limits`](super::limits) is exceeded.
    pub limit: bool,
}

impl Error {
    /// An error at `line`, where 0 is a line that is not known.
    pub fn new(line: u32, message: impl Into<String>) -> Self {
        Self {
            line: (line > 0).then_some(line),
            message: message.into(),
            limit: false,
        }
    }

    /// The same as a [`Diagnostic`] about the file `path`.
    pub fn in_file(&self, path: impl Into<String>) -> Diagnostic {
        Diagnostic::new(path, self.message.clone()).at(self.line)
    }
}

impl Fault for Error {
    fn class(&self) -> Class {
        Class::Stalled
    }

    fn reason(&self) -> &'static str {
        if self.limit {
            "LimitExceeded"
        } else {
            "YamlInvalid"
        }
    }
}
