//! Mistakes in files that kustomizations consist of, with their lines.

use super::super::decode::{Misfit, Step};
use super::super::error::{Error, Reason};
use crate::error::{Diagnostic, Diagnostics};
use crate::yaml::Node;

/// A YAML mistake with its place.
pub(in super::super) fn yaml_error(error: &crate::yaml::Error, path: &str) -> Error {
    let diagnostic = Diagnostic::new(path, error.message.clone()).at(error.line);
    let reason = if error.limit {
        Reason::LimitExceeded
    } else {
        Reason::YamlInvalid
    };
    Error::Mistake {
        reason,
        diagnostics: diagnostic.into(),
    }
}

/// Mistakes with the lines that `root` has for them.
pub(in super::super) fn misfits(mistakes: Vec<Misfit>, root: &Node, path: &str) -> Error {
    let reason = mistakes.first().map_or(Reason::RenderFailed, |m| m.reason);
    let mut diagnostics = Diagnostics::default();
    for misfit in mistakes {
        let line = line_of(root, &misfit.place);
        let field = printed_place(&misfit.place);
        let message = match misfit.reason {
            Reason::RenderFailed if !field.is_empty() => format!("`{field}`: {}", misfit.message),
            _ => misfit.message,
        };
        let mut diagnostic = Diagnostic::new(path, message).at((line > 0).then_some(line));
        diagnostic.hint = misfit.hint;
        diagnostics.push(diagnostic);
    }
    diagnostics.0.sort();
    Error::Mistake {
        reason,
        diagnostics,
    }
}

/// `patches[0].target`
fn printed_place(place: &[Step]) -> String {
    let mut text = String::new();
    for step in place {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            Step::Index(i) => text.push_str(&format!("[{i}]")),
        }
    }
    text
}

/// The line of a place: of the key, or of the nearest node above that has one.
pub(super) fn line_of(root: &Node, place: &[Step]) -> u32 {
    let (mut at, mut line) = (root, root.line());
    for step in place {
        let next = match (step, at) {
            (Step::Key(key), Node::Mapping(mapping)) => {
                let same = |k: &str| k == key || k.eq_ignore_ascii_case(key);
                mapping
                    .entries
                    .iter()
                    .rfind(|(k, _)| same(&k.text))
                    .map(|(k, v)| (k.line, v))
            }
            (Step::Index(i), Node::Sequence(list)) => list.items.get(*i).map(|n| (n.line(), n)),
            _ => None,
        };
        let Some((new_line, node)) = next else { break };
        (line, at) = (new_line, node);
    }
    line
}
