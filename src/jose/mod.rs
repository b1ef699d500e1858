//! Tokens, claims and keys: parses a compact JWS, checks it against a policy, and says when to fetch keys.
//!
//! This module is pure: time and keys are arguments, and nothing in a token decides where anything is fetched from.
//! `jku`, `x5u` and `x5c` are never read, and `jwk` is read only in a proof of possession. Cheap checks come first,
//! the signature last. The caller chooses the header that a claim becomes.
//!
//! `jsonwebtoken`'s types hold the result (`Header`, `jwk::Jwk`, `DecodingKey`), and its `verify` runs each signature
//! check. Its deserializers are not used: see [`VerifyingKey`] and [`Token::parse`]. The types cost 11 KB of module
//! and 1 % of the instructions for a new token, measured in November 2026.

mod algorithm;
mod binding;
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
pub use peek::{Peek, holds_bound_claims, is_jwt, peek};
pub use policy::{MediaType, Policy};
pub use refusal::Refusal;
pub use token::{MAX_TOKEN_BYTES, Token, Verified};

pub(crate) use header_value::{is_plain, text_for_header};
pub(crate) use members::{Members, value};

/// Decodes base64url as RFC 7515 section 2 defines it: without padding, and with one text for each sequence of bytes.
pub(crate) fn base64url(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

/// Returns whether a bearer token claims to be a JWT: it contains a dot, which no opaque token of Authgear does.
/// [`Token::parse`] decides whether it is well-formed.
#[must_use]
pub fn looks_like_jwt(token: &[u8]) -> bool {
    token.contains(&b'.')
}
