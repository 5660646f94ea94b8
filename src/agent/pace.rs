//! How fast statuses are written that only say that a commit was looked at. A commit moves every
//! Application of its repository, and touches few of them: what the others have to tell, a thousand
//! requests for five hundred of them, must not stand in front of what has to be applied.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Between two statuses, once [`BURST`] of them were written: one status is two requests.
const STEP: Duration = Duration::from_millis(10);
/// So many go at once after a rest.
const BURST: u32 = 10;
/// The longest wait, whoever else waits.
const MOST: Duration = Duration::from_secs(10);

/// The turns of all Applications of an agent.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the next turn would be, were there no burst.
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// Takes a turn: how long it is until then, from `now`.
    pub(super) fn turn(&self, now: Instant) -> Duration {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = next.unwrap_or(now).max(now);
        *next = Some(turn + STEP);
        let wait = (turn - now).saturating_sub(STEP * (BURST - 1));
        // Turns that were not needed in the end are not given back.
        if wait > MOST {
            *next = Some(turn);
        }
        wait.min(MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_burst_turns_come_one_by_one() {
        let (pace, start) = (Pace::default(), Instant::now());
        for _ in 0..BURST {
            assert_eq!(pace.turn(start), Duration::ZERO);
        }
        assert_eq!(pace.turn(start), STEP);
        assert_eq!(pace.turn(start), 2 * STEP);
        // Two turns and the burst are over.
        let later = start + STEP * (BURST + 2);
        for _ in 0..BURST {
            assert_eq!(pace.turn(later), Duration::ZERO);
        }
        assert_eq!(pace.turn(later), STEP);
        // However many there are.
        for _ in 0..100_000 {
            pace.turn(later);
        }
        assert_eq!(pace.turn(later), MOST);
        assert_eq!(pace.turn(later + MOST + STEP * BURST), Duration::ZERO);
    }
}
