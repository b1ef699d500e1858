//! Details of a decision beyond its outcome, for the access log and the debug log: why, by what, and about whom. A
//! client learns nothing from it.

use std::fmt;
use std::rc::Rc;

use crate::auth_server::fault::Fault;
use crate::http::BadHead;
use crate::jose::Refusal;
use crate::jose::dpop::ProofRefusal;
use crate::rules::Unmet;

/// The details of a decision. Creating one allocates nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explanation {
    /// Why the request has no identity, or may not pass; `None` if the outcome says everything.
    pub reason: Option<Reason>,
    /// Whether the cache decided; `None` if nothing that can be cached was needed.
    pub cache: Option<CacheStatus>,
    /// The user: Authgear's user id, or with `access_log` the `sub` of a verified token.
    pub user: Option<Rc<[u8]>>,
    /// The issuer of that id; only with `access_log`.
    pub issuer: Option<Rc<str>>,
}

/// Whether the cache decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheStatus {
    /// A cached answer, or a token that was judged before.
    Hit,
    /// The auth server was asked, or a token was judged.
    Miss,
    /// The answer to another request's question.
    Shared,
    /// A stale answer, because the auth server failed.
    Stale,
}

impl CacheStatus {
    /// Returns the name in the access log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Shared => "shared",
            Self::Stale => "stale",
        }
    }
}

/// Why a request has no identity, or may not pass. Nothing in it comes from the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The presented value cannot be a credential.
    Credential(&'static str),
    /// Its token fails a check.
    Token(Refusal),
    /// The resolver no longer knows its token.
    Revoked,
    /// The proof that its bearer has the token's key is invalid.
    Proof(ProofRefusal),
    /// Its session fails a rule's requirement.
    Unmet(Unmet),
    /// The auth server denied it with this status.
    Denied(u16),
    /// It is malformed.
    Bad(BadHead),
    /// Its host belongs to no project.
    Misdirected,
    /// The auth server failed.
    Fault(Fault),
    /// There are no keys to verify its token with.
    NoKeys,
    /// There is no room to record its proof.
    NoRoom,
    /// Too many requests wait for an answer.
    Crowd,
    /// The proxy refused a call of the filter.
    Proxy,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Credential(text) => text,
            Self::Token(refusal) => return refusal.fmt(f),
            Self::Proof(refusal) => return refusal.fmt(f),
            Self::Fault(fault) => return fault.fmt(f),
            Self::Denied(status) => return write!(f, "the auth server answered {status}"),
            Self::Unmet(unmet) => unmet.message(),
            Self::Bad(bad) => bad.message(),
            Self::Revoked => "revoked",
            Self::Misdirected => "nobody logs in at this host",
            Self::NoKeys => "there are no keys to verify tokens with",
            Self::NoRoom => "there is no room to remember a DPoP proof",
            Self::Crowd => "too many requests wait for the auth server",
            Self::Proxy => "the proxy refused what the filter asked of it",
        })
    }
}
