//! Carrying out a plan: the only writer of objects that users own.
//!
//! Steps of one barrier run in parallel, barriers one after the other. Nothing is decided here:
//! what a step writes is looked up, and what became of it is returned.

mod body;
mod recreate;
mod replace;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};

use crate::cluster::{
    ADOPT_MANAGER, Cluster, Deleted, Error, Identity, Patch, Propagation, Put, Resource, Target,
};
use crate::desired::DesiredObject;
use crate::diff::{Drift, drift};
use crate::live::{ADOPTION, HEAL, Ignored, Live, holds, takeover};
use crate::object::{Gvk, Object, ObjectId, Scope};
use crate::plan::{Action, Plan, Step};

/// Writes in flight at once. The API server's own best on two cores lies between 16 and 64.
const CONCURRENCY: usize = 32;
/// How often a takeover is computed anew when somebody wrote the object in between.
const TAKEOVER_TRIES: usize = 3;

/// What a step did.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// The object is now this. `changed` is false when the server had nothing to write.
    Applied {
        /// The live object after the apply.
        object: Object,
        /// Whether its resourceVersion moved.
        changed: bool,
        /// What of it had drifted: empty for an object that was not read before.
        undone: Vec<Drift>,
    },
    /// The object is gone.
    Gone,
    /// The object is on its way out.
    Terminating,
    /// The object is gone, or on its way out, and is to be created anew.
    Removed {
        /// It is still there.
        terminating: bool,
    },
    /// The object is not ours any more, or never mattered; only the record goes.
    Forgotten,
}

/// A step and what became of it.
#[derive(Debug)]
pub struct Outcome {
    /// The step.
    pub step: Step,
    /// Its effect, or why there is none.
    pub result: Result<Effect, Error>,
}

/// What a plan refers to.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The API server.
    pub cluster: &'a dyn Cluster,
    /// As whom.
    pub who: &'a Identity,
    /// The objects of the newest revision.
    pub desired: &'a BTreeMap<ObjectId, Arc<DesiredObject>>,
    /// The objects that are being enforced: heal steps write these.
    pub enforced: &'a BTreeMap<ObjectId, Arc<DesiredObject>>,
    /// What is known of the cluster, with the resources of what is pruned.
    pub live: &'a Live,
    /// Where recorded objects are served: the targets of deletes.
    pub recorded: &'a BTreeMap<ObjectId, Resource>,
    /// What becomes of the dependants of what is deleted.
    pub propagation: Propagation,
    /// Workloads whose autoscaler is gone: their replicas are Git's again.
    pub unscaled: &'a BTreeSet<ObjectId>,
    /// The commit that goes into `towline.dev/revision` of what changes.
    pub revision: &'a str,
    /// True when a newer revision came: no further step is begun.
    pub preempted: &'a (dyn Fn() -> bool + Sync),
}

/// What a write that sends all of an object would make of it, as the API server says; `live` is the
/// object as it is.
///
/// # Errors
/// What the API server would refuse the write with.
pub(crate) async fn dry_run(
    cluster: &dyn Cluster,
    who: &Identity,
    target: &Target,
    object: &DesiredObject,
    live: Option<&Object>,
) -> Result<Object, Error> {
    let desired = object.object();
    match live {
        _ if !object.replaces => cluster.apply(who, target, &desired, true).await,
        None => cluster.put(who, target, &desired, Put::Create, true).await,
        Some(live) => {
            let body = replace::replacement(&desired, live, HEAL);
            cluster.put(who, target, &body, Put::Replace, true).await
        }
    }
}

/// Carries out `plan` and gives each outcome to `done` as it comes, so that a record of what was
/// written exists at every instant.
///
/// After a failed step of the roll-forward no later barrier of it is begun, and nothing is pruned;
/// heal steps go on. Returns true when it ran to its end, false when it was pre-empted.
pub fn apply<'a>(
    context: Context<'a>,
    plan: &'a Plan,
    done: impl FnMut(Outcome) + Send + 'a,
) -> BoxFuture<'a, bool> {
    carry_out(context, plan, done).boxed()
}

async fn carry_out<'a>(
    context: Context<'a>,
    plan: &'a Plan,
    mut done: impl FnMut(Outcome) + Send + 'a,
) -> bool {
    let mut failed = false;
    for group in groups(&plan.steps) {
        let stopped = failed;
        let runnable: Vec<BoxFuture<'_, Option<Outcome>>> = group
            .iter()
            .filter(|step| step.action == Action::Heal || !stopped)
            .map(|step| outcome(context, step))
            .collect();
        let mut running = futures::stream::iter(runnable).buffer_unordered(CONCURRENCY);
        while let Some(outcome) = running.next().await {
            let Some(outcome) = outcome else { continue };
            failed |= outcome.result.is_err() && outcome.step.action != Action::Heal;
            done(outcome);
        }
        if (context.preempted)() {
            return false;
        }
    }
    true
}

/// Runs of steps of one barrier and one direction; the plan is sorted that way.
fn groups(steps: &[Step]) -> Vec<&[Step]> {
    let key = |step: &Step| {
        (
            step.barrier,
            matches!(step.action, Action::Prune | Action::Abandon),
        )
    };
    steps.chunk_by(|a, b| key(a) == key(b)).collect()
}

/// One step, unless a newer revision came before it began.
fn outcome<'a>(context: Context<'a>, step: &'a Step) -> BoxFuture<'a, Option<Outcome>> {
    async move {
        if (context.preempted)() {
            return None;
        }
        Some(Outcome {
            step: step.clone(),
            result: run(context, step).await,
        })
    }
    .boxed()
}

async fn run(context: Context<'_>, step: &Step) -> Result<Effect, Error> {
    match step.action {
        Action::Abandon => Ok(Effect::Forgotten),
        Action::Prune => prune(context, &step.id, context.propagation).await,
        // One that still runs goes after its pods, so that the next one never runs beside them.
        Action::DeleteHook => prune(context, &step.id, Propagation::Foreground).await,
        Action::Heal => write(context, step, context.enforced.get(&step.id)).await,
        Action::Create | Action::Adopt | Action::Update | Action::RunHook(_) => {
            write(context, step, context.desired.get(&step.id)).await
        }
        Action::Recreate => recreate(context, &step.id).await,
    }
}

/// Begins to create an object anew.
async fn recreate(context: Context<'_>, id: &ObjectId) -> Result<Effect, Error> {
    let object = context.desired.get(id);
    let seen = context.live.get(id).and_then(|sighting| sighting.present());
    let (Some((object, resource)), Some(seen)) =
        (object.and_then(|o| Some((o, o.resource()?))), seen)
    else {
        return Ok(Effect::Forgotten);
    };
    let target = Target::new(resource, id.namespace.as_str(), id.name.as_str());
    recreate::begin(context, &target, object, seen).await
}

/// Applies an object. A heal and an adoption first take over what listed managers left behind:
/// force alone cannot remove an element of a list that somebody else added. Where something is left
/// to others, the object is read first too, and nothing is sent when the rest of it is there.
async fn write(
    context: Context<'_>,
    step: &Step,
    object: Option<&Arc<DesiredObject>>,
) -> Result<Effect, Error> {
    let Some((object, resource)) = object.and_then(|o| Some((o, o.resource()?))) else {
        return Ok(Effect::Forgotten);
    };
    let target = Target::new(
        resource,
        object.id.namespace.as_str(),
        object.id.name.as_str(),
    );
    let seen = context.live.get(&step.id).and_then(|s| s.present());
    let mark = match (step.action, seen) {
        (Action::Heal, Some(seen)) if !seen.revision.is_empty() => seen.revision.as_str(),
        _ => context.revision,
    };
    // What replace mode wrote would stay for ever, since nobody owns it by an apply.
    let was_replaced = seen.is_some_and(|seen| seen.replaced);
    let names = match step.action {
        Action::Adopt => Some(ADOPTION),
        Action::Heal => Some(HEAL),
        _ if object.replaces || was_replaced => Some(HEAL),
        _ => seen
            .is_some_and(|seen| {
                !object.ignore.is_empty() || seen.set_aside || seen.yielded_to.is_some()
            })
            .then_some(&[][..]),
    };
    if object.replaces {
        let names = names.unwrap_or(HEAL);
        return replace::write(context, &target, object, mark, names).await;
    }
    let mut before = seen.map(|seen| seen.version);
    let mut ignored = Ignored::default();
    let mut undone = Vec::new();
    let mut there = None;
    if let Some(names) = names {
        let rule = |live: &Object| {
            let yields = !context.unscaled.contains(&step.id);
            object.ignore.in_live(live, yields)
        };
        let read = take_over(context, &target, names, &rule).await?;
        before = None;
        if let Some(Read { found, after }) = read {
            ignored = rule(&after);
            if step.action == Action::Heal {
                undone = drift(&object.object(), &found, &ignored);
            }
            let moved = after.resource_version() != found.resource_version();
            if holds(&after, &object.object(), &ignored) {
                return Ok(Effect::Applied {
                    object: after,
                    changed: moved,
                    undone,
                });
            }
            before = found.resource_version().parse().ok();
            there = Some(after);
        }
    }
    let body = body::body(object, mark, there.as_ref(), &ignored);
    let applied = context
        .cluster
        .apply(context.who, &target, &body, false)
        .await?;
    let after = applied.resource_version().parse().ok();
    Ok(Effect::Applied {
        changed: before.is_none() || before != after,
        object: applied,
        undone,
    })
}

/// A live object as it was found, and as it is once its fields have the right owners.
struct Read {
    found: Object,
    after: Object,
}

/// Moves what listed managers own to towline, and what is ignored away from it.
async fn take_over(
    context: Context<'_>,
    target: &Target,
    names: &[&str],
    rule: &(dyn Fn(&Object) -> Ignored + Sync),
) -> Result<Option<Read>, Error> {
    for attempt in 1.. {
        let Some(found) = context.cluster.get(context.who, target).await? else {
            return Ok(None);
        };
        let Some(moved) = takeover(&found, names, &rule(&found)) else {
            let after = found.clone();
            return Ok(Some(Read { found, after }));
        };
        let patch = Patch::Json(moved.patch);
        match context
            .cluster
            .patch(context.who, target, None, &patch, ADOPT_MANAGER)
            .await
        {
            Ok(after) => return Ok(Some(Read { found, after })),
            // The test of the resourceVersion failed (422) or the write lost a race (409).
            Err(Error::Refused {
                code: 409 | 422, ..
            }) if attempt < TAKEOVER_TRIES => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Deletes the object that is recorded, and no other of its name.
async fn prune(
    context: Context<'_>,
    id: &ObjectId,
    propagation: Propagation,
) -> Result<Effect, Error> {
    let (Some(resource), Some(seen)) = (
        context.recorded.get(id),
        context.live.get(id).and_then(|s| s.present()),
    ) else {
        return Ok(Effect::Forgotten);
    };
    let target = Target::new(resource, id.namespace.as_str(), id.name.as_str());
    let deleted = context
        .cluster
        .delete(context.who, &target, &seen.uid, propagation)
        .await?;
    Ok(match deleted {
        Deleted::Gone | Deleted::Absent => Effect::Gone,
        Deleted::Terminating => Effect::Terminating,
        Deleted::OtherUid => Effect::Forgotten,
    })
}

/// Creates a namespace for `CreateNamespace=true` where it is missing. It is never recorded, and so
/// never pruned: what people put into it is not ours. Returns whether it was created.
///
/// # Errors
/// When it cannot be read or created. An identity that may not read namespaces makes none.
pub async fn ensure_namespace(
    cluster: &dyn Cluster,
    who: &Identity,
    name: &str,
) -> Result<bool, Error> {
    let resource = Resource::known("v1", "Namespace", "namespaces", Scope::Cluster);
    let target = Target::new(&resource, "", name);
    match cluster.get(who, &target).await {
        Ok(Some(_)) => return Ok(false),
        Ok(None) => {}
        // A tenant may not read namespaces; whether its own exists shows with the first object.
        Err(error) if error.is_forbidden() => return Ok(false),
        Err(error) => return Err(error),
    }
    let body = Object(serde_json::json!({
        "apiVersion": Gvk::from_api_version("v1", "Namespace").api_version(),
        "kind": "Namespace",
        "metadata": {"name": name},
    }));
    cluster.apply(who, &target, &body, false).await?;
    Ok(true)
}

#[cfg(test)]
mod tests;
