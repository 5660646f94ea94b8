//! Git over ssh against OpenSSH's sshd, without the `ssh` program on our side.

use towline::error::Fault as _;
use towline::git::{AdvanceKind, Credential, Error};
use towline_testcluster::SshGitServer;

use super::{Bench, file, remote, sync, target, targets};

fn key_pair() -> (String, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("key");
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&path)
        .status()
        .expect("ssh-keygen");
    assert!(made.success());
    let read = |path| std::fs::read_to_string(path).expect("a key");
    (read(path.clone()), read(path.with_extension("pub")))
}

#[test]
fn a_branch_is_followed_over_one_connection() {
    let bench = Bench::new();
    let repo = bench.repo();
    let first = repo.head().expect("a head");
    repo.tag("v1.0.0").expect("a tag");
    let server = SshGitServer::start(bench.served()).expect("sshd");
    let credential = Credential::ssh(server.private_key(), server.known_hosts());
    let repository = bench.open(&server.url("shop.git"), &credential);
    let (revision, synced) = sync(&repository, "main").expect("a first sync");
    assert_eq!(synced.fetched.advances[0].kind, AdvanceKind::First);
    assert_eq!(file(&repository, &revision, "app/config.yaml"), "a: 1\n");
    repo.write("app/config.yaml", "a: 2\n").expect("a file");
    repo.commit("second").expect("a commit");
    let (second, synced) = sync(&repository, "main").expect("an incremental sync");
    assert_eq!(synced.fetched.advances[0].kind, AdvanceKind::Forward);
    assert_eq!(file(&repository, &second, "app/config.yaml"), "a: 2\n");
    sync(&repository, "main").expect("a quiet poll");
    let wanted = targets(&["main", "^1", &first, "nowhere"]);
    let synced = repository.poll_and_fetch(&wanted).expect("a sync");
    assert_eq!(
        synced.revisions[&target("^1")]
            .as_ref()
            .expect("a tag")
            .commit,
        first
    );
    let missing = &synced.revisions[&target("nowhere")];
    assert!(
        matches!(missing, Err(Error::BranchNotFound { .. })),
        "{missing:?}"
    );

    // The old history is gone, and a rewritten branch is told all the same.
    repo.git(&["reset", "--quiet", "--hard", &first])
        .expect("a reset");
    repo.write("app/config.yaml", "a: other\n").expect("a file");
    repo.git(&["commit", "--quiet", "-am", "instead"])
        .expect("a commit");
    repo.force_push(&repo.head().expect("a head"))
        .expect("a force-push");
    let (_, synced) = sync(&repository, "main").expect("a sync");
    assert_eq!(synced.fetched.rewritten().count(), 1);

    let nowhere = bench.open(&server.url("nowhere.git"), &credential);
    let error = sync(&nowhere, "main").expect_err("nowhere");
    assert!(
        matches!(error, Error::RepositoryNotFound { .. }),
        "{error:?}"
    );
}

#[test]
fn only_the_known_host_and_the_right_key_will_do() {
    let bench = Bench::new();
    bench.repo();
    let server = SshGitServer::start(bench.served()).expect("sshd");
    let url = server.url("shop.git");
    let key = server.private_key();
    let known = server.known_hosts();
    let host = known.split(' ').next().expect("a host").to_owned();
    let (other_private, other_public) = key_pair();
    let other_public = other_public
        .split(' ')
        .take(2)
        .collect::<Vec<_>>()
        .join(" ");
    for (credential, reason) in [
        (Credential::ssh(key, ""), "KnownHostsMissing"),
        (Credential::ssh(key, "# nothing\n"), "KnownHostsMissing"),
        (
            Credential::ssh(key, known.replace(&host, "elsewhere.org")),
            "HostKeyUnknown",
        ),
        (
            Credential::ssh(key, format!("{host} {other_public}\n")),
            "HostKeyChanged",
        ),
        (
            Credential::ssh(key, format!("@revoked {known}{known}")),
            "HostKeyChanged",
        ),
        (
            Credential::ssh(other_private, known),
            "AuthenticationFailed",
        ),
        (Credential::ssh("no key", known), "CredentialInvalid"),
        (Credential::none(), "CredentialInvalid"),
        (Credential::basic("me", "pass"), "CredentialInvalid"),
    ] {
        let repository = bench.cache.repository(&remote(&url), &credential);
        for _ in 0..2 {
            let synced = repository
                .clone()
                .and_then(|repository| sync(&repository, "main"));
            let error = synced.expect_err(reason);
            assert_eq!(error.reason(), reason, "{error:?}");
            assert!(!error.to_string().contains("PRIVATE"), "{error}");
        }
    }
    let repository = bench.open(&url, &Credential::ssh(key, known));
    sync(&repository, "main").expect("the right ones");
}

#[test]
fn a_connection_that_died_is_replaced() {
    let bench = Bench::new();
    let repo = bench.repo();
    let server = SshGitServer::start(bench.served()).expect("sshd");
    let credential = Credential::ssh(server.private_key(), server.known_hosts());
    let repository = bench.open(&server.url("shop.git"), &credential);
    sync(&repository, "main").expect("a first sync");
    // Kills the processes that serve the connection, not the one that listens.
    let listening = server.pid().expect("a process").to_string();
    let children = std::process::Command::new("pgrep")
        .args(["-P", &listening])
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    for child in children.split_whitespace() {
        let _ = std::process::Command::new("kill")
            .args(["-9", child])
            .status();
    }
    repo.write("app/config.yaml", "a: 2\n").expect("a file");
    repo.commit("second").expect("a commit");
    let (revision, _) = sync(&repository, "main").expect("a sync over a new connection");
    assert_eq!(file(&repository, &revision, "app/config.yaml"), "a: 2\n");
    let url = server.url("shop.git");
    drop(server);
    let error = sync(&bench.open(&url, &credential), "main").expect_err("no server");
    assert_eq!(error.reason(), "SourceUnreachable", "{error:?}");
}
