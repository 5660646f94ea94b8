//! What tests do to etcd itself, by the JSON that it serves beside gRPC.

use crate::control_plane::ControlPlane;
use crate::error::{Context, Error, Result};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

impl ControlPlane {
    /// Throws away every past state of every object, as etcd's compaction does by itself in the
    /// course of time: who goes on from an older `resourceVersion` is told 410 Gone, once the API
    /// server's own memory of it is gone too (restart it). Returns the revision that is left.
    pub fn compact(&self) -> Result<u64> {
        let range = post(self.parts.etcd, "/v3/kv/range", &json!({"key": "AA=="}))?;
        let revision = range.pointer("/header/revision").and_then(Value::as_str);
        let revision = revision.and_then(|text| text.parse().ok());
        let revision: u64 =
            revision.ok_or_else(|| Error::new(format!("etcd told no revision: {range}")))?;
        let body = json!({"revision": revision.to_string(), "physical": true});
        post(self.parts.etcd, "/v3/kv/compaction", &body)?;
        Ok(revision)
    }
}

/// Sends a request to etcd on this port and returns its answer.
fn post(port: u16, path: &str, body: &Value) -> Result<Value> {
    let what = || format!("POST {path} at the test cluster's etcd");
    let body = body.to_string();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).doing(what)?;
    // HTTP/1.0: the answer comes in one piece and ends with the connection.
    let request = format!(
        "POST {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).doing(what)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).doing(what)?;
    let refused = || Error::new(format!("{}: {answer}", what()));
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(refused)?;
    if !head.contains(" 200 ") {
        return Err(refused());
    }
    serde_json::from_str(body).doing(what)
}
