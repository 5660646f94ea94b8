use serde_json::json;

use super::*;

const NOW: u64 = 1_767_268_800;

fn no(_: &Question) -> bool {
    false
}

#[test]
fn what_is_settled_hangs_on_nothing() {
    for object in [
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": "a", "generation": 1, "creationTimestamp": "2026-01-01T12:00:00Z"}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
            "spec": {"selector": {"matchLabels": {"app": "a"}}},
            "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}}),
    ] {
        let (health, unsettled) = outlook(&Object(object), NOW);
        assert_eq!((health.status, unsettled), (Status::Healthy, None));
    }
}

#[test]
fn a_turn_comes_at_its_second() {
    let pod = Object(
        json!({"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "no node", "lastTransitionTime": "2026-01-01T11:59:55Z"}]}}),
    );
    let (health, unsettled) = outlook(&pod, NOW);
    assert_eq!(health.reason, "NotScheduled");
    let unsettled = unsettled.unwrap();
    let (health, next) = unsettled.health(NOW + 9, no, None);
    assert_eq!((health.status, next), (Status::Progressing, Some(NOW + 10)));
    let (health, next) = unsettled.health(NOW + 10, no, None);
    assert_eq!((health.reason, next), ("Unschedulable", None));
}

#[test]
fn a_new_custom_resource_asks_what_its_crd_declares() {
    let object = Object(json!({"apiVersion": "example.com/v1", "kind": "Widget",
        "metadata": {"name": "a", "generation": 1, "creationTimestamp": "2026-01-01T11:59:58Z"}}));
    let (health, unsettled) = outlook(&object, NOW);
    assert_eq!(health.status, Status::Healthy);
    let unsettled = unsettled.unwrap();
    let gvk = Gvk::from_api_version("example.com/v1", "Widget");
    assert_eq!(unsettled.question(), Some(&Question::DeclaresStatus(gvk)));
    assert_eq!(unsettled.health(NOW, no, None), (health, None));
    let (health, next) = unsettled.health(NOW, |_| true, None);
    assert_eq!((health.status, next), (Status::Progressing, Some(NOW + 8)));
    // Its controller is absent.
    let (health, next) = unsettled.health(NOW + 8, |_| true, None);
    assert_eq!(
        (health.status, health.reason, next),
        (Status::Healthy, "NotObserved", None)
    );
    // An old one is not asked about.
    assert_eq!(outlook(&object, NOW + 8).1, None);
}

#[test]
fn a_claim_without_a_class_asks_nothing() {
    let claim = |class| {
        Object(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "spec": {"storageClassName": class}, "status": {"phase": "Pending"}}))
    };
    assert_eq!(outlook(&claim(json!("")), NOW).1, None);
    assert_eq!(outlook(&claim(json!(null)), NOW).1, None);
    assert!(outlook(&claim(json!("fast")), NOW).1.is_some());
}
