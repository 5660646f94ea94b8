//! The repository of an Application as a person reaches it: through the agent's Secret and a clone
//! that is thrown away, or in a clone of their own.

use std::collections::BTreeSet;
use std::fs;

use anyhow::Context as _;

use super::{RollbackArgs, Subject};
use crate::cli::temporary::Temporary;
use crate::git::{
    AllowedSchemes, Cache, RemoteUrl, Repository, Result, Revision, Scheme, TargetRevision,
};

/// Where a clone keeps the branches of what it was cloned from.
const ORIGIN: &str = "refs/remotes/origin/";

/// An open repository, and what goes away with it.
pub(super) struct Place {
    pub(super) repository: Repository,
    /// Where it is, without credentials.
    pub(super) shown: String,
    /// What the Application tracks, the likeliest first: in a clone the branch of its remote comes
    /// before the one that the person works on.
    targets: Vec<TargetRevision>,
    _cache: Cache,
    _directory: Temporary,
}

impl Place {
    pub(super) fn open(args: &RollbackArgs, subject: &Subject) -> anyhow::Result<Self> {
        let source = &subject.spec.source;
        let target = source.target_revision.as_deref().unwrap_or("HEAD");
        let target = TargetRevision::parse(target)?;
        let (remote, targets) = match &args.repo {
            Some(clone) => {
                let clone = fs::canonicalize(clone)
                    .with_context(|| format!("opening the clone `{}`", clone.display()))?;
                let url = format!("file://{}", clone.display());
                let remote = RemoteUrl::parse(&url, &AllowedSchemes::with([Scheme::File]))?;
                (remote, vec![target])
            }
            None => {
                let allowed = AllowedSchemes::with(args.allow_scheme.iter().copied());
                (RemoteUrl::parse(&source.repo_url, &allowed)?, vec![target])
            }
        };
        let directory = Temporary::new()?;
        let cache = Cache::new(directory.path())?;
        let repository = cache.repository(&remote, &subject.credential)?;
        let targets = match args.repo {
            Some(_) => in_clone(&repository, targets)?,
            None => targets,
        };
        Ok(Self {
            repository,
            shown: remote.to_string(),
            targets,
            _cache: cache,
            _directory: directory,
        })
    }

    /// What is tracked, as it is now, with its history since `good`.
    pub(super) fn bring(&self, good: &str) -> anyhow::Result<Revision> {
        let head = self.head()?;
        // The older one first, as if it had been the newest: then what lies between comes with its
        // history, and the commits that are taken back can be named.
        let before = Revision::new(good, head.reference.as_str());
        let fetched = self.repository.fetch(std::slice::from_ref(&before));
        fetched.with_context(|| format!("reading the revision {good}"))?;
        self.repository.fetch(std::slice::from_ref(&head))?;
        Ok(Revision {
            name: head
                .name
                .strip_prefix(ORIGIN)
                .unwrap_or(&head.name)
                .to_owned(),
            ..head
        })
    }

    /// What to say of a clone that does not know where the branch of its remote is.
    pub(super) fn remark(&self, head: &Revision) -> Option<String> {
        let is_own = head.reference == "HEAD" || head.reference.starts_with("refs/heads/");
        (self.repository.remote().scheme() == Scheme::File && is_own).then(|| {
            format!(
                "{} does not know the branch of its remote: this builds on {} as it is there; else \
                 `git fetch origin` and `git remote set-head origin --auto` first",
                self.shown, head.name
            )
        })
    }

    fn head(&self) -> Result<Revision> {
        let all: BTreeSet<TargetRevision> = self.targets.iter().cloned().collect();
        let mut found = self.repository.poll(&all)?;
        let answers = self
            .targets
            .iter()
            .filter_map(|target| found.remove(target));
        let best = answers.reduce(|best, next| best.or(next));
        best.unwrap_or_else(|| {
            Err(crate::git::Error::RevisionNotFound {
                doing: "polling",
                remote: self.shown.clone(),
                why: "there is no answer for targetRevision".to_owned(),
            })
        })
    }
}

/// How targets are called in a clone: what is checked out there is somebody's work, and comes last.
fn in_clone(repository: &Repository, targets: Vec<TargetRevision>) -> Result<Vec<TargetRevision>> {
    let mut all = Vec::new();
    for target in targets {
        let name = target.to_string();
        let remote = match name.as_str() {
            "" | "HEAD" => repository.followed(&format!("{ORIGIN}HEAD"))?,
            name => Some(format!(
                "{ORIGIN}{}",
                name.strip_prefix("refs/heads/").unwrap_or(name)
            )),
        };
        all.extend(remote.and_then(|name| TargetRevision::parse(&name).ok()));
        all.push(target);
    }
    Ok(all)
}
