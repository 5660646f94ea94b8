//! Applications as the command line reads them: whatever version of towline wrote them.

use anyhow::bail;
use serde_json::Value;

use crate::api::{ApplicationStatus, GROUP, VERSION, condition};
use crate::cluster::{Cluster, Identity, Resource, Target};
use crate::object::{Object, Scope};

/// The field manager of what the command line writes.
pub(super) const MANAGER: &str = "towline-cli";

/// The resource of Applications.
pub(super) fn resource() -> Resource {
    let version = format!("{GROUP}/{VERSION}");
    Resource::known(&version, "Application", "applications", Scope::Namespaced)
}

/// Where an Application is.
pub(super) fn target(namespace: &str, name: &str) -> Target {
    Target::new(&resource(), namespace, name)
}

/// All Applications of a namespace, or of all, by namespace and name.
///
/// # Errors
/// When they cannot be listed.
pub(super) async fn list(
    cluster: &dyn Cluster,
    namespace: Option<&str>,
) -> anyhow::Result<Vec<Object>> {
    let listed = cluster
        .list(&Identity::Agent, &resource(), namespace, None)
        .await;
    let mut applications = match listed {
        Ok(applications) => applications,
        Err(error) if error.is_not_found() => {
            bail!(
                "{error}: towline is not installed here (`towline install | kubectl apply --server-side -f -`)"
            )
        }
        Err(error) => return Err(error.into()),
    };
    let key = |one: &Object| (one.namespace().to_owned(), one.name().to_owned());
    applications.sort_by_key(key);
    Ok(applications)
}

/// The Application of this name; an error that says where one of that name is, if it is not here.
///
/// # Errors
/// When it cannot be read, or is not there.
pub(super) async fn find(
    cluster: &dyn Cluster,
    namespace: &str,
    name: &str,
) -> anyhow::Result<Object> {
    let found = cluster
        .get(&Identity::Agent, &target(namespace, name))
        .await;
    match found {
        Ok(Some(application)) => return Ok(application),
        Ok(None) => {}
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error.into()),
    }
    let elsewhere: Vec<String> = list(cluster, None)
        .await?
        .iter()
        .filter(|application| application.name() == name)
        .map(|application| format!("-n {}", application.namespace()))
        .collect();
    match elsewhere.as_slice() {
        [] => {
            bail!("there is no Application `{name}` in namespace `{namespace}`, nor in another one")
        }
        places => bail!(
            "there is no Application `{name}` in namespace `{namespace}`, but with {}",
            places.join(" or ")
        ),
    }
}

/// The status of an Application; an empty one where nobody wrote it, or where it cannot be read.
pub(super) fn status(application: &Object) -> ApplicationStatus {
    let status = application.0.get("status").cloned().unwrap_or(Value::Null);
    serde_json::from_value(status).unwrap_or_default()
}

/// Reason and message of a condition.
pub(super) fn condition<'a>(
    status: &'a ApplicationStatus,
    kind: &str,
) -> Option<(&'a str, &'a str)> {
    let found = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == kind)?;
    Some((found.reason.as_str(), found.message.as_str()))
}

/// What is going on, in one line.
pub(super) fn message(status: &ApplicationStatus) -> &str {
    condition(status, condition::READY).map_or("", |(_, message)| message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::fake::FakeCluster;

    #[tokio::test]
    async fn an_application_in_another_namespace_is_pointed_to() {
        let cluster = FakeCluster::new([]);
        cluster.put(Object(
            json!({"apiVersion": "towline.dev/v1alpha1", "kind": "Application",
            "metadata": {"name": "shop", "namespace": "team-a"}}),
        ));
        let error = find(&cluster, "towline-system", "shop")
            .await
            .expect_err("not there");
        assert!(error.to_string().ends_with("but with -n team-a"), "{error}");
        let error = find(&cluster, "towline-system", "bank")
            .await
            .expect_err("not there");
        assert!(error.to_string().ends_with("nor in another one"), "{error}");
        assert!(find(&cluster, "team-a", "shop").await.is_ok());
    }

    #[test]
    fn a_status_of_another_version_is_read_as_far_as_it_goes() {
        let odd = Object(json!({"status": {"sync": {"status": "Synced", "news": 1}, "more": {}}}));
        assert_eq!(status(&odd).sync.status, "Synced");
        assert_eq!(
            status(&Object(json!({"status": 5}))),
            ApplicationStatus::default()
        );
    }
}
