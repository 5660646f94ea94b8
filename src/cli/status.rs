//! `towline status`: what the agent says of its Applications.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::age::age;
use super::applications::{find, list, message, status};
use super::screen::{Screen, Tone};
use super::table::Table;
use super::{Format, Namespace};
use crate::api::ApplicationStatus;
use crate::cluster::Cluster;
use crate::live::shown;
use crate::object::{Object, keys};
use crate::status::short;
use crate::yaml;

/// Show how Applications are
///
/// Without NAME a table. With NAME conditions, history, and where a plan is held the command that
/// lets it go on.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 whatever the Applications' state, 1 it could not be read, \
                        64 the command line cannot be understood."
)]
pub(super) struct StatusArgs {
    /// One Application
    name: Option<String>,
    #[command(flatten)]
    place: Namespace,
    /// Applications of all namespaces
    #[arg(short = 'A', long, conflicts_with = "name")]
    all_namespaces: bool,
    /// Print the Applications themselves, for scripts
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

/// # Errors
/// When the Applications cannot be read.
pub(super) async fn run(
    args: &StatusArgs,
    cluster: &dyn Cluster,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let now = Timestamp::now();
    if let Some(name) = &args.name {
        let application = find(cluster, &args.place.namespace, name).await?;
        match args.output {
            Some(format) => print_value(screen, format, &without_noise(application))?,
            None => one(screen, &application, now)?,
        }
        return Ok(0);
    }
    let namespace = (!args.all_namespaces).then_some(args.place.namespace.as_str());
    let applications = list(cluster, namespace).await?;
    match args.output {
        Some(format) => {
            let items: Vec<Value> = applications.into_iter().map(without_noise).collect();
            let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
            print_value(screen, format, &list)?;
        }
        None if applications.is_empty() => match namespace {
            Some(name) => screen.note(&format!(
                "no Applications in namespace `{name}`; -A shows all"
            ))?,
            None => screen.note("no Applications")?,
        },
        None => table(screen, &applications, args.all_namespaces, now)?,
    }
    Ok(0)
}

/// Prints a value for scripts.
pub(super) fn print_value(
    screen: &mut Screen<'_>,
    format: Format,
    value: &Value,
) -> std::io::Result<()> {
    match format {
        Format::Json => screen.line(&format!("{value:#}")),
        Format::Yaml => screen.print(&yaml::to_string(value)),
    }
}

/// Managed fields are noise to everybody, as in kubectl.
fn without_noise(mut application: Object) -> Value {
    if let Some(metadata) = application
        .0
        .get_mut("metadata")
        .and_then(Value::as_object_mut)
    {
        metadata.remove("managedFields");
    }
    application.0
}

fn table(
    screen: &mut Screen<'_>,
    applications: &[Object],
    namespaces: bool,
    now: Timestamp,
) -> std::io::Result<()> {
    let head = ["NAME", "SYNC", "HEALTH", "REVISION", "AGE", "MESSAGE"];
    let mut table = Table::new(namespaces.then_some("NAMESPACE").into_iter().chain(head));
    for application in applications {
        let status = status(application);
        let cells = [
            application.name().to_owned(),
            or_unknown(&status.sync.status),
            or_unknown(&status.health.status),
            short(&status.sync.revision).to_owned(),
            age(created(application), now),
            said(&status).to_owned(),
        ];
        let place = namespaces.then(|| application.namespace().to_owned());
        table.row(place.into_iter().chain(cells));
    }
    table.print(screen)
}

fn created(application: &Object) -> Option<&str> {
    application
        .0
        .pointer("/metadata/creationTimestamp")
        .and_then(Value::as_str)
}

fn or_unknown(word: &str) -> String {
    if word.is_empty() {
        "Unknown".into()
    } else {
        word.into()
    }
}

/// The message, or what it means that there is none.
fn said(status: &ApplicationStatus) -> &str {
    if status.conditions.is_empty() {
        return "no agent has looked at it yet";
    }
    message(status)
}

/// Everything about one Application.
fn one(screen: &mut Screen<'_>, application: &Object, now: Timestamp) -> std::io::Result<()> {
    let status = status(application);
    let (namespace, name) = (application.namespace(), application.name());
    let spec = |pointer: &str| {
        application
            .0
            .pointer(&format!("/spec/{pointer}"))
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let source = [
        spec("source/repoURL"),
        spec("source/targetRevision"),
        spec("source/path"),
    ];
    field(screen, "Name", &format!("{namespace}/{name}"))?;
    field(screen, "Source", &source.join(" "))?;
    field(screen, "Sync", &or_unknown(&status.sync.status))?;
    field(screen, "Health", &or_unknown(&status.health.status))?;
    field(screen, "Revision", &revision(&status))?;
    field(screen, "Objects", &status.sync.objects.to_string())?;
    field(screen, "Message", said(&status))?;
    let kubectl = format!("kubectl -n {namespace} annotate --overwrite tl {name}");
    if let Some(held) = &status.sync.held {
        field(screen, "Held", held)?;
        if let Some(hash) = approval(held) {
            field(
                screen,
                "Go on with",
                &format!("{kubectl} {}={hash}", keys::APPROVE_PRUNE),
            )?;
        }
    }
    if let Some(reason) = application.annotation(keys::SUSPEND) {
        field(screen, "Suspended", reason)?;
        field(
            screen,
            "Go on with",
            &format!("{kubectl} {}-", keys::SUSPEND),
        )?;
    }
    if application.is_terminating() {
        field(screen, "Deleting", "it waits for its finalizers")?;
    }
    conditions(screen, &status, now)?;
    history(screen, &status, now)
}

fn field(screen: &mut Screen<'_>, name: &str, value: &str) -> std::io::Result<()> {
    let value = shown::line(value, 2048);
    let value = screen.paint(Tone::of(&value), &value);
    let label = format!("{name}:");
    screen.line(format!("{label:<12}{value}").trim_end())
}

fn revision(status: &ApplicationStatus) -> String {
    let (applied, newest) = (&status.sync.revision, &status.sync.target_revision);
    match (applied.is_empty(), newest.is_empty() || newest == applied) {
        (true, true) => "none".into(),
        (true, false) => format!(
            "none is applied as a whole; the newest is {}",
            short(newest)
        ),
        (false, true) => applied.clone(),
        (false, false) => format!("{}; the newest is {}", short(applied), short(newest)),
    }
}

/// The hash that lets a held plan go on, from the text that names it.
pub(super) fn approval(held: &str) -> Option<&str> {
    let (_, rest) = held.split_once(&format!("{}=", keys::APPROVE_PRUNE))?;
    let end = rest
        .find(|c: char| !c.is_ascii_hexdigit())
        .unwrap_or(rest.len());
    Some(&rest[..end]).filter(|hash| !hash.is_empty())
}

fn conditions(
    screen: &mut Screen<'_>,
    status: &ApplicationStatus,
    now: Timestamp,
) -> std::io::Result<()> {
    if status.conditions.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(["CONDITION", "STATUS", "REASON", "AGE", "MESSAGE"]);
    for one in &status.conditions {
        let since = one.last_transition_time.0.to_string();
        table.row([
            one.type_.clone(),
            one.status.clone(),
            one.reason.clone(),
            age(Some(&since), now),
            one.message.clone(),
        ]);
    }
    screen.line("")?;
    table.print(screen)
}

fn history(
    screen: &mut Screen<'_>,
    status: &ApplicationStatus,
    now: Timestamp,
) -> std::io::Result<()> {
    if status.history.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(["APPLIED", "REVISION", "CHANGED", "AUTHOR", "SUBJECT"]);
    for entry in &status.history {
        table.row([
            format!("{} ago", age(Some(&entry.deployed_at), now)),
            short(&entry.revision).to_owned(),
            entry.changed.to_string(),
            entry.author.clone(),
            entry.subject.clone(),
        ]);
    }
    screen.line("")?;
    table.print(screen)
}

#[cfg(test)]
mod tests {
    use super::super::screen::printed;
    use super::*;

    fn now() -> Timestamp {
        "2026-05-01T12:00:00Z".parse().expect("a time")
    }

    fn shop() -> Object {
        let commit = "1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f7a8b9c0d";
        let newest = "ffffffff5e6f7a8b9c0d1a2b3c4d5e6f7a8b9c0d";
        Object(json!({
            "metadata": {"name": "shop", "namespace": "team-a",
                         "creationTimestamp": "2026-04-29T12:00:00Z"},
            "spec": {"source": {"repoURL": "https://git.example.com/shop.git", "path": "prod"}},
            "status": {
                "conditions": [{"type": "Ready", "status": "False", "reason": "PruneOverLimit",
                    "message": "held: would delete 5", "lastTransitionTime": "2026-05-01T11:00:00Z"}],
                "sync": {"status": "OutOfSync", "revision": commit, "targetRevision": newest,
                    "objects": 12, "held":
                    "would delete 5 of 12 objects (…); approve with the annotation towline.dev/approve-prune=0a1b2c"},
                "health": {"status": "Healthy"},
                "history": [{"revision": commit, "deployedAt": "2026-05-01T09:00:00Z",
                    "author": "Kim", "subject": "Release", "changed": 3}],
            },
        }))
    }

    #[test]
    fn the_table_has_a_line_for_each_application() {
        let fresh = Object(json!({"metadata": {"name": "new", "namespace": "team-a"}}));
        let all = [shop(), fresh];
        let (_, out, _) = printed(|screen| table(screen, &all, true, now()));
        assert_eq!(
            out,
            "NAMESPACE   NAME   SYNC        HEALTH    REVISION   AGE         MESSAGE\n\
             team-a      shop   OutOfSync   Healthy   1a2b3c4d   2d          held: would delete 5\n\
             team-a      new    Unknown     Unknown              <unknown>   no agent has looked at it yet\n"
        );
    }

    #[test]
    fn a_held_plan_comes_with_the_command_that_lets_it_go_on() {
        let (_, out, _) = printed(|screen| one(screen, &shop(), now()));
        let command = "Go on with: kubectl -n team-a annotate --overwrite tl shop towline.dev/approve-prune=0a1b2c\n";
        for expected in [
            "Name:       team-a/shop\n",
            "Revision:   1a2b3c4d; the newest is ffffffff\n",
            command,
            "Ready       False    PruneOverLimit   60m   held: would delete 5\n",
            "3h ago    1a2b3c4d   3         Kim      Release\n",
        ] {
            assert!(out.contains(expected), "{expected} is not in:\n{out}");
        }
    }

    #[test]
    fn no_hash_no_command() {
        assert_eq!(approval("would delete all"), None);
        assert_eq!(approval("towline.dev/approve-prune="), None);
        assert_eq!(approval("(x towline.dev/approve-prune=ab12)"), Some("ab12"));
    }
}
