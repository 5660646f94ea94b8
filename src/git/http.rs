//! Smart HTTP, under the protocol code of `gix-transport`, over one pool of connections.
//!
//! The library's own HTTP backend starts a thread and a connection pool per exchange, asks for
//! credentials by a 401 round trip, and follows redirects. Here connections are kept between
//! polls, credentials go out with the first request and only to the host of the remote, and what
//! the server advertises about itself is remembered, so that a poll is a single request.

use std::io::{self, BufReader, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use gix_transport::Service;
use gix_transport::client::blocking_io::http::{GetResponse, Http, PostBodyDataKind, PostResponse};
use reqwest::Url;
use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT};

use super::error::{Cause, Error};
use super::faults::Watch;
use super::http_exchange::{Body, Counted, Exchange, Lines, Outgoing, check_type, header_lines};
use super::http_faults::{refusal, transport_fault};
use super::limits;
use super::text::shown;

/// What a server answered to "who are you", kept between polls.
#[derive(Debug, Default)]
pub(super) struct Advertisement {
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    /// Where the repository is, after redirects.
    base: String,
    headers: Vec<u8>,
    body: Vec<u8>,
    since: Instant,
}

impl Advertisement {
    /// Forgets it, so that the next exchange asks the server.
    pub(super) fn forget(&mut self) {
        self.kept = None;
    }

    /// Whether the next exchange will use it.
    pub(super) fn is_kept(&self) -> bool {
        self.kept
            .as_ref()
            .is_some_and(|kept| kept.since.elapsed() < limits::ADVERTISEMENT_AGE)
    }
}

/// One exchange with one repository over HTTP.
pub(super) struct Web {
    pub(super) client: Client,
    pub(super) authorization: Option<HeaderValue>,
    pub(super) watch: Watch,
    /// What is asked of the server.
    pub(super) service: Service,
    pub(super) advertisement: Arc<Mutex<Advertisement>>,
    /// Where the repository turned out to be, if not where we thought.
    pub(super) moved_to: Option<String>,
}

impl Web {
    fn advertisement(&self) -> MutexGuard<'_, Advertisement> {
        self.advertisement
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn request(
        &self,
        builder: RequestBuilder,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> RequestBuilder {
        let mut map = HeaderMap::new();
        for line in headers {
            let Some((name, value)) = line.as_ref().split_once(':') else {
                continue;
            };
            let name = HeaderName::from_bytes(name.trim().as_bytes());
            // Who we are is the pool's to say.
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value.trim()))
                && name != USER_AGENT
            {
                map.insert(name, value);
            }
        }
        if let Some(authorization) = &self.authorization {
            map.insert(AUTHORIZATION, authorization.clone());
        }
        builder.headers(map)
    }

    /// Asks for what the server advertises, following redirects within its host.
    fn ask(
        &mut self,
        url: &str,
        base: &str,
        headers: &[String],
    ) -> Result<(HeaderMap, Vec<u8>), Error> {
        let tail = url.strip_prefix(base).unwrap_or_default().to_owned();
        let mut url = url.to_owned();
        for _ in 0..=limits::MAX_REDIRECTS {
            let request = self.request(self.client.get(&url), headers);
            let response = request
                .send()
                .map_err(|error| transport_fault(&self.watch, &error))?;
            if response.status().is_redirection() {
                url = self.redirected(&url, &response, &tail)?;
                let base = url.strip_suffix(&tail).unwrap_or(&url);
                self.moved_to = Some(base.to_owned());
                continue;
            }
            if let Some(error) = refusal(&self.watch, &response, self.authorization.is_some()) {
                return Err(error);
            }
            let headers = response.headers().clone();
            let wanted = format!("application/x-{}-advertisement", self.service.as_str());
            check_type(&self.watch, &headers, &wanted)?;
            let mut body = Vec::new();
            Counted::new(response, self.watch.clone())
                .read_to_end(&mut body)
                .map_err(|error| self.broken(&error))?;
            return Ok((headers, body));
        }
        let (doing, remote) = self.watch.place();
        Err(Error::NotAGitServer {
            doing,
            remote,
            why: "it redirects in circles".into(),
        })
    }

    fn broken(&self, error: &io::Error) -> Error {
        self.watch
            .take()
            .unwrap_or_else(|| self.watch.unreachable(Cause::of(error)))
    }

    /// Where `response` points, if that is the same server and the same request.
    fn redirected(&self, from: &str, response: &Response, tail: &str) -> Result<String, Error> {
        let (doing, remote) = self.watch.place();
        let location = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok());
        let target = location.and_then(|location| {
            Url::parse(from)
                .ok()
                .and_then(|from| from.join(location).ok())
        });
        let (Some(target), Ok(from)) = (target, Url::parse(from)) else {
            let why = "it redirects without saying where to".into();
            return Err(Error::NotAGitServer { doing, remote, why });
        };
        let same_host = target.host() == from.host();
        let same_door = target.scheme() == from.scheme()
            && target.port_or_known_default() == from.port_or_known_default();
        let upgraded = from.scheme() == "http"
            && target.scheme() == "https"
            && from.port().is_none()
            && target.port().is_none();
        if same_host && (same_door || upgraded) && target.as_str().ends_with(tail) {
            return Ok(target.into());
        }
        let mut location = target;
        // None of these can fail on an http URL, and if one did, the text is only shown.
        let _ = location.set_username("");
        let _ = location.set_password(None);
        location.set_query(None);
        location.set_fragment(None);
        let location = location.as_str().trim_end_matches("/info/refs").to_owned();
        let location = shown(&location, limits::MAX_CAUSE_CHARS);
        Err(Error::Redirected {
            doing,
            remote,
            location,
        })
    }
}

impl Http for Web {
    type Headers = Lines;
    type ResponseBody = BufReader<Body>;
    type PostBody = Outgoing;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix_error::Result<GetResponse<Self::Headers, Self::ResponseBody>> {
        let kept = {
            let mut advertisement = self.advertisement();
            if !advertisement.is_kept() {
                advertisement.forget();
            }
            advertisement
                .kept
                .as_ref()
                .map(|kept| (kept.base.clone(), kept.headers.clone(), kept.body.clone()))
        };
        let (headers, body) = if let Some((base, headers, body)) = kept {
            if base != base_url {
                self.moved_to = Some(base);
            }
            (headers, body)
        } else {
            let headers: Vec<String> = headers
                .into_iter()
                .map(|line| line.as_ref().to_owned())
                .collect();
            let (headers, body) = self
                .ask(url, base_url, &headers)
                .map_err(|error| gix_error::Error::from_error(self.watch.fail(error)))?;
            let headers = header_lines(&headers);
            // Only version 2 says who it is without saying what it has.
            if body
                .windows(9)
                .take(256)
                .any(|window| window == b"version 2")
            {
                self.advertisement().kept = Some(Kept {
                    base: self.moved_to.clone().unwrap_or_else(|| base_url.to_owned()),
                    headers: headers.clone(),
                    body: body.clone(),
                    since: Instant::now(),
                });
            }
            (headers, body)
        };
        let exchange = Exchange::answered(headers, body);
        Ok(GetResponse {
            headers: Lines::of(&exchange),
            body: BufReader::new(Body::of(&exchange)),
        })
    }

    fn post(
        &mut self,
        url: &str,
        _base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        _body: PostBodyDataKind,
    ) -> gix_error::Result<PostResponse<Self::Headers, Self::ResponseBody, Self::PostBody>> {
        let request = self.request(self.client.post(url), headers);
        let authenticated = self.authorization.is_some();
        let wanted = format!("application/x-{}-result", self.service.as_str());
        let exchange = Exchange::to_send(request, authenticated, self.watch.clone(), wanted);
        Ok(PostResponse {
            post_body: Outgoing::of(&exchange),
            headers: Lines::of(&exchange),
            body: BufReader::with_capacity(64 << 10, Body::of(&exchange)),
        })
    }

    fn configure(&mut self, _config: &dyn std::any::Any) -> gix_error::Result {
        Ok(())
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.moved_to.clone()
    }
}
