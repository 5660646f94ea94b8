//! Nodes that KWOK plays.

use crate::control_plane::ControlPlane;
use crate::error::{Error, Result};
use crate::wait::wait_until;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;

impl ControlPlane {
    /// Creates `count` more nodes, named `node-1` and on, with room for a thousand pods each.
    pub fn add_nodes(&self, count: usize) -> Result<()> {
        for _ in 0..count {
            let number = self.nodes.fetch_add(1, Ordering::SeqCst) + 1;
            self.parts.client.ensure("/api/v1/nodes", &node(number))?;
        }
        Ok(())
    }

    /// Waits until all nodes are Ready and take pods (about 5 s after the start).
    pub fn wait_nodes(&self) -> Result<()> {
        let expected = self.nodes.load(Ordering::SeqCst);
        wait_until(
            &format!("{expected} nodes to be Ready"),
            Duration::from_secs(60),
            || {
                let (status, list) = self
                    .request("GET", "/api/v1/nodes", &Value::Null)
                    .map_err(|error| error.to_string())?;
                let items = list["items"]
                    .as_array()
                    .ok_or_else(|| format!("status {status}"))?;
                let ready = items
                    .iter()
                    .filter(|node| is_ready(node, self.parts.controllers))
                    .count();
                if ready >= expected {
                    Ok(())
                } else {
                    Err(format!("{ready} are Ready"))
                }
            },
        )
        .map_err(|error| match self.check() {
            Err(dead) => Error::new(format!("{error}; {dead}")),
            Ok(()) => error,
        })
    }
}

/// Taints are only ever removed by the controllers.
fn is_ready(node: &Value, controllers: bool) -> bool {
    let conditions = node["status"]["conditions"].as_array();
    let ready = conditions.is_some_and(|list| {
        list.iter()
            .any(|c| c["type"] == "Ready" && c["status"] == "True")
    });
    let tainted = node["spec"]["taints"]
        .as_array()
        .is_some_and(|taints| !taints.is_empty());
    ready && !(controllers && tainted)
}

fn node(number: usize) -> Value {
    let name = format!("node-{number}");
    let room = json!({"cpu": "64", "memory": "256Gi", "pods": "1000", "ephemeral-storage": "1Ti"});
    let zone = if number.is_multiple_of(2) {
        "zone-b"
    } else {
        "zone-a"
    };
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "topology.kubernetes.io/zone": zone,
            },
        },
        "status": {"allocatable": room, "capacity": room},
    })
}
