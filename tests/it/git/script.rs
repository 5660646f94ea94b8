//! An HTTP server that answers as a test tells it to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

/// One request.
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) headers: Vec<String>,
    pub(crate) body: Vec<u8>,
}

/// An answer: a head, and a body that may never end.
pub(crate) type Answer = (String, Box<dyn Read + Send>);

pub(crate) struct Scripted {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Scripted {
    pub(crate) fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (seen_here, answer) = (Arc::clone(&seen), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answer) = (Arc::clone(&seen_here), Arc::clone(&answer));
                thread::spawn(move || serve(stream, &seen, &*answer));
            }
        });
        Self { url, seen }
    }

    pub(crate) fn seen(&self) -> Vec<String> {
        let seen = self.seen.lock().expect("no panic");
        seen.iter().map(|request| request.line.clone()).collect()
    }
}

/// Serves one request and closes.
fn serve(stream: TcpStream, seen: &Mutex<Vec<Request>>, answer: &dyn Fn(&Request) -> Answer) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second end"));
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let length = lines
        .iter()
        .find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length: ")?
                .parse()
                .ok()
        })
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    let request = Request {
        line: lines.remove(0),
        headers: lines,
        body,
    };
    let (head, mut body) = answer(&request);
    seen.lock().expect("no panic").push(request);
    let mut stream = stream;
    let head = format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n");
    // The client may have had enough.
    let _ = stream.write_all(head.as_bytes());
    let _ = std::io::copy(&mut body, &mut stream);
}

pub(crate) fn text(head: &str) -> Answer {
    (head.to_owned(), Box::new(std::io::empty()))
}

/// What `git upload-pack` says over HTTP, in the version of the protocol that `version` is.
pub(crate) fn upload_pack(
    repository: PathBuf,
    version: Option<&'static str>,
    request: &Request,
) -> Answer {
    let advertise = request.line.contains("/info/refs");
    let mut command = Command::new("git");
    command.args([
        "-c",
        "uploadpack.allowAnySHA1InWant=true",
        "upload-pack",
        "--stateless-rpc",
    ]);
    if advertise {
        command.arg("--advertise-refs");
    }
    command
        .arg(repository)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .env_remove("GIT_PROTOCOL");
    if let Some(version) = version {
        command.env("GIT_PROTOCOL", version);
    }
    let mut child = command.spawn().expect("git");
    child
        .stdin
        .take()
        .expect("stdin")
        .write_all(&request.body)
        .expect("a request");
    let output = child.wait_with_output().expect("an answer").stdout;
    let (kind, mut body) = if advertise {
        (
            "advertisement",
            b"001e# service=git-upload-pack\n0000".to_vec(),
        )
    } else {
        ("result", Vec::new())
    };
    body.extend(output);
    let head = format!("200 OK\r\nContent-Type: application/x-git-upload-pack-{kind}");
    (head, Box::new(std::io::Cursor::new(body)))
}
