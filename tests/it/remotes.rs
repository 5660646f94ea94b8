//! Private repositories: each way in, with the Secret that opens it.

use serde_json::{Value, json};
use towline::object::keys;
use towline_testcluster::{Auth, GitServer};

use crate::world::manifests::config_map;
use crate::world::{World, wait_for};

/// A repository Secret in the agent's namespace.
fn secret(world: &World<'_>, kind: &str, fields: &Value) {
    world.apply(&json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "credentials", "namespace": world.ns,
            "labels": {keys::SECRET_TYPE_LABEL: kind}},
        "stringData": fields}));
}

/// Creates an Application of another URL of the repository.
fn from(world: &World<'_>, url: &str) {
    let mut app = world.application("shop", "shop");
    app["spec"]["source"]["repoURL"] = url.into();
    world.create(&app);
}

/// The directory that servers of the world's repository serve.
fn root(world: &World<'_>) -> std::path::PathBuf {
    world.repo.bare().parent().unwrap().to_owned()
}

#[test]
fn https_with_a_private_authority_and_a_token_for_the_whole_host() {
    let world = World::new("over-https");
    let auth = Auth::Basic {
        user: "towline".into(),
        password: "token-1".into(),
    };
    let server = GitServer::builder(root(&world))
        .tls(true)
        .auth(auth)
        .start()
        .unwrap();
    let commit = world.commit(&[("shop/a.yaml", &config_map("a", "1"))]);
    from(&world, &server.url("repo.git"));
    let message = world.failed("shop", "TlsFailed");
    assert!(message.contains("ca.crt"), "{message}");
    let fields = json!({"url": server.url(""), "username": "towline", "password": "token-1",
        "ca.crt": server.ca_pem()});
    secret(&world, keys::SECRET_TYPE_REPO_CREDS, &fields);
    world.synced("shop", &commit);
    // A rotation: the old token ends, the new one is used at once.
    let auth = Auth::Basic {
        user: "towline".into(),
        password: "token-2".into(),
    };
    server.set_auth(auth);
    world.poke("shop");
    world.failed("shop", "AuthenticationFailed");
    secret(&world, keys::SECRET_TYPE_REPO_CREDS, &{
        let mut fields = fields;
        fields["password"] = "token-2".into();
        fields
    });
    let commit = world.commit(&[("shop/a.yaml", &config_map("a", "2"))]);
    world.synced("shop", &commit);
    world.assert_quiet();
}

#[test]
fn ssh_with_a_key_and_known_hosts() {
    let world = World::new("over-ssh");
    let server = GitServer::start_ssh(root(&world)).unwrap();
    let commit = world.commit(&[("shop/a.yaml", &config_map("a", "1"))]);
    let url = server.url("repo.git");
    let key = |known_hosts: &str| json!({"url": url, "sshPrivateKey": server.private_key(), "known_hosts": known_hosts});
    let (host, _) = server.known_hosts().split_once(' ').unwrap();
    let stranger =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJq0mZmpFxKKx4ZPMmc1n7aB3m8bVPTRUNmgJdBzw0a9";
    secret(
        &world,
        keys::SECRET_TYPE_REPOSITORY,
        &key(&format!("{host} {stranger}\n")),
    );
    from(&world, &url);
    world.failed("shop", "HostKeyChanged");
    secret(
        &world,
        keys::SECRET_TYPE_REPOSITORY,
        &key(server.known_hosts()),
    );
    world.synced("shop", &commit);
    let commit = world.commit(&[("shop/a.yaml", &config_map("a", "2"))]);
    world.synced("shop", &commit);
    world.assert_quiet();
}

#[test]
fn a_tag_a_range_of_versions_and_a_commit_are_followed() {
    let world = World::new("revisions");
    let first = world.commit(&[("shop/a.yaml", &config_map("a", "1"))]);
    world.repo.tag("v1.0.0").unwrap();
    let mut app = world.application("shop", "shop");
    app["spec"]["source"]["targetRevision"] = "v1.0.0".into();
    world.create(&app);
    world.synced("shop", &first);
    let second = world.commit(&[("shop/a.yaml", &config_map("a", "2"))]);
    world.repo.tag("v1.1.0").unwrap();
    world.refresh("shop");
    assert_eq!(world.value("a"), "1", "a tag stays where it is");
    world.change(
        "shop",
        &json!({"source": {"targetRevision": ">=1.0.0 <2.0.0"}}),
    );
    world.synced("shop", &second);
    let third = world.commit(&[("shop/a.yaml", &config_map("a", "3"))]);
    world.repo.tag("v1.2.0").unwrap();
    world.synced("shop", &third);
    world.change("shop", &json!({"source": {"targetRevision": first}}));
    world.synced("shop", &first);
    assert_eq!(world.value("a"), "1");
}

#[test]
fn a_commit_to_a_local_repository_is_seen_without_a_poll() {
    let world = World::new("over-file");
    let commit = world.commit(&[("shop/a.yaml", &config_map("a", "1"))]);
    let mut app = world.application("shop", "shop");
    app["spec"]["source"]["repoURL"] = world.repo.file_url().into();
    // Far beyond the deadline below: only the file system's own word can be that early.
    app["spec"]["source"]["interval"] = "1h".into();
    world.create(&app);
    world.synced("shop", &commit);
    world.commit(&[("shop/a.yaml", &config_map("a", "2"))]);
    wait_for("the change", || world.value("a") == "2");
}
