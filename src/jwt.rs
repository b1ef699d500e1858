//! Tokens: parsing a compact JWS, checking it against a policy, and reading its claims.
//!
//! Pure: time is an argument, keys are given, and nothing in a token selects where anything is fetched
//! from (`jku`, `jwk`, `x5u` and `x5c` are never looked at). Cheap checks come first, the signature last.
//! Fetching keys is [`jwks`](crate::jwks)'s matter; which header a claim becomes is the caller's.

mod algorithm;
pub mod authgear;
mod claims;
mod der;
pub mod host;
mod refusal;
mod rsa;
mod signature;
mod token;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use claims::{ClaimPath, Claims};
pub use host::HostVerify;
pub use refusal::Refusal;
pub use signature::Backend;
pub use token::{MAX_TOKEN_BYTES, MediaType, Policy, Token, Verified};

pub(crate) use rsa::RsaKey;

pub(crate) use der::{ed25519_public_key, p256_public_key, p384_public_key, rsa_public_key};

/// Base64url as RFC 7515 section 2 has it: without padding, and one text for each sequence of bytes.
pub(crate) fn base64url(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

/// Whether a bearer token claims to be a JWT: it has a dot, which no opaque token of Authgear has.
/// Whether it is a well-formed one is for [`Token::parse`] to say.
#[must_use]
pub fn looks_like_jwt(token: &[u8]) -> bool {
    token.contains(&b'.')
}
