//! Why an auth server was of no help, as the log tells it.

use std::fmt;

use crate::http::CallError;

/// Why there is no answer that could be used. Everything here is the auth server's doing or the network's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// See [`CallError`].
    Call(CallError),
    /// A status that is no answer to the question.
    Status(u16),
    /// The answer contradicts itself, or cannot be handed on.
    Answer(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(CallError::NotSent) => {
                f.write_str("the proxy refused to send the call: is the upstream's name right?")
            }
            Self::Call(CallError::NoAnswer) => f.write_str("no connection, or no answer in time"),
            Self::Call(CallError::TooLarge) => f.write_str("its answer is too long"),
            Self::Call(CallError::Quarantined) => {
                f.write_str("it answered with a status below 200, after which the proxy may mix up answers")
            }
            Self::Status(404) => f.write_str("it answered 404: does it know this host and path?"),
            Self::Status(status @ (502..=504)) => {
                write!(f, "it answered {status}, or the proxy could not reach it in time")
            }
            Self::Status(status) => write!(f, "it answered {status}"),
            Self::Answer(problem) => write!(f, "its answer cannot be used: {problem}"),
        }
    }
}
