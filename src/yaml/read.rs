//! From bytes to trees.

use std::borrow::Cow;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::build::{Builder, Spent};
use super::{Error, Node, limits, quick};

/// The documents of a resource file, split as kustomize does: on lines that start with `---`.
/// Empty documents and those of comments only are left out.
///
/// # Errors
/// The first mistake, with its line in the file.
pub fn read_documents(bytes: &[u8]) -> Result<Vec<Node>, Error> {
    let text = text(bytes)?;
    let mut documents = Vec::new();
    let mut rest: &str = &text;
    let mut spent = Spent::default();
    let mut line = 1;
    loop {
        let separator = separator(rest, line)?;
        let document = separator
            .as_ref()
            .map_or(rest, |found| &rest[..found.start]);
        if let Some(node) = document_at(document, line, true, &mut spent)? {
            documents.push(node);
        }
        let Some(found) = separator else {
            return Ok(documents);
        };
        if documents.len() > limits::DOCUMENTS {
            return Err(limits::too_many_documents(line));
        }
        line += lines(&rest[..found.end]);
        rest = &rest[found.end..];
    }
}

/// The first document of a kustomization file; `None` if it is empty.
///
/// # Errors
/// The first mistake, with its line in the file.
pub fn read_first_document(bytes: &[u8]) -> Result<Option<Node>, Error> {
    document_at(&text(bytes)?, 1, false, &mut Spent::default())
}

/// The text of a file: UTF-8 without byte order mark, lines ended by a line feed.
fn text(bytes: &[u8]) -> Result<Cow<'_, str>, Error> {
    if bytes.len() > limits::FILE_BYTES {
        return Err(limits::too_large());
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        Error::new(u32::try_from(line).unwrap_or(0), "not valid UTF-8")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Ok(if text.contains('\r') {
        text.replace("\r\n", "\n").into()
    } else {
        text.into()
    })
}

/// The next line that starts with `---`, without the line feed in front of it, which belongs to
/// the document above.
fn separator(text: &str, line: u32) -> Result<Option<Range<usize>>, Error> {
    let Some(start) = text.find("\n---").map(|at| at + 1) else {
        return Ok(None);
    };
    // Without a line feed after it, it ends the last document, which the parser knows.
    let Some(length) = text[start..].find('\n') else {
        return Ok(None);
    };
    let content = text[start + 3..start + length].trim();
    if !content.is_empty() && !content.starts_with('#') {
        let line = line + lines(&text[..start]);
        return Err(Error::new(
            line,
            "there is content after `---` on the same line",
        ));
    }
    Ok(Some(start..start + length + 1))
}

fn lines(text: &str) -> u32 {
    u32::try_from(text.bytes().filter(|b| *b == b'\n').count()).unwrap_or(u32::MAX)
}

/// The first document in `text`, which starts at `line` of its file. What follows it is looked
/// at if it `ends` there.
fn document_at(
    text: &str,
    line: u32,
    ends: bool,
    spent: &mut Spent,
) -> Result<Option<Node>, Error> {
    // Most documents without content are comments or nothing; no need to ask the parser.
    let blank = |line: &str| line.trim_start_matches(' ').is_empty() || line.starts_with('#');
    if text.lines().all(blank) {
        return Ok(None);
    }
    // The parser panics on a block scalar that ends without a line feed.
    let added = !text.ends_with('\n');
    let text: Cow<'_, str> = if added {
        format!("{text}\n").into()
    } else {
        text.into()
    };
    if let Some(read) = quick::read(&text, line, added, ends)
        && spent.take(read.nodes)
    {
        return Ok(Some(read.node));
    }
    let node = parse(&text, line, added, ends, spent)?;
    Ok(node.filter(|node| !node.is_null()))
}

/// What the parser makes of the first document of a text that ends with a line feed, as
/// [`document_at`].
pub(super) fn parse(
    text: &str,
    line: u32,
    added: bool,
    ends: bool,
    spent: &mut Spent,
) -> Result<Option<Node>, Error> {
    // libyaml-safer is known to panic on a few malformed inputs; it has no state to corrupt.
    let read = catch_unwind(AssertUnwindSafe(|| {
        let mut builder = Builder::new(text, line, added, spent);
        if ends {
            builder = builder.with_comments();
        }
        let node = builder.document()?;
        if ends {
            builder.look_behind()?;
        }
        Ok(node)
    }));
    let read = read.unwrap_or_else(|_| Err(Error::new(line, "malformed YAML")));
    read.map_err(|mut error| {
        // The parser takes a lone carriage return for the end of a line; editors do not.
        error.line = error.line.map(|at| at.min(line + lines(text)));
        error
    })
}
