//! The first look at the cluster: after a start, and for ids that were not there before.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};

use super::{Ignore, Live, Sighting, holds, observe};
use crate::cluster::{Cluster, Error, Identity, Resource, Target};
use crate::desired::DesiredObject;
use crate::inventory::{Entry, Owner};
use crate::object::{Object, ObjectId};

/// Above this many ids of one kind in one namespace a list costs less than reading each.
const LIST_ABOVE: usize = 20;
/// Reads in flight at once.
const CONCURRENCY: usize = 16;

/// One object that is looked for.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Where it is.
    pub target: Target,
    /// What it should be, where the revision declares it.
    pub desired: Option<&'a DesiredObject>,
    /// What is recorded of it.
    pub entry: Option<&'a Entry>,
}

/// Reads objects as `who`: each, or as a list where there are many in one place. What cannot be
/// read is [`Sighting::Unknown`], never absent.
pub fn snapshot<'a>(
    cluster: &'a dyn Cluster,
    who: &'a Identity,
    owner: &'a Owner,
    wanted: Vec<Wanted<'a>>,
    now: i64,
) -> BoxFuture<'a, Live> {
    look(cluster, who, owner, wanted, now).boxed()
}

async fn look<'a>(
    cluster: &'a dyn Cluster,
    who: &'a Identity,
    owner: &'a Owner,
    wanted: Vec<Wanted<'a>>,
    now: i64,
) -> Live {
    let mut places: BTreeMap<(Resource, String), Vec<Wanted<'_>>> = BTreeMap::new();
    for one in wanted {
        let place = (one.target.resource.clone(), one.target.namespace.clone());
        places.entry(place).or_default().push(one);
    }
    let mut live = Live::new();
    let mut singles = Vec::new();
    for ((resource, namespace), group) in places {
        if group.len() <= LIST_ABOVE {
            singles.extend(group);
            continue;
        }
        let scope = (!namespace.is_empty()).then_some(namespace.as_str());
        match cluster.list(who, &resource, scope, None).await {
            Ok(objects) => from_list(&mut live, &group, objects, owner, now),
            // Listing may be forbidden where reading is not.
            Err(error) if error.is_forbidden() => singles.extend(group),
            Err(error) => {
                let unknown =
                    |one: Wanted<'_>| (one.target.id(), Sighting::Unknown(error.to_string()));
                live.extend(group.into_iter().map(unknown));
            }
        }
    }
    let reads: Vec<BoxFuture<'_, (ObjectId, Sighting)>> = singles
        .into_iter()
        .map(|one| {
            async move {
                let answer = cluster.get(who, &one.target).await;
                (one.target.id(), sighting(answer, &one, owner, now))
            }
            .boxed()
        })
        .collect();
    let reads = futures::stream::iter(reads).buffer_unordered(CONCURRENCY);
    live.extend(reads.collect::<Vec<_>>().await);
    live
}

fn from_list(live: &mut Live, group: &[Wanted<'_>], objects: Vec<Object>, owner: &Owner, now: i64) {
    let wanted: BTreeSet<&str> = group.iter().map(|one| one.target.name.as_str()).collect();
    let mut found: BTreeMap<ObjectId, Object> = objects
        .into_iter()
        .filter(|object| wanted.contains(object.name()))
        .map(|object| (object.id(), object))
        .collect();
    for one in group {
        let id = one.target.id();
        let answer = Ok(found.remove(&id));
        live.insert(id, sighting(answer, one, owner, now));
    }
}

fn sighting(
    answer: Result<Option<Object>, Error>,
    one: &Wanted<'_>,
    owner: &Owner,
    now: i64,
) -> Sighting {
    match answer {
        Err(error) => Sighting::Unknown(error.to_string()),
        Ok(None) => Sighting::Absent,
        Ok(Some(object)) => {
            let nothing = Ignore::default();
            let ignore = one.desired.map_or(&nothing, |desired| &desired.ignore);
            let mut observed = observe(&object, owner, ignore, now);
            observed.holds = held(&object, one);
            Sighting::Present(Box::new(observed))
        }
    }
}

/// The content hash that the live object is known to hold: that of the desired object, when this
/// very content was applied last and every field of it is still there.
fn held(live: &Object, one: &Wanted<'_>) -> Option<u64> {
    let desired = one.desired?;
    if one.entry?.hash != desired.hash {
        return None;
    }
    let ignored = desired.ignore.in_live(live, true);
    holds(live, &desired.object(), &ignored).then_some(desired.hash)
}
