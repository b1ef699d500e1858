//! When to fetch keys: a state machine whose inputs are the time and the result of each fetch.
//!
//! At most one fetch is in flight. A failed fetch keeps the old keys. A fetch whose request has gone away times out,
//! so the state machine never gets stuck.

use std::time::Duration;

use super::KeySet;
use crate::http::{CALL_GRACE, UnixTime};

/// How long keys are used before they are fetched again.
const REFRESH: Duration = Duration::from_secs(600);

/// The minimum time between two fetches for unknown keys.
const UNKNOWN_KEY_INTERVAL: Duration = Duration::from_secs(10);

/// The first and the longest wait after failures. The wait doubles each time.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// The keys of one issuer, and when to fetch them.
#[derive(Debug)]
pub struct KeySource {
    keys: Option<KeySet>,
    fetch: Fetch,
    /// When the keys were fetched.
    fetched: UnixTime,
    /// Before this moment, an unknown key causes no fetch.
    unknown_key_after: UnixTime,
    fetches: u64,
}

#[derive(Debug, Clone, Copy)]
enum Fetch {
    /// The keys are part of the configuration.
    Never,
    Waiting {
        due: UnixTime,
        failures: u32,
        timeout: Duration,
    },
    InFlight {
        number: u64,
        until: UnixTime,
        failures: u32,
        timeout: Duration,
    },
}

/// Why keys are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// There are none yet, or they are old.
    Fresh,
    /// A token that passes all other checks names a key that is not in the set.
    UnknownKey,
}

/// The right to make one fetch. Report its result with [`KeySource::finish`], or give it up with
/// [`KeySource::abandon`].
#[derive(Debug)]
#[must_use = "a fetch is under way until it is finished, abandoned or given up"]
pub struct FetchTicket(u64);

impl KeySource {
    /// Creates keys that are fetched, first at once. `timeout` applies to each fetch.
    #[must_use]
    pub fn fetched(timeout: Duration) -> Self {
        Self::new(None, Fetch::Waiting { due: UnixTime::default(), failures: 0, timeout })
    }

    /// Creates keys that never change.
    #[must_use]
    pub fn inline(keys: KeySet) -> Self {
        Self::new(Some(keys), Fetch::Never)
    }

    /// Creates a source that never has keys.
    #[must_use]
    pub fn absent() -> Self {
        Self::new(None, Fetch::Never)
    }

    fn new(keys: Option<KeySet>, fetch: Fetch) -> Self {
        let never = UnixTime::default();
        Self { keys, fetch, fetched: never, unknown_key_after: never, fetches: 0 }
    }

    /// Returns the keys, however old. `None` until the first fetch succeeds; until then no token can be judged.
    #[must_use]
    pub fn keys(&self) -> Option<&KeySet> {
        self.keys.as_ref()
    }

    /// Returns how long ago the keys were fetched. `None` where there are none, or they are part of the configuration.
    #[must_use]
    pub fn age(&self, now: UnixTime) -> Option<Duration> {
        match (&self.keys, self.fetch) {
            (None, _) | (_, Fetch::Never) => None,
            (Some(_), Fetch::Waiting { .. } | Fetch::InFlight { .. }) => Some(now.since(self.fetched)),
        }
    }

    /// Returns whether a fetch is in flight, so that waiting may help.
    #[must_use]
    pub fn is_fetching(&self, now: UnixTime) -> bool {
        match self.fetch {
            Fetch::InFlight { until, timeout, .. } => !given_up(until, timeout, now),
            Fetch::Never | Fetch::Waiting { .. } => false,
        }
    }

    /// Returns whether it is time to fetch keys. For proxies that fetch them on ticks.
    #[must_use]
    pub fn is_due(&self, now: UnixTime) -> bool {
        match self.fetch {
            Fetch::Never => false,
            Fetch::Waiting { due, .. } => reached(due, REFRESH, now),
            Fetch::InFlight { until, timeout, .. } => given_up(until, timeout, now),
        }
    }

    /// Starts a fetch, if one is allowed now.
    ///
    /// [`Need::UnknownKey`] allows a fetch before the keys are due: once per 10 seconds, and not while a failed fetch
    /// waits for its retry.
    pub fn start(&mut self, need: Need, now: UnixTime) -> Option<FetchTicket> {
        let (failures, timeout) = match self.fetch {
            Fetch::Never => return None,
            Fetch::Waiting { failures, timeout, .. } | Fetch::InFlight { failures, timeout, .. } => {
                (failures, timeout)
            }
        };
        let early = need == Need::UnknownKey
            && failures == 0
            && !self.is_fetching(now)
            && reached(self.unknown_key_after, UNKNOWN_KEY_INTERVAL, now);
        if !early && !self.is_due(now) {
            return None;
        }
        if need == Need::UnknownKey {
            self.unknown_key_after = now.after(UNKNOWN_KEY_INTERVAL);
        }
        self.fetches = self.fetches.wrapping_add(1);
        let until = now.after(timeout).after(CALL_GRACE);
        self.fetch = Fetch::InFlight { number: self.fetches, until, failures, timeout };
        Some(FetchTicket(self.fetches))
    }

    /// Reports the result of a fetch; `None` is any failure. `random` is any evenly distributed number; it spreads the
    /// retries of many workers. The result of a fetch that was given up is ignored.
    pub fn finish(&mut self, ticket: FetchTicket, fetched: Option<KeySet>, now: UnixTime, random: u32) {
        let Some((failures, timeout)) = self.in_flight(&ticket) else {
            return;
        };
        self.fetch = match fetched {
            Some(keys) => {
                self.keys = Some(keys);
                self.fetched = now;
                Fetch::Waiting { due: now.after(REFRESH), failures: 0, timeout }
            }
            None => {
                let due = now.after(retry_wait(failures, random));
                Fetch::Waiting { due, failures: failures.saturating_add(1), timeout }
            }
        };
    }

    /// Accepts keys that were fetched without a ticket, by a request that could not wait for the fetch in flight.
    pub fn adopt(&mut self, keys: KeySet, now: UnixTime) {
        if let Fetch::Waiting { timeout, .. } | Fetch::InFlight { timeout, .. } = self.fetch {
            self.keys = Some(keys);
            self.fetched = now;
            self.fetch = Fetch::Waiting { due: now.after(REFRESH), failures: 0, timeout };
        }
    }

    /// Reports that a fetch will have no result, for example because its client left. The server has not failed, so
    /// the next request that needs keys may fetch them at once.
    pub fn abandon(&mut self, ticket: FetchTicket, now: UnixTime) {
        if let Some((failures, timeout)) = self.in_flight(&ticket) {
            self.fetch = Fetch::Waiting { due: now, failures, timeout };
        }
    }

    fn in_flight(&self, ticket: &FetchTicket) -> Option<(u32, Duration)> {
        match self.fetch {
            Fetch::InFlight { number, failures, timeout, .. } if number == ticket.0 => {
                Some((failures, timeout))
            }
            Fetch::InFlight { .. } | Fetch::Waiting { .. } | Fetch::Never => None,
        }
    }
}

fn given_up(until: UnixTime, timeout: Duration, now: UnixTime) -> bool {
    reached(until, timeout.saturating_add(CALL_GRACE), now)
}

/// Returns whether `moment` has come. Moments are set at most `ahead` in advance. One that is further away was set
/// before the clock was set back, and counts as reached.
fn reached(moment: UnixTime, ahead: Duration, now: UnixTime) -> bool {
    now >= moment || moment.since(now) > ahead
}

/// Returns the wait before a retry: 1 s after the first failure, doubling up to 30 s, plus up to a quarter of that.
fn retry_wait(failures: u32, random: u32) -> Duration {
    let wait = FIRST_RETRY.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST_RETRY);
    let quarter = u64::try_from(wait.as_millis()).unwrap_or(0) / 4;
    let jitter = quarter.saturating_mul(u64::from(random)) >> 32;
    wait.saturating_add(Duration::from_millis(jitter))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(3);
    const T: u64 = 1_800_000_000;

    fn at(milliseconds: u64) -> UnixTime {
        UnixTime::from_secs(T).after(Duration::from_millis(milliseconds))
    }

    fn keys() -> KeySet {
        let set =
            r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        KeySet::parse(set.as_bytes()).unwrap()
    }

    fn fetched_at(milliseconds: u64) -> KeySource {
        let mut source = KeySource::fetched(TIMEOUT);
        let ticket = source.start(Need::Fresh, at(milliseconds)).unwrap();
        source.finish(ticket, Some(keys()), at(milliseconds), 0);
        source
    }

    #[test]
    fn keys_are_fetched_at_once_and_then_every_ten_minutes() {
        let mut source = KeySource::fetched(TIMEOUT);
        assert!(source.keys().is_none());
        assert!(source.is_due(at(0)));
        let ticket = source.start(Need::Fresh, at(0)).unwrap();
        assert!(source.is_fetching(at(1_000)));
        source.finish(ticket, Some(keys()), at(2_000), 0);
        assert!(source.keys().is_some());
        for (milliseconds, due) in [(2_001, false), (601_999, false), (602_000, true), (9_000_000, true)] {
            assert_eq!(source.is_due(at(milliseconds)), due, "{milliseconds}");
        }
        assert!(source.start(Need::Fresh, at(601_999)).is_none());
        assert!(source.start(Need::Fresh, at(602_000)).is_some());
    }

    #[test]
    fn many_who_need_keys_make_one_fetch() {
        let mut source = KeySource::fetched(TIMEOUT);
        let needs = [Need::Fresh, Need::UnknownKey].into_iter().cycle().take(200);
        let tickets: Vec<_> = needs.filter_map(|need| source.start(need, at(0))).collect();
        assert_eq!(tickets.len(), 1);
    }

    #[test]
    fn unknown_keys_cause_one_fetch_in_ten_seconds() {
        let mut source = fetched_at(0);
        let mut fetches = Vec::new();
        for milliseconds in (100..25_000).step_by(100) {
            if let Some(ticket) = source.start(Need::UnknownKey, at(milliseconds)) {
                fetches.push(milliseconds);
                source.finish(ticket, Some(keys()), at(milliseconds), 0);
            }
        }
        assert_eq!(fetches, [100, 10_100, 20_100]);
    }

    #[test]
    fn a_failed_fetch_is_retried_after_one_second_doubling_to_thirty() {
        let mut source = KeySource::fetched(TIMEOUT);
        let mut now = 0;
        for wait in [1, 2, 4, 8, 16, 30, 30, 30] {
            let ticket = source.start(Need::Fresh, at(now)).unwrap();
            source.finish(ticket, None, at(now), 0);
            for need in [Need::Fresh, Need::UnknownKey] {
                assert!(source.start(need, at(now + wait * 1_000 - 1)).is_none(), "{wait}");
            }
            now += wait * 1_000;
        }
        let ticket = source.start(Need::Fresh, at(now)).unwrap();
        source.finish(ticket, Some(keys()), at(now), 0);
        assert!(!source.is_due(at(now + 599_999)));
    }

    #[test]
    fn retries_are_spread_over_a_quarter_of_the_wait() {
        for (failures, random, expected) in [
            (0, 0, 1_000),
            (0, u32::MAX / 2, 1_124),
            (0, u32::MAX, 1_249),
            (4, u32::MAX, 19_999),
            (u32::MAX, u32::MAX, 37_499),
        ] {
            assert_eq!(retry_wait(failures, random), Duration::from_millis(expected));
        }
    }

    #[test]
    fn a_failed_refresh_keeps_the_keys() {
        let mut source = fetched_at(0);
        let ticket = source.start(Need::Fresh, at(600_000)).unwrap();
        assert!(source.keys().is_some());
        source.finish(ticket, None, at(601_000), 0);
        assert!(source.keys().is_some());
        assert!(source.start(Need::Fresh, at(601_999)).is_none());
        assert!(source.start(Need::Fresh, at(602_000)).is_some());
    }

    #[test]
    fn a_fetch_that_is_never_heard_of_again_is_given_up_after_its_timeout() {
        let mut source = KeySource::fetched(TIMEOUT);
        let lost = source.start(Need::Fresh, at(0)).unwrap();
        assert!(source.start(Need::Fresh, at(3_999)).is_none());
        assert!(!source.is_fetching(at(4_000)));
        let next = source.start(Need::Fresh, at(4_000)).unwrap();
        // The lost fetch returns after all, too late to count, while the next one is still in flight.
        source.finish(lost, None, at(4_100), 0);
        assert!(source.is_fetching(at(4_200)));
        source.finish(next, Some(keys()), at(4_300), 0);
        assert!(source.keys().is_some());
    }

    #[test]
    fn an_abandoned_fetch_is_nobodys_failure() {
        let mut source = KeySource::fetched(TIMEOUT);
        let ticket = source.start(Need::Fresh, at(0)).unwrap();
        source.abandon(ticket, at(500));
        assert!(!source.is_fetching(at(500)));
        assert!(source.start(Need::Fresh, at(500)).is_some());
    }

    #[test]
    fn inline_keys_are_never_fetched() {
        let mut source = KeySource::inline(keys());
        assert!(source.keys().is_some());
        for need in [Need::Fresh, Need::UnknownKey] {
            assert!(source.start(need, at(10_000_000)).is_none());
        }
        assert!(!source.is_due(at(10_000_000)));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_stop_the_fetches() {
        let hour_ago = UnixTime::from_secs(T - 3_600);
        let mut source = fetched_at(0);
        assert!(source.start(Need::UnknownKey, at(0)).is_some());
        assert!(!source.is_fetching(hour_ago));
        assert!(source.start(Need::Fresh, hour_ago).is_some());
    }
}
