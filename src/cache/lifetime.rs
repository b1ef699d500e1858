//! How long an entry of a cache may serve.

use std::time::Duration;

use crate::http::UnixTime;

/// How long an entry may serve. An entry becomes stale only after it stops being fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    pub(super) fresh_until: UnixTime,
    pub(super) stale_until: UnixTime,
}

impl Lifetime {
    /// Creates a lifetime that is fresh before `fresh_until`, and stale for `stale_for` from then on. Zero means that
    /// the entry never serves stale.
    #[must_use]
    pub const fn new(fresh_until: UnixTime, stale_for: Duration) -> Self {
        Self { fresh_until, stale_until: fresh_until.after(stale_for) }
    }

    /// Shortens the fresh period to end before `end`. The stale period still ends when it did.
    #[must_use]
    pub fn fresh_until(self, end: UnixTime) -> Self {
        Self { fresh_until: self.fresh_until.min(end), ..self }
    }

    /// Ends the lifetime, fresh or stale, at `end` at the latest. `end` is the token's own expiry.
    #[must_use]
    pub fn ending_by(self, end: UnixTime) -> Self {
        Self { fresh_until: self.fresh_until.min(end), stale_until: self.stale_until.min(end) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> UnixTime {
        UnixTime::from_secs(second)
    }

    #[test]
    fn no_life_outlasts_the_end_that_it_was_given() {
        // fresh_until, stale_for, end; end of the fresh period, end of the stale period.
        let cases = [
            ((110, 5, 200), (110, 115)),
            ((110, 5, 112), (110, 112)),
            ((110, 5, 105), (105, 105)),
            ((110, u64::MAX, 120), (110, 120)),
            ((u64::MAX, u64::MAX, 120), (120, 120)),
        ];
        for ((fresh_until, stale_for, end), (fresh, stale)) in cases {
            let expected = Lifetime { fresh_until: at(fresh), stale_until: at(stale) };
            assert_eq!(
                Lifetime::new(at(fresh_until), Duration::from_secs(stale_for)).ending_by(at(end)),
                expected
            );
        }
    }
}
