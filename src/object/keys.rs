//! The names of towline's marks, requests and switches. They are API: the reference is generated
//! from [`TABLE`].

/// Label on every managed object: [`crate::inventory::ApplicationKey`] of its Application. An
/// index for watches, never proof of ownership.
pub const APPLICATION_LABEL: &str = "towline.dev/application";
/// Annotation on every managed object: installation, Application and the id of the object itself.
pub const TRACKING_ID: &str = "towline.dev/tracking-id";
/// Annotation: on an object the commit that last changed it; on an Application the commit applied.
pub const REVISION: &str = "towline.dev/revision";
/// Annotation on every managed object: its file in the repository.
pub const SOURCE: &str = "towline.dev/source";

/// Annotation on an Application: `Synced`, `OutOfSync`, `RolledBack` or `Unknown`.
pub const SYNC_STATUS: &str = "towline.dev/sync-status";
/// Annotation on an Application: its worst object's health.
pub const HEALTH: &str = "towline.dev/health";
/// Annotation on an Application: the newest commit seen in Git.
pub const TARGET_REVISION: &str = "towline.dev/target-revision";
/// Annotation on an Application: what is going on, in one line.
pub const MESSAGE: &str = "towline.dev/message";

/// Request: poll Git now. Its value is a token, echoed in `.status.handled.refresh`.
pub const REFRESH: &str = "towline.dev/refresh";
/// Request: apply now, even without `automated`. Echoed in `.status.handled.sync`.
pub const SYNC: &str = "towline.dev/sync";
/// Request: no updates while it is there; the value is the reason. Self-heal goes on.
pub const SUSPEND: &str = "towline.dev/suspend";
/// In Git or by a person, on an Application in the agent's namespace: `enabled` lets it manage
/// towline's own installation.
pub const SELF_MANAGEMENT: &str = "towline.dev/self-management";
/// Request: the deletions of the held plan with this hash may be done.
pub const APPROVE_PRUNE: &str = "towline.dev/approve-prune";

/// Request: let the quarantined revision of this commit be tried again. Echoed in
/// `.status.handled.retry`.
pub const RETRY: &str = "towline.dev/retry";
/// Request: when [`SUSPEND`] ends by itself, RFC 3339.
pub const SUSPEND_UNTIL: &str = "towline.dev/suspend-until";

/// In manifests: a number; objects of a lower wave are applied and healthy first.
pub const SYNC_WAVE: &str = "towline.dev/sync-wave";
/// In manifests: `disabled` keeps the object when it leaves Git and when its Application is
/// deleted, `confirm` waits for a person to confirm that.
pub const PRUNE: &str = "towline.dev/prune";
/// In manifests: `enabled` writes the object whole instead of applying it.
pub const REPLACE: &str = "towline.dev/replace";
/// In manifests: `enabled` creates the object anew where a field cannot be changed in place.
pub const FORCE: &str = "towline.dev/force";
/// In manifests: `disabled` leaves the object alone altogether.
pub const RECONCILE: &str = "towline.dev/reconcile";
/// In manifests: JSON pointers to fields that are left to others.
pub const IGNORE_FIELDS: &str = "towline.dev/ignore-fields";
/// In manifests: `disabled` says that what the object does cannot be taken back, such as a migration:
/// a revision that brought it is not rolled back.
pub const ROLLBACK: &str = "towline.dev/rollback";
/// In manifests: the object runs at these moments of a sync and is not kept.
pub const HOOK: &str = "towline.dev/hook";
/// In manifests: when a hook's object is deleted.
pub const HOOK_DELETE_POLICY: &str = "towline.dev/hook-delete-policy";
/// Annotation on the object of a hook: the run it belongs to.
pub const HOOK_RUN: &str = "towline.dev/hook-run";

/// Argo CD's spelling of [`SYNC_WAVE`].
pub const ARGO_SYNC_WAVE: &str = "argocd.argoproj.io/sync-wave";
/// Argo CD's spelling of [`HOOK`].
pub const ARGO_HOOK: &str = "argocd.argoproj.io/hook";
/// Argo CD's spelling of [`HOOK_DELETE_POLICY`].
pub const ARGO_HOOK_DELETE_POLICY: &str = "argocd.argoproj.io/hook-delete-policy";
/// Helm's hooks: read as Argo CD reads them.
pub const HELM_HOOK: &str = "helm.sh/hook";
/// Helm's spelling of [`HOOK_DELETE_POLICY`].
pub const HELM_HOOK_DELETE_POLICY: &str = "helm.sh/hook-delete-policy";
/// The wave of a Helm hook that has none.
pub const HELM_HOOK_WEIGHT: &str = "helm.sh/hook-weight";
/// Argo CD's per-object options; `Prune=false` is honoured.
/// Argo CD's per-object options; see [`crate::api::ObjectOptions`].
pub const ARGO_SYNC_OPTIONS: &str = "argocd.argoproj.io/sync-options";
/// Argo CD's mark of ownership: objects that carry it belong to Argo CD.
pub const ARGO_TRACKING_ID: &str = "argocd.argoproj.io/tracking-id";

/// Finalizer of an Application whose objects are pruned when it is deleted.
pub const PRUNE_FINALIZER: &str = "towline.dev/prune";
/// Finalizer on the agent's own ServiceAccount, ClusterRole and binding: it may go on until all
/// Applications are let go.
pub const AGENT_FINALIZER: &str = "towline.dev/agent";
/// What `manifests/` calls the agent's ServiceAccount.
pub const AGENT_ACCOUNT: &str = "towline";
/// What `manifests/` calls the ClusterRole of the agent, and its binding.
pub const AGENT_ROLE: &str = "towline-agent";
/// Argo CD's spelling of [`PRUNE_FINALIZER`], accepted on Applications that moved over.
pub const ARGO_FINALIZER: &str = "resources-finalizer.argocd.argoproj.io";

/// Label of the Secrets with repository credentials; its values are below.
pub const SECRET_TYPE_LABEL: &str = "towline.dev/secret-type";
/// Value of [`SECRET_TYPE_LABEL`]: credentials of exactly one repository.
pub const SECRET_TYPE_REPOSITORY: &str = "repository";
/// Value of [`SECRET_TYPE_LABEL`]: credentials of every repository whose URL starts with `url`.
pub const SECRET_TYPE_REPO_CREDS: &str = "repo-creds";

/// Prefix of everything that is towline's own.
pub const PREFIX: &str = "towline.dev/";

/// Who writes a key, for the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// The agent, on an Application.
    StatusOnApplication,
    /// The agent, on every managed object.
    MarkOnObject,
    /// A person, on an Application.
    RequestOnApplication,
    /// The author of a manifest in Git.
    ManifestInGit,
}

/// Every annotation and label: key, who writes it, what it says. The reference is made from it.
pub const TABLE: &[(&str, Writer, &str)] = &[
    (
        SYNC_STATUS,
        Writer::StatusOnApplication,
        "`Synced`, `OutOfSync`, `RolledBack` or `Unknown`",
    ),
    (
        HEALTH,
        Writer::StatusOnApplication,
        "health of the worst object",
    ),
    (
        REVISION,
        Writer::StatusOnApplication,
        "the commit that is applied (40 hex digits)",
    ),
    (
        TARGET_REVISION,
        Writer::StatusOnApplication,
        "the newest commit seen in Git",
    ),
    (
        MESSAGE,
        Writer::StatusOnApplication,
        "what is going on, in one line",
    ),
    (
        APPLICATION_LABEL,
        Writer::MarkOnObject,
        "label: 16 hex digits naming the Application; an index for watches, not proof of ownership",
    ),
    (
        TRACKING_ID,
        Writer::MarkOnObject,
        "installation, Application and the object's own id; on a copy of the object it names another id and means nothing",
    ),
    (
        REVISION,
        Writer::MarkOnObject,
        "the commit that last changed this object",
    ),
    (
        SOURCE,
        Writer::MarkOnObject,
        "the object's file in the repository",
    ),
    (
        HOOK_RUN,
        Writer::MarkOnObject,
        "on the object of a hook: the revision, commit, request, phase and attempt that it was created for",
    ),
    (
        REFRESH,
        Writer::RequestOnApplication,
        "any new value: poll Git now; echoed in `.status.handled.refresh`",
    ),
    (
        SYNC,
        Writer::RequestOnApplication,
        "any new value: apply now, even without `automated`; echoed in `.status.handled.sync`",
    ),
    (
        SUSPEND,
        Writer::RequestOnApplication,
        "a reason: no updates while it is there; self-heal to the accepted revision goes on",
    ),
    (
        SUSPEND_UNTIL,
        Writer::RequestOnApplication,
        "a time such as `2026-01-02T15:00:00Z`: `towline.dev/suspend` counts until then",
    ),
    (
        RETRY,
        Writer::RequestOnApplication,
        "a commit that was rolled back, or its first digits: it is tried again; echoed in `.status.handled.retry`",
    ),
    (
        APPROVE_PRUNE,
        Writer::RequestOnApplication,
        "the hash of a held plan: its deletions may be done",
    ),
    (
        SELF_MANAGEMENT,
        Writer::RequestOnApplication,
        "`enabled`, in the agent's namespace: may declare towline's own namespace, CRD, Deployment and rights; they are never pruned",
    ),
    (
        SYNC_WAVE,
        Writer::ManifestInGit,
        "a whole number; lower waves are applied and healthy first. Alias: `argocd.argoproj.io/sync-wave`",
    ),
    (
        HOOK,
        Writer::ManifestInGit,
        "`PreSync`, `Sync`, `PostSync`, `SyncFail` (several with commas): runs then, once for each revision, and is not kept; SyncFail also when something is Degraded that was not Healthy in this revision before, for 10 seconds or `spec.rollback.grace`; `Skip`: never applied. Aliases: `argocd.argoproj.io/hook`, and of `helm.sh/hook` what installs and upgrades",
    ),
    (
        HOOK_DELETE_POLICY,
        Writer::ManifestInGit,
        "`BeforeHookCreation` (the default, and always so), `HookSucceeded`, `HookFailed`: when the object of a hook is deleted. Aliases: `argocd.argoproj.io/hook-delete-policy`, `helm.sh/hook-delete-policy`",
    ),
    (
        PRUNE,
        Writer::ManifestInGit,
        "`disabled`: kept in the cluster when it leaves Git or its Application is deleted; `confirm`: deleted once that is confirmed. Aliases in `argocd.argoproj.io/sync-options`: `Prune=false`, `Prune=confirm` for the one, `Delete=false`, `Delete=confirm` for the other, and `PruneLast=true`",
    ),
    (
        REPLACE,
        Writer::ManifestInGit,
        "`enabled`: written whole, not applied: for what server-side apply refuses, such as two variables of one name. What others put into the object is lost. Alias: `Replace=true`",
    ),
    (
        FORCE,
        Writer::ManifestInGit,
        "`enabled`: deleted and created anew where a field cannot be changed in place, a running Job too; `disabled`: never, whatever `spec.immutableFields` says. Alias: `Force=true`",
    ),
    (
        RECONCILE,
        Writer::ManifestInGit,
        "`disabled`: neither applied nor pruned nor healed",
    ),
    (
        ROLLBACK,
        Writer::ManifestInGit,
        "`disabled`: what this object or hook does cannot be taken back, so that a revision that brought it is not rolled back",
    ),
    (
        IGNORE_FIELDS,
        Writer::ManifestInGit,
        "JSON pointers, separated by commas or line ends, to fields of this object that are left to others, as with `spec.ignoreDifferences`",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_table_is_ours_and_explained() {
        for (key, _, text) in TABLE {
            assert!(key.starts_with(PREFIX), "{key}");
            assert!(!text.is_empty(), "{key} has no explanation");
        }
    }
}
