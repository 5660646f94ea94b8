//! `towline uninstall`: stops the agent and takes towline's finalizers off, so that everything can
//! be deleted without anything being pruned, and without anything waiting for an agent that is gone.

use std::time::Duration;

use anyhow::bail;
use serde_json::{Value, json};

use super::NAMESPACE;
use super::applications::{MANAGER, resource};
use super::screen::Screen;
use crate::agent::farewell::{held, release};
use crate::agent::finalizers::{ours, strip};
use crate::cluster::{Cluster, Identity, Patch, Resource, Target};
use crate::object::{Object, Scope, keys};

/// How long the agent has to end.
const STOP_SECONDS: u64 = 60;

/// Make towline removable: stop the agent, and take its finalizers off all Applications
///
/// Its own ServiceAccount, ClusterRole and binding are let go as well, also when the rest of the
/// installation is gone already. What the Applications deployed stays as it is, and so do the Applications. Nothing is deleted.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 done (or, without --yes, said what would be done), 1 failed, \
                        64 the command line cannot be understood."
)]
pub(super) struct UninstallArgs {
    /// Do it; without it only say what would be done
    #[arg(long)]
    yes: bool,
    /// The agent's namespace
    #[arg(short, long, value_name = "NAME", default_value = NAMESPACE)]
    namespace: String,
    /// The agent's Deployment
    #[arg(long, value_name = "NAME", default_value = "towline")]
    deployment: String,
}

/// # Errors
/// When something could not be read or written; doing it again goes on from there.
pub(super) async fn run(
    args: &UninstallArgs,
    cluster: &dyn Cluster,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let finalized = finalized(cluster).await?;
    let deployments = Resource::known("apps/v1", "Deployment", "deployments", Scope::Namespaced);
    let agent = Target::new(
        &deployments,
        args.namespace.as_str(),
        args.deployment.as_str(),
    );
    let running = cluster
        .get(&Identity::Agent, &agent)
        .await?
        .is_some_and(|d| replicas(&d) > 0);
    if !args.yes {
        if running {
            screen.line(&format!(
                "would scale {} in {} to 0",
                agent.name, agent.namespace
            ))?;
        }
        for one in &finalized {
            screen.line(&format!(
                "would take {} off {}",
                ours(one).join(", "),
                one.id()
            ))?;
        }
        for id in held(cluster, &args.namespace).await? {
            screen.line(&format!("would take {} off {id}", keys::AGENT_FINALIZER))?;
        }
        screen.line("nothing was done; do it with --yes")?;
        return Ok(0);
    }
    if running {
        screen.note(&format!("stopping {} in {}", agent.name, agent.namespace))?;
        // An agent that runs would put finalizers back that are declared in Git.
        stop(cluster, &agent).await?;
        screen.line(&format!("stopped {} in {}", agent.name, agent.namespace))?;
    }
    for one in finalized {
        let id = one.id();
        strip(cluster, one, MANAGER).await?;
        screen.line(&format!("took the finalizers off {id}"))?;
    }
    if let Some(again) = self::finalized(cluster).await?.first() {
        bail!(
            "{} has a finalizer again: stop whoever writes it (another agent?), and do this again",
            again.id()
        );
    }
    for id in held(cluster, &args.namespace).await? {
        screen.line(&format!("took {} off {id}", keys::AGENT_FINALIZER))?;
    }
    release(cluster, &args.namespace).await?;
    screen.line("What the Applications deployed stays. Now delete towline itself:")?;
    let namespace = match args.namespace.as_str() {
        NAMESPACE => String::new(),
        other => format!(" --namespace {other}"),
    };
    screen.line(&format!(
        "  towline install{namespace} | kubectl delete --ignore-not-found -f -"
    ))?;
    Ok(0)
}

/// The Applications that have a finalizer of towline. Where the CRD is gone there are none; what the
/// agent holds besides may be left, and waits for this.
async fn finalized(cluster: &dyn Cluster) -> anyhow::Result<Vec<Object>> {
    let mut all = match cluster
        .list(&Identity::Agent, &resource(), None, None)
        .await
    {
        Err(error) if error.is_not_found() => Vec::new(),
        listed => listed?,
    };
    all.retain(|one| !ours(one).is_empty());
    all.sort_by_key(Object::id);
    Ok(all)
}

fn replicas(deployment: &Object) -> i64 {
    let count = |pointer: &str| deployment.0.pointer(pointer).and_then(Value::as_i64);
    count("/spec/replicas")
        .unwrap_or(1)
        .max(count("/status/replicas").unwrap_or(0))
}

/// Scales the agent to nothing and waits until its pods are gone.
async fn stop(cluster: &dyn Cluster, agent: &Target) -> anyhow::Result<()> {
    let patch = Patch::Merge(json!({"spec": {"replicas": 0}}));
    cluster
        .patch(&Identity::Agent, agent, None, &patch, MANAGER)
        .await?;
    for _ in 0..STOP_SECONDS {
        match cluster.get(&Identity::Agent, agent).await? {
            Some(deployment) if replicas(&deployment) > 0 => {}
            _ => return Ok(()),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    bail!(
        "{} in {} still runs after {STOP_SECONDS} s (an Application that manages it?): \
         kubectl -n {} delete deployment {}, and do this again",
        agent.name,
        agent.namespace,
        agent.namespace,
        agent.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fake::FakeCluster;

    fn application(name: &str, finalizers: Value) -> Object {
        Object(
            json!({"apiVersion": "towline.dev/v1alpha1", "kind": "Application",
            "metadata": {"name": name, "namespace": "team-a", "finalizers": finalizers}}),
        )
    }

    async fn uninstall(cluster: &FakeCluster, yes: bool) -> (anyhow::Result<u8>, String) {
        let args = UninstallArgs {
            yes,
            namespace: NAMESPACE.into(),
            deployment: "towline".into(),
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let result = run(&args, cluster, &mut Screen::new(&mut out, &mut err, false)).await;
        (result, String::from_utf8(out).expect("text"))
    }

    #[test]
    fn only_our_finalizers_are_ours() {
        let mixed = application(
            "a",
            json!(["x.io/y", keys::PRUNE_FINALIZER, keys::ARGO_FINALIZER]),
        );
        assert_eq!(ours(&mixed), [keys::PRUNE_FINALIZER, keys::ARGO_FINALIZER]);
        assert!(ours(&application("a", json!(["x.io/y"]))).is_empty());
        assert!(ours(&application("a", Value::Null)).is_empty());
    }

    #[tokio::test]
    async fn without_yes_nothing_is_written() {
        let cluster = FakeCluster::new([]);
        cluster.put(application("shop", json!([keys::PRUNE_FINALIZER])));
        let (result, out) = uninstall(&cluster, false).await;
        assert_eq!(result.expect("fine"), 0);
        assert!(
            out.contains("would take towline.dev/prune off Application/team-a/shop"),
            "{out}"
        );
        let writes = |request: &String| !request.starts_with("get") && !request.starts_with("list");
        assert!(
            !cluster.requests().iter().any(writes),
            "{:?}",
            cluster.requests()
        );
    }

    /// The fake changes nothing when it is patched: as if somebody put the finalizer back.
    #[tokio::test]
    async fn a_finalizer_that_comes_back_is_a_failure() {
        let cluster = FakeCluster::new([]);
        cluster.put(application("shop", json!([keys::PRUNE_FINALIZER])));
        let (result, _) = uninstall(&cluster, true).await;
        let error = result.expect_err("still there").to_string();
        assert!(error.contains("has a finalizer again"), "{error}");
        assert!(
            !cluster
                .requests()
                .iter()
                .any(|request| request.starts_with("delete"))
        );
    }

    #[tokio::test]
    async fn with_nothing_to_take_off_it_says_what_to_delete() {
        let (result, out) = uninstall(&FakeCluster::new([]), true).await;
        assert_eq!(result.expect("fine"), 0);
        assert!(
            out.ends_with("  towline install | kubectl delete --ignore-not-found -f -\n"),
            "{out}"
        );
    }
}
