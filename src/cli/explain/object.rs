//! `towline explain KIND/NAME`: one object, and the Application that declares it.

use anyhow::bail;
use jiff::Timestamp;
use serde_json::Value;

use super::super::applications::{find, list};
use super::super::kinds;
use super::super::screen::Screen;
use super::finding::{Finding, Subject, ranked};
use super::objects::{add_words, assess};
use super::print;
use super::words::Hidden;
use crate::cluster::{Cluster, Discovery, Identity, Lookup, Target};
use crate::health::Status;
use crate::inventory::{Claim, Owner};
use crate::object::{Gvk, Object, keys};
use crate::status::short;

/// How many controllers are followed from a pod to what Git declares.
const DEPTH: usize = 5;

/// Explains the object that is there; returns the exit code.
///
/// # Errors
/// When it is not there and no Application speaks of it, or cannot be read.
pub(super) async fn explain(
    cluster: &dyn Cluster,
    discovery: &Discovery,
    target: &Target,
    now: Timestamp,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let Some(live) = cluster.get(&Identity::Agent, target).await? else {
        return absent(cluster, target, now, screen).await;
    };
    let seconds = now.as_second().unsigned_abs();
    let (health, mut finding, pod) = assess(cluster, &live, seconds).await;
    let (mut own, mut hidden) = (Vec::new(), Hidden::default());
    if health.status != Status::Healthy {
        let pod = pod.filter(|_| health.status != Status::Suspended);
        hidden = add_words(cluster, &mut finding, pod.as_ref()).await;
        own.push(finding);
    }
    let (declared, through) = declared(cluster, discovery, &live).await;
    let Some(owner) = Owner::named_by(&declared) else {
        own.push(unowned(&declared));
        hidden.hide_in(&mut own);
        let good = format!("{}: {}", target.id(), health.status);
        return Ok(print(screen, &good, &own, now)?);
    };
    let found = find(cluster, &owner.namespace, &owner.name).await;
    let (said, good) = match &found {
        Ok(application) => {
            let subject = Subject::new(application, now);
            let good = format!(
                "{}: {}, as {} declares it",
                target.id(),
                health.status,
                subject.id()
            );
            (about(&subject, &declared.id().to_string()), good)
        }
        Err(error) => {
            let finding = Finding {
                object: target.id().to_string(),
                reason: "owner".into(),
                message: error.to_string(),
                is_note: true,
                ..Finding::default()
            };
            (vec![finding], format!("{}: {}", target.id(), health.status))
        }
    };
    own.extend(said);
    let mut findings = ranked(Vec::new(), own);
    findings.push(origin(&declared, &owner, &through));
    hidden.hide_in(&mut findings);
    Ok(print(screen, &good, &findings, now)?)
}

/// What the Application says of this object: in its own words where it names the object, else as a
/// note of what is going on.
fn about(subject: &Subject<'_>, id: &str) -> Vec<Finding> {
    let mut all = ranked(subject.findings(), Vec::new());
    for finding in &mut all {
        let names_it = finding.object == id || names(&finding.message, id);
        finding.is_note |= !names_it;
    }
    // Of what drifted elsewhere and of other revisions nothing is said here.
    all.retain(|finding| finding.object == id || finding.object == subject.id());
    all
}

/// Whether a message is about this object, and not about one whose name begins the same.
fn names(message: &str, id: &str) -> bool {
    message.match_indices(id).any(|(at, _)| {
        let rest = message[at + id.len()..].chars().next();
        rest.is_none_or(|c| !(c.is_alphanumeric() || matches!(c, '-' | '.')))
    })
}

/// Where it comes from.
fn origin(declared: &Object, owner: &Owner, through: &[String]) -> Finding {
    let commit = declared.annotation(keys::REVISION).unwrap_or_default();
    let chain = match through.is_empty() {
        true => String::new(),
        false => format!("{}, ", through.join(", ")),
    };
    let change = match commit {
        "" => String::new(),
        commit => format!(", changed last by commit {}", short(commit)),
    };
    Finding {
        object: declared.id().to_string(),
        reason: "declared".into(),
        message: format!(
            "{chain}owned by Application/{}/{}{change}",
            owner.namespace, owner.name
        ),
        place: declared.annotation(keys::SOURCE).unwrap_or_default().into(),
        next: vec![format!(
            "towline explain {} -n {}",
            owner.name, owner.namespace
        )],
        is_note: true,
        ..Finding::default()
    }
}

fn unowned(object: &Object) -> Finding {
    let nobody = Owner {
        install: String::new(),
        namespace: String::new(),
        name: String::new(),
    };
    let message = match nobody.claim(object) {
        Claim::Other(owner) => format!("it belongs to {owner}"),
        _ => "no Application owns it".to_owned(),
    };
    Finding {
        object: object.id().to_string(),
        reason: "declared".into(),
        message,
        is_note: true,
        ..Finding::default()
    }
}

/// The object, or the controller above it that an Application declares; and whom that led through.
async fn declared(
    cluster: &dyn Cluster,
    discovery: &Discovery,
    live: &Object,
) -> (Object, Vec<String>) {
    let mut object = live.clone();
    let mut through = Vec::new();
    for _ in 0..DEPTH {
        if Owner::named_by(&object).is_some() {
            return (object, through);
        }
        let Some(above) = controller(cluster, discovery, &object).await else {
            break;
        };
        through.push(format!("of {}", above.id()));
        object = above;
    }
    (live.clone(), Vec::new())
}

async fn controller(
    cluster: &dyn Cluster,
    discovery: &Discovery,
    object: &Object,
) -> Option<Object> {
    let owners = object.0.pointer("/metadata/ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|owner| owner["controller"] == true)?;
    let text = |key: &str| owner.get(key).and_then(Value::as_str).unwrap_or_default();
    let gvk = Gvk::from_api_version(text("apiVersion"), text("kind"));
    let Lookup::Served(resource) = discovery.lookup_kind(&gvk) else {
        return None;
    };
    let target = kinds::target(resource, object.namespace(), text("name"));
    let found = cluster.get(&Identity::Agent, &target).await.ok()??;
    (found.uid() == text("uid")).then_some(found)
}

/// An object that is not there: what Applications say of it.
async fn absent(
    cluster: &dyn Cluster,
    target: &Target,
    now: Timestamp,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let id = target.id().to_string();
    let mut findings = vec![Finding {
        object: id.clone(),
        reason: "Missing".into(),
        message: "not in the cluster".into(),
        ..Finding::default()
    }];
    for application in list(cluster, None).await? {
        let subject = Subject::new(&application, now);
        let said = subject
            .findings()
            .into_iter()
            .filter(|finding| finding.object == id || names(&finding.message, &id));
        findings.extend(said);
        let health = subject.status.health.message.as_deref().unwrap_or_default();
        if names(health, &id) && findings.len() == 1 {
            findings.push(Finding {
                object: subject.id(),
                reason: subject.status.health.status.clone(),
                message: health.into(),
                next: vec![format!("towline explain {}", subject.place())],
                ..Finding::default()
            });
        }
    }
    if findings.len() == 1 {
        bail!(
            "{id} is not in the cluster, and no Application speaks of it (-n names another namespace)"
        );
    }
    Ok(print(screen, "", &findings, now)?)
}
