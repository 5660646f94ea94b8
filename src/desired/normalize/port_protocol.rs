//! `protocol: TCP` is written where it was left out.
//!
//! It is part of the key of the port lists of Services and containers. Without it, older servers
//! refuse the apply, and desired ports match none of the live ones
//! (kubernetes#92332; Flux normalises the same).

use serde_json::Value;

use super::pod_spec::{self, CONTAINERS, list_mut};
use super::{Rule, gvk};
use crate::error::Diagnostic;
use crate::object::Gvk;

pub(super) const RULE: Rule = Rule { applies, rewrite };

fn applies(gvk: &Gvk) -> bool {
    is_service(gvk) || pod_spec::pointer(gvk).is_some()
}

fn is_service(gvk: &Gvk) -> bool {
    gvk.group.is_empty() && gvk.kind == "Service"
}

fn rewrite(object: &mut Value, _: &mut Vec<Diagnostic>) {
    let gvk = gvk(object);
    if is_service(&gvk) {
        complete(object.pointer_mut("/spec/ports"));
    }
    let Some(spec) = pod_spec::pointer(&gvk).and_then(|at| object.pointer_mut(at)) else {
        return;
    };
    for name in CONTAINERS {
        for container in list_mut(spec.get_mut(*name)) {
            complete(container.get_mut("ports"));
        }
    }
}

fn complete(ports: Option<&mut Value>) {
    for port in list_mut(ports).iter_mut().filter_map(Value::as_object_mut) {
        if port
            .get("protocol")
            .is_none_or(|protocol| protocol.is_null() || protocol == "")
        {
            port.insert("protocol".into(), Value::from("TCP"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::normalized;

    #[test]
    fn ports_of_services_and_containers_get_a_protocol() {
        let (service, _) = normalized(json!({"apiVersion": "v1", "kind": "Service",
            "spec": {"ports": [{"port": 80}, {"port": 53, "protocol": "UDP"}]}}));
        assert_eq!(
            service["spec"]["ports"],
            json!([{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}])
        );
        let (job, _) = normalized(json!({"apiVersion": "batch/v1", "kind": "CronJob", "spec":
            {"jobTemplate": {"spec": {"template": {"spec": {"initContainers": [{"ports": [{"containerPort": 1}]}]}}}}}}));
        assert_eq!(
            job.pointer("/spec/jobTemplate/spec/template/spec/initContainers/0/ports/0/protocol"),
            Some(&json!("TCP"))
        );
    }

    #[test]
    fn other_kinds_keep_their_ports() {
        let other = json!({"apiVersion": "example.com/v1", "kind": "Service", "spec": {"ports": [{"port": 1}]}});
        assert_eq!(normalized(other.clone()).0, other);
    }
}
