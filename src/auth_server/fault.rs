//! Why an auth server failed, in the words of the log.

use std::fmt;

use crate::http::CallError;

/// Why there is no usable answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call has no answer.
    Call(CallError),
    /// This status does not answer the question.
    Status(u16),
    /// The server rejects the filter's own credentials, with this status.
    Credentials(u16),
    /// The answer contradicts itself, or cannot be passed on.
    Unusable(Unusable),
}

/// Why an answer cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// A header to be passed on contains a control character.
    ControlCharacter,
    /// An Authgear identity header occurs twice, perhaps in two spellings.
    IdentityTwice,
    /// An identity header occurs in two spellings.
    TwoSpellings,
    /// There are two `authorization` headers for the app.
    AuthorizationTwice,
    /// `x-authgear-session-valid: true` without a user.
    NoUser,
    /// A user without `x-authgear-session-valid: true`.
    NoSession,
    /// `x-authgear-session-valid` is neither true nor false.
    SessionValid,
    /// It is not one JSON object with distinct names.
    Json,
    /// `active` is neither true nor false.
    Active,
}

impl Fault {
    /// Returns whether the client may have provoked it. Such a fault never lets a request pass, and no stale answer
    /// replaces it.
    #[must_use]
    pub const fn may_be_provoked(self) -> bool {
        matches!(self, Self::Status(400..=499) | Self::Credentials(_))
    }
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
            Self::Credentials(status) => write!(
                f,
                "it answered {status}: it does not accept the filter's own credentials (jwt[].introspection)"
            ),
            Self::Unusable(problem) => write!(f, "its answer cannot be used: {problem}"),
        }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ControlCharacter => "a header of it has a control character",
            Self::IdentityTwice => "it has an identity header twice",
            Self::TwoSpellings => "it has an identity header twice, in two spellings",
            Self::AuthorizationTwice => "it has `authorization` twice",
            Self::NoUser => "it has a valid session of no user",
            Self::NoSession => "it has a user without a valid session",
            Self::SessionValid => "x-authgear-session-valid is neither true nor false",
            Self::Json => "it is not one JSON object with distinct names",
            Self::Active => "`active` is neither true nor false",
        })
    }
}

impl std::error::Error for Fault {}

impl std::error::Error for Unusable {}
