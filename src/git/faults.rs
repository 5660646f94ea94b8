//! Where a transport leaves the reason of a failure, because the libraries between it and us
//! carry only their own errors.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::error::{Cause, Error};
use super::limits;

/// What one exchange with a remote may cost and what went wrong in it, shared between the
/// transport, which knows, and the wire, which reports.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    remote: String,
    doing: &'static str,
    fault: Option<Error>,
    /// Bytes that may still come in.
    budget: u64,
    limit: u64,
    what: &'static str,
    deadline: Instant,
    allowed: Duration,
}

impl Watch {
    /// A watch over exchanges with `remote`, as shown in errors.
    pub(super) fn new(remote: &str) -> Self {
        let state = State {
            remote: remote.to_owned(),
            doing: "polling",
            fault: None,
            budget: limits::MAX_ANSWER_BYTES,
            limit: limits::MAX_ANSWER_BYTES,
            what: ANSWER,
            deadline: Instant::now() + limits::POLL_DEADLINE,
            allowed: limits::POLL_DEADLINE,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// What happens now is a poll.
    pub(super) fn polling(&self) {
        self.begin(
            "polling",
            limits::MAX_ANSWER_BYTES,
            ANSWER,
            limits::POLL_DEADLINE,
        );
    }

    /// What happens now is a fetch of a pack of at most `limit` bytes.
    pub(super) fn fetching(&self, limit: u64) {
        self.begin("fetching", limit, PACK, limits::FETCH_DEADLINE);
    }

    /// What happens now is a push: what comes back is a list of references, and a few words.
    pub(super) fn pushing(&self) {
        self.begin(
            "pushing to",
            limits::MAX_ANSWER_BYTES,
            ANSWER,
            limits::FETCH_DEADLINE,
        );
    }

    /// What happens now, and what it may cost.
    pub(super) fn begin(
        &self,
        doing: &'static str,
        limit: u64,
        what: &'static str,
        allowed: Duration,
    ) {
        self.with(|state| {
            state.doing = doing;
            state.fault = None;
            state.budget = limit;
            state.limit = limit;
            state.what = what;
            state.deadline = Instant::now() + allowed;
            state.allowed = allowed;
        });
    }

    /// What is being done, and to which remote.
    pub(super) fn place(&self) -> (&'static str, String) {
        self.with(|state| (state.doing, state.remote.clone()))
    }

    /// Bytes that came in since the exchange began.
    pub(super) fn received(&self) -> u64 {
        self.with(|state| state.limit - state.budget)
    }

    /// Notes that `bytes` came in.
    ///
    /// # Errors
    /// When that is too much, or it took too long.
    pub(super) fn count(&self, bytes: usize) -> std::io::Result<()> {
        let error = self.with(|state| {
            let bytes = bytes as u64;
            if bytes > state.budget {
                state.budget = 0;
                let (doing, remote) = (state.doing, state.remote.clone());
                return Some(Error::TooLarge {
                    doing,
                    remote,
                    what: state.what,
                    limit: state.limit,
                });
            }
            state.budget -= bytes;
            (Instant::now() > state.deadline).then(|| Error::Timeout {
                doing: state.doing,
                remote: state.remote.clone(),
                seconds: state.allowed.as_secs(),
            })
        });
        match error {
            Some(error) => Err(self.fail(error)),
            None => Ok(()),
        }
    }

    /// Keeps `error` as the reason, unless there is one already, and gives it back as what a
    /// reader or writer can fail with.
    pub(super) fn fail(&self, error: Error) -> std::io::Error {
        let text = error.to_string();
        self.with(|state| {
            state.fault.get_or_insert(error);
        });
        std::io::Error::other(text)
    }

    /// A stalled or broken connection, as an error.
    pub(super) fn unreachable(&self, cause: Cause) -> Error {
        let (doing, remote) = self.place();
        Error::Unreachable {
            doing,
            remote,
            cause,
        }
    }

    /// The server fell silent, as an error.
    pub(super) fn stalled(&self, after: Duration) -> Error {
        let (doing, remote) = self.place();
        Error::Timeout {
            doing,
            remote,
            seconds: after.as_secs(),
        }
    }

    /// The reason kept, if any.
    pub(super) fn take(&self) -> Option<Error> {
        self.with(|state| state.fault.take())
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        // The state is whole after every step, whoever panicked in between.
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

const ANSWER: &str = "what the server lists (too many branches and tags?)";
const PACK: &str = "the repository (big files in it?)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_much_and_too_long_end_with_their_own_reasons() {
        let watch = Watch::new("r");
        watch.fetching(10);
        watch.count(6).expect("within the limit");
        assert_eq!(watch.received(), 6);
        watch.count(5).expect_err("11 of 10");
        assert!(matches!(
            watch.take(),
            Some(Error::TooLarge { limit: 10, .. })
        ));
        watch.begin("polling", 10, ANSWER, Duration::ZERO);
        // Past a deadline of no time at all, once the clock has moved.
        let begun = std::time::Instant::now();
        while begun.elapsed().is_zero() {
            std::hint::spin_loop();
        }
        watch.count(0).expect_err("past the deadline");
        // The first reason is the one that counts.
        watch.fail(watch.unreachable(Cause::new("later")));
        assert!(matches!(watch.take(), Some(Error::Timeout { .. })));
        assert!(watch.take().is_none());
    }
}
