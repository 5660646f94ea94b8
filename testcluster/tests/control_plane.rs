//! The control plane starts, runs workloads, survives outages and leaves nothing behind.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;
use towline_testcluster::{Component, ControlPlane, wait_until};

/// A zombie has ended: in a container nobody may collect it.
fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or("")
            .trim_start()
            .starts_with('Z')
    })
}

fn wait_gone(pids: &[u32]) {
    wait_until("the processes to end", Duration::from_secs(10), || {
        let left: Vec<&u32> = pids.iter().filter(|pid| alive(**pid)).collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?} are alive"))
        }
    })
    .unwrap();
}

#[test]
fn a_deployment_becomes_available_and_nothing_is_left() {
    let plane = ControlPlane::builder().start().unwrap();
    plane.wait_nodes().unwrap();
    let mark = plane.audit_mark();
    plane
        .kubectl(&[
            "create",
            "deployment",
            "web",
            "--image=nginx",
            "--replicas=3",
        ])
        .unwrap();
    plane
        .kubectl(&[
            "wait",
            "--for=condition=Available",
            "deployment/web",
            "--timeout=20s",
        ])
        .unwrap();
    let status = [
        "get",
        "deployment",
        "web",
        "-o",
        "jsonpath={.status.availableReplicas}",
    ];
    assert_eq!(plane.kubectl(&status).unwrap(), "3");

    let created = |user: &str, resource: &str| {
        let events = plane.audit_events(mark).unwrap();
        let of = |e: &&towline_testcluster::AuditEvent| {
            e.user == user && e.resource == resource && e.verb == "create" && e.code == 201
        };
        events.iter().filter(of).count()
    };
    assert_eq!(created("admin", "deployments"), 1);

    waiting_pods_say_why(&plane);
    identities_are_real(&plane);
    outages_are_survived(&plane);

    let pids = plane.pids();
    let dir = plane.dir().to_owned();
    assert_eq!(pids.len(), 5);
    assert!(pids.iter().all(|pid| alive(*pid)));
    drop(plane);
    wait_gone(&pids);
    assert!(!dir.exists());
}

fn waiting_pods_say_why(plane: &ControlPlane) {
    let pod = |name: &str, metadata: &str| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, {metadata}}},\n\
             spec: {{containers: [{{name: a, image: nginx}}]}}}}\n---\n"
        )
    };
    let crashing = "labels: {testcluster.towline.dev/waiting: CrashLoopBackOff}";
    let slow = "annotations: {testcluster.towline.dev/ready-after: 1h}";
    plane
        .apply(&(pod("crashing", crashing) + &pod("slow", slow) + &pod("fine", "")))
        .unwrap();
    let get = |name: &str, pointer: &str| {
        let path = format!("/api/v1/namespaces/default/pods/{name}");
        let (_, pod) = plane.request("GET", &path, &Value::Null).unwrap();
        pod.pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    wait_until("the pods", Duration::from_secs(10), || {
        let reason = get(
            "crashing",
            "/status/containerStatuses/0/state/waiting/reason",
        );
        let fine = get("fine", "/status/phase");
        if reason == "CrashLoopBackOff" && fine == "Running" {
            return Ok(());
        }
        Err(format!("crashing: {reason:?}, fine: {fine:?}"))
    })
    .unwrap();
    assert_eq!(get("crashing", "/status/phase"), "Running");
    assert_eq!(get("slow", "/status/phase"), "Pending");
}

fn identities_are_real(plane: &ControlPlane) {
    let whoami = |kubeconfig: std::path::PathBuf| {
        let output = plane
            .kubectl_command()
            .unwrap()
            .env("KUBECONFIG", kubeconfig)
            .args(["auth", "whoami", "-o", "json"])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let info: Value = serde_json::from_str(&text).expect(&text);
        info["status"]["userInfo"].clone()
    };
    let jane = whoami(plane.kubeconfig_for("jane", &["devs", "ops"]).unwrap());
    assert_eq!(jane["username"], "jane");
    assert_eq!(
        jane["groups"],
        json!(["devs", "ops", "system:authenticated"])
    );
    let agent = whoami(
        plane
            .service_account_kubeconfig("towline-system", "towline")
            .unwrap(),
    );
    assert_eq!(
        agent["username"],
        "system:serviceaccount:towline-system:towline"
    );
}

fn outages_are_survived(plane: &ControlPlane) {
    plane.kill(Component::ApiServer).unwrap();
    assert!(plane.request("GET", "/version", &Value::Null).is_err());
    plane.restart(Component::ApiServer).unwrap();
    let (status, _) = plane.request("GET", "/version", &Value::Null).unwrap();
    assert_eq!(status, 200);
    plane.restart(Component::Etcd).unwrap();
    plane.kubectl(&["get", "deployment", "web"]).unwrap();
}

/// Not a test of its own: the victim of the next one. It runs only when it is asked for.
#[test]
fn victim() {
    if std::env::var_os("TESTCLUSTER_VICTIM").is_none() {
        return;
    }
    let plane = ControlPlane::builder().start().unwrap();
    let pids: Vec<String> = plane.pids().iter().map(u32::to_string).collect();
    println!("started {} {}", plane.dir().display(), pids.join(" "));
    loop {
        std::thread::park();
    }
}

#[test]
fn nothing_survives_a_killed_owner() {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--nocapture"])
        .env("TESTCLUSTER_VICTIM", "yes")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let line = BufReader::new(owner.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap)
        .find_map(|line| line.split_once("started ").map(|(_, rest)| rest.to_owned()))
        .expect("the victim did not start");
    let mut words = line.split(' ');
    let dir = std::path::PathBuf::from(words.next().unwrap());
    let pids: Vec<u32> = words.map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(pids.len(), 5);
    assert!(pids.iter().all(|pid| alive(*pid)));
    // SIGKILL: the owner can do nothing any more.
    owner.kill().unwrap();
    owner.wait().unwrap();
    wait_gone(&pids);
    wait_until(
        "the data directory to be removed",
        Duration::from_secs(10),
        || {
            if dir.exists() {
                Err(dir.display().to_string())
            } else {
                Ok(())
            }
        },
    )
    .unwrap();
}
