//! The other half of the Git protocol: `git-receive-pack`, which takes a commit. What is sent
//! names the commit that the branch is believed to be at, and the server compares before it
//! swaps: a commit that came in between is never lost.

use std::cell::RefCell;
use std::io::{Read as _, Write as _};
use std::ops::ControlFlow;
use std::rc::Rc;

use gix_error::Error as GixError;
use gix_hash::ObjectId;
use gix_transport::Service;
use gix_transport::client::blocking_io::{ExtendedBufRead, RequestWriter, Transport};
use gix_transport::client::{Capabilities, MessageKind, WriteMode};

use super::credential::Credential;
use super::error::{Cause, Error, Result};
use super::faults::Watch;
use super::limits;
use super::report::{command, excludes, is_race, unframed};
use super::text::shown;
use super::wire::reason;

/// What a branch is to be, and what it is now.
pub(super) struct Update<'a> {
    /// Its full name, such as `refs/heads/main`.
    pub(super) reference: &'a str,
    /// The commit it is at; the null id for a branch that is not there.
    pub(super) old: ObjectId,
    pub(super) new: ObjectId,
    /// The objects that the server needs for it.
    pub(super) pack: &'a [u8],
}

impl Update<'_> {
    /// The name that people know the branch by.
    pub(super) fn branch(&self) -> String {
        let name = self.reference.strip_prefix("refs/heads/");
        name.unwrap_or(self.reference).to_owned()
    }
}

/// Pushes one commit over `transport`. That it is there already is a success: an answer may have
/// been lost the last time.
pub(super) fn send(
    transport: Box<dyn Transport>,
    watch: &Watch,
    credential: &Credential,
    update: &Update<'_>,
) -> Result<()> {
    let talk = Talk {
        transport,
        watch,
        credential,
        update,
    };
    talk.run().map_err(|error| denied(error, update))
}

/// That the server does not let somebody in who may read means that they may not write.
fn denied(error: Error, update: &Update<'_>) -> Error {
    let branch = update.branch();
    match error {
        Error::AuthenticationFailed { remote, why, .. } => Error::PushDenied {
            remote,
            branch,
            why,
        },
        Error::RepositoryNotFound { remote, .. } => Error::PushDenied {
            remote,
            branch,
            why: "the server shows no repository to push to".to_owned(),
        },
        error => error,
    }
}

struct Talk<'a> {
    transport: Box<dyn Transport>,
    watch: &'a Watch,
    credential: &'a Credential,
    update: &'a Update<'a>,
}

impl Talk<'_> {
    fn run(mut self) -> Result<()> {
        let (capabilities, advertised, in_the_way) = self.greet()?;
        let update = self.update;
        if advertised == update.new {
            self.leave();
            return Ok(());
        }
        if advertised != update.old {
            self.leave();
            let why = if advertised.is_null() {
                "it is not there any more".to_owned()
            } else {
                format!("it is at {advertised}")
            };
            return Err(self.moved(why));
        }
        if let Some(other) = in_the_way.filter(|_| advertised.is_null()) {
            self.leave();
            let why = format!("`{other}` is there, beside which Git cannot have it");
            return Err(self.refusal(why));
        }
        if !capabilities.contains("report-status") {
            let (doing, remote) = self.watch.place();
            self.leave();
            return Err(Error::Unsupported {
                doing,
                remote,
                what: "a server that does not say what became of a push",
            });
        }
        let (report, words) = self.exchange(&capabilities)?;
        self.judge(&report, &words)
    }

    /// What the server can do, what it has under the name, and a branch that excludes it.
    fn greet(&mut self) -> Result<(Capabilities, ObjectId, Option<String>)> {
        let failed = |error: &GixError| reason(self.watch, self.credential, error);
        let null = ObjectId::null(gix_hash::Kind::Sha1);
        let greeting = self.transport.handshake(Service::ReceivePack, &[]);
        let greeting = greeting.map_err(|error| failed(&GixError::from_error(error)))?;
        let capabilities = greeting.capabilities;
        let mut found = null;
        let mut in_the_way = None;
        if let Some(mut references) = greeting.refs {
            while let Some(line) = references.readline() {
                let line = line
                    .map_err(|error| failed(&GixError::from_error(error)))?
                    .map_err(|error| failed(&error))?;
                let Some(line) = line.as_bstr() else { break };
                let line: &[u8] = line;
                let parts = line.split_at_checked(40);
                let Some((id, [b' ', name @ ..])) = parts else {
                    continue;
                };
                let name = String::from_utf8_lossy(name.trim_ascii_end());
                if name == self.update.reference {
                    found = ObjectId::from_hex(id).unwrap_or(null);
                } else if excludes(&name, self.update.reference) {
                    in_the_way.get_or_insert_with(|| shown(&name, limits::MAX_SHOWN_CHARS));
                }
            }
        }
        let format = capabilities.capability("object-format");
        let format = format.and_then(|format| format.value().map(ToString::to_string));
        if format.is_some_and(|format| format != "sha1") {
            let (doing, remote) = self.watch.place();
            let what = "a SHA-256 repository";
            return Err(Error::Unsupported {
                doing,
                remote,
                what,
            });
        }
        Ok((capabilities, found, in_the_way))
    }

    /// Sends it; returns what the server reports, and what its hooks say meanwhile.
    fn exchange(&mut self, capabilities: &Capabilities) -> Result<(Vec<u8>, String)> {
        let (watch, credential) = (self.watch, self.credential);
        let failed = |error| reason(watch, credential, &GixError::from_error(error));
        let update = self.update;
        let bands = capabilities.contains("side-band-64k");
        let command = command(update, |ability| capabilities.contains(ability));
        let request = self
            .transport
            .request(WriteMode::Binary, MessageKind::Flush, false);
        let request = request.map_err(|error| {
            let error = GixError::from_error(error);
            reason(watch, credential, &error)
        })?;
        let mut answer = post(request, command.as_bytes(), update.pack).map_err(failed)?;
        let words = Rc::new(RefCell::new(Vec::new()));
        if bands {
            let words = Rc::clone(&words);
            answer.set_progress_handler(Some(Box::new(move |_, text: &[u8]| {
                let mut words = words.borrow_mut();
                let room = limits::MAX_HOOK_BYTES.saturating_sub(words.len());
                words.extend_from_slice(text.get(..room).unwrap_or(text));
                if room > 0 && !text.ends_with(b"\n") {
                    words.push(b' ');
                }
                ControlFlow::Continue(())
            })));
        }
        let mut report = Vec::new();
        let read = answer.read_to_end(&mut report);
        drop(answer);
        let words = String::from_utf8_lossy(&words.borrow()).into_owned();
        match read {
            Ok(_) => {}
            // What came is enough to tell, whatever the server did afterwards.
            Err(_) if !report.is_empty() => {}
            // Its last words are why it hung up, if they are any.
            Err(_) if !words.trim().is_empty() => {}
            Err(error) => return Err(failed(error)),
        }
        let report = if bands { unframed(&report) } else { report };
        Ok((report, words))
    }

    fn judge(&self, report: &[u8], words: &str) -> Result<()> {
        let report = String::from_utf8_lossy(report);
        let mut unpacked = None;
        for line in report.lines().map(str::trim) {
            if let Some(how) = line.strip_prefix("unpack ") {
                unpacked = Some(how);
            }
            let about = |word: &str| {
                let rest = line
                    .strip_prefix(word)?
                    .strip_prefix(self.update.reference)?;
                (rest.is_empty() || rest.starts_with(' ')).then(|| rest.trim())
            };
            if about("ok ").is_some() {
                return Ok(());
            }
            if let Some(why) = about("ng ") {
                return Err(self.refused(why, words));
            }
        }
        match unpacked {
            Some(how) if how != "ok" => Err(self.refused(&format!("unpacking: {how}"), words)),
            _ => {
                let fault = self.watch.take();
                Err(fault.unwrap_or_else(|| {
                    let (doing, remote) = self.watch.place();
                    let what = "the server does not say what became of the push";
                    let said = match words.trim() {
                        "" => what.to_owned(),
                        words => format!("{what}, only `{}`", self.credential.scrub(words)),
                    };
                    Error::Protocol {
                        doing,
                        remote,
                        cause: Cause::new(&said),
                    }
                }))
            }
        }
    }

    /// A refusal, in the words of the server and of its hooks.
    fn refused(&self, why: &str, words: &str) -> Error {
        let said = match words.trim() {
            "" => why.to_owned(),
            words => format!("{why}: {words}"),
        };
        let said = shown(&self.credential.scrub(&said), limits::MAX_CAUSE_CHARS);
        if is_race(why, words) {
            return self.moved(said);
        }
        self.refusal(said)
    }

    fn refusal(&self, why: String) -> Error {
        let (_, remote) = self.watch.place();
        Error::PushRefused {
            remote,
            branch: self.update.branch(),
            why,
        }
    }

    fn moved(&self, why: String) -> Error {
        let (_, remote) = self.watch.place();
        Error::BranchMoved {
            remote,
            branch: self.update.branch(),
            why,
        }
    }

    /// Asks for nothing after all. The connection is given up either way.
    fn leave(&mut self) {
        if self
            .transport
            .connection_persists_across_multiple_requests()
            && let Ok(request) =
                self.transport
                    .request(WriteMode::Binary, MessageKind::Flush, false)
        {
            let _ = request.into_read();
        }
    }
}

/// Writes a request as a whole; returns what reads the answer.
fn post<'a>(
    mut request: RequestWriter<'a>,
    command: &[u8],
    pack: &[u8],
) -> std::io::Result<Box<dyn ExtendedBufRead<'a> + Unpin + 'a>> {
    request.write_all(command)?;
    request.write_message(MessageKind::Flush)?;
    let (mut writer, reader) = request.into_parts();
    writer.write_all(pack)?;
    writer.flush()?;
    // It must be gone before the answer is read.
    drop(writer);
    Ok(reader)
}
