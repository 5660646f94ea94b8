//! `towline explain`: why an Application, or one object, is not as it should be; the root cause
//! first, then all else, each with what to do next.

mod finding;
mod object;
mod objects;
mod words;

use jiff::Timestamp;

use super::NAMESPACE;
use super::age::age;
use super::applications::{find, message};
use super::kinds;
use super::screen::{Screen, Tone};
use crate::api::GROUP;
use crate::cluster::{Cluster, Discovery, Identity, Resource, Target};
use crate::inventory::Owner;
use crate::live::shown;
use crate::object::{Object, Scope};
use crate::plan::dependencies::Standing;
use finding::{Finding, Subject, ranked};
use words::Hidden;

/// Nothing is in the way; something is.
const FINE: u8 = 0;
const NOT_FINE: u8 = 1;
/// The longest message, in characters.
const MESSAGE_LIMIT: usize = 2048;
/// What the agent calls its Lease, unless it is told otherwise.
const LEASE: &str = "towline";
/// How many Applications that wait for each other are followed.
const DEPTH: usize = 5;

/// Say why an Application or an object is not as it should be
///
/// The root cause comes first, in one line; then everything that is in the way, each with the object,
/// since when, its file in the repository, the last lines of a container that failed, and what to do
/// next. Values of Secrets that a pod uses are hidden, where you may read them.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 synced and healthy, 1 it is not, 2 it could not be read, \
                        64 the command line cannot be understood."
)]
pub(super) struct ExplainArgs {
    /// An Application, or one object as KIND/NAME, such as deployment/web
    #[arg(value_name = "NAME")]
    what: String,
    /// The namespace of the Application (default $TOWLINE_NAMESPACE or towline-system), or of the
    /// object (default that of the context)
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// The agent's namespace, which holds what the Application owns
    #[arg(long, value_name = "NAME", default_value = NAMESPACE)]
    agent_namespace: String,
}

impl ExplainArgs {
    /// The namespace in which Applications are looked for.
    fn of_application(&self) -> String {
        let set = || std::env::var("TOWLINE_NAMESPACE").ok();
        let namespace = self.namespace.clone().or_else(set);
        namespace.unwrap_or_else(|| NAMESPACE.into())
    }
}

/// `namespace` is that of the kubeconfig's context.
///
/// # Errors
/// When what is to be explained cannot be read.
pub(super) async fn run(
    args: &ExplainArgs,
    cluster: &dyn Cluster,
    namespace: &str,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let now = Timestamp::now();
    let Some((kind, name)) = args.what.split_once('/') else {
        let application = find(cluster, &args.of_application(), &args.what).await?;
        let discovery = cluster.discover().await?;
        return application_of(args, cluster, &discovery, &application, now, screen).await;
    };
    let discovery = cluster.discover().await?;
    let resource = kinds::resource(&discovery, kind)?;
    if resource.gvk.group == GROUP && resource.gvk.kind == "Application" {
        let application = find(cluster, &args.of_application(), name).await?;
        return application_of(args, cluster, &discovery, &application, now, screen).await;
    }
    let namespace = args.namespace.as_deref().unwrap_or(namespace);
    let target = kinds::target(resource, namespace, name);
    object::explain(cluster, &discovery, &target, now, screen).await
}

async fn application_of(
    args: &ExplainArgs,
    cluster: &dyn Cluster,
    discovery: &Discovery,
    application: &Object,
    now: Timestamp,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let subject = Subject::new(application, now);
    if let Some(since) = no_agent(cluster, &args.agent_namespace, now).await {
        let namespace = &args.agent_namespace;
        screen.note(&format!(
            "warning: no agent has renewed its Lease in {namespace} since {since}: what follows may be old (kubectl -n {namespace} get pods)"
        ))?;
    }
    let findings = findings(args, cluster, discovery, &subject, screen).await?;
    let good = format!("{}: {}", subject.id(), fine(&subject));
    Ok(print(screen, &good, &findings, now)?)
}

/// Since when no agent is there, where its Lease says so: then a status says what was.
async fn no_agent(cluster: &dyn Cluster, namespace: &str, now: Timestamp) -> Option<String> {
    let resource = Resource::known(
        "coordination.k8s.io/v1",
        "Lease",
        "leases",
        Scope::Namespaced,
    );
    let target = Target::new(&resource, namespace, LEASE);
    let lease = cluster.get(&Identity::Agent, &target).await.ok()??;
    let renewed = lease.0.pointer("/spec/renewTime")?.as_str()?;
    let seconds = lease.0.pointer("/spec/leaseDurationSeconds")?.as_i64()?;
    let age = now.as_second() - renewed.parse::<Timestamp>().ok()?.as_second();
    // Another replica takes it over after that time; a slow one is given as much again.
    (age > 2 * seconds).then(|| renewed.to_owned())
}

/// Everything that is in the way of an Application, the root cause first.
async fn findings(
    args: &ExplainArgs,
    cluster: &dyn Cluster,
    discovery: &Discovery,
    subject: &Subject<'_>,
    screen: &mut Screen<'_>,
) -> anyhow::Result<Vec<Finding>> {
    let own = subject.findings();
    let health = &subject.status.health;
    let is_calm = matches!(health.status.as_str(), "Healthy" | "")
        && !subject.reason().starts_with("Waiting")
        && !subject.application.is_terminating();
    let mut others = dependencies(cluster, subject).await;
    let mut hidden = Hidden::default();
    if !is_calm {
        let owner = Owner {
            install: args.agent_namespace.clone(),
            namespace: subject.application.namespace().into(),
            name: subject.application.name().into(),
        };
        let worst = health.message.as_deref();
        let seconds = subject.now.as_second().unsigned_abs();
        let found = objects::unhealthy(cluster, discovery, &owner, worst, seconds, screen).await?;
        others.extend(found.0);
        hidden = found.1;
    }
    let mut all = ranked(own, others);
    hidden.hide_in(&mut all);
    Ok(all)
}

/// What the Applications say that this one waits for: the last of a chain is the root.
async fn dependencies(cluster: &dyn Cluster, subject: &Subject<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    if subject.reason() != "WaitingForDependency" {
        return found;
    }
    let mut waiting = subject.application.clone();
    for _ in 0..DEPTH {
        let needs = Standing::read(&waiting, true).needs;
        let mut culprit = None;
        for (namespace, name) in needs {
            // What cannot be read cannot be followed: the status says what is waited for.
            let Ok(other) = find(cluster, &namespace, &name).await else {
                continue;
            };
            if !Standing::read(&other, true).ready {
                culprit = Some(other);
                break;
            }
        }
        let Some(other) = culprit else { break };
        let dependency = Subject::new(&other, subject.now);
        let mut first = ranked(dependency.findings(), Vec::new()).into_iter();
        let mut finding = first.next().unwrap_or_else(|| Finding {
            object: dependency.id(),
            reason: dependency.status.health.status.clone(),
            message: message(&dependency.status).to_owned(),
            ..Finding::default()
        });
        finding.is_note = false;
        finding
            .next
            .insert(0, format!("towline explain {}", dependency.place()));
        found.insert(0, finding);
        let goes_on = dependency.reason() == "WaitingForDependency";
        if !goes_on {
            break;
        }
        waiting = other.clone();
    }
    found
}

/// What is said of an Application that is as it should be.
fn fine(subject: &Subject<'_>) -> String {
    let said = subject.message(crate::api::condition::READY);
    format!(
        "{} and {}: {said}",
        subject.status.sync.status, subject.status.health.status
    )
}

/// Prints the root in one line, then each finding in full; or the line that says that all is well.
fn print(
    screen: &mut Screen<'_>,
    good: &str,
    findings: &[Finding],
    now: Timestamp,
) -> std::io::Result<u8> {
    let root = findings.first().filter(|finding| !finding.is_note);
    match root {
        None => {
            let line = shown::line(good, MESSAGE_LIMIT);
            screen.line(&screen.paint(Tone::Good, &line))?;
        }
        Some(root) => {
            let line = format!("{}: {}: {}", root.object, root.reason, root.message);
            let line = shown::line(&line, MESSAGE_LIMIT);
            screen.line(&screen.paint(Tone::Bad, &line))?;
        }
    }
    for (number, finding) in findings.iter().enumerate() {
        screen.line("")?;
        one(screen, finding, root.is_some() && number == 0, now)?;
    }
    Ok(if root.is_some() { NOT_FINE } else { FINE })
}

/// One finding. What the first line says already is not said again.
fn one(
    screen: &mut Screen<'_>,
    finding: &Finding,
    is_root: bool,
    now: Timestamp,
) -> std::io::Result<()> {
    let head = format!("{}: {}", finding.object, finding.reason);
    screen.line(&shown::line(&head, MESSAGE_LIMIT))?;
    let mut field = |name: &str, text: &str| {
        if text.is_empty() {
            return Ok(());
        }
        let label = format!("{name}:");
        screen.line(&format!("  {label:<7}{}", shown::line(text, MESSAGE_LIMIT)))
    };
    if !is_root {
        field("why", &finding.message)?;
    }
    if !finding.since.is_empty() {
        let ago = age(Some(&finding.since), now);
        field("since", &format!("{} ({ago})", finding.since))?;
    }
    field("file", &finding.place)?;
    for next in &finding.next {
        field("next", next)?;
    }
    if let Some((head, lines)) = &finding.log {
        field("log", head)?;
        for line in lines {
            screen.line(&format!("    | {line}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
