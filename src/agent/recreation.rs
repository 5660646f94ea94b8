//! Asking the API server which changes of later waves it would refuse, because a field cannot be
//! changed in place: a person who has to approve one recreation is asked about all of the revision.

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};

use super::application::Application;
use crate::cluster::Identity;
use crate::desired::{Desired, DesiredObject};
use crate::error::Fault as _;
use crate::live::Sighting;
use crate::object::ObjectId;

/// Dry runs in flight at once.
const CONCURRENCY: usize = 16;

impl Application {
    /// Tries these changes as dry runs. Returns true when something was learned, so that the plan is
    /// another one.
    pub(super) async fn has_tried(
        &mut self,
        untried: &[ObjectId],
        desired: &Desired,
        who: &Identity,
    ) -> bool {
        let objects = untried.iter().filter_map(|id| desired.objects.get(id));
        let objects = objects.filter(|object| self.is_sent_whole(object));
        let asked: Vec<BoxFuture<'_, (&DesiredObject, bool)>> = objects
            .map(|object| async { (&**object, self.is_immutable(object, who).await) }.boxed())
            .collect();
        let answers: Vec<(&DesiredObject, bool)> =
            stream::iter(asked).buffered(CONCURRENCY).collect().await;
        for (object, refused) in &answers {
            let seen = self.live.get(&object.id).and_then(Sighting::present);
            let Some(seen) = seen else { continue };
            self.immutable
                .note_dry_run(&object.id, &seen.uid, object.hash, *refused);
        }
        answers.iter().any(|(_, refused)| *refused)
    }

    /// Whether a write of the object sends all of it. A dry run of what is left to others would be
    /// refused for what the write leaves out. Replace mode leaves nothing out.
    fn is_sent_whole(&self, object: &DesiredObject) -> bool {
        if object.replaces {
            return true;
        }
        let seen = self.live.get(&object.id).and_then(Sighting::present);
        let leaves = seen.is_some_and(|seen| seen.set_aside || seen.yielded_to.is_some());
        object.ignore.is_empty() && !leaves
    }

    /// Whether the API server would refuse a change because of a field that cannot be changed. What it
    /// does not say now, it says when the change is made.
    async fn is_immutable(&self, object: &DesiredObject, who: &Identity) -> bool {
        let refusal = self.refusal_of_all(object, who).await;
        refusal.is_some_and(|error| error.reason() == "ImmutableField")
    }
}
