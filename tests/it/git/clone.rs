//! What is kept on disk: across restarts, damage, many fetches, and between tenants.

use std::os::unix::fs::{FileExt as _, PermissionsExt};

use towline::git::{AdvanceKind, Cache, Credential, Error, limits};
use towline_testcluster::{Auth, GitServer};

use super::{Bench, file, sync};

#[test]
fn the_clone_survives_a_restart_and_mischief() {
    let bench = Bench::new();
    let repo = bench.repo();
    let server = GitServer::start_http(bench.served()).expect("a server");
    let url = server.url("shop.git");
    let Bench { root, cache } = bench;
    let reopened = |cache: Cache| {
        drop(cache);
        Cache::new(root.path().join("cache")).expect("a cache")
    };
    let repository = |cache: &Cache| {
        cache
            .repository(&super::remote(&url), &Credential::none())
            .expect("a repository")
    };
    assert!(
        Cache::new(root.path().join("cache")).is_err(),
        "two processes in one cache"
    );
    let (first, _) = sync(&repository(&cache), "main").expect("a first sync");

    // A restart: nothing is fetched again, also when a fetch was killed before.
    let packs = pack_directory(root.path());
    std::fs::write(packs.join("pack-killed.pack"), "half").expect("a file");
    std::fs::write(packs.join(".tmp-x"), "half").expect("a file");
    std::fs::write(packs.join("../../shallow.lock"), "").expect("a file");
    let cache = reopened(cache);
    let (again, synced) = sync(&repository(&cache), "main").expect("a sync after the restart");
    assert_eq!(again, first);
    assert!(!synced.fetched.transferred);
    assert!(!packs.join("pack-killed.pack").exists());
    repo.write("x", "x\n").expect("a file");
    repo.commit("second").expect("a commit");
    let (_, synced) = sync(&repository(&cache), "main").expect("a sync");
    assert_eq!(synced.fetched.advances[0].kind, AdvanceKind::Forward);

    // A broken pack, found at the next start.
    for entry in std::fs::read_dir(&packs).expect("packs").flatten() {
        if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "pack")
        {
            let mut bytes = std::fs::read(entry.path()).expect("a pack");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0xff;
            std::fs::remove_file(entry.path()).expect("a removal");
            std::fs::write(entry.path(), bytes).expect("a pack");
        }
    }
    let cache = reopened(cache);
    let (second, synced) = sync(&repository(&cache), "main").expect("a sync with a broken pack");
    assert!(synced.fetched.transferred);
    assert_eq!(file(&repository(&cache), &second, "x"), "x\n");

    // All of it deleted while in use.
    std::fs::remove_dir_all(pack_directory(root.path())).expect("a removal");
    let cache = reopened(cache);
    let (second, _) = sync(&repository(&cache), "main").expect("a sync without packs");
    assert_eq!(file(&repository(&cache), &second, "x"), "x\n");
}

fn pack_directory(root: &std::path::Path) -> std::path::PathBuf {
    let is_key = |path: &std::path::Path| path.is_dir();
    let only = |directory: std::path::PathBuf| {
        let mut entries: Vec<_> = std::fs::read_dir(directory)
            .expect("a directory")
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| is_key(path))
            .collect();
        entries.sort();
        entries.pop().expect("an entry")
    };
    only(only(root.join("cache"))).join("objects/pack")
}

#[test]
fn damage_found_while_reading_is_healed_by_the_next_sync() {
    let bench = Bench::new();
    bench.repo();
    let server = GitServer::start_http(bench.served()).expect("a server");
    let repository = bench.open(&server.url("shop.git"), &Credential::none());
    let (revision, _) = sync(&repository, "main").expect("a first sync");
    let tree = repository.tree(&revision.commit).expect("a tree");
    let packs = pack_directory(bench.root.path());
    for entry in std::fs::read_dir(&packs).expect("packs").flatten() {
        if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "pack")
        {
            // In place, so that memory mapped from it changes too.
            let mode = PermissionsExt::from_mode(0o644);
            std::fs::set_permissions(entry.path(), mode).expect("a mode");
            let file = std::fs::OpenOptions::new()
                .write(true)
                .open(entry.path())
                .expect("a pack");
            let length = usize::try_from(entry.metadata().expect("a size").len()).expect("small");
            file.write_all_at(&vec![0; length - 12], 12)
                .expect("a write");
        }
    }
    let error = tree.read("app/config.yaml").expect_err("a broken pack");
    assert!(error.to_string().contains("damaged"), "{error}");
    let (revision, synced) = sync(&repository, "main").expect("a sync");
    assert!(synced.fetched.transferred);
    assert_eq!(file(&repository, &revision, "app/config.yaml"), "a: 1\n");
}

#[test]
fn many_fetches_do_not_pile_up() {
    let bench = Bench::new();
    let repo = bench.repo();
    let server = GitServer::start_http(bench.served()).expect("a server");
    let repository = bench.open(&server.url("shop.git"), &Credential::none());
    let (first, _) = sync(&repository, "main").expect("a first sync");
    let old = repository.tree(&first.commit).expect("a tree");
    for n in 0..limits::MAX_PACKS {
        repo.write("app/config.yaml", &format!("n: {n}\n"))
            .expect("a file");
        repo.commit("next").expect("a commit");
        sync(&repository, "main").expect("a sync");
    }
    let packs = || {
        std::fs::read_dir(pack_directory(bench.root.path()))
            .expect("packs")
            .flatten()
            .filter(|entry| {
                entry
                    .path()
                    .extension()
                    .is_some_and(|extension| extension == "idx")
            })
            .count()
    };
    assert!(packs() >= limits::MAX_PACKS, "{}", packs());
    let (last, _) = sync(&repository, "main").expect("a quiet sync renews");
    assert_eq!(packs(), 1);
    assert_eq!(file(&repository, &last, "app/config.yaml"), "n: 99\n");
    // Who still reads from the old clone goes on reading.
    assert_eq!(
        old.read("app/config.yaml").expect("a file").as_ref(),
        b"a: 1\n"
    );
    repo.write("app/config.yaml", "n: after\n").expect("a file");
    repo.commit("after").expect("a commit");
    let (_, synced) = sync(&repository, "main").expect("a sync");
    assert_eq!(synced.fetched.advances[0].kind, AdvanceKind::Forward);
}

#[test]
fn tenants_do_not_share_a_clone() {
    let bench = Bench::new();
    bench.repo();
    let auth = Auth::Basic {
        user: "me".into(),
        password: "s3cret-pass".into(),
    };
    let server = GitServer::builder(bench.served())
        .auth(auth)
        .start()
        .expect("a server with a password");
    let url = server.url("shop.git");
    let right = bench.open(&url, &Credential::basic("me", "s3cret-pass"));
    let (revision, _) = sync(&right, "main").expect("a sync with the password");
    assert_eq!(
        server.counters().unauthorized,
        0,
        "credentials go out with the first request"
    );
    for wrong in [
        Credential::none(),
        Credential::basic("me", "wrong"),
        Credential::bearer("x"),
    ] {
        let other = bench.open(&url, &wrong);
        let error = sync(&other, "main").expect_err("refused");
        assert!(
            matches!(error, Error::AuthenticationFailed { .. }),
            "{error:?}"
        );
        assert!(
            !format!("{error} {error:?}").contains("s3cret"),
            "{error:?}"
        );
        assert!(
            other.tree(&revision.commit).is_err(),
            "another tenant's clone was read"
        );
    }
    // A rotated password keeps the clone.
    let kept = |password: &str| Credential::basic("me", password).with_identity("ns/secret");
    let repository = bench.open(&url, &kept("s3cret-pass"));
    sync(&repository, "main").expect("a sync");
    server.set_auth(Auth::Basic {
        user: "me".into(),
        password: "n3w-pass".into(),
    });
    let error = sync(&repository, "main").expect_err("the old password");
    assert!(
        matches!(error, Error::AuthenticationFailed { .. }),
        "{error:?}"
    );
    let repository = bench.open(&url, &kept("n3w-pass"));
    let (_, synced) = sync(&repository, "main").expect("the new password");
    assert!(!synced.fetched.transferred);
    server.set_auth(Auth::Bearer("tok3n-long".into()));
    sync(&bench.open(&url, &Credential::bearer("tok3n-long")), "main").expect("a token");
}
