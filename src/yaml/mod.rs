//! YAML as Kubernetes tools read and print it.
//!
//! [`read_documents`] gives trees of [`Node`]s, which keep text and style; [`resolve`] says what
//! they mean, by the rules of kustomize or of kubectl; [`emit`] prints a value exactly as
//! `kustomize build` does.

mod build;
mod comment_lines;
mod comments;
mod emit;
mod error;
pub mod limits;
mod node;
mod number;
mod quick;
mod read;
mod refold;
mod resolve;
mod scalar;
mod text;
mod time;
mod view;

pub use comment_lines::{CommentLines, Gap};
pub use emit::{SEPARATOR, emit, emit_documents, emit_view, to_string};
pub use error::Error;
pub use node::{Entries, Items, Mapping, Node, Scalar, Sequence, Style};
pub use read::{read_documents, read_first_document};
pub use refold::printed_lines;
pub use resolve::{Duplicates, Resolver, resolve, resolve_scalar, resolve_view};
pub use scalar::is_surely_text;
pub use text::Text;
pub use view::View;

#[cfg(test)]
mod tests;
