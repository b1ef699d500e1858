//! Details of a decision beyond its outcome, for the access log and the debug log: why, by what, and about whom. A
//! client learns nothing from it.

use std::fmt;
use std::rc::Rc;

use crate::auth_server::fault::Fault;
use crate::http::BadHead;
use crate::jose::Refusal;
use crate::jose::dpop::ProofRefusal;
use crate::rules::Unmet;
use crate::telemetry::TokenFault;

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

impl Reason {
    /// What is wrong with a refused token; none where something else is the reason.
    #[must_use]
    pub const fn token_fault(self) -> Option<TokenFault> {
        Some(match self {
            Self::Credential(_) => TokenFault::Malformed,
            Self::Token(refusal) => fault(refusal),
            Self::Revoked => TokenFault::Revoked,
            Self::Proof(_) => TokenFault::Proof,
            Self::Unmet(_)
            | Self::Denied(_)
            | Self::Bad(_)
            | Self::Misdirected
            | Self::Fault(_)
            | Self::NoKeys
            | Self::NoRoom
            | Self::Crowd
            | Self::Proxy => return None,
        })
    }
}

const fn fault(refusal: Refusal) -> TokenFault {
    match refusal {
        Refusal::TooLarge
        | Refusal::Shape
        | Refusal::Base64
        | Refusal::LoadBalancer
        | Refusal::Header
        | Refusal::Claims
        | Refusal::Critical
        | Refusal::UnencodedPayload => TokenFault::Malformed,
        Refusal::Unsigned
        | Refusal::Hmac
        | Refusal::UnknownAlgorithm
        | Refusal::AlgorithmNotAllowed
        | Refusal::AlgorithmNotOfKey => TokenFault::Algorithm,
        Refusal::Type | Refusal::IdToken | Refusal::Use => TokenFault::Kind,
        Refusal::Issuer => TokenFault::Issuer,
        Refusal::Audience => TokenFault::Audience,
        Refusal::ClientId => TokenFault::Client,
        Refusal::Expired | Refusal::NoExpiry => TokenFault::Expired,
        Refusal::NotYetValid | Refusal::IssuedInFuture => TokenFault::Early,
        Refusal::UnknownKey | Refusal::TooManyKeys => TokenFault::Key,
        Refusal::Signature => TokenFault::Signature,
        Refusal::Claim(_) | Refusal::ControlCharacter | Refusal::WhiteSpace | Refusal::Subject => {
            TokenFault::Claim
        }
        Refusal::Binding | Refusal::Bound => TokenFault::Proof,
        Refusal::Inactive => TokenFault::Inactive,
    }
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
