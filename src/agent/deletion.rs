//! An Application that is being deleted: its objects go with it, or stay, as its finalizer says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::application::Application;
use super::finalizers;
use super::look::update_recorded;
use super::publish::applications;
use super::request::Request;
use super::sync::spare;
use crate::api::Policy;
use crate::apply::{Context, apply};
use crate::cluster::{Error, Identity, Propagation, Resource, STATUS_MANAGER, Target};
use crate::desired::Desired;
use crate::diff::diff;
use crate::error::Class;
use crate::inventory::{Entry, Inventory};
use crate::live::{Sighting, Wanted, snapshot};
use crate::object::{ObjectId, Scope};
use crate::plan::{Plan, teardown};
use crate::status::Problem;

/// When a deletion that waits is looked at again, should no watch tell.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The end of an Application.
pub(super) struct Deletion;

impl Deletion {
    /// Takes a deletion as far as it goes now. Returns true when nothing is left to do; otherwise
    /// it is called again when something happens.
    pub(super) async fn of(app: &mut Application) -> bool {
        let request = app.requests.borrow_and_update().clone();
        app.problems.clear();
        // Everything is read anew: what the watches told was only to wake this up.
        app.mailbox.empty();
        app.enforced.clear();
        match advance(app, &request).await {
            Ok(ended) => ended,
            Err(problem) => {
                app.problems = vec![problem];
                app.publish(&request, true).await;
                app.retry_in(LOOK_AGAIN);
                false
            }
        }
    }
}

async fn advance(app: &mut Application, request: &Request) -> Result<bool, Problem> {
    if request.cascades() && !is_uninstall(app, request).await? {
        let gone = prune_all(app, request).await?;
        if !gone {
            return Ok(false);
        }
    }
    let cluster = Arc::clone(&app.shared.cluster);
    app.store
        .delete(&*cluster)
        .await
        .map_err(|e| Problem::of(&e))?;
    app.last_good
        .delete(&*cluster)
        .await
        .map_err(|e| Problem::of(&e))?;
    remove_finalizers(app, request)
        .await
        .map_err(|e| Problem::of(&e))?;
    Ok(true)
}

/// Deleting the CRD, the Application's namespace or the agent's own installation deletes every
/// Application with it. That is an uninstall, not a wish to lose what runs: the objects stay.
async fn is_uninstall(app: &Application, request: &Request) -> Result<bool, Problem> {
    let crds = Resource::known(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        Scope::Cluster,
    );
    let namespaces = Resource::known("v1", "Namespace", "namespaces", Scope::Cluster);
    let deployments = Resource::known("apps/v1", "Deployment", "deployments", Scope::Namespaced);
    let options = &app.shared.options;
    let mut ends = vec![
        Target::new(&crds, "", "applications.towline.dev"),
        Target::new(&namespaces, "", request.namespace.as_str()),
        Target::new(&namespaces, "", options.namespace.as_str()),
    ];
    if let Some(name) = &options.deployment {
        ends.push(Target::new(
            &deployments,
            options.namespace.as_str(),
            name.as_str(),
        ));
    }
    for (index, target) in ends.iter().enumerate() {
        let found = app.shared.cluster.get(&Identity::Agent, target).await;
        let found = found.map_err(|e| Problem::of(&e))?;
        // The Deployment may have another name; the others must be there.
        let is_gone = found.is_none() && index < 3;
        if is_gone || found.is_some_and(|object| object.is_terminating()) {
            tracing::info!(application = request.name, because = %target.id(), "objects are left: this is an uninstall");
            return Ok(true);
        }
    }
    Ok(false)
}

/// Deletes what is recorded, in the order of [`teardown`]. Returns true once all are gone.
async fn prune_all(app: &mut Application, request: &Request) -> Result<bool, Problem> {
    let cluster = Arc::clone(&app.shared.cluster);
    let who = request
        .identity(&app.shared.options.namespace)
        .map_err(|message| Problem {
            reason: "IdentityRequired".into(),
            message,
            class: crate::error::Class::Stalled,
        })?;
    if app.inventory.is_none() {
        let loaded = app.store.load(&*cluster).await;
        app.inventory = Some(loaded.map_err(|e| Problem::of(&e))?);
    }
    let discovery = app
        .shared
        .kinds
        .get(&*cluster, true)
        .await
        .map_err(|e| Problem::of(&e))?;
    let owned = app.inventory.clone().unwrap_or_default();
    update_recorded(&mut app.recorded, &owned, &discovery);
    // An object of a kind that is not served any more cannot exist any more either.
    let mut inventory = owned.for_deletion();
    for (id, _) in owned.iter() {
        if !app.recorded.contains_key(id) {
            inventory.remove(id);
        }
    }
    let now = jiff::Timestamp::now().as_second();
    app.live = snapshot(&*cluster, &who, &app.owner, wanted(app, &inventory), now).await;
    // Whatever happens to them wakes this up.
    for (id, resource) in &app.recorded {
        app.shared.watches.ensure(&who, resource, &id.namespace);
    }
    let policy = policy(request)?;
    let mut changes = diff(
        &Desired::default(),
        &app.live,
        &inventory,
        &BTreeMap::new(),
        &policy,
    );
    spare(&mut changes, &app.shared.options.installation());
    let plan = teardown(&changes, &app.live, &inventory, request.approve.as_deref());
    confirm(app, &plan).await?;
    let propagation = policy.options.propagation;
    carry_out(app, &plan, &who, propagation, now).await;
    app.save().await;
    let unread = app.live.iter().find_map(|(id, sighting)| match sighting {
        Sighting::Unknown(why) => Some(Problem {
            reason: "ReadFailed".into(),
            message: format!("{id}: {why}; it is not known whether it is gone"),
            class: Class::Retry,
        }),
        _ => None,
    });
    if let Some(problem) = app.problems.first().cloned().or(unread) {
        return Err(problem);
    }
    let left = app.inventory.iter().flat_map(Inventory::iter);
    let left = left
        .filter(|(id, _)| app.recorded.contains_key(*id))
        .count();
    let mut report = plan.report;
    report.out_of_sync = left;
    let went = !plan.steps.is_empty();
    app.report = Some(report);
    if left > 0 {
        if went {
            // What became of these decides about the next.
            app.retry_in(Duration::ZERO);
        } else {
            app.publish(request, true).await;
            app.retry_in(LOOK_AGAIN);
        }
    }
    Ok(left == 0)
}

/// Everything that is recorded and may still be there.
fn wanted<'a>(app: &Application, inventory: &'a Inventory) -> Vec<Wanted<'a>> {
    let one = |(id, entry): (&ObjectId, &'a Entry)| {
        let resource = app.recorded.get(id)?;
        let target = Target::new(resource, id.namespace.as_str(), id.name.as_str());
        Some(Wanted {
            target,
            desired: None,
            entry: Some(entry),
        })
    };
    inventory.iter().filter_map(one).collect()
}

/// Deleting an Application must not depend on whether its spec can be read.
fn policy(request: &Request) -> Result<Policy, Problem> {
    let spec = request.spec.clone().unwrap_or_else(|_| empty_spec());
    Policy::from_spec(&spec)
        .or_else(|_| Policy::from_spec(&empty_spec()))
        .map_err(|e| Problem::of(&e))
}

/// Writes down what a person confirmed, before it is done.
async fn confirm(app: &mut Application, plan: &Plan) -> Result<(), Problem> {
    if plan.approved.is_empty() {
        return Ok(());
    }
    let inventory = app.inventory.get_or_insert_default();
    for id in &plan.approved {
        inventory.update(id, |entry| entry.approved = true);
    }
    let cluster = Arc::clone(&app.shared.cluster);
    let stored = app.store.save(&*cluster, inventory).await;
    stored.map_err(|error| {
        app.inventory = None;
        Problem::of(&error)
    })
}

async fn carry_out(
    app: &mut Application,
    plan: &Plan,
    who: &Identity,
    propagation: Propagation,
    now: i64,
) {
    let cluster = Arc::clone(&app.shared.cluster);
    let (live, at) = (app.live.clone(), app.recorded.clone());
    let none = BTreeMap::new();
    let context = Context {
        cluster: &*cluster,
        who,
        desired: &none,
        enforced: &none,
        live: &live,
        recorded: &at,
        unscaled: &BTreeSet::new(),
        revision: "",
        propagation,
        preempted: &|| false,
    };
    let goal = Desired::default();
    apply(context, plan, |outcome| app.take(outcome, &goal, now)).await;
}

/// Lets the Application go: our finalizer and Argo CD's spelling of it, no other. One that was made
/// anew under its name is left alone.
async fn remove_finalizers(app: &Application, request: &Request) -> Result<(), Error> {
    let target = Target::new(
        &applications(),
        request.namespace.as_str(),
        request.name.as_str(),
    );
    let cluster = &*app.shared.cluster;
    match cluster.get(&Identity::Agent, &target).await? {
        Some(there) if there.uid() == request.uid && !finalizers::ours(&there).is_empty() => {
            finalizers::strip(cluster, there, STATUS_MANAGER).await
        }
        _ => Ok(()),
    }
}

/// A spec for an Application whose own cannot be read: deleting it must not depend on that.
fn empty_spec() -> crate::api::ApplicationSpec {
    let spec = json!({"source": {"repoURL": "unreadable"}, "destination": {}});
    serde_json::from_value(spec).expect("a minimal spec is valid")
}
