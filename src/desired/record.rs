//! What the inventory keeps of a declared object for the day on which it leaves Git.

use super::DesiredObject;
use crate::api::Removal;
use crate::inventory::Entry;
use crate::object::Object;

impl DesiredObject {
    /// Writes down what decides about the object's removal: Git does not say it any more then.
    pub fn describe(&self, entry: &mut Entry) {
        let options = &self.options;
        entry.wave = self.wave;
        entry.keep = options.prune == Removal::Keep;
        entry.confirm = options.prune == Removal::Confirm;
        entry.on_deletion = (options.delete != options.prune).then_some(options.delete);
        entry.prune_last = options.prune_last;
        entry.claims = self.claims;
        entry.generated.clone_from(&self.generated);
        // Whoever let its deletion through meant that deletion, not one after its return.
        entry.approved = false;
        entry.recreate = None;
    }

    /// Whether the entry says all that, so that nothing has to be written.
    pub fn is_described(&self, entry: &Entry) -> bool {
        let options = &self.options;
        entry.wave == self.wave
            && entry.on_prune() == options.prune
            && entry.on_delete() == options.delete
            && entry.prune_last == options.prune_last
            && entry.claims == self.claims
            && entry.generated == self.generated
            && !entry.approved
            && entry.recreate.is_none()
    }
}

/// For a StatefulSet: whether it has claims, which hold data.
pub(super) fn claims(object: &Object) -> Option<bool> {
    (object.kind() == "StatefulSet").then(|| {
        let templates = object.0.pointer("/spec/volumeClaimTemplates");
        templates.is_some_and(|list| list.as_array().is_some_and(|list| !list.is_empty()))
    })
}
