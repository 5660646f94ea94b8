//! How large a render may get. A repository is someone else's input: every loop that it drives ends
//! here, with an error that names the limit and never with an exhausted machine.

/// Kustomizations nested inside each other. Real trees have less than ten layers.
pub const MAX_DEPTH: usize = 64;
/// Files read by one render, a file counted each time it is read.
pub const MAX_FILES: usize = 100_000;
/// Bytes of one file. A ConfigMap or Secret cannot hold more than 1 MiB; CRD bundles reach some 10.
pub const MAX_FILE_BYTES: usize = 32 << 20;
/// Bytes of all files of one render together.
pub const MAX_TOTAL_BYTES: usize = 512 << 20;
/// Objects of one render.
pub const MAX_OBJECTS: usize = 100_000;
/// Characters of a regular expression in a selector or image name.
pub const MAX_PATTERN_CHARS: usize = 4_096;
/// Bytes of a compiled regular expression.
pub const MAX_PATTERN_BYTES: usize = 1 << 20;
/// Elements of one field path of a replacement.
pub const MAX_PATH_ELEMENTS: usize = 256;
/// Nested `List` objects in one file.
pub const MAX_NESTED_LISTS: usize = 16;
