//! From the events of the parser to a tree, with aliases and merge keys expanded.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use libyaml_safer::{
    Encoding, ErrorKind, Event, EventData, MappingStyle, Mark, Parser, ScalarStyle, SequenceStyle,
};

use super::comments::JsonComments;
use super::{Error, Mapping, Node, Scalar, Sequence, Style, Text, limits};

/// Builds the tree of one document.
pub(super) struct Builder<'a> {
    parser: Parser<&'a [u8]>,
    text: &'a str,
    /// The line of the file that `text` starts at.
    line: u32,
    /// The line after the last one of `text`, from 0, if its line feed is not in the file.
    added_end: Option<u64>,
    anchors: HashMap<String, Node>,
    /// Anchors whose node is not finished: an alias to one would contain itself.
    open: Vec<String>,
    /// Whether there may be an alias at all.
    has_alias: bool,
    /// The entries of the open mappings, the innermost last: a finished one gets a list of its exact
    /// size.
    entries: Vec<(Scalar, Node)>,
    comments: Option<JsonComments<'a>>,
    /// Where the last event ended.
    end: Mark,
    spent: &'a mut Spent,
}

/// What the documents of one file have cost until now: thousands of small bombs are one as well.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Spent {
    nodes: usize,
    /// What anchors and aliases have added.
    added: Size,
}

impl Spent {
    /// Nodes, and no aliases.
    #[cfg(test)]
    pub(super) fn of(nodes: usize) -> Self {
        Self {
            nodes,
            ..Self::default()
        }
    }

    /// Counts nodes that were read without the parser; not where they would be too many.
    pub(super) fn take(&mut self, nodes: usize) -> bool {
        let spent = self.nodes.saturating_add(nodes);
        let is_within = spent <= limits::NODES;
        if is_within {
            self.nodes = spent;
        }
        is_within
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Size {
    nodes: usize,
    bytes: usize,
    depth: usize,
}

impl<'a> Builder<'a> {
    /// For the first document of `text`, which starts at `line` of its file. If the line feed at
    /// its end was `added`, it belongs to no scalar.
    pub(super) fn new(text: &'a str, line: u32, added: bool, spent: &'a mut Spent) -> Self {
        let mut parser = Parser::new();
        parser.set_encoding(Encoding::Utf8);
        parser.set_input(text.as_bytes());
        let added_end = added.then(|| text.matches('\n').count() as u64);
        Self {
            parser,
            text,
            line,
            added_end,
            anchors: HashMap::new(),
            open: Vec::new(),
            has_alias: text.contains('*'),
            entries: Vec::new(),
            comments: None,
            end: Mark::default(),
            spent,
        }
    }

    /// Keeps comments that are JSON with the keys that they stand beside.
    pub(super) fn with_comments(mut self) -> Self {
        self.comments = JsonComments::of(self.text);
        self
    }

    /// The document; `None` if there is none.
    pub(super) fn document(&mut self) -> Result<Option<Node>, Error> {
        loop {
            let event = self.next()?;
            match event.data {
                EventData::StreamStart { .. } | EventData::DocumentStart { .. } => {}
                EventData::StreamEnd => return Ok(None),
                _ => {
                    let node = self.node(event, 0)?;
                    // The end of the document: some mistakes only show there.
                    self.next()?;
                    return Ok(Some(node));
                }
            }
        }
    }

    /// Looks at what follows the document: nobody reads it, but go-yaml v3 refuses it where it is
    /// nothing like YAML.
    pub(super) fn look_behind(&mut self) -> Result<(), Error> {
        match self.parser.parse() {
            Err(error) if error.kind() == ErrorKind::Scanner => Err(self.error(&error)),
            _ => Ok(()),
        }
    }

    fn next(&mut self) -> Result<Event, Error> {
        let event = self.parser.parse().map_err(|error| self.error(&error))?;
        self.end = event.end_mark;
        Ok(event)
    }

    fn error(&self, error: &libyaml_safer::Error) -> Error {
        let line = match (error.kind(), error.problem_mark()) {
            (ErrorKind::Reader, _) => self.line_of_control_character(),
            (_, Some(mark)) => self.line_of(mark),
            _ => 0,
        };
        Error::new(line, error.problem())
    }

    fn line_of(&self, mark: Mark) -> u32 {
        self.line
            .saturating_add(u32::try_from(mark.line).unwrap_or(u32::MAX))
    }

    /// The parser does not say where it found a character that no YAML may contain.
    fn line_of_control_character(&self) -> u32 {
        let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{85}') || !c.is_control();
        let allowed = |c| allowed(c) && !matches!(c, '\u{fffe}' | '\u{ffff}');
        let before = self.text.chars().take_while(|c| allowed(*c));
        let lines = before.filter(|c| *c == '\n').count();
        self.line
            .saturating_add(u32::try_from(lines).unwrap_or(u32::MAX))
    }

    /// The node that starts with `event`, which is `depth` levels below the document.
    fn node(&mut self, event: Event, depth: usize) -> Result<Node, Error> {
        let line = self.line_of(event.start_mark);
        if depth > limits::DEPTH {
            return Err(limits::too_deep(line));
        }
        self.spent.nodes += 1;
        if self.spent.nodes > limits::NODES {
            return Err(limits::too_many_nodes(line));
        }
        match event.data {
            EventData::Alias { anchor } => self.alias(&anchor, line, depth),
            EventData::Scalar {
                anchor,
                tag,
                mut value,
                style,
                ..
            } => {
                let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                if block && self.added_end == Some(event.end_mark.line) {
                    self.take_added_end(&mut value);
                }
                let mut scalar = Scalar {
                    text: value.into(),
                    style: style_of(style),
                    line,
                    shared: 0,
                };
                if let Some(tag) = tag.filter(|tag| tag != "!") {
                    scalar.set_tag(Some(&short_tag(&tag)));
                }
                self.anchored(anchor, |_| Ok(scalar.into()))
            }
            EventData::SequenceStart { anchor, style, .. } => self.anchored(anchor, |builder| {
                let flow = style == SequenceStyle::Flow;
                builder.sequence(flow, line, depth).map(Into::into)
            }),
            EventData::MappingStart { anchor, style, .. } => self.anchored(anchor, |builder| {
                let flow = style == MappingStyle::Flow;
                builder.mapping(flow, line, depth).map(Into::into)
            }),
            _ => Err(Error::new(line, "a value was expected")),
        }
    }

    /// Takes the line feed that is not in the file from a block at its end.
    fn take_added_end(&self, value: &mut String) {
        let blank = |text: &str| text.chars().all(char::is_whitespace);
        let last_line = |text: &str| text.rsplit('\n').next().is_some_and(|line| !blank(line));
        let only_blanks = |text: &str| !text.ends_with('\n') && !last_line(text);
        let Some(before) = value.strip_suffix('\n') else {
            return;
        };
        let in_file = &self.text[..self.text.len() - 1];
        // A last line without content only counts where all line feeds are kept.
        if before.is_empty() || before.ends_with('\n') || last_line(in_file) || only_blanks(before)
        {
            value.pop();
        }
    }

    fn sequence(&mut self, flow: bool, line: u32, depth: usize) -> Result<Sequence, Error> {
        let mut items = Vec::new();
        loop {
            let event = self.next()?;
            if matches!(event.data, EventData::SequenceEnd) {
                let items = items.into();
                return Ok(Sequence { items, flow, line });
            }
            items.push(self.node(event, depth + 1)?);
        }
    }

    fn mapping(&mut self, flow: bool, line: u32, depth: usize) -> Result<Mapping, Error> {
        let start = self.entries.len();
        let mut merge = None;
        loop {
            let event = self.next()?;
            if matches!(event.data, EventData::MappingEnd) {
                let entries = self.entries.drain(start..).collect();
                let mut mapping = Mapping {
                    entries,
                    flow,
                    line,
                };
                if let Some(source) = merge {
                    merge_into(&mut mapping, source)?;
                }
                return Ok(mapping);
            }
            let line = self.line_of(event.start_mark);
            let key_marks = (event.start_mark, event.end_mark);
            let Node::Scalar(mut key) = self.node(event, depth + 1)? else {
                return Err(Error::new(line, "a list or mapping cannot be a key"));
            };
            let value = self.next()?;
            let value_start = value.start_mark;
            let value = self.node(value, depth + 1)?;
            if let Some(comments) = self
                .comments
                .as_ref()
                .filter(|_| !flow && key.tag().is_none())
            {
                let comment = comments.beside(key_marks, &value, (value_start, self.end));
                if let Some(json) = comment {
                    key.set_tag(Some(&format!("#{json}")));
                }
            }
            if !is_merge(&key) {
                self.entries.push((key, value));
            } else if merge.replace(value).is_some() {
                return Err(Error::new(line, "the key `<<` is there twice"));
            }
        }
    }

    /// Builds a node, and keeps a copy of it if it has a name.
    fn anchored(
        &mut self,
        anchor: Option<String>,
        build: impl FnOnce(&mut Self) -> Result<Node, Error>,
    ) -> Result<Node, Error> {
        let Some(anchor) = anchor else {
            return build(self);
        };
        self.anchors.remove(&anchor);
        self.open.push(anchor);
        let node = build(self)?;
        let anchor = self
            .open
            .pop()
            .expect("pushed above, and every build pops what it pushed");
        // Without any alias, the copy would be for nothing.
        if self.has_alias {
            self.spend(&node, 0, node.line())?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: &str, line: u32, depth: usize) -> Result<Node, Error> {
        if self.open.iter().any(|open| open == anchor) {
            return Err(Error::new(
                line,
                format!("the anchor `{anchor}` contains itself"),
            ));
        }
        let Some(node) = self.anchors.get(anchor).cloned() else {
            return Err(Error::new(line, format!("there is no anchor `{anchor}`")));
        };
        self.spend(&node, depth, line)?;
        Ok(node)
    }

    /// Counts a copy of `node`, which is `depth` levels below the document.
    fn spend(&mut self, node: &Node, depth: usize, line: u32) -> Result<(), Error> {
        let mut size = Size::default();
        measure(node, depth, &mut size);
        let added = &mut self.spent.added;
        added.nodes += size.nodes;
        added.bytes += size.bytes;
        if size.depth > limits::DEPTH {
            return Err(limits::too_deep(line));
        }
        if added.nodes > limits::EXPANSION || added.bytes > limits::EXPANSION_BYTES {
            return Err(limits::too_expanded(line));
        }
        Ok(())
    }
}

fn measure(node: &Node, depth: usize, size: &mut Size) {
    size.nodes += 1;
    size.depth = size.depth.max(depth);
    match node {
        Node::Scalar(scalar) => size.bytes += scalar.text.len(),
        Node::Sequence(sequence) => {
            sequence
                .items
                .iter()
                .for_each(|item| measure(item, depth + 1, size));
        }
        Node::Mapping(mapping) => {
            for (key, value) in &mapping.entries {
                size.bytes += key.text.len();
                measure(value, depth + 1, size);
            }
        }
    }
}

fn is_merge(key: &Scalar) -> bool {
    match key.tag() {
        None => key.style == Style::Plain && key.text == "<<",
        Some(tag) => tag == "!!merge",
    }
}

/// Adds what `source`, a mapping or a list of mappings, has more. What is there stays, and what
/// comes first in a list wins.
fn merge_into(mapping: &mut Mapping, source: Node) -> Result<(), Error> {
    let mut known: HashSet<Text> = mapping.keys().map(Text::from).collect();
    let line = source.line();
    let sources = match source {
        Node::Sequence(sequence) => sequence.items,
        other => [other].into(),
    };
    for source in sources {
        let Node::Mapping(source) = source else {
            let message = "the value of `<<` must be a mapping or a list of mappings";
            return Err(Error::new(line, message));
        };
        for (key, value) in source.entries {
            if known.insert(key.text.clone()) {
                mapping.entries.push((key, value));
            }
        }
    }
    Ok(())
}

fn short_tag(tag: &str) -> Cow<'_, str> {
    match tag.strip_prefix("tag:yaml.org,2002:") {
        Some(short) => format!("!!{short}").into(),
        None => tag.into(),
    }
}

fn style_of(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::SingleQuoted => Style::SingleQuoted,
        ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
        ScalarStyle::Literal => Style::Literal,
        ScalarStyle::Folded => Style::Folded,
        _ => Style::Plain,
    }
}
