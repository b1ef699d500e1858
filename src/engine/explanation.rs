//! What an operator may want to know of a decision beside its outcome: why, by what, and about whom. For the access log
//! and for the debug log; a client is told none of it by this.

use std::fmt;
use std::rc::Rc;

use crate::auth_server::fault::Fault;
use crate::http::BadHead;
use crate::jose::Refusal;
use crate::jose::dpop::ProofRefusal;
use crate::rules::Unmet;

/// See the module. Making one allocates nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explanation {
    /// Why the request is not somebody's, or may not pass; none where there is nothing to say beyond the outcome.
    pub reason: Option<Reason>,
    /// Whether memory decided; none where nothing that could be remembered was needed.
    pub cache: Option<CacheStatus>,
    /// Whose request it is: Authgear's user id, or with `access_log` the `sub` of a verified token.
    pub user: Option<Rc<[u8]>>,
    /// Who says so; with `access_log` alone.
    pub issuer: Option<Rc<str>>,
}

/// Whether memory decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheStatus {
    /// It did: a remembered answer, or a token that was judged before.
    Hit,
    /// It did not: the auth server was asked, or a token was judged.
    Miss,
    /// The answer to another request's question did.
    Shared,
    /// An answer past its time did, because the auth server failed.
    Stale,
}

impl CacheStatus {
    /// In the access log.
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

/// Why a request is not somebody's, or may not pass. Nothing in it comes from the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// What it presents can be no credential.
    Credential(&'static str),
    /// Its token fails a check.
    Token(Refusal),
    /// The resolver no longer knows its token.
    Revoked,
    /// The proof that its bearer has the token's key is no good.
    Proof(ProofRefusal),
    /// Its session does not meet what a rule requires.
    Unmet(Unmet),
    /// The auth server denied it with this status.
    Denied(u16),
    /// It cannot be understood.
    Bad(BadHead),
    /// Its host is no project's.
    Misdirected,
    /// The auth server failed.
    Fault(Fault),
    /// There are no keys to verify its token with.
    NoKeys,
    /// There is no room to remember its proof.
    NoRoom,
    /// Too many requests wait for an answer.
    Crowd,
    /// The proxy refused what the filter asked of it.
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
