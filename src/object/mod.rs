//! The noun of towline: a Kubernetes object, its identity, and the names of towline's marks.
//!
//! Everything else passes these around. Nothing here knows of Git, of a cluster or of rendering.

mod gvk;
mod id;
pub mod keys;
mod lockstep;
mod manifest;
mod pointer;
mod value;

pub use gvk::{Gvk, Scope, is_built_in};
pub use id::ObjectId;
pub use lockstep::Lockstep;
pub use manifest::Manifest;
pub use pointer::{Pointer, PointerError};
pub use value::Object;
