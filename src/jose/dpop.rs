//! Proofs of possession (RFC 9449): the key that made a request's proof, the token that it is for, and the proof's
//! identity.
//!
//! Anybody can send a proof, so it is checked in three steps. [`Proof::read`] costs no more than reading it.
//! [`Proof::by`] is for a token that was judged already. [`ProofBy::verify`] checks the signature. The caller knows
//! whether the proof was used before.

use std::fmt;
use std::time::Duration;

use sha2::{Digest, Sha256};

pub use super::binding::{Binding, Thumbprint};
use super::crypto::Backend;
use super::members::{Members, value};
use super::token::{Jws, Token};
use super::{Algorithm, MediaType, Refusal, UnusableKey, VerifyingKey, base64url};
use crate::http::target::Target;
use crate::http::{Head, UnixTime};

/// The algorithms of proofs. They are asymmetric, and independent of those of the issuer's tokens.
pub const PROOF_ALGORITHMS: [Algorithm; 5] =
    [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa];

/// Their names, as a challenge lists them (RFC 9449 section 7.1).
pub const PROOF_ALGORITHM_NAMES: &str = "RS256 PS256 ES256 ES384 EdDSA";

/// The header that holds a proof.
pub const PROOF_HEADER: &[u8] = b"dpop";

/// The `typ` of a proof.
const TYPE: &str = "dpop+jwt";

/// A proof for a request and its token. Its signature is not verified yet.
pub struct Proof {
    jws: Jws,
    jwk: Members,
    issued_at: u64,
    jti: String,
}

/// A recent proof that names the key that a token is bound to. Its signature is not verified yet.
#[derive(Debug)]
pub struct ProofBy<'p> {
    jws: &'p Jws,
    key: VerifyingKey,
    end: UnixTime,
    number: ProofNumber,
}

/// The identity of a proof: the SHA-256 of its key's thumbprint and `jti`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProofNumber([u8; 32]);

#[cfg(test)]
impl ProofNumber {
    /// Returns a number for a test, different for each name.
    pub(crate) fn for_tests(name: &str) -> Self {
        Self(Sha256::digest(name).into())
    }
}

impl Proof {
    /// Reads the proof of a request for `token`, and checks all of it that costs little.
    ///
    /// # Errors
    ///
    /// Fails with the first check that the proof fails.
    pub fn read(head: &Head<'_>, token: &[u8]) -> Result<Self, ProofRefusal> {
        let mut values = head.values(PROOF_HEADER);
        let (Some(proof), None) = (values.next(), values.next()) else { return Err(ProofRefusal::NotOne) };
        let (jws, header) = Token::parse_with_header(proof).map_err(ProofRefusal::Malformed)?;
        if jws.typ() != Some(MediaType::new(TYPE)) {
            return Err(ProofRefusal::Type);
        }
        if !PROOF_ALGORITHMS.contains(&jws.algorithm()) {
            return Err(ProofRefusal::Algorithm);
        }
        let jwk = header.get("jwk").and_then(Members::parse).ok_or(ProofRefusal::NoKey)?;
        let claim = |name| jws.unverified_claims().get(name).and_then(value::<String>);
        if claim("htm").is_none_or(|method| method.as_bytes() != head.method) {
            return Err(ProofRefusal::Method);
        }
        let target = claim("htu").and_then(|url| Target::parse(url.as_bytes()));
        if target.is_none() || target != Target::of(head) {
            return Err(ProofRefusal::Url);
        }
        let hash = claim("ath").and_then(base64url);
        if hash.is_none_or(|hash| hash != *Sha256::digest(token)) {
            return Err(ProofRefusal::Token);
        }
        let jti = claim("jti").filter(|jti| !jti.is_empty()).ok_or(ProofRefusal::NoNumber)?;
        let issued_at = jws.unverified_claims().issued_at().and_then(|seconds| seconds.try_into().ok());
        let issued_at = issued_at.ok_or(ProofRefusal::NoTime)?;
        Ok(Self { jws: jws.into_jws(), jwk, issued_at, jti })
    }

    /// Checks that the proof is recent and names the key that the token is bound to. Prepares a key of the client's
    /// choice, which may cost as much as a signature: call it only once the token is known to be good.
    ///
    /// # Errors
    ///
    /// Fails where the proof is not recent, and where its key is unusable or another one.
    pub fn by(&self, key: Thumbprint, leeway: Duration, now: UnixTime) -> Result<ProofBy<'_>, ProofRefusal> {
        let (leeway, now) = (leeway.as_secs(), now.as_secs());
        let last = self.issued_at.saturating_add(leeway);
        if self.issued_at > now.saturating_add(leeway) || now > last {
            return Err(ProofRefusal::Time);
        }
        let verifying = VerifyingKey::parse(&self.jwk).map_err(ProofRefusal::Key)?;
        if verifying.thumbprint() != Some(key) {
            return Err(ProofRefusal::OtherKey);
        }
        let number = Sha256::new().chain_update(key.0).chain_update(&self.jti).finalize();
        Ok(ProofBy {
            jws: &self.jws,
            key: verifying,
            end: UnixTime::from_secs(last.saturating_add(1)),
            number: ProofNumber(number.into()),
        })
    }
}

/// Prints without what the client sent.
impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof")
    }
}

impl ProofBy<'_> {
    /// Returns the identity of the proof.
    #[must_use]
    pub const fn number(&self) -> ProofNumber {
        self.number
    }

    /// Returns the moment from which the proof would be refused; until then it could be replayed.
    #[must_use]
    pub const fn end(&self) -> UnixTime {
        self.end
    }

    /// Checks its signature.
    ///
    /// # Errors
    ///
    /// Fails with [`ProofRefusal::Signature`].
    pub fn verify(&self, backend: Backend) -> Result<(), ProofRefusal> {
        if self.jws.is_signed_by(&self.key, backend) { Ok(()) } else { Err(ProofRefusal::Signature) }
    }
}

/// Why a proof is refused. Nothing in it comes from the proof, so it can be logged and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofRefusal {
    /// There is not exactly one `DPoP` header.
    NotOne,
    /// It is not a signed token.
    Malformed(Refusal),
    /// `typ` is not `dpop+jwt`.
    Type,
    /// `alg` is not one of [`PROOF_ALGORITHMS`].
    Algorithm,
    /// `jwk` is absent, or not an object with distinct members.
    NoKey,
    /// `jwk` is not a usable public key.
    Key(UnusableKey),
    /// `htm` is not the request's method.
    Method,
    /// `htu` is not the request's URL.
    Url,
    /// `ath` is not the hash of the token.
    Token,
    /// `jti` is absent or empty.
    NoNumber,
    /// `iat` is absent.
    NoTime,
    /// The signature is not that of `jwk`.
    Signature,
    /// The token is bound to another key.
    OtherKey,
    /// `iat` is too far from now, even with leeway.
    Time,
    /// It was used before.
    Replayed,
}

impl fmt::Display for ProofRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Malformed(refusal) => return refusal.fmt(f),
            Self::Key(unusable) => return write!(f, "jwk: {unusable}"),
            Self::NotOne => "there is not exactly one DPoP header",
            Self::Type => "typ is not dpop+jwt",
            Self::Algorithm => "alg is not accepted",
            Self::NoKey => "no jwk",
            Self::Method => "htm is not the method of the request",
            Self::Url => "htu is not the URL of the request",
            Self::Token => "ath is not the hash of the access token",
            Self::NoNumber => "no jti",
            Self::NoTime => "no iat",
            Self::Signature => "wrong signature",
            Self::OtherKey => "the access token is bound to another key",
            Self::Time => "iat is not of now",
            Self::Replayed => "it was used before",
        };
        f.write_str(text)
    }
}

impl std::error::Error for ProofRefusal {}
