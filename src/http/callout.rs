//! A callout: a request that the filter sends to an auth server, and its result.

use std::time::Duration;

use super::{Fields, Form};

/// How long a call is waited for beyond its timeout. The proxy enforces the timeout; this covers one that does not.
pub const CALL_GRACE: Duration = Duration::from_secs(1);

/// A request that the filter sends to an auth server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The destination: an Envoy cluster, or `host:port` on APISIX.
    pub upstream: String,
    /// All headers, led by `:method`, `:scheme`, `:authority` and `:path`. Proxies need all four.
    pub fields: Fields,
    /// The body, if there is one. Proxies add its length.
    pub form: Option<Form>,
    /// How long to wait for the whole answer, in whole milliseconds.
    pub timeout: Duration,
    /// How much of the answer's body is read.
    pub body: WantedBody,
}

/// How much of an answer's body is read. Limits are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedBody {
    /// Nothing.
    None,
    /// All of it. A body over the limit fails the call ([`CallError::TooLarge`]).
    Needed {
        /// The longest body that is accepted.
        limit: usize,
    },
    /// All of it, or nothing if it is over the limit. The answer is usable without it.
    Welcome {
        /// The longest body that is read.
        limit: usize,
    },
}

/// An auth server's answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// All headers except pseudo headers.
    pub fields: Fields,
    /// The body. Empty if the call did not want it, or if it exceeded the limit.
    pub body: Vec<u8>,
}

/// Why a call has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallError {
    /// The proxy refused to send it: it does not know the upstream, or a call is already in flight.
    NotSent,
    /// No connection, no answer in time, or an answer that is not HTTP.
    NoAnswer,
    /// The call needs the body, and the body exceeds the limit.
    TooLarge,
    /// The proxy may deliver the answer to another call: this upstream recently sent a status below 200.
    Quarantined,
}
