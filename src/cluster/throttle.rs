//! How many requests are in flight at once, while the API server says that it has too many.
//!
//! Nothing is held up before the first 429. From then on the limit is half of what was in flight,
//! and grows by one for every [`STEP`] answers: additive increase, multiplicative decrease, as TCP
//! has it. Each request that is refused waits as long as the server asks for, outside of the limit.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// So many answers in a row let one more request in. Small enough to come back within seconds,
/// large enough that few requests are refused at a server that stays busy.
const STEP: usize = 16;
/// At this limit nothing is held up any more.
const FREE: usize = 64;

/// The requests of one agent, all Applications together: the server counts them together too.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// How many may be in flight; `None` for any number.
    limit: Option<usize>,
    in_flight: usize,
    /// Answers since the limit changed.
    answered: usize,
}

/// One request in flight. Dropped without a word it counts for nothing: it was given up.
pub(super) struct Slot<'a>(&'a Throttle);

impl Throttle {
    /// Waits until a request may be sent.
    pub(super) async fn enter(&self) -> Slot<'_> {
        loop {
            let freed = self.freed.notified();
            {
                let mut state = self.state();
                if state.limit.is_none_or(|limit| state.in_flight < limit) {
                    state.in_flight += 1;
                    return Slot(self);
                }
            }
            freed.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot<'_> {
    /// The server had time for it, whatever it answered.
    pub(super) fn answered(self) {
        let mut state = self.0.state();
        let Some(limit) = state.limit else { return };
        state.answered += 1;
        if state.answered >= STEP {
            state.answered = 0;
            state.limit = Some(limit + 1).filter(|limit| *limit < FREE);
            drop(state);
            self.0.freed.notify_waiters();
        }
    }

    /// The server has too many requests.
    pub(super) fn refused(self) {
        let mut state = self.0.state();
        let most = state.limit.unwrap_or(FREE).min(state.in_flight);
        state.limit = Some((most / 2).max(1));
        state.answered = 0;
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.state().in_flight -= 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    /// A request that may be sent at once.
    fn enter(throttle: &Throttle) -> Option<Slot<'_>> {
        throttle.enter().now_or_never()
    }

    #[test]
    fn nothing_is_held_up_before_the_server_complains() {
        let throttle = Throttle::default();
        let slots: Vec<_> = (0..500).map(|_| enter(&throttle)).collect();
        assert!(slots.iter().all(Option::is_some));
    }

    #[test]
    fn each_refusal_halves_what_is_in_flight_and_answers_let_more_in() {
        let throttle = Throttle::default();
        let mut slots: Vec<_> = (0..32).filter_map(|_| enter(&throttle)).collect();
        slots.pop().expect("32 are in flight").refused();
        assert_eq!(throttle.state().limit, Some(16));
        assert!(enter(&throttle).is_none(), "31 are still in flight");
        for slot in slots.drain(..) {
            slot.refused();
        }
        assert_eq!(throttle.state().limit, Some(1));
        let first = enter(&throttle).expect("one may go");
        assert!(enter(&throttle).is_none());
        first.answered();
        for _ in 1..STEP {
            enter(&throttle).expect("one may go").answered();
        }
        assert_eq!(throttle.state().limit, Some(2));
        for _ in 0..STEP * FREE {
            enter(&throttle).expect("one may go").answered();
        }
        assert_eq!(throttle.state().limit, None);
    }

    #[test]
    fn a_request_that_is_given_up_lets_the_next_one_in() {
        let throttle = Throttle::default();
        enter(&throttle).expect("free").refused();
        let held = enter(&throttle).expect("one may go");
        let mut next = Box::pin(throttle.enter());
        assert!(next.as_mut().now_or_never().is_none());
        drop(held);
        assert!(next.now_or_never().is_some());
    }
}
