//! A token: parsing it, and the checks that turn it into a [`Verified`] one.

use std::fmt;

use jsonwebtoken::Header;

use super::binding::Binding;
use super::members::{Members, value};
use super::peek::is_load_balancers;
use super::{Algorithm, Backend, Claims, MediaType, Policy, Refusal, base64url};
use crate::http::UnixTime;
use crate::http::header::split_once;
use crate::jose::{KeyId, KeySet, VerifyingKey};

/// The longest accepted token, in bytes.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// How many keys are tried for a token without `kid`.
const MAX_KEYS_TRIED: usize = 8;

/// A well-formed token. Nothing in it is verified yet.
pub struct Token<'t> {
    signed: &'t [u8],
    signature: Vec<u8>,
    header: Header,
    algorithm: Algorithm,
    payload: &'t [u8],
    claims: Claims,
}

/// The signed bytes and their signature. It is not verified yet.
pub(super) struct Jws {
    signed: Vec<u8>,
    signature: Vec<u8>,
    algorithm: Algorithm,
}

/// A token that passed every check.
pub struct Verified {
    /// The issuer's claims.
    pub claims: Claims,
    /// The moment from which the token is refused: `exp` plus the policy's leeway, or the end of time if it has no
    /// `exp`.
    pub expires: UnixTime,
    /// The key that signed it. A cached verdict holds as long as this key is in the set.
    pub key: KeyId,
}

impl<'t> Token<'t> {
    /// Parses a compact JWS (RFC 7515 section 3.1) with JSON claims.
    ///
    /// # Errors
    /// Fails if it is not a compact JWS, or if no policy can accept it: unsigned, HMAC, `crit`.
    pub fn parse(token: &'t [u8]) -> Result<Self, Refusal> {
        let read = Self::parse_with_header(token).map(|(token, _header)| token);
        read.map_err(|refusal| {
            let says_why = refusal == Refusal::Base64 && is_load_balancers(token);
            if says_why { Refusal::LoadBalancer } else { refusal }
        })
    }

    /// Does the same and also returns the members of the header.
    #[inline(never)]
    pub(super) fn parse_with_header(token: &'t [u8]) -> Result<(Self, Members), Refusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refusal::TooLarge);
        }
        let (header, rest) = split_once(token, b'.').ok_or(Refusal::Shape)?;
        let (claims, signature) = split_once(rest, b'.').ok_or(Refusal::Shape)?;
        if header.is_empty() || claims.is_empty() || signature.contains(&b'.') {
            return Err(Refusal::Shape);
        }
        let signed =
            token.strip_suffix(signature).and_then(|rest| rest.strip_suffix(b".")).ok_or(Refusal::Shape)?;
        let signature = base64url(signature).ok_or(Refusal::Base64)?;
        let members = header_members(header)?;
        let (header, algorithm) = parse_header(&members)?;
        let (payload, claims) = (claims, Claims::parse(claims)?);
        Ok((Self { signed, signature, header, algorithm, payload, claims }, members))
    }

    pub(super) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn typ(&self) -> Option<MediaType> {
        self.header.typ.as_deref().map(MediaType::new)
    }

    /// Returns the key that its bearer must have, unverified. Use it only to refuse the token.
    #[must_use]
    pub fn unverified_binding(&self) -> Binding {
        self.claims.binding()
    }

    /// Keeps what its signature is verified with, for later.
    pub(super) fn into_jws(self) -> Jws {
        Jws { signed: self.signed.to_vec(), signature: self.signature, algorithm: self.algorithm }
    }

    /// Returns its claims as sent: base64url, and unverified like the rest.
    #[must_use]
    pub const fn payload(&self) -> &'t [u8] {
        self.payload
    }

    /// Returns its claims, unverified. Use them only to choose what the token must then pass.
    #[must_use]
    pub const fn unverified_claims(&self) -> &Claims {
        &self.claims
    }

    /// Returns its alleged issuer. Use it only to choose the policy that the token must then pass.
    #[must_use]
    pub fn unverified_issuer(&self) -> Option<&str> {
        self.claims.issuer()
    }

    /// Returns its `exp`. Use it only to forget the token in time.
    #[must_use]
    pub fn unverified_expiry(&self) -> Option<UnixTime> {
        u64::try_from(self.claims.expires()?).ok().map(UnixTime::from_secs)
    }

    /// Checks everything: first the algorithm, `typ`, `iss`, `aud`, `exp`, `nbf`, `iat` and `client_id` against the
    /// policy and the time, then the signature against the keys.
    ///
    /// A token without `kid` is tried with up to eight keys that serve its algorithm. A token whose `kid` is not in
    /// the set is tried with the keys that have no `kid`.
    ///
    /// # Errors
    /// Fails with the first check that the token fails. [`Refusal::UnknownKey`] means that all other checks passed;
    /// newer keys may help.
    pub fn verify(
        self,
        policy: &Policy,
        keys: &KeySet,
        backend: Backend,
        now: UnixTime,
    ) -> Result<Verified, Refusal> {
        let expires = self.check(policy, now)?;
        let key = self.signing_key(keys, backend)?.id();
        Ok(Verified { claims: self.claims, expires, key })
    }

    /// Checks everything except the signature. Returns the moment from which the token is refused.
    ///
    /// # Errors
    /// Fails with the first check that the token fails.
    pub fn check(&self, policy: &Policy, now: UnixTime) -> Result<UnixTime, Refusal> {
        if !policy.algorithms.contains(&self.algorithm) {
            return Err(Refusal::AlgorithmNotAllowed);
        }
        let is_accepted = |typ: &String| policy.types.contains(&MediaType::new(typ));
        if !policy.types.is_empty() && !self.header.typ.as_ref().is_some_and(is_accepted) {
            return Err(Refusal::Type);
        }
        policy.check_issuer(&self.claims)?;
        policy.check_claims(&self.claims, now)
    }

    fn signing_key<'k>(&self, keys: &'k KeySet, backend: Backend) -> Result<&'k VerifyingKey, Refusal> {
        let kid = self.header.kid.as_deref();
        let known = kid.is_some_and(|kid| keys.keys().iter().any(|key| key.kid() == Some(kid)));
        let may_have_signed = |key: &&VerifyingKey| match kid {
            None => true,
            Some(kid) if known => key.kid() == Some(kid),
            Some(_) => key.kid().is_none(),
        };
        let mut refusal = match kid {
            Some(_) if !known => Refusal::UnknownKey,
            Some(_) | None => Refusal::AlgorithmNotOfKey,
        };
        let mut serving = keys.keys().iter().filter(may_have_signed).filter(|key| key.serves(self.algorithm));
        for key in serving.by_ref().take(MAX_KEYS_TRIED) {
            if backend.verify(key, self.algorithm, self.signed, &self.signature) {
                return Ok(key);
            }
            if refusal == Refusal::AlgorithmNotOfKey {
                refusal = Refusal::Signature;
            }
        }
        match kid {
            None if serving.next().is_some() => Err(Refusal::TooManyKeys),
            Some(_) | None => Err(refusal),
        }
    }
}

impl Jws {
    /// Checks whether this key signed it, whatever `kid` says.
    pub(super) fn is_signed_by(&self, key: &VerifyingKey, backend: Backend) -> bool {
        key.serves(self.algorithm) && backend.verify(key, self.algorithm, &self.signed, &self.signature)
    }
}

impl fmt::Debug for Jws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jws").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").field("expires", &self.expires).finish_non_exhaustive()
    }
}

fn header_members(segment: &[u8]) -> Result<Members, Refusal> {
    let json = base64url(segment).ok_or(Refusal::Base64)?;
    let json = String::from_utf8(json).map_err(|_| Refusal::Header)?;
    Members::parse(&json).ok_or(Refusal::Header)
}

/// Reads the members of a header that matter here. `jsonwebtoken` does not parse the text: its deserializer refuses a
/// token for members that nobody needs (`"x5u": 1`), accepts duplicate members, and does not distinguish an unsigned
/// token from a malformed one.
fn parse_header(members: &Members) -> Result<(Header, Algorithm), Refusal> {
    if members.get("crit").is_some() {
        return Err(Refusal::Critical);
    }
    if members.get("b64").is_some_and(|b64| b64 != "true") {
        return Err(Refusal::UnencodedPayload);
    }
    let text = |name| members.get(name).map(|json| value::<String>(json).ok_or(Refusal::Header));
    let algorithm = algorithm(&text("alg").ok_or(Refusal::Unsigned)??)?;
    let mut header = Header::new(algorithm.into());
    header.kid = text("kid").transpose()?;
    header.typ = text("typ").transpose()?;
    Ok((header, algorithm))
}

fn algorithm(name: &str) -> Result<Algorithm, Refusal> {
    name.parse().map_err(|_| {
        if name.eq_ignore_ascii_case("none") || name.is_empty() {
            Refusal::Unsigned
        } else if name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("HS")) {
            Refusal::Hmac
        } else {
            Refusal::UnknownAlgorithm
        }
    })
}
