//! One repository as one credential sees it: the module's front door.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gix_hash::ObjectId;

use super::blobs::Share;
use super::clients::Clients;
use super::clone::Clone as Generations;
use super::commit::CommitDetails;
use super::credential::Credential;
use super::error::{Error, Result};
use super::fetched::{Fetched, Synced};
use super::line::{Connections, Line};
use super::listing::Listing;
use super::local::Local;
use super::objects::Objects;
use super::revision::Revision;
use super::scheme::Scheme;
use super::target::TargetRevision;
use super::transfer::Transfer;
use super::tree::{CommitFiles, Holder};
use super::url::RemoteUrl;
use crate::tree::Tree;

/// A repository. Cheap to clone: all clones are the same one, though each may commit as another.
///
/// Everything here blocks; in async code it belongs on a thread of its own. Polls and fetches of
/// one repository wait for each other, reads wait for nobody.
#[derive(Debug, Clone)]
pub struct Repository(
    Arc<Inner>,
    /// What commits are made with: who shares the cache need not share that.
    Arc<Credential>,
);

#[derive(Debug)]
struct Inner {
    remote: RemoteUrl,
    shown: String,
    clients: Arc<Clients>,
    credential: Mutex<Credential>,
    /// Held for as long as one poll or fetch takes.
    connections: Mutex<Connections>,
    clone: Generations,
    /// What is on the reference of the notes: apart, so that it has nothing to do with what polls
    /// find. Held for as long as one look takes.
    notes: Mutex<Generations>,
    /// What a local directory was when last looked at.
    local: Mutex<Option<Arc<Local>>>,
    blobs: Share,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.blobs.forget();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these is replaced as a whole, so a panic leaves the old value.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Repository {
    pub(super) fn new(
        remote: RemoteUrl,
        directory: PathBuf,
        clients: Arc<Clients>,
        blobs: Share,
    ) -> Self {
        let shown = remote.to_string();
        let inner = Inner {
            notes: Mutex::new(Generations::new(directory.join("notes"), &shown)),
            clone: Generations::new(directory, &shown),
            remote,
            shown,
            clients,
            credential: Mutex::default(),
            connections: Mutex::default(),
            local: Mutex::default(),
            blobs,
        };
        Self(Arc::new(inner), Arc::default())
    }

    pub(super) fn set_credential(&self, credential: &Credential) {
        *locked(&self.0.credential) = credential.access();
    }

    /// The same one, for whoever commits with this credential.
    pub(super) fn committing_by(&self, credential: &Credential) -> Self {
        Self(Arc::clone(&self.0), Arc::new(credential.clone()))
    }

    /// What commits are made with.
    pub(super) fn committing(&self) -> &Credential {
        &self.1
    }

    /// Whether anyone but the cache has it.
    pub(super) fn is_held(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Where it is.
    #[must_use]
    pub fn remote(&self) -> &RemoteUrl {
        &self.0.remote
    }

    /// Asks the remote what `targets` stand for: one question for all of them, and none if all
    /// are commits. Nothing is fetched.
    ///
    /// # Errors
    /// What concerns the remote as a whole; what concerns one target is in its own result.
    pub fn poll(
        &self,
        targets: &BTreeSet<TargetRevision>,
    ) -> Result<BTreeMap<TargetRevision, Result<Revision>>> {
        if self.is_local() {
            return Ok(resolve(
                &self.open_local()?.list(&prefixes(targets))?,
                targets,
                self.shown(),
            ));
        }
        self.talk(|line| {
            let listing = self.ask(line, targets)?;
            Ok(resolve(&listing, targets, self.shown()))
        })
    }

    /// The reference that `name` stands for in a directory of this machine, where it stands for
    /// another one: `refs/remotes/origin/HEAD` for the default branch of what was cloned.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn followed(&self, name: &str) -> Result<Option<String>> {
        if !self.is_local() {
            return Ok(None);
        }
        Ok(self.open_local()?.followed(name))
    }

    /// Polls, and fetches what is new, over one connection. Afterwards the files of every
    /// revision in the answer can be read.
    ///
    /// # Errors
    /// What concerns the remote as a whole; what concerns one target is in its own result.
    pub fn poll_and_fetch(&self, targets: &BTreeSet<TargetRevision>) -> Result<Synced> {
        if self.is_local() {
            return self.look(targets);
        }
        self.talk(|line| {
            let listing = self.ask(line, targets)?;
            let mut revisions = resolve(&listing, targets, self.shown());
            let wanted: BTreeSet<Revision> = revisions
                .values()
                .filter_map(|result| result.as_ref().ok())
                .cloned()
                .collect();
            let transferred = self.transfer(line).bring(&wanted)?;
            for result in revisions.values_mut() {
                let failure = result
                    .as_ref()
                    .ok()
                    .and_then(|revision| transferred.failed.get(revision));
                if let Some(error) = failure {
                    *result = Err(error.clone());
                }
            }
            Ok(Synced {
                revisions,
                fetched: transferred.fetched,
            })
        })
    }

    /// Fetches the commits of `revisions` that are not here yet: of a name that is new the commit
    /// alone, of a known one all that lies between.
    ///
    /// # Errors
    /// The first revision that cannot be had, or what concerns the remote as a whole.
    pub fn fetch(&self, revisions: &[Revision]) -> Result<Fetched> {
        if self.is_local() {
            let local = self.open_local()?;
            for revision in revisions {
                self.root(local.objects(), &revision.commit)?;
            }
            return Ok(Fetched::default());
        }
        let wanted: BTreeSet<Revision> = revisions.iter().cloned().collect();
        let transferred = self.talk(|line| self.transfer(line).bring(&wanted))?;
        match transferred.failed.into_values().next() {
            Some(error) => Err(error),
            None => Ok(transferred.fetched),
        }
    }

    /// Fetches `revision` with the commits before it, so many in a row: for questions about the
    /// past. What is older stays unknown.
    ///
    /// # Errors
    /// As [`Repository::fetch`].
    pub fn fetch_past(&self, revision: &Revision, depth: u32) -> Result<()> {
        if self.is_local() {
            let local = self.open_local()?;
            self.root(local.objects(), &revision.commit)?;
            return Ok(());
        }
        self.talk(|line| self.transfer(line).bring_past(revision, depth))
    }

    /// The files of `commit`, which must have been fetched.
    ///
    /// # Errors
    /// [`Error::RevisionNotFound`] if it was not, [`Error::Cache`] if the cache is broken.
    pub fn tree(&self, commit: &str) -> Result<Tree> {
        let holder = self.holder()?;
        let root = self.root(holder.objects(), commit)?;
        let files = CommitFiles::new(commit.to_owned(), root, holder);
        Ok(Tree::new(files.keeping(self.0.blobs.clone())))
    }

    /// Who made `commit`, which must have been fetched, and what they say of it.
    ///
    /// # Errors
    /// As for [`Repository::tree`].
    pub fn commit(&self, commit: &str) -> Result<CommitDetails> {
        let holder = self.holder()?;
        let objects = holder.objects();
        objects
            .commit(&objects.reader(), &self.id(commit)?, |found| {
                CommitDetails::of(commit, found)
            })?
            .ok_or_else(|| self.absent(commit))
    }

    /// Whether `ancestor` is `commit` or in its history; none if not enough of the history was
    /// fetched to tell.
    ///
    /// # Errors
    /// [`Error::Cache`] if the cache is broken.
    pub fn is_ancestor(&self, ancestor: &str, commit: &str) -> Result<Option<bool>> {
        let holder = self.holder()?;
        let objects = holder.objects();
        objects.is_ancestor(&objects.reader(), self.id(ancestor)?, self.id(commit)?)
    }

    /// `commit` and its ancestors, as far as they were fetched.
    pub(super) fn past_of(&self, commit: &str) -> Result<BTreeSet<ObjectId>> {
        let holder = self.holder()?;
        let objects = holder.objects();
        objects.past(&objects.reader(), self.id(commit)?)
    }

    /// Brings `reference` over a connection of its own into the clone that is for the notes: none
    /// where the remote has no such reference.
    pub(super) fn bring_apart(
        &self,
        reference: &TargetRevision,
    ) -> Result<(Option<Revision>, Arc<dyn Holder>)> {
        let found = |listing: &Listing| match listing.resolve(reference, self.shown()) {
            Ok(revision) => Ok(Some(revision)),
            Err(Error::BranchNotFound { .. } | Error::RepositoryEmpty { .. }) => Ok(None),
            Err(error) => Err(error),
        };
        if self.is_local() {
            let local = self.open_local()?;
            let revision = found(&local.list(&reference.prefixes())?)?;
            return Ok((revision, local));
        }
        let clone = locked(&self.0.notes);
        let revision = self.talk_apart(|line| {
            let Some(revision) = found(&line.session()?.list(&reference.prefixes())?)? else {
                return Ok(None);
            };
            let transfer = Transfer {
                clone: &clone,
                line,
                remote: self.shown(),
            };
            let brought = transfer.bring(&BTreeSet::from([revision.clone()]))?;
            match brought.failed.into_values().next() {
                Some(error) => Err(error),
                None => Ok(Some(revision)),
            }
        })?;
        Ok((revision, clone.current()?))
    }

    pub(super) fn credential(&self) -> Credential {
        locked(&self.0.credential).clone()
    }

    pub(super) fn shown(&self) -> &str {
        &self.0.shown
    }

    pub(super) fn is_local(&self) -> bool {
        self.0.remote.scheme() == Scheme::File
    }

    /// Runs `act` over a connection; once more over a fresh one, if one from an earlier poll, or
    /// what the server said of itself then, may be what it failed by.
    pub(super) fn talk<T>(&self, act: impl Fn(&mut Line<'_>) -> Result<T>) -> Result<T> {
        let mut connections = locked(&self.0.connections);
        let credential = self.credential();
        connections.serve(&credential);
        let reused = connections.has_any();
        let mut line = Line::new(
            &self.0.remote,
            &credential,
            &self.0.clients,
            &mut connections,
        );
        match act(&mut line) {
            Err(error) if reused && may_be_stale(&error) => {
                tracing::debug!(remote = %self.0.shown, %error, "trying over a fresh connection");
                line.reset();
                act(&mut line)
            }
            result => result,
        }
    }

    /// Runs `act` over a connection that is made for it: what takes long there, such as somebody's
    /// hook, keeps no poll waiting.
    pub(super) fn talk_apart<T>(&self, act: impl FnOnce(&mut Line<'_>) -> Result<T>) -> Result<T> {
        let mut connections = Connections::default();
        let credential = self.credential();
        connections.serve(&credential);
        let inner = &self.0;
        act(&mut Line::new(
            &inner.remote,
            &credential,
            &inner.clients,
            &mut connections,
        ))
    }

    fn transfer<'a, 'b>(&'a self, line: &'a mut Line<'b>) -> Transfer<'a, 'b> {
        Transfer {
            clone: &self.0.clone,
            line,
            remote: self.shown(),
        }
    }

    fn ask(&self, line: &mut Line<'_>, targets: &BTreeSet<TargetRevision>) -> Result<Listing> {
        if targets.iter().all(TargetRevision::is_commit) {
            return Ok(Listing::default());
        }
        let listing = line.session()?.list(&prefixes(targets))?;
        // Empty, or only without what was asked for? It takes a full listing to say.
        if listing.may_be_empty() {
            line.session()?.list(&[])
        } else {
            Ok(listing)
        }
    }

    pub(super) fn open_local(&self) -> Result<Arc<Local>> {
        let path = self
            .0
            .remote
            .local_path()
            .expect("only asked for when it is local");
        // Anew each time: whoever owns the directory may have replaced it.
        let local = Arc::new(Local::open(&path, self.shown())?);
        *locked(&self.0.local) = Some(Arc::clone(&local));
        Ok(local)
    }

    /// As [`Repository::poll_and_fetch`], for a local directory: nothing needs to be copied.
    fn look(&self, targets: &BTreeSet<TargetRevision>) -> Result<Synced> {
        let local = self.open_local()?;
        let mut revisions = resolve(&local.list(&prefixes(targets))?, targets, self.shown());
        for result in revisions.values_mut() {
            let missing = match &*result {
                Ok(revision) => self.root(local.objects(), &revision.commit).err(),
                Err(_) => None,
            };
            if let Some(error) = missing {
                *result = Err(error);
            }
        }
        Ok(Synced {
            revisions,
            fetched: Fetched::default(),
        })
    }

    pub(super) fn holder(&self) -> Result<Arc<dyn Holder>> {
        if !self.is_local() {
            return Ok(self.0.clone.current()?);
        }
        let known = locked(&self.0.local).clone();
        match known {
            Some(local) => Ok(local),
            None => Ok(self.open_local()?),
        }
    }

    /// The root directory of `commit`.
    pub(super) fn root(&self, objects: &Objects, commit: &str) -> Result<ObjectId> {
        objects
            .commit(&objects.reader(), &self.id(commit)?, |commit| commit.tree())?
            .ok_or_else(|| self.absent(commit))
    }

    pub(super) fn id(&self, commit: &str) -> Result<ObjectId> {
        ObjectId::from_hex(commit.as_bytes()).map_err(|_| self.absent(commit))
    }

    fn absent(&self, commit: &str) -> Error {
        let commit = super::text::shown(commit, 64);
        let why = if self.is_local() {
            format!("it has no commit `{commit}`; correct targetRevision")
        } else {
            format!("commit `{commit}` was not fetched")
        };
        Error::RevisionNotFound {
            doing: "reading",
            remote: self.0.shown.clone(),
            why,
        }
    }
}

/// Everything that has to be listed to tell what `targets` stand for.
fn prefixes(targets: &BTreeSet<TargetRevision>) -> Vec<String> {
    let all: BTreeSet<String> = targets.iter().flat_map(TargetRevision::prefixes).collect();
    // `HEAD` is always listed; with nothing else wanted, anything short will do as the prefix.
    if all.is_empty() {
        vec!["HEAD".to_owned()]
    } else {
        all.into_iter().collect()
    }
}

fn resolve(
    listing: &Listing,
    targets: &BTreeSet<TargetRevision>,
    remote: &str,
) -> BTreeMap<TargetRevision, Result<Revision>> {
    targets
        .iter()
        .map(|target| (target.clone(), listing.resolve(target, remote)))
        .collect()
}

/// Whether a fresh connection may fare better.
fn may_be_stale(error: &Error) -> bool {
    !matches!(
        error,
        Error::Throttled { .. }
            | Error::Timeout { .. }
            | Error::TooLarge { .. }
            | Error::Cache { .. }
            | Error::CredentialInvalid { .. }
            | Error::KnownHostsMissing { .. }
            // Answers, from a server that works: hooks do not run twice for one push.
            | Error::BranchMoved { .. }
            | Error::PushDenied { .. }
            | Error::PushRefused { .. }
            | Error::WouldBeLost { .. }
    )
}
