//! How large a render may get. A repository is someone else's input: every loop that it drives ends
//! here, with an error that names the limit and never with an exhausted machine.
//!
//! What one file may have is in [`crate::yaml::limits`].

/// Kustomizations nested inside each other. Real trees have less than ten layers.
pub const MAX_DEPTH: usize = 64;
/// Kustomizations of one render, one counted each time it is used: bases that use two others, over
/// and over, double with every layer.
pub const MAX_KUSTOMIZATIONS: usize = 10_000;
/// Entries of all listed directories of one plain directory that is read with those below it: in Git
/// a few objects can be a tree of any size.
pub const MAX_ENTRIES: usize = 200_000;
/// Files read by one render, a file counted each time it is read.
pub const MAX_FILES: usize = 100_000;
/// Bytes of one file. A ConfigMap or Secret cannot hold more than 1 MiB; CRD bundles reach some 10.
pub const MAX_FILE_BYTES: usize = crate::tree::FILE_LIMIT;
/// Bytes of all files of one render together.
pub const MAX_TOTAL_BYTES: usize = 512 << 20;
/// Keys and values of all files of one render together, aliases written out.
pub const MAX_NODES: usize = 8_000_000;
/// Objects of one render.
pub const MAX_OBJECTS: usize = 200_000;
/// Bytes of one object. No API server takes a larger request.
pub const MAX_OBJECT_BYTES: usize = 3 << 20;
/// Bytes that the transformers of one render may add to its objects.
pub const MAX_GROWTH: usize = 256 << 20;
/// Steps that the transformers of one render may take: about the keys and values that they look at.
pub const MAX_WORK: usize = 4_000_000_000;
/// Characters of a regular expression in a selector or image name.
pub const MAX_PATTERN_CHARS: usize = 4_096;
/// Bytes of a compiled regular expression.
pub const MAX_PATTERN_BYTES: usize = 1 << 20;
/// Bytes of a name or field that is held against a regular expression; longer ones do not match.
pub const MAX_MATCHED_BYTES: usize = 4_096;
/// Elements of one field path.
pub const MAX_PATH_ELEMENTS: usize = 256;
/// Elements of lists that are merged by key: the time is their square. Real ones have hundreds.
pub const MAX_MERGED_ELEMENTS: usize = 10_000;
/// Characters of a namespace: what Kubernetes allows for the longest of all names.
pub const MAX_NAMESPACE_CHARS: usize = 253;
/// Fields of the type definitions under `crds`, those of a type counted each time it is used.
pub const MAX_TYPE_FIELDS: usize = 100_000;
/// Field specs that one transformer has after the files under `configurations`.
pub const MAX_FIELD_SPECS: usize = 2_000;
/// Nested `List` objects in one file.
pub const MAX_NESTED_LISTS: usize = 16;
/// Mistakes told of one file.
pub const MAX_MISTAKES: usize = 50;
