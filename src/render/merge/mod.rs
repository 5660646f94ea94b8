//! Strategic merge patches as kustomize applies them.
//!
//! Mappings are merged, scalars replaced, `null` deletes. A list is merged only where a [`Schema`]
//! names its merge key; every other list is replaced. A merged list is the patch's elements in the
//! patch's order, then the old ones that are left.
//!
//! The rules are those of kustomize 5.8 (kyaml's `merge2`), learnt from its behaviour, with its
//! oddities: the whole object is walked, not only what the patch names, so that a keyed list of the
//! object loses duplicates even when no patch touches it. Directives other than `$patch` stay in
//! the output. They differ from those of the API server.

mod definition;
mod directive;
mod error;
mod list;
mod schema;
mod walk;

#[cfg(test)]
mod tests;

pub use error::{Error, Problem};
pub use schema::Schema;

use crate::yaml::Node;

/// Merges a patch into an object. None means that the patch deletes the object.
///
/// # Errors
/// A mapping, list or scalar where the object has something else, an unknown `$patch`, and an
/// element of a keyed list that is no mapping. The line is the patch's.
pub fn merge(patch: &Node, target: Node, schema: &Schema) -> Result<Option<Node>, Error> {
    walk::objects(schema, target, patch.clone())
}
