//! An Application that is being deleted: its objects go with it, or stay, as its finalizer says.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::application::Application;
use super::look::recorded;
use super::publish::applications;
use super::request::Request;
use crate::apply::{Context, apply};
use crate::cluster::{Error, Identity, Patch, Resource, STATUS_MANAGER, Target};
use crate::desired::{Barrier, Desired};
use crate::diff::{Change, diff};
use crate::live::{Wanted, snapshot};
use crate::object::{Gvk, Scope, keys};
use crate::plan::{Action, Plan, Step};
use crate::status::Problem;

/// The end of an Application.
pub(super) struct Deletion;

impl Deletion {
    /// Takes a deletion as far as it goes now. Returns true when nothing is left to do; otherwise
    /// it is called again when something happens.
    pub(super) async fn of(app: &mut Application) -> bool {
        let request = app.requests.borrow_and_update().clone();
        app.problems.clear();
        match advance(app, &request).await {
            Ok(ended) => ended,
            Err(problem) => {
                app.problems = vec![problem];
                app.publish(&request, true).await;
                app.retry_soon();
                false
            }
        }
    }
}

async fn advance(app: &mut Application, request: &Request) -> Result<bool, Problem> {
    if request.cascades() && !is_uninstall(app, request).await? {
        let gone = prune_all(app, request).await?;
        if !gone {
            app.retry_soon();
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

/// Deletes every object that is recorded, dependants first. Returns true once all are gone.
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
    let inventory = app.inventory.clone().unwrap_or_default();
    app.recorded = recorded(inventory.iter(), &discovery);
    let now = jiff::Timestamp::now().as_second();
    let wanted = inventory
        .iter()
        .filter_map(|(id, entry)| {
            let resource = app.recorded.get(id)?;
            let target = Target::new(resource, id.namespace.as_str(), id.name.as_str());
            Some(Wanted {
                target,
                desired: None,
                entry: Some(entry),
            })
        })
        .collect();
    app.live = snapshot(&*cluster, &who, &app.owner, wanted, now).await;
    let spec = request.spec.clone().unwrap_or_else(|_| empty_spec());
    let policy = crate::api::Policy::from_spec(&spec)
        .or_else(|_| crate::api::Policy::from_spec(&empty_spec()));
    let policy = policy.map_err(|e| Problem::of(&e))?;
    let changes = diff(
        &Desired::default(),
        &app.live,
        &inventory,
        &BTreeMap::new(),
        &policy,
    );
    let mut steps: Vec<Step> = changes
        .iter()
        .filter_map(|(id, change)| {
            let action = match change {
                Change::Prune => Action::Prune,
                Change::Abandon(_) => Action::Abandon,
                _ => return None,
            };
            let gvk = Gvk {
                group: id.group.clone(),
                version: String::new(),
                kind: id.kind.clone(),
            };
            Some(Step {
                action,
                id: id.clone(),
                barrier: Barrier::of(&gvk),
            })
        })
        .collect();
    steps.sort_by(|a, b| (b.barrier, &a.id).cmp(&(a.barrier, &b.id)));
    let plan = Plan {
        steps,
        ..Plan::default()
    };
    let (live, at) = (app.live.clone(), app.recorded.clone());
    let none = BTreeMap::new();
    let context = Context {
        cluster: &*cluster,
        who: &who,
        desired: &none,
        enforced: &none,
        live: &live,
        recorded: &at,
        revision: "",
        preempted: &|| false,
    };
    let goal = Desired::default();
    apply(context, &plan, |outcome| app.take(outcome, &goal, now)).await;
    app.save().await;
    if let Some(problem) = app.problems.first() {
        return Err(problem.clone());
    }
    let inventory = app.inventory.get_or_insert_default();
    // An object of a kind that is not served any more cannot exist any more either.
    let left: Vec<String> = inventory
        .iter()
        .filter(|(id, _)| app.recorded.contains_key(*id))
        .map(|(id, _)| id.to_string())
        .collect();
    if !left.is_empty() {
        tracing::info!(
            application = request.name,
            waiting = left.len(),
            first = left[0],
            "waits for objects to go"
        );
    }
    Ok(left.is_empty())
}

/// Lets the Application go: our finalizer and Argo CD's spelling of it, no other.
async fn remove_finalizers(app: &Application, request: &Request) -> Result<(), Error> {
    let kept: Vec<&String> = request
        .finalizers
        .iter()
        .filter(|f| *f != keys::PRUNE_FINALIZER && *f != keys::ARGO_FINALIZER)
        .collect();
    if kept.len() == request.finalizers.len() {
        return Ok(());
    }
    let target = Target::new(
        &applications(),
        request.namespace.as_str(),
        request.name.as_str(),
    );
    let patch = Patch::Merge(json!({"metadata": {"finalizers": kept}}));
    let cluster = &*app.shared.cluster;
    match cluster
        .patch(&Identity::Agent, &target, None, &patch, STATUS_MANAGER)
        .await
    {
        Err(error) if error.is_not_found() => Ok(()),
        other => other.map(|_| ()),
    }
}

/// A spec for an Application whose own cannot be read: deleting it must not depend on that.
fn empty_spec() -> crate::api::ApplicationSpec {
    let spec = json!({"source": {"repoURL": "unreadable"}, "destination": {}});
    serde_json::from_value(spec).expect("a minimal spec is valid")
}
