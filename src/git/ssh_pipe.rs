//! An ssh channel as a blocking reader and writer, for the protocol code.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::error::{Cause, Error};
use super::faults::Watch;

/// Bytes written before they are sent, so that a request is one packet and not one for each line.
const BUFFER: usize = 16 << 10;

/// Bytes kept of what the server writes to stderr.
const STDERR: usize = 2 << 10;

/// Both ends of `channel`, to a server that may be silent for as long as `patience`.
pub(super) fn pipe(
    channel: Channel<Msg>,
    runtime: &'static Runtime,
    watch: Watch,
    patience: Duration,
) -> (Incoming, Outgoing) {
    let (reader, writer) = channel.split();
    let shared = Arc::new(Mutex::new(Sender {
        half: Some(writer),
        buffer: Vec::new(),
        runtime,
        watch: watch.clone(),
        patience,
    }));
    let incoming = Incoming {
        half: reader,
        sender: Arc::clone(&shared),
        rest: Vec::new(),
        at: 0,
        stderr: Vec::new(),
        status: None,
        ended: false,
        runtime,
        watch,
        patience,
    };
    (incoming, Outgoing(shared))
}

/// The sending side, which the reader needs too: what is asked must be sent before the answer is
/// waited for.
struct Sender {
    half: Option<ChannelWriteHalf<Msg>>,
    buffer: Vec<u8>,
    runtime: &'static Runtime,
    watch: Watch,
    patience: Duration,
}

impl Sender {
    fn flush(&mut self) -> io::Result<()> {
        let Some(half) = &self.half else {
            return Ok(());
        };
        if self.buffer.is_empty() {
            return Ok(());
        }
        // However steadily the server takes it, not for ever.
        self.watch.count(0)?;
        let bytes = std::mem::take(&mut self.buffer);
        let sent = self
            .runtime
            .block_on(async { timeout(self.patience, half.data_bytes(bytes)).await });
        match sent {
            Ok(Ok(())) => Ok(()),
            // The server hung up; why is for the reader to find out.
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(self.watch.fail(self.watch.stalled(self.patience))),
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        // Errors no longer matter: the conversation is over.
        let _ = self.flush();
        if let Some(half) = self.half.take() {
            self.runtime.spawn(async move {
                let _ = half.eof().await;
                let _ = half.close().await;
            });
        }
    }
}

fn locked(sender: &Mutex<Sender>) -> MutexGuard<'_, Sender> {
    sender.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is sent to the server.
pub(super) struct Outgoing(Arc<Mutex<Sender>>);

impl Write for Outgoing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut sender = locked(&self.0);
        sender.buffer.extend_from_slice(bytes);
        if sender.buffer.len() >= BUFFER {
            sender.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        locked(&self.0).flush()
    }
}

/// What the server sends.
pub(super) struct Incoming {
    half: ChannelReadHalf,
    sender: Arc<Mutex<Sender>>,
    rest: Vec<u8>,
    at: usize,
    stderr: Vec<u8>,
    status: Option<u32>,
    ended: bool,
    runtime: &'static Runtime,
    watch: Watch,
    patience: Duration,
}

impl Incoming {
    /// Waits for more bytes; leaves none at the end.
    fn fill(&mut self) -> io::Result<()> {
        // A failure to send shows as the end of what comes back, with the reason.
        let _ = locked(&self.sender).flush();
        while !self.ended {
            let (half, patience) = (&mut self.half, self.patience);
            let message = self
                .runtime
                .block_on(async { timeout(patience, half.wait()).await });
            match message {
                Err(_) => return Err(self.watch.fail(self.watch.stalled(patience))),
                Ok(Some(ChannelMsg::Data { data })) => {
                    self.watch.count(data.len())?;
                    self.rest = data.to_vec();
                    self.at = 0;
                    return Ok(());
                }
                Ok(Some(ChannelMsg::ExtendedData { data, .. })) => {
                    self.watch.count(data.len())?;
                    let room = STDERR.saturating_sub(self.stderr.len());
                    self.stderr.extend_from_slice(&data[..data.len().min(room)]);
                }
                Ok(Some(ChannelMsg::ExitStatus { exit_status })) => self.status = Some(exit_status),
                Ok(Some(ChannelMsg::Close) | None) => {
                    self.ended = true;
                    self.judge();
                }
                Ok(Some(_)) => {}
            }
        }
        Ok(())
    }

    /// Notes why the server ended the conversation, if it was not us.
    fn judge(&self) {
        if self.status == Some(0) {
            return;
        }
        let said = String::from_utf8_lossy(&self.stderr);
        let lower = said.to_ascii_lowercase();
        let (doing, remote) = self.watch.place();
        let any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        let error = if any(&[
            "not found",
            "not be found",
            "not appear to be a git",
            "no such",
        ]) {
            Error::RepositoryNotFound { doing, remote }
        } else if any(&[
            "denied",
            "not authorized",
            "unauthorized",
            "not allowed",
            "read only",
            "read-only",
        ]) {
            let why = format!("the server said `{}`", Cause::new(&said));
            Error::AuthenticationFailed { doing, remote, why }
        } else if said.trim().is_empty() {
            self.watch
                .unreachable(Cause::new("the server ended the conversation"))
        } else {
            self.watch.unreachable(Cause::new(&said))
        };
        self.watch.fail(error);
    }
}

impl Read for Incoming {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.rest.len() {
            self.rest.clear();
            self.at = 0;
            self.fill()?;
        }
        let count = out.len().min(self.rest.len() - self.at);
        out[..count].copy_from_slice(&self.rest[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
