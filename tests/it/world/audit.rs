//! What the agent asked of the API server, by the server's own audit log.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use towline_testcluster::{AuditEvent, AuditMark};

use super::{World, wait_for};

/// How often silence is looked for before a test gives up on it.
const ATTEMPTS: usize = 5;
/// How many polls of Git silence has to last.
const POLLS: f64 = 3.0;
/// How many requests a failed test shows.
const SHOWN: usize = 40;

impl World<'_> {
    /// The user name of the agent.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:towline", self.ns)
    }

    /// Every request of the agent since `mark`, impersonated ones too, but not those for its Lease.
    pub fn requests(&self, mark: AuditMark) -> Vec<AuditEvent> {
        let user = self.user();
        let events = self.plane.audit_events(mark).unwrap();
        events
            .into_iter()
            .filter(|event| event.user == user && !is_lease(event))
            .collect()
    }

    /// Its successful writes of objects that users own, sorted: `patch configmaps/a`.
    pub fn object_writes(&self, mark: AuditMark) -> Vec<String> {
        let mut writes: Vec<String> = self
            .requests(mark)
            .iter()
            .filter(|event| event.is_write() && event.code < 300 && !self.is_bookkeeping(event))
            .map(describe)
            .collect();
        writes.sort();
        writes
    }

    /// Its deletes since `mark`, refused ones too.
    pub fn deletes(&self, mark: AuditMark) -> Vec<String> {
        let is_delete =
            |event: &&AuditEvent| event.verb.starts_with("delete") && !self.is_bookkeeping(event);
        self.requests(mark)
            .iter()
            .filter(is_delete)
            .map(describe)
            .collect()
    }

    /// The agent's own notes: status, annotations and Events of Applications, and inventories.
    fn is_bookkeeping(&self, event: &AuditEvent) -> bool {
        match event.resource.as_str() {
            "events" => true,
            "applications" => event.verb == "patch",
            "secrets" => event.namespace == self.ns,
            _ => false,
        }
    }

    /// Checks that the agent neither writes nor lists anything while Git is polled several times
    /// and nothing changes, and that it does not run in circles meanwhile. What it still has to say
    /// of what was is waited out.
    pub fn assert_quiet(&self) {
        let mut heard = Vec::new();
        for _ in 0..ATTEMPTS {
            let mark = self.plane.audit_mark();
            let (ticks, begun) = (self.agent().ticks(), Instant::now());
            self.wait_polls(POLLS);
            let used = Duration::from_millis((self.agent().ticks() - ticks) * 10);
            let waited = begun.elapsed();
            let is_noise = |event: &&AuditEvent| event.is_write() || event.verb == "list";
            heard = self
                .requests(mark)
                .iter()
                .filter(is_noise)
                .map(describe)
                .collect();
            // What was accepted last may still be compressed for its store; circles do not end.
            if used >= waited / 2 {
                heard.push(format!("used {used:?} of {waited:?}"));
            }
            if heard.is_empty() {
                return;
            }
        }
        panic!("the agent does not come to rest: {heard:?}");
    }

    /// Waits until Git was polled so many times more.
    pub fn wait_polls(&self, more: f64) {
        let before = self.agent().polls();
        wait_for("more polls of Git", || {
            self.agent().polls() >= before + more
        });
    }
}

/// True for requests about a Lease.
pub fn is_lease(event: &AuditEvent) -> bool {
    event.resource == "leases"
}

/// A request in one line.
pub fn describe(event: &AuditEvent) -> String {
    let slash = if event.subresource.is_empty() {
        ""
    } else {
        "/"
    };
    format!(
        "{} {}/{}{slash}{}",
        event.verb, event.resource, event.name, event.subresource
    )
}

/// When a request was answered, by the API server's clock.
pub fn time_of(event: &AuditEvent) -> Timestamp {
    let text = event.raw["stageTimestamp"].as_str().unwrap_or_default();
    text.parse()
        .unwrap_or_else(|error| panic!("stageTimestamp {text}: {error}"))
}

impl Drop for World<'_> {
    /// A test that failed tells what its agent did last.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let events = self.plane.audit_events(self.born).unwrap_or_default();
        let user = self.user();
        let ours: Vec<_> = events
            .iter()
            .filter(|e| e.user == user && !is_lease(e))
            .collect();
        eprintln!("the last requests of {user}:");
        for event in ours.iter().skip(ours.len().saturating_sub(SHOWN)) {
            eprintln!(
                "{} {} {} {}",
                time_of(event),
                event.verb,
                event.uri,
                event.code
            );
        }
    }
}
