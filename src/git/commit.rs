//! Who made a commit, when, and what they say it does: for status and messages only.

use gix_object::CommitRef;

use super::limits::MAX_SHOWN_CHARS;
use super::text::shown;

/// The trailer that every commit has that towline writes: why.
pub const REASON_TRAILER: &str = "Towline-Reason:";

/// A commit as it is shown to people. Every text is bounded and has no control characters; it
/// still is a stranger's, so whatever it is put into must be quoted by its own rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitDetails {
    /// The commit, as 40 lower-case hexadecimal digits.
    pub commit: String,
    /// The author's name.
    pub author: String,
    /// The author's mail address.
    pub email: String,
    /// When it was committed, in seconds since 1970.
    pub time: i64,
    /// The first line of the message.
    pub subject: String,
    /// Whether towline wrote it, as its trailers say.
    pub is_by_towline: bool,
    /// The commits it follows; whether they were fetched is another question.
    pub parents: Vec<String>,
}

impl CommitDetails {
    pub(super) fn of(id: &str, commit: &CommitRef<'_>) -> Self {
        let text = |bytes: &[u8]| shown(&String::from_utf8_lossy(bytes), MAX_SHOWN_CHARS);
        let author = commit.author().ok();
        let subject = commit.message.split(|byte| *byte == b'\n');
        let subject = subject
            .map(<[u8]>::trim_ascii)
            .find(|line| !line.is_empty());
        Self {
            commit: id.to_owned(),
            author: author.map_or_else(String::new, |author| text(author.name)),
            email: author.map_or_else(String::new, |author| text(author.email)),
            time: commit.time().map_or(0, |time| time.seconds),
            subject: subject.map_or_else(String::new, text),
            is_by_towline: commit
                .message
                .split(|byte| *byte == b'\n')
                .any(|line| line.starts_with(REASON_TRAILER.as_bytes())),
            parents: commit.parents().map(|parent| parent.to_string()).collect(),
        }
    }
}
