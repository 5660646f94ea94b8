//! Git itself can clone from every server, and the faults look as they should.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use towline_testcluster::{Auth, Fault, GitRepo, GitServer, wait_until};

struct Fixture {
    root: tempfile::TempDir,
    repo: GitRepo,
    head: String,
}

fn fixture() -> Fixture {
    let root = tempfile::tempdir().unwrap();
    let repo = GitRepo::init(root.path().join("team/shop.git")).unwrap();
    // Large and incompressible enough that a request body is chunked and a pack is streamed.
    let noise: String = (0_u64..40_000)
        .map(|n| format!("{:x}\n", n.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
        .collect();
    repo.write("noise.txt", &noise).unwrap();
    repo.write("deploy/app.yaml", "kind: ConfigMap\n").unwrap();
    let head = repo.commit("first").unwrap();
    Fixture { root, repo, head }
}

fn git(dir: &Path, args: &[&str], environment: &[(&str, &str)]) -> Result<String, String> {
    let output = Command::new("git")
        .args(args)
        .current_dir(dir)
        .envs([
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_SYSTEM", "/dev/null"),
        ])
        .envs([("GIT_TERMINAL_PROMPT", "0"), ("NO_PROXY", "127.0.0.1")])
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

fn clone(fixture: &Fixture, url: &str, environment: &[(&str, &str)]) -> PathBuf {
    let target = tempfile::tempdir().unwrap().keep();
    git(&target, &["clone", "--quiet", url, "."], environment).unwrap();
    assert_eq!(
        git(&target, &["rev-parse", "HEAD"], &[]).unwrap(),
        fixture.head
    );
    target
}

fn remove(clone: PathBuf) {
    std::fs::remove_dir_all(clone).unwrap();
}

#[test]
fn file_and_history() {
    let fixture = fixture();
    let repo = &fixture.repo;
    remove(clone(&fixture, &repo.file_url(), &[]));
    repo.write("deploy/app.yaml", "kind: Secret\n").unwrap();
    let second = repo.commit("second").unwrap();
    let third = repo.revert(&second).unwrap();
    let remote = |name: &str| git(repo.bare(), &["rev-parse", "--verify", name], &[]);
    assert_eq!(remote("main").unwrap(), third);
    repo.tag("v1.0.0").unwrap();
    assert_eq!(remote("v1.0.0^{commit}").unwrap(), third);
    repo.force_push(&fixture.head).unwrap();
    assert_eq!(remote("main").unwrap(), fixture.head);
    repo.switch("other").unwrap();
    repo.remove("deploy").unwrap();
    let other = repo.commit("without deploy").unwrap();
    assert_eq!(remote("other").unwrap(), other);
    repo.delete_branch("other").unwrap();
    assert!(remote("refs/heads/other").is_err());
    repo.delete_branch("main").unwrap();
    assert!(remote("refs/heads/main").is_err());
    assert!(repo.write("../outside", "").is_err());
}

#[test]
fn http_clone_push_and_counters() {
    let fixture = fixture();
    let server = GitServer::start_http(fixture.root.path()).unwrap();
    let url = server.url("team/shop.git");
    let work = clone(&fixture, &url, &[]);
    let counters = server.counters();
    assert_eq!((counters.advertisements, counters.upload_packs), (1, 2));
    assert!(counters.bytes > 100_000, "{counters:?}");
    let user = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c"];
    // A small buffer makes git send the pack in chunks, without a length.
    let push = ["http.postBuffer=1000", "push", "--quiet", "origin", "main"];
    std::fs::write(work.join("noise.txt"), "less".repeat(20_000)).unwrap();
    git(
        &work,
        &[&user[..], &["a.b=c", "commit", "--quiet", "-am", "x"]].concat(),
        &[],
    )
    .unwrap();
    git(&work, &[&user[..], &push].concat(), &[]).unwrap();
    assert_eq!(
        fixture.repo.pull().unwrap(),
        git(&work, &["rev-parse", "HEAD"], &[]).unwrap()
    );
    assert!(server.counters().receive_packs >= 1);
    remove(work);
}

#[test]
fn many_wanted_refs_make_a_gzipped_request() {
    let fixture = fixture();
    for number in 0..40 {
        let branch = format!("branch-{number}");
        fixture.repo.switch(&branch).unwrap();
        fixture
            .repo
            .git(&["commit", "--quiet", "--allow-empty", "-m", &branch])
            .unwrap();
    }
    fixture
        .repo
        .git(&["push", "--quiet", "--all", "origin"])
        .unwrap();
    let server = GitServer::start_http(fixture.root.path()).unwrap();
    let work = clone(&fixture, &server.url("team/shop.git"), &[]);
    let branches = git(&work, &["branch", "--remotes"], &[]).unwrap();
    assert!(branches.contains("branch-39"), "{branches}");
    remove(work);
}

#[test]
fn http_with_credentials() {
    let fixture = fixture();
    let auth = Auth::Basic {
        user: "bot".into(),
        password: "s3cret".into(),
    };
    let server = GitServer::builder(fixture.root.path())
        .auth(auth)
        .start()
        .unwrap();
    let url = server.url("team/shop.git");
    let refused = git(fixture.root.path(), &["ls-remote", &url], &[]).unwrap_err();
    assert!(refused.contains("could not read Username"), "{refused}");
    assert_eq!(server.counters().unauthorized, 1);
    remove(clone(
        &fixture,
        &url.replace("http://", "http://bot:s3cret@"),
        &[],
    ));

    server.set_auth(Auth::Bearer("t0ken".into()));
    let header = "http.extraHeader=Authorization: Bearer t0ken";
    git(fixture.root.path(), &["-c", header, "ls-remote", &url], &[]).unwrap();
    assert!(git(fixture.root.path(), &["ls-remote", &url], &[]).is_err());
}

#[test]
fn https_with_its_own_authority() {
    let fixture = fixture();
    let server = GitServer::builder(fixture.root.path())
        .tls(true)
        .start()
        .unwrap();
    let url = server.url("team/shop.git");
    let distrust = git(fixture.root.path(), &["ls-remote", &url], &[]).unwrap_err();
    assert!(distrust.contains("certificate"), "{distrust}");
    let ca = fixture.root.path().join("ca.pem");
    std::fs::write(&ca, server.ca_pem().unwrap()).unwrap();
    remove(clone(
        &fixture,
        &url,
        &[("GIT_SSL_CAINFO", ca.to_str().unwrap())],
    ));
}

#[test]
fn ssh_with_a_key() {
    let fixture = fixture();
    let server = GitServer::start_ssh(fixture.root.path()).unwrap();
    let command = server.ssh_command();
    let environment = [
        ("GIT_SSH_COMMAND", command.as_str()),
        ("GIT_PROTOCOL", "version=2"),
    ];
    remove(clone(&fixture, &server.url("team/shop.git"), &environment));
    assert!(
        server
            .private_key()
            .starts_with("-----BEGIN OPENSSH PRIVATE KEY-----")
    );
    assert!(server.known_hosts().starts_with("[127.0.0.1]:"));

    let outside = server.url("../etc");
    assert!(git(fixture.root.path(), &["ls-remote", &outside], &environment).is_err());
    // The key gets no shell.
    let script = format!("{command} \"$@\"");
    let target = server.url("").replace("ssh://", "");
    let (login, port) = target.trim_end_matches('/').rsplit_once(':').unwrap();
    let shell = Command::new("/bin/sh")
        .args(["-c", &script, "sh", "-p", port, login, "id"])
        .output()
        .unwrap();
    assert!(
        !shell.status.success() && shell.stdout.is_empty(),
        "{shell:?}"
    );
    let pid = server.pid().unwrap();
    drop(server);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn faults_come_and_go() {
    let fixture = fixture();
    let server = GitServer::start_http(fixture.root.path()).unwrap();
    let url = server.url("team/shop.git");
    let ask = || git(fixture.root.path(), &["ls-remote", &url], &[]);
    let expected = [
        (Fault::Status(500), "500"),
        (Fault::Status(403), "403"),
        (Fault::Html, "not valid"),
        (Fault::Disconnect, "Empty reply"),
    ];
    for (fault, message) in expected {
        server.set_fault(fault);
        let error = ask().unwrap_err();
        assert!(error.contains(message), "{message}: {error}");
    }
    for fault in [Fault::Hang, Fault::Stall] {
        server.set_fault(fault);
        let before = server.counters().requests;
        std::thread::scope(|scope| {
            let asking = scope.spawn(ask);
            wait_until("the request", Duration::from_secs(5), || {
                if server.counters().requests > before {
                    Ok(())
                } else {
                    Err("none".into())
                }
            })
            .unwrap();
            assert!(!asking.is_finished());
            server.set_fault(Fault::None);
            asking.join().unwrap().unwrap();
        });
    }
    let started = Instant::now();
    server.set_fault(Fault::Slow(Duration::from_millis(200)));
    ask().unwrap();
    assert!(started.elapsed() >= Duration::from_millis(200));
    drop(server);
    assert!(ask().is_err());
}
