//! `towline rollback`: the commit that takes revisions back, made from a terminal. It is the commit
//! that the agent makes with `spec.rollback.writeBack`, shown first, and pushed when somebody says
//! yes.

mod choice;
mod repository;
mod show;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use serde_json::Value;

use super::applications::{find, status};
use super::screen::Screen;
use super::{NAMESPACE, Namespace};
use crate::agent::credentials::{credential, secrets};
use crate::agent::{person, render_options};
use crate::api::{ApplicationSpec, ApplicationStatus, Policy};
use crate::cluster::Cluster;
use crate::git::{Author, Credential, Scheme};
use crate::live::shown;
use crate::revert::{Error, Prepared, Revert, Words, branch, committer};
use crate::status::short;
use choice::choose;
use repository::Place;

/// Asks a question; none where nobody is there to answer.
pub(super) type Ask<'a> = &'a mut dyn FnMut(&str) -> std::io::Result<Option<bool>>;

/// Take revisions back in Git: push a commit that restores an earlier one
///
/// Without --to it restores the newest revision in `towline history` that was healthy before the
/// present one and was not taken back. Only files that the Application reads are put back. The commit is shown before it is
/// pushed, with what it changes; values of Secrets are not shown.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 pushed, or nothing to do, or shown with --dry-run; 1 failed, or not \
                        wanted; 64 the command line cannot be understood.\n\n\
                        The repository is read and written with the Secret that the agent uses, which \
                        takes the right to list Secrets in the Application's namespace. Without that \
                        right use --repo."
)]
pub(super) struct RollbackArgs {
    /// The Application
    name: String,
    #[command(flatten)]
    place: Namespace,
    /// The revision to restore: one in its history, or any commit with all of its 40 digits
    #[arg(long, value_name = "REVISION")]
    to: Option<String>,
    /// Make the commit in this clone, on a branch of its own, for you to push: no Secret is read
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
    /// Push to the branch towline/revert-<commit> instead of the tracked one, for a pull request
    #[arg(long)]
    branch: bool,
    /// Why; it stands in the commit
    #[arg(long, value_name = "TEXT", default_value = "rolled back by hand")]
    reason: String,
    /// Who the commit is by. Default the `committer` of the repository Secret, else towline
    #[arg(long, value_name = "NAME <MAIL>", value_parser = author)]
    author: Option<(String, String)>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Show it, and push nothing
    #[arg(long)]
    dry_run: bool,
    /// The agent's namespace; it stands in the commit
    #[arg(long, value_name = "NAME", default_value = NAMESPACE)]
    agent_namespace: String,
    /// Allow a repository URL of this scheme besides https and ssh, as the agent's own
    /// --allow-scheme
    #[arg(long, value_name = "SCHEME", value_parser = super::agent::scheme)]
    allow_scheme: Vec<Scheme>,
}

fn author(text: &str) -> Result<(String, String), String> {
    person(text).ok_or_else(|| "write it as `Ann Example <ann@example.com>`".to_owned())
}

/// What is known of the Application before its repository is looked at.
pub(super) struct Subject {
    namespace: String,
    spec: ApplicationSpec,
    policy: Policy,
    status: ApplicationStatus,
    credential: Credential,
}

/// Reads the Application, and the Secret of its repository.
///
/// # Errors
/// When one of them cannot be read.
pub(super) async fn read(args: &RollbackArgs, cluster: &dyn Cluster) -> anyhow::Result<Subject> {
    let namespace = args.place.namespace.as_str();
    let application = find(cluster, namespace, &args.name).await?;
    let spec = application.0.get("spec").cloned().unwrap_or(Value::Null);
    let spec: ApplicationSpec =
        serde_json::from_value(spec).with_context(|| format!("spec of {}", application.id()))?;
    let policy = Policy::from_spec(&spec)?;
    let credential = match args.repo {
        Some(_) => Credential::none(),
        None => {
            let found = secrets(cluster, namespace).await.with_context(|| {
                format!(
                    "reading the repository Secrets of namespace `{namespace}` (with --repo DIR none \
                     is needed)"
                )
            })?;
            credential(&found, &spec.source.repo_url)?
        }
    };
    Ok(Subject {
        namespace: namespace.to_owned(),
        status: status(&application),
        spec,
        policy,
        credential,
    })
}

/// Makes the commit, shows it, asks, and pushes. Blocks, and belongs outside of async code.
///
/// # Errors
/// When there is nothing to go back to, or the commit cannot be made or pushed.
pub(super) fn run(
    args: &RollbackArgs,
    subject: &Subject,
    ask: Ask<'_>,
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let good = choose(&subject.status.history, args.to.as_deref(), &args.name)?;
    let place = Place::open(args, subject)?;
    let head = place.bring(&good)?;
    if let Some(remark) = place.remark(&head).filter(|_| args.repo.is_some()) {
        screen.note(&remark)?;
    }
    let is_own = args.branch || args.repo.is_some();
    if !is_own && !head.reference.starts_with("refs/heads/") {
        let target = subject.spec.source.target_revision.as_deref();
        bail!(
            "targetRevision `{}` of {} is no branch, so that a commit would not change what is \
             deployed: let it name another revision, or use --branch",
            target.unwrap_or("HEAD"),
            args.name
        );
    }
    let committer = committer(&place.repository, Timestamp::now().as_second());
    let mut author = committer.clone();
    if let Some((name, email)) = args.author.clone() {
        author = Author {
            name,
            email,
            ..author
        };
    }
    let words = Words {
        reason: args.reason.clone(),
        cluster: args.agent_namespace.clone(),
        application: format!("{}/{}", subject.namespace, args.name),
    };
    let revert = Revert {
        repository: &place.repository,
        head: &head.commit,
        bad: &head.commit,
        good: &good,
        path: subject.spec.source.path.as_deref().unwrap_or_default(),
        options: &render_options(subject.spec.source.directory.as_ref()),
        namespace: &subject.policy.namespace,
        author: &author,
        committer: &committer,
        words: &words,
        // Who does it by hand has seen it.
        spares_own: false,
    };
    let Some(prepared) = revert.prepare(None)? else {
        screen.line(&format!(
            "nothing to do: {} has the files of {} already",
            head,
            short(&good)
        ))?;
        return Ok(0);
    };
    let target = if is_own {
        branch(&head.commit)
    } else {
        head.name.clone()
    };
    show::show(screen, &place.shown, &target, &good, &prepared)?;
    if args.dry_run {
        screen.note("nothing was pushed (--dry-run)")?;
        return Ok(0);
    }
    if !args.yes {
        // What it is about is on the screen before the question is.
        screen.note("")?;
        match ask(&format!("Push this to {target}? [y/N] "))? {
            Some(true) => {}
            Some(false) => {
                screen.note("nothing was pushed")?;
                return Ok(1);
            }
            None => bail!(
                "there is no terminal to ask on: do it with --yes, or look at it with --dry-run"
            ),
        }
    }
    push(args, &place, &prepared, &target, is_own)?;
    tell(args, screen, &prepared, &target, &head.name)
}

fn push(
    args: &RollbackArgs,
    place: &Place,
    prepared: &Prepared,
    target: &str,
    is_own: bool,
) -> anyhow::Result<()> {
    let reference = format!("refs/heads/{target}");
    place
        .repository
        .push(&prepared.draft, &reference, is_own)
        .map_err(|error| match error {
            crate::git::Error::BranchMoved { .. } if is_own => anyhow::Error::from(error).context(
                format!("the branch {target} is there already: look at it, merge or delete it"),
            ),
            crate::git::Error::PushDenied { .. } | crate::git::Error::PushRefused { .. }
                if args.repo.is_none() =>
            {
                anyhow::Error::from(Error::from(error)).context(
                    "with --repo DIR the commit is made in your own clone, to be pushed by you",
                )
            }
            error => error.into(),
        })
}

fn tell(
    args: &RollbackArgs,
    screen: &mut Screen<'_>,
    prepared: &Prepared,
    target: &str,
    tracked: &str,
) -> anyhow::Result<u8> {
    let commit = prepared.draft.id();
    if let Some(clone) = &args.repo {
        let clone = shown::escaped(&clone.display().to_string());
        screen.line(&format!(
            "committed {} to the branch {target} of {clone}; push it with",
            short(&commit)
        ))?;
        let to = if args.branch { target } else { tracked };
        screen.line(&format!("  git -C {clone} push origin {target}:{to}"))?;
    } else if args.branch {
        screen.line(&format!(
            "pushed {} to {target}: make a pull request of it",
            short(&commit)
        ))?;
    } else {
        screen.line(&format!(
            "pushed {} to {target}; the agent takes it with its next poll",
            short(&commit)
        ))?;
    }
    Ok(0)
}
