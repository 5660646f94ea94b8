//! Objects of an earlier revision, for those of the next that were rendered the same: nearly all of
//! a large Application, of which making them ready takes longer than anything else in a pass.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Desired, DesiredObject, RenderedHash, is_place_of};
use crate::render::RenderedObject;

/// The objects of an earlier revision by what they were made from.
#[derive(Default)]
pub(super) struct Earlier<'a>(HashMap<RenderedHash, &'a Arc<DesiredObject>>);

impl<'a> Earlier<'a> {
    /// Those of `desired` that say nothing of their own each time: no hooks, and none with notes.
    pub(super) fn of(desired: Option<&'a Desired>) -> Self {
        let objects = desired
            .into_iter()
            .flat_map(|desired| desired.objects.values());
        Self(
            objects
                .filter_map(|object| Some((object.rendered?, object)))
                .collect(),
        )
    }

    /// The one that was made from the same, at the same place.
    pub(super) fn find(
        &self,
        hash: &RenderedHash,
        one: &RenderedObject,
    ) -> Option<&'a Arc<DesiredObject>> {
        let object = self.0.get(hash).copied()?;
        let generated = one.generated.as_ref().map(|generated| &generated.base_name);
        let is_same = generated == object.generated.as_ref() && is_place_of(one, &object.place);
        is_same.then_some(object)
    }
}
