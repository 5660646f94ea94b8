//! Why something in a tree cannot be read.

use crate::error::{Class, Fault};

/// Why something in a tree cannot be read. Messages name paths as they were written, never where
/// the tree lies on a disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// An absolute path, `..` past the root, or a symbolic link that leads out.
    #[error("the path `{path}` leads out of the repository")]
    PathEscape {
        /// As it was written.
        path: String,
    },
    /// Symbolic links that lead to each other.
    #[error("the path `{path}` goes through too many symbolic links")]
    SymlinkLoop {
        /// As it was written.
        path: String,
    },
    /// Larger than allowed.
    #[error("the file `{path}` is larger than the limit of {limit} bytes")]
    TooLarge {
        /// Its path in the tree.
        path: String,
        /// How many bytes are allowed.
        limit: usize,
    },
    /// Nothing is there.
    #[error("there is no file or directory `{path}`")]
    NotFound {
        /// As it was written.
        path: String,
    },
    /// A directory or a submodule where a file was asked for.
    #[error("`{path}` is not a file")]
    NotAFile {
        /// As it was written.
        path: String,
    },
    /// A file or a submodule where a directory was asked for.
    #[error("`{path}` is not a directory")]
    NotADirectory {
        /// As it was written.
        path: String,
    },
    /// The store behind the tree failed: says nothing of what is in it.
    #[error("the source cannot be read: {0}")]
    Store(String),
}

impl Fault for ReadError {
    fn class(&self) -> Class {
        match self {
            Self::Store(_) => Class::Retry,
            _ => Class::Stalled,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::PathEscape { .. } => "PathEscape",
            Self::SymlinkLoop { .. } => "SymlinkLoop",
            Self::TooLarge { .. } => "LimitExceeded",
            Self::NotFound { .. }
            | Self::NotAFile { .. }
            | Self::NotADirectory { .. }
            | Self::Store(_) => "SourceUnreadable",
        }
    }
}
