//! What an HTTP answer, or the lack of one, says about why a repository cannot be read.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::blocking::Response;
use reqwest::header::RETRY_AFTER;

use super::error::{Cause, Error};
use super::faults::Watch;
use super::limits;

/// The error that a status code stands for, or none if the request was served.
pub(super) fn refusal(watch: &Watch, response: &Response, authenticated: bool) -> Option<Error> {
    let status = response.status();
    if status == StatusCode::OK {
        return None;
    }
    let (doing, remote) = watch.place();
    let header = |name: &str| {
        response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let said = format!("the server answered {status}");
    let limited = status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::FORBIDDEN
            && (header(RETRY_AFTER.as_str()).is_some()
                || header("x-ratelimit-remaining") == Some("0"));
    if limited {
        let wait = header(RETRY_AFTER.as_str())
            .and_then(|seconds| seconds.trim().parse().ok())
            .map_or(limits::DEFAULT_RETRY_AFTER, Duration::from_secs)
            .min(limits::MAX_RETRY_AFTER);
        return Some(Error::Throttled {
            doing,
            remote,
            wait,
        });
    }
    Some(match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let sent = if authenticated {
                "to the credentials it was sent"
            } else {
                "and it was sent no credentials"
            };
            Error::AuthenticationFailed {
                doing,
                remote,
                why: format!("{said}, {sent}"),
            }
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => Error::RepositoryNotFound { doing, remote },
        status if status.is_server_error() => Error::Unreachable {
            doing,
            remote,
            cause: Cause::new(&said),
        },
        _ => Error::NotAGitServer {
            doing,
            remote,
            why: said,
        },
    })
}

/// The error that a failed request stands for.
pub(super) fn transport_fault(watch: &Watch, error: &reqwest::Error) -> Error {
    let (doing, remote) = watch.place();
    if let Some(tls) = found::<rustls::Error>(error) {
        return Error::TlsFailed {
            doing,
            remote,
            cause: Cause::of(tls),
        };
    }
    if error.is_timeout() {
        return watch.stalled(if error.is_connect() {
            limits::CONNECT
        } else {
            limits::STALL
        });
    }
    // The outermost layer repeats the URL, which the message has already.
    let cause = std::error::Error::source(error).map_or_else(|| Cause::of(error), Cause::of);
    Error::Unreachable {
        doing,
        remote,
        cause,
    }
}

/// The first error of type `E` in or below `error`, looking into I/O errors too, whose `source`
/// passes over what they wrap.
fn found<'a, E: std::error::Error + 'static>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(wanted) = error.downcast_ref::<E>() {
            return Some(wanted);
        }
        let wrapped = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        if let Some(wanted) = wrapped.and_then(|wrapped| found::<E>(wrapped)) {
            return Some(wanted);
        }
        next = error.source();
    }
    None
}
