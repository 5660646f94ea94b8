//! One HTTP request and its answer, in the pieces that the protocol code wants them in.

use std::io::{self, BufRead, Cursor, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::blocking::{RequestBuilder, Response};
use reqwest::header::{CONTENT_TYPE, HeaderMap};

use super::error::{Cause, Error};
use super::faults::Watch;
use super::http_faults::{refusal, transport_fault};
use super::text::shown;

/// A request that is sent when its answer is first read: by then its body is complete.
pub(super) struct Exchange {
    /// The request and who watches over it, until it is sent.
    waiting: Option<(RequestBuilder, Watch)>,
    /// The content type of a right answer.
    wanted: String,
    body: Vec<u8>,
    authenticated: bool,
    headers: Vec<u8>,
    answer: Answer,
}

enum Answer {
    None,
    Kept(Cursor<Vec<u8>>),
    Live(Counted),
}

/// An exchange, shared by those who write to it and read from it.
type Shared = Arc<Mutex<Exchange>>;

impl Exchange {
    /// One that needs no server.
    pub(super) fn answered(headers: Vec<u8>, body: Vec<u8>) -> Shared {
        Arc::new(Mutex::new(Self {
            waiting: None,
            wanted: String::new(),
            body: Vec::new(),
            authenticated: false,
            headers,
            answer: Answer::Kept(Cursor::new(body)),
        }))
    }

    /// One whose body is still to be written, and whose answer is of the type `wanted`.
    pub(super) fn to_send(
        request: RequestBuilder,
        authenticated: bool,
        watch: Watch,
        wanted: String,
    ) -> Shared {
        Arc::new(Mutex::new(Self {
            waiting: Some((request, watch)),
            wanted,
            body: Vec::new(),
            authenticated,
            headers: Vec::new(),
            answer: Answer::None,
        }))
    }

    fn send(&mut self) -> io::Result<()> {
        let Some((request, watch)) = self.waiting.take() else {
            return Ok(());
        };
        let body = std::mem::take(&mut self.body);
        let response = request
            .body(body)
            .send()
            .map_err(|error| watch.fail(transport_fault(&watch, &error)))?;
        if let Some(error) = refusal(&watch, &response, self.authenticated) {
            return Err(watch.fail(error));
        }
        check_type(&watch, response.headers(), &self.wanted).map_err(|error| watch.fail(error))?;
        self.headers = header_lines(response.headers());
        self.answer = Answer::Live(Counted { response, watch });
        Ok(())
    }
}

fn locked(exchange: &Mutex<Exchange>) -> MutexGuard<'_, Exchange> {
    exchange.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The body of a request being written.
pub(super) struct Outgoing(Shared);

impl Outgoing {
    pub(super) fn of(exchange: &Shared) -> Self {
        Self(Arc::clone(exchange))
    }
}

impl Write for Outgoing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        locked(&self.0).body.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The headers of an answer, line by line.
pub(super) struct Lines {
    text: Option<Cursor<Vec<u8>>>,
    exchange: Shared,
}

impl Lines {
    pub(super) fn of(exchange: &Shared) -> Self {
        Self {
            text: None,
            exchange: Arc::clone(exchange),
        }
    }

    fn text(&mut self) -> io::Result<&mut Cursor<Vec<u8>>> {
        if self.text.is_none() {
            let mut exchange = locked(&self.exchange);
            exchange.send()?;
            self.text = Some(Cursor::new(std::mem::take(&mut exchange.headers)));
        }
        Ok(self.text.as_mut().expect("set just above"))
    }
}

impl Read for Lines {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.text()?.read(out)
    }
}

impl BufRead for Lines {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.text()?.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if let Some(text) = &mut self.text {
            text.consume(amount);
        }
    }
}

/// The body of an answer.
pub(super) struct Body(Shared);

impl Body {
    pub(super) fn of(exchange: &Shared) -> Self {
        Self(Arc::clone(exchange))
    }
}

impl Read for Body {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut exchange = locked(&self.0);
        exchange.send()?;
        match &mut exchange.answer {
            Answer::None => Ok(0),
            Answer::Kept(bytes) => bytes.read(out),
            Answer::Live(response) => response.read(out),
        }
    }
}

/// A response body, every byte of it counted.
pub(super) struct Counted {
    response: Response,
    watch: Watch,
}

impl Counted {
    pub(super) fn new(response: Response, watch: Watch) -> Self {
        Self { response, watch }
    }
}

impl Read for Counted {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.response.read(out).map_err(|error| {
            let fault = match error
                .get_ref()
                .and_then(|e| e.downcast_ref::<reqwest::Error>())
            {
                Some(error) => transport_fault(&self.watch, error),
                None => self.watch.unreachable(Cause::of(&error)),
            };
            self.watch.fail(fault)
        })?;
        self.watch.count(count)?;
        Ok(count)
    }
}

/// The headers as lines of text.
pub(super) fn header_lines(headers: &HeaderMap) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.push(b'\n');
    }
    out
}

/// A 200 from something else than a Git server is a login page, a proxy, a web site.
pub(super) fn check_type(watch: &Watch, headers: &HeaderMap, wanted: &str) -> Result<(), Error> {
    let found = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("none");
    if found
        .split(';')
        .next()
        .is_some_and(|kind| kind.trim() == wanted)
    {
        return Ok(());
    }
    let (doing, remote) = watch.place();
    let why = format!("it answered with content type `{}`", shown(found, 80));
    Err(Error::NotAGitServer { doing, remote, why })
}
