//! Who owns what in a live object: the entries of `metadata.managedFields`.

use serde_json::Value;

use super::fields::Fields;
use super::path::Path;
use crate::object::Object;

/// The field manager of all that comes from Git. Status and annotations on an Application have
/// another one, so that neither drops what the other wrote.
pub const FIELD_MANAGER: &str = "towline";

/// The manager to which ignored fields are given that towline alone owned: without an owner a field
/// that an apply leaves out is removed, or goes back to its default.
pub const IGNORED_MANAGER: &str = "towline-ignored";

/// The managers whose additions are drift, and whose fields a heal takes over: what people leave
/// behind with kubectl. Exact names: `kubectl-rollout`, `kubectl-annotate` and `kubectl-label` are
/// not among them, because a restart or a request made by annotation must outlive the next commit
/// (Flux takes everything with the prefix `kubectl`, and pods roll twice for it: flux2#2526).
pub const HEAL: &[&str] = &[
    "before-first-apply",
    "kubectl",
    "kubectl-client-side-apply",
    "kubectl-create",
    "kubectl-edit",
    "kubectl-patch",
    "kubectl-replace",
    "kubectl-set",
];

/// The managers whose fields are taken over when an object is adopted: those of [`HEAL`] and the
/// tools that may have applied it before.
pub const ADOPTION: &[&str] = &[
    "argocd-controller",
    "before-first-apply",
    "helm",
    "kubectl",
    "kubectl-client-side-apply",
    "kubectl-create",
    "kubectl-edit",
    "kubectl-patch",
    "kubectl-replace",
    "kubectl-set",
    "kustomize-controller",
];

/// The managers that drive `spec.replicas` through the scale subresource: the horizontal pod
/// autoscaler, and KEDA where it scales to and from zero itself.
const AUTOSCALERS: &[&str] = &["kube-controller-manager", "keda", "keda-operator"];

/// What controllers write into an object itself, beside its status.
const OF_CONTROLLERS: &[&[&str]] = &[
    &["metadata", "finalizers"],
    &["metadata", "ownerReferences"],
    &["spec", "nodeName"],
    &["spec", "volumeName"],
];

/// How an entry came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Server-side apply.
    Apply,
    /// Any other write.
    Update,
}

/// One entry of `metadata.managedFields`.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Who wrote.
    pub manager: &'a str,
    /// How.
    pub operation: Operation,
    /// The version in which the paths are meant.
    pub api_version: &'a str,
    /// The subresource written through; empty for the object itself.
    pub subresource: &'a str,
    /// When it was written last, as it stands; empty where that is not said.
    pub time: &'a str,
    /// `fieldsV1` as it stands.
    pub fields_v1: &'a Value,
}

impl<'a> Entry<'a> {
    /// Reads one entry; `None` where it is not one.
    pub fn read(entry: &'a Value) -> Option<Self> {
        let text = |name| entry.get(name).and_then(Value::as_str).unwrap_or_default();
        let operation = match text("operation") {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        Some(Self {
            manager: text("manager"),
            operation,
            api_version: text("apiVersion"),
            subresource: text("subresource"),
            time: text("time"),
            fields_v1: entry.get("fieldsV1")?,
        })
    }

    /// The paths of the entry.
    pub fn fields(&self) -> Fields {
        Fields::from_json(self.fields_v1)
    }

    /// The part of the entry that belongs to what `names` left behind: empty unless the manager is
    /// one of them and wrote the object itself, not a subresource.
    ///
    /// Status is left out: what a kind without status subresource keeps there belongs to its
    /// controller, whoever created the object. So is what controllers put into the object itself,
    /// where the entry is `before-first-apply`, which stands for everybody who wrote before anybody
    /// was recorded: finalizers and owner references are promises to them, and the node of a pod and
    /// the volume of a claim cannot be taken back.
    pub fn left_behind(&self, names: &[&str]) -> Fields {
        if !self.subresource.is_empty() || !names.contains(&self.manager) {
            return Fields::default();
        }
        let mut kept = vec![Path::of(&["status"])];
        if self.manager == "before-first-apply" {
            kept.extend(OF_CONTROLLERS.iter().map(|fields| Path::of(fields)));
        }
        self.fields().outside(&Fields::of(&kept))
    }
}

/// Why the fields that a manager owns cannot be told from an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unprojectable {
    /// Some aggregated APIs keep no managed fields.
    #[error("the object carries no managed fields")]
    NoManagedFields,
    /// The manager has no entry, or not with this operation.
    #[error("field manager `{0}` has no entry in the managed fields")]
    NotOwned(String),
    /// Paths mean something only in the version of their entry.
    #[error("the managed fields are those of `{entry}`, the object was read as `{object}`")]
    OtherVersion {
        /// `apiVersion` of the entry.
        entry: String,
        /// `apiVersion` of the object.
        object: String,
    },
}

/// The entries of `metadata.managedFields`; what is none of the known forms is left out.
pub fn entries(object: &Object) -> impl Iterator<Item = Entry<'_>> {
    raw_entries(object).iter().filter_map(Entry::read)
}

/// The entries as they stand.
pub(super) fn raw_entries(object: &Object) -> &[Value] {
    object
        .0
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// `apiVersion` of the object as it stands.
pub(super) fn api_version(object: &Object) -> &str {
    object
        .0
        .get("apiVersion")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// What `manager` owns in the object itself, subresources left out. Objects written in replace
/// mode are owned by [`Operation::Update`].
///
/// # Errors
/// Where that cannot be told.
pub fn owned_by(
    object: &Object,
    manager: &str,
    operation: Operation,
) -> Result<Fields, Unprojectable> {
    if raw_entries(object).is_empty() {
        return Err(Unprojectable::NoManagedFields);
    }
    let mut own = entries(object).filter(|entry| {
        entry.manager == manager && entry.operation == operation && entry.subresource.is_empty()
    });
    let mut fields = None::<Fields>;
    // An Update has one entry per version; an Apply has one in all.
    own.try_for_each(|entry| {
        if entry.api_version != api_version(object) {
            return Err(Unprojectable::OtherVersion {
                entry: entry.api_version.into(),
                object: api_version(object).into(),
            });
        }
        fields.get_or_insert_default().extend(&entry.fields());
        Ok(())
    })?;
    fields.ok_or_else(|| Unprojectable::NotOwned(manager.into()))
}

/// How towline wrote the object last: by applying it, or in replace mode.
pub fn own_operation(object: &Object) -> Operation {
    let by = |operation| {
        entries(object).any(|entry| {
            entry.manager == FIELD_MANAGER
                && entry.operation == operation
                && entry.subresource.is_empty()
        })
    };
    if !by(Operation::Apply) && by(Operation::Update) {
        Operation::Update
    } else {
        Operation::Apply
    }
}

/// What the managers in `names` added that `owned` does not hold: drift which no comparison of
/// owned fields shows. Additions by anyone else (a sidecar, a CA bundle) are none. Empty for an
/// Application of towline, whose fields are never taken over: that would lift a freeze.
pub fn additions(object: &Object, owned: &Fields, names: &[&str]) -> Fields {
    if is_application(object) {
        return Fields::default();
    }
    let version = api_version(object);
    let mut added = Fields::default();
    for entry in entries(object).filter(|entry| entry.api_version == version) {
        added.extend(&entry.left_behind(names).difference(owned));
    }
    added
}

/// True for an Application of towline.
pub(super) fn is_application(object: &Object) -> bool {
    let gvk = object.gvk();
    gvk.group == "towline.dev" && gvk.kind == "Application"
}

/// The autoscaler that owns `spec.replicas`, if one does: an entry written through the scale
/// subresource by a controller. `kubectl scale` writes there under its own name and is not one.
pub fn replicas_yielded(object: &Object) -> Option<String> {
    let replicas = Path::of(&["spec", "replicas"]);
    entries(object)
        .find(|entry| {
            entry.subresource == "scale"
                && AUTOSCALERS.contains(&entry.manager)
                && entry.fields().contains(&replicas)
        })
        .map(|entry| entry.manager.to_owned())
}

/// True where ignored fields were given away ([`IGNORED_MANAGER`]).
pub(super) fn has_set_aside(object: &Object) -> bool {
    entries(object).any(|entry| entry.manager == IGNORED_MANAGER)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(entries: Value) -> Object {
        Object(json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "managedFields": entries}}))
    }

    fn entry(manager: &str, operation: &str, subresource: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": operation, "subresource": subresource,
            "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    #[test]
    fn lists_are_sorted_and_adoption_holds_heal() {
        assert!(HEAL.is_sorted() && ADOPTION.is_sorted());
        assert!(HEAL.iter().all(|name| ADOPTION.contains(name)));
    }

    #[test]
    fn only_the_entry_of_the_object_itself_counts() {
        let live = object(json!([
            entry("towline", "Apply", "", json!({"f:spec": {"f:a": {}}})),
            entry("towline", "Update", "", json!({"f:spec": {"f:b": {}}})),
            entry("towline", "Apply", "status", json!({"f:status": {}})),
        ]));
        let apply = owned_by(&live, "towline", Operation::Apply).expect("has one");
        assert_eq!(apply, Fields::of([&Path::of(&["spec", "a"])]));
        let update = owned_by(&live, "towline", Operation::Update).expect("has one");
        assert_eq!(update, Fields::of([&Path::of(&["spec", "b"])]));
    }

    #[test]
    fn says_why_it_cannot_tell() {
        let none = Object(json!({"apiVersion": "v1", "kind": "X"}));
        assert_eq!(
            owned_by(&none, "towline", Operation::Apply),
            Err(Unprojectable::NoManagedFields)
        );
        let other = object(json!([entry("helm", "Update", "", json!({}))]));
        assert!(matches!(
            owned_by(&other, "towline", Operation::Apply),
            Err(Unprojectable::NotOwned(_))
        ));
        let mut moved = object(json!([entry(
            "towline",
            "Apply",
            "",
            json!({"f:spec": {}})
        )]));
        moved.0["apiVersion"] = json!("apps/v2");
        assert!(matches!(
            owned_by(&moved, "towline", Operation::Apply),
            Err(Unprojectable::OtherVersion { .. })
        ));
    }

    #[test]
    fn additions_are_those_of_listed_managers() {
        let owned = Fields::of([&Path::of(&["spec", "a"])]);
        let live = object(json!([
            entry(
                "kubectl-edit",
                "Update",
                "",
                json!({"f:spec": {"f:a": {}, "f:b": {}}})
            ),
            entry(
                "kubectl-rollout",
                "Update",
                "",
                json!({"f:spec": {"f:c": {}}})
            ),
            entry("kubectl", "Update", "scale", json!({"f:spec": {"f:d": {}}})),
            entry("istio", "Update", "", json!({"f:spec": {"f:e": {}}})),
            entry(
                "kubectl-create",
                "Update",
                "",
                json!({"f:status": {"f:x": {}}})
            ),
            entry(
                "before-first-apply",
                "Update",
                "",
                json!({"f:metadata": {"f:finalizers": {"v:\"x\"": {}}}, "f:spec": {"f:f": {}}})
            ),
        ]));
        let added = additions(&live, &owned, HEAL);
        let b = Path::of(&["spec", "b"]);
        let f = Path::of(&["spec", "f"]);
        assert_eq!(added, Fields::of([&b, &f]));
        let mut application = live;
        application.0["apiVersion"] = json!("towline.dev/v1alpha1");
        application.0["kind"] = json!("Application");
        assert!(additions(&application, &owned, HEAL).is_empty());
    }

    #[test]
    fn replicas_are_yielded_to_autoscalers_only() {
        let replicas = || json!({"f:spec": {"f:replicas": {}}});
        let by = |manager, subresource| {
            replicas_yielded(&object(json!([entry(
                manager,
                "Update",
                subresource,
                replicas()
            )])))
        };
        assert_eq!(
            by("kube-controller-manager", "scale").as_deref(),
            Some("kube-controller-manager")
        );
        assert_eq!(by("kubectl", "scale"), None);
        assert_eq!(by("kube-controller-manager", ""), None);
    }
}
