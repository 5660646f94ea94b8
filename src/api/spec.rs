//! What a person writes in an Application.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::audit::Audit;
use super::ignore_differences::IgnoreDifference;
use super::rollback::Rollback;
use super::status::ApplicationStatus;
use super::unsupported::{UnsupportedList, UnsupportedObject};

/// A directory of a Git repository and the namespace of this cluster that is kept equal to it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[kube(
    group = "towline.dev",
    version = "v1alpha1",
    kind = "Application",
    plural = "applications",
    singular = "application",
    shortname = "tl",
    category = "towline",
    namespaced,
    status = "ApplicationStatus",
    derive = "PartialEq",
    doc = "A directory of a Git repository and the namespace of this cluster that is kept equal to it.",
    validation = Rule::new("size(self.metadata.name) <= 63").message("metadata.name must be at most 63 characters"),
    validation = Rule::new("!has(self.spec.dependsOn) || self.spec.dependsOn.all(d, has(d.namespace) || d.name != self.metadata.name)").message("spec.dependsOn: an Application cannot depend on itself"),
    printcolumn(name = "Sync", type_ = "string", json_path = ".status.sync.status"),
    printcolumn(name = "Health", type_ = "string", json_path = ".status.health.status"),
    printcolumn(name = "Revision", type_ = "string", json_path = ".status.sync.shortRevision"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("!has(self.sources)").message("spec.sources is not supported: use one spec.source; make an Application for each repository"),
    validation = Rule::new("!has(self.project) || self.project == 'default'").message("spec.project: only `default` exists; set spec.serviceAccountName to limit what an Application may do")
)]
pub struct ApplicationSpec {
    /// Argo CD's project. Only `default` is accepted; rights come from `serviceAccountName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Where the desired objects come from.
    pub source: Source,
    /// Rejected: one repository for each Application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<UnsupportedList>,
    /// Where they go.
    pub destination: Destination,
    /// How they are kept equal. Without `automated`, towline only reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_policy: Option<SyncPolicy>,
    /// The ServiceAccount, in the Application's own namespace, as which every read, write and
    /// delete for this Application is made. Required outside the agent's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// What becomes of objects that exist already and that nobody claims. Default `IfUnowned`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopt: Option<Adopt>,
    /// Limits on deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune: Option<AutomatedPrune>,
    /// What becomes of a change that the API server refuses because a field cannot be changed in
    /// place. Default `Fail`. The annotation `towline.dev/force` on an object has precedence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub immutable_fields: Option<ImmutableFields>,
    /// What is left to others in the objects that Git declares: it is no difference, no drift, and
    /// is not written to an object that is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub ignore_differences: Option<Vec<IgnoreDifference>>,
    /// Applications that are synced and healthy at their newest revision before this one rolls
    /// forward. Drift is undone in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub depends_on: Option<Vec<Dependency>>,
    /// Goes back to the last healthy revision when a new one does not work. Without it, a revision
    /// that does not work stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
    /// Asks the API server about every object of a new revision, as a dry run, before the first of
    /// them is written; one that is refused keeps all of it away. What cannot be dry-run, such as an
    /// object whose namespace or CRD comes with the same revision, is let through. When one is refused
    /// after all, such as by a quota, and again when it is retried, what was written before it is put
    /// back to the revision that was applied last, as far as the API server lets it, and the refused
    /// one is not tried again before it changes or `towline retry` asks for it; with `rollback` that
    /// decides instead. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preflight: Option<bool>,
    /// The full record of what was deployed. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
    /// How many entries `.status.history` keeps, at most 20. Default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 20))]
    pub revision_history_limit: Option<i32>,
    /// Notes for people, as in Argo CD; towline does not read them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<Vec<Info>>,
}

/// An Application that another one depends on.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dependency {
    /// Its name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Its namespace. Default that of the Application itself; only Applications of the agent's
    /// namespace may name another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// Where the desired objects come from.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("!has(self.helm)").message("spec.source.helm is not supported: render the chart with `helm template` into the repository, or keep it under Argo CD"),
    validation = Rule::new("!has(self.chart)").message("spec.source.chart is not supported: towline reads Git repositories; render the chart with `helm template` into one"),
    validation = Rule::new("!has(self.plugin)").message("spec.source.plugin is not supported: commit the plugin's output"),
    validation = Rule::new("!has(self.kustomize)").message("spec.source.kustomize is not supported: put these fields into the kustomization.yaml at spec.source.path"),
    validation = Rule::new("!has(self.ref)").message("spec.source.ref is not supported: it belongs to spec.sources")
)]
pub struct Source {
    /// The repository: `https://…`, `ssh://…` or `git@host:path`; `http://` and `file://` where the
    /// agent's `--allow-scheme` says so.
    #[serde(rename = "repoURL")]
    #[schemars(length(min = 1, max = 2048))]
    pub repo_url: String,
    /// Branch, tag, `refs/…`, semver range over tags, or commit. Default `HEAD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_revision: Option<String>,
    /// The directory, from the root of the repository. Default the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How often Git is polled, such as `30s` or `5m`. Default 30s, at least 1s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// How a directory without kustomization.yaml is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<Directory>,
    /// Rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm: Option<UnsupportedObject>,
    /// Rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart: Option<String>,
    /// Rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<UnsupportedObject>,
    /// Rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kustomize: Option<UnsupportedObject>,
    /// Rejected.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// How a directory without kustomization.yaml is read: Argo CD's rules.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("!has(self.jsonnet)").message("spec.source.directory.jsonnet is not supported: commit the rendered manifests")
)]
pub struct Directory {
    /// Also the directories below. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recurse: Option<bool>,
    /// A glob, or `{a,b}` of several: only files that match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include: Option<String>,
    /// A glob, or `{a,b}` of several: no files that match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude: Option<String>,
    /// Rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jsonnet: Option<UnsupportedObject>,
}

/// Where the objects go: this cluster, and a namespace for those that name none.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("!has(self.server) || self.server == 'https://kubernetes.default.svc'").message("spec.destination.server: only the agent's own cluster, https://kubernetes.default.svc; install towline in each cluster"),
    validation = Rule::new("!has(self.name) || self.name == 'in-cluster'").message("spec.destination.name: only `in-cluster`; install towline in each cluster")
)]
pub struct Destination {
    /// Only `https://kubernetes.default.svc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Only `in-cluster`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The namespace of namespaced objects that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// How the objects are kept equal to Git.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("!has(self.managedNamespaceMetadata)").message("spec.syncPolicy.managedNamespaceMetadata is not supported: declare the Namespace in Git")
)]
pub struct SyncPolicy {
    /// Syncs by itself. `automated: {}` neither prunes nor heals, as in Argo CD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automated: Option<Automated>,
    /// Argo CD's options, such as `CreateNamespace=true`. One that cannot be honoured is rejected
    /// with the reason, an unknown one with the list of those known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(
        length(max = 32),
        inner(length(max = 128)),
        extend("x-kubernetes-validations" = super::sync_options::rules())
    )]
    pub sync_options: Option<Vec<String>>,
    /// What happens after a failed sync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_namespace_metadata: Option<UnsupportedObject>,
}

/// What is done without asking.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Automated {
    /// Delete what left Git. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune: Option<bool>,
    /// Undo drift. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_heal: Option<bool>,
    /// Let a render without objects prune everything. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_empty: Option<bool>,
    /// `false` is the same as leaving `automated` out. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// What happens after a failed sync.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retry {
    /// How often an error that a person must fix is retried; negative for no limit. Passing
    /// errors are retried for ever. Default 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// The waits between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<BackoffSpec>,
    /// Accepted and always so: a newer commit pre-empts a retry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<bool>,
}

/// The waits between retries.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackoffSpec {
    /// The first wait, such as `5s`. Default 5s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// What each wait is multiplied by. Default 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub factor: Option<i64>,
    /// The longest wait. Default 3m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration: Option<String>,
}

/// What becomes of objects that exist already and that nobody claims.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Adopt {
    /// Taken over where nobody owns them; abandoned, not deleted, when they leave Git.
    #[default]
    IfUnowned,
    /// Taken over, and deleted when they leave Git.
    Own,
    /// Left alone: the sync reports them and goes on with the others.
    Never,
}

/// What becomes of a change that the API server refuses because a field cannot be changed in place.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ImmutableFields {
    /// The sync fails and names the field.
    #[default]
    Fail,
    /// The object is deleted and created anew, once a dry run has shown that it can be; a Job that
    /// runs is waited for. A StatefulSet, a volume, a claim and a Service of type LoadBalancer want
    /// an approval.
    Recreate,
    /// The same for Jobs alone: a migration of which each revision has another.
    RecreateJobs,
}

/// Limits on deletion.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AutomatedPrune {
    /// Prunes of more objects than this in one plan are held. Default: more than 3 and 30 %, or
    /// more than 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub limit: Option<i64>,
}

/// A note for people.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
pub struct Info {
    /// Its name.
    pub name: String,
    /// Its text.
    pub value: String,
}
