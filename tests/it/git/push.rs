//! Pushing one commit: over http, https and ssh and into a directory, and what is in the way of it.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use towline::error::Fault as _;
use towline::git::{Author, Credential, Draft, Error, FileId, Repository};
use towline_testcluster::{Auth, Fault, GitRepo, GitServer};

use super::script::{Scripted, upload_pack};
use super::{Bench, file, sync};

const MAIN: &str = "refs/heads/main";
const BRANCH: &str = "refs/heads/towline/revert-1";

fn author() -> Author {
    Author {
        name: "towline".into(),
        email: "towline@example.com".into(),
        time: 1_700_000_000,
    }
}

/// A second commit with changes, and a draft that takes them back.
fn undone(repo: &GitRepo, repository: &Repository) -> (String, Draft) {
    let good = repo.pull().unwrap();
    // Another content each time.
    let text = format!("a: \"{good}\"\n");
    repo.write("app/config.yaml", &text).unwrap();
    repo.write("app/deep/er/added.yaml", "b: 1\n").unwrap();
    repo.commit("second").unwrap();
    let (head, _) = sync(repository, "main").unwrap();
    let draft = draft(repository, &good, &head.commit);
    (head.commit, draft)
}

fn draft(repository: &Repository, good: &str, head: &str) -> Draft {
    let good = towline::git::Revision::commit(good);
    repository.fetch(std::slice::from_ref(&good)).unwrap();
    let paths = ["app/config.yaml", "app/deep/er/added.yaml"];
    let before = repository.files_at(&good.commit, paths).unwrap();
    let edits: BTreeMap<String, Option<FileId>> = paths
        .iter()
        .map(|path| ((*path).to_owned(), before.get(*path).copied()))
        .collect();
    repository
        .draft(
            head,
            &edits,
            &author(),
            &author(),
            "Revert \"second\"\n\nTowline-Reason: test\n",
        )
        .unwrap()
}

/// That what is on the branch is the draft, on top of `head`, and that Git finds nothing wrong.
fn is_pushed(repo: &GitRepo, draft: &Draft, head: &str, branch: &str) {
    let git = |args: &[&str]| {
        let dir = format!("--git-dir={}", repo.bare().display());
        repo.git(&[&[dir.as_str()], args].concat()).unwrap()
    };
    assert_eq!(git(&["rev-parse", branch]), draft.id());
    assert_eq!(git(&["rev-parse", &format!("{branch}^")]), head);
    assert_eq!(
        git(&["log", "-1", "--format=%an <%ae> %at%n%B", branch]).trim(),
        "towline <towline@example.com> 1700000000\nRevert \"second\"\n\nTowline-Reason: test"
    );
    let said = git(&["fsck", "--full", "--strict", "--no-dangling"]);
    assert_eq!(said, "");
    // The whole tree is that of the first commit: no directory is left over.
    let tree = |rev: &str| git(&["rev-parse", &format!("{rev}^{{tree}}")]);
    assert_eq!(tree(branch), tree(&format!("{head}^")));
}

fn password() -> Auth {
    Auth::Basic {
        user: "u".into(),
        password: "hunter22".into(),
    }
}

#[test]
fn over_https_with_a_password_and_to_a_branch_of_its_own() {
    let bench = Bench::new();
    let repo = bench.repo();
    let server = GitServer::builder(bench.served())
        .tls(true)
        .auth(password());
    let server = server.start().unwrap();
    let credential = Credential::basic("u", "hunter22").with_ca(server.ca_pem().unwrap());
    let repository = bench.open(&server.url("shop.git"), &credential);
    let (head, draft) = undone(&repo, &repository);
    // It is read before it is anywhere.
    let tree = repository.draft_tree(&draft).unwrap();
    assert_eq!(&*tree.read("app/config.yaml").unwrap(), b"a: 1\n");
    assert!(tree.read("app/deep/er/added.yaml").is_err());
    repository.push(&draft, BRANCH, true).unwrap();
    is_pushed(&repo, &draft, &head, BRANCH);
    repository.push(&draft, MAIN, false).unwrap();
    is_pushed(&repo, &draft, &head, MAIN);
    assert_eq!(server.counters().receive_packs, 2);
    // Once more: it is there, nothing is sent.
    repository.push(&draft, MAIN, false).unwrap();
    assert_eq!(server.counters().receive_packs, 2);
    // And it is read again as any other commit.
    let (revision, _) = sync(&repository, "main").unwrap();
    assert_eq!(revision.commit, draft.id());
    assert_eq!(file(&repository, &revision, "app/config.yaml"), "a: 1\n");
    assert!(repository.commit(&draft.id()).unwrap().is_by_towline);
}

#[test]
fn over_ssh() {
    let bench = Bench::new();
    let repo = bench.repo();
    let server = GitServer::start_ssh(bench.served()).unwrap();
    let credential = Credential::ssh(server.private_key(), server.known_hosts());
    let repository = bench.open(&server.url("shop.git"), &credential);
    let (head, draft) = undone(&repo, &repository);
    repository.push(&draft, MAIN, false).unwrap();
    is_pushed(&repo, &draft, &head, MAIN);
    repository.push(&draft, MAIN, false).unwrap();
    let (revision, _) = sync(&repository, "main").unwrap();
    assert_eq!(revision.commit, draft.id());
}

#[test]
fn signed_with_an_ssh_key_and_found_good_by_git() {
    let bench = Bench::new();
    let repo = bench.repo();
    let server = GitServer::start_ssh(bench.served()).unwrap();
    let credential = Credential::ssh(server.private_key(), server.known_hosts());
    let credential = credential.with_signing_key(server.private_key());
    let credential = credential.with_committer("Bot", "bot@example.com");
    let repository = bench.open(&server.url("shop.git"), &credential);
    let who = ("Bot".to_owned(), "bot@example.com".to_owned());
    assert_eq!(repository.committer(), Some(who));
    let (_, draft) = undone(&repo, &repository);
    repository.push(&draft, MAIN, false).unwrap();
    repo.pull().unwrap();
    assert_eq!(
        repo.git(&["fsck", "--full", "--strict", "--no-dangling"])
            .unwrap(),
        ""
    );
    let key = russh::keys::PrivateKey::from_openssh(server.private_key()).unwrap();
    let key = key.public_key().to_openssh().unwrap();
    let allowed = bench.served().join("allowed");
    std::fs::write(&allowed, format!("towline@example.com {key}\n")).unwrap();
    let option = format!("gpg.ssh.allowedSignersFile={}", allowed.display());
    let verify = ["-c", &option, "log", "-1", "--format=%G? %GS"];
    let said = repo.git(&verify).unwrap();
    assert_eq!(said, "G towline@example.com");
    let credential = Credential::ssh(server.private_key(), server.known_hosts());
    let repository = bench.open(
        &server.url("shop.git"),
        &credential.with_signing_key("junk"),
    );
    let (head, _) = sync(&repository, "main").unwrap();
    let nothing = BTreeMap::new();
    let error = repository.draft(&head.commit, &nothing, &author(), &author(), "x");
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("sshSigningKey") && !error.contains("junk"),
        "{error}"
    );
    // A name that cannot be read keeps nobody from reading.
    let credential = Credential::ssh(server.private_key(), server.known_hosts());
    let credential = credential.without_committer("`committer` is a typing mistake");
    let repository = bench.open(&server.url("shop.git"), &credential);
    assert_eq!(sync(&repository, "main").unwrap().0, head);
    assert_eq!(repository.committer(), None);
    let error = repository.draft(&head.commit, &nothing, &author(), &author(), "x");
    let error = error.unwrap_err();
    assert_eq!(error.reason(), "CredentialInvalid");
    assert!(error.to_string().contains("typing mistake"), "{error}");
}

#[test]
fn into_a_directory_unless_somebody_works_there() {
    let bench = Bench::new();
    let repo = bench.repo();
    let repository = bench.open(&repo.file_url(), &Credential::none());
    let (head, draft) = undone(&repo, &repository);
    repository.push(&draft, MAIN, false).unwrap();
    is_pushed(&repo, &draft, &head, MAIN);
    // Once more: it is there. Then the parent is not what the branch is at any more.
    repository.push(&draft, MAIN, false).unwrap();
    undone(&repo, &repository);
    let error = repository.push(&draft, MAIN, false).unwrap_err();
    assert_eq!(error.reason(), "BranchMoved");

    let work = format!("file://{}", repo.work_tree().display());
    let repository = bench.open(&work, &Credential::none());
    let (head, draft) = undone(&repo, &repository);
    let error = repository
        .push(&draft, MAIN, false)
        .unwrap_err()
        .to_string();
    assert!(error.contains("checked out"), "{error}");
    repository.push(&draft, BRANCH, true).unwrap();
    let git = |args: &[&str]| repo.git(args).unwrap();
    assert_eq!(git(&["rev-parse", BRANCH]), draft.id());
    assert_eq!(git(&["rev-parse", &format!("{BRANCH}^")]), head);
    assert_eq!(git(&["fsck", "--full", "--strict", "--no-dangling"]), "");
    assert_eq!(git(&["status", "--porcelain"]), "");
}

#[test]
fn files_and_directories_take_each_others_place() {
    let bench = Bench::new();
    let repo = bench.repo();
    let repository = bench.open(&repo.file_url(), &Credential::none());
    repo.write("a/b/c.yaml", "c\n").unwrap();
    repo.write("a.b/d.yaml", "d\n").unwrap();
    repo.write("x", "x\n").unwrap();
    let script = repo.work_tree().join("run.sh");
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("x", repo.work_tree().join("link")).unwrap();
    let good = repo.commit("good").unwrap();
    repo.git(&["rm", "-r", "--quiet", "a", "x", "run.sh", "link"])
        .unwrap();
    repo.write("a", "now a file\n").unwrap();
    repo.write("x/y/z.yaml", "now a directory\n").unwrap();
    repo.write("run.sh", "no longer to be run\n").unwrap();
    let head = repo.commit("bad").unwrap();
    sync(&repository, "main").unwrap();
    let paths = [
        "a",
        "a/b",
        "a/b/c.yaml",
        "a.b/d.yaml",
        "x",
        "x/y/z.yaml",
        "run.sh",
        "link",
    ];
    let at = |commit: &str| repository.files_at(commit, paths).unwrap();
    let edits = towline::revert::edits(&at(&good), &at(&head), &at(&head)).unwrap();
    assert!(!edits.contains_key("a.b/d.yaml"));
    let draft = repository
        .draft(&head, &edits, &author(), &author(), "back\n")
        .unwrap();
    repository.push(&draft, BRANCH, true).unwrap();
    let git = |args: &[&str]| {
        let dir = format!("--git-dir={}", repo.bare().display());
        repo.git(&[&[dir.as_str()], args].concat()).unwrap()
    };
    assert_eq!(git(&["diff", "--stat", &good, BRANCH]), "");
    assert_eq!(git(&["fsck", "--full", "--strict", "--no-dangling"]), "");
}

#[test]
fn a_directory_is_not_replaced_with_files_in_it_that_nobody_listed() {
    let bench = Bench::new();
    let repo = bench.repo();
    let repository = bench.open(&repo.file_url(), &Credential::none());
    repo.write("deep/base", "a file\n").unwrap();
    let good = repo.commit("good").unwrap();
    repo.remove("deep/base").unwrap();
    repo.write("deep/base/web.yaml", "now a directory\n")
        .unwrap();
    let bad = repo.commit("bad").unwrap();
    repo.write("deep/base/of/bank.yaml", "somebody's\n")
        .unwrap();
    let head = repo.commit("theirs").unwrap();
    sync(&repository, "main").unwrap();
    let at = |commit: &str| {
        let paths = ["deep", "deep/base", "deep/base/web.yaml"];
        repository.files_at(commit, paths).unwrap()
    };
    let edits = towline::revert::edits(&at(&good), &at(&bad), &at(&head)).unwrap();
    let by = author();
    let error = repository.draft(&head, &edits, &by, &by, "back\n");
    let error = error.unwrap_err();
    assert_eq!(error.reason(), "RevertConflict");
    assert!(
        error
            .to_string()
            .contains("`deep/base/of/bank.yaml` would be lost"),
        "{error}"
    );
    // Without it the directory may go.
    assert!(repository.draft(&bad, &edits, &by, &by, "back\n").is_ok());
}

#[test]
fn of_an_old_server_nothing_is_asked_that_it_does_not_name_and_its_words_are_kept() {
    let bench = Bench::new();
    let repo = bench.repo();
    let bare = repo.bare().to_path_buf();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&asked);
    let server = Scripted::start(move |request| {
        let packet = |text: &str| format!("{:04x}{text}", text.len() + 4);
        if !request.line.contains("git-receive-pack") {
            return upload_pack(bare.clone(), None, request);
        }
        let (kind, body) = if request.line.starts_with("GET") {
            let head = std::fs::read_to_string(bare.join(MAIN)).unwrap();
            let head = head.trim();
            let main = packet(&format!("{head} {MAIN}\0report-status side-band-64k\n"));
            let service = packet("# service=git-receive-pack\n");
            ("advertisement", format!("{service}0000{main}0000"))
        } else {
            kept.lock().unwrap().clone_from(&request.body);
            ("result", packet("\u{2}the disk is full\n") + "0000")
        };
        let head = format!("200 OK\r\nContent-Type: application/x-git-receive-pack-{kind}");
        (head, Box::new(std::io::Cursor::new(body.into_bytes())))
    });
    let repository = bench.open(&format!("{}/shop.git", server.url), &Credential::none());
    let (_, draft) = undone(&repo, &repository);
    let error = repository.push(&draft, MAIN, false).unwrap_err();
    let Error::Protocol { cause, .. } = &error else {
        panic!("{error}");
    };
    assert!(cause.to_string().contains("the disk is full"), "{cause}");
    let asked = String::from_utf8_lossy(&asked.lock().unwrap()).into_owned();
    let (command, _) = asked.split_once("0000PACK").unwrap();
    assert!(
        command.ends_with("\0report-status side-band-64k"),
        "{command:?}"
    );
}

#[test]
fn a_branch_that_cannot_be_is_no_race() {
    let bench = Bench::new();
    let repo = bench.repo();
    let server = GitServer::start_http(bench.served()).unwrap();
    for url in [repo.file_url(), server.url("shop.git")] {
        let repository = bench.open(&url, &Credential::none());
        let (_, draft) = undone(&repo, &repository);
        let dir = format!("--git-dir={}", repo.bare().display());
        repo.git(&[&dir, "branch", "--force", "towline", "main"])
            .unwrap();
        let error = repository.push(&draft, BRANCH, true).unwrap_err();
        assert_eq!(error.reason(), "PushRefused", "{error}");
        assert!(
            error.to_string().contains("`refs/heads/towline`"),
            "{error}"
        );
    }
}

#[test]
fn a_slow_hook_keeps_no_poll_waiting() {
    let bench = Bench::new();
    let repo = bench.repo();
    let server = GitServer::start_http(bench.served()).unwrap();
    let repository = bench.open(&server.url("shop.git"), &Credential::none());
    let (_, draft) = undone(&repo, &repository);
    // It waits for the test, though not for ever.
    hook(
        &repo,
        "pre-receive",
        "touch began; for i in $(seq 600); do test -e go && exit 0; sleep 0.1; done",
    );
    let pushing = std::thread::spawn({
        let repository = repository.clone();
        move || repository.push(&draft, MAIN, false)
    });
    let began = repo.bare().join("began");
    let poll = || sync(&repository, "main").unwrap();
    while !began.exists() && !pushing.is_finished() {
        poll();
    }
    poll();
    assert!(!pushing.is_finished(), "the poll waited for the push");
    std::fs::write(repo.bare().join("go"), "").unwrap();
    pushing.join().unwrap().unwrap();
}

/// A hook of the bare repository.
fn hook(repo: &GitRepo, name: &str, script: &str) {
    let path = repo.bare().join("hooks").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Somebody is faster while a push is looked at.
const SNEAK: &str = "unset GIT_QUARANTINE_PATH
read old new name
export GIT_AUTHOR_NAME=Ann GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=Ann GIT_COMMITTER_EMAIL=a@b
git update-ref $name $(git commit-tree -p $old -m sneaked $old^{tree}) $old";

#[test]
fn a_commit_that_came_in_between_is_never_lost() {
    let bench = Bench::new();
    let repo = bench.repo();
    let http = GitServer::start_http(bench.served()).unwrap();
    let ssh = GitServer::start_ssh(bench.served()).unwrap();
    let key = Credential::ssh(ssh.private_key(), ssh.known_hosts());
    for (url, credential) in [
        (http.url("shop.git"), Credential::none()),
        (ssh.url("shop.git"), key),
    ] {
        let repository = bench.open(&url, &credential);
        let (_, draft) = undone(&repo, &repository);
        repo.write("README.md", &format!("theirs, {url}\n"))
            .unwrap();
        let theirs = repo.commit("theirs").unwrap();
        let error = repository.push(&draft, MAIN, false).unwrap_err();
        assert!(matches!(error, Error::BranchMoved { .. }), "{error}");
        assert!(error.to_string().contains(&theirs), "{error}");
        let (revision, _) = sync(&repository, "main").unwrap();
        assert_eq!(revision.commit, theirs);
        // A branch that is there is not overwritten either.
        let error = repository.push(&draft, MAIN, true).unwrap_err();
        assert!(matches!(error, Error::BranchMoved { .. }), "{error}");
        // It comes while the push is on its way, after the server said where the branch is.
        let draft = draft_of_head(&repo, &repository);
        hook(&repo, "pre-receive", SNEAK);
        let error = repository.push(&draft, MAIN, false).unwrap_err();
        std::fs::remove_file(repo.bare().join("hooks/pre-receive")).unwrap();
        assert!(matches!(error, Error::BranchMoved { .. }), "{error}");
        let (revision, _) = sync(&repository, "main").unwrap();
        assert_eq!(
            repository.commit(&revision.commit).unwrap().subject,
            "sneaked"
        );
    }
}

/// A draft on top of what the branch is at now.
fn draft_of_head(repo: &GitRepo, repository: &Repository) -> Draft {
    let first = repo.git(&["rev-list", "--max-parents=0", "HEAD"]).unwrap();
    let (head, _) = sync(repository, "main").unwrap();
    draft(repository, &first, &head.commit)
}

#[test]
fn a_refusal_is_told_in_the_servers_words() {
    let bench = Bench::new();
    let repo = bench.repo();
    let server = GitServer::builder(bench.served()).auth(password()).start();
    let server = server.unwrap();
    let open = Credential::basic("u", "hunter22");
    let repository = bench.open(&server.url("shop.git"), &open);
    let (head, draft) = undone(&repo, &repository);
    hook(
        &repo,
        "pre-receive",
        "echo 'main is frozen until Monday, hunter22' >&2; exit 1",
    );
    let pushes = server.counters().receive_packs;
    let error = repository.push(&draft, MAIN, false).unwrap_err();
    assert_eq!(error.reason(), "PushRefused");
    // Nobody's hooks run twice for it.
    assert_eq!(server.counters().receive_packs, pushes + 1);
    let text = error.to_string();
    for part in [
        "`main`",
        "pre-receive hook declined",
        "main is frozen until Monday",
    ] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    assert!(!text.contains("hunter22"), "{text}");
    // Who may read and not write.
    repo.config("http.receivepack", "false").unwrap();
    let error = repository.push(&draft, MAIN, false).unwrap_err();
    assert_eq!(error.reason(), "PushDenied");
    let text = error.to_string();
    assert!(
        text.contains("403") && text.contains("right to push"),
        "{text}"
    );
    server.set_auth(Auth::Bearer("other".into()));
    let error = repository.push(&draft, MAIN, false).unwrap_err();
    assert_eq!(error.reason(), "PushDenied", "{error}");
    server.set_fault(Fault::Disconnect);
    let error = repository.push(&draft, MAIN, false).unwrap_err();
    assert_eq!(error.reason(), "SourceUnreachable", "{error}");
    let git_dir = format!("--git-dir={}", repo.bare().display());
    assert_eq!(repo.git(&[&git_dir, "rev-parse", MAIN]).unwrap(), head);
}
