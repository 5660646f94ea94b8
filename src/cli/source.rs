//! The files of a commit, from the repository of an Application or from a clone on this machine.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::screen::Screen;
use super::temporary::Temporary;
use crate::agent::credentials::{credential, secrets};
use crate::api::ApplicationSpec;
use crate::cluster::Cluster;
use crate::git::{
    AllowedSchemes, Cache, Credential, RemoteUrl, Repository, Revision, Scheme, TargetRevision,
    expand,
};
use crate::tree::Tree;

/// One commit that can be read.
pub(super) struct Source {
    /// Where it is from.
    pub(super) repository: Repository,
    /// The commit, and the name it was found under.
    pub(super) revision: Revision,
    /// Its files.
    pub(super) tree: Tree,
    /// Where a clone was made for it.
    _clone: Temporary,
}

/// Reads a commit of the repository that an Application names, with the credentials that the agent
/// uses where the person may read them. With `depth` so many commits before it too.
///
/// # Errors
/// When the repository cannot be read, or does not have the revision.
pub(super) async fn of_application(
    cluster: &dyn Cluster,
    namespace: &str,
    spec: &ApplicationSpec,
    revision: &str,
    depth: Option<u32>,
    screen: &mut Screen<'_>,
) -> anyhow::Result<Source> {
    let url = &spec.source.repo_url;
    let remote = RemoteUrl::parse(url, &AllowedSchemes::with([Scheme::Http, Scheme::File]))?;
    let credential = match secrets(cluster, namespace).await {
        Ok(secrets) => credential(&secrets, url)?,
        Err(error) => {
            screen.note(&format!(
                "warning: `{remote}` is read without credentials: {error}"
            ))?;
            Credential::none()
        }
    };
    read(remote, credential, revision.to_owned(), depth).await
}

/// Reads a commit of the clone that a directory of this machine is in. Returns the directory as a
/// path in that clone.
///
/// # Errors
/// When the directory is in no clone, or that does not have the revision.
pub(super) async fn of_directory(dir: &Path, revision: &str) -> anyhow::Result<(Source, String)> {
    let shown = dir.display();
    // It need not be there any more, or not yet: the one above it is.
    let present = dir.ancestors().find(|dir| dir.is_dir());
    let present = match present {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
        _ => PathBuf::from("."),
    };
    let rest = dir.strip_prefix(&present).unwrap_or(dir).to_owned();
    let absolute = present
        .canonicalize()
        .with_context(|| format!("failed to read `{shown}`"))?
        .join(rest);
    let root = absolute.ancestors().find(|dir| dir.join(".git").exists());
    let Some(root) = root else {
        bail!(
            "`{shown}` is in no clone: --revision needs one, or no directory for the Application's own repository"
        );
    };
    let below = absolute.strip_prefix(root).unwrap_or(&absolute);
    let below = below
        .to_str()
        .with_context(|| format!("`{shown}` is not UTF-8"))?;
    let text = format!("file://{}", root.display());
    let remote = RemoteUrl::parse(&text, &AllowedSchemes::with([Scheme::File]))?;
    let below = below.trim_matches('/').to_owned();
    let source = read(
        remote.clone(),
        Credential::none(),
        revision.to_owned(),
        None,
    )
    .await;
    let source = match source {
        // A branch or a tag of that name comes first, as for git.
        Err(error) => match expand(root, revision)? {
            Some(commit) => read(remote, Credential::none(), commit, None).await?,
            None => return Err(error),
        },
        Ok(source) => source,
    };
    Ok((source, below))
}

/// Git is blocking I/O, and its HTTP client must not be dropped inside of a runtime.
async fn read(
    remote: RemoteUrl,
    credential: Credential,
    revision: String,
    depth: Option<u32>,
) -> anyhow::Result<Source> {
    tokio::task::spawn_blocking(move || read_now(&remote, &credential, &revision, depth)).await?
}

fn read_now(
    remote: &RemoteUrl,
    credential: &Credential,
    revision: &str,
    depth: Option<u32>,
) -> anyhow::Result<Source> {
    let clone = Temporary::new()?;
    let cache = Cache::new(clone.path())?;
    let repository = cache.repository(remote, credential)?;
    let target = TargetRevision::parse(revision)?;
    let mut found = match depth {
        // One fetch brings the commit with its past.
        Some(_) => repository.poll(&BTreeSet::from([target.clone()]))?,
        None => {
            repository
                .poll_and_fetch(&BTreeSet::from([target.clone()]))?
                .revisions
        }
    };
    let found = found
        .remove(&target)
        .context("no answer about the revision")?;
    let revision = found.map_err(|error| {
        let is_short = revision.bytes().all(|b| b.is_ascii_hexdigit()) && revision.len() < 40;
        let hint = if is_short {
            " (a commit is written with all 40 digits)"
        } else {
            ""
        };
        anyhow::anyhow!("{error}{hint}")
    })?;
    if let Some(depth) = depth {
        repository.fetch_past(&revision, depth)?;
    }
    Ok(Source {
        tree: repository.tree(&revision.commit)?,
        repository,
        revision,
        _clone: clone,
    })
}
