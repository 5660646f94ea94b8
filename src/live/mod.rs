//! What the cluster holds of the objects that matter: those of the revision and of the inventory.
//!
//! No copy of the cluster is kept. Of each object there remain its UID, its resourceVersion, a
//! fingerprint of what towline owns in it, and its health: a few hundred bytes.

#[cfg(test)]
pub(crate) mod arbitrary;
mod contained;
mod fields;
mod fingerprint;
mod held;
mod ignore;
mod ignored;
mod keyed;
mod observed;
mod owners;
mod path;
mod projection;
mod quantity;
pub(crate) mod shown;
mod snapshot;
mod takeover;

pub use contained::{Kind as MismatchKind, Mismatch, contained};
pub use fields::Fields;
pub use fingerprint::{Fingerprint, fingerprint, replicas};
pub use held::holds;
pub use ignore::Ignore;
pub use ignored::Ignored;
pub use observed::{Live, Observed, Sighting, observe};
pub use owners::{
    ADOPTION, Entry, HEAL, IGNORED_MANAGER, Operation, Unprojectable, additions, entries,
    own_operation, owned_by, replicas_yielded,
};
pub use path::{Path, Step};
pub use snapshot::{Wanted, snapshot};
pub use takeover::{Takeover, takeover};
