//! `towline sync`: asks the agent to poll Git and to apply what is there, and waits for it.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::json;
use tokio::time::Instant;

use super::Namespace;
use super::applications::{MANAGER, condition, find, message, status, target};
use super::reference::reasons;
use super::screen::Screen;
use crate::api::{ApplicationStatus, condition as kind};
use crate::cluster::{Cluster, Identity, Patch, Target};
use crate::object::keys;
use crate::status::short;

/// How often the status is read.
const POLL: Duration = Duration::from_millis(300);
/// After this time without any reaction a word about the agent is due.
const SILENCE: Duration = Duration::from_secs(20);
/// The exit code when the time is over.
const TIMEOUT: u8 = 2;

/// Poll Git now, apply what is there, and wait until that is done
///
/// Applies without `spec.syncPolicy.automated` too. Rights are those to annotate the Application.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 synced, 1 failed (the reason is on stderr), 2 not done in time, \
                        64 the command line cannot be understood."
)]
pub(super) struct SyncArgs {
    /// The Application
    name: String,
    #[command(flatten)]
    place: Namespace,
    /// How long to wait, such as 90s or 5m
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    timeout: Duration,
    /// Ask only; do not wait
    #[arg(long)]
    no_wait: bool,
}

/// A time such as `90s` or `1h30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|e: jiff::Error| e.to_string())?;
    Duration::try_from(span).map_err(|_| "the time is negative".to_owned())
}

/// # Errors
/// When the Application is not there, or may not be annotated.
pub(super) async fn run(
    args: &SyncArgs,
    cluster: &dyn Cluster,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let token = jiff::Timestamp::now().to_string();
    let application = find(cluster, &args.place.namespace, &args.name).await?;
    if let Some(reason) = application.annotation(keys::SUSPEND) {
        bail!(
            "updates of `{}` are suspended: {reason} (towline resume -n {} {})",
            args.name,
            args.place.namespace,
            args.name
        );
    }
    let target = target(&args.place.namespace, &args.name);
    if args.no_wait {
        annotate(cluster, &target, &[keys::REFRESH, keys::SYNC], &token).await?;
        screen.line(&format!("asked for a sync of {}", target.id()))?;
        return Ok(0);
    }
    let mut wait = Wait::new(cluster, &target, &token, args.timeout);
    // One after the other: a sync that comes before the poll would apply the older revision.
    annotate(cluster, &target, &[keys::REFRESH], &token).await?;
    let polled = wait
        .until(screen, |status| refreshed(status, &token))
        .await?;
    let done = match polled {
        Verdict::Done => {
            annotate(cluster, &target, &[keys::SYNC], &token).await?;
            wait.until(screen, |status| synced(status, &token)).await?
        }
        other => other,
    };
    let last = &wait.status;
    match done {
        Verdict::Done => {
            let said = crate::live::shown::line(message(last), 1024);
            screen.line(&format!("{}: {said}", target.id()))?;
            Ok(0)
        }
        Verdict::Failed(why) => bail!("{}: {why}", target.id()),
        Verdict::Waiting => {
            let said = match message(last) {
                "" => {
                    "no agent has looked at it (is it running? kubectl get pods -A -l app.kubernetes.io/name=towline)"
                }
                said => said,
            };
            screen.note(&format!(
                "error: {} is not synced after {:?}: {said}",
                target.id(),
                args.timeout
            ))?;
            Ok(TIMEOUT)
        }
    }
}

async fn annotate(
    cluster: &dyn Cluster,
    target: &Target,
    annotations: &[&str],
    token: &str,
) -> anyhow::Result<()> {
    let map: serde_json::Map<_, _> = annotations
        .iter()
        .map(|key| ((*key).to_owned(), token.into()))
        .collect();
    let patch = Patch::Merge(json!({"metadata": {"annotations": map}}));
    cluster
        .patch(&Identity::Agent, target, None, &patch, MANAGER)
        .await
        .map(|_| ())?;
    Ok(())
}

/// What a status says about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// It is not answered yet.
    Waiting,
    /// It was done.
    Done,
    /// It will not be done until a person acts: reason and message.
    Failed(String),
}

/// Whether Git was polled for the request.
fn refreshed(status: &ApplicationStatus, token: &str) -> Verdict {
    if status.handled.refresh.as_deref() == Some(token) {
        failure(status)
    } else {
        Verdict::Waiting
    }
}

/// Whether what Git holds is applied.
fn synced(status: &ApplicationStatus, token: &str) -> Verdict {
    if status.handled.sync.as_deref() != Some(token) {
        return match failure(status) {
            // The poll was fine a moment ago: this is about the sync that was asked for.
            Verdict::Failed(why) => Verdict::Failed(why),
            _ => Verdict::Waiting,
        };
    }
    match failure(status) {
        Verdict::Done if status.sync.status == "Synced" => Verdict::Done,
        Verdict::Done => Verdict::Waiting,
        other => other,
    }
}

/// What the condition Synced says: a failure that passes by itself is waited out.
fn failure(status: &ApplicationStatus) -> Verdict {
    match condition(status, kind::SYNCED) {
        Some((reason, message)) if reasons::is_final(reason) => {
            Verdict::Failed(format!("{reason}: {message}"))
        }
        _ => Verdict::Done,
    }
}

/// A wait for the agent, that tells what changes meanwhile.
struct Wait<'a> {
    cluster: &'a dyn Cluster,
    target: &'a Target,
    begun: Instant,
    timeout: Duration,
    status: ApplicationStatus,
    said: String,
    token: String,
    warned: bool,
}

impl<'a> Wait<'a> {
    fn new(cluster: &'a dyn Cluster, target: &'a Target, token: &str, timeout: Duration) -> Self {
        Self {
            cluster,
            target,
            begun: Instant::now(),
            timeout,
            status: ApplicationStatus::default(),
            said: String::new(),
            token: token.into(),
            warned: false,
        }
    }

    /// Reads the status until the verdict falls or the time is over.
    async fn until(
        &mut self,
        screen: &mut Screen<'_>,
        verdict: impl Fn(&ApplicationStatus) -> Verdict,
    ) -> anyhow::Result<Verdict> {
        loop {
            let found = self.cluster.get(&Identity::Agent, self.target).await?;
            let application = found.with_context(|| format!("{} was deleted", self.target.id()))?;
            self.status = status(&application);
            let now = verdict(&self.status);
            if now != Verdict::Waiting || self.begun.elapsed() >= self.timeout {
                return Ok(now);
            }
            self.tell(screen)?;
            tokio::time::sleep(POLL).await;
        }
    }

    fn tell(&mut self, screen: &mut Screen<'_>) -> anyhow::Result<()> {
        let status = &self.status;
        let words = [
            status.sync.status.as_str(),
            status.health.status.as_str(),
            short(&status.sync.target_revision),
            message(status),
        ];
        let line = crate::live::shown::line(&words.join(" "), 512);
        if !line.is_empty() && line != self.said {
            screen.note(&line)?;
            self.said = line;
        }
        let answered = status.handled.refresh.as_deref() == Some(self.token.as_str());
        if !answered && !self.warned && self.begun.elapsed() >= SILENCE {
            self.warned = true;
            screen.note("no agent has answered yet; is it running? kubectl get pods -A -l app.kubernetes.io/name=towline")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::screen::printed;
    use super::*;
    use crate::cluster::fake::FakeCluster;
    use crate::object::Object;

    fn status_of(handled: Value, sync: &str, reason: &str) -> ApplicationStatus {
        let synced = if reason == "Synced" { "True" } else { "False" };
        serde_json::from_value(json!({
            "conditions": [{"type": "Synced", "status": synced, "reason": reason, "message": "why",
                            "lastTransitionTime": "2026-05-01T11:00:00Z"}],
            "sync": {"status": sync}, "handled": handled,
        }))
        .expect("a status")
    }

    #[test]
    fn only_an_answer_to_this_request_counts() {
        let old = status_of(json!({"refresh": "1", "sync": "1"}), "Synced", "Synced");
        assert_eq!(refreshed(&old, "2"), Verdict::Waiting);
        assert_eq!(synced(&old, "2"), Verdict::Waiting);
        assert_eq!(refreshed(&old, "1"), Verdict::Done);
        assert_eq!(synced(&old, "1"), Verdict::Done);
    }

    #[test]
    fn what_a_person_must_mend_ends_the_wait_and_what_passes_does_not() {
        let handled = json!({"refresh": "1", "sync": "1"});
        let stalled = status_of(handled.clone(), "OutOfSync", "ManifestInvalid");
        assert_eq!(
            synced(&stalled, "1"),
            Verdict::Failed("ManifestInvalid: why".into())
        );
        assert_eq!(
            refreshed(&stalled, "1"),
            Verdict::Failed("ManifestInvalid: why".into())
        );
        for passing in [
            "WaitingForWave",
            "WaitingForObjects",
            "ServerUnreachable",
            "Conflict",
        ] {
            let waits = status_of(handled.clone(), "OutOfSync", passing);
            assert_eq!(synced(&waits, "1"), Verdict::Waiting, "{passing}");
        }
    }

    #[test]
    fn times_are_written_as_elsewhere_in_kubernetes() {
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert!(duration("5").is_err());
        assert!(duration("-5m").is_err());
    }

    #[tokio::test]
    async fn without_an_agent_the_time_is_over_and_says_where_to_look() {
        let cluster = FakeCluster::new([]);
        cluster.put(Object(
            json!({"apiVersion": "towline.dev/v1alpha1", "kind": "Application",
            "metadata": {"name": "shop", "namespace": "towline-system"}}),
        ));
        let args = SyncArgs {
            name: "shop".into(),
            place: Namespace {
                namespace: "towline-system".into(),
            },
            timeout: Duration::ZERO,
            no_wait: false,
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut screen = Screen::new(&mut out, &mut err, false);
        assert_eq!(
            run(&args, &cluster, &mut screen).await.expect("no failure"),
            TIMEOUT
        );
        let err = String::from_utf8(err).expect("text");
        assert!(
            err.contains("is it running?") && err.contains("not synced after 0ns"),
            "{err}"
        );
    }

    #[test]
    fn progress_is_told_once() {
        let (target, cluster) = (target("a", "b"), FakeCluster::new([]));
        let mut wait = Wait::new(&cluster, &target, "1", POLL);
        wait.status = status_of(json!({}), "OutOfSync", "WaitingForWave");
        let (_, _, err) = printed(|screen| {
            wait.tell(screen).expect("told");
            wait.tell(screen).expect("told");
        });
        assert_eq!(err, "OutOfSync\n");
    }
}
