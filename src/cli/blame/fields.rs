//! The fields of a live object, each with who owns it.

use serde_json::Value;

use crate::cluster::MANAGER;
use crate::diff::is_hidden;
use crate::live::{Entry, Fields, Operation, Path, Step, entries};
use crate::object::{Object, keys};
use crate::render::{FieldPath, element};

/// Metadata that only the server sets.
const OF_SERVER: &[&str] = &[
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// One field with a value and nothing below it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field<'a> {
    /// As people write it.
    pub path: Path,
    /// What is there.
    pub value: &'a Value,
    /// Whether the value may not be shown.
    pub is_hidden: bool,
    /// Who owns it.
    pub holder: Holder<'a>,
}

/// Who owns a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holder<'a> {
    /// towline, from Git.
    Git,
    /// Another field manager: its name, how it wrote, through which subresource, and when.
    Other {
        manager: &'a str,
        operation: &'static str,
        subresource: &'a str,
        time: &'a str,
    },
    /// Nobody who is recorded: a default of the server, as a rule.
    Nobody,
}

impl Field<'_> {
    /// The same path as a trace of a render has it.
    pub(super) fn traced(&self) -> FieldPath {
        let step = |step: &Step| match step {
            Step::Field(name) => name.clone(),
            Step::Key(key) => {
                let name = key
                    .get("name")
                    .and_then(|text| serde_json::from_str(text).ok());
                element(name.as_ref().and_then(Value::as_str), 0)
            }
            Step::Value(text) => text.clone(),
            Step::Index(index) => element(None, *index),
        };
        self.path.0.iter().map(step).collect()
    }
}

/// One manager on the way down: its entry, and what it owns from here. `None` below a value that it
/// owns as a whole.
type Claim<'a, 'f> = (Entry<'a>, Option<&'f Fields>);

/// The fields of an object in their order, without what only the server sets and without the status,
/// which no one declares, and without towline's own marks.
pub(super) fn fields(live: &Object) -> Vec<Field<'_>> {
    let version = live.gvk().api_version();
    let all: Vec<(Entry<'_>, Fields)> = entries(live)
        .filter(|entry| entry.api_version == version)
        .map(|entry| (entry, entry.fields()))
        .collect();
    let claims: Vec<Claim<'_, '_>> = all.iter().map(|(entry, own)| (*entry, Some(own))).collect();
    let mut out = Vec::new();
    for (name, value) in live.0.as_object().into_iter().flatten() {
        if matches!(name.as_str(), "apiVersion" | "kind" | "status") {
            continue;
        }
        let mut at = vec![Step::field(name.as_str())];
        let below = down(&claims, |own| own.child(&Step::field(name.as_str())));
        walk(&live.0, value, &below, &mut at, &mut out);
    }
    out.retain(|field| !is_noise(&field.path));
    out
}

fn is_noise(path: &Path) -> bool {
    let Some(Step::Field(field)) = path.0.get(1).filter(|_| path.is_under(&["metadata"])) else {
        return false;
    };
    let is_mark = matches!(path.0.get(2), Some(Step::Field(key))
        if path.is_under(&["metadata"]) && matches!(field.as_str(), "annotations" | "labels")
            && [keys::APPLICATION_LABEL, keys::TRACKING_ID, keys::REVISION, keys::SOURCE]
                .contains(&key.as_str()));
    is_mark || OF_SERVER.contains(&field.as_str())
}

/// Those who own something in what `step` leads to. Who owns a value as a whole owns what is in it.
fn down<'a, 'f>(
    claims: &[Claim<'a, 'f>],
    step: impl Fn(&'f Fields) -> Option<&'f Fields>,
) -> Vec<Claim<'a, 'f>> {
    let mut below = Vec::new();
    for (entry, own) in claims {
        match own {
            None => below.push((*entry, None)),
            Some(own) if own.is_whole() => below.push((*entry, None)),
            Some(own) => below.extend(step(own).map(|own| (*entry, Some(own)))),
        }
    }
    below
}

fn walk<'a>(
    root: &Value,
    value: &'a Value,
    claims: &[Claim<'a, '_>],
    at: &mut Vec<Step>,
    out: &mut Vec<Field<'a>>,
) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (name, value) in map {
                let step = Step::field(name.as_str());
                let below = down(claims, |own| own.child(&step));
                at.push(step.clone());
                walk(root, value, &below, at, out);
                at.pop();
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for (index, value) in list.iter().enumerate() {
                let below = down(claims, |own| of_element(own, value, index));
                let name = value.get("name").and_then(Value::as_str);
                at.push(name.map_or(Step::Index(index), |name| Step::key("name", name)));
                walk(root, value, &below, at, out);
                at.pop();
            }
        }
        value => {
            let path = Path(at.clone());
            out.push(Field {
                is_hidden: is_hidden(root, &path),
                holder: holder(claims),
                path,
                value,
            });
        }
    }
}

/// What is owned of an element of a list: by its keys, as the member of a set, or by its index.
fn of_element<'f>(own: &'f Fields, element: &Value, index: usize) -> Option<&'f Fields> {
    let is_it = |step: &Step| match step {
        Step::Key(key) => key.iter().all(|(name, text)| {
            let there = element.get(name).map(Value::to_string);
            there.as_deref() == Some(text.as_str())
        }),
        Step::Value(text) => serde_json::from_str(text).is_ok_and(|own: Value| own == *element),
        Step::Index(own) => *own == index,
        Step::Field(_) => false,
    };
    let mut found = own.children().filter(|(step, _)| is_it(step));
    found.next().map(|(_, own)| own)
}

/// towline before others that set the same value; of others who wrote last.
fn holder<'a>(claims: &[Claim<'a, '_>]) -> Holder<'a> {
    let owns = |own: &Option<&Fields>| own.is_none_or(Fields::is_owned);
    let owners = || {
        claims
            .iter()
            .filter(|(_, own)| owns(own))
            .map(|(entry, _)| entry)
    };
    let is_ours = |entry: &&Entry<'_>| entry.manager == MANAGER && entry.subresource.is_empty();
    if owners().any(|entry| is_ours(&entry)) {
        return Holder::Git;
    }
    owners()
        .max_by(|a, b| a.time.cmp(b.time))
        .map_or(Holder::Nobody, |entry| Holder::Other {
            manager: entry.manager,
            operation: match entry.operation {
                Operation::Apply => "Apply",
                Operation::Update => "Update",
            },
            subresource: entry.subresource,
            time: entry.time,
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(manager: &str, operation: &str, subresource: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": "apps/v1",
            "subresource": subresource, "time": "2026-01-02T00:00:00Z", "fieldsType": "FieldsV1",
            "fieldsV1": fields})
    }

    #[test]
    fn every_field_has_its_owner() {
        let live = Object(json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "uid": "u", "labels": {"app.example.com/a": "b"},
                "annotations": {keys::REVISION: "c"},
                "managedFields": [
                    entry("towline", "Apply", "", json!({"f:metadata": {"f:labels": {"f:app.example.com/a": {}}},
                        "f:spec": {"f:selector": {}, "f:template": {"f:spec": {"f:containers": {
                            "k:{\"name\":\"web\"}": {".": {}, "f:name": {}, "f:image": {}, "f:ports": {
                                "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}}}}})),
                    entry("kubectl", "Update", "scale", json!({"f:spec": {"f:replicas": {}}})),
                    entry("kubectl-edit", "Update", "", json!({"f:spec": {"f:paused": {}}})),
                    entry("kube-controller-manager", "Update", "status", json!({"f:status": {"f:replicas": {}}})),
                ]},
            "spec": {"replicas": 3, "paused": true, "selector": {"matchLabels": {"app": "web"}},
                "revisionHistoryLimit": 10,
                "template": {"spec": {"containers": [{"name": "web", "image": "a",
                    "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}}},
            "status": {"replicas": 3}}));
        let told: Vec<String> = fields(&live)
            .iter()
            .map(|field| {
                let holder = match &field.holder {
                    Holder::Git => "Git".to_owned(),
                    Holder::Nobody => "nobody".to_owned(),
                    Holder::Other {
                        manager,
                        operation,
                        subresource,
                        ..
                    } => {
                        format!("{manager} {operation} {subresource}")
                    }
                };
                format!("{}: {holder}", field.path)
            })
            .collect();
        assert_eq!(
            told,
            [
                "metadata.labels[\"app.example.com/a\"]: Git",
                "metadata.name: nobody",
                "spec.paused: kubectl-edit Update ",
                "spec.replicas: kubectl Update scale",
                "spec.revisionHistoryLimit: nobody",
                "spec.selector.matchLabels.app: Git",
                "spec.template.spec.containers[name=\"web\"].image: Git",
                "spec.template.spec.containers[name=\"web\"].name: Git",
                "spec.template.spec.containers[name=\"web\"].ports[0].containerPort: Git",
                "spec.template.spec.containers[name=\"web\"].ports[0].protocol: nobody",
            ]
        );
    }

    #[test]
    fn values_of_a_secret_are_not_to_be_shown() {
        let live = Object(json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "s"}, "data": {"k": "aHVudGVyMg=="}, "type": "Opaque"}));
        let hidden: Vec<String> = fields(&live)
            .iter()
            .filter(|field| field.is_hidden)
            .map(|field| field.path.to_string())
            .collect();
        assert_eq!(hidden, ["data.k"]);
    }
}
