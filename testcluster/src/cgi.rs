//! Runs `git http-backend` for one request, streaming both ways.

use crate::git_repo::isolate;
use http_body_util::channel::{Channel, Sender};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use hyper::{Request, Response, StatusCode};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::watch;

/// A body of any kind.
pub(crate) type Body = http_body_util::combinators::BoxBody<Bytes, io::Error>;

pub(crate) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

pub(crate) fn text(text: impl Into<Bytes>) -> Body {
    http_body_util::Full::new(text.into())
        .map_err(|never| match never {})
        .boxed()
}

/// What one request does to the outside.
pub(crate) struct Job {
    /// Counts the bytes of the answer.
    pub(crate) sent: Arc<AtomicU64>,
    /// While true, nothing follows the first bytes of the body.
    pub(crate) stalled: watch::Receiver<bool>,
}

/// Answers a request from the repositories under `root`. `user` is who was authenticated.
pub(crate) async fn run(
    root: &Path,
    request: Request<Incoming>,
    user: Option<&str>,
    job: Job,
) -> io::Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let header = |name| {
        parts
            .headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
    };
    let mut command = Command::new("git");
    isolate(&mut command)
        .arg("http-backend")
        .current_dir(root)
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GATEWAY_INTERFACE", "CGI/1.1")
        .env("SERVER_PROTOCOL", "HTTP/1.1")
        .env("REMOTE_ADDR", "127.0.0.1")
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("PATH_INFO", decode(parts.uri.path()))
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header(CONTENT_TYPE.as_str()))
        // It inflates gzip by itself.
        .env("HTTP_CONTENT_ENCODING", header(CONTENT_ENCODING.as_str()))
        .env("GIT_PROTOCOL", header("git-protocol"));
    // Absent for a chunked body: then the program reads to the end of its input.
    if parts.headers.contains_key(CONTENT_LENGTH) {
        command.env("CONTENT_LENGTH", header(CONTENT_LENGTH.as_str()));
    }
    if let Some(user) = user {
        command.env("REMOTE_USER", user);
    }
    let mut child = tokio::process::Command::from(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("git http-backend has no pipes"));
    };
    tokio::spawn(feed(stdin, body));
    let mut stdout = BufReader::new(stdout);
    let (status, headers) = read_head(&mut stdout).await?;
    let (sender, channel) = Channel::new(4);
    tokio::spawn(drain(child, stdout, sender, job));
    let mut response = Response::new(channel.boxed());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// Copies the request body. Errors end the copy: git notices the end of its input.
async fn feed(mut stdin: ChildStdin, mut body: Incoming) {
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(bytes) = frame.into_data() else {
            continue;
        };
        if stdin.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// Copies the response body until git ends or the client goes; then `child` is dropped and killed.
async fn drain(
    mut child: Child,
    mut stdout: BufReader<ChildStdout>,
    mut sender: Sender<Bytes, io::Error>,
    mut job: Job,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stdout.read(&mut buffer).await {
            Ok(0) => break,
            Ok(length) => {
                let mut bytes = Bytes::copy_from_slice(&buffer[..length]);
                if *job.stalled.borrow() {
                    // A few bytes, so that the client sees a body that begins and then stops.
                    let first = bytes.split_to(length.min(16));
                    if sender.send_data(first).await.is_err() {
                        return;
                    }
                    let _ = job.stalled.wait_for(|stalled| !stalled).await;
                }
                job.sent.fetch_add(length as u64, Ordering::Relaxed);
                if sender.send_data(bytes).await.is_err() {
                    return;
                }
            }
            Err(error) => return sender.abort(error),
        }
    }
    let _ = child.wait().await;
}

/// A CGI program prints headers first, `Status` among them.
async fn read_head(stdout: &mut BufReader<ChildStdout>) -> io::Result<(StatusCode, HeaderMap)> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut status = StatusCode::OK;
    let mut headers = HeaderMap::new();
    loop {
        let mut line = String::new();
        if stdout.read_line(&mut line).await? == 0 {
            return Err(invalid("git http-backend ended before its headers did"));
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok((status, headers));
        }
        let Some((name, value)) = line.split_once(": ") else {
            return Err(invalid("git http-backend printed a line that is no header"));
        };
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().unwrap_or_default();
            status = code
                .parse()
                .map_err(|_| invalid("git http-backend gave no status"))?;
            continue;
        }
        let name = hyper::header::HeaderName::from_bytes(name.as_bytes());
        let (Ok(name), Ok(value)) = (name, value.parse()) else {
            return Err(invalid("git http-backend printed a malformed header"));
        };
        headers.append(name, value);
    }
}

/// Undoes percent-encoding, as the CGI convention wants it for PATH_INFO.
fn decode(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
