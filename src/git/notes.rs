//! Notes on commits, as `git notes --ref=towline` reads and merges them. A line is added to a note
//! and none is ever taken away; what others wrote beside it stays. The server compares before it
//! swaps, so that of two that write at once the slower one looks again and adds to what is there then.

use std::collections::{BTreeMap, BTreeSet};

use gix_hash::ObjectId;
use gix_object::tree::{Entry, EntryKind};
use gix_object::{Kind, Tree};

use super::draft::{Author, text};
use super::edit::{FileId, Trees};
use super::error::{Error, Result};
use super::limits;
use super::packing::Item;
use super::repository::Repository;
use super::target::TargetRevision;

/// The reference that the notes are on.
pub const NOTES: &str = "refs/notes/towline";

/// A line in the note of a commit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// The commit, as 40 lower-case hexadecimal digits. It need not be here.
    pub commit: String,
    /// The line, without its end.
    pub line: String,
}

/// A commit of notes that is not written anywhere yet.
struct Draft {
    id: ObjectId,
    items: Vec<Item>,
    /// Nothing had to be left for the next one.
    is_all: bool,
}

/// Where the note of a commit is, and where a new one belongs.
struct Places {
    /// Git reads all of them as one.
    found: Vec<(String, FileId)>,
    free: Option<String>,
}

impl Repository {
    /// Adds lines to the notes of commits, each at the end of its note, and pushes that. A line that
    /// is there already is not added again, so that this can be repeated when an answer was lost.
    /// Returns the commits whose notes have no room for more, and what is no commit; the lines of those
    /// were left out.
    ///
    /// # Errors
    /// [`Error::BranchMoved`] when somebody else is faster again and again; otherwise as
    /// [`Repository::push`].
    pub fn append_notes(&self, notes: &[Note], by: &Author) -> Result<BTreeSet<String>> {
        let mut lines: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for note in notes {
            lines.entry(&note.commit).or_default().push(&note.line);
        }
        let mut races = 1;
        loop {
            let mut full = BTreeSet::new();
            let (tip, draft) = self.noted(&lines, by, &mut full)?;
            let Some(draft) = draft else { return Ok(full) };
            match self.place(NOTES, tip, draft.id, &draft.items) {
                Ok(()) if draft.is_all => return Ok(full),
                // What is there by now is not written again.
                Ok(()) => races = 1,
                Err(Error::BranchMoved { .. }) if races < limits::MAX_NOTE_RACES => races += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Calls `take` with each commit that has a note, and with the note, or none where it is too large
    /// to be read; one that is in several places comes several times. Returns whether there are notes at all.
    ///
    /// # Errors
    /// When they cannot be fetched or read.
    pub fn read_notes(&self, take: &mut dyn FnMut(&str, Option<&str>)) -> Result<bool> {
        let (revision, holder) = self.bring_apart(&TargetRevision::parse(NOTES)?)?;
        let Some(revision) = revision else {
            return Ok(false);
        };
        let root = self.root(holder.objects(), &revision.commit)?;
        let mut trees = Trees::new(holder.objects(), self.shown());
        let mut next = vec![(root, String::new())];
        while let Some((at, prefix)) = next.pop() {
            let tree = trees.read(at)?;
            for entry in &tree.entries {
                let Ok(name) = std::str::from_utf8(&entry.filename) else {
                    continue;
                };
                let whole = format!("{prefix}{name}");
                if is_note(entry, &prefix) {
                    match self.note(&trees, entry.oid) {
                        Ok(note) => take(&whole, Some(&String::from_utf8_lossy(&note))),
                        Err(Error::TooLarge { .. }) => take(&whole, None),
                        Err(error) => return Err(error),
                    }
                } else if is_fan(entry, &prefix) {
                    next.push((entry.oid, whole));
                }
            }
        }
        Ok(true)
    }

    /// What the reference is at (the null id where it is not there), and a commit on top of that
    /// which has the lines; none where they are all there.
    fn noted(
        &self,
        lines: &BTreeMap<&str, Vec<&str>>,
        by: &Author,
        full: &mut BTreeSet<String>,
    ) -> Result<(ObjectId, Option<Draft>)> {
        let (revision, holder) = self.bring_apart(&TargetRevision::parse(NOTES)?)?;
        let mut tip = None;
        let mut root = None;
        if let Some(revision) = &revision {
            tip = Some(self.id(&revision.commit)?);
            root = Some(self.root(holder.objects(), &revision.commit)?);
        }
        let mut trees = Trees::new(holder.objects(), self.shown());
        let mut edits = Vec::new();
        let mut blobs = BTreeMap::new();
        let (mut count, mut size) = (0, 0);
        let mut is_all = true;
        for (commit, lines) in lines {
            // It becomes a path. One that is none must not cost the others their lines.
            let Ok(id) = self.id(commit) else {
                full.insert((*commit).to_owned());
                continue;
            };
            let commit = id.to_string();
            let places = places(&mut trees, root, &commit)?;
            let read = { places.found.iter() }.map(|(_, file)| self.note(&trees, file.id));
            let there = match read.collect::<Result<Vec<_>>>() {
                Ok(there) => there,
                Err(Error::TooLarge { .. }) => {
                    full.insert(commit);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let mut known: BTreeSet<&[u8]> = { there.iter() }
                .flat_map(|note| note.split(|byte| *byte == b'\n'))
                .collect();
            let missing = { lines.iter() }.filter(|line| known.insert(line.as_bytes()));
            let missing: Vec<&&str> = missing.collect();
            if missing.is_empty() {
                continue;
            }
            let mut bytes = there.first().cloned().unwrap_or_default();
            if bytes.last().is_some_and(|byte| *byte != b'\n') {
                bytes.push(b'\n');
            }
            for line in &missing {
                bytes.extend_from_slice(line.as_bytes());
                bytes.push(b'\n');
            }
            let place = match places.found.into_iter().next() {
                Some((path, file)) => Some((path, file.mode)),
                None => places.free.map(|path| (path, EntryKind::Blob.into())),
            };
            let place = place.filter(|_| bytes.len() <= limits::MAX_NOTE_BYTES);
            let Some((path, mode)) = place else {
                full.insert(commit);
                continue;
            };
            size += bytes.len();
            if size > limits::MAX_PUSH_BYTES && !edits.is_empty() {
                is_all = false;
                break;
            }
            count += missing.len();
            let id = trees.hash(Kind::Blob, &bytes)?;
            blobs.insert(id, bytes);
            edits.push((path, FileId { mode, id }));
        }
        let old = tip.unwrap_or(ObjectId::null(gix_hash::Kind::Sha1));
        if edits.is_empty() {
            return Ok((old, None));
        }
        let edits: Vec<_> = { edits.iter() }
            .map(|(path, file)| (path.as_str(), Some(*file)))
            .collect();
        let root = trees.edit(root, &edits)?;
        let message = match count {
            1 => "Notes added by towline: one line".to_owned(),
            count => format!("Notes added by towline: {count} lines"),
        };
        let commit = self.sealed(text(root, tip, by, by, &message))?.into_bytes();
        let id = trees.hash(Kind::Commit, &commit)?;
        let mut items = vec![(Kind::Commit, commit)];
        items.extend(trees.fresh.into_values().map(|tree| (Kind::Tree, tree)));
        items.extend(blobs.into_values().map(|blob| (Kind::Blob, blob)));
        Ok((old, Some(Draft { id, items, is_all })))
    }

    /// What a note says.
    fn note(&self, trees: &Trees<'_>, id: ObjectId) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = trees.bytes(id, Kind::Blob, limits::MAX_NOTE_BYTES, &mut bytes);
        read.map_err(|error| match error {
            Error::TooLarge { remote, limit, .. } => Error::TooLarge {
                doing: "reading the notes of",
                remote,
                what: "a note",
                limit,
            },
            error => error,
        })?;
        Ok(bytes)
    }
}

/// Whether an entry is a note, below the directory of the notes whose commits begin with `prefix`.
fn is_note(entry: &Entry, prefix: &str) -> bool {
    let is_file = matches!(
        entry.mode.kind(),
        EntryKind::Blob | EntryKind::BlobExecutable
    );
    is_file && entry.filename.len() + prefix.len() == 40 && is_hex(&entry.filename)
}

/// Whether an entry is a directory of notes.
fn is_fan(entry: &Entry, prefix: &str) -> bool {
    let has_room = prefix.len() < 38;
    has_room && entry.mode.is_tree() && entry.filename.len() == 2 && is_hex(&entry.filename)
}

/// Git writes no others, and takes no others for notes of its own.
fn is_hex(name: &[u8]) -> bool {
    { name.iter() }.all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b))
}

/// Looks for the note of `commit` where Git does: in the directory itself, and in those that are
/// named for its first digits, two by two. A new one goes where its neighbours are.
fn places(trees: &mut Trees<'_>, root: Option<ObjectId>, commit: &str) -> Result<Places> {
    let mut places = Places {
        found: Vec::new(),
        free: None,
    };
    let mut at = root;
    let mut depth = 0;
    loop {
        let tree = match at {
            Some(id) => trees.read(id)?,
            None => std::sync::Arc::new(Tree::empty()),
        };
        let (prefix, rest) = commit.split_at(depth);
        let path = |rest: &str| {
            let fans = { (0..depth).step_by(2) }.filter_map(|i| prefix.get(i..i + 2));
            fans.chain([rest]).collect::<Vec<_>>().join("/")
        };
        let named = |name: &str| tree.entries.iter().find(|entry| entry.filename == name);
        let here = named(rest);
        if let Some(note) = here.filter(|entry| is_note(entry, prefix)) {
            let file = FileId {
                mode: note.mode,
                id: note.oid,
            };
            places.found.push((path(rest), file));
        }
        let (two, below) = rest.split_at(2);
        let there = named(two);
        if let Some(fan) = there.filter(|entry| is_fan(entry, prefix)) {
            at = Some(fan.oid);
            depth += 2;
            continue;
        }
        let count = |of: fn(&Entry, &str) -> bool| {
            { tree.entries.iter() }
                .filter(|entry| of(entry, prefix))
                .count()
        };
        let (notes, fans) = (count(is_note), count(is_fan));
        let fans_out = fans > notes || notes >= limits::NOTES_FLAT;
        places.free = if fans_out && there.is_none() && !below.is_empty() {
            Some(path(&format!("{two}/{below}")))
        } else {
            here.is_none().then(|| path(rest))
        };
        return Ok(places);
    }
}
