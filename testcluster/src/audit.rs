//! The API server's audit log: what tests and benches count requests in.

use crate::control_plane::ControlPlane;
use crate::error::{Context, Result};
use serde_json::Value;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

/// A point in the audit log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditMark(u64);

/// One request, as the API server saw it. Fields that do not apply are empty.
#[derive(Clone, Debug)]
pub struct AuditEvent {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// Who sent it.
    pub user: String,
    /// Whom the sender acted as.
    pub impersonated: String,
    /// The program that sent it.
    pub user_agent: String,
    /// The API group; empty for the core group.
    pub group: String,
    /// The plural, such as `configmaps`; empty for paths such as `/version`.
    pub resource: String,
    /// Such as `status` or `scale`.
    pub subresource: String,
    /// The object's namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// Path and query.
    pub uri: String,
    /// The HTTP status of the answer.
    pub code: u64,
    /// The whole entry.
    pub raw: Value,
}

impl AuditEvent {
    /// Whether the request meant to change something. A dry run does not.
    pub fn is_write(&self) -> bool {
        let reads = ["get", "list", "watch", ""];
        !reads.contains(&self.verb.as_str()) && !self.uri.contains("dryRun=All")
    }
}

/// How long after its answer a request may be missing in the log.
const LAG: std::time::Duration = std::time::Duration::from_millis(30);

impl ControlPlane {
    /// Where the audit log is (one JSON object per line).
    pub fn audit_log(&self) -> PathBuf {
        self.dir().join("audit.log")
    }

    /// The current end of the audit log.
    pub fn audit_mark(&self) -> AuditMark {
        AuditMark(std::fs::metadata(self.audit_log()).map_or(0, |metadata| metadata.len()))
    }

    /// All requests since `mark`, once each: a watch when it begins, any other when it is answered.
    pub fn audit_events(&self, mark: AuditMark) -> Result<Vec<AuditEvent>> {
        let path = self.audit_log();
        // A request is answered before it stands in the log.
        std::thread::sleep(LAG);
        let what = || format!("reading the audit log {}", path.display());
        let mut file = File::open(&path).doing(what)?;
        // One byte before the mark: it tells whether the mark was set in the middle of a line that
        // was being written. That line's request was before the mark.
        let from = mark.0.saturating_sub(1);
        file.seek(SeekFrom::Start(from)).doing(what)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).doing(what)?;
        let text = String::from_utf8_lossy(&text);
        let begin = if mark.0 == 0 {
            Some(0)
        } else {
            text.find('\n').map(|end| end + 1)
        };
        // The last line may be half written.
        let complete = match (begin, text.rfind('\n')) {
            (Some(begin), Some(end)) if begin < end => &text[begin..end],
            _ => "",
        };
        complete
            .lines()
            .map(|line| serde_json::from_str(line).doing(what))
            .filter(|entry| entry.as_ref().map_or(true, counts))
            .map(|entry| entry.map(event))
            .collect()
    }
}

/// A watch is logged at its start and at its end; one that is refused only at its end.
fn counts(entry: &Value) -> bool {
    let started = entry["stage"] == "ResponseStarted";
    let refused = entry["responseStatus"]["code"].as_u64().unwrap_or(0) >= 400;
    if entry["verb"] == "watch" {
        started || refused
    } else {
        !started
    }
}

fn event(entry: Value) -> AuditEvent {
    let text = |pointer: &str| {
        entry
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    AuditEvent {
        verb: text("/verb"),
        user: text("/user/username"),
        impersonated: text("/impersonatedUser/username"),
        user_agent: text("/userAgent"),
        group: text("/objectRef/apiGroup"),
        resource: text("/objectRef/resource"),
        subresource: text("/objectRef/subresource"),
        namespace: text("/objectRef/namespace"),
        name: text("/objectRef/name"),
        uri: text("/requestURI"),
        code: entry
            .pointer("/responseStatus/code")
            .and_then(Value::as_u64)
            .unwrap_or(0),
        raw: entry,
    }
}
