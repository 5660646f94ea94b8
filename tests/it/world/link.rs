//! The network between an agent and its API server, which can be cut.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use towline::agent::Options;
use towline_testcluster::ControlPlane;

use super::{Agent, World};

/// The connections that are open; none while it is cut.
type Open = Arc<Mutex<Option<Vec<TcpStream>>>>;

/// See the module. It forwards until the tests end.
pub struct Link {
    url: String,
    open: Open,
}

impl Link {
    /// A link to the API server of this control plane.
    pub fn to(plane: &ControlPlane) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let target = plane.server_url().replace("https://", "");
        let open: Open = Arc::new(Mutex::new(Some(Vec::new())));
        let state = Arc::clone(&open);
        thread::spawn(move || {
            for near in listener.incoming() {
                // One that cannot be forwarded is closed, as a server that is down does.
                let _ = near.and_then(|near| forward(near, &target, &state));
            }
        });
        Self { url, open }
    }

    /// Ends every connection, and takes no new one.
    pub fn cut(&self) {
        for stream in self.open.lock().unwrap().take().unwrap_or_default() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Takes connections again.
    pub fn mend(&self) {
        *self.open.lock().unwrap() = Some(Vec::new());
    }
}

fn forward(near: TcpStream, target: &str, open: &Open) -> io::Result<()> {
    let mut open = open.lock().unwrap();
    let Some(streams) = open.as_mut() else {
        return Ok(());
    };
    let far = TcpStream::connect(target)?;
    streams.extend([near.try_clone()?, far.try_clone()?]);
    for (mut from, mut to) in [(near.try_clone()?, far.try_clone()?), (far, near)] {
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            // The other direction ends too.
            let _ = to.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
        });
    }
    Ok(())
}

impl World<'_> {
    /// Starts an agent that reaches its API server by this link only.
    pub fn start_behind(&mut self, link: &Link, options: Options) -> &Agent {
        let text = std::fs::read_to_string(&self.kubeconfig).unwrap();
        let text = text.replace(&self.plane.server_url(), &link.url);
        let kubeconfig = self.root.path().join("kubeconfig-link");
        std::fs::write(&kubeconfig, text).unwrap();
        self.agents.push(Agent::start(&kubeconfig, options));
        self.agent()
    }
}
