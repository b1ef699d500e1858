//! Whether a call is sent again, and when. Pure: time is an argument.

use std::time::Duration;

use crate::http::{CallError, Response};

/// The wait before a refused call is sent again. Each further refusal doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The least time that must be left for another try to be worthwhile.
const LEAST: Duration = Duration::from_millis(10);

/// The tries of one call. All share one timeout, which begins with the first. Times come from a clock that nobody
/// sets.
#[derive(Debug, Clone, Copy)]
pub struct Tries {
    ends: Duration,
    refused: u32,
    was_repeated: bool,
}

/// How a proxy reports a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failures {
    /// With its own 503, like Envoy. No answer at all means that one had begun, or a timeout.
    Replies,
    /// With no answer, like wasm-nginx-module.
    Silence,
}

impl Tries {
    /// Creates the record of a call that is about to be sent for the first time.
    #[must_use]
    pub const fn new(timeout: Duration, now: Duration) -> Self {
        Self { ends: now.saturating_add(timeout), refused: 0, was_repeated: false }
    }

    /// Returns what is left of the timeout, at least a millisecond.
    #[must_use]
    pub fn left(&self, now: Duration) -> Duration {
        self.ends.saturating_sub(now).max(Duration::from_millis(1))
    }

    /// Returns whether the timeout ended at least this long ago.
    #[must_use]
    pub const fn is_over(&self, since: Duration, now: Duration) -> bool {
        now.as_nanos() >= self.ends.saturating_add(since).as_nanos()
    }

    /// Records that the proxy refused to send the call, as for a cluster that it does not know yet. Returns when to
    /// try again.
    pub fn refused(&mut self, now: Duration) -> Option<Duration> {
        let pause = FIRST_PAUSE.saturating_mul(2u32.saturating_pow(self.refused));
        self.refused = self.refused.saturating_add(1);
        let next = now.saturating_add(pause);
        (next.saturating_add(LEAST) <= self.ends).then_some(next)
    }

    /// Returns whether to send the call again, because it failed before any byte of an answer came. This happens when
    /// the server closes a kept connection at that moment, or when one of two endpoints refuses connections.
    pub fn is_repeated(
        &mut self,
        result: &Result<Response, CallError>,
        failures: Failures,
        now: impl FnOnce() -> Duration,
    ) -> bool {
        let failed = match (result, failures) {
            (Err(CallError::NoAnswer), Failures::Silence) => true,
            (Ok(response), Failures::Replies) => is_of_proxy(response),
            (Ok(_), Failures::Silence) | (Err(_), _) => false,
        };
        let again = failed && !self.was_repeated && now().saturating_add(LEAST) <= self.ends;
        self.was_repeated |= again;
        again
    }
}

/// Returns whether a 503 could be the one with which Envoy reports that it reached nobody. A server's own has a
/// `Date`, or names the server.
fn is_of_proxy(response: &Response) -> bool {
    response.status == 503
        && response.fields.iter().all(|(name, _)| matches!(name, b"content-length" | b"content-type"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Fields;

    const TIMEOUT: Duration = Duration::from_secs(1);

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds).saturating_add(Duration::from_secs(5))
    }

    fn answer(status: u16, names: &[&str]) -> Result<Response, CallError> {
        let fields: Fields = names.iter().map(|name| (name, "x")).collect();
        Ok(Response { status, fields, ..Response::default() })
    }

    #[test]
    fn a_refused_call_is_tried_again_after_pauses_that_double_within_one_timeout() {
        let mut tries = Tries::new(TIMEOUT, at(0));
        for (now, next) in [(0, Some(100)), (100, Some(300)), (300, Some(700)), (700, None)] {
            assert_eq!(tries.refused(at(now)), next.map(at), "{now}");
        }
        assert_eq!(tries.left(at(700)), Duration::from_millis(300));
        assert_eq!(tries.left(at(5000)), Duration::from_millis(1), "0 is a default of the proxy's");
    }

    #[test]
    fn only_a_failure_before_any_answer_is_repeated_and_only_once() {
        use Failures::{Replies, Silence};
        let table = [
            ("Envoy reached nobody", answer(503, &["content-length", "content-type"]), Replies, true),
            ("the server's own 503", answer(503, &["content-length", "date"]), Replies, false),
            ("a timeout", answer(504, &["content-length"]), Replies, false),
            ("no HTTP", answer(502, &["content-length"]), Replies, false),
            ("an accept", answer(200, &[]), Replies, false),
            ("an answer that broke off", Err(CallError::NoAnswer), Replies, false),
            ("a call that failed on APISIX", Err(CallError::NoAnswer), Silence, true),
            ("a 503 on APISIX", answer(503, &["content-length"]), Silence, false),
            ("a long body", Err(CallError::TooLarge), Silence, false),
            ("a refused call", Err(CallError::NotSent), Silence, false),
        ];
        for (what, result, failures, expected) in table {
            let mut tries = Tries::new(TIMEOUT, at(0));
            assert_eq!(tries.is_repeated(&result, failures, || at(10)), expected, "{what}");
            assert!(!tries.is_repeated(&result, failures, || at(20)), "{what}, twice");
            let mut late = Tries::new(TIMEOUT, at(0));
            assert!(!late.is_repeated(&result, failures, || at(1000)), "{what}, late");
        }
    }

    #[test]
    fn a_wait_is_over_when_the_timeout_and_a_little_more_have_passed() {
        let tries = Tries::new(TIMEOUT, at(0));
        let grace = Duration::from_millis(500);
        assert!(!tries.is_over(grace, at(1499)));
        assert!(tries.is_over(grace, at(1500)));
    }
}
