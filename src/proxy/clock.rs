//! Reads the clocks. Nothing else does: the core takes the time as an argument.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::http::UnixTime;

/// Returns the time. A clock before 1970 counts as 1970.
#[allow(clippy::disallowed_methods, reason = "this is where the clock is read")]
pub(super) fn now() -> UnixTime {
    UnixTime::new(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

thread_local! {
    #[allow(clippy::disallowed_methods, reason = "this is where the clock is read")]
    static START: Instant = Instant::now();
}

/// Returns the time since this clock was first used. It measures spans, because nobody sets it.
pub(super) fn elapsed() -> Duration {
    START.with(Instant::elapsed)
}
