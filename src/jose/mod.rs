//! Owns tokens, claims and keys: parses a compact JWS, checks it against a policy, and says when keys are to be
//! fetched.
//!
//! It is pure: time is an argument, keys are given, and nothing in a token selects where anything is fetched from
//! (`jku`, `x5u` and `x5c` are never read; `jwk` in a proof of possession alone). Cheap checks come first, the signature last. Which header a claim
//! becomes is the caller's choice.
//!
//! `jsonwebtoken`'s types hold what was read (`Header`, `jwk::Jwk`, `DecodingKey`), and its `verify` runs each check of a
//! signature. Its deserializers are not used: see [`VerifyingKey`] and [`Token::parse`]. The types cost 11 KB of module
//! and 1 % of the instructions for a new token, measured in November 2026.

mod algorithm;
mod claim_test;
mod claims;
pub mod crypto;
pub mod dpop;
mod header_value;
mod issuer;
mod key;
mod key_set;
mod key_source;
mod members;
mod peek;
mod policy;
mod refusal;
mod token;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use claim_test::{ClaimTest, Number, Scalar};
pub use claims::{ClaimPath, Claims};
pub use crypto::proxy_verify;
pub use crypto::{Backend, ProxyVerify};
pub use header_value::ClaimForm;
pub use issuer::{IssuerName, IssuerNameError};
pub use key::{KeyId, UnusableKey, VerifyingKey};
pub use key_set::{KeySet, KeySetError, MAX_KEY_SET_BYTES, MAX_KEYS, Skipped};
pub use key_source::{FetchTicket, KeySource, Need};
pub use peek::{Peek, is_jwt, peek};
pub use policy::{MediaType, Policy};
pub use refusal::Refusal;
pub use token::{MAX_TOKEN_BYTES, Token, Verified};

pub(crate) use header_value::{is_plain, text_for_header};
pub(crate) use members::{Members, value};

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
