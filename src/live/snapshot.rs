//! The first look at the cluster: after a start, and for ids that were not there before.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};

use super::{Ignore, Live, Sighting, holds, observe};
use crate::cluster::{Cluster, Error, Identity, Resource, Target};
use crate::desired::DesiredObject;
use crate::inventory::{Entry, Owner};
use crate::object::{Object, ObjectId};

/// Above this many ids of one kind in one namespace a list costs less than reading each.
const LIST_ABOVE: usize = 20;
/// Lists in flight at once: each holds a page of objects.
const LISTS: usize = 4;
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
    let mut lists: Vec<BoxFuture<'_, Listed<'_>>> = Vec::new();
    for ((resource, namespace), group) in places {
        if group.len() <= LIST_ABOVE {
            singles.extend(group);
        } else {
            let listed =
                async move { list(cluster, who, owner, &resource, namespace, group, now).await };
            lists.push(listed.boxed());
        }
    }
    let mut lists = futures::stream::iter(lists).buffer_unordered(LISTS);
    while let Some(listed) = lists.next().await {
        match listed {
            Listed::Found(found) => live.extend(found),
            Listed::Forbidden(group) => singles.extend(group),
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

/// What a list told of the objects that were looked for in one place.
enum Listed<'a> {
    /// What is known of each.
    Found(Live),
    /// Nothing: listing may be forbidden where reading is not.
    Forbidden(Vec<Wanted<'a>>),
}

/// Reads objects of one kind in one namespace. Of each page only the sightings are kept, so that
/// lists beside one another do not cost the memory of all their objects.
async fn list<'a>(
    cluster: &dyn Cluster,
    who: &Identity,
    owner: &Owner,
    resource: &Resource,
    namespace: String,
    group: Vec<Wanted<'a>>,
    now: i64,
) -> Listed<'a> {
    // By the whole id: of another scope or namespace is another object, whatever its name.
    let wanted: BTreeMap<ObjectId, &Wanted<'_>> =
        { group.iter() }.map(|one| (one.target.id(), one)).collect();
    let absent = |id: &ObjectId| (id.clone(), Sighting::Absent);
    let mut live: Live = wanted.keys().map(absent).collect();
    let mut page = |objects: Vec<Object>| {
        for object in objects {
            let id = object.id();
            if let Some(one) = wanted.get(&id) {
                live.insert(id, sighting(Ok(Some(object)), one, owner, now));
            }
        }
    };
    let scope = (!namespace.is_empty()).then_some(namespace.as_str());
    let listed = cluster.pages(who, resource, scope, None, &mut page).await;
    match listed {
        Ok(()) => Listed::Found(live),
        Err(error) if error.is_forbidden() => Listed::Forbidden(group),
        Err(error) => {
            let unknown =
                |one: &Wanted<'_>| (one.target.id(), Sighting::Unknown(error.to_string()));
            Listed::Found(group.iter().map(unknown).collect())
        }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::fake::FakeCluster;
    use crate::object::Scope;

    const MANY: usize = LIST_ABOVE + 1;

    fn resources() -> [Resource; 2] {
        [("ConfigMap", "configmaps"), ("Secret", "secrets")]
            .map(|(kind, plural)| Resource::known("v1", kind, plural, Scope::Namespaced))
    }

    /// Looks for so many objects of two kinds, of which every other one is there.
    async fn look(cluster: &FakeCluster, count: usize) -> Live {
        let mut wanted = Vec::new();
        for resource in &resources() {
            for number in 0..count {
                let name = format!("n{number}");
                if number % 2 == 0 {
                    cluster.put(Object(
                        json!({"apiVersion": "v1", "kind": resource.gvk.kind,
                        "metadata": {"name": name, "namespace": "shop", "uid": name}}),
                    ));
                }
                wanted.push(Wanted {
                    target: Target::new(resource, "shop", name.as_str()),
                    desired: None,
                    entry: None,
                });
            }
        }
        let owner = owner();
        snapshot(cluster, &Identity::Agent, &owner, wanted, 0).await
    }

    fn owner() -> Owner {
        Owner {
            install: "i".into(),
            namespace: "n".into(),
            name: "a".into(),
        }
    }

    fn check_all(live: &Live, count: usize) {
        assert_eq!(live.len(), 2 * count);
        for (id, sighting) in live {
            let number: usize = id.name[1..].parse().expect("a number");
            match sighting {
                Sighting::Present(seen) => assert_eq!((number % 2, &seen.uid), (0, &id.name)),
                Sighting::Absent => assert_eq!(number % 2, 1, "{id}"),
                Sighting::Unknown(why) => panic!("{id}: {why}"),
            }
        }
    }

    #[tokio::test]
    async fn many_of_a_kind_are_listed_and_few_are_read() {
        let cluster = FakeCluster::new(resources());
        check_all(&look(&cluster, MANY).await, MANY);
        assert_eq!(
            cluster.requests(),
            ["list configmaps in shop", "list secrets in shop"]
        );
        let cluster = FakeCluster::new(resources());
        check_all(&look(&cluster, 2).await, 2);
        assert_eq!(cluster.requests().len(), 4);
    }

    #[tokio::test]
    async fn what_may_not_be_listed_is_read() {
        let cluster = FakeCluster::new(resources());
        cluster.fail("list secrets in shop", 403);
        check_all(&look(&cluster, MANY).await, MANY);
        assert_eq!(cluster.requests().len(), 2 + MANY);
    }

    #[tokio::test]
    async fn nothing_of_a_list_that_failed_is_absent() {
        let cluster = FakeCluster::new(resources());
        cluster.fail("list secrets in shop", 500);
        check_unknown(&look(&cluster, MANY).await);
    }

    fn check_unknown(live: &Live) {
        assert_eq!(live.len(), 2 * MANY);
        for (id, sighting) in live {
            let is_unknown = matches!(sighting, Sighting::Unknown(_));
            assert_eq!(is_unknown, id.kind == "Secret", "{id}");
        }
    }

    #[tokio::test]
    async fn nothing_of_a_list_that_failed_half_way_is_absent() {
        let cluster = FakeCluster::new(resources());
        cluster.fail("list secrets in shop, page 2", 410);
        check_unknown(&look(&cluster, MANY).await);
        let cluster = FakeCluster::new(resources());
        cluster.fail("list secrets in shop, page 2", 403);
        check_all(&look(&cluster, MANY).await, MANY);
    }

    #[tokio::test]
    async fn an_object_of_the_same_name_elsewhere_is_another() {
        let cluster = FakeCluster::new(resources());
        look(&cluster, MANY).await;
        // As if the kind had no namespaces when it was recorded.
        let [resource, _] = resources();
        let names: Vec<String> = (0..MANY).map(|number| format!("n{number}")).collect();
        let wanted = names.iter().map(|name| Wanted {
            target: Target::new(&resource, "", name.as_str()),
            desired: None,
            entry: None,
        });
        let owner = owner();
        let live = snapshot(&cluster, &Identity::Agent, &owner, wanted.collect(), 0).await;
        assert_eq!(live.len(), MANY);
        assert!(live.values().all(|seen| *seen == Sighting::Absent));
    }
}
