//! Whom TLS trusts.

use towline::git::{Credential, Error};
use towline_testcluster::{Auth, GitServer};

use super::{Bench, sync};

#[test]
fn only_a_known_authority_is_trusted() {
    let bench = Bench::new();
    bench.repo();
    let auth = Auth::Basic {
        user: "me".into(),
        password: "pass".into(),
    };
    let server = GitServer::builder(bench.served())
        .tls(true)
        .auth(auth.clone())
        .start()
        .expect("an https server");
    let url = server.url("shop.git");
    let ca = server.ca_pem().expect("an authority").to_owned();
    let credential = Credential::basic("me", "pass");
    sync(&bench.open(&url, &credential.clone().with_ca(&ca)), "main").expect("its own authority");
    let error = sync(&bench.open(&url, &credential), "main").expect_err("the system's");
    assert!(matches!(error, Error::TlsFailed { .. }), "{error:?}");

    let stranger = GitServer::builder(bench.served())
        .tls(true)
        .auth(auth)
        .start()
        .expect("a server");
    let wrong = credential
        .clone()
        .with_ca(stranger.ca_pem().expect("an authority"));
    let error = sync(&bench.open(&url, &wrong), "main").expect_err("another's authority");
    assert!(matches!(error, Error::TlsFailed { .. }), "{error:?}");

    // The certificate is for another name.
    let other_name = url
        .replace("127.0.0.1", "127.0.0.2")
        .replace("localhost", "127.0.0.2");
    let error = sync(
        &bench.open(&other_name, &credential.clone().with_ca(&ca)),
        "main",
    )
    .expect_err("another name");
    assert!(
        matches!(error, Error::TlsFailed { .. } | Error::Unreachable { .. }),
        "{error:?}"
    );
    let broken = credential.with_ca("no PEM at all");
    let error = sync(&bench.open(&url, &broken), "main").expect_err("no PEM");
    assert!(
        matches!(error, Error::CredentialInvalid { .. }),
        "{error:?}"
    );
}
