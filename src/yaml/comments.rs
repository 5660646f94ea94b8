//! Comments that are JSON. kustomize reads the schema of a field from one that stands beside it.

use libyaml_safer::Mark;

use super::Node;

/// The lines of a text that has such comments.
pub(super) struct JsonComments<'a>(Vec<&'a str>);

impl<'a> JsonComments<'a> {
    /// Of a document; none where nothing looks like one.
    pub(super) fn of(text: &'a str) -> Option<Self> {
        let mut comments = text.match_indices('#').map(|(at, _)| json(&text[at..]));
        comments
            .any(|json| json.is_some())
            .then(|| Self(text.lines().collect()))
    }

    /// The comment that decides for the value of a key: behind a list or mapping on one line, else
    /// behind the key, else alone on the line above it. One that is no JSON hides those after it.
    pub(super) fn beside(
        &self,
        (start, key_end): (Mark, Mark),
        value: &Node,
        (value_start, value_end): (Mark, Mark),
    ) -> Option<&'a str> {
        let flow = match value {
            Node::Scalar(_) => return None,
            Node::Sequence(list) => list.flow,
            Node::Mapping(mapping) => mapping.flow,
        };
        let behind = if flow {
            self.behind(value_end)
        } else if value_start.line > key_end.line {
            self.behind(key_end)
        } else {
            None
        };
        behind.or_else(|| self.above(start)).and_then(json)
    }

    fn line(&self, number: u64) -> Option<&'a str> {
        self.0.get(usize::try_from(number).ok()?).copied()
    }

    /// The comment in the rest of a line.
    fn behind(&self, mark: Mark) -> Option<&'a str> {
        let line = self.line(mark.line)?;
        let (at, _) = line
            .char_indices()
            .nth(usize::try_from(mark.column).ok()?)?;
        let rest = line[at..].trim_start_matches(':').trim_start();
        rest.starts_with('#').then_some(rest)
    }

    /// The one line of a comment in front of a key.
    fn above(&self, start: Mark) -> Option<&'a str> {
        let line = self.line(start.line.checked_sub(1)?)?;
        let comment = line.trim_start();
        let column = line.len() - comment.len();
        let before = start
            .line
            .checked_sub(2)
            .and_then(|number| self.line(number));
        let is_alone = before.is_none_or(|line| !line.trim_start().starts_with('#'));
        let in_column = u64::try_from(column).is_ok_and(|column| column == start.column);
        let is_above = in_column && comment.starts_with('#');
        (is_above && is_alone).then_some(comment)
    }
}

/// The JSON object of a comment, to the end of its line.
fn json(comment: &str) -> Option<&str> {
    let json = comment.trim_start_matches('#').trim_start_matches(' ');
    let json = json.starts_with('{').then_some(json)?;
    Some(json.lines().next().unwrap_or_default().trim_end())
}
