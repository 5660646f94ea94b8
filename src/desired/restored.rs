//! Objects that were accepted before a restart, made ready to apply again.

use std::sync::Arc;

use super::{Defaults, DesiredObject, build};
use crate::cluster::Discovery;
use crate::inventory::Owner;
use crate::inventory::last_good::Accepted;

/// Makes a stored object what it was: where its kind is served is found out anew, and everything
/// that its annotations say is read again. `None` when this version of towline would refuse it.
pub fn restore(
    accepted: Accepted,
    discovery: &Discovery,
    owner: &Owner,
    defaults: Defaults,
) -> Option<Arc<DesiredObject>> {
    let hash = accepted.hash;
    let rendered = accepted.rendered();
    let built = build(std::slice::from_ref(&rendered), discovery, owner, defaults).ok()?;
    let (_, mut object) = built.objects.into_iter().next()?;
    // The hash is the one in the inventory: an upgrade that counts otherwise is no change.
    let restored = Arc::get_mut(&mut object)?;
    restored.hash = hash;
    // What it was made from is not known any more.
    restored.rendered = None;
    Some(object)
}
