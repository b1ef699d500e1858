//! A request of the filter's own to an auth server, and what came of it.

use std::time::Duration;

use super::{Fields, Form};

/// How long past its timeout a call is waited for. The proxy ends the wait itself; this is for one that does not.
pub const CALL_GRACE: Duration = Duration::from_secs(1);

/// A request of the filter's own to the auth server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Where to: an Envoy cluster, or `host:port` on APISIX.
    pub upstream: String,
    /// All headers, with `:method`, `:scheme`, `:authority` and `:path` in front: proxies need all four.
    pub fields: Fields,
    /// What is sent as its body. Proxies add its length.
    pub form: Option<Form>,
    /// How long to wait for the whole answer, in whole milliseconds.
    pub timeout: Duration,
    /// What is taken of the answer's body.
    pub body: WantedBody,
}

/// What is taken of an answer's body. Limits are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedBody {
    /// Nothing.
    None,
    /// All of it; a longer one is no answer ([`CallError::TooLarge`]).
    Needed {
        /// The longest that is taken.
        limit: usize,
    },
    /// All of it; of a longer one nothing, and the answer is as good without.
    Welcome {
        /// The longest that is taken.
        limit: usize,
    },
}

/// What the auth server answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// All headers but the pseudo headers.
    pub fields: Fields,
    /// The body; empty where the call did not want it, or not such a long one.
    pub body: Vec<u8>,
}

/// Why a call has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallError {
    /// The proxy refused to send it: the upstream is not known to it, or a call is under way already.
    NotSent,
    /// No connection, no answer in time, or one that is not HTTP.
    NoAnswer,
    /// The body of the answer is needed, and longer than the call takes.
    TooLarge,
    /// The proxy may give the answer to another call: a status below 200 came from the upstream a short while ago.
    Quarantined,
}
