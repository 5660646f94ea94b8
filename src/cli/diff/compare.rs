//! One object: live against the server's own answer to a dry run.

use futures::StreamExt as _;
use serde_json::Value;

use super::super::screen::Screen;
use super::{Entry, Subject, Verdict, compared};
use crate::api::Adopt;
use crate::apply::dry_run;
use crate::cluster::{Cluster, Error, Identity, Resource, Target, remedy};
use crate::desired::{Desired, DesiredObject, Placement, Recreation};
use crate::diff::unified;
use crate::error::Fault as _;
use crate::inventory::Claim;
use crate::live::Ignored;
use crate::object::Object;
use crate::yaml;

/// Comparisons in flight at once.
const CONCURRENCY: usize = 16;
/// How many objects are compared between two words about it.
const STEP: usize = 100;

/// Compares every object, in the order of their ids.
pub(super) async fn compare(
    cluster: &dyn Cluster,
    desired: &Desired,
    subject: Option<&Subject>,
    screen: &mut Screen<'_>,
) -> std::io::Result<Vec<Entry>> {
    let objects: Vec<&DesiredObject> = compared(desired).collect();
    let count = objects.len();
    let comparisons = objects
        .into_iter()
        .map(|object| one(cluster, object, subject));
    let mut results = futures::stream::iter(comparisons).buffered(CONCURRENCY);
    let mut entries = Vec::with_capacity(count);
    while let Some(entry) = results.next().await {
        entries.push(entry);
        if entries.len() % STEP == 0 {
            screen.note(&format!("compared {} of {count} objects", entries.len()))?;
        }
    }
    Ok(entries)
}

async fn one(cluster: &dyn Cluster, object: &DesiredObject, subject: Option<&Subject>) -> Entry {
    let entry = |verdict, note: String, text: String| Entry {
        object: object.id.to_string(),
        verdict,
        note,
        place: object.place.clone(),
        text,
    };
    let resource = match &object.placement {
        Placement::Served(resource) => resource,
        Placement::AwaitsCrd => {
            let note = "its CRD is in the same directory, so it is not dry-run".to_owned();
            return entry(
                Verdict::Create,
                note,
                text(object, None, &object.object().0),
            );
        }
        Placement::NotServed => {
            let note = format!("kind {} is not served: install its CRD first", object.gvk);
            return entry(
                Verdict::Create,
                note,
                text(object, None, &object.object().0),
            );
        }
        Placement::Unknown => {
            let note = format!("the server of {} does not answer: try again", object.gvk);
            return entry(Verdict::Failed, note, String::new());
        }
    };
    match against(cluster, object, resource, subject).await {
        Ok((verdict, note, text)) => entry(verdict, note, text),
        Err(error) => {
            let tail = remedy(error.reason())
                .map(|r| format!(" ({r})"))
                .unwrap_or_default();
            entry(
                Verdict::Failed,
                format!("{}: {error}{tail}", object.place),
                String::new(),
            )
        }
    }
}

async fn against(
    cluster: &dyn Cluster,
    object: &DesiredObject,
    resource: &Resource,
    subject: Option<&Subject>,
) -> Result<(Verdict, String, String), Error> {
    let id = &object.id;
    let target = Target::new(resource, id.namespace.as_str(), id.name.as_str());
    let live = match cluster.get(&Identity::Agent, &target).await {
        Err(error) if error.is_not_found() => None,
        found => found?,
    };
    if let (Some(live), Some(subject)) = (&live, subject)
        && let Some(owner) = foreign(live, subject)
    {
        let note = format!("it belongs to {owner}: towline leaves it alone");
        return Ok((Verdict::Leave, note, String::new()));
    }
    let mut recreated = false;
    let tried = dry_run(cluster, &Identity::Agent, &target, object, live.as_ref()).await;
    let (next, note) = match tried {
        Ok(next) => (next.0, String::new()),
        Err(error) if is_recreated(object, &error) => {
            recreated = true;
            let next = overlaid(live.as_ref(), &object.object());
            (
                next,
                format!("it would be deleted and created anew: {error}"),
            )
        }
        Err(error) => match excuse(&error) {
            // What the server would fill in is not known: what is live stands for it.
            Some(why) => (
                overlaid(live.as_ref(), &object.object()),
                format!("not dry-run: {why}"),
            ),
            None => return Err(error),
        },
    };
    // What is left to others is no difference, whatever a dry run would make of it.
    let left = live
        .as_ref()
        .map_or_else(Ignored::default, |live| object.ignore.in_live(live, true));
    let without = |value: &Value| {
        let mut rest = value.clone();
        left.strip(&mut rest);
        rest
    };
    let shown = live.as_ref().map(|live| Object(without(&live.0)));
    let text = text(object, shown.as_ref(), &without(&next));
    let adopted = subject.is_some_and(|subject| {
        let claim = live.as_ref().map(|live| subject.owner.claim(live));
        claim == Some(Claim::Nobody)
    });
    Ok(match (&live, text.is_empty()) {
        (None, _) => (Verdict::Create, note, text),
        _ if recreated => (Verdict::Recreate, note, text),
        (Some(_), _) if adopted => {
            let mut told = "it would be adopted: it is there already, and nobody's".to_owned();
            if !note.is_empty() {
                told = format!("{told} ({note})");
            }
            (Verdict::Adopt, told, text)
        }
        (Some(_), true) => (Verdict::Same, note, text),
        (Some(_), false) => (Verdict::Update, note, text),
    })
}

/// Whether the object would be created anew, because a field cannot be changed in place.
fn is_recreated(object: &DesiredObject, error: &Error) -> bool {
    error.reason() == "ImmutableField" && object.recreation != Recreation::Never
}

/// The owner, where it is somebody else; as the agent sees it.
fn foreign(live: &Object, subject: &Subject) -> Option<String> {
    match subject.owner.claim(live) {
        Claim::Ours => None,
        Claim::Other(owner) => Some(owner),
        Claim::Nobody => {
            (subject.policy.adopt == Adopt::Never).then(|| "nobody, and spec.adopt is Never".into())
        }
    }
}

/// Why an object cannot be dry-run although nothing is wrong with it.
fn excuse(error: &Error) -> Option<&'static str> {
    match error.reason() {
        "NamespaceNotFound" => Some("its namespace is not there yet"),
        "WebhookDenied" if error.is_without_dry_run() => {
            Some("an admission webhook does not support dry runs")
        }
        _ if error.is_without_dry_run() => Some("an admission webhook does not support dry runs"),
        _ => None,
    }
}

fn text(object: &DesiredObject, live: Option<&Object>, next: &Value) -> String {
    unified(
        &object.id.to_string(),
        live.map(|live| &live.0),
        Some(next),
        &yaml::to_string,
    )
}

/// The desired object over the live one: maps are merged, everything else is replaced.
fn overlaid(live: Option<&Object>, desired: &Object) -> Value {
    let mut value = live.map_or(Value::Null, |live| live.0.clone());
    overlay(&mut value, &desired.0);
    value
}

fn overlay(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                overlay(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over.clone(),
    }
}
