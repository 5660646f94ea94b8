//! What is printed, and the exit code.

use std::path::Path;

use serde_json::json;

use super::*;
use crate::cluster::Resource;
use crate::cluster::fake::FakeCluster;
use crate::object::{Object, Scope};

fn cluster() -> FakeCluster {
    FakeCluster::new([Resource::known(
        "v1",
        "ConfigMap",
        "configmaps",
        Scope::Namespaced,
    )])
}

fn config_map(value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop"},
           "data": {"k": value}})
}

fn dir(value: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let text = config_map(value).to_string();
    std::fs::write(dir.path().join("a.yaml"), text).expect("writable");
    let list = "resources: [a.yaml]\n";
    std::fs::write(dir.path().join("kustomization.yaml"), list).expect("writable");
    dir
}

async fn run_on(cluster: &FakeCluster, dir: &Path, flags: &[&str]) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut screen = Screen::new(&mut out, &mut err, false);
    let path = dir.to_str().expect("UTF-8");
    let line = ["towline", "diff", path]
        .into_iter()
        .chain(flags.iter().copied());
    let cli = <super::super::Cli as clap::Parser>::try_parse_from(line).expect("valid");
    let super::super::Verb::Diff(args) = cli.verb else {
        panic!("another verb")
    };
    let code = run(&args, cluster, "default", &mut screen)
        .await
        .expect("compared");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (code, text(out), text(err))
}

/// The fake stores what is dry-run; the live object is read before.
#[tokio::test]
async fn a_changed_value_is_a_difference() {
    let cluster = cluster();
    cluster.put(Object(config_map("old")));
    let (code, out, err) = run_on(&cluster, dir("new").path(), &[]).await;
    assert_eq!((code, err.as_str()), (DIFFERENT, ""));
    assert!(
        out.starts_with("--- live/ConfigMap/shop/a\n+++ desired/ConfigMap/shop/a\n"),
        "{out}"
    );
    assert!(out.contains("\n-  k: old\n+  k: new\n"), "{out}");
    assert!(
        !out.contains("towline.dev"),
        "marks are no differences: {out}"
    );
    assert!(
        cluster
            .requests()
            .contains(&"dry-run ConfigMap/shop/a".to_owned())
    );
}

#[tokio::test]
async fn the_same_is_no_difference() {
    let cluster = cluster();
    cluster.put(Object(config_map("same")));
    let (code, out, err) = run_on(&cluster, dir("same").path(), &[]).await;
    assert_eq!((code, out.as_str(), err.as_str()), (SAME, "", ""));
}

#[tokio::test]
async fn what_is_not_live_is_new() {
    let (code, out, _) = run_on(&cluster(), dir("new").path(), &["-o", "json"]).await;
    assert_eq!(code, DIFFERENT);
    let list: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(list[0]["object"], "ConfigMap/shop/a");
    assert_eq!(list[0]["change"], "create");
}

#[tokio::test]
async fn a_failure_is_told_with_its_place_and_is_no_difference() {
    let cluster = cluster();
    cluster.fail("dry-run ConfigMap/shop/a", 403);
    let (code, out, err) = run_on(&cluster, dir("new").path(), &[]).await;
    assert_eq!((code, out.as_str()), (FAILED, ""));
    assert!(
        err.contains("error: ConfigMap/shop/a: ") && err.contains("a.yaml:1: "),
        "{err}"
    );
    assert!(err.contains("grant this right"), "{err}");
}

#[tokio::test]
async fn a_kind_that_is_not_served_is_new_and_said_to_be() {
    let cluster = FakeCluster::new([]);
    let (code, out, err) = run_on(&cluster, dir("new").path(), &[]).await;
    assert_eq!(code, DIFFERENT);
    assert!(out.contains("+  k: new\n"), "{out}");
    assert!(err.contains("is not served"), "{err}");
}

#[tokio::test]
async fn an_application_leaves_alone_what_belongs_to_another() {
    let cluster = cluster();
    let mut theirs = config_map("old");
    theirs["metadata"]["annotations"] = json!({"meta.helm.sh/release-name": "web"});
    cluster.put(Object(theirs));
    cluster.put(Object(
        json!({"apiVersion": "towline.dev/v1alpha1", "kind": "Application",
        "metadata": {"name": "shop", "namespace": "towline-system"},
        "spec": {"source": {"repoURL": "https://git.example.com/a.git"}, "destination": {}}}),
    ));
    let (code, out, err) = run_on(&cluster, dir("new").path(), &["--application", "shop"]).await;
    assert_eq!((code, out.as_str()), (SAME, ""));
    assert!(
        err.contains("it belongs to the Helm release `web`"),
        "{err}"
    );
}
