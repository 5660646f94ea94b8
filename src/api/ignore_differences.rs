//! `spec.ignoreDifferences`, in Argo CD's form: which fields of which objects are left to others.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::ApplicationSpec;
use super::policy::PolicyError;
use crate::object::{ObjectId, Pointer};

/// Fields that are left to others, in every object that matches.
///
/// In towline they are never written to an object that is there, as with Argo CD's sync option
/// `RespectIgnoreDifferences=true`. A new object is created with what Git has.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("!has(self.jqPathExpressions)").message("spec.ignoreDifferences[].jqPathExpressions is not supported: name the fields with jsonPointers, or whoever writes them with managedFieldsManagers"),
    validation = Rule::new("has(self.jqPathExpressions) || (has(self.jsonPointers) && size(self.jsonPointers) > 0) || (has(self.managedFieldsManagers) && size(self.managedFieldsManagers) > 0)").message("spec.ignoreDifferences[]: jsonPointers or managedFieldsManagers must name something")
)]
pub struct IgnoreDifference {
    /// The API group; `*` and `?` stand for any text and any character. Default the core group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub group: Option<String>,
    /// The kind; `*` and `?` as in the group.
    #[schemars(length(min = 1, max = 253))]
    pub kind: String,
    /// The name. Default every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub name: Option<String>,
    /// The namespace. Default every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub namespace: Option<String>,
    /// JSON pointers to the fields, such as `/spec/replicas`; `~1` stands for a slash in a name. A
    /// number is a position in the list that Git has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(max = 512)))]
    pub json_pointers: Option<Vec<String>>,
    /// Field managers, as `metadata.managedFields` names them: whatever they own is left to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(max = 128)))]
    pub managed_fields_managers: Option<Vec<String>>,
    /// Rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(max = 512)))]
    pub jq_path_expressions: Option<Vec<String>>,
}

/// One entry, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoreRule {
    group: String,
    kind: String,
    name: Option<String>,
    namespace: Option<String>,
    /// The fields.
    pub pointers: Vec<Pointer>,
    /// Whose fields.
    pub managers: Vec<String>,
}

impl IgnoreRule {
    /// Whether the rule is about this object.
    pub fn matches(&self, id: &ObjectId) -> bool {
        let is = |wanted: &Option<String>, own: &str| wanted.as_deref().is_none_or(|w| w == own);
        glob(&self.group, &id.group)
            && glob(&self.kind, &id.kind)
            && is(&self.name, &id.name)
            && is(&self.namespace, &id.namespace)
    }
}

/// Reads all entries of a spec.
pub(super) fn rules(spec: &ApplicationSpec) -> Result<Vec<IgnoreRule>, PolicyError> {
    let entries = spec.ignore_differences.iter().flatten().enumerate();
    entries
        .map(|(number, entry)| {
            rule(entry).map_err(|message| PolicyError {
                field: "ignoreDifferences",
                message: format!("entry {} ({}): {message}", number + 1, entry.kind),
            })
        })
        .collect()
}

fn rule(entry: &IgnoreDifference) -> Result<IgnoreRule, String> {
    if entry.jq_path_expressions.is_some() {
        return Err("jqPathExpressions is not supported: use jsonPointers".into());
    }
    let pointers = entry
        .json_pointers
        .iter()
        .flatten()
        .map(|text| Pointer::parse(text).map_err(|why| format!("jsonPointers: `{text}`: {why}")))
        .collect::<Result<Vec<_>, _>>()?;
    let managers = entry.managed_fields_managers.clone().unwrap_or_default();
    if managers.iter().any(|name| name == crate::cluster::MANAGER) {
        return Err("managedFieldsManagers: `towline` itself cannot be ignored".into());
    }
    if pointers.is_empty() && managers.is_empty() {
        return Err("jsonPointers or managedFieldsManagers must name something".into());
    }
    let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    Ok(IgnoreRule {
        group: entry.group.clone().unwrap_or_default(),
        kind: entry.kind.clone(),
        name: set(&entry.name),
        namespace: set(&entry.namespace),
        pointers,
        managers,
    })
}

/// Whether a pattern with `*` and `?` matches the whole text. One place to return to is enough.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((after, from)) => {
                    star = Some((after, from + 1));
                    (p, t) = (after + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Policy;
    use super::*;

    fn read(entry: serde_json::Value) -> Result<Vec<IgnoreRule>, String> {
        let spec = serde_json::from_value(json!({
            "source": {"repoURL": "https://git.example.com/shop.git"}, "destination": {},
            "ignoreDifferences": [entry],
        }))
        .expect("a spec");
        Policy::from_spec(&spec)
            .map(|policy| policy.ignore)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn rules_match_as_argo_cds() {
        let id = ObjectId::new("apps", "Deployment", "shop", "web");
        let is = |change: serde_json::Value| {
            let mut entry =
                json!({"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec"]});
            for (key, value) in change.as_object().expect("a map") {
                entry[key] = value.clone();
            }
            read(entry).expect("a rule")[0].matches(&id)
        };
        assert!(is(json!({})) && is(json!({"name": "web", "namespace": "shop"})));
        assert!(is(json!({"name": "", "namespace": ""})));
        assert!(is(json!({"group": "*", "kind": "*"})) && is(json!({"kind": "Deploy*"})));
        assert!(is(json!({"kind": "?eployment"})) && is(json!({"kind": "*ment"})));
        assert!(!is(json!({"group": ""})) && !is(json!({"kind": "StatefulSet"})));
        assert!(!is(json!({"name": "api"})) && !is(json!({"namespace": "other"})));
        assert!(!is(json!({"kind": "*x*"})) && !is(json!({"kind": "deployment"})));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (entry, said) in [
            (
                json!({"kind": "Service", "jsonPointers": ["spec.type"]}),
                "spec.ignoreDifferences: entry 1 (Service): jsonPointers: `spec.type`: a JSON pointer begins with `/`",
            ),
            (
                json!({"kind": "Service"}),
                "jsonPointers or managedFieldsManagers must name something",
            ),
            (
                json!({"kind": "Service", "jqPathExpressions": [".spec"]}),
                "jqPathExpressions is not supported",
            ),
            (
                json!({"kind": "Service", "managedFieldsManagers": ["towline"]}),
                "`towline` itself",
            ),
        ] {
            let error = read(entry).expect_err("no rule");
            assert!(error.contains(said), "{error}");
        }
    }
}
