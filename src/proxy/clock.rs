//! Reads the clocks. Nothing else does: time is an argument of the core.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::http::UnixTime;

/// The time. A clock before 1970 counts as 1970.
#[allow(clippy::disallowed_methods, reason = "this is where the clock is read")]
pub(super) fn now() -> UnixTime {
    UnixTime::new(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

thread_local! {
    #[allow(clippy::disallowed_methods, reason = "this is where the clock is read")]
    static START: Instant = Instant::now();
}

/// The time since the first use of this clock. It measures spans: nobody sets it.
pub(super) fn elapsed() -> Duration {
    START.with(Instant::elapsed)
}
