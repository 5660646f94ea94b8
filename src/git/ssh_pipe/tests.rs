//! Against a server in this process, which takes what is sent to it, or does not.

use russh::ChannelId;
use russh::client;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{PrivateKey, PublicKeyOrCertificate};
use russh::server::{self, Auth, ChannelOpenHandle, Session};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// What there is room for on the way before somebody takes it.
const WINDOW: u32 = 64 << 10;

struct Server {
    takes: bool,
}

impl server::Handler for Server {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<server::Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn data(&mut self, _: ChannelId, _: &[u8], _: &mut Session) -> Result<(), Self::Error> {
        if !self.takes {
            // As a process that does not read: nothing more is taken from the connection.
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

struct Client;

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

/// A channel to such a server, and the connection that it is of.
async fn channel(takes: bool) -> (Channel<Msg>, client::Handle<Client>) {
    let key = PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32]));
    let config = server::Config {
        keys: vec![key],
        window_size: WINDOW,
        ..server::Config::default()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let session = server::run_stream(Arc::new(config), stream, Server { takes }).await;
        let _ = session.expect("a session").await;
    });
    let stream = TcpStream::connect(address).await.expect("a connection");
    let config = Arc::new(client::Config::default());
    let connected = client::connect_stream(config, stream, Client).await;
    let mut connection = connected.expect("a connection");
    let admitted = connection
        .authenticate_none("git")
        .await
        .expect("an answer");
    assert!(admitted.success());
    let channel = connection.channel_open_session().await;
    (channel.expect("a channel"), connection)
}

/// Sends more than there is room for on the way; returns what the watch says of it.
fn upload(takes: bool, patience: Duration, prepare: impl FnOnce(&Watch)) -> Option<Error> {
    let runtime = super::super::ssh::runtime().expect("a runtime");
    let (channel, _connection) = runtime.block_on(channel(takes));
    let watch = Watch::new("ssh://git@example.com/shop.git");
    watch.pushing();
    prepare(&watch);
    let (_incoming, mut outgoing) = pipe(channel, runtime, watch.clone(), patience);
    let pack = vec![0; 1 << 20];
    let sent = outgoing.write_all(&pack).and_then(|()| outgoing.flush());
    let fault = watch.take();
    assert_eq!(sent.is_err(), fault.is_some(), "{sent:?} {fault:?}");
    fault
}

#[test]
fn what_the_server_takes_is_sent() {
    assert_eq!(upload(true, Duration::from_secs(60), |_| {}), None);
}

#[test]
fn an_upload_ends_at_its_deadline_however_steadily_the_server_takes_it() {
    let past = |watch: &Watch| {
        watch.begin("pushing to", 1, "nothing", Duration::ZERO);
        // Once the clock has moved.
        let begun = std::time::Instant::now();
        while begun.elapsed().is_zero() {
            std::hint::spin_loop();
        }
    };
    let fault = upload(true, Duration::from_secs(60), past);
    let Some(Error::Timeout { doing, remote, .. }) = fault else {
        panic!("{fault:?}");
    };
    assert_eq!(doing, "pushing to");
    assert!(remote.contains("example.com/shop.git"), "{remote}");
}

#[test]
fn an_upload_that_the_server_does_not_take_ends() {
    // No clock can make this pass too early: a server that takes it is done in no time.
    let fault = upload(false, Duration::from_millis(200), |_| {});
    assert!(matches!(fault, Some(Error::Timeout { .. })), "{fault:?}");
}
