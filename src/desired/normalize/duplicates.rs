//! Elements of a keyed list with the same key.
//!
//! Client-side apply takes them with a warning, server-side apply refuses the object (argo-cd#18402,
//! argo-cd#20979, kubernetes#113482). The server's answer is an HTTP 500 and knows no file.

use std::collections::BTreeMap;

use serde_json::Value;

use super::about;
use super::pod_spec::{self, CONTAINERS, list};
use crate::error::Diagnostic;
use crate::object::Gvk;

/// A keyed list: where it is, and by what its elements are told apart. A key that is missing counts
/// as the value beside it.
struct Keyed {
    field: &'static str,
    keys: &'static [(&'static str, Option<&'static str>)],
}

const PROTOCOL: (&str, Option<&str>) = ("protocol", Some("TCP"));

/// Keyed lists of a pod specification (`x-kubernetes-list-map-keys` of the API).
const IN_POD: &[Keyed] = &[
    Keyed {
        field: "containers",
        keys: &[("name", None)],
    },
    Keyed {
        field: "initContainers",
        keys: &[("name", None)],
    },
    Keyed {
        field: "volumes",
        keys: &[("name", None)],
    },
    Keyed {
        field: "imagePullSecrets",
        keys: &[("name", Some(""))],
    },
    Keyed {
        field: "hostAliases",
        keys: &[("ip", None)],
    },
    Keyed {
        field: "resourceClaims",
        keys: &[("name", None)],
    },
    Keyed {
        field: "topologySpreadConstraints",
        keys: &[("topologyKey", None), ("whenUnsatisfiable", None)],
    },
];

/// Keyed lists of a container.
const IN_CONTAINER: &[Keyed] = &[
    Keyed {
        field: "env",
        keys: &[("name", None)],
    },
    Keyed {
        field: "ports",
        keys: &[("containerPort", None), PROTOCOL],
    },
    Keyed {
        field: "volumeMounts",
        keys: &[("mountPath", None)],
    },
    Keyed {
        field: "volumeDevices",
        keys: &[("devicePath", None)],
    },
];

/// Keyed lists of other kinds: group, kind, the map that holds the list.
const ELSEWHERE: &[(&str, &str, &str, Keyed)] = &[
    (
        "",
        "Service",
        "/spec",
        Keyed {
            field: "ports",
            keys: &[("port", None), PROTOCOL],
        },
    ),
    (
        "",
        "ServiceAccount",
        "",
        Keyed {
            field: "secrets",
            keys: &[("name", Some(""))],
        },
    ),
    (
        "admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration",
        "",
        Keyed {
            field: "webhooks",
            keys: &[("name", None)],
        },
    ),
    (
        "admissionregistration.k8s.io",
        "MutatingWebhookConfiguration",
        "",
        Keyed {
            field: "webhooks",
            keys: &[("name", None)],
        },
    ),
];

/// Adds one diagnostic for each key that stands more than once.
pub(super) fn find(object: &Value, gvk: &Gvk, out: &mut Vec<Diagnostic>) {
    for (group, kind, holder, keyed) in ELSEWHERE {
        if gvk.group == *group && gvk.kind == *kind {
            look(
                object,
                object.pointer(holder),
                keyed,
                &holder[1.min(holder.len())..],
                out,
            );
        }
    }
    let Some(at) = pod_spec::pointer(gvk) else {
        return;
    };
    let path = at[1..].replace('/', ".");
    let spec = object.pointer(at);
    for keyed in IN_POD {
        look(object, spec, keyed, &path, out);
    }
    for field in CONTAINERS {
        for (index, container) in list(spec.and_then(|spec| spec.get(*field)))
            .iter()
            .enumerate()
        {
            let place = match container.get("name").and_then(Value::as_str) {
                Some(name) => format!("{path}.{field}[name={name:?}]"),
                None => format!("{path}.{field}[{index}]"),
            };
            for keyed in IN_CONTAINER {
                look(object, Some(container), keyed, &place, out);
            }
        }
    }
}

fn look(
    object: &Value,
    holder: Option<&Value>,
    keyed: &Keyed,
    place: &str,
    out: &mut Vec<Diagnostic>,
) {
    let mut counts = BTreeMap::<String, usize>::new();
    for element in list(holder.and_then(|holder| holder.get(keyed.field))) {
        if let Some(key) = key(element, keyed) {
            *counts.entry(key).or_default() += 1;
        }
    }
    let dot = if place.is_empty() { "" } else { "." };
    for (key, count) in counts.into_iter().filter(|(_, count)| *count > 1) {
        let message = format!(
            "`{place}{dot}{}[{key}]` stands {count} times: server-side apply refuses that",
            keyed.field
        );
        let hint = if keyed.field == "env" {
            "keep one of them (the last one has been in effect)"
        } else {
            "keep one of them"
        };
        out.push(about(object, message).hint(hint));
    }
}

/// The key of an element as it is shown, or `None` where a part of it is missing.
fn key(element: &Value, keyed: &Keyed) -> Option<String> {
    let parts: Option<Vec<String>> = keyed
        .keys
        .iter()
        .map(
            |(name, default)| match element.get(name).filter(|value| !value.is_null()) {
                Some(value) => Some(format!("{name}={value}")),
                None => default
                    .filter(|_| element.is_object())
                    .map(|value| format!("{name}={value:?}")),
            },
        )
        .collect();
    parts.map(|parts| parts.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::mistakes;
    use super::*;

    fn found(value: &Value) -> Vec<String> {
        let mut out = Vec::new();
        mistakes(value, false, &mut out);
        out.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn environment_variables_and_ports_of_a_container() {
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"template": {"spec": {"volumes": [{"name": "v"}, {"name": "v"}], "containers": [{
                "name": "web",
                "env": [{"name": "A", "value": "1"}, {"name": "B"}, {"name": "A", "value": "2"}],
                "ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "TCP"},
                    {"containerPort": 80, "protocol": "UDP"}]}]}}}});
        assert_eq!(
            found(&deployment),
            [
                "Deployment/shop/web: `spec.template.spec.volumes[name=\"v\"]` stands 2 times: \
                 server-side apply refuses that (hint: keep one of them)",
                "Deployment/shop/web: `spec.template.spec.containers[name=\"web\"].env[name=\"A\"]` \
                 stands 2 times: server-side apply refuses that (hint: keep one of them (the last \
                 one has been in effect))",
                "Deployment/shop/web: `spec.template.spec.containers[name=\"web\"]\
                 .ports[containerPort=80,protocol=\"TCP\"]` stands 2 times: server-side apply \
                 refuses that (hint: keep one of them)",
            ]
        );
    }

    #[test]
    fn ports_of_a_service_and_webhooks() {
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
            "spec": {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}, {"port": 53, "protocol": "TCP"}]}});
        assert_eq!(found(&service).len(), 1);
        assert!(found(&service)[0].contains("`spec.ports[port=53,protocol=\"TCP\"]`"));
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "secrets": [{"name": "a"}, {"name": "a"}]});
        assert!(found(&account)[0].contains("`secrets[name=\"a\"]`"));
    }

    #[test]
    fn nothing_in_an_object_as_it_should_be() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [
            {"name": "a", "env": [{"name": "X"}]}, {"name": "b", "env": [{"name": "X"}]}]}});
        assert_eq!(found(&pod), [""; 0]);
    }
}
