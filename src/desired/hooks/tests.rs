//! Which annotations make a hook of an object, and which are refused.

use serde_json::{Value, json};

use super::super::{Desired, build};
use super::*;
use crate::cluster::{Discovery, Resource};
use crate::inventory::Owner;
use crate::object::{ObjectId, Scope};
use crate::render::Source;

fn job(metadata: Value) -> RenderedObject {
    RenderedObject {
        value: json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {}}),
        source: Source {
            path: "base/migrate.yaml".into(),
            line: Some(3),
        },
        generated: None,
    }
}

fn annotated(annotations: Value) -> RenderedObject {
    job(json!({"name": "migrate", "annotations": annotations}))
}

fn desired(set: &[RenderedObject]) -> Result<Desired, Diagnostics> {
    let jobs = Resource::known("batch/v1", "Job", "jobs", Scope::Namespaced);
    let owner = Owner {
        install: "i".into(),
        namespace: "n".into(),
        name: "a".into(),
    };
    build(set, &Discovery::from_resources([jobs]), &owner, "shop")
}

/// `PHASES wave WAVE [DELETE POLICIES]` of the only hook.
fn shown(annotations: Value) -> String {
    let desired = desired(&[annotated(annotations)]).expect("valid");
    assert!(desired.objects.is_empty(), "a hook is no ordinary object");
    let hook = &desired.hooks[&ObjectId::new("batch", "Job", "shop", "migrate")];
    let phases: Vec<&str> = hook.phases.iter().map(|phase| phase.as_str()).collect();
    let wave = hook.object.wave;
    format!("{} wave {wave} {:?}", phases.join("+"), hook.delete)
}

#[test]
fn the_spellings_of_argo_cd_and_helm_are_read() {
    assert_eq!(
        shown(json!({"towline.dev/hook": "PreSync"})),
        "PreSync wave 0 {}"
    );
    assert_eq!(
        shown(json!({"argocd.argoproj.io/hook": "PostSync, PreSync",
            "argocd.argoproj.io/sync-wave": "-2",
            "argocd.argoproj.io/hook-delete-policy": "HookSucceeded,HookFailed"})),
        "PreSync+PostSync wave -2 {HookSucceeded, HookFailed}"
    );
    assert_eq!(
        shown(
            json!({"helm.sh/hook": "pre-install,pre-upgrade,post-delete",
            "helm.sh/hook-weight": "5", "helm.sh/hook-delete-policy": "before-hook-creation"})
        ),
        "PreSync wave 5 {BeforeHookCreation}"
    );
    assert_eq!(
        shown(
            json!({"helm.sh/hook": "post-upgrade", "helm.sh/hook-weight": "5",
            "towline.dev/hook": "SyncFail", "towline.dev/sync-wave": "1"})
        ),
        "SyncFail wave 1 {}",
        "towline's own word counts"
    );
}

#[test]
fn skipped_hooks_are_never_applied_and_what_helm_asks_in_vain_is_noted() {
    for (annotation, text, notes) in [
        ("argocd.argoproj.io/hook", "Skip", 0),
        ("helm.sh/hook", "test", 0),
        ("helm.sh/hook", "pre-delete", 1),
    ] {
        let desired = desired(&[annotated(json!({annotation: text}))]).expect("valid");
        assert!(desired.hooks.is_empty(), "{text}");
        assert!(desired.objects.values().all(|o| o.ignored), "{text}");
        assert_eq!(desired.notes.len(), notes, "{text}");
    }
    let crd = desired(&[annotated(json!({"helm.sh/hook": "crd-install"}))]).expect("valid");
    assert!(crd.objects.values().all(|object| !object.ignored));
}

#[test]
fn what_is_no_hook_is_refused_with_its_place() {
    for (annotations, message) in [
        (
            json!({"towline.dev/hook": "PreSink"}),
            "`towline.dev/hook: PreSink` is no hook",
        ),
        (
            json!({"argocd.argoproj.io/hook": "PreDelete"}),
            "`argocd.argoproj.io/hook: PreDelete` is not supported yet",
        ),
        (
            json!({"towline.dev/hook": " , "}),
            "`towline.dev/hook` is empty",
        ),
        (
            json!({"towline.dev/hook": "Sync", "towline.dev/hook-delete-policy": "Never"}),
            "`towline.dev/hook-delete-policy: Never` is no delete policy",
        ),
        (
            json!({"towline.dev/hook-delete-policy": "HookFailed"}),
            "`towline.dev/hook-delete-policy` is on an object that is no hook",
        ),
        (
            json!({"helm.sh/hook": "post-install", "helm.sh/hook-weight": "last"}),
            "`helm.sh/hook-weight: last` is not a whole number",
        ),
    ] {
        let mistakes = desired(&[annotated(annotations)]).expect_err(message);
        let text = mistakes.to_string();
        assert!(text.contains(message), "{text}");
        assert!(text.starts_with("base/migrate.yaml:3: Job/"), "{text}");
    }
}

#[test]
fn a_generated_name_is_the_same_for_the_same_revision_and_another_for_the_next() {
    let hook = |command: &str| {
        job(json!({"generateName": "migrate-",
            "annotations": {"argocd.argoproj.io/hook": "PreSync", "x": command}}))
    };
    let name = |set: &[RenderedObject]| {
        let desired = desired(set).expect("valid");
        let (id, hook) = desired.hooks.first_key_value().expect("one hook");
        assert_eq!(hook.prefix.as_deref(), Some("migrate-"));
        assert_eq!(
            hook.object.object().0.pointer("/metadata/generateName"),
            None
        );
        id.name.clone()
    };
    let first = name(&[hook("1")]);
    assert!(
        first.starts_with("migrate-") && first.len() == 18,
        "{first}"
    );
    assert_eq!(name(&[hook("1")]), first);
    assert_ne!(name(&[hook("2")]), first);
    let other = job(json!({"name": "other"}));
    assert_ne!(name(&[hook("1"), other]), first, "another revision");
    let plain = job(json!({"generateName": "migrate-"}));
    let mistakes = desired(&[plain]).expect_err("no hook, no name");
    assert!(mistakes.to_string().contains("metadata.name is missing"));
}

#[test]
fn hooks_are_part_of_the_revision_and_the_server_is_not() {
    let digest = |set: &[RenderedObject]| desired(set).expect("valid").digest;
    let web = || job(json!({"name": "web"}));
    let hook = |key: &str| annotated(json!({"towline.dev/hook": key}));
    assert_ne!(digest(&[web()]), digest(&[web(), hook("Sync")]));
    assert_ne!(digest(&[hook("Sync")]), digest(&[hook("PreSync")]));
    assert_eq!(
        digest(&[web(), hook("Sync")]),
        digest(&[hook("Sync"), web()])
    );
    let owner = Owner {
        install: "i".into(),
        namespace: "n".into(),
        name: "a".into(),
    };
    let unserved = build(&[web()], &Discovery::default(), &owner, "shop").expect("it waits");
    assert_eq!(
        unserved.digest,
        digest(&[web()]),
        "a kind that is served later"
    );
}

#[test]
fn a_hook_must_be_able_to_begin_and_to_end() {
    let annotations = json!({"towline.dev/hook": "PreSync"});
    let hook = |api: &str, kind: &str, spec: Value| RenderedObject {
        value: json!({"apiVersion": api, "kind": kind, "spec": spec,
            "metadata": {"name": "x", "annotations": annotations}}),
        ..job(json!({}))
    };
    let pod = desired(&[hook("v1", "Pod", json!({}))]).expect_err("it never ends");
    assert!(pod.to_string().contains("always restarted"), "{pod}");
    let crd = RenderedObject {
        value: json!({"apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition", "metadata": {"name": "runs.example.com"},
            "spec": {"group": "example.com", "scope": "Namespaced", "names": {"kind": "Run"}}}),
        ..job(json!({}))
    };
    let set = [crd, hook("example.com/v1", "Run", json!({}))];
    let run = desired(&set).expect_err("it never begins");
    assert!(
        run.to_string().contains("a CRD of its own revision"),
        "{run}"
    );
}
