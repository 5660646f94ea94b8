//! The circuit breaker: when a registry or a node goes, every Application looks as if its last
//! revision were bad. Going back everywhere would be wrong, so that it is done a few times only.

use std::collections::VecDeque;

/// How many rollbacks there may be in [`WINDOW`].
const LIMIT: usize = 3;
/// In seconds.
const WINDOW: i64 = 600;

/// The latest rollbacks of all Applications of an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Breaker {
    /// When they were, in seconds since the epoch, the oldest first.
    at: VecDeque<i64>,
}

impl Breaker {
    /// Counts a rollback at `now`, in seconds since the epoch.
    ///
    /// # Errors
    /// When there were too many: the time from which one may be again.
    pub fn admit(&mut self, now: i64) -> Result<(), i64> {
        self.at.retain(|at| now.saturating_sub(*at) < WINDOW);
        if self.at.len() >= LIMIT {
            let oldest = self.at.front().copied().unwrap_or(now);
            return Err(oldest.saturating_add(WINDOW));
        }
        self.at.push_back(now);
        Ok(())
    }

    /// A rollback that an agent made before this one, which a status remembers.
    pub fn remember(&mut self, at: i64) {
        let place = self.at.partition_point(|known| *known <= at);
        self.at.insert(place, at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_in_ten_minutes_and_then_none_until_the_oldest_is_past() {
        let mut breaker = Breaker::default();
        assert_eq!(breaker.admit(1_000), Ok(()));
        assert_eq!(breaker.admit(1_100), Ok(()));
        breaker.remember(900);
        assert_eq!(breaker.admit(1_200), Err(1_500));
        assert_eq!(breaker.admit(1_499), Err(1_500));
        assert_eq!(breaker.admit(1_500), Ok(()));
        assert_eq!(breaker.admit(1_501), Err(1_600));
    }
}
