//! Objects whose health hangs on something else in the cluster do not hold up a wave for ever.

use serde_json::json;
use towline::object::keys;

use crate::world::manifests::{annotated, widget, widget_crd};
use crate::world::{World, condition, wait};

/// A claim of this class.
fn claim(name: &str, class: &str) -> String {
    format!(
        "\
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {name}
spec:
  storageClassName: {class}
  accessModes: [ReadWriteOnce]
  resources: {{requests: {{storage: 1Gi}}}}
"
    )
}

#[test]
fn a_claim_that_waits_for_its_first_pod_does_not_hold_up_the_wave_of_that_pod() {
    let world = World::new("late-claim");
    for (class, mode) in [
        ("late-claim-late", "WaitForFirstConsumer"),
        ("late-claim-now", "Immediate"),
    ] {
        world.apply(
            &json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {"name": class}, "provisioner": "example.com/none",
            "volumeBindingMode": mode}),
        );
    }
    let files = [
        ("now/disk.yaml", claim("disk", "late-claim-now")),
        ("now/then.yaml", annotated("now", "1", keys::SYNC_WAVE, "1")),
        ("late/other.yaml", claim("other", "late-claim-late")),
        (
            "late/then.yaml",
            annotated("late", "1", keys::SYNC_WAVE, "1"),
        ),
    ];
    let files = files.each_ref().map(|(path, text)| (*path, text.as_str()));
    let commit = world.commit(&files);
    world.create(&world.application("now", "now"));
    let message = world.failed("now", "WaitingForWave");
    assert!(
        message.contains("PersistentVolumeClaim/late-claim-work/disk"),
        "{message}"
    );

    let mark = world.plane.audit_mark();
    world.create(&world.application("late", "late"));
    world.synced("late", &commit);
    assert_eq!(
        (world.value("now"), world.value("late")),
        (String::new(), "1".into())
    );
    let of_classes = world.requests(mark);
    let of_classes = of_classes
        .iter()
        .filter(|event| event.resource == "storageclasses");
    let asked: Vec<_> = of_classes
        .map(|event| (event.name.as_str(), event.impersonated.as_str()))
        .collect();
    assert_eq!(asked, [("late-claim-late", "")]);
}

/// The CRD of widgets whose controller is expected to say what it has seen.
fn crd_with_status(group: &str) -> String {
    widget_crd(group)
        + "            status:
              type: object
              properties:
                observedGeneration: {type: integer}
"
}

#[test]
fn a_custom_resource_waits_for_its_controller_and_not_for_ever() {
    let world = World::new("no-controller");
    let group = "no-controller.example.com";
    world.allow_widgets(group);
    let commit = world.commit(&[
        ("shop/crd.yaml", &crd_with_status(group)),
        ("shop/widget.yaml", &widget(group, "one")),
        (
            "shop/late.yaml",
            &annotated("late", "1", keys::SYNC_WAVE, "1"),
        ),
    ]);
    world.create(&world.application("shop", "shop"));
    let waited = wait("the wave of the widget", || {
        let app = world.app("shop");
        let synced = condition(&app, "Synced")["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if synced.contains("not observed yet") {
            Ok(synced)
        } else {
            Err(app["status"].to_string())
        }
    });
    assert!(waited.contains("Widget/no-controller-work/one"), "{waited}");
    assert_eq!(world.live("ConfigMap", "late"), None);
    world.synced("shop", &commit);
    assert_eq!(world.value("late"), "1");
    world.assert_quiet();
}
