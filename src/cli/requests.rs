//! `towline retry`, `suspend` and `resume`: requests to the agent that are no more than annotations,
//! with a word about what they do.

use std::time::Duration;

use anyhow::bail;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Namespace;
use super::applications::{MANAGER, find, status, target};
use super::screen::Screen;
use super::sync::duration;
use crate::cluster::{Cluster, Identity, Patch};
use crate::object::keys;
use crate::status::short;

/// Let a revision be tried again that was rolled back
///
/// Without REVISION the one that was rolled back last.
#[derive(Debug, clap::Args)]
pub(super) struct RetryArgs {
    /// The Application
    name: String,
    /// A commit in quarantine, or its first 7 digits or more
    revision: Option<String>,
    #[command(flatten)]
    place: Namespace,
}

/// Take no updates for a while; drift is still undone
#[derive(Debug, clap::Args)]
pub(super) struct SuspendArgs {
    /// The Application
    name: String,
    /// Why; it is shown to everybody who looks
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// When it ends by itself: a time such as 2026-01-02T15:00:00Z, or from now on such as 2h
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
    #[command(flatten)]
    place: Namespace,
}

/// Take updates again
#[derive(Debug, clap::Args)]
pub(super) struct ResumeArgs {
    /// The Application
    name: String,
    #[command(flatten)]
    place: Namespace,
}

fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let wait: Duration = duration(text)
        .map_err(|_| "write a time such as 2026-01-02T15:00:00Z, or 2h from now on".to_owned())?;
    Timestamp::now()
        .checked_add(wait)
        .map_err(|e| e.to_string())
}

/// # Errors
/// When the Application is not there or may not be annotated, or nothing of it is in quarantine.
pub(super) async fn retry(
    args: &RetryArgs,
    cluster: &dyn Cluster,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let application = find(cluster, &args.place.namespace, &args.name).await?;
    let quarantine = status(&application).rollback.quarantine;
    let wanted = args.revision.as_deref().unwrap_or_default();
    let found = quarantine
        .iter()
        .find(|one| one.revision.starts_with(wanted));
    let Some(found) = found else {
        let known: Vec<&str> = quarantine.iter().map(|one| short(&one.revision)).collect();
        match known.as_slice() {
            [] => bail!("no revision of `{}` is in quarantine", args.name),
            known => bail!(
                "`{wanted}` is not in quarantine; there are {}",
                known.join(", ")
            ),
        }
    };
    // Another value each time, so that the same revision can be tried more than once.
    let value = format!("{}@{:.0}", found.revision, Timestamp::now());
    annotate(
        cluster,
        &args.place,
        &args.name,
        &[(keys::RETRY, Some(value))],
    )
    .await?;
    screen.line(&format!(
        "{} is tried again; it was rolled back because of {}: {}",
        short(&found.revision),
        found.reason,
        crate::live::shown::line(&found.message, 512)
    ))?;
    Ok(0)
}

/// # Errors
/// When the Application is not there or may not be annotated.
pub(super) async fn suspend(
    args: &SuspendArgs,
    cluster: &dyn Cluster,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    find(cluster, &args.place.namespace, &args.name).await?;
    let until = args.until.map(|until| format!("{until:.0}"));
    let annotations = [
        (keys::SUSPEND, Some(args.reason.clone())),
        (keys::SUSPEND_UNTIL, until.clone()),
    ];
    annotate(cluster, &args.place, &args.name, &annotations).await?;
    let end = until.map_or_else(
        || format!("`towline resume {}`", args.name),
        |until| until.clone(),
    );
    screen.line(&format!(
        "{} takes no updates until {end}; drift is still undone",
        args.name
    ))?;
    Ok(0)
}

/// # Errors
/// When the Application is not there or may not be annotated.
pub(super) async fn resume(
    args: &ResumeArgs,
    cluster: &dyn Cluster,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let application = find(cluster, &args.place.namespace, &args.name).await?;
    if application.annotation(keys::SUSPEND).is_none() {
        screen.line(&format!("{} is not suspended", args.name))?;
        return Ok(0);
    }
    let annotations = [(keys::SUSPEND, None), (keys::SUSPEND_UNTIL, None)];
    annotate(cluster, &args.place, &args.name, &annotations).await?;
    screen.line(&format!("{} takes updates again", args.name))?;
    Ok(0)
}

async fn annotate(
    cluster: &dyn Cluster,
    place: &Namespace,
    name: &str,
    annotations: &[(&str, Option<String>)],
) -> anyhow::Result<()> {
    let map: serde_json::Map<String, Value> = annotations
        .iter()
        .map(|(key, value)| ((*key).to_owned(), json!(value)))
        .collect();
    let patch = Patch::Merge(json!({"metadata": {"annotations": map}}));
    let target = target(&place.namespace, name);
    cluster
        .patch(&Identity::Agent, &target, None, &patch, MANAGER)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fake::FakeCluster;
    use crate::object::Object;

    fn cluster() -> FakeCluster {
        let cluster = FakeCluster::new([]);
        cluster.put(Object(json!({
            "apiVersion": "towline.dev/v1alpha1", "kind": "Application",
            "metadata": {"name": "shop", "namespace": "towline-system"},
            "status": {"rollback": {"quarantine": [{"revision": "b".repeat(40), "digest": "B",
                "reason": "OOMKilled", "message": "web", "at": "2026-01-01T00:00:00Z"}]}},
        })));
        cluster
    }

    fn place() -> Namespace {
        Namespace {
            namespace: "towline-system".into(),
        }
    }

    async fn annotation(cluster: &FakeCluster, key: &str) -> Option<String> {
        let application = find(cluster, "towline-system", "shop")
            .await
            .expect("there");
        application.annotation(key).map(str::to_owned)
    }

    #[tokio::test]
    async fn only_what_is_in_quarantine_is_tried_again() {
        let cluster = cluster();
        let args = |revision: Option<&str>| RetryArgs {
            name: "shop".into(),
            revision: revision.map(str::to_owned),
            place: place(),
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut screen = Screen::new(&mut out, &mut err, false);
        let error = retry(&args(Some("ccccccc")), &cluster, &mut screen)
            .await
            .expect_err("it is not there");
        assert!(error.to_string().ends_with("there are bbbbbbbb"), "{error}");
        assert_eq!(annotation(&cluster, keys::RETRY).await, None);
        retry(&args(None), &cluster, &mut screen)
            .await
            .expect("it is there");
        let asked = annotation(&cluster, keys::RETRY).await.expect("asked");
        assert!(
            asked.starts_with(&format!("{}@", "b".repeat(40))),
            "{asked}"
        );
    }

    #[tokio::test]
    async fn a_suspension_has_a_reason_and_may_have_an_end() {
        let cluster = cluster();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut screen = Screen::new(&mut out, &mut err, false);
        let args = SuspendArgs {
            name: "shop".into(),
            reason: "freeze".into(),
            until: Some(moment("2026-01-02T15:00:00Z").expect("a time")),
            place: place(),
        };
        suspend(&args, &cluster, &mut screen).await.expect("done");
        let read = |key| annotation(&cluster, key);
        assert_eq!(read(keys::SUSPEND).await.as_deref(), Some("freeze"));
        assert_eq!(
            read(keys::SUSPEND_UNTIL).await.as_deref(),
            Some("2026-01-02T15:00:00Z")
        );
        let args = ResumeArgs {
            name: "shop".into(),
            place: place(),
        };
        resume(&args, &cluster, &mut screen).await.expect("done");
        assert_eq!(read(keys::SUSPEND).await, None);
        assert_eq!(read(keys::SUSPEND_UNTIL).await, None);
        assert!(moment("tomorrow").is_err());
        assert!(moment("2h").expect("a time") > Timestamp::now());
    }
}
