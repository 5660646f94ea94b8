//! What a server may do that a real one would not, or no longer.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use towline::error::{Class, Fault as _};
use towline::git::{AdvanceKind, Cache, Credential, Error, limits};

use super::script::{Request, Scripted, text, upload_pack};
use super::{Bench, file, remote, sync, target, targets};

#[test]
fn servers_of_the_old_protocol_are_understood() {
    let bench = Bench::new();
    let repo = bench.repo();
    repo.tag("v1.0.0").expect("an annotated tag");
    let bare = repo.bare().to_path_buf();
    let server = Scripted::start(move |request| upload_pack(bare.clone(), None, request));
    let repository = bench.open(&format!("{}/shop.git", server.url), &Credential::none());
    let (first, _) = sync(&repository, "main").expect("a first sync");
    assert_eq!(file(&repository, &first, "app/config.yaml"), "a: 1\n");
    repo.write("app/config.yaml", "a: 2\n").expect("a file");
    repo.commit("second").expect("a commit");
    let (second, synced) = sync(&repository, "main").expect("an incremental sync");
    assert_eq!(synced.fetched.advances[0].kind, AdvanceKind::Forward);
    assert_eq!(file(&repository, &second, "app/config.yaml"), "a: 2\n");
    let synced = repository
        .poll_and_fetch(&targets(&["^1", "nowhere"]))
        .expect("a sync");
    assert_eq!(
        synced.revisions[&target("^1")]
            .as_ref()
            .expect("a tag")
            .commit,
        first.commit
    );
    let missing = &synced.revisions[&target("nowhere")];
    assert!(
        matches!(missing, Err(Error::BranchNotFound { .. })),
        "{missing:?}"
    );
}

#[test]
fn a_redirect_within_the_host_is_followed_with_the_credentials() {
    let bench = Bench::new();
    let repo = bench.repo();
    let bare = repo.bare().to_path_buf();
    let server = Scripted::start(move |request| {
        if !request
            .headers
            .iter()
            .any(|line| line.starts_with("authorization: Basic "))
        {
            return text("401 Unauthorized\r\nContent-Length: 0");
        }
        let path = request.line.split(' ').nth(1).expect("a path");
        match path.strip_prefix("/old/") {
            Some(rest) => text(&format!(
                "301 Moved\r\nLocation: /new/{rest}\r\nContent-Length: 0"
            )),
            None => upload_pack(bare.clone(), Some("version=2"), request),
        }
    });
    let credential = Credential::basic("me", "secret-pass");
    let repository = bench.open(&format!("{}/old/shop.git", server.url), &credential);
    let (first, _) = sync(&repository, "main").expect("a first sync");
    assert_eq!(file(&repository, &first, "app/config.yaml"), "a: 1\n");
    sync(&repository, "main").expect("a quiet poll");
    let seen = server.seen();
    assert_eq!(
        seen.iter().filter(|line| line.contains("/old/")).count(),
        1,
        "{seen:?}"
    );
    assert_eq!(
        seen.len(),
        5,
        "two for the handshake, ls-refs, fetch, ls-refs: {seen:?}"
    );
}

#[test]
fn floods_nonsense_and_broken_packs_end() {
    let bench = Bench::new();
    let repo = bench.repo();
    const ADVERTISEMENT: &str =
        "200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement";
    // References without end.
    let flood = Scripted::start(|_| {
        let line = b"003d0123456789012345678901234567890123456789 refs/heads/a\n";
        let start = b"001e# service=git-upload-pack\n0000".as_slice();
        let body = start.chain(Endless { line, at: 0 });
        (ADVERTISEMENT.to_owned(), Box::new(body))
    });
    let repository = bench.open(&format!("{}/shop.git", flood.url), &Credential::none());
    let error = sync(&repository, "main").expect_err("a flood");
    assert_eq!(error.reason(), "RepoTooLarge", "{error:?}");
    assert!(
        error
            .to_string()
            .contains(&limits::MAX_ANSWER_BYTES.to_string()),
        "{error}"
    );

    // Something that is no Git protocol under a Git name.
    let nonsense = Scripted::start(|_| {
        (
            ADVERTISEMENT.to_owned(),
            Box::new(std::io::Cursor::new(b"<html>zzzz".to_vec())),
        )
    });
    let repository = bench.open(&format!("{}/shop.git", nonsense.url), &Credential::none());
    let error = sync(&repository, "main").expect_err("nonsense");
    assert_eq!(error.reason(), "GitProtocolError", "{error:?}");

    // A pack cut short, and one with a flipped bit: nothing of it is used, and what is there is.
    let bare = repo.bare().to_path_buf();
    let mischief = Arc::new(Mutex::new("none"));
    let mode = Arc::clone(&mischief);
    let server = Scripted::start(move |request| {
        let (head, mut body) = upload_pack(bare.clone(), Some("version=2"), request);
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes).expect("an answer");
        let pack = bytes.windows(4).position(|window| window == b"PACK");
        match (*mode.lock().expect("no panic"), pack) {
            ("cut", Some(at)) => bytes.truncate(at + 40),
            ("flip", Some(at)) => bytes[at + 30] ^= 1,
            _ => {}
        }
        (head, Box::new(std::io::Cursor::new(bytes)))
    });
    let set = |mode| *mischief.lock().expect("no panic") = mode;
    let repository = bench.open(&format!("{}/shop.git", server.url), &Credential::none());
    for (mode, reasons) in [
        ("cut", ["SourceUnreachable", "GitProtocolError"]),
        ("flip", ["GitProtocolError"; 2]),
    ] {
        set(mode);
        let error = sync(&repository, "main").expect_err(mode);
        assert!(reasons.contains(&error.reason()), "{mode}: {error:?}");
        assert_eq!(error.class(), Class::Retry, "{mode}: {error:?}");
    }
    set("none");
    let (first, _) = sync(&repository, "main").expect("a first sync");
    repo.write("app/config.yaml", "a: 2\n").expect("a file");
    repo.commit("second").expect("a commit");
    for mode in ["cut", "flip"] {
        set(mode);
        sync(&repository, "main").expect_err(mode);
        assert_eq!(file(&repository, &first, "app/config.yaml"), "a: 1\n");
    }
    set("none");
    let (second, _) = sync(&repository, "main").expect("a sync");
    assert_eq!(file(&repository, &second, "app/config.yaml"), "a: 2\n");
}

/// Not a test of its own: what the next one starts and kills.
#[test]
#[ignore = "is started by a_kill_in_the_middle_of_a_fetch_does_no_harm"]
fn victim() {
    let Ok(url) = std::env::var("TOWLINE_TEST_URL") else {
        return;
    };
    let root = std::env::var("TOWLINE_TEST_ROOT").expect("set with the URL");
    let cache = Cache::new(root).expect("a cache");
    let repository = cache
        .repository(&remote(&url), &Credential::none())
        .expect("a repository");
    let _ = sync(&repository, "main");
}

#[test]
fn a_kill_in_the_middle_of_a_fetch_does_no_harm() {
    let bench = Bench::new();
    let repo = bench.repo();
    let bare = repo.bare().to_path_buf();
    // Packs are sent to the last byte but some, and then nothing.
    let stuck = Arc::new(Mutex::new(0));
    let hold = Arc::new(Mutex::new(true));
    let (stuck_here, hold_here) = (Arc::clone(&stuck), Arc::clone(&hold));
    let server = Scripted::start(move |request| {
        let (head, mut body) = upload_pack(bare.clone(), Some("version=2"), request);
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes).expect("an answer");
        let pack = bytes.windows(4).any(|window| window == b"PACK");
        if pack && *hold_here.lock().expect("no panic") {
            bytes.truncate(bytes.len() - 30);
            *stuck_here.lock().expect("no panic") += 1;
            return (head, Box::new(std::io::Cursor::new(bytes).chain(Silence)));
        }
        (head, Box::new(std::io::Cursor::new(bytes)))
    });
    let url = format!("{}/shop.git", server.url);
    let root = bench.root.path().join("victim");
    let kill_one = |count| {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .args(["--ignored", "--exact"])
            // Test names begin below the crate.
            .arg(
                module_path!()
                    .split_once("::")
                    .map_or(String::new(), |(_, path)| format!("{path}::victim")),
            )
            .env("TOWLINE_TEST_URL", &url)
            .env("TOWLINE_TEST_ROOT", &root)
            .stdout(Stdio::null())
            .spawn()
            .expect("a second process");
        towline_testcluster::wait_until("the fetch", std::time::Duration::from_secs(60), || {
            if *stuck.lock().expect("no panic") >= count {
                Ok(())
            } else {
                Err("no fetch yet".to_owned())
            }
        })
        .expect("a fetch that got stuck");
        // The server holds the rest back: whatever was written by now is all there is.
        child.kill().expect("a kill");
        child.wait().expect("an end");
    };
    let synced = || {
        *hold.lock().expect("no panic") = false;
        let cache = Cache::new(&root).expect("the lock went with the process");
        let repository = cache
            .repository(&remote(&url), &Credential::none())
            .expect("one");
        let (revision, synced) = sync(&repository, "main").expect("a sync");
        *hold.lock().expect("no panic") = true;
        (
            file(&repository, &revision, "app/config.yaml"),
            synced.fetched.advances[0].kind,
        )
    };
    // In the first fetch, and in a later one.
    kill_one(1);
    assert_eq!(synced(), ("a: 1\n".to_owned(), AdvanceKind::First));
    repo.write("app/config.yaml", "a: 2\n").expect("a file");
    repo.commit("second").expect("a commit");
    kill_one(2);
    assert_eq!(synced(), ("a: 2\n".to_owned(), AdvanceKind::Forward));
}

/// Nothing, and no end.
struct Silence;

impl Read for Silence {
    fn read(&mut self, _out: &mut [u8]) -> std::io::Result<usize> {
        loop {
            thread::park();
        }
    }
}

#[test]
fn a_server_that_asks_for_patience_gets_it() {
    let bench = Bench::new();
    for (head, seconds) in [
        ("429 Too Many Requests\r\nRetry-After: 7", 7),
        (
            "429 Too Many Requests\r\nRetry-After: 99999",
            limits::MAX_RETRY_AFTER.as_secs(),
        ),
        (
            "403 Forbidden\r\nx-ratelimit-remaining: 0",
            limits::DEFAULT_RETRY_AFTER.as_secs(),
        ),
    ] {
        let server = Scripted::start(move |_| text(&format!("{head}\r\nContent-Length: 0")));
        let repository = bench.open(&format!("{}/shop.git", server.url), &Credential::none());
        let error = sync(&repository, "main").expect_err(head);
        assert_eq!(error.reason(), "Throttled", "{error:?}");
        let wait = std::time::Duration::from_secs(seconds);
        assert_eq!(error.class(), Class::Wait(wait), "{head}");
        assert_eq!(server.seen().len(), 1, "it was asked again at once");
    }
}

/// The same line for ever.
struct Endless {
    line: &'static [u8],
    at: usize,
}

impl Read for Endless {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        for byte in out.iter_mut() {
            *byte = self.line[self.at];
            self.at = (self.at + 1) % self.line.len();
        }
        Ok(out.len())
    }
}

/// A packet line.
fn packet(text: &str) -> Vec<u8> {
    format!("{:04x}{text}", text.len() + 4).into_bytes()
}

/// How a server takes a push that gives out its repository as ever, and answers this to a push:
/// the capabilities and references that it has, and the report.
fn pushed(
    advertisement: impl Fn() -> Box<dyn Read + Send> + Send + Sync + 'static,
    result: &'static (impl Fn() -> Vec<u8> + Sync),
) -> Error {
    let bench = Bench::new();
    let repo = bench.repo();
    let bare = repo.bare().to_path_buf();
    let server = Scripted::start(move |request: &Request| {
        let kind =
            |kind: &str| format!("200 OK\r\nContent-Type: application/x-git-receive-pack-{kind}");
        if request.line.contains("service=git-receive-pack") {
            let head = packet("# service=git-receive-pack\n");
            let head = std::io::Cursor::new([head, b"0000".to_vec()].concat());
            (kind("advertisement"), Box::new(head.chain(advertisement())))
        } else if request.line.contains("/git-receive-pack ") {
            (kind("result"), Box::new(std::io::Cursor::new(result())))
        } else {
            upload_pack(bare.clone(), Some("version=2"), request)
        }
    });
    let repository = bench.open(&format!("{}/shop.git", server.url), &Credential::none());
    let (head, _) = sync(&repository, "main").expect("a sync");
    let edits = [("README.md".to_owned(), None)].into();
    let by = towline::git::Author {
        name: "towline".into(),
        email: "towline@example.com".into(),
        time: 0,
    };
    let draft = repository.draft(&head.commit, &edits, &by, &by, "x");
    let draft = draft.expect("a commit");
    let pushed = repository.push(&draft, "refs/heads/new", true);
    pushed.expect_err("no server that takes it")
}

/// The advertisement of an empty list with these capabilities.
fn takes(capabilities: &'static str) -> impl Fn() -> Box<dyn Read + Send> {
    move || {
        let null = "0".repeat(40);
        let line = packet(&format!("{null} capabilities^{{}}\0{capabilities}\n"));
        Box::new(std::io::Cursor::new([line, b"0000".to_vec()].concat()))
    }
}

#[test]
fn a_push_to_a_server_that_misbehaves_ends_with_a_reason() {
    let nothing = &Vec::new;
    assert_eq!(
        pushed(takes("ofs-delta"), nothing).reason(),
        "RepositoryUnsupported"
    );
    let error = pushed(takes("report-status side-band-64k"), nothing);
    assert_eq!(error.class(), Class::Retry, "{error}");
    let junk = &|| b"0009junk!0000".to_vec();
    assert_eq!(
        pushed(takes("report-status"), junk).reason(),
        "GitProtocolError"
    );
    // Its words are bounded, and steer no terminal.
    let chatty = &|| {
        let mut answer = Vec::new();
        for _ in 0..2000 {
            answer.extend(packet("\u{2}\u{1b}[31mno, no, no, no, no, no\n"));
        }
        answer.extend(packet("\u{1}0020ng refs/heads/new I said no\n0000"));
        answer.extend(b"0000");
        answer
    };
    let error = pushed(takes("report-status side-band-64k"), chatty);
    assert_eq!(error.reason(), "PushRefused");
    let text = error.to_string();
    assert!(text.contains("I said no") && text.len() < 1500, "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    // References without end.
    let endless = || -> Box<dyn Read + Send> {
        let null = "1".repeat(40);
        let mut first = packet(&format!("{null} refs/heads/a\0report-status\n"));
        for number in 0..1000 {
            first.extend(packet(&format!("{null} refs/heads/{number}\n")));
        }
        let count = usize::try_from(limits::MAX_ANSWER_BYTES).expect("small") / first.len() + 2;
        Box::new(std::io::Cursor::new(first.repeat(count)))
    };
    assert_eq!(pushed(endless, nothing).reason(), "RepoTooLarge");
}
