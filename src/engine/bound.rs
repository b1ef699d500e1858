//! Tokens that are bound to a key, wherever they stand: no server is sent one, and none is a bearer token.

use super::tokens::Glance;
use crate::http::credential::{Cookies, Secret};
use crate::jose::dpop::Binding;
use crate::jose::{self, Token};

/// Why a bound token is refused outside the scheme `DPoP`.
pub(super) const BOUND: &str = "it is bound to a key, and needs the scheme DPoP and a proof";

/// Returns whether a token states that its bearer must prove something, whatever its header states.
pub(super) fn is_bound<'t>(token: Secret<'t>, glance: &mut Glance<'t>) -> bool {
    match glance.parsed.get_or_insert_with(|| Token::parse(token.reveal())) {
        Ok(token) => token.unverified_binding() != Binding::None,
        Err(_) => jose::peek(token.reveal()).is_some_and(|peek| peek.is_bound),
    }
}

/// Returns whether a cookie contains a bound token.
pub(super) fn carry_bound(cookies: Cookies<'_>) -> bool {
    cookies.iter().any(|(_name, value)| holds_bound(value.reveal()))
}

/// Returns whether a value contains a bound token anywhere: as a whole, after a word, in a list or in quotes.
pub(super) fn holds_bound(value: &[u8]) -> bool {
    let is_of_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.+/=".contains(byte);
    // Most values do not even contain the dots.
    value.iter().filter(|byte| **byte == b'.').nth(1).is_some()
        && value.split(|byte| !is_of_token(byte)).any(jose::holds_bound_claims)
}
