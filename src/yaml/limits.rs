//! What one file may cost. A file beyond them is an error that names the limit, never a crash.

use super::Error;

/// How deep lists and mappings may be nested.
pub const DEPTH: usize = 200;

/// How many keys and values one file may have, aliases written out: some 100 bytes of memory each.
/// The largest bundles of CRDs have a tenth of it.
pub const NODES: usize = 2_000_000;

/// How many nodes the anchors, aliases and merge keys of one file may add.
pub const EXPANSION: usize = 100_000;

/// How many bytes of text the anchors, aliases and merge keys of one file may add.
pub const EXPANSION_BYTES: usize = 16 * 1024 * 1024;

/// How many documents one file may have.
pub const DOCUMENTS: usize = 50_000;

/// How large one file may be, in bytes.
pub const FILE_BYTES: usize = crate::tree::FILE_LIMIT;

fn exceeded(line: u32, message: String) -> Error {
    Error {
        limit: true,
        ..Error::new(line, message)
    }
}

pub(super) fn too_deep(line: u32) -> Error {
    exceeded(
        line,
        format!("nested deeper than the limit of {DEPTH} levels"),
    )
}

pub(super) fn too_many_nodes(line: u32) -> Error {
    exceeded(
        line,
        format!("more than the limit of {NODES} keys and values in one file"),
    )
}

pub(super) fn too_expanded(line: u32) -> Error {
    let message = format!(
        "anchors and aliases add more than the limit of {EXPANSION} nodes or \
         {EXPANSION_BYTES} bytes"
    );
    exceeded(line, message)
}

pub(super) fn too_many_documents(line: u32) -> Error {
    exceeded(
        line,
        format!("more than the limit of {DOCUMENTS} documents in one file"),
    )
}

pub(super) fn too_large() -> Error {
    exceeded(0, format!("larger than the limit of {FILE_BYTES} bytes"))
}
