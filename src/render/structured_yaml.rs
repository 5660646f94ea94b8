//! Printing a tree the way go-yaml v3 does: block and flow style, the quotes of scalars and comments
//! stay as they were written; indentation and spaces do not. Lines are never folded.

use super::structured_scalar::{Place, block_header, block_lines, block_style, pad, scalar};
use crate::yaml::{CommentLines, Gap, Mapping, Node, Sequence};

/// A document as text, with the comments of the text that it was read from.
pub(super) fn print_document(node: &Node, comments: Option<&CommentLines>) -> String {
    let mut printer = Printer {
        comments,
        out: String::new(),
    };
    match node {
        Node::Mapping(mapping) if !is_flow(node) => printer.fields(mapping, 0, false),
        Node::Sequence(list) if !is_flow(node) => printer.elements(list, 0, false),
        other => {
            flow(other, &mut printer.out);
            printer.out.push('\n');
        }
    }
    printer.foot();
    printer.out
}

/// Whether a collection is printed on one line: also an empty one.
fn is_flow(node: &Node) -> bool {
    match node {
        Node::Mapping(mapping) => mapping.flow || mapping.is_empty(),
        Node::Sequence(list) => list.flow || list.items.is_empty(),
        Node::Scalar(_) => false,
    }
}

struct Printer<'a> {
    comments: Option<&'a CommentLines>,
    out: String,
}

impl Printer<'_> {
    /// The entries of a mapping whose keys are at column `indent`. The first line is indented already;
    /// for an element of a list, the comments above it are printed as well.
    fn fields(&mut self, mapping: &Mapping, indent: usize, in_list: bool) {
        for (i, (key, value)) in mapping.entries.iter().enumerate() {
            if i > 0 {
                pad(indent, &mut self.out);
            }
            if i == 0 && in_list {
                self.dash_comment(key.line, indent);
            } else {
                self.head(key.line, indent);
            }
            scalar(key, Place::Key, &mut self.out);
            self.out.push(':');
            match value {
                Node::Mapping(inner) if !is_flow(value) => {
                    self.end_line(key.line);
                    pad(indent + 2, &mut self.out);
                    self.fields(inner, indent + 2, false);
                }
                Node::Sequence(inner) if !is_flow(value) => {
                    self.end_line(key.line);
                    pad(indent, &mut self.out);
                    self.elements(inner, indent, false);
                }
                other => self.rest_of_line(other, key.line, indent + 2),
            }
        }
    }

    /// The elements of a list whose dashes are at column `indent`. The first line is indented already.
    fn elements(&mut self, list: &Sequence, indent: usize, in_list: bool) {
        for (i, item) in list.items.iter().enumerate() {
            if i > 0 {
                pad(indent, &mut self.out);
            }
            if i > 0 || !in_list {
                let line = item.line();
                let has_dash = self.comments.is_some_and(|c| c.behind_dash(line).is_some());
                self.head(if has_dash { line - 1 } else { line }, indent);
            }
            self.out.push('-');
            match item {
                Node::Mapping(inner) if !is_flow(item) => {
                    self.out.push(' ');
                    self.fields(inner, indent + 2, true);
                }
                Node::Sequence(inner) if !is_flow(item) => {
                    self.out.push(' ');
                    self.elements(inner, indent + 2, true);
                }
                other => self.rest_of_line(other, 0, indent + 2),
            }
        }
    }

    /// A scalar or a flow collection behind `:` or `-`, with the end of the line.
    fn rest_of_line(&mut self, node: &Node, key_line: u32, indent: usize) {
        let line = match node.line() {
            0 => key_line,
            line => line,
        };
        match node {
            Node::Scalar(text) if text.text.is_empty() && text.is_null() => {}
            Node::Scalar(text) => {
                self.out.push(' ');
                if let Some(style) = block_style(text) {
                    block_header(&text.text, style, &mut self.out);
                    self.end_line(line);
                    block_lines(&text.text, style, indent, &mut self.out);
                    return;
                }
                scalar(text, Place::Block(indent), &mut self.out);
            }
            collection => {
                self.out.push(' ');
                flow(collection, &mut self.out);
            }
        }
        self.end_line(line);
    }

    /// The end of a line, with the comment behind what stands on it.
    fn end_line(&mut self, line: u32) {
        if let Some(comment) = self.comments.and_then(|c| c.behind(line)) {
            self.out.push(' ');
            self.out.push_str(comment);
        }
        self.out.push('\n');
    }

    /// The comments above an entry, whose line is indented already.
    fn head(&mut self, line: u32, indent: usize) {
        let Some(comments) = self.comments.filter(|_| line > 0) else {
            return;
        };
        let gap = comments.above(line);
        if gap.at_top {
            self.top(&gap);
            return;
        }
        let Gap {
            comments,
            blank_after,
            ..
        } = gap;
        // What stands directly below an entry, and not directly above the next one, is of the first.
        let is_adjacent = comments.first().is_some_and(|(blank, _)| !blank);
        let second = comments.iter().skip(1).position(|(blank, _)| *blank);
        let of_first = match (is_adjacent, second, blank_after) {
            (true, Some(at), _) => at + 1,
            (true, None, true) => comments.len(),
            _ => 0,
        };
        for (i, (_, comment)) in comments.into_iter().enumerate() {
            self.out.push_str(comment);
            self.out.push('\n');
            if i + 1 == of_first {
                self.out.push('\n');
            }
            pad(indent, &mut self.out);
        }
    }

    /// The comments at the start of the text, with the empty lines between them.
    fn top(&mut self, gap: &Gap<'_>) {
        for (i, (blank, comment)) in gap.comments.iter().enumerate() {
            if *blank && i > 0 {
                self.out.push('\n');
            }
            self.out.push_str(comment);
            self.out.push('\n');
        }
        if gap.blank_after && !gap.comments.is_empty() {
            self.out.push('\n');
        }
    }

    /// The comment behind the dash of an element, which comes in front of its first entry.
    fn dash_comment(&mut self, line: u32, indent: usize) {
        if let Some(comment) = self.comments.and_then(|c| c.behind_dash(line)) {
            self.out.push_str(comment);
            self.out.push('\n');
            pad(indent, &mut self.out);
        }
    }

    /// The comments below everything.
    fn foot(&mut self) {
        let Some(comments) = self.comments else {
            return;
        };
        let gap = comments.at_end();
        let last = self.out.trim_end().lines().next_back().unwrap_or_default();
        let indent = match gap.column {
            0 => 0,
            _ => last.len() - last.trim_start().len(),
        };
        for (blank, comment) in gap.comments {
            if blank {
                self.out.push('\n');
            }
            pad(indent, &mut self.out);
            self.out.push_str(comment);
            self.out.push('\n');
        }
    }
}

fn flow(node: &Node, out: &mut String) {
    match node {
        Node::Scalar(text) => scalar(text, Place::Flow, out),
        Node::Sequence(list) => {
            out.push('[');
            for (i, item) in list.items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                flow(item, out);
            }
            out.push(']');
        }
        Node::Mapping(mapping) => {
            out.push('{');
            for (i, (key, value)) in mapping.entries.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                scalar(key, Place::Flow, out);
                out.push_str(": ");
                flow(value, out);
            }
            out.push('}');
        }
    }
}
