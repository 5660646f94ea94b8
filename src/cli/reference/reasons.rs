//! Every reason that can stand in a condition, an event or a metric, with what to do about it. A
//! test searches the code for reasons that are missing here.

/// Who ends the state that a reason names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// Nothing is wrong.
    Fine,
    /// It passes by itself; towline goes on trying.
    ByItself,
    /// A person has to act.
    ByPerson,
}

impl Ends {
    /// The word for the reference.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "is fine",
            Self::ByItself => "passes",
            Self::ByPerson => "needs you",
        }
    }
}

/// One reason: the word, who ends it, what it means, what to do.
pub(crate) type Reason = (&'static str, Ends, &'static str, &'static str);

/// True for a reason that stays until a person acts. One that is not in the table is taken for
/// such.
pub(crate) fn is_final(reason: &str) -> bool {
    let found = REASONS.iter().find(|(word, ..)| *word == reason);
    found.is_none_or(|(_, ends, ..)| *ends == Ends::ByPerson)
}

/// What to do about a reason; empty where there is nothing to do.
pub(crate) fn remedy(reason: &str) -> Option<&'static str> {
    let found = REASONS.iter().find(|(word, ..)| *word == reason)?;
    Some(found.3)
}

use Ends::{ByItself, ByPerson, Fine};

/// All of them: by stage of the pipeline, the usual ones first. One a line, so that it reads as a
/// table.
#[rustfmt::skip]
pub(crate) const REASONS: &[Reason] = &[
    // status
    ("Ready", Fine, "synced and healthy", ""),
    ("Synced", Fine, "the cluster has what the newest revision declares", ""),
    ("Watching", Fine, "changes in the cluster are seen as they happen", ""),
    ("Starting", ByItself, "the agent has not looked at the Application yet", "if it stays: look at the agent's log"),
    ("OutOfSync", ByItself, "objects differ from the newest revision and wait for a sync", "without `automated`: `towline sync NAME`"),
    ("WaitingForWave", ByItself, "a later wave waits until an earlier one is applied and healthy", "the message names the object that is waited for"),
    ("WaitingForHook", ByItself, "a hook runs, or hooks wait for the objects", "the message names what is waited for"),
    ("WaitingForDependency", ByItself, "an Application that `spec.dependsOn` names is not ready", "the message says what that Application says"),
    ("DependencyNotFound", ByPerson, "there is no Application that `spec.dependsOn` names", "create it, or correct the name"),
    ("DependencyCycle", ByPerson, "`spec.dependsOn` of several Applications lead in a circle", "take one of those out that the message names"),
    ("WaitingForDeletion", ByItself, "an object that left Git, or whose Application is being deleted, is on its way out; later deletions wait until it is gone", "the message names it, and the finalizer and controller that keep it"),
    ("WaitingForObjects", ByItself, "single objects wait: on their way out, owned by somebody else, or not readable", "the message names the first"),
    ("Fighting", ByPerson, "somebody sets a field again each time it is put back", "the message names the field manager and the field: leave it with `spec.ignoreDifferences`, or stop the other"),
    ("UpdatesSuspended", ByPerson, "the Application has the annotation `towline.dev/suspend`", "remove the annotation"),
    ("WatchFailed", ByItself, "changes of some kind are not seen, so drift is found only by the hourly audit", "grant list and watch on the kind that is named"),
    // health
    ("Healthy", Fine, "every object is healthy", ""),
    ("Suspended", Fine, "an object is suspended on purpose, such as a paused Deployment", ""),
    ("Progressing", ByItself, "an object is on its way", "the message names it and what it waits for"),
    ("Degraded", ByPerson, "an object does not get healthy", "the message names it and has its own words"),
    ("Missing", ByItself, "an object is not in the cluster", "it is created by the next sync"),
    ("Unknown", ByItself, "the health of an object cannot be told", "the message says why"),
    // spec
    ("SpecInvalid", ByPerson, "a field of the Application cannot be used", "correct the field that is named"),
    ("IdentityRequired", ByPerson, "an Application outside the agent's namespace names no ServiceAccount", "set `spec.serviceAccountName`"),
    ("CredentialInvalid", ByPerson, "a repository Secret cannot be used", "correct the Secret that is named"),
    ("UrlInvalid", ByPerson, "`repoURL` is no address of a repository", "write `https://…`, `ssh://…` or `user@host:path`"),
    ("SchemeNotAllowed", ByPerson, "the scheme of `repoURL` is not allowed", "use https or ssh, or start the agent with `--allow-scheme`"),
    ("RevisionInvalid", ByPerson, "`targetRevision` is no branch, tag, range or commit", "correct it"),
    // Git
    ("SourceUnreachable", ByItself, "the Git server cannot be reached", "nothing is pruned meanwhile, and drift is still undone"),
    ("Timeout", ByItself, "the Git server did not answer in time", "see `SourceUnreachable`"),
    ("Throttled", ByItself, "the Git or API server asks for fewer requests", "a longer `source.interval` helps"),
    ("AuthenticationFailed", ByPerson, "the Git server refuses the credentials", "renew the repository Secret"),
    ("RepositoryNotFound", ByPerson, "there is no such repository, or the credentials do not open it", "check `repoURL` and the repository Secret"),
    ("NotAGitServer", ByPerson, "what answers is no Git server", "check `repoURL`: a login page or proxy answers"),
    ("RedirectRefused", ByPerson, "the Git server redirects to another host", "write the final address into `repoURL`"),
    ("TlsFailed", ByPerson, "the certificate of the Git server is not trusted", "put its CA into the repository Secret"),
    ("KnownHostsMissing", ByPerson, "the repository Secret has no host keys for ssh", "add `sshKnownHosts` (`ssh-keyscan HOST`)"),
    ("HostKeyUnknown", ByPerson, "the host key of the ssh server is not among those known", "add it after checking it with the server's owner"),
    ("HostKeyChanged", ByPerson, "the ssh server has another host key than the one known", "find out why before you replace it: this is what an attack looks like"),
    ("BranchNotFound", ByPerson, "the branch or tag is not there (any more)", "restore it, or change `targetRevision`; nothing is pruned meanwhile"),
    ("RevisionNotFound", ByPerson, "the commit is not there", "check `targetRevision`"),
    ("RevisionAmbiguous", ByPerson, "`targetRevision` may mean more than one thing", "write it as `refs/heads/…` or `refs/tags/…`"),
    ("RepositoryEmpty", ByPerson, "the repository has no commits", "push one; nothing is pruned meanwhile"),
    ("RepoTooLarge", ByPerson, "the repository is larger than the limit", "split it"),
    ("GitProtocolError", ByItself, "the Git server sent what is not understood", "if it stays: report it"),
    ("RepositoryUnsupported", ByPerson, "the repository uses a feature that towline does not have", "the message names it"),
    ("GitCacheFailed", ByItself, "the cache directory cannot be used", "look at the volume of the agent's pod"),
    ("GitPanicked", ByItself, "the Git client broke down", "please report it"),
    ("SourceUnreadable", ByItself, "files of the revision cannot be read", "if it stays: restart the agent's pod, which empties its cache"),
    ("TreeUnreadable", ByItself, "files of the revision cannot be read", "see `SourceUnreadable`"),
    // render
    ("RenderFailed", ByPerson, "the directory does not render, as with `kustomize build`", "`towline render DIR` shows the same"),
    ("RenderPanicked", ByPerson, "the renderer broke down", "please report it"),
    ("UnknownField", ByPerson, "a kustomization has a field that does not exist", "correct the line that is named"),
    ("YamlInvalid", ByPerson, "a file is not YAML", "correct the line that is named"),
    ("PathEscape", ByPerson, "a path leaves the directory that it must stay in", "move the file, or make a base of it"),
    ("PathNotFound", ByPerson, "a file or directory is not there", "check `source.path` and the line that is named"),
    ("SymlinkLoop", ByPerson, "symbolic links lead in a circle", "remove the one that is named"),
    ("RemoteBaseForbidden", ByPerson, "a resource or base is a URL", "copy it into the repository"),
    ("PluginsForbidden", ByPerson, "a plugin, function or chart would have to run", "commit its output"),
    ("Cycle", ByPerson, "a kustomization includes itself", "take the line out that is named"),
    ("TooDeep", ByPerson, "kustomizations are nested too deep", "flatten them"),
    ("LimitExceeded", ByPerson, "a file or render is larger than a limit", "the message names the limit"),
    ("AmbiguousKustomization", ByPerson, "a directory has more than one kustomization file", "keep one"),
    ("PatchFailed", ByPerson, "a strategic merge patch does not fit the object that it is for", "correct the patch at the line that is named"),
    ("ManifestInvalid", ByPerson, "objects cannot be applied as they are written", "correct the lines that are named"),
    ("KindNotServed", ByPerson, "the API server does not have the kind", "install its CRD, or declare it in the same revision"),
    ("KindUnknown", ByItself, "the API server cannot say whether it has the kind", "look at the APIService of its group"),
    // plan
    ("EmptySource", ByPerson, "the revision has no objects, and everything would be pruned", "`automated.allowEmpty`, or the annotation `towline.dev/approve-prune`"),
    ("PruneOverLimit", ByPerson, "more objects would be pruned than the limit allows", "check the list, then annotate `towline.dev/approve-prune`"),
    ("PruneOfClass", ByPerson, "what takes others or data with it would be pruned", "check the list, then annotate `towline.dev/approve-prune`"),
    // rollback
    ("RolledBack", ByPerson, "the newest revision did not work: the one before is back, and is enforced", "the message says what failed: commit a fix or `git revert` it, or annotate `towline.dev/retry` with the commit to try it again"),
    ("NotRolledBack", ByPerson, "the revision does not work, and nothing better is known to go back to", "the message says what fails, and why it stays: commit a fix"),
    ("RollbackBlocked", ByPerson, "the revision does not work, and going back would lose data or is refused by the API server; nothing of it was begun", "the message names what is in the way: commit a fix, or approve what it asks for"),
    ("RollbackHeld", ByItself, "the revision does not work, and too many were rolled back in the last ten minutes", "look for an outage of a registry, a node or an operator; it is tried again after ten minutes"),
    ("BranchMoved", ByItself, "somebody pushed first while a rollback or the full record was being written to the repository; nothing was overwritten", "it is looked at again"),
    ("PushDenied", ByPerson, "the credentials of the repository may read and not write", "let those in the repository Secret push, or set `spec.rollback.writeBack: None`, or `spec.audit.notes: false`"),
    ("PushRefused", ByPerson, "the Git server refuses the commit that takes a rolled back revision back, or the notes of the full record", "the message has its own words: a hook, or a protected branch; `writeBack: Branch` pushes to a branch of its own"),
    ("NoteTooLarge", ByPerson, "the Git note of a commit has no room for another line of the full record", "shorten it by hand, as the message says"),
    ("NotesPanicked", ByItself, "writing the full record to the repository broke down", "please report it"),
    ("RevertConflict", ByPerson, "a file that a rolled back revision changed was changed again, so that it is not put back in Git", "revert by hand, or commit a fix"),
    ("RevertImpossible", ByPerson, "the commit that would take a rolled back revision back would not bring back what was good, or would take back one that towline wrote", "the message says which: revert by hand, or commit a fix that works everywhere"),
    ("RevertUnrelated", ByPerson, "the commits that a revert would lie between do not follow each other (another branch, a force push), or not enough of the history can be had to tell", "revert by hand, or commit a fix"),
    ("SourcePinned", ByPerson, "`targetRevision` is a tag, a range or a commit, so that no commit on a branch takes a rolled back revision back", "let it name another one, or set `spec.rollback.writeBack: Branch`"),
    ("WriteBackPanicked", ByItself, "writing a rollback back broke down", "please report it"),
    ("PreflightFailed", ByPerson, "the API server would refuse an object of the revision, and with `spec.preflight` nothing of it was written", "correct the object that is named"),
    ("NotHealthyInTime", ByPerson, "a revision was not healthy within `spec.rollback.timeout`", "the message names the object that is not"),
    ("TooManyRestarts", ByPerson, "containers of a workload that a revision changed were restarted more often than `spec.rollback.restarts` allows", "the message names the workload, and how a container ended last"),
    ("Flapping", ByPerson, "a workload that a revision changed became Healthy and stopped being so, `spec.rollback.failureThreshold` times in a row", "the message names the workload, and what it said last: look at its readiness probe"),
    ("HookFailed", ByPerson, "a hook failed, so the sync does not go on", "the message has its own words; it is tried again up to `syncPolicy.retry.limit` times, with the next commit, and with `towline sync NAME`"),
    ("PruneUnconfirmed", ByPerson, "an object that is to be confirmed (`towline.dev/prune: confirm`) would be deleted; everything else goes on", "annotate `towline.dev/approve-prune` with the hash in the message, or put the object back"),
    ("RecreationUnapproved", ByPerson, "a StatefulSet, volume, claim or load balancer would have to be deleted and created anew; everything else goes on", "check what becomes of its data, then annotate `towline.dev/approve-prune` with the hash in the message: it is for all that this revision creates anew so, in later waves too"),
    ("PruneFailed", ByPerson, "the API server refuses to delete an object; it stays recorded, and later deletions wait", "satisfy what refuses it, such as a webhook, or put the object back into Git"),
    ("SelfManagedObject", ByPerson, "the revision declares a part of towline's own installation", "correct the namespace or name; `towline.dev/self-management: enabled` on the Application if it is meant"),
    // cluster
    ("ServerUnreachable", ByItself, "the API server cannot be reached", ""),
    ("ServerTimeout", ByItself, "the API server did not answer in time", "look at slow admission webhooks"),
    ("ServerAnswerGarbled", ByItself, "the answer of the API server cannot be read", "look at proxies between"),
    ("ServerError", ByItself, "the API server failed", "the message has its own words"),
    ("Unauthorized", ByItself, "the API server does not know the agent's token", "if it stays: restart the agent's pod"),
    ("Forbidden", ByPerson, "the identity that is named lacks a right", "grant it, or set `spec.serviceAccountName` to one that has it"),
    ("NamespaceNotFound", ByPerson, "the namespace is not there", "declare it in Git, or set `syncOptions: [CreateNamespace=true]`"),
    ("NamespaceTerminating", ByItself, "the namespace is being deleted", "wait until it is gone"),
    ("Conflict", ByItself, "somebody else wrote at the same time", ""),
    ("Invalid", ByPerson, "the API server refuses the object", "correct the manifest"),
    ("SchemaMismatch", ByPerson, "the object has fields that its kind does not have", "correct the manifest"),
    ("ImmutableField", ByPerson, "a field that cannot be changed was changed", "`towline.dev/force: enabled` on the object or `spec.immutableFields` lets towline create it anew; or give it a new name"),
    ("WebhookDenied", ByPerson, "an admission webhook refuses the object", "satisfy its policy, or ask its owner"),
    ("ReadFailed", ByItself, "objects could not be read, so nothing is decided about them", "the message says why"),
    ("LastGoodTooLarge", ByPerson, "what is enforced is too large to be stored, so that healing after a restart needs Git", "split the Application"),
    ("LastGoodUnreadable", ByPerson, "what was enforced before a restart cannot be understood; nothing is pruned because of it", "mend access to Git, and it is stored anew; where a newer agent wrote it, upgrade this one or delete the Secret"),
    ("InventoryUnreadable", ByPerson, "the record of what the Application owns cannot be understood", "the message says which Secret; nothing is written until it is mended"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Words in places where reasons stand, that are none.
    const OTHERS: &[&str] = &["NotFound", "Scripted"];

    #[test]
    fn every_reason_of_the_code_is_explained() {
        let known: BTreeSet<&str> = REASONS.iter().map(|(word, ..)| *word).collect();
        assert_eq!(
            known.len(),
            REASONS.len(),
            "a reason stands in the table twice"
        );
        let mut found = BTreeSet::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        for folder in [
            "agent",
            "api",
            "cluster",
            "git",
            "inventory",
            "plan",
            "render",
            "revert",
            "rollback",
            "status",
            "tree",
            "yaml",
        ] {
            read(&root.join(folder), &mut found);
        }
        let events = crate::status::REASONS
            .iter()
            .map(|(word, _)| (*word).to_owned());
        let known: BTreeSet<String> = known
            .into_iter()
            .chain(OTHERS.iter().copied())
            .map(str::to_owned)
            .chain(events)
            .collect();
        let missing: Vec<_> = found.difference(&known).collect();
        assert!(
            missing.is_empty(),
            "not explained in reasons.rs: {missing:?}"
        );
    }

    #[test]
    fn no_reason_is_explained_that_nobody_gives() {
        let mut text = String::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        for folder in [
            "agent",
            "api",
            "cluster",
            "git",
            "health",
            "inventory",
            "plan",
            "render",
            "revert",
            "rollback",
            "status",
            "tree",
            "yaml",
        ] {
            sources(&root.join(folder), &mut |source| text.push_str(source));
        }
        for (word, ..) in REASONS {
            assert!(text.contains(&format!("\"{word}\"")), "{word}");
        }
    }

    /// The CamelCase words of functions called `reason` (and of the enum of reasons of `render`),
    /// and of lines that speak of a reason.
    fn read(folder: &Path, found: &mut BTreeSet<String>) {
        sources(folder, &mut |source| {
            let mut inside = false;
            for line in source.lines() {
                let begins = line.contains("fn reason(") && line.contains("&'static str {");
                inside |= begins
                    || line.contains("fn as_str(self) -> &'static str {")
                        && source.contains("pub enum Reason");
                let speaks = line.contains("reason")
                    || line.contains("draft(\"")
                    || line.contains("invalid(\"");
                if inside || (speaks && !line.trim_start().starts_with("//")) {
                    found.extend(words(line));
                }
                inside &= line != "    }";
            }
        });
    }

    /// The code of every file below a folder, without tests.
    fn sources(folder: &Path, take: &mut dyn FnMut(&str)) {
        for entry in folder.read_dir().expect("a folder") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                sources(&path, take);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
                let source = std::fs::read_to_string(&path).expect("readable");
                take(
                    source
                        .split("#[cfg(test)]\nmod tests {")
                        .next()
                        .unwrap_or_default(),
                );
            }
        }
    }

    /// Quoted words with a small letter behind the first capital.
    fn words(line: &str) -> Vec<String> {
        let quoted = line.split('"').skip(1).step_by(2);
        let is_word = |text: &&str| {
            let mut chars = text.chars();
            chars.next().is_some_and(|c| c.is_ascii_uppercase())
                && chars.next().is_some_and(|c| c.is_ascii_lowercase())
                && chars.all(|c| c.is_ascii_alphabetic())
        };
        let is_status =
            |text: &&str| ["True", "False", "Event", "Normal", "Warning", "Lease"].contains(text);
        quoted
            .filter(is_word)
            .filter(|text| !is_status(text))
            .map(str::to_owned)
            .collect()
    }
}
