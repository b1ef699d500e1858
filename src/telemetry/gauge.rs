//! The filter's gauges, and its one histogram. Owns their names.

/// A gauge: what is there at the moment, of all workers together where nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gauge {
    /// Requests that wait for another request's call.
    Parked,
    /// Calls that are not answered yet.
    InFlight,
    /// Entries of the cache.
    Entries,
    /// What they weigh, in bytes.
    Bytes,
}

impl Gauge {
    /// All gauges and their names.
    pub const NAMES: [(Self, &'static str); 4] = [
        (Self::Parked, "authgear_filter.requests.parked"),
        (Self::InFlight, "authgear_filter.calls.in_flight"),
        (Self::Entries, "authgear_filter.cache.entries"),
        (Self::Bytes, "authgear_filter.cache.bytes"),
    ];
}

/// The gauge of the age of the oldest key set in use, in seconds, from the worker that reported it last.
pub const KEYS_AGE: &str = "authgear_filter.keys.age_seconds";

/// The histogram of how long calls take until their answer has come, in milliseconds.
pub const CALL_TIME: &str = "authgear_filter.calls.milliseconds";
